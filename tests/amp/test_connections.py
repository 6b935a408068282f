"""Mappings and connections of Amp's model routing."""

from __future__ import annotations

import shlex

import pytest

from ampproxy.amp.connections import (
    CUSTOM_URL,
    Connection,
    ConnectionConfig,
    Served,
    leading_to,
    needed,
    taken_before,
)
from ampproxy.amp.model_mapping import BadMapping, Rule, parse_mapping, sent_as, written
from ampproxy.amp.modes import MODES, asked_models

SOL, OPUS = "openai/gpt-5.6-sol", "anthropic/claude-opus-5-5"


@pytest.mark.parametrize(
    ("mapping", "model", "expected"),
    [
        ("", SOL, SOL),
        ("*/*", SOL, SOL),
        (SOL, SOL, SOL),
        (SOL, SOL + "x", None),
        (f"{SOL} -> claude-opus-5-5(high)", SOL, "claude-opus-5-5(high)"),
        ("openai/*", SOL, SOL),
        ("openai/*", OPUS, None),
        ("*/gpt-5.6-sol", SOL, SOL),
        ("*i/gpt*", SOL, SOL),
        ("openai/*\n-openai/gpt-5.6-sol", SOL, None),
        ("-openai/gpt-5.6-sol, openai/*", SOL, SOL),
        (f"# all of them\n{SOL} -> a # as a\n{SOL} -> b", SOL, "b"),
        ("x/accounts/x/models/kimi", "x/accounts/x/models/kimi", "x/accounts/x/models/kimi"),
    ],
)
def test_mapping(mapping: str, model: str, expected: str | None) -> None:
    """Of the rules that fit a model the last one counts."""
    assert sent_as(parse_mapping(mapping), model) == expected


@pytest.mark.parametrize(
    "mapping",
    [
        "gpt-5.6-sol",
        "openai/gpt*sol",
        "openai/* -> a",
        "-openai/a -> b",
        "openai/a ->",
        "-openai/a",
        "openai/a b",
        f"openai/{'a' * 260}",
        ",".join(["openai/a"] * 2000),
    ],
)
def test_bad_mapping(mapping: str) -> None:
    """What Amp would reject is rejected here."""
    with pytest.raises(BadMapping):
        parse_mapping(mapping)


def test_written() -> None:
    """A mapping is written as it is read; one that is too long for Amp is not written."""
    rules = (Rule(SOL, "a"), Rule("openai/*"), Rule("openai/b", excluded=True))
    assert parse_mapping(written(rules)) == parse_mapping(written(rules, ",")) == rules
    with pytest.raises(BadMapping):
        written([Rule(f"openai/{number:0200}") for number in range(60)])


def test_needed() -> None:
    """One connection for each format that is needed, with exact lines, at the address that Amp appends to."""
    served = [
        Served(OPUS, "claude-opus-5-5", "anthropic"),
        Served(SOL, "gpt-5.6-sol", "openai-responses"),
        Served("google-vertex/gemini-4", "gemini-4", "gemini"),
        Served("zhipuai/glm-6", "glm-6", "openai-chat"),
    ]
    claude, openai, chat = needed("https://gw.example.org", served)
    assert (claude.api_format, claude.base_url) == ("anthropic-messages", "https://gw.example.org")
    assert (openai.api_format, openai.base_url) == ("responses", "https://gw.example.org/v1")
    assert (chat.api_format, chat.base_url) == ("chat-completions", "https://gw.example.org/v1")
    assert chat.mapping == "google-vertex/gemini-4 -> gemini-4\nzhipuai/glm-6 -> glm-6"
    words = shlex.split(claude.add_command("/k e y"))
    assert words[:4] == ["amp", "config", "model-providers", "add-router"]
    assert {"--personal", "--no-active"} < set(words)
    assert words[words.index("--model-mapping") + 1] == f"{OPUS} -> claude-opus-5-5"
    assert words[words.index("--api-key-file") + 1] == "/k e y"
    assert [one.name for one in needed("https://x.org", served[:1])] == [claude.name]


def at(
    id_: str, url: str, *, kind: str = CUSTOM_URL, mapping: str | None = None, priority: int = 0
) -> Connection:
    return Connection(id_, kind, True, priority=priority, config=ConnectionConfig(url, modelMapping=mapping))


def test_who_goes_before() -> None:
    """An active connection of a lower number that takes the model, also a vendor's own without a mapping."""
    mine = at("mine", "https://GW.example.org/v1", mapping=SOL, priority=5)
    others = [
        mine,
        at("all", "https://other.example.org/v1", priority=1),
        at("claude", "", kind="model_provider_claude_sub", priority=1),
        at("chatgpt", "", kind="model_provider_openai_chatgpt", priority=2),
        at("later", "https://other.example.org/v1", priority=6),
        at("strange", "https://other.example.org/v1", mapping="???", priority=1),
    ]
    assert [one.id for one in taken_before(mine, SOL, others)] == ["all", "chatgpt"]
    assert [one.id for one in leading_to("https://gw.example.org", others)] == ["mine"]


def test_modes() -> None:
    """Every mode's model has a provider's word; what else Amp offers follows them."""
    assert all(use.model.count("/") == 1 for use in MODES)
    found = asked_models(["xai/grok-6", SOL])
    assert found[SOL] == ("medium", "Puck")
    assert list(found)[-1] == "xai/grok-6"
