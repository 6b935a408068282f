"""Streams of OpenAI Responses, as events."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ampproxy.dialects.openai_responses import DIALECT
from ampproxy.errors import UpstreamFault
from ampproxy.model.events import Completed, Delta, Event, Failed, Finished, Started, Usage, UsageReport
from ampproxy.model.fold import fold
from ampproxy.model.parts import Opaque, Reasoning, Refusal, Signature, Text, ToolCall

VECTORS = Path(__file__).parents[2] / "vectors" / "openai-responses"


def vector(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def parse(*chunks: bytes) -> list[Event]:
    parser = DIALECT.stream_parser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*events, *parser.end()]


def parts_of(name: str):
    return fold(parse(vector(name))).candidates[0].parts


CALLS = (
    ToolCall("call_A1", "Bash", '{"cmd":"ls -la"}', item="fc_68b1"),
    ToolCall("call_A2", "Read", '{"path":"/tmp/ä","n":12345678901234567890}', item="fc_68b2"),
)
PROOF = Signature("openai-responses", "gAAAAABo-proof==", "rs_68af")


def test_text():
    """Text arrives with its characters unharmed, U+2028 among them."""
    events = parse(vector("text.sse"))
    assert events[0] == Started("resp_67cb", "gpt-5-2025-08-07", 1741476777, "openai-responses")
    assert [event.text for event in events if isinstance(event, Delta)] == [
        "Hello",
        ", wörld",
        "\u2028 next",
        " 🙂",
    ]
    assert events[-3:] == [UsageReport(Usage(36, 64, 0, 30, 10)), Finished("stop"), Completed()]


@pytest.mark.parametrize("name", ["tools.sse", "whole_items.sse", "only_completed.sse"])
def test_deltas_or_whole_items(name: str):
    """A server that sends whole items, or all of them at the end only, is understood like one with deltas."""
    parts = parts_of(name)
    sections = ("**Plan**\n\nLook", "**Then** act")
    assert parts[0] == Reasoning("**Plan**\n\nLook\n\n**Then** act", PROOF, sections=sections)
    assert parts[1:] == (Text("Let me look."), *CALLS)
    assert Finished("tool_calls") in parse(vector(name))


def test_an_empty_output_at_the_end_loses_nothing():
    """An empty ``output`` in the terminal event does not take back what the items said."""
    reasoning, call = parts_of("empty_output.sse")
    assert reasoning == Reasoning("Plan", PROOF)
    assert call == ToolCall("call_A1", "Bash", "{}", item="fc_68b1")
    assert Finished("tool_calls") in parse(vector("empty_output.sse"))


def test_hosted_tools_and_annotations():
    """A search that the vendor ran is kept whole, and so are the citations."""
    search, text = parts_of("hosted.sse")
    assert isinstance(search, Opaque)
    assert (search.dialect, search.kind) == ("openai-responses", "web_search_call")
    assert isinstance(text, Text)
    assert text.text == "It rains (example.org)."
    assert msgspec.json.decode(text.extras["annotations"])[0]["url"] == "https://example.org/"


def test_refusal():
    """Words of refusal are told apart from an answer."""
    assert parts_of("refusal.sse") == (Refusal("I can't help with that."),)
    assert Finished("refusal") in parse(vector("refusal.sse"))


def test_custom_tool():
    """A custom tool's input is text, not JSON."""
    assert parts_of("custom.sse") == (
        ToolCall("call_C1", "apply_patch", "*** Begin\n*** End", freeform=True, item="ctc_1"),
    )


def test_reasoning_of_open_models():
    """Reasoning told as text and without proof is shown, and has none."""
    assert parts_of("reasoning_text.sse") == (Reasoning("The user greets."), Text("Hi!"))


def test_ends():
    """A limit and a filter are told as what they are."""
    assert Finished("length", detail="max_output_tokens") in parse(vector("length.sse"))
    assert Finished("blocked", detail="content_filter") in parse(vector("filtered.sse"))


def test_failures():
    """A failure in mid-stream says what kind it is and when to come back."""
    failed = parse(vector("error_failed.sse"))[-1]
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.status, failed.error.retry_after) == ("rate_limit", 429, 7.5)
    failed = parse(vector("error_server.sse"))[-1]
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.message) == ("internal", "The server had an error.")
    nested = b'data: {"type":"error","error":{"code":"invalid_prompt","message":"No."}}\n\n'
    failed = parse(nested)[-1]
    assert isinstance(failed, Failed)
    assert failed.error.kind == "invalid_request"


def test_what_is_not_json_fails():
    """An event that cannot be read ends the stream as failed; nothing is guessed."""
    parser = DIALECT.stream_parser()
    events = parser.feed(b'event: response.output_text.delta\ndata: {"delta":\n\n')
    assert [type(event) for event in events] == [Failed]
    assert parser.feed(vector("text.sse")) == []


def test_events_without_names_and_unknown_ones():
    """``event:`` lines are not needed, and what nobody knows is left alone."""
    data = vector("tools.sse")
    bare = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"event:"))
    extra = b': hello\n\ndata: {"type":"response.new_thing","x":1}\n\ndata: {"type":"keepalive"}\n\n'
    assert parse(extra, bare, b"data: [DONE]\n\n") == parse(data)


def test_ids_that_change():
    """Servers that give an item another id in every event do not make it two items."""
    data = vector("tools.sse")
    end = data.rindex(b"event: response.completed")
    changed = data[:end] + data[end:].replace(b"fc_68b", b"fc_other").replace(b"call_A", b"call_B")
    assert fold(parse(changed)) == fold(parse(data))


def test_deltas_without_announcement():
    """Text whose item was never announced is an answer all the same."""
    data = (
        b'data: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
        b'data: {"type":"response.output_text.delta","delta":"!",'
        b'"logprobs":[{"token":"!","logprob":-0.5}]}\n\n'
        b'data: {"type":"response.completed","response":{"id":"r","output":[]}}\n\n'
    )
    answer = fold(parse(data))
    assert answer.candidates[0].parts == (Text("Hi!"),)
    assert answer.candidates[0].logprobs[0].logprob == -0.5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"output":5}',
        b'{"status":"failed","error":{"code":"server_error","message":"x"}}',
    ],
)
def test_a_whole_answer_that_is_none(body: bytes):
    """What is no answer is the vendor's fault and said so."""
    with pytest.raises(UpstreamFault):
        DIALECT.parse_response(body)


def test_count():
    """Counts of tokens are read and written."""
    assert DIALECT.parse_count(b'{"object":"response.input_tokens","input_tokens":11}') == 11
    assert DIALECT.count_body(11) == b'{"object":"response.input_tokens","input_tokens":11}'
    with pytest.raises(UpstreamFault):
        DIALECT.parse_count(b"{}")


def test_an_item_whose_type_cannot_be_read():
    """Bytes that are no UTF-8 in the name of a member cost nothing else of the answer."""
    event = b'"item":{"id":"msg_67cb","type":'
    assert vector("text.sse").count(event) > 1
    broken = parse(vector("text.sse").replace(event, event.replace(b"type", b"t\xf1ype"), 1))
    assert "".join(event.text for event in broken if isinstance(event, Delta)) == "Hello, wörld\u2028 next 🙂"
    assert broken[-1] == Completed()
