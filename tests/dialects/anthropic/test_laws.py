"""The laws of every dialect, held against Anthropic Messages."""

from __future__ import annotations

import re
import unittest
from typing import Any

from ampproxy.dialects.anthropic import DIALECT
from tests.dialects.laws import VECTORS, DialectLaws


def blocks(content: Any) -> Any:
    """A string is the same as one text block."""
    found = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_block(block) if isinstance(block, dict) else block for block in found]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    if block.get("type") != "tool_result":
        return block
    # An error flag that is false says what no flag says.
    told = {name: value for name, value in block.items() if (name, value) != ("is_error", False)}
    return told | ({"content": blocks(told["content"])} if "content" in told else {})


class AnthropicLaws(DialectLaws, unittest.TestCase):
    """See the battery."""

    dialect = DIALECT
    vectors = VECTORS / "anthropic"
    #: One whose answer has its stop reason is whole; servers forget the event behind it.
    terminal = re.compile(rb"event: message_delta\r?\ndata: [^\n]*\n\r?\n")

    def normal_request(self, body: Any) -> Any:
        messages = [{**one, "content": blocks(one["content"])} for one in body["messages"]]
        told = {**body, "messages": messages}
        if "system" in told:
            told["system"] = blocks(told["system"])
        # The order of functions and hosted tools among each other means nothing, nor does "custom".
        tools = [
            {k: v for k, v in tool.items() if (k, v) != ("type", "custom")} for tool in told.get("tools", ())
        ]
        told["tools"] = sorted(tools, key=lambda tool: "type" in tool)
        return told
