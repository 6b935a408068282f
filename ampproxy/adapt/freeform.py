"""A freeform tool (its input is text) at a vendor that only has functions with JSON arguments.

It is declared as a function with one string member, :data:`MEMBER`; its calls are wrapped the same way, and
the calls in the answer are unwrapped. ``Rendered.freeform`` has the names as sent.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from ampproxy.model.base import Json
from ampproxy.model.events import Delta, Event, PartClosed, PartStarted
from ampproxy.model.parts import ToolCall
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


def unwrap(arguments: str) -> str:
    """The text of a call to a wrapped tool; a model that did not keep to the schema is taken literally."""
    value = loads(arguments.encode("utf-8", "surrogatepass"))
    text = value.get(MEMBER) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments


class FreeformCalls(msgspec.Struct):
    """Turns the calls of wrapped tools in a stream back into freeform calls.

    Their arguments are held until the call is whole (the text is inside a JSON string); everything
    else passes untouched.

    :param names: the tools' names as the events carry them.
    """

    _names: frozenset[str]
    #: By a call's number the pieces of its arguments.
    _open: dict[int, list[str]] = {}

    def feed(self, events: list[Event]) -> list[Event]:
        """Take the next events; give them with freeform calls."""
        if not self._names:
            return events
        return [out for event in events for out in self._one(event)]

    def _one(self, event: Event) -> list[Event]:
        if isinstance(event, PartStarted):
            part = event.part
            if isinstance(part, ToolCall) and part.name in self._names:
                self._open[event.index] = [part.arguments]
                return [replace(event, part=replace(part, arguments="", freeform=True))]
        elif isinstance(event, Delta) and event.index in self._open:
            self._open[event.index].append(event.text)
            return []
        elif isinstance(event, PartClosed) and event.index in self._open:
            return [Delta(event.index, unwrap("".join(self._open.pop(event.index)))), event]
        return [event]
