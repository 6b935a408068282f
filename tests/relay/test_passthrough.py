"""Streams of one dialect on their way through: whole events, exact bytes, honest ends."""

# ruff: noqa: E501 - wire text stays in one piece
from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.model.events import Usage
from ampproxy.relay.passthrough import PassthroughFilter, WatchedFilter, passing, rewrite_whole
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.wire.json import members
from ampproxy.wire.sse import parse_events
from tests.cases import each

ANTHROPIC, CHAT, RESPONSES, GEMINI = "anthropic", "openai-chat", "openai-responses", "gemini"


def named(*events: str) -> list[bytes]:
    return [f"event: {json.loads(data)['type']}\ndata: {data}\n\n".encode() for data in events]


def bare(*events: str) -> list[bytes]:
    return [f"data: {data}\n\n".encode() for data in events]


TEXTS = ["Hello", ' \\"model\\":\\"vendor\\"', " \\n\\nevent: error\\ndata: {", " \u2028\u00e9", " }],"]


def chat(text: str) -> str:
    return f'{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"vendor","choices":[{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":null}}]}}'


def chat_end(delta: str, finish: str) -> str:
    return f'{{"id":"c1","created":1,"model":"vendor","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}'


def gemini(parts: str, more: str = "") -> str:
    return f'{{"candidates": [{{"content": {{"parts": [{parts}],"role": "model"}}{more}}}],"usageMetadata": {{"promptTokenCount": 9,"cachedContentTokenCount":4,"candidatesTokenCount": 2,"thoughtsTokenCount": 3}},"modelVersion": "vendor","responseId": "r1"}}'


GEMINI_EVENTS = [
    # Of all dialects' clients only Gemini's get line separators escaped; see the test of it.
    *(gemini(f'{{"text": "{text}"}}'.replace("\u2028", "\\u2028")) for text in TEXTS),
    gemini('{"functionCall": {"name": "bash","args": {}}}', ',"finishReason": "STOP"'),
]

STREAMS = {
    ANTHROPIC: named(
        '{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"vendor","usage":{"input_tokens":5,"cache_read_input_tokens":7,"output_tokens":1}}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"ping"}',
        *(
            f'{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}'
            for text in TEXTS
        ),
        '{"type":"content_block_stop","index":0}',
        '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"bash","input":{}}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}',
        '{"type":"content_block_stop","index":1}',
        '{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":12345678901}}',
        '{"type":"message_stop"}',
    ),
    CHAT: bare(
        chat_end('{"role":"assistant"}', "null"),
        *(chat(text) for text in TEXTS),
        *(chat(text) for text in TEXTS),
        chat_end(
            '{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"bash","arguments":""}}]}',
            "null",
        ),
        chat_end('{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}', "null"),
        chat_end("{}", '"tool_calls"'),
        '{"id":"c1","model":"vendor","choices":[],"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens":6,"completion_tokens_details":{"reasoning_tokens":3}}}',
        "[DONE]",
    ),
    RESPONSES: named(
        '{"type":"response.created","sequence_number":0,"response":{"id":"r","model":"vendor","output":[]}}',
        '{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","content":[]}}',
        '{"type":"response.output_item.added","sequence_number":2,"output_index":1,"item":{"type":"reasoning"}}',
        *(
            f'{{"type":"response.output_text.delta","sequence_number":{number},"output_index":0,"delta":"{text}"}}'
            for number, text in enumerate(TEXTS, 3)
        ),
        *(
            f'{{"type":"response.reasoning_summary_text.delta","sequence_number":{number},"output_index":1,"delta":"{text}"}}'
            for number, text in enumerate(TEXTS, 8)
        ),
        '{"type":"response.output_item.done","sequence_number":13,"output_index":2,"item":{"type":"function_call","name":"bash"}}',
        '{"type":"response.completed","sequence_number":14,"response":{"id":"r","model":"vendor","output":[{"type":"function_call","name":"bash"}],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":3}}}}',
    ),
    GEMINI: bare(*GEMINI_EVENTS),
}

USAGE = {
    ANTHROPIC: Usage(5, 7, 0, 12345678901),
    CHAT: Usage(5, 4, 0, 6, 3),
    RESPONSES: Usage(5, 4, 0, 6, 3),
    GEMINI: Usage(5, 4, 0, 5, 3),
}


def rewriter(dialect: str, request: bytes = b"{}") -> AnswerRewriter:
    return AnswerRewriter(DIALECTS[dialect], "asked", request)


def rewritten(stream: bytes) -> bytes:
    """What the vectors are for Amp's clients, by the eye."""
    return (
        stream.replace(b'"model":"vendor"', b'"model":"asked"')
        .replace(b'"modelVersion": "vendor"', b'"modelVersion": "asked"')
        .replace(b'"name":"bash","input":{}', b'"name":"Bash","input":{},"signature":""')
        .replace(b'"name":"bash"', b'"name":"Bash"')
        .replace(b'"name": "bash"', b'"name": "Bash"')
    )


def run(dialect: str, chunks: list[bytes], amp: bool) -> tuple[bytes, PassthroughFilter | WatchedFilter]:
    stream = passing(DIALECTS[dialect], rewriter(dialect) if amp else None)
    out = b"".join([stream.feed(chunk) for chunk in chunks])
    return out + stream.end(), stream


both = pytest.mark.parametrize("amp", [False, True])
every = pytest.mark.parametrize("dialect", STREAMS)


@every
@both
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_whole_and_byte_by_byte(dialect: str, amp: bool, line_end: bytes, mark: bytes) -> None:
    """A stream arrives exactly, rewritten where Amp's clients need it, however it was cut on its way."""
    stream = b"".join(STREAMS[dialect])
    expected = rewritten(stream) if amp else stream
    wire = mark + stream.replace(b"\n", line_end)
    for chunks in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        out, seen = run(dialect, chunks, amp)
        assert out == expected
        assert seen.complete
        assert seen.usage == USAGE[dialect]


@every
@both
def test_every_split_in_two(dialect: str, amp: bool) -> None:
    """No place where the network cuts the stream makes a difference."""
    wire = b"".join(STREAMS[dialect])
    expected = rewritten(wire) if amp else wire
    for cut in range(0, len(wire), 7 if len(wire) > 1500 else 1):
        assert run(dialect, [wire[:cut], wire[cut:]], amp)[0] == expected


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_splits(data: st.DataObject) -> None:
    """Nor do any number of cuts, with CRLF."""
    dialect = data.draw(st.sampled_from(list(STREAMS)))
    wire = b"".join(STREAMS[dialect]).replace(b"\n", data.draw(st.sampled_from([b"\n", b"\r\n"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    chunks = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert run(dialect, chunks, True)[0] == rewritten(wire.replace(b"\r\n", b"\n"))


@every
@both
def test_one_event_a_chunk(dialect: str, amp: bool) -> None:
    """Every event goes on at once when it is whole."""
    stream = passing(DIALECTS[dialect], rewriter(dialect) if amp else None)
    for event in STREAMS[dialect]:
        assert stream.feed(event) == (rewritten(event) if amp else event)
    stream.end()


#: Where a stream may end although something should follow: behind the reason why the answer ends.
MAY_END = {CHAT: 2, GEMINI: 0, ANTHROPIC: 1, RESPONSES: 0}


@every
@both
def test_cut_short_at_every_event(dialect: str, amp: bool) -> None:
    """Half an answer is never taken for a whole one, wherever it breaks off."""
    events = STREAMS[dialect]
    for count in range(len(events) - MAY_END[dialect]):
        with pytest.raises(TruncatedStream):
            run(dialect, [b"".join(events[:count])], amp)
    whole = b"".join(events[: len(events) - 1 - MAY_END[dialect]])
    for cut in range(1, 40):
        with pytest.raises(TruncatedStream):
            run(dialect, [whole[:-cut]], amp)


@both
def test_chat_gets_its_end_mark(amp: bool) -> None:
    """A backend that forgets ``[DONE]`` after its finish reason said everything."""
    events = STREAMS[CHAT]
    for count in (1, 2):
        out, stream = run(CHAT, [b"".join(events[:-count])], amp)
        assert out.endswith(b"data: [DONE]\n\n")
        assert out.count(b"[DONE]") == 1
        assert stream.complete


@every
def test_last_event_without_its_blank_line(dialect: str) -> None:
    """A last event that lacks its blank line still counts."""
    wire = b"".join(STREAMS[dialect])
    out, _ = run(dialect, [wire[:-2]], False)
    assert out == wire


ERRORS = {
    ANTHROPIC: b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
    CHAT: b'data: {"error":{"message":"x"}}\n\n',
    RESPONSES: b'event: error\ndata: {"type":"error","message":"x"}\n\n',
    GEMINI: b'data: {"error":{"code":503,"message":"x"}}\n\n',
}


@every
@both
def test_an_error_in_mid_stream_is_passed_on(dialect: str, amp: bool) -> None:
    """The vendor's own error reaches the client, and is not followed by one of ours."""
    events = STREAMS[dialect][:4]
    for chunks in ([*events, ERRORS[dialect]], [b"".join(events) + ERRORS[dialect]]):
        out, stream = run(dialect, chunks, amp)
        assert out.endswith(ERRORS[dialect])
        assert stream.complete


@pytest.mark.parametrize("kind", ["response.failed", "response.incomplete"])
def test_other_ends_of_responses(kind: str) -> None:
    """A failed or incomplete response is a whole stream."""
    events = STREAMS[RESPONSES][:4] + named(
        f'{{"type":"{kind}","response":{{"model":"vendor","output":[]}}}}'
    )
    out, stream = run(RESPONSES, [b"".join(events)], True)
    assert stream.complete
    assert b"vendor" not in out.replace(b'\\"vendor\\"', b"")


def test_a_blocked_gemini_prompt_is_an_end() -> None:
    """A prompt that Gemini refuses has no candidates and no finish reason."""
    events = bare('{"promptFeedback":{"blockReason":"SAFETY"},"modelVersion":"vendor"}')
    assert run(GEMINI, events, True)[0] == events[0].replace(b"vendor", b"asked")


@every
@both
@pytest.mark.parametrize("before", [0, 3])
def test_json_instead_of_events(dialect: str, amp: bool, before: int) -> None:
    """A server that answers a stream with plain JSON is named as such, with its own words."""
    body = b'{"error":{"message":"no such thing,\\u001b key sk-abcdefgh1234"}}'
    stream = passing(DIALECTS[dialect], rewriter(dialect) if amp else None)
    stream.feed(b"".join(STREAMS[dialect][:before]))
    with pytest.raises(UpstreamFault, match="no such thing") as caught:
        stream.feed(body) + stream.end()
    assert "sk-abc" not in caught.value.error.message
    assert "\x1b" not in caught.value.error.message
    stream = passing(DIALECTS[dialect])
    with pytest.raises(UpstreamFault, match="JSON"):
        stream.feed(b"".join(STREAMS[dialect][:before]) + body + b"\n\n")


@every
def test_comments(dialect: str) -> None:
    """Comments pass, but not to Gemini clients, which they break."""
    events = STREAMS[dialect]
    wire = b": first\n\n" + b": between\n\n".join(events)
    out, _ = run(dialect, [wire], True)
    assert (b": between" in out) == (dialect != GEMINI)
    assert b"".join(out.split(b": between\n\n")).replace(b": first\n\n", b"") == rewritten(b"".join(events))
    inside = events[0].replace(b"data:", b": inside\ndata:")
    assert (b": inside" in passing(DIALECTS[dialect]).feed(inside)) == (dialect != GEMINI)


@pytest.mark.parametrize(
    "form",
    [
        b"id: 7\ndata: %b",
        b"data: %b\nid: 7",
        b"retry: 5\ndata: %b",
        b"event: message\ndata: %b",
        b"data:%b",
        b"data: {\ndata: %b",
    ],
)
@both
def test_events_for_googles_sdks(form: bytes, amp: bool) -> None:
    """They read one line of data, and break at other fields, or lose the event."""
    datas = [event.strip().removeprefix(b"data: ") for event in STREAMS[GEMINI]]
    several = form.endswith(b"data: {\ndata: %b")
    wire = b"".join(form % (data.removeprefix(b"{") if several else data) + b"\n\n" for data in datas)
    out, stream = run(GEMINI, [wire], amp)
    assert stream.complete
    lines = out.split(b"\n")
    assert all(line.startswith(b"data: ") for line in lines[:-1:2])
    assert not any(lines[1::2])
    plain, _ = run(GEMINI, STREAMS[GEMINI], amp)
    assert [json.loads(data) for _, data in parse_events(out)] == [
        json.loads(data) for _, data in parse_events(plain)
    ]


@every
def test_keepalive(dialect: str) -> None:
    """A silent upstream is bridged by something that every client of the dialect ignores."""
    stream = passing(DIALECTS[dialect])
    alive = stream.keepalive()
    assert alive == b"" or alive.endswith(b"\n\n")
    assert (alive == b"") == (dialect == GEMINI)
    assert (b"event: ping" in alive) == (dialect == ANTHROPIC)
    for event in STREAMS[dialect]:
        stream.feed(event)
    stream.end()
    assert stream.keepalive() == b""


def test_an_endless_event_is_refused() -> None:
    """A stream without line ends ends in an error instead of filling the memory."""
    stream = passing(DIALECTS[CHAT], limit=100)
    with pytest.raises(UpstreamFault, match="100 bytes"):
        stream.feed(b"data: " + b"x" * 200)


def test_other_fields_stay() -> None:
    """``id`` and ``retry`` of an event that is rewritten are not lost."""
    event = b'id: 7\nevent: message_start\nretry: 5\ndata: {"type":"message_start",\ndata: "message":{"model":"vendor"}}\n\n'
    out = passing(DIALECTS[ANTHROPIC], rewriter(ANTHROPIC)).feed(event)
    assert out.startswith(b"id: 7\nretry: 5\nevent: message_start\n")
    assert json.loads(parse_events(out)[0][1])["message"]["model"] == "asked"


def test_missing_event_lines_are_made() -> None:
    """Amp's client dispatches on the ``event`` line, so a backend that leaves it out gets it."""
    events = STREAMS[ANTHROPIC]
    nameless = [event[event.index(b"data:") :] for event in events]
    assert run(ANTHROPIC, [b"".join(nameless)], True)[0] == rewritten(b"".join(events))


def test_unknown_events_before_the_response_are_left_out() -> None:
    """Amp's client gives up on a Responses stream that begins with anything else."""
    odd = named('{"type":"keepalive"}')
    wire = b"".join(odd + STREAMS[RESPONSES])
    assert run(RESPONSES, [wire], True)[0] == rewritten(b"".join(STREAMS[RESPONSES]))
    assert run(RESPONSES, [wire], False)[0] == wire


def test_usage_of_a_stream_that_was_left() -> None:
    """When the client leaves a stream whose every event tells the usage, the last one counts."""
    stream = passing(DIALECTS[GEMINI], rewriter(GEMINI))
    for count in range(1, 5):
        stream.feed(
            STREAMS[GEMINI][0].replace(b'"promptTokenCount": 9', b'"promptTokenCount": %d9' % count) * 3
        )
    assert stream.usage == Usage(45, 4, 0, 5, 3)
    assert not stream.complete


@pytest.mark.parametrize("dialect", [CHAT, GEMINI])
def test_an_echo_of_the_asked_name(dialect: str) -> None:
    """When the vendor's name is the asked one, chunks pass untouched until another name comes."""
    wire = b"".join(STREAMS[dialect][1:5])
    stream = passing(DIALECTS[dialect], AnswerRewriter(DIALECTS[dialect], "vendor"))
    stream.feed(wire)
    assert stream.feed(wire) is wire
    other = wire + STREAMS[dialect][1].replace(b'"vendor"', b'"other"')
    assert stream.feed(other) == wire + STREAMS[dialect][1]


# The fast lane never lets anything by that needs attention.

SURPRISES = {
    CHAT: [
        chat("x").replace("vendor", "other"),
        chat("x").replace('"created":1', '"created":2'),
        chat("x").replace('"model":"vendor",', ""),
        chat("x").replace('"id":"c1",', '"nested":{"model":"vendor"},'),
        chat("x").replace('"id":"c1",', '"model2":["model",{"model":"vendor"}],'),
        chat("x").replace('"content":"x"', '"content":"x","model":"vendor"'),
        chat("x").replace("null}]", '"stop"}]'),
        chat("x").replace('"content":"x"', '"tool_calls":[{"id":"a","function":{"name":"bash"}}]'),
        chat("x").replace('"content":"x"', '"tool_calls":[{"index":0,"id":"a","function":{"name":"bash"}}]'),
        chat("x").replace('"content":"x"', '"tool_calls":[{"index":0,"function":{"arguments":"x"}}]'),
        chat("data: {").replace('"choices"', '"x":"data: {","choices"'),
        '{"id":"c1","model":"vendor"}',
        '{"error":{"message":"x"}}',
        '{"choices":[],"model":"vendor","usage":{"prompt_tokens":1}}',
    ],
    GEMINI: [
        gemini('{"text":"x"}').replace("vendor", "other"),
        gemini('{"text":"x"}').replace("r1", "r2"),
        gemini('{"text":"x"}').replace('"modelVersion": "vendor",', ""),
        gemini('{"functionCall":{"name":"bash","args":{}}}'),
        gemini('{"text":"x"}', ',"finishReason":"STOP"'),
        '{"promptFeedback":{"blockReason":"OTHER"}}',
        '{"error":{"code":500}}',
        '{"usageMetadata":{"promptTokenCount":1}}',
    ],
    ANTHROPIC: [
        '{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"u","name":"bash"}}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}',
        '{"type":"error","error":{}}',
        '{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":1}}',
    ],
    RESPONSES: [
        '{"type":"response.output_item.added","sequence_number":9,"output_index":3,"item":{"type":"function_call","name":"bash"}}',
        '{"type":"response.completed","sequence_number":9,"response":{"model":"vendor","output":[]}}',
        '{"type":"response.reasoning_summary_text.delta","sequence_number":9,"output_index":1,"delta":"x"}',
        '{"type":"error"}',
    ],
}


@each(("dialect", "surprise"), [(dialect, data) for dialect, all_ in SURPRISES.items() for data in all_])
@each("place", [0, 2, 5])
def test_a_surprise_among_ordinary_events(dialect: str, surprise: str, place: int) -> None:
    """In a chunk of many ordinary events the one that is not gets what it would get alone."""
    form = named if dialect in (ANTHROPIC, RESPONSES) else bare
    ordinary = STREAMS[dialect][3:8] if dialect != GEMINI else STREAMS[dialect][:5]
    odd = form(surprise)[0]
    chunk = [*ordinary[:place], odd, *ordinary[place:]]
    fast, slow = (passing(DIALECTS[dialect], rewriter(dialect)) for _ in range(2))
    for stream in (fast, slow):
        for event in (*([] if dialect == GEMINI else STREAMS[dialect][:3]), *ordinary * 2):
            stream.feed(event)
    expected = b"".join(slow._each(event) for event in chunk)
    assert fast.feed(b"".join(chunk)) == expected
    assert (fast.complete, fast._monitor.finished, fast.usage) == (
        slow.complete,
        slow._monitor.finished,
        slow.usage,
    )
    if b'"data: {"' not in expected:
        data, mending = surprise.encode(), DIALECTS[dialect].passthrough.mending
        assert mending is not None
        mended = mending.of_one(str)(data, members(data) or {})
        wanted = json.loads(rewriter(dialect).event(b"", mended)[1])
        assert wanted in [json.loads(found) for _, found in parse_events(expected)]


# Gemini's list.

ARRAY = b"[" + b"\n,\r\n".join(event.encode() for event in GEMINI_EVENTS) + b"]\n"


@both
def test_gemini_list(amp: bool) -> None:
    """Without ``alt=sse`` Gemini streams a JSON list: it passes as such, rewritten where need be."""
    expected = rewritten(ARRAY) if amp else ARRAY
    for chunks in (
        [ARRAY],
        [ARRAY[i : i + 1] for i in range(len(ARRAY))],
        [b" \r\n", ARRAY[:700], ARRAY[700:]],
    ):
        out, stream = run(GEMINI, chunks, amp)
        assert out.lstrip() == expected
        assert stream.complete
        assert stream.usage == USAGE[GEMINI]


def test_gemini_list_cut_short() -> None:
    """An unclosed list, or one without a finish reason, is half an answer."""
    closed_early = b"[" + GEMINI_EVENTS[0].encode() + b"]"
    for wire in (ARRAY.rstrip()[:-1], ARRAY[:100], b"[", closed_early, b"[]"):
        with pytest.raises(TruncatedStream):
            run(GEMINI, [wire], True)


def test_gemini_list_of_an_error() -> None:
    """An error in the list is passed on."""
    wire = b'[{"error":{"code":400,"message":"]} \\" x"}}]'
    assert run(GEMINI, [wire], True)[0] == wire


def test_gemini_list_element_without_end() -> None:
    """An element without end is refused."""
    stream = passing(DIALECTS[GEMINI], limit=50)
    with pytest.raises(UpstreamFault, match="50 bytes"):
        stream.feed(b'[{"a":"' + b"x" * 100)


# Whole answers.


def test_whole_answers_and_their_usage() -> None:
    """A whole answer is rewritten, and its cost is known."""
    body = b'{"model":"vendor","usage":{"input_tokens":1,"cache_creation_input_tokens":2,"output_tokens":3,"output_tokens_details":{"thinking_tokens":1}}}'
    assert rewrite_whole(DIALECTS[ANTHROPIC], body, rewriter(ANTHROPIC)) == (
        body.replace(b"vendor", b"asked"),
        Usage(1, 0, 2, 3, 1),
    )
    chat = b'{"model":"vendor","choices":[],"usage":{}}'
    assert rewrite_whole(DIALECTS[CHAT], chat)[0] is chat
    assert rewrite_whole(DIALECTS[GEMINI], b"nonsense") == (b"nonsense", None)


@pytest.mark.parametrize("framing", ["sse", "array"])
def test_gemini_clients_get_no_line_separators(framing: str) -> None:
    """Google's older SDKs cut a stream at U+2028, U+2029 and U+0085: these come as escapes, all else as it is."""
    told = "one\u2028two\u2029three\u0085four\u201cfive\u00e9"
    event = gemini(f'{{"text": "{told}"}}', ',"finishReason": "STOP"').encode()
    wire = b"data: " + event + b"\n\n" if framing == "sse" else b"[" + event + b"]"
    for size in (1, 7, len(wire)):
        stream = passing(DIALECTS[GEMINI])
        out = b"".join(stream.feed(wire[at : at + size]) for at in range(0, len(wire), size)) + stream.end()
        text = out.decode()
        assert not set(text) & set("\u2028\u2029\u0085")
        body = text.removeprefix("data: ").strip("[]\n")
        assert json.loads(body)["candidates"][0]["content"]["parts"][0]["text"] == told
