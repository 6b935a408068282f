"""What the doctor finds of coding agents beside Amp's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ampproxy.desktop.clients.agents import BY_NAME, Found
from ampproxy.wire.redact import Secret
from tests.desktop.doctor.test_checks import KEY, OTHER, URL, context, found

PROGRAM = Path("/bin/claude")
HERE: dict[str, Any] = {"url": URL, "where": "/home/u/.claude/settings.json"}


def agent(name: str = "claude-code", **known: Any) -> Found:
    return Found(BY_NAME[name], PROGRAM, **known)


@pytest.mark.parametrize(
    ("one", "level", "words"),
    [
        (agent(), "note", "its own vendor"),
        (agent(**HERE, key=Secret(KEY)), "ok", "with a key that it takes"),
        (agent("codex", url=f"{URL}/v1", where="/c", key=Secret(KEY)), "ok", "goes to the gateway"),
        (agent(**{**HERE, "url": "http://localhost:8317/"}, key=Secret(KEY)), "ok", "goes to the gateway"),
        (agent(**HERE, key=Secret(OTHER)), "problem", "not one of its api-keys"),
        (agent(**HERE), "problem", "without a key"),
        (agent(url="http://127.0.0.1:4000", where="/c"), "warning", "not the gateway"),
        (agent(url="https://gw.example.org", where="/c", key=Secret(OTHER)), "note", "not to the gateway"),
        (agent(why="line 3: expected a value"), "warning", "cannot be read"),
    ],
)
def test_where_it_goes_and_with_which_key(one: Found, level: str, words: str) -> None:
    """Each with what helps."""
    (finding,) = found("agents", context(agents=(one,)))
    assert (finding.level, words in finding.text) == (level, True), finding
    if level == "problem":
        assert "ampproxy setup claude-code" in finding.todo


def test_any_key_opens_a_gateway_without_keys() -> None:
    text = "claude-api-key: [{api-key: canary-account-key-cc33, models: [m]}]\n"
    (finding,) = found("agents", context(text, agents=(agent(**HERE, key=Secret(OTHER)),)))
    assert finding.level == "ok"


def test_none_is_here() -> None:
    assert found("agents", context()) == []
