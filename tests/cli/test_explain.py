"""``ampproxy explain`` and ``ampproxy models``."""

from __future__ import annotations

import re

import pytest
import yaml
from click.testing import CliRunner

from ampproxy.cli import explain, models

KEYS = ["claude-key-canary", "local-key-canary", "amp-key-canary"]
CONFIG = """
claude-api-key:
  - api-key: claude-key-canary
    prefix: team
openai-compatibility:
  - name: local
    base-url: http://127.0.0.1:11434/v1
    api-key-entries:
      - api-key: local-key-canary
    models:
      - name: qwen3:8b
        alias: qwen
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: amp-key-canary
  model-mappings:
    - from: gpt-5
      to: qwen(high)
    - from: dead
      to: gone
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def run(command, *args, text=CONFIG):
        file = tmp_path / "config.yaml"
        file.write_text(text)
        result = CliRunner().invoke(command, [*args, "--config", str(file)])
        assert not any(key in result.output for key in KEYS)
        return result

    return run


def alone(text=CONFIG):
    """The same configuration without an Amp upstream."""
    return re.sub(r"  upstream-.*\n", "", text)


def test_local(run):
    """A model of one's own: the account, the vendor's name, what it speaks."""
    result = run(explain.command, "qwen(8192)")
    assert result.exit_code == 0, result.output
    assert "qwen(8192): local" in result.output
    assert "openai-compatibility/local[0]: model qwen3:8b, openai-chat" in result.output
    assert "thinking: 8192 tokens" in result.output
    assert "translated" not in result.output


def test_mapped(run):
    """A mapped model: the mapping's words and the thinking that results."""
    result = run(explain.command, "GPT-5(low)")
    assert result.exit_code == 0, result.output
    assert "amp model mapping: request GPT-5(low) -> qwen(high)" in result.output
    assert "thinking: high" in result.output


def test_forwarded(run):
    """A model that only Amp serves is served, with a warning and a way out."""
    result = run(explain.command, "grok-4")
    assert result.exit_code == 0, result.output
    assert "forwarding to ampcode.com (uses amp credits)" in result.output
    assert "openai-compatibility:" in result.output


def test_not_served(run):
    """A model that nobody serves: exit status 1, and YAML that would help."""
    result = run(explain.command, "qwem", text=alone())
    assert result.exit_code == 1
    assert "not served: 404 model_not_found" in result.output
    remedy = yaml.safe_load(result.output.partition("configuration:\n")[2])
    assert remedy == {"ampcode": {"model-mappings": [{"from": "qwem", "to": "qwen"}]}}


def test_dead_mapping(run):
    """A mapping whose target nobody offers is named."""
    result = run(explain.command, "dead", text=alone())
    assert result.exit_code == 1
    assert "dead -> gone" in result.output
    assert "no account offers gone" in result.output


def test_path(run):
    """The path decides whether mappings apply, and whether there is a translation."""
    root = run(explain.command, "gpt-5", "--path", "/v1/messages")
    assert root.exit_code == 1
    assert "/api/provider/" in root.output
    gemini = run(explain.command, "qwen", "--path", "/v1beta/models/x:streamGenerateContent?alt=sse")
    assert gemini.exit_code == 0, gemini.output
    assert "openai-chat, translated from gemini" in gemini.output
    count = run(explain.command, "qwen", "--path", "/v1/messages/count_tokens")
    assert "has no call for count_tokens" in count.output


def test_path_that_is_read_in_two_ways(run):
    """As the service refuses it."""
    result = run(explain.command, "qwen", "--path", "/v1beta/models/x/../y:generateContent")
    assert result.exit_code == 2
    assert "dot segment" in result.output


@pytest.mark.parametrize("path", ["/api/threads", "/v1/models", "nonsense", "", "/v1beta/models/x:odd"])
def test_path_that_is_none(run, path):
    """A path that takes no request for a model is refused with one that does."""
    result = run(explain.command, "qwen", "--path", path)
    assert result.exit_code == 2
    assert "/v1/messages" in result.output


def test_odd_thinking(run):
    """A suffix that nobody understands is named."""
    assert "it is ignored" in run(explain.command, "qwen(odd)").output


def test_hostile_name(run):
    """A name with control characters is shown escaped."""
    output = run(explain.command, "a\x1b[31m\rb").output
    assert "\x1b" not in output
    assert "\r" not in output


def test_models(run):
    """Each model with its accounts; a family as a pattern."""
    result = run(models.command)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines()] == [
        ["MODEL", "DIALECT", "SOURCE", "STATE", "ACCOUNTS"],
        ["qwen", "openai-chat", "config", "-", "openai-compatibility/local[0]"],
        ["claude-*", "anthropic", "pattern", "-", "claude-api-key[0]"],
        ["team/claude-*", "anthropic", "pattern", "-", "claude-api-key[0]"],
    ]


def test_models_with_forced_prefix(run):
    """With force-model-prefix the plain family is not served, and not shown."""
    output = run(models.command, text=CONFIG + "force-model-prefix: true\n").output
    assert "team/claude-*" in output
    assert "\nclaude-*" not in output


def test_models_by_priority(run):
    """The account that is tried first is named first."""
    keys = "claude-api-key: [{api-key: a}, {api-key: b, priority: 5}]"
    _, row = run(models.command, text=keys).output.splitlines()
    assert row.split() == ["claude-*", "anthropic", "pattern", "-", "claude-api-key[1],", "claude-api-key[0]"]


def test_no_models(run):
    """A configuration without accounts says so."""
    assert "No account serves any model" in run(models.command, text="port: 8317\n").output


@pytest.mark.parametrize(("command", "args"), [(explain.command, ["qwen"]), (models.command, [])])
def test_broken_or_missing_file(run, command, args, tmp_path):
    """A file that is wrong or missing is said to be so, with its place."""
    broken = run(command, *args, text="port: much\n")
    assert broken.exit_code == 1
    assert "config.yaml:1" in broken.output
    missing = CliRunner().invoke(command, [*args, "--config", str(tmp_path / "none.yaml")])
    assert missing.exit_code == 1
    assert "none.yaml" in missing.output


def test_role(run, tmp_path):
    """The role comes from its option, from headers, or from the body; it decides as in the service."""
    config = CONFIG + "    - {role: oracle, to: qwen}\n"
    assert (
        "role: oracle: the subagent for second opinions"
        in run(explain.command, "gpt-9", "--role", "oracle", text=config).output
    )
    body = tmp_path / "body.json"
    body.write_text(
        '{"model": "gpt-9", "tools": [{"type": "function", "name": "web_search"}], "input": "hi"}'
    )
    path = "/api/provider/openai/v1/responses"
    arguments = ("gpt-9", "--path", path, "--body", str(body), "--header", "x-amp-thread-id: T-1")
    assert "gpt-9: mapped" in run(explain.command, *arguments, text=config).output
    assert "gpt-9: amp" in run(explain.command, *arguments[:-2], text=config).output
    assert run(explain.command, "gpt-9", "--header", "nonsense").exit_code == 2


def test_firewall(run):
    told = run(explain.command, "gpt-9", text=CONFIG + "  fallback: never\n")
    assert told.exit_code == 1
    assert "It is not sent to Amp, where it would cost credits: ampcode.fallback, line" in told.output
