"""Whole answers: what is read from servers, and what a client is given."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import CHAT, Json
from ampproxy.model.events import Candidate, ChatResponse, Finished
from ampproxy.model.parts import Image, Inline, Opaque, Reasoning, Refusal, Text, ToolCall
from tests.dialects.laws import context_for


def read(**message: Any) -> Candidate:
    body = {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    return DIALECT.parse_response(json.dumps(body).encode()).candidates[0]


def told(*parts: Any, end: Finished | None = None) -> Any:
    response = ChatResponse(candidates=(Candidate(parts, end or Finished("stop")),), dialect="anthropic")
    return json.loads(DIALECT.render_response(response, context_for()))["choices"][0]


class Reading(unittest.TestCase):
    """Answers of many servers."""

    def test_odd_messages(self) -> None:
        """Nothing said, arguments as an object, an empty reasoning member."""
        self.assertEqual(read(content=None).parts, ())
        self.assertEqual(read(content="", reasoning=None, tool_calls=None).parts, ())
        (call,) = read(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"n": 1}}}]).parts
        assert isinstance(call, ToolCall)
        self.assertEqual(json.loads(call.arguments), {"n": 1})

    def test_end_follows_what_was_said(self) -> None:
        """``stop`` beside calls means the calls, beside a refusal the refusal."""
        calls = [{"id": "a", "function": {"name": "f", "arguments": ""}}]
        for message, reason in [({"tool_calls": calls}, "tool_calls"), ({"refusal": "no"}, "refusal")]:
            end = read(**message).finish
            assert end is not None
            self.assertEqual((end.reason, end.detail), (reason, "stop"))

    def test_not_an_answer(self) -> None:
        """An error with status 200, another body, an impossible index: the vendor's fault."""
        for body in (
            b'{"error":{"message":"overloaded","code":503}}',
            b'{"object":"list"}',
            b"[]",
            b"<html>",
            b'{"choices":[{"index":999999,"message":{"content":"x"}}]}',
            b'{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}',
        ):
            with self.subTest(body=body), self.assertRaises(UpstreamFault) as caught:
                DIALECT.parse_response(body)
            self.assertTrue(caught.exception.error.message)


class Telling(unittest.TestCase):
    """Answers for clients."""

    def test_content_is_null_only_beside_something(self) -> None:
        """An empty answer has empty words, as OpenAI's has."""
        self.assertEqual(told()["message"]["content"], "")
        self.assertIsNone(told(ToolCall("c", "f", "{}"))["message"]["content"])
        self.assertIsNone(told(Refusal("no"))["message"]["content"])

    def test_call_is_told_by_the_end(self) -> None:
        """A client never misses a call because of another vendor's word for the end."""
        choice = told(Reasoning("hm"), Text("a"), ToolCall("c", "f", ""), Text("b"), end=Finished("stop"))
        self.assertEqual(choice["finish_reason"], "tool_calls")
        self.assertEqual((choice["message"]["content"], choice["message"]["reasoning_content"]), ("ab", "hm"))
        self.assertEqual(choice["message"]["tool_calls"][0]["function"]["arguments"], "{}")

    def test_pictures_and_strange_parts(self) -> None:
        """A picture is given as routers give it; another vendor's own parts leave the words whole."""
        choice = told(Text("a"), Image(Inline("image/png", "aGk=")), Opaque("gemini", "x", Json(b"{}")))
        self.assertEqual(choice["message"]["images"][0]["image_url"]["url"], "data:image/png;base64,aGk=")
        self.assertEqual(choice["message"]["content"], "a")

    def test_extras_of_another_dialect_stay_out(self) -> None:
        """Members that another vendor knows do not reach a chat client."""
        extras = {"stop_details": Json(b"{}")}
        for dialect, there in (("anthropic", False), (CHAT, True)):
            body = DIALECT.render_response(ChatResponse(dialect=dialect, extras=extras), context_for())
            self.assertEqual("stop_details" in json.loads(body), there)
