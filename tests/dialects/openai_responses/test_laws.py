"""OpenAI Responses keeps the laws of all dialects."""

from __future__ import annotations

import re
import unittest
from typing import Any

from ampproxy.dialects.openai_responses import DIALECT
from tests.dialects import laws

#: What an answer repeats of its request, which the dialect cannot know here.
ECHO = (
    *("instructions", "metadata", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p"),
    *("max_output_tokens", "previous_response_id", "reasoning", "store", "text", "truncation", "user"),
)


class ResponsesLaws(laws.DialectLaws, unittest.TestCase):
    """The battery."""

    maxDiff = None
    dialect = DIALECT
    vectors = laws.VECTORS / "openai-responses"
    terminal = re.compile(rb"event: response\.(completed|incomplete)\ndata: .*\n\n")

    def normal_request(self, body: Any) -> Any:
        """One spelling of what may be said in several: the system's texts, easy messages, defaults."""
        body = {**body, "include": sorted(body.get("include", ()))}
        system = [{"type": "input_text", "text": body.pop("instructions")}] if "instructions" in body else []
        items = [self.normal_item(item) for item in body.pop("input")]
        while items and items[0].get("role") == "system":
            system += items.pop(0)["content"]
        tools = [
            {"strict": True, **tool} if tool["type"] == "function" else tool for tool in body.get("tools", ())
        ]
        return {**body, "system": system, "input": items, "tools": tools}

    def normal_item(self, item: Any) -> Any:
        item = dict(item)
        if "role" in item:
            item["type"] = "message"
            item["role"] = item["role"].replace("developer", "system")
            kind = "output_text" if item["role"] == "assistant" else "input_text"
            content = item["content"]
            content = [{"type": kind, "text": content}] if isinstance(content, str) else content
            item["content"] = [self.normal_content(part) for part in content]
        return item

    def normal_content(self, part: Any) -> Any:
        return {name: value for name, value in part.items() if value != []}

    def normal_response(self, body: Any) -> Any:
        """Without the ids that each answer has anew, and what is repeated of the request."""
        kept = {name: value for name, value in body.items() if name not in ECHO}
        details = {"cache_write_tokens": 0, **body["usage"]["input_tokens_details"]}
        return {
            **kept,
            "usage": {**body["usage"], "input_tokens_details": details},
            "output": [self.normal_output(item) for item in body["output"]],
        }

    def normal_output(self, item: Any) -> Any:
        item = dict(item)
        if item["type"] == "message" or (item["type"] == "reasoning" and "encrypted_content" not in item):
            del item["id"]
        if item["type"] == "reasoning":
            item.pop("status", None)
            thoughts = item.pop("content", None) or item["summary"]
            item["summary"] = [thought["text"] for thought in thoughts]
        return item

    def normal_fold(self, response: Any) -> Any:
        """Without the ids of calls, which a renderer makes as it needs them."""
        told = laws.plain(response)
        for candidate in told["candidates"]:
            for part in candidate["parts"]:
                part.pop("item", None)
        return told
