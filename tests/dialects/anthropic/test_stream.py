"""Streams of Messages, both ways."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.anthropic import DIALECT
from ampproxy.dialects.anthropic.stream_in import AnthropicStreamParser
from ampproxy.dialects.anthropic.stream_out import AnthropicStreamRenderer
from ampproxy.dialects.ends import NAMELESS
from ampproxy.dialects.proof import unwrap_signature
from ampproxy.errors import TruncatedStream
from ampproxy.model.base import ANTHROPIC, Json
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
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.parts import Image, Inline, Opaque, Reasoning, Refusal, Signature, Text, ToolCall
from tests.dialects.laws import VECTORS, context_for

GEMINI = Signature("gemini", "Zm9vYmFy")


def renderer() -> AnthropicStreamRenderer:
    return DIALECT.stream_renderer(context_for("asked"))


def wire(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each with its name on the event line."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        name, _, text = block.partition("\n")
        event = json.loads(text.removeprefix("data: "))
        assert name == f"event: {event['type']}", name
        found.append(event)
    return found


def said(*events: Event) -> list[dict[str, Any]]:
    return wire(renderer().feed([Started("id"), *events, Finished("stop"), Completed()]))


def blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each content block as it started; their order checked."""
    found: list[dict[str, Any]] = []
    current = None
    for event in events:
        if event["type"] == "content_block_start":
            assert (current, event["index"]) == (None, len(found)), event
            current = event["index"]
            found.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            assert event["index"] == current, event
        elif event["type"] == "content_block_stop":
            assert event["index"] == current, event
            current = None
    return found


def parsed(*events: dict[str, Any]) -> list[Event]:
    parser = AnthropicStreamParser()
    data = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return parser.feed(data.encode())


class RenderTests(unittest.TestCase):
    def test_order_of_a_whole_stream(self) -> None:
        """Clients get the vendor's own order, names and members."""
        events = said(
            UsageReport(Usage(10, 20, 30)),
            PartStarted(0, Reasoning("")),
            Delta(0, "hm"),
            PartSigned(0, Signature(ANTHROPIC, "EqoB")),
            PartClosed(0),
            PartStarted(1, Text("")),
            Delta(1, "a\u2028"),
            Delta(1, "b"),
            PartClosed(1),
            PartStarted(2, ToolCall("c1", "Bash", "")),
            Delta(2, '{"cmd":'),
            Delta(2, '"ls"}'),
            PartClosed(2),
            UsageReport(Usage(10, 20, 30, 40, 5)),
        )
        start, *middle, delta, stop = events
        message = start["message"]
        self.assertEqual((message["model"], message["content"], message["stop_reason"]), ("asked", [], None))
        self.assertTrue(message["id"].startswith("msg_"))
        counts = {"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 20}
        self.assertEqual(message["usage"], {**counts, "output_tokens": 0})
        self.assertEqual(
            blocks(middle),
            [
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "text", "text": ""},
                {"type": "tool_use", "id": "c1", "name": "Bash", "input": {}},
            ],
        )
        deltas = [event["delta"] for event in middle if event["type"] == "content_block_delta"]
        self.assertEqual(
            deltas,
            [
                {"type": "thinking_delta", "thinking": "hm"},
                {"type": "signature_delta", "signature": "EqoB"},
                {"type": "text_delta", "text": "a\u2028"},
                {"type": "text_delta", "text": "b"},
                {"type": "input_json_delta", "partial_json": '{"cmd":'},
                {"type": "input_json_delta", "partial_json": '"ls"}'},
            ],
        )
        # A vendor that ends a call like any other answer: tools run at tool_use only.
        self.assertEqual(delta["delta"], {"stop_reason": "tool_use", "stop_sequence": None})
        self.assertEqual(
            delta["usage"], {**counts, "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 5}}
        )
        self.assertEqual(stop, {"type": "message_stop"})

    def test_first_bytes_do_not_wait(self) -> None:
        """A client sees that the answer began as soon as the vendor says so."""
        self.assertEqual([one["type"] for one in wire(renderer().feed([Started("x")]))], ["message_start"])

    def test_foreign_proof_of_thinking(self) -> None:
        """Another vendor's proof goes into the signature and can be told from Anthropic's."""
        openai = Signature("openai-responses", "gAAAA", "rs_1")
        events = said(PartStarted(0, Reasoning("")), Delta(0, "hm"), PartSigned(0, openai), PartClosed(0))
        signature = events[3]["delta"]["signature"]
        self.assertEqual(unwrap_signature(signature, ANTHROPIC), openai)

    def test_proof_on_a_call_and_on_a_text(self) -> None:
        """Gemini's proof stands in a block of its own: before its call, after its text; numbers agree."""
        events = said(
            PartStarted(0, Text("")),
            Delta(0, "hi"),
            PartSigned(0, GEMINI),
            PartClosed(0),
            PartStarted(1, ToolCall("a", "A", "", signature=GEMINI)),
            Delta(1, "{}"),
            PartClosed(1),
            PartStarted(2, ToolCall("b", "B", "")),
            PartClosed(2),
        )
        kinds = [block["type"] for block in blocks(events)]
        self.assertEqual(kinds, ["text", "redacted_thinking", "redacted_thinking", "tool_use", "tool_use"])

    def test_proof_that_comes_too_late_for_its_block(self) -> None:
        """It waits for the open block, and for another: clients show the last block of an answer."""
        events = said(
            PartStarted(0, Text("")),
            Delta(0, "hi"),
            PartClosed(0),
            PartStarted(1, Text("")),
            Delta(1, "a"),
            PartSigned(0, GEMINI),
            Delta(1, "b"),
        )
        self.assertEqual([block["type"] for block in blocks(events)], ["text", "text"])

    def test_interleaved_calls(self) -> None:
        """Parallel calls whose fragments come mixed reach the client one after the other."""
        events = said(
            PartStarted(0, ToolCall("a", "A", "")),
            PartStarted(1, ToolCall("b", "B", "")),
            Delta(0, '{"x"'),
            Delta(1, '{"y"'),
            Delta(0, ":1}"),
            Delta(1, ":2}"),
        )
        self.assertEqual([block["id"] for block in blocks(events)], ["a", "b"])
        texts = ["", ""]
        for event in events:
            if event["type"] == "content_block_delta":
                texts[event["index"]] += event["delta"]["partial_json"]
        self.assertEqual(texts, ['{"x":1}', '{"y":2}'])

    def test_empty_text_is_no_block(self) -> None:
        """An empty text block, which the vendor would refuse in the next request, is not handed out."""
        events = said(
            PartStarted(0, Text("")), PartClosed(0), PartStarted(1, Text("")), Delta(1, ""), Delta(1, "x")
        )
        self.assertEqual(len(blocks(events)), 1)

    def test_paragraphs_refusal_and_freeform(self) -> None:
        """Sections are paragraphs, a refusal is text, a freeform call is JSON that parses."""
        events = said(
            PartStarted(0, Reasoning("")),
            Delta(0, "a"),
            SectionBreak(0),
            Delta(0, "b"),
            PartClosed(0),
            PartStarted(1, Refusal("")),
            Delta(1, "no"),
            PartClosed(1),
            PartStarted(2, ToolCall("c", "patch", "", freeform=True)),
            Delta(2, 'say "x'),
            Delta(2, '"\n'),
            PartClosed(2),
        )
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        self.assertEqual("".join(one.get("thinking", "") for one in deltas), "a\n\nb")
        self.assertEqual("".join(one.get("text", "") for one in deltas), "no")
        arguments = "".join(one.get("partial_json", "") for one in deltas)
        self.assertEqual(json.loads(arguments), {"input": 'say "x"\n'})

    def test_what_cannot_be_said_is_told(self) -> None:
        """Pictures in an answer, foreign parts and further candidates are losses, not silence."""
        stream = renderer()
        stream.feed(
            [
                PartStarted(0, Image(Inline("image/png", "aGk="))),
                PartClosed(0),
                PartStarted(1, Opaque("gemini", "executableCode", Json(b"{}"))),
                PartClosed(1),
                PartStarted(2, Text(""), 1),
                PartStarted(3, Text("")),
                PartExtras(3, {"annotations": Json(b"[]")}),
                Finished("stop"),
                Completed(),
            ]
        )
        self.assertEqual([loss.kind for loss in stream.losses], ["image", "opaque", "extras", "candidates"])

    def test_error_ends_the_stream(self) -> None:
        """An error is the vendor's event, and no clean end follows it."""
        for ended in (
            renderer().feed([Started(), Failed(WireError("overloaded", "Busy.")), Completed()]),
            renderer().error(WireError("overloaded", "Busy.")),
        ):
            told = wire(ended)[-1]
            self.assertEqual(
                told, {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}
            )
        stream = renderer()
        stream.error(WireError("internal", "x"))
        self.assertEqual((stream.feed([Completed()]), stream.keepalive()), (b"", b""))

    def test_keepalive_is_a_ping(self) -> None:
        """Amp's stall timer counts pings, not comments."""
        self.assertEqual(wire(renderer().keepalive()), [{"type": "ping"}])
        self.assertEqual(said(Ping())[1], {"type": "ping"})

    def test_ends(self) -> None:
        """Each way to end has the vendor's word."""
        for finish, word in [
            (Finished("length"), "max_tokens"),
            (Finished("stop_sequence", "END"), "stop_sequence"),
            (Finished("blocked", detail="SAFETY"), "refusal"),
            (Finished("context"), "model_context_window_exceeded"),
            (Finished("pause"), "pause_turn"),
        ]:
            delta = wire(renderer().feed([Started(), finish, Completed()]))[-2]["delta"]
            self.assertEqual((delta["stop_reason"], delta["stop_sequence"]), (word, finish.stop_sequence))


class ParseTests(unittest.TestCase):
    def test_missing_event_lines(self) -> None:
        """A server that leaves out the event lines is understood."""
        data = (VECTORS / "anthropic/tools.sse").read_bytes()
        bare = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"event:"))
        self.assertEqual(AnthropicStreamParser().feed(bare)[2:9], AnthropicStreamParser().feed(data)[2:9])

    def test_whole_input_at_the_start(self) -> None:
        """A server that sends a call's input at once, without deltas, is understood."""
        block = {"type": "tool_use", "id": "a", "name": "A", "input": {"x": 1}}
        events = parsed(
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_stop", "index": 0},
        )
        self.assertEqual(
            events, [PartStarted(0, ToolCall("a", "A", "")), Delta(0, '{"x": 1}'), PartClosed(0)]
        )

    def test_missing_stop(self) -> None:
        """Blocks that were never closed are closed before the end."""
        events = parsed(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        )
        self.assertEqual(
            events,
            [
                PartStarted(0, Text("")),
                Delta(0, "hi"),
                PartClosed(0),
                UsageReport(Usage(output=3)),
                Finished("stop"),
                Completed(),
            ],
        )

    def test_a_number_given_twice(self) -> None:
        """A block that begins under the number of an open one closes that."""
        start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hi"}}
        events = parsed(start, start)
        one = [PartStarted(0, Text("")), Delta(0, "hi")]
        self.assertEqual(events, [*one, PartClosed(0), *one])

    def test_usage_keeps_within_bounds(self) -> None:
        """Counts that a vendor makes up one by one are kept up to a number of them."""
        told = ({"type": "message_delta", "usage": {f"n{number}": number}} for number in range(200))
        last = parsed(*told, {"type": "message_delta", "usage": {"output_tokens": 7, "n1": "x" * 9999}})[-1]
        assert isinstance(last, UsageReport)
        self.assertLess(len(last.usage.extras), 100)
        self.assertEqual(bytes(last.usage.extras["n1"]), b"1")

    def test_usage_is_cumulative(self) -> None:
        """Later counts overwrite, and what is not told again stays."""
        data = (VECTORS / "anthropic/hosted.sse").read_bytes()
        reports = [e.usage for e in AnthropicStreamParser().feed(data) if isinstance(e, UsageReport)]
        self.assertEqual([(usage.input, usage.output) for usage in reports], [(25, 1), (400, 60)])
        self.assertEqual(reports[-1].cache_read, 2000)
        self.assertEqual(json.loads(bytes(reports[-1].extras["server_tool_use"])), {"web_search_requests": 1})

    def test_vendors_error(self) -> None:
        """An error in mid-stream is told as what it is, once, and ends the stream."""
        parser = AnthropicStreamParser()
        events = parser.feed((VECTORS / "anthropic/error_overloaded.sse").read_bytes())
        failed = events[-1]
        assert isinstance(failed, Failed)
        self.assertEqual((failed.error.kind, failed.error.status), ("overloaded", 529))
        self.assertEqual((failed.error.message, failed.error.request_id), ("Overloaded", "req_011"))
        self.assertEqual((parser.feed(b"event: x\n\n"), parser.end()), ([], []))

    def test_vendors_error_without_words(self) -> None:
        """One that gives no reason says so: in a stream, and as an answer."""
        body = b'{"type":"error","error":{"type":"api_error","message":" "}}'
        words = "The vendor reported an error (api_error) and gave no reason."
        (failed,) = AnthropicStreamParser().feed(b"event: error\ndata: " + body + b"\n\n")
        assert isinstance(failed, Failed)
        assert failed.error.message == words
        error = DIALECT.parse_error(500, {}, body)
        assert (error.kind, error.status, error.message) == ("internal", 500, words)

    def test_unknown_events_and_deltas_pass_by(self) -> None:
        """What the vendor adds one day breaks nothing."""
        text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        events = parsed(
            {"type": "new_event", "x": 1},
            text,
            {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "x": 1}},
            {"type": "content_block_delta", "index": 9, "delta": {"type": "new_delta", "x": 1}},
        )
        self.assertEqual(events, [PartStarted(0, Text(""))])

    def test_words_of_a_block_that_was_never_announced(self) -> None:
        """Words begin their block, so that nothing of an answer is lost; a call cannot without its name."""
        for kind, member, part in (("text", "text", Text("")), ("thinking", "thinking", Reasoning(""))):
            delta = {"type": f"{kind}_delta", member: "words"}
            with self.subTest(kind):
                events = parsed({"type": "content_block_delta", "index": 9, "delta": delta})
                self.assertEqual(events, [PartStarted(9, part), Delta(9, "words")])
        delta = {"type": "input_json_delta", "partial_json": "{}"}
        (failed,) = parsed({"type": "content_block_delta", "index": 9, "delta": delta})
        self.assertEqual(failed, Failed(NAMELESS))

    def test_errors_in_other_servers_forms(self) -> None:
        """What a server says of its error reaches the client, wherever the sentence stands."""
        for members in ({"error": "boom"}, {"message": "boom"}, {"detail": "boom"}):
            with self.subTest(str(members)):
                (failed,) = parsed({"type": "error", **members})
                assert isinstance(failed, Failed)
                self.assertEqual((failed.error.message, failed.error.status), ("boom", 500))

    def test_bad_events_of_every_kind(self) -> None:
        """Nested without end, not JSON, not UTF-8, of the wrong type: a failure, never a crash."""
        for kind in ("content_block_delta", "content_block_start", "message_start", "message_delta", "error"):
            for member in ("delta", "content_block", "message", "usage", "index", "error"):
                for value in (
                    b'{"citation":' + b"[" * 90_000,
                    b"\xff",
                    b"7",
                    b'"x"',
                    b"[]",
                    b'{"text":1,"type":2}',
                ):
                    data = b'event: %s\ndata: {"type":"%s","%s":%s}\n\n'
                    name = kind.encode()
                    events = AnthropicStreamParser().feed(data % (name, name, member.encode(), value))
                    self.assertNotIn(Completed(), events)

    def test_end_without_a_stop(self) -> None:
        """A body that ends early is an error even when it ends tidily; a last event without its blank
        line counts.
        """
        data = (VECTORS / "anthropic/text.sse").read_bytes()
        parser = AnthropicStreamParser()
        parser.feed(data.rstrip(b"\n"))
        self.assertEqual(parser.end(), [Completed()])
        with self.assertRaises(TruncatedStream):
            AnthropicStreamParser().end()
