"""Conversations that are replaced by a summary, on accounts of vendors that have no such call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.adapt.target import target_for
from ampproxy.dialects import proof
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.facts import facts_of
from ampproxy.dialects.openai_responses import DIALECT
from ampproxy.dialects.openai_responses.compaction import compacted
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import ANTHROPIC, RESPONSES
from ampproxy.model.events import (
    Candidate,
    ChatResponse,
    Completed,
    Delta,
    Finished,
    PartClosed,
    PartStarted,
    Started,
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.parts import Reasoning, Signature, Text
from ampproxy.model.request import ChatRequest, ToolChoice

TRIGGER = {"type": "compaction_trigger"}
HELLO = {"type": "message", "role": "user", "content": "build it"}
TOOL = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {}}}
CONTEXT: dict[str, Any] = {"model": "m", "created": 7, "new_id": lambda prefix: prefix + "1"}
WORDS = 'So far: ünïcode \\ "quoted".'


def asked(*items: dict[str, Any], **members: Any) -> ChatRequest:
    body = {"model": "m", "input": list(items), "store": False, **members}
    return DIALECT.for_others(DIALECT.parse_request(json.dumps(body).encode()))


def summary_item(text: str = WORDS) -> dict[str, Any]:
    return {"type": "compaction", "id": "cmp_1", "encrypted_content": proof.wrap_summary(text)}


def told(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]


def test_the_trigger_asks_for_a_summary():
    """In its place the model is asked for a summary; it must not call a tool, nor keep to a form."""
    form = {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}
    request = asked(HELLO, TRIGGER, tools=[TOOL, {"type": "web_search"}], tool_choice="auto", text=form)
    assert request.compacts
    assert request.choice == ToolChoice("none")
    assert (request.output, request.hosted) == (None, ())
    last = request.turns[-1].parts[-1]
    assert isinstance(last, Text)
    assert "summary" in last.text
    rendered = DIALECTS[ANTHROPIC].render_request(request, target_for(ANTHROPIC, "claude-sonnet-4-6"))
    body = json.loads(rendered.body)
    assert body["tool_choice"] == {"type": "none"}
    assert rendered.losses == ()


def test_the_answer_is_one_item():
    """Codex takes exactly one item, whatever else the model wrote; thinking and deltas are not passed on."""
    request = asked(HELLO, TRIGGER)
    renderer = DIALECT.stream_renderer(AnswerContext(request=request, **CONTEXT))
    signature = Signature("anthropic", "c2ln")
    first = renderer.feed(
        [
            Started(),
            PartStarted(0, Reasoning("", signature)),
            Delta(0, "Hm."),
            PartClosed(0),
            PartStarted(1, Text("")),
            Delta(1, WORDS[:9]),
        ]
    )
    rest = renderer.feed(
        [
            Delta(1, WORDS[9:]),
            PartClosed(1),
            UsageReport(Usage(input=9, output=2)),
            Finished("length"),
            Completed(),
        ]
    )
    events = told(first + rest)
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(5))
    assert WORDS.encode() not in first + rest
    (item,) = events[-1]["response"]["output"]
    assert item == events[-2]["item"] == {**summary_item(), "id": "cmp_1"}
    assert events[-1]["response"]["usage"]["input_tokens"] == 9


def test_no_summary_is_an_error():
    """An answer without words ends in an error, so that the conversation is not replaced by nothing."""
    request = asked(HELLO, TRIGGER)
    renderer = DIALECT.stream_renderer(AnswerContext(request=request, **CONTEXT))
    renderer.feed([Started(), PartStarted(0, Text("")), Delta(0, " \n"), PartClosed(0)])
    with pytest.raises(UpstreamFault):
        renderer.feed([Finished("refusal"), Completed()])
    assert b"response.failed" in renderer.error(WireError("unavailable", "x", 502))
    with pytest.raises(UpstreamFault):
        DIALECT.render_response(ChatResponse(), AnswerContext(request=request, **CONTEXT))


def test_whole():
    """The same without a stream."""
    response = ChatResponse(candidates=(Candidate((Text(WORDS),), Finished("stop")),))
    body = DIALECT.render_response(response, AnswerContext(request=asked(HELLO, TRIGGER), **CONTEXT))
    assert json.loads(body)["output"] == [summary_item()]


@pytest.mark.parametrize("kind", ["compaction", "compaction_summary", "context_compaction"])
def test_the_summary_comes_back(kind: str):
    """In later requests it is text again, for any vendor, OpenAI itself included."""
    item = {**summary_item(), "type": kind}
    request = asked(HELLO, item, HELLO)
    assert [turn.role for turn in request.turns] == ["user", "user", "user"]
    (part,) = request.turns[1].parts
    assert isinstance(part, Text)
    assert part.text.endswith(WORDS)
    body = json.dumps({"model": "m", "input": [item, HELLO]}).encode()
    rendered = DIALECT.render_request(DIALECT.parse_request(body), target_for(RESPONSES, "gpt-5.5"))
    first = json.loads(rendered.body)["input"][0]
    assert (first["type"], first["role"]) == ("message", "user")
    assert first["content"][0]["text"].endswith(WORDS)


def test_summaries_of_openai():
    """One that only OpenAI can read goes to OpenAI as it is, and is a loss elsewhere, not a refusal."""
    item = {"type": "compaction", "id": "cmp_9", "encrypted_content": "gAAAA"}
    request = asked(HELLO, item, HELLO)
    rendered = DIALECTS[ANTHROPIC].render_request(request, target_for(ANTHROPIC, "claude-sonnet-4-6"))
    assert [loss.kind for loss in rendered.losses] == ["opaque"]
    body = json.dumps({"model": "m", "input": [HELLO, item]}).encode()
    rendered = DIALECT.render_request(DIALECT.parse_request(body), target_for(RESPONSES, "gpt-5.5"))
    assert json.loads(rendered.body)["input"][1] == item


def test_the_facts_of_a_body():
    """A request that holds a summary of ours is not passed to OpenAI unread."""
    body = json.dumps({"model": "m", "input": [summary_item(), HELLO]}).encode()
    assert facts_of(DIALECT, body).foreign_signatures


@pytest.mark.parametrize("damage", ["", "AMPPROXYSEALEDBY", "AMPPROXYSEALEDBY!", "gAAAA"])
def test_what_is_no_summary(damage: str):
    """Broken or foreign values are no summaries, and a proof is none."""
    assert proof.unwrap_summary(damage) is None
    assert proof.unwrap_summary(proof.wrap_signature("", Signature("anthropic", "c2ln"))) is None
    assert proof.unwrap_signature(proof.wrap_summary("x"), RESPONSES).vendor == proof.UNKNOWN


def test_compacted_responses():
    """``/responses/compact`` gives the user's messages as they were, and then the summary."""
    body = {
        "model": "m",
        "input": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"type": "function_call_output", "call_id": "c", "output": "x"},
            {
                "type": "message",
                "role": "user",
                "id": "msg_7",
                "content": [{"type": "input_text", "text": "3"}],
            },
        ],
    }
    response = ChatResponse(candidates=(Candidate((Text(WORDS),)),), usage=Usage(input=4, output=2))
    answer = json.loads(compacted(response, AnswerContext(**CONTEXT), json.dumps(body).encode()))
    assert (answer["object"], answer["created_at"], answer["usage"]["total_tokens"]) == (
        "response.compaction",
        7,
        6,
    )
    first, second, item = answer["output"]
    assert first["content"] == [{"type": "input_text", "text": "one"}]
    assert (second["id"], second["status"]) == ("msg_7", "completed")
    assert item == summary_item()
    alone = json.dumps({"model": "m", "input": "hi"}).encode()
    answer = json.loads(compacted(response, AnswerContext(**CONTEXT), alone))
    assert answer["output"][0]["content"] == [{"type": "input_text", "text": "hi"}]
