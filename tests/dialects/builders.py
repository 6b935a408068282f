"""Pieces of requests in the vocabulary, as the tests of all dialects build them."""

from __future__ import annotations

import json
from typing import Any

from ampproxy.adapt.target import Target
from ampproxy.dialects.base import Dialect
from ampproxy.model.parts import Text, ToolCall, ToolResult
from ampproxy.model.request import ChatRequest, Turn


def texts(*parts: Any) -> tuple[Any, ...]:
    """Parts, of which those that are strings are texts."""
    return tuple(Text(part) if isinstance(part, str) else part for part in parts)


def user(*parts: Any) -> Turn:
    return Turn("user", texts(*parts))


def assistant(*parts: Any) -> Turn:
    return Turn("assistant", texts(*parts))


def call(id: str, name: str = "Bash", arguments: str = "{}", **fields: Any) -> ToolCall:
    return ToolCall(id, name, arguments, **fields)


def result(id: str, *parts: Any, **fields: Any) -> ToolResult:
    """What a tool answered; without parts its words name the call."""
    return ToolResult(id, texts(*parts) or texts(f"result of {id}"), **fields)


def rendered(dialect: Dialect, request: ChatRequest, target: Target) -> tuple[Any, list[str]]:
    """The body that is sent, and the kinds of what was lost."""
    found = dialect.render_request(request, target)
    return json.loads(found.body), [loss.kind for loss in found.losses]
