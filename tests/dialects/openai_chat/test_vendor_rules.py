"""OpenAI's own rules, for any request that any dialect could have parsed."""

from __future__ import annotations

import json
import re
import unittest
from typing import Any

from hypothesis import given

from ampproxy.dialects.base import Target
from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.model.request import ChatRequest
from tests import strategies

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MEMBERS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "refusal", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}
_PARTS = {
    "system": {"text"},
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text"},
    "tool": {"text"},
}
_TOP = {
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "n",
    "seed",
    "stop",
    "reasoning_effort",
    "response_format",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "service_tier",
    "prompt_cache_key",
}


class VendorRules(unittest.TestCase):
    """What OpenAI would answer 400 to is never sent."""

    @given(strategies.requests())
    def test_openai_would_take_it(self, request: ChatRequest) -> None:
        """A thread from any client is accepted by OpenAI and by servers that follow it."""
        for model in ("gpt-5.1", "local-model"):
            body = json.loads(DIALECT.render_request(request, Target(model)).body)
            self.assertEqual(body.keys() - _TOP, set())
            self.assertTrue(body["messages"])
            self._check_messages(body["messages"])
            self._check_tools(body)
            self.assertLessEqual(len(body.get("stop", ())), 4)

    def _check_messages(self, messages: list[dict[str, Any]]) -> None:
        waiting: list[str] = []
        for message in messages:
            role = message["role"]
            self.assertEqual(message.keys() - _MEMBERS[role], set())
            if role == "tool":
                self.assertIn(message["tool_call_id"], waiting, "a result without its call before it")
                waiting.remove(message["tool_call_id"])
            else:
                self.assertEqual(waiting, [], "a call without its result")
            content = message["content"]
            if isinstance(content, list):
                self.assertTrue(content)
                self.assertEqual({part["type"] for part in content} - _PARTS[role], set())
            elif content is None:
                self.assertTrue(message.get("tool_calls") or message.get("refusal"))
            if role == "assistant":
                calls = message.get("tool_calls", [])
                # One id twice in a message is the client's own mistake; it is answered once.
                waiting = list({call["id"]: None for call in calls})
                for call in calls:
                    self.assertLessEqual(len(call["id"]), 40)
                    kind = call["type"]
                    self.assertTrue(_NAME.fullmatch(call[kind]["name"]))
                    if kind == "function":
                        self.assertIsInstance(json.loads(call["function"]["arguments"]), dict)
        self.assertEqual(waiting, [])

    def _check_tools(self, body: dict[str, Any]) -> None:
        tools = body.get("tools")
        if tools is None:
            self.assertEqual(body.keys() & {"tool_choice", "parallel_tool_calls"}, set())
            return
        names = [tool[tool["type"]]["name"] for tool in tools]
        self.assertEqual(len(set(names)), len(names))
        for tool in tools:
            self.assertTrue(_NAME.fullmatch(tool[tool["type"]]["name"]))
            schema = tool[tool["type"]].get("parameters")
            if schema is not None:
                self.assertEqual(schema["type"], "object")
                self.assertIn("properties", schema)
