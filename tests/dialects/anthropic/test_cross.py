"""Other vendors' answers for clients of Messages, and what those clients send back."""

from __future__ import annotations

import json
import unittest
from collections.abc import Iterator
from typing import Any

from ampproxy.adapt.target import target_for
from ampproxy.dialects.anthropic import DIALECT as ANTHROPIC_DIALECT
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.gemini import DIALECT as GEMINI_DIALECT
from ampproxy.dialects.openai_chat import DIALECT as CHAT_DIALECT
from ampproxy.dialects.openai_responses import DIALECT as RESPONSES_DIALECT
from ampproxy.dialects.proof import MARK
from ampproxy.model.events import ChatResponse, Event
from ampproxy.model.fold import fold
from ampproxy.model.parts import Image, Signature, Text, ToolCall
from tests.dialects.anthropic.test_sdk import streamed
from tests.dialects.laws import VECTORS, context_for

ANTHROPIC = ANTHROPIC_DIALECT
OTHERS: tuple[tuple[Dialect, str], ...] = (
    (CHAT_DIALECT, "gpt-4.1"),
    (RESPONSES_DIALECT, "gpt-5"),
    (GEMINI_DIALECT, "gemini-3-pro-preview"),
)


def streams(dialect: Dialect) -> Iterator[tuple[str, list[Event]]]:
    """The vectors of a dialect as events."""
    found = sorted((VECTORS / dialect.name).glob("*.sse"))
    assert found, dialect.name
    for path in found:
        if not path.name.startswith("error"):
            parser = dialect.stream_parser()
            yield f"{dialect.name}/{path.stem}", [*parser.feed(path.read_bytes()), *parser.end()]


def follow_up(response: ChatResponse) -> bytes:
    """What a client of Messages sends after an answer: all of it back, and a result for each call."""
    message = json.loads(ANTHROPIC.render_response(response, context_for()))
    results: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
        for block in message["content"]
        if block["type"] == "tool_use"
    ]
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": results or "go on"},
    ]
    return json.dumps({"model": "m", "max_tokens": 4000, "messages": turns}).encode()


class CrossTests(unittest.TestCase):
    def test_streams_of_all_vendors_parse_in_the_sdk(self) -> None:
        """Amp's Anthropic client understands every vendor's stream, and finds the same in it."""
        for dialect, _ in OTHERS:
            for name, events in streams(dialect):
                with self.subTest(name):
                    found = streamed(ANTHROPIC.stream_renderer(context_for()).feed(events))
                    parts = fold(events).candidates[0].parts
                    said = "".join(part.text for part in parts if isinstance(part, Text))
                    self.assertEqual(
                        "".join(b.text for b in found.content if b.type == "text")[: len(said)], said
                    )
                    calls = [part.id for part in parts if isinstance(part, ToolCall)]
                    self.assertEqual([b.id for b in found.content if b.type == "tool_use"], calls)

    def test_proofs_come_back_to_their_vendor(self) -> None:
        """A thread on another vendor's model keeps its proofs of reasoning through Amp's Anthropic client."""
        seen = 0
        for dialect, model in OTHERS:
            for name, events in streams(dialect):
                response = fold(events)
                request = ANTHROPIC.parse_request(follow_up(response))
                body = dialect.render_request(request, target_for(dialect.name, model)).body.decode()
                for part in response.candidates[0].parts:
                    signature = getattr(part, "signature", None)
                    # A picture in an answer is a loss here, and its proof with it; likewise the proof of the
                    # text that ends an answer.
                    last = isinstance(part, Text) and part is response.candidates[0].parts[-1]
                    if isinstance(signature, Signature) and not isinstance(part, Image) and not last:
                        seen += 1
                        with self.subTest(name, part=type(part).__name__):
                            self.assertIn(json.dumps(signature.value), body)
                            self.assertIn(signature.item or "", body)
        self.assertGreater(seen, 3)

    def test_proofs_stay_in_place(self) -> None:
        """Gemini's proof sits on the same call again: anywhere else it would be refused."""
        for name, events in streams(GEMINI_DIALECT):
            response = fold(events)
            sent = ANTHROPIC.parse_request(follow_up(response)).turns[1].parts
            with self.subTest(name):
                before = [
                    part.signature for part in response.candidates[0].parts if isinstance(part, ToolCall)
                ]
                self.assertEqual([part.signature for part in sent if isinstance(part, ToolCall)], before)

    def test_foreign_proofs_never_reach_anthropic(self) -> None:
        """A thread that moves to Claude is accepted there."""
        for dialect, _ in OTHERS:
            for name, events in streams(dialect):
                request = ANTHROPIC.parse_request(follow_up(fold(events)))
                rendered = ANTHROPIC.render_request(request, target_for("anthropic", "claude-opus-4-5"))
                with self.subTest(name):
                    self.assertNotIn(MARK.encode(), rendered.body)
                    self.assertNotIn(b'"thinking"', rendered.body)

    def test_claudes_thinking_stays_out_of_foreign_text(self) -> None:
        """Claude's thoughts are not told to another vendor as words that were said."""
        parser = ANTHROPIC.stream_parser()
        response = fold(parser.feed((VECTORS / "anthropic/tools.sse").read_bytes()))
        request = ANTHROPIC.parse_request(follow_up(response))
        for dialect, model in OTHERS:
            body = dialect.render_request(request, target_for(dialect.name, model)).body
            self.assertNotIn(b"EqoBCkgIARABGAIiQL8", body)
