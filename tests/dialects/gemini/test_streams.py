"""Streams of Gemini, in both directions and both framings."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.gemini import DIALECT
from ampproxy.dialects.gemini.stream_in import ArrayReader
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartSigned,
    PartStarted,
    Started,
    TokenLogprob,
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.fold import fold, unfold
from ampproxy.model.parts import Audio, Image, Inline, Opaque, Reasoning, Refusal, Signature, Text, ToolCall
from ampproxy.wire.sse import EventTooLargeError
from tests.dialects.laws import VECTORS, context_for, plain


def chunk(*parts: Any, end: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if end:
        candidate["finishReason"] = end
    return {"candidates": [candidate], "responseId": "r", "modelVersion": "m", **fields}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks)


def read(data: bytes) -> list[Event]:
    parser = DIALECT.stream_parser()
    return parser.feed(data) + parser.end()


@pytest.mark.parametrize("name", ["text", "calls", "vertex", "grounded", "code", "blocked"])
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_array_framing_says_the_same(name: str, step: int) -> None:
    """Without alt=sse the stream is one JSON array, however it is cut."""
    data = (VECTORS / "gemini" / f"{name}.sse").read_bytes()
    chunks = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
    array = json.dumps(chunks, indent=2, ensure_ascii=False).encode()
    parser = DIALECT.stream_parser()
    events = [e for at in range(0, len(array), step) for e in parser.feed(array[at : at + step])]
    assert plain(fold(events + parser.end())) == plain(fold(read(data)))


def test_array_cut_short_is_truncated() -> None:
    """An array that breaks off inside an object is not an answer."""
    array = json.dumps([chunk({"text": "a"}), chunk({"text": "b"}, end="STOP")]).encode()
    for end in range(len(array) - 2):
        parser = DIALECT.stream_parser()
        parser.feed(array[:end])
        with pytest.raises(TruncatedStream):
            parser.end()


def test_array_reader_is_bounded() -> None:
    """An object without an end does not fill the memory."""
    reader = ArrayReader(limit=100)
    with pytest.raises(EventTooLargeError):
        reader.feed(b'[{"a":"' + b"x" * 200)


def test_array_reader_knows_strings() -> None:
    """Braces and quotes inside texts do not count."""
    objects = [b'{"a":"}\\"{"}', b'{"b":{"c":"\\\\"}}', b"{}"]
    array = b"[" + b",\r\n".join(objects) + b"]"
    for step in (1, 2, 3, 100):
        reader = ArrayReader()
        found = [one for at in range(0, len(array), step) for one in reader.feed(array[at : at + step])]
        assert found == objects
        assert not reader.pending


def test_an_error_object_instead_of_a_stream() -> None:
    """A bare error, or one in an array, is a failure with its own status."""
    error = {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}
    for body in (json.dumps(error), json.dumps([error], indent=1), f"data: {json.dumps(error)}\n\n"):
        [failed] = DIALECT.stream_parser().feed(body.encode())
        assert isinstance(failed, Failed)
        assert (failed.error.kind, failed.error.status, failed.error.message) == ("rate_limit", 429, "Quota")


def test_nothing_follows_a_failure() -> None:
    """After an error the rest is ignored, and the end is quiet."""
    parser = DIALECT.stream_parser()
    events = parser.feed(sse(chunk({"text": "a"}), {"error": {"code": 500}}, chunk({"text": "b"})))
    assert isinstance(events[-1], Failed)
    assert parser.feed(sse(chunk({"text": "c"}))) == []
    assert parser.end() == []


def test_bad_json_is_a_failure() -> None:
    """A broken event ends the stream with an error, not with an exception."""
    [failed] = DIALECT.stream_parser().feed(b"data: {nonsense\n\n")
    assert isinstance(failed, Failed)
    assert failed.error.status == 502


def test_calls_without_ids_get_different_ones() -> None:
    """Calls of one answer and of two answers never share an id."""
    one, two = (
        [
            event.part.id
            for event in read(
                sse(
                    chunk(
                        {"functionCall": {"name": "f"}},
                        {"functionCall": {"name": "f"}},
                        end="STOP",
                        responseId=answer,
                    )
                )
            )
            if isinstance(event, PartStarted) and isinstance(event.part, ToolCall)
        ]
        for answer in ("r1", "r2")
    )
    assert len({*one, *two}) == 4
    assert all(len(made) <= 40 for made in one)


def test_a_call_ends_in_tool_calls() -> None:
    """Gemini says STOP; clients of other dialects must hear of the call."""
    events = read(sse(chunk({"functionCall": {"name": "f", "args": None}}), chunk({"text": "x"}, end="STOP")))
    assert Finished("tool_calls", detail="STOP") in events
    assert Delta(0, "{}") in events


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_unusable_output_is_a_failure(reason: str) -> None:
    """A call that Gemini could not read is not a clean end; usage so far is told."""
    usage = {"promptTokenCount": 5, "totalTokenCount": 5}
    events = DIALECT.stream_parser().feed(sse(chunk({"text": "x"}, end=reason, usageMetadata=usage)))
    assert isinstance(events[-1], Failed)
    assert reason in events[-1].error.message
    assert UsageReport(Usage(input=5)) in events
    with pytest.raises(UpstreamFault):
        DIALECT.parse_response(json.dumps(chunk(end=reason)).encode())


@pytest.mark.parametrize(
    ("end", "parts", "expected"),
    [
        ("MAX_TOKENS", [{"text": "x"}], "length"),
        ("CONTINUATION", [{"text": "x"}], "length"),
        ("SAFETY", [], "blocked"),
        ("SPII", [{"text": "x"}], "blocked"),
        ("OTHER", [], "blocked"),
        ("OTHER", [{"text": "x"}], "unknown"),
        ("NEW_REASON", [{"text": "x"}], "unknown"),
        ("NEW_REASON", [], "blocked"),
    ],
)
def test_ends(end: str, parts: list[Any], expected: str) -> None:
    """Each reason has its meaning; an unknown one without content is no success."""
    assert Finished(expected, detail=end) in read(sse(chunk(*parts, end=end)))  # type: ignore[arg-type]


def test_last_usage_counts() -> None:
    """Gemini repeats usage in every chunk; early and last counts are told."""
    first = {"promptTokenCount": 9, "totalTokenCount": 9}
    last = {"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 3}
    last |= {"thoughtsTokenCount": 2, "toolUsePromptTokenCount": 10}
    events = read(
        sse(
            chunk({"text": "a"}, usageMetadata=first),
            chunk({"text": "b"}, usageMetadata=first),
            chunk({"text": "c"}, end="STOP", usageMetadata=last),
        )
    )
    first_report, last_report = [event.usage for event in events if isinstance(event, UsageReport)]
    assert first_report == Usage(input=9)
    told = (last_report.input, last_report.cache_read, last_report.output, last_report.reasoning)
    assert told == (15, 4, 5, 2)


def test_done_and_comments_are_ignored() -> None:
    """What servers in between add does no harm."""
    events = read(b": hi\n\n" + sse(chunk({"text": "a"}, end="STOP")) + b"data: [DONE]\n\n")
    assert events[-1] == Completed()


def test_logprobs() -> None:
    """They arrive with the words that they belong to, and go out again."""
    token = {"token": "a", "logProbability": -0.5}
    logprobs = {"chosenCandidates": [token], "topCandidates": [{"candidates": [token]}]}
    one = chunk({"text": "a"}, end="STOP")
    one["candidates"][0]["logprobsResult"] = logprobs
    events = read(sse(one))
    assert Delta(0, "a", (TokenLogprob("a", -0.5, (("a", -0.5),)),)) in events
    sent = DIALECT.stream_renderer(context_for()).feed(events)
    assert fold(read(sent)).candidates[0].logprobs == fold(events).candidates[0].logprobs
    whole = json.loads(DIALECT.render_response(fold(events), context_for()))
    assert whole["candidates"][0]["logprobsResult"] == logprobs


def test_streamed_arguments_are_refused() -> None:
    """Fragments of arguments, which only a Gemini client asks for, are not told wrong."""
    partial = {"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}]}}
    *_, failed = DIALECT.stream_parser().feed(sse(chunk(partial)))
    assert isinstance(failed, Failed)
    assert failed.error.status == 501


# -- rendering


def framed(framing: Any, model: str = "m") -> AnswerContext:
    return msgspec.structs.replace(context_for(model), framing=framing)


def rendered(*events: Event) -> list[dict[str, Any]]:
    data = DIALECT.stream_renderer(context_for("asked")).feed([Started("id1"), *events, Completed()])
    assert data.endswith(b"\r\n\r\n")
    return [json.loads(event.removeprefix(b"data: ")) for event in data.split(b"\r\n\r\n")[:-1]]


def test_calls_are_told_whole() -> None:
    """Fragments of arguments become one call with its id."""
    chunks = rendered(
        PartStarted(0, ToolCall("t1", "f", "")),
        Delta(0, '{"a":'),
        Delta(0, "\n1}"),
        PartClosed(0),
        UsageReport(Usage(input=1)),
        Finished("tool_calls"),
    )
    assert [one["candidates"][0]["content"]["parts"] for one in chunks[1:]] == [[{"text": ""}]]
    part = chunks[0]["candidates"][0]["content"]["parts"][0]
    assert part == {"functionCall": {"id": "t1", "name": "f", "args": {"a": 1}}}
    assert chunks[1]["candidates"][0]["finishReason"] == "STOP"
    assert chunks[1]["usageMetadata"]["promptTokenCount"] == 1
    assert (chunks[0]["modelVersion"], chunks[0]["responseId"]) == ("asked", "id1")


def test_line_ends_in_foreign_json_do_not_break_the_framing() -> None:
    """Arguments that were written over several lines stay one event."""
    args = '{\n\r "a": "x\\n"\n}'
    events: list[Event] = [PartStarted(0, ToolCall("t", "f", "")), Delta(0, args), PartClosed(0)]
    data = DIALECT.stream_renderer(context_for()).feed([*events, Finished("tool_calls"), Completed()])
    assert all(line.startswith(b"data: ") or not line for line in data.split(b"\r\n"))
    assert fold(read(data)).candidates[0].parts[0].arguments.strip() == '{   "a": "x\\n" }'  # type: ignore[union-attr]


def test_media_refusals_and_strangers() -> None:
    """Images and sound are whole parts; a refusal is words; another dialect's part is a loss."""
    renderer = DIALECT.stream_renderer(context_for())
    opaque: Any = Opaque("anthropic", "server_tool_use", context_raw())
    events: list[Event] = []
    parts: list[Any] = [
        Image(Inline("image/png", "aGk=")),
        Audio(Inline("audio/wav", "aGk=")),
        Refusal("No."),
        opaque,
    ]
    for index, part in enumerate(parts):
        events += [PartStarted(index, part), PartClosed(index)]
    data = renderer.feed([*events, Finished("stop"), Completed()])
    assert [type(part) for part in fold(read(data)).candidates[0].parts] == [Image, Audio, Text]
    assert [loss.kind for loss in renderer.losses] == ["refusal", "opaque"]


def context_raw() -> Any:
    from ampproxy.model.base import Json

    return Json(b'{"type":"server_tool_use"}')


def test_blocked_prompts_are_told_by_feedback() -> None:
    """A prompt that another vendor refused has no candidates."""
    [only] = rendered(Finished("blocked"))
    assert only["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in only


def test_proofs_are_valid_base64() -> None:
    """Clients decode the field; a foreign proof is marked and still decodes."""
    import base64

    for vendor in ("anthropic", "openai-responses", "gemini"):
        chunks = rendered(
            PartStarted(0, Reasoning("")),
            Delta(0, "t"),
            PartSigned(0, Signature(vendor, "c2VhbA==")),
            PartClosed(0),
        )
        part = chunks[1]["candidates"][0]["content"]["parts"][0]
        assert part["thought"] is True
        base64.b64decode(part["thoughtSignature"], validate=True)


@pytest.mark.parametrize("framing", ["sse", "array"])
def test_both_framings_are_read_again(framing: Any) -> None:
    """A client without alt=sse gets one JSON array."""
    for path in sorted((VECTORS / "gemini").glob("*.json")):
        whole = DIALECT.parse_response(path.read_bytes())
        data = b""
        renderer = DIALECT.stream_renderer(replace(context_for(whole.model or ""), framing=framing))
        for event in unfold(whole):
            data += renderer.feed([event])
        assert plain(fold(read(data)).candidates) == plain(whole.candidates), path.stem
        if framing == "array":
            assert isinstance(json.loads(data), list)


def test_array_errors_close_the_array() -> None:
    """A failed array is still JSON, with the error last."""
    for before in ([], [PartStarted(0, Text("")), Delta(0, "a")]):
        renderer = DIALECT.stream_renderer(replace(context_for(), framing="array"))
        data = renderer.feed([Started(), *before]) + renderer.error(WireError("timeout", "Late", 504))
        *_, last = json.loads(data)
        assert last["error"]["status"] == "DEADLINE_EXCEEDED"
        assert renderer.error(WireError("timeout", "Late", 504)) == b""


def test_keepalive_is_silent() -> None:
    """A comment line kills Google's SDK."""
    assert DIALECT.stream_renderer(context_for()).keepalive() == b""


def test_failed_event_ends_the_stream() -> None:
    """The vendor's error reaches the client, error first, and nothing after it."""
    renderer = DIALECT.stream_renderer(context_for())
    data = renderer.feed([Started(), Failed(WireError("overloaded", "Busy", 503)), Completed()])
    assert data.startswith(b'data: {"error":{"code":503')
    assert renderer.feed([Completed()]) == b""


# -- the short way of common events

TRICKY = [
    'a "quoted" word',
    '"}],"role": "model"}, "index": 0}], "usageMetadata"',
    "back\\slash\\",
    "\u2028 \x00 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    '\\"}]',
    "plain",
]


@pytest.mark.parametrize("thought", [False, True])
@pytest.mark.parametrize("gap", [None, (",", ":")])
@pytest.mark.parametrize("counted", [True, False])
def test_the_short_way_reads_the_same(thought: bool, gap: Any, counted: bool) -> None:
    """Events of one form are read by comparing; whatever the words, it gives what decoding gives."""
    thinks = {"thought": True} if thought else {}
    chunks = []
    for number, words in enumerate(TRICKY * 2):
        usage = {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": number}} if counted else {}
        one = chunk({"text": words, **thinks})
        chunks.append({"candidates": one["candidates"], **usage, "modelVersion": "m", "responseId": "r"})
    chunks.append(chunk(end="STOP"))
    data = b"".join(b"data: " + json.dumps(one, separators=gap).encode() + b"\r\n\r\n" for one in chunks)
    events = read(data)
    assert [event.text for event in events if isinstance(event, Delta)] == TRICKY * 2
    reports = [event.usage.output for event in events if isinstance(event, UsageReport)]
    assert reports == ([0, len(TRICKY) * 2 - 1] if counted else [])


@pytest.mark.parametrize(
    "other",
    [
        chunk({"text": "x", "thoughtSignature": "YWJj"}, usageMetadata={}),
        chunk({"text": "x"}, {"text": "y"}, usageMetadata={}),
        chunk({"text": "x", "thought": True}, usageMetadata={}),
        chunk({"text": "x"}, {"functionCall": {"name": "f"}}, usageMetadata={}),
        chunk({"text": "x"}, end="MAX_TOKENS", usageMetadata={}),
    ],
)
def test_the_short_way_is_left_for_anything_else(other: Any) -> None:
    """An event that looks alike at first and brings more is decoded."""
    words = [chunk({"text": text}, usageMetadata={}) for text in "abc"]
    end = chunk(end="STOP", usageMetadata={})
    after = chunk({"text": "z"}, usageMetadata={})
    short = fold(read(sse(*words, other, after, end)))
    parser = DIALECT.stream_parser()
    slow: list[Event] = []
    for one in (*words, other, after, end):
        parser._frame.forget()
        slow += parser.feed(sse(one))
    assert plain(fold(slow + parser.end())) == plain(short)
