"""Streams for clients of OpenAI Responses, read back by the real SDK."""

from __future__ import annotations

import itertools
import json

import pytest

from ampproxy.dialects import proof
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.openai_responses import DIALECT
from ampproxy.dialects.openai_responses.items_in import parse_input
from ampproxy.model.base import Json
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    Ping,
    SectionBreak,
    Started,
    TokenLogprob,
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.fold import fold
from ampproxy.model.parts import Image, Inline, Opaque, Reasoning, Refusal, Signature, Text, ToolCall
from ampproxy.model.request import ChatRequest
from tests.clocked import assert_grows

httpx = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")

ANTHROPIC = Signature("anthropic", "c2lnbmF0dXJl")
GEMINI = Signature("gemini", "AAECAw==")


def context(request: ChatRequest | None = None) -> AnswerContext:
    count = itertools.count()
    return AnswerContext("gpt-asked", 1_700_000_000, lambda prefix: f"{prefix}{next(count)}", request)


def render(*events: Event, request: ChatRequest | None = None) -> bytes:
    return DIALECT.stream_renderer(context(request)).feed(events)


def wire(data: bytes) -> list[dict]:
    """The events' data; each has the name of its type, and they are numbered without a gap."""
    events = []
    for block in data.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, _, rest = block.partition("\ndata: ")
        event = json.loads(rest)
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def client(data: bytes, media: str = "text/event-stream"):
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, headers={"content-type": media}, content=data)
    )
    http = httpx.Client(transport=transport)
    return openai.OpenAI(api_key="k", base_url="http://127.0.0.1/v1", http_client=http, max_retries=0)


def read_by_sdk(data: bytes):
    """The final response and all events, as the SDK's own accumulator sees them."""
    with client(data).responses.stream(model="m", input="hi") as stream:
        events = list(stream)
    return events, stream


def part(index: int, part, *deltas: str) -> list[Event]:
    return [PartStarted(index, part), *(Delta(index, text) for text in deltas), PartClosed(index)]


END = (UsageReport(Usage(10, 5, 2, 20, 7)), Finished("tool_calls"), Completed())
WHOLE = (
    Started("msg_01", "claude", 1_700_000_001, "anthropic"),
    PartStarted(0, Reasoning("")),
    Delta(0, "Plan"),
    Delta(0, " it"),
    SectionBreak(0),
    Delta(0, "Do it"),
    PartSigned(0, ANTHROPIC),
    PartClosed(0),
    *part(1, Text(""), "Hel", 'lo \u2028 "é"'),
    PartStarted(2, ToolCall("toolu_1", "Bash", "")),
    Delta(2, '{"cmd":'),
    PartStarted(3, ToolCall("toolu_2", "Read", "")),
    Delta(2, '"ls"}'),
    PartClosed(2),
    PartClosed(3),
    *END,
)


def test_the_sdk_reads_the_whole_answer():
    """The SDK's accumulator accepts the stream and has the answer that was told."""
    events, stream = read_by_sdk(render(*WHOLE))
    response = stream.get_final_response()
    reasoning, message, first, second = response.output
    assert [entry.text for entry in reasoning.summary] == ["Plan it", "Do it"]
    assert response.output_text == 'Hello \u2028 "é"'
    assert message.status == "completed"
    assert (first.call_id, first.name, first.arguments) == ("toolu_1", "Bash", '{"cmd":"ls"}')
    assert (second.call_id, second.arguments) == ("toolu_2", "{}")
    assert response.model == "gpt-asked"
    assert response.created_at == 1_700_000_001
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (17, 20, 37)
    assert usage.input_tokens_details.cached_tokens == 5
    assert usage.output_tokens_details.reasoning_tokens == 7
    assert events[0].type == "response.created"


def test_order_and_ids():
    """Items are announced before their parts, parts before their deltas, and no id ever changes."""
    events = wire(render(*WHOLE))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    ids: dict[int, str] = {}
    for event in events:
        if "item" in event:
            assert ids.setdefault(event["output_index"], event["item"]["id"]) == event["item"]["id"]
        elif "item_id" in event:
            assert ids[event["output_index"]] == event["item_id"]
    output = events[-1]["response"]["output"]
    assert [item["id"] for item in output] == [ids[index] for index in sorted(ids)]
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds.index("reasoning_summary_part.added") < kinds.index("reasoning_summary_text.delta")
    assert kinds.count("reasoning_summary_part.added") == kinds.count("reasoning_summary_part.done") == 2


def test_chunks_do_not_matter():
    """One event at a time or all at once: the same bytes."""
    renderer = DIALECT.stream_renderer(context())
    assert b"".join(renderer.feed([event]) for event in WHOLE) == render(*WHOLE)


def test_parsed_back():
    """What is rendered says what was to be said."""
    parser = DIALECT.stream_parser()
    events = parser.feed(render(*WHOLE))
    parser.end()
    told, back = fold(WHOLE).candidates[0], fold(events).candidates[0]
    assert back.parts[:2] == told.parts[:2]
    assert [(call.id, call.name, call.arguments) for call in back.parts[2:]] == [
        (call.id, call.name, call.arguments) for call in told.parts[2:]
    ]
    assert back.finish == told.finish


def echo_of(data: bytes):
    """The answer's items as the client sends them back."""
    items = wire(data)[-1]["response"]["output"]
    return parse_input(Json(json.dumps(items).encode()))[0].parts


def test_proofs_of_others_come_back():
    """Another vendor's proof survives the client, and so does what it sat on."""
    call = ToolCall("call_1", "f", "{}")
    data = render(
        Started(dialect="gemini"),
        PartStarted(0, Text("")),
        Delta(0, "Well"),
        PartSigned(0, GEMINI),
        PartClosed(0),
        PartStarted(1, call),
        PartSigned(1, Signature("gemini", "BBBB")),
        PartClosed(1),
        PartStarted(2, ToolCall("call_2", "f", "", signature=Signature("gemini", "CCCC"))),
        Delta(2, "{}"),
        PartClosed(2),
        Completed(),
    )
    read_by_sdk(data)
    kinds = [item["type"] for item in wire(data)[-1]["response"]["output"]]
    assert kinds == ["message", "reasoning", "reasoning", "function_call", "reasoning", "function_call"]
    text, first, second = echo_of(data)
    assert text.signature == GEMINI
    assert first.signature == Signature("gemini", "BBBB")
    assert second.signature == Signature("gemini", "CCCC")


def test_own_proof():
    """The vendor's own proof keeps its item id; where the id was gone already, it comes back with it."""
    own = Signature("openai-responses", "gAAAA", "rs_real")
    data = render(Started(), *part(0, Reasoning("", own, redacted=True)), Completed())
    item = wire(data)[-1]["response"]["output"][0]
    assert (item["id"], item["encrypted_content"]) == ("rs_real", "gAAAA")
    late = render(
        Started(),
        PartStarted(0, Reasoning("")),
        Delta(0, "x"),
        PartSigned(0, own),
        PartClosed(0),
        Completed(),
    )
    assert wire(late)[-1]["response"]["output"][0]["encrypted_content"].startswith(proof.MARK)
    assert echo_of(late) == (Reasoning("x", own),)


def test_proofs_only_for_those_who_keep_them():
    """A client that did not ask for proofs is sent none."""
    asked = DIALECT.parse_request(b'{"model":"m","input":"hi"}')
    data = render(*WHOLE, request=asked)
    assert b"encrypted_content" not in data
    redacted = part(0, Reasoning("", ANTHROPIC, redacted=True))
    assert wire(render(*redacted, Completed(), request=asked))[-1]["response"]["output"] == []


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finished("stop"), "completed", None),
        (Finished("stop_sequence", "END"), "completed", None),
        (Finished("length"), "incomplete", "max_output_tokens"),
        (Finished("context"), "incomplete", "max_output_tokens"),
        (Finished("blocked"), "incomplete", "content_filter"),
        (Finished("refusal"), "incomplete", "content_filter"),
    ],
)
def test_ends(finish, status, reason):
    """An answer that was cut off is not called complete."""
    events = wire(render(*part(0, Text(""), "Once"), finish, Completed()))
    assert events[-1]["type"] == f"response.{status}"
    response = events[-1]["response"]
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason
    assert response["output"][0]["content"][0]["text"] == "Once"


def test_refusal_has_its_own_part():
    """Words of refusal stand in ``refusal``, and such an answer is whole."""
    data = render(Started(), *part(0, Refusal(""), "No", "."), Finished("refusal"), Completed())
    _, stream = read_by_sdk(data)
    content = stream.get_final_response().output[0].content[0]
    assert (content.type, content.refusal) == ("refusal", "No.")
    assert wire(data)[-1]["type"] == "response.completed"


def test_nothing_said():
    """An answer without any part is valid."""
    _, stream = read_by_sdk(render(Started(), Finished("stop"), Completed()))
    assert stream.get_final_response().output == []


def test_custom_call():
    """A custom tool's input is free text."""
    data = render(Started(), *part(0, ToolCall("c", "patch", "", freeform=True), "*** ", "End"), Completed())
    _, stream = read_by_sdk(data)
    call = stream.get_final_response().output[0]
    assert (call.type, call.input) == ("custom_tool_call", "*** End")


def test_annotations_logprobs_and_phase():
    """Citations and log probabilities stand in the text's part; chat's form of a citation is made flat."""
    note = Json(b'[{"type":"url_citation","url_citation":{"url":"https://example.org","title":"t"}}]')
    data = render(
        Started(dialect="openai-chat"),
        PartStarted(0, Text("")),
        Delta(0, "Hi", (TokenLogprob("Hi", -0.1, (("Ho", -2.0),)),)),
        PartExtras(0, {"annotations": note}),
        PartClosed(0),
        Completed(),
    )
    _, stream = read_by_sdk(data)
    content = stream.get_final_response().output[0].content[0]
    assert content.annotations[0].url == "https://example.org"
    assert content.logprobs[0].top_logprobs[0].token == "Ho"
    parser = DIALECT.stream_parser()
    assert fold(parser.feed(data)).candidates[0].logprobs == (TokenLogprob("Hi", -0.1, (("Ho", -2.0),)),)


def test_parts_without_deltas():
    """A picture is an item of its own; an item of this dialect passes as it came; others are a loss."""
    raw = Json(b'{"type":"web_search_call","id":"ws_1","status":"completed"}')
    renderer = DIALECT.stream_renderer(context())
    events = [
        Started(),
        *part(0, Image(Inline("image/png", "iVBO"))),
        *part(1, Opaque("openai-responses", "web_search_call", raw)),
        *part(2, Opaque("anthropic", "server_tool_use", Json(b"{}"))),
        Completed(),
    ]
    data = renderer.feed(events)
    read_by_sdk(data)
    output = wire(data)[-1]["response"]["output"]
    assert (output[0]["type"], output[0]["result"]) == ("image_generation_call", "iVBO")
    assert output[1] == json.loads(bytes(raw))
    assert [loss.kind for loss in renderer.losses] == ["opaque"]


def test_only_one_candidate():
    """More than one answer cannot be told, and that is said."""
    renderer = DIALECT.stream_renderer(context())
    data = renderer.feed(
        [PartStarted(0, Text("")), PartStarted(1, Text(""), 1), Delta(1, "B"), Delta(0, "A"), Completed()]
    )
    assert len(wire(data)[-1]["response"]["output"]) == 1
    assert [loss.kind for loss in renderer.losses] == ["candidates"]


@pytest.mark.parametrize("begun", [(), WHOLE[:10]])
def test_failure(begun):
    """A failure is an event of its own and never a clean end; the SDK sees both of its forms."""
    renderer = DIALECT.stream_renderer(context())
    error = WireError("overloaded", "Too busy.", 503)
    data = renderer.feed(begun) + renderer.error(error)
    events, stream = read_by_sdk(data)
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2].message == "Too busy."
    assert events[-1].response.error.code == "server_error"
    with pytest.raises(RuntimeError):
        stream.get_final_response()
    assert renderer.error(error) == renderer.feed([Delta(1, "x"), Completed()]) == b""
    again = DIALECT.stream_renderer(context())
    assert again.feed(begun) + again.feed([Failed(error)]) == data
    parser = DIALECT.stream_parser()
    failed = parser.feed(data)[-1]
    assert isinstance(failed, Failed)
    assert failed.error.kind == "internal"


def test_error_event_alone():
    """An error before anything else is this dialect's own event."""
    event = DIALECT.error_event(WireError("rate_limit", "Slow down.", 429))
    assert event.startswith(b"event: error\ndata: {")
    assert json.loads(event.partition(b"data: ")[2])["code"] == "rate_limit_exceeded"


def test_signs_of_life():
    """While the vendor is silent, a comment keeps the connection, and readers skip it."""
    renderer = DIALECT.stream_renderer(context())
    data = renderer.feed([Started(), Ping()]) + renderer.keepalive() + renderer.feed([Completed()])
    _, stream = read_by_sdk(data)
    assert stream.get_final_response().status == "completed"


def test_whole_answer():
    """The SDK reads the whole answer, which says what the stream says."""
    body = DIALECT.render_response(fold(WHOLE), context())
    response = client(body, "application/json").responses.create(model="m", input="hi")
    assert response.output_text == 'Hello \u2028 "é"'
    assert json.loads(body)["output"] == wire(render(*WHOLE))[-1]["response"]["output"]
    own = Reasoning("x", Signature("openai-responses", "gAAAA", "rs_real"))
    events = [Started(), PartStarted(0, own), PartClosed(0), Completed()]
    item = json.loads(DIALECT.render_response(fold(events), context()))["output"][0]
    assert (item["id"], item["encrypted_content"]) == ("rs_real", "gAAAA")


def test_long_answers_are_linear():
    """Ten times the deltas take about ten times as long, not a hundred times; by the time of this thread."""

    def said(count: int) -> None:
        renderer = DIALECT.stream_renderer(context())
        renderer.feed([Started(), PartStarted(0, Text(""))])
        renderer.feed([Delta(0, "some words ")] * count)
        renderer.feed([Completed()])

    assert_grows(said, int, 5_000, 50_000, 40)
