"""What we say parses in the vendor's own SDK, over an in-memory transport."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable

import anthropic
import httpx2
from hypothesis import given, settings

from ampproxy.dialects.anthropic import DIALECT
from ampproxy.model.events import ChatResponse, Event, Failed, Started, WireError
from ampproxy.model.fold import fold, unfold
from ampproxy.model.parts import ToolCall
from tests import strategies
from tests.dialects.laws import VECTORS, context_for


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> anthropic.Anthropic:
    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return anthropic.Anthropic(api_key="k", max_retries=0, http_client=transport, base_url="http://127.0.0.1")


def streamed(data: bytes) -> anthropic.types.Message:
    """The message that the SDK collects from a stream."""
    reply = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
    with client(lambda _: reply).messages.stream(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
    ) as stream:
        return stream.get_final_message()


class SdkTests(unittest.TestCase):
    @settings(max_examples=25, deadline=None)
    @given(strategies.responses())
    def test_stream_is_collected_to_the_whole_answer(self, response: ChatResponse) -> None:
        """The SDK makes the same message of our stream as of our whole answer."""
        found = streamed(DIALECT.stream_renderer(context_for()).feed(unfold(response)))
        whole = json.loads(DIALECT.render_response(response, context_for()))
        content = [block.to_dict() for block in found.content]
        self.assertEqual(content, whole["content"])
        self.assertEqual(found.stop_reason, whole["stop_reason"])
        self.assertEqual(found.usage.output_tokens, whole["usage"]["output_tokens"])

    @settings(max_examples=25, deadline=None)
    @given(strategies.interleaved_streams())
    def test_interleaved_calls_are_whole(self, events: list[Event]) -> None:
        """Parallel calls arrive with their arguments however the vendor mixed them."""
        found = streamed(DIALECT.stream_renderer(context_for()).feed(events))
        calls = {block.id: block.input for block in found.content if block.type == "tool_use"}
        wanted = [part for part in fold(events).candidates[0].parts if isinstance(part, ToolCall)]
        self.assertEqual(calls, {part.id: json.loads(part.arguments) for part in wanted})

    def test_vectors_are_what_the_vendor_sends(self) -> None:
        """The SDK reads our vectors, so the laws are held against real streams."""
        for path in sorted((VECTORS / "anthropic").glob("*.sse")):
            if not path.name.startswith("error"):
                with self.subTest(path.stem):
                    self.assertTrue(streamed(path.read_bytes()).stop_reason)

    def test_errors_have_the_sdks_classes(self) -> None:
        """A caller's ``except RateLimitError`` works, in mid-stream too."""
        body = DIALECT.error_body(WireError("rate_limit", "Slow down.", 429))
        with self.assertRaises(anthropic.RateLimitError):
            client(lambda _: httpx2.Response(429, content=body)).messages.create(
                model="m", max_tokens=1, messages=[]
            )
        broken = DIALECT.stream_renderer(context_for())
        data = broken.feed([Started(), Failed(WireError("overloaded", "Busy."))])
        with self.assertRaises(anthropic.APIStatusError) as caught:
            streamed(data)
        self.assertIn("Busy.", str(caught.exception))

    def test_lists_and_counts(self) -> None:
        """Model lists and token counts come out of the SDK typed."""
        from ampproxy.dialects.base import ModelInfo

        listed = DIALECT.models_body([ModelInfo("a", "me", 1_700_000_000)])
        page = client(lambda _: httpx2.Response(200, content=listed)).models.list()
        self.assertEqual([(model.id, model.created_at.year) for model in page], [("a", 2023)])
        counted = client(lambda _: httpx2.Response(200, content=DIALECT.count_body(7))).messages.count_tokens(
            model="m", messages=[]
        )
        self.assertEqual(counted.input_tokens, 7)
