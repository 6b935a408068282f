"""Configurations as people have them: every line counts, or is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.config.load import load
from ampproxy.config.schema import Config

FOLDER = Path(__file__).parent / "cliproxyapi"
FILES = sorted(FOLDER.glob("*.yaml"))


def read(name: str) -> Config:
    return load(FOLDER / f"{name}.yaml", environ={}, home=Path("/home/anna"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_line_counts_or_is_named(file):
    """The file is taken as it is. The lines that its comments mark are warned of, and no others."""
    warnings = load(file, environ={}, home=Path("/home/anna")).warnings
    found = {}
    for warning in warnings:
        number, _, words = warning.removeprefix(f"{file}:").partition(": ")
        found.setdefault(int(number), []).append(words)
    marked = {
        number: marks[1]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (marks := re.search(r"# warned: (.+)", line))
    }
    assert found.keys() == marked.keys()
    assert all(any(marked[number] in words for words in found[number]) for number in marked)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_ready(file, tmp_path):
    """``check`` calls each ready, for each has accounts, and shows none of its keys."""
    result = CliRunner().invoke(main, ["check", str(file)], env={"HOME": str(tmp_path)})
    assert result.exit_code == 0
    assert f"{file}: ready: " in result.output
    assert not re.search(r"sk-|AIza|or-(one|old|1)|client-key|made\.up", result.output)


def keys(config: Config) -> dict[str, str]:
    return {account.label: account.api_key.reveal() for account in config.accounts}


def test_template_of_7():
    """What the template sets is in force."""
    config = read("v7-template")
    assert (config.request_retry, config.max_retry_interval) == (3, 30)
    assert config.routing.session_affinity is False
    assert [model.visible for model in config.accounts[0].models] == ["claude-sonnet-latest"]
    assert config.ampcode.mappings[0].target == "claude-sonnet-latest"


def test_team_of_7():
    """Weights, headers, proxies, pools, rules and each person's Amp key."""
    config = read("v7-team")
    assert {account.label: account.weight for account in config.accounts if account.weight > 1} == {
        "codex-api-key[0]": 5,
        "openai-compatibility/openrouter[0]": 2,
    }
    assert config.accounts[0].headers == (("X-Team", "tools"), ("X-Session", "$X-Amp-Thread-Id"))
    assert [rule.kind for rule in config.payload.rules] == ["default", "override", "override", "filter"]
    assert len(config.ampcode.per_client_keys) == 2
    assert config.passthrough_headers
    assert config.oauth.claude.aliases[0].fork


def test_old_file():
    """Keys in lists and settings of Amp at their first places are used."""
    config = read("v6-old")
    assert keys(config) == {
        "claude-api-key[0]": "sk-ant-relay",
        "gemini-api-key[0]": "AIza-old-1",
        "gemini-api-key[1]": "AIza-old-2",
        "openai-compatibility/openrouter[0]": "or-old-1",
        "openai-compatibility/openrouter[1]": "or-old-2",
    }
    assert config.ampcode.upstream_url == "https://ampcode.com"
    assert config.ampcode.restrict_management_to_localhost is False
    assert config.ampcode.mappings[0].source == "gpt-5"


def test_file_of_8s_panel():
    """Groups are accounts in their order; what a key says wins over its group, null does not."""
    config = read("v8-panel")
    assert keys(config) == {
        "claude-api-key[0]": "sk-ant-1",
        "claude-api-key[1]": "sk-ant-2",
        "claude-api-key[2]": "sk-ant-3",
        "openai-compatibility/openrouter[0]": "or-1",
    }
    assert [account.priority for account in config.accounts] == [0, 2, 5, 0]
    assert config.accounts[2].headers == (("X-Team", "tools"),)
    assert (config.host, len(config.api_keys), config.routing.strategy) == ("", 1, "fill-first")
    assert config.oauth.claude.aliases[0].alias == "cs"


def test_mixed_file():
    """Each setting counts at the place where it stands, the new one before the old."""
    config = read("v8-mixed")
    assert (config.port, config.request_retry, config.max_retry_interval) == (9317, 2, 20)
    assert keys(config) == {
        "gemini-api-key[0]": "AIza-mine",
        "codex-api-key[0]": "sk-1",
        "codex-api-key[1]": "sk-2",
        "vertex-api-key[0]": "vk-1",
    }
    first, second = config.accounts[1:3]
    assert (first.proxy_url, first.weight, second.proxy_url) == ("http://127.0.0.1:3128", 3, "direct")
    assert first.excluded_models == second.excluded_models == ("*-preview",)
    assert [rule.kind for rule in config.payload.rules] == ["override", "filter"]
    assert config.oauth.claude.beta == "own-beta"
    assert config.oauth.gemini.excluded_models == ("gemini-1*",)
