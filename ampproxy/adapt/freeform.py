"""A freeform tool (its input is text) at a vendor that only has functions with JSON arguments: it is declared
as a function with one string member, and its calls are wrapped the same way.
"""

from __future__ import annotations

from typing import Final

from ampproxy.model.base import Json
from ampproxy.model.request import Tool
from ampproxy.wire.values import encode, loads

MEMBER: Final = "input"

#: The schema of the function that stands for a freeform tool.
SCHEMA: Final = Json(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    b'"additionalProperties":false}'
)


def described(tool: Tool) -> str | None:
    """The description of a tool that is declared as such a function: the model reads its grammar there."""
    grammar = loads(tool.grammar) if tool.freeform and tool.grammar is not None else None
    rule = grammar.get("definition") if isinstance(grammar, dict) else None
    if not isinstance(rule, str) or not isinstance(grammar, dict):
        return tool.description
    syntax = grammar.get("syntax") or "a"
    rule_text = f"`{MEMBER}` has to match this grammar ({syntax}):\n{rule}"
    return f"{tool.description}\n\n{rule_text}" if tool.description else rule_text


def wrap(text: str) -> str:
    """The arguments that stand for a freeform call's text."""
    return encode({MEMBER: text}).decode()
