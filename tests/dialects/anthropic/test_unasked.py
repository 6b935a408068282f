"""Thinking and proofs of other vendors' models, for clients of Messages that asked for none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, GEMINI
from ampproxy.model.events import Candidate, ChatResponse, Completed, Event, Finished, PartSigned
from ampproxy.model.fold import unfold
from ampproxy.model.parts import Reasoning, Signature, Text, ToolCall
from ampproxy.model.request import ChatRequest, Thinking, ToolChoice

DIALECT = DIALECTS[ANTHROPIC]
PROOF = Signature(GEMINI, "c2ln")
PARTS = (
    Reasoning("Hm.", PROOF),
    Text("Words.", signature=PROOF),
    ToolCall("call_1", "f", '{"a":1}', signature=PROOF),
    Reasoning("", PROOF, redacted=True),
    Text("More."),
)
FORCED = ToolChoice("named", "f")
OFF = ((None, FORCED), (None, ToolChoice("required")), (Thinking("off"), None))
ON = (Thinking("auto"), Thinking("budget", 2048), Thinking("level", level="low"))


def context(thinking: Thinking | None, choice: ToolChoice | None = None) -> AnswerContext:
    request = ChatRequest(dialect=ANTHROPIC, model="m", turns=(), thinking=thinking, choice=choice)
    return AnswerContext("m", 1, lambda prefix: prefix + "1", request)


def response(dialect: str = GEMINI) -> ChatResponse:
    return ChatResponse(candidates=(Candidate(PARTS, Finished("tool_calls")),), dialect=dialect)


def streamed(events: list[Event], made: AnswerContext) -> tuple[list[dict[str, Any]], set[str]]:
    """The blocks of a stream, and the kinds of what was lost."""
    renderer = DIALECT.stream_renderer(made)
    out = b"".join(renderer.feed([event]) for event in events)
    told = [json.loads(line[6:]) for line in out.decode().splitlines() if line.startswith("data: ")]
    starts = [event for event in told if event["type"] == "content_block_start"]
    assert [event["index"] for event in starts] == list(range(len(starts)))
    assert told[-1]["type"] == "message_stop"
    return [event["content_block"] for event in starts], {loss.kind for loss in renderer.losses}


@pytest.mark.parametrize(("thinking", "choice"), OFF)
def test_none_for_who_asked_for_none(thinking: Thinking | None, choice: ToolChoice | None):
    """A forced tool's answer begins with the call, and no block shows thinking or carries a proof."""
    made = context(thinking, choice)
    whole = json.loads(DIALECT.render_response(response(), made))["content"]
    assert [block["type"] for block in whole] == ["text", "tool_use", "text"]
    blocks, lost = streamed(unfold(response()), made)
    assert [block["type"] for block in blocks] == ["text", "tool_use", "text"]
    assert lost == {"unasked"}


@pytest.mark.parametrize(("thinking", "choice"), OFF)
def test_late_proofs(thinking: Thinking | None, choice: ToolChoice | None):
    """One that comes after its part was closed is not carried in a block of its own either."""
    events = unfold(ChatResponse(candidates=(Candidate((Text("a"), Text("b"))),), dialect=GEMINI))
    late = next(number for number, event in enumerate(events) if type(event).__name__ == "PartClosed") + 1
    blocks, lost = streamed([*events[:late], PartSigned(0, PROOF), *events[late:]], context(thinking, choice))
    assert [block["type"] for block in blocks] == ["text", "text"]
    assert lost == {"unasked"}


@pytest.mark.parametrize("thinking", ON)
def test_all_for_who_asked(thinking: Thinking):
    """Who asked for thinking gets it with its proofs, as before."""
    blocks, lost = streamed(unfold(response()), context(thinking))
    kinds = [block["type"] for block in blocks]
    assert kinds[0] == "thinking"
    assert kinds.count("redacted_thinking") >= 2
    assert lost == set()


def test_proofs_for_who_said_nothing():
    """Nobody stumbles over a proof before a call that was not demanded, and its vendor wants it back."""
    blocks, lost = streamed(unfold(response()), context(None))
    kinds = [block["type"] for block in blocks]
    assert kinds[0] == "thinking"
    assert kinds[kinds.index("tool_use") - 1] == "redacted_thinking"
    assert lost == set()


def test_own_answers():
    """What Anthropic's own models give passes whole, whatever was asked: they know what that is."""
    made = context(None, FORCED)
    own = ChatResponse(
        candidates=(Candidate((Reasoning("Hm.", Signature(ANTHROPIC, "c2ln")), Text("a"))),),
        dialect=ANTHROPIC,
    )
    assert json.loads(DIALECT.render_response(own, made))["content"][0]["type"] == "thinking"
    blocks, lost = streamed(unfold(own), made)
    assert (blocks[0]["type"], lost) == ("thinking", set())


def test_nothing_but_thinking():
    """An answer that was cut off while the model thought is an empty message with its reason."""
    only = ChatResponse(
        candidates=(Candidate((Reasoning("Hm.", PROOF),), Finished("length")),), dialect=GEMINI
    )
    body = json.loads(DIALECT.render_response(only, context(None, FORCED)))
    assert (body["content"], body["stop_reason"]) == ([], "max_tokens")
    assert isinstance(unfold(only)[-1], Completed)
    assert streamed(unfold(only), context(None, FORCED))[0] == []
