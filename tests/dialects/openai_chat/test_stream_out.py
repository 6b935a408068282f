"""What a client's stream looks like, whoever answered."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.model.base import ANTHROPIC, CHAT, Json
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
from ampproxy.model.parts import Opaque, Reasoning, Signature, Text, ToolCall
from ampproxy.model.request import ChatRequest
from tests.dialects.laws import context_for


def request(**fields: Any) -> ChatRequest:
    return ChatRequest(dialect=CHAT, model="asked", turns=(), **{"include_usage": False, **fields})


def stream(*events: Event, asked: ChatRequest | None = None) -> tuple[list[Any], bytes, list[str]]:
    """The chunks, the bytes, and the kinds of the losses."""
    renderer = DIALECT.stream_renderer(context_for("asked", asked or request()))
    data = b"".join(renderer.feed([event]) for event in events)
    chunks = [json.loads(block[6:]) for block in data.split(b"\n\n") if block.startswith(b"data: {")]
    return chunks, data, [loss.kind for loss in renderer.losses]


def deltas(chunks: list[Any]) -> list[Any]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def said(index: int, part: Any, *texts: str) -> list[Event]:
    return [PartStarted(index, part), *(Delta(index, text) for text in texts), PartClosed(index)]


START = Started("msg_1", "claude", None, ANTHROPIC)
END: list[Event] = [UsageReport(Usage(5, 3, 2, 7, 4)), Finished("stop"), Completed()]


class Streams(unittest.TestCase):
    """The battery's laws say that it can be read; this says how it is written."""

    def test_order_of_a_stream(self) -> None:
        """Role first, words, the end once, then ``[DONE]``; every chunk has choices and one id."""
        chunks, data, _ = stream(START, *said(0, Text(""), "Hel", "lo"), *END)
        self.assertEqual(
            deltas(chunks),
            [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}],
        )
        self.assertEqual([c["choices"][0]["finish_reason"] for c in chunks], [None, None, None, "stop"])
        self.assertEqual({c["object"] for c in chunks}, {"chat.completion.chunk"})
        self.assertEqual({c["model"] for c in chunks}, {"asked"})
        (id_,) = {c["id"] for c in chunks}
        self.assertTrue(id_.startswith("chatcmpl-"))
        self.assertTrue(data.endswith(b"data: [DONE]\n\n"))

    def test_usage_only_if_asked(self) -> None:
        """The usage chunk has no choices, comes last, and only for a client that asked."""
        chunks, _, _ = stream(START, *END)
        self.assertTrue(all(chunk["choices"] and "usage" not in chunk for chunk in chunks))
        chunks, _, _ = stream(START, *END, asked=request(include_usage=True))
        self.assertEqual(chunks[-1]["choices"], [])
        usage = chunks[-1]["usage"]
        self.assertEqual(
            (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]), (10, 7, 17)
        )
        self.assertEqual(usage["prompt_tokens_details"], {"cached_tokens": 3, "cache_write_tokens": 2})
        self.assertEqual(usage["completion_tokens_details"], {"reasoning_tokens": 4})
        self.assertTrue(all(chunk["usage"] is None for chunk in chunks[:-1]))

    def test_calls(self) -> None:
        """A call has its index in every piece, id and name once; the end tells of it in any case."""
        chunks, _, _ = stream(
            START,
            PartStarted(0, ToolCall("c0", "Bash", "")),
            Delta(0, '{"a"'),
            PartStarted(1, ToolCall("c1", "patch", "", freeform=True)),
            Delta(1, "*** x"),
            Delta(0, ":1}"),
            PartClosed(0),
            PartClosed(1),
            *END,
        )
        pieces = [delta["tool_calls"][0] for delta in deltas(chunks) if "tool_calls" in delta]
        self.assertEqual(
            pieces,
            [
                {"index": 0, "id": "c0", "type": "function", "function": {"name": "Bash", "arguments": ""}},
                {"index": 0, "function": {"arguments": '{"a"'}},
                {"index": 1, "id": "c1", "type": "custom", "custom": {"name": "patch", "input": ""}},
                {"index": 1, "custom": {"input": "*** x"}},
                {"index": 0, "function": {"arguments": ":1}"}},
            ],
        )
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "tool_calls")

    def test_old_clients_get_function_call(self) -> None:
        """A client that sent ``functions`` gets ``function_call``."""
        asked = DIALECT.parse_request(
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"functions":[{"name":"f"}]}'
        )
        call = ToolCall("c", "f", "")
        chunks, _, lost = stream(START, *said(0, call, "{}"), *said(1, call, "{}"), *END, asked=asked)
        self.assertEqual(
            deltas(chunks)[1:-1],
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
        )
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "function_call")
        self.assertEqual(lost, ["parallel_call"])

    def test_reasoning(self) -> None:
        """Reasoning stands apart from the answer; its paragraphs are apart; its proof is a declared loss."""
        thought: list[Event] = [
            PartStarted(0, Reasoning("")),
            SectionBreak(0),
            Delta(0, "One"),
            SectionBreak(0),
            Delta(0, "Two"),
            Delta(0, "."),
            PartSigned(0, Signature(ANTHROPIC, "sig")),
            PartClosed(0),
        ]
        chunks, data, lost = stream(START, *thought, *said(1, Text(""), "Hi"), *END)
        words = "".join(delta.get("reasoning_content", "") for delta in deltas(chunks))
        self.assertEqual(words, "One\n\nTwo.")
        self.assertEqual(lost, ["foreign_proof"])
        self.assertNotIn(b"sig", data)

    def test_citations_of_responses_become_annotations(self) -> None:
        """Citations reach the client in chat's shape; those of other vendors are a declared loss."""
        flat = b'[{"type":"url_citation","url":"https://e.com","title":"T","start_index":0,"end_index":2}]'
        chunks, _, lost = stream(
            START,
            PartStarted(0, Text("")),
            Delta(0, "Hi"),
            PartExtras(0, {"annotations": Json(flat)}),
            PartExtras(0, {"citations": Json(b"[1]")}),
            PartStarted(1, Opaque(ANTHROPIC, "server_tool_use", Json(b"{}"))),
            *END,
        )
        (note,) = next(delta["annotations"] for delta in deltas(chunks) if "annotations" in delta)
        self.assertEqual(note["url_citation"]["url"], "https://e.com")
        self.assertEqual(lost, ["extras", "opaque"])

    def test_failure_is_no_clean_end(self) -> None:
        """An error in mid-stream is told, and neither an end nor ``[DONE]`` follows."""
        error = WireError("overloaded", "Too busy", 529, "overloaded_error")
        chunks, data, _ = stream(START, *said(0, Text(""), "Hi"), Failed(error), *END, Ping())
        self.assertEqual(chunks[-1]["error"]["code"], "server_is_overloaded")
        self.assertNotIn(b"[DONE]", data)
        self.assertNotIn(b'finish_reason":"', data)

    def test_keepalive_is_a_comment(self) -> None:
        """While the vendor is silent the client gets comments, which its reader skips."""
        renderer = DIALECT.stream_renderer(context_for())
        self.assertTrue(renderer.keepalive().startswith(b":"))
        self.assertEqual(renderer.feed([Ping()]), renderer.keepalive())
        renderer.error(WireError("internal", "x"))
        self.assertEqual(renderer.keepalive(), b"")

    def test_ends(self) -> None:
        """Every end has its word."""
        words = {
            "stop": "stop",
            "stop_sequence": "stop",
            "pause": "stop",
            "length": "length",
            "context": "length",
            "blocked": "content_filter",
            "refusal": "content_filter",
            "tool_calls": "stop",
        }
        for reason, word in words.items():
            chunks, _, _ = stream(START, *said(0, Text(""), "x"), Finished(reason), Completed())  # type: ignore[arg-type]
            with self.subTest(reason=reason):
                self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], word)
