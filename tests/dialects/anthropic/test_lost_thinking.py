"""A request to one of Anthropic's models, in the middle of a tool loop whose thinking has no proof."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.anthropic.clean import clean_request
from ampproxy.dialects.anthropic.passthrough import PASSTHROUGH

ON = {"type": "enabled", "budget_tokens": 4000}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
GIVEN = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}
UNSIGNED = {"type": "thinking", "thinking": "Hm.", "signature": ""}
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "c2ln"}


def own(
    *blocks: Any, thinking: Any = ON, cleaned: bool, after: Any = GIVEN
) -> tuple[dict[str, Any], list[str]]:
    """What is sent, and the kinds of what it loses."""
    called = {"role": "assistant", "content": [*blocks, CALL]}
    messages = [{"role": "user", "content": "go"}, called, after]
    body = json.dumps({"model": "m", "max_tokens": 9000, "thinking": thinking, "messages": messages}).encode()
    body = clean_request(body) if cleaned else body
    sent, lost = PASSTHROUGH.own(body, "claude-sonnet-4-5", None, cleaned=cleaned)
    return json.loads(sent), [loss.kind for loss in lost]


@pytest.mark.parametrize("cleaned", [False, True])
def test_goes_on_without_thinking(cleaned: bool) -> None:
    """The vendor refuses a budget for thinking after a call that does not begin with some."""
    sent, lost = own(UNSIGNED, cleaned=cleaned)
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["messages"][1]["content"] == [CALL]
    assert lost[-1] == "thinking"


@pytest.mark.parametrize("cleaned", [False, True])
@pytest.mark.parametrize("kept", [SIGNED, HIDDEN])
def test_goes_on_with_what_is_proved(kept: dict[str, Any], cleaned: bool) -> None:
    sent, lost = own(kept, UNSIGNED, cleaned=cleaned)
    assert sent["thinking"] == ON
    assert sent["messages"][1]["content"] == [kept, CALL]
    assert "thinking" not in lost


@pytest.mark.parametrize("cleaned", [False, True])
def test_thinks_anew(cleaned: bool) -> None:
    """After words of the user, and where the model thinks as it likes, it may."""
    assert own(UNSIGNED, cleaned=cleaned, after={"role": "user", "content": "and?"})[0]["thinking"] == ON
    free = {"type": "adaptive"}
    assert own(UNSIGNED, thinking=free, cleaned=cleaned)[0]["thinking"] == free


def test_what_came_without_is_the_clients() -> None:
    """Of a client that is not Amp's nothing is changed where nothing is dropped."""
    assert own(cleaned=False) == (own(cleaned=False)[0], [])
    assert own(cleaned=False)[0]["thinking"] == ON
