"""Host profiles are data: chosen by name or address, checked when they are compiled, added without code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampproxy.adapt import target as targets
from ampproxy.adapt.target import target_at
from ampproxy.catalog import hosts as module
from ampproxy.catalog.compile_hosts import SOURCE_HOSTS, compiled_hosts, main, read_hosts
from ampproxy.catalog.hosts import COMPILED_HOSTS, Host, Hosts, shipped_hosts
from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.dialects.registry import DIALECTS
from ampproxy.relay.translate import rendered_for
from tests.adapt.test_bends import HI, asked
from tests.adapt.test_servers import CLIENT_KEY

TEXT = SOURCE_HOSTS.read_text()


def test_the_compiled_form_is_current() -> None:
    """What the service reads says what ``hosts.yaml`` says: run python -m ampproxy.catalog.compile_hosts."""
    assert COMPILED_HOSTS.read_bytes() == compiled_hosts(TEXT)


def test_every_profile_has_a_source_and_the_table_a_day() -> None:
    """So that what grew old can be looked up again."""
    table = read_hosts(TEXT)
    assert table.as_of.isoformat() >= "2026-11-29"
    assert [profile.name for profile in table.profiles if not profile.source] == []


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.deepseek.com", "deepseek"),
        ("https://API.DeepSeek.com/v1/", "deepseek"),
        ("https://api.deepseek.com.evil.test/v1", "default"),
        ("https://evil.test/api.deepseek.com", "default"),
        ("https://me.openai.azure.com/openai/v1", "azure"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1", "bedrock"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://[::1]:1234/v1", "lm-studio"),
        ("http://127.0.0.1:8000/v1", "default"),
        ("https://api.business.githubcopilot.com", "copilot"),
        ("", "default"),
        ("http://[", "default"),
        ("http://h:99999999/", "default"),
    ],
)
def test_the_address_chooses(base_url: str, name: str) -> None:
    """By the whole name of the host, and the port where that tells."""
    assert shipped_hosts().profile(base_url).name == name


def test_the_account_goes_before_the_address() -> None:
    """``profile`` for a server whose address tells nothing, or the wrong thing."""
    assert shipped_hosts().profile("http://127.0.0.1:11434", "vllm").name == "vllm"


CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
openai-compatibility:
  - {{name: gpu, base-url: "http://gpu.test/v1", profile: PROFILE, api-key-entries: [{{api-key: k}}]}}
"""


def read(profile: str) -> Config:
    return parse(
        CONFIG.replace("PROFILE", profile), name="c.yaml", environ={}, home=Path(), read_secret=Path.read_text
    )


def test_the_setting_is_read() -> None:
    """Every key of the entry has it."""
    config = read("vllm")
    assert [account.profile for account in config.accounts] == ["vllm"]


def test_a_profile_that_there_is_not_is_a_mistake_with_its_line() -> None:
    """And the message has those that there are."""
    with pytest.raises(Exception, match=r"c\.yaml:4.*expected default or openai or .*found .*vlm"):
        read("vlm")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("as-of: 2026-11-29\nprofiles: [{name: x}]", "no profile default"),
        ("as-of: 2026-11-29\nprofiles: [{name: default, sistem: first}]", "default: unknown member sistem"),
        ("as-of: 2026-11-29\nprofiles: [{name: default, system: last}]", "default: .*'last'"),
        (
            "as-of: 2026-11-29\nprofiles: [{name: default, models: [{names: [x], efforts: [huge]}]}]",
            "default, x: .*'huge'",
        ),
        ("as-of: 2026-11-29\nprofiles: [{addresses: [x]}]", "name"),
        ("profiles: []", "as-of"),
        ("[", "flow"),
    ],
)
def test_what_is_wrong_in_the_table_is_named(text: str, why: str) -> None:
    """When it is compiled, not when a request comes."""
    with pytest.raises(ValueError, match=why):
        compiled_hosts(text)


def test_compiling_says_what_is_wrong(tmp_path) -> None:
    """The command ends with the message, and leaves the compiled form alone."""
    source, target = tmp_path / "hosts.yaml", tmp_path / "hosts.json"
    source.write_text("as-of: 2026-11-29\nprofiles: []")
    with pytest.raises(SystemExit, match=r"hosts\.yaml: there is no profile default"):
        main(source, target)
    assert not target.exists()
    source.write_text(TEXT)
    main(source, target)
    assert target.read_bytes() == COMPILED_HOSTS.read_bytes()


def test_a_server_is_added_by_data_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile in the table, and requests to its address are adapted to it."""
    added = """
  - name: acme
    addresses: ["*.acme.test/api"]
    refuses: [temperature]
    thought: reasoning
    switch: thinking
    efforts: [low, high]
    models:
      - {names: [acme-9], efforts: []}
"""
    table = Hosts(read_hosts(TEXT + added))
    monkeypatch.setattr(targets, "shipped_hosts", lambda: table)
    request = asked(
        {"messages": [HI], "temperature": 0.5, "thinking": {"type": "enabled", "budget_tokens": 9000}}
    )
    for model, effort in (("acme-8", "high"), ("acme-9", None)):
        target = target_at("openai-chat", model, "https://eu.acme.test/api/v1")
        sent = json.loads(rendered_for(request, DIALECTS["openai-chat"], target).body)
        assert "temperature" not in sent
        assert sent["thinking"] == {"type": "enabled"}
        assert sent.get("reasoning_effort") == effort
    target_at.cache_clear()


def test_every_member_that_a_profile_may_set_is_set_by_one() -> None:
    """No member is there for nothing."""
    table = read_hosts(TEXT)
    used = {name.replace("-", "_") for profile in table.profiles for name in profile.ways}
    used |= {name.replace("-", "_") for p in table.profiles for row in p.models for name in row.ways}
    used |= {name.replace("-", "_") for p in table.profiles if p.messages for name in p.messages.ways}
    assert {name for name in module._SET if name not in used} == set()
    assert {"name", "known"} == set(Host.__struct_fields__) - set(module._SET)
