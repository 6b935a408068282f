"""Turns as the items of ``input``.

A user's and the system's words are ``input_text``, the assistant's ``output_text`` or ``refusal``; calls,
their outputs and reasoning are items of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from ampproxy.dialects.json import put
from ampproxy.dialects.openai_responses.content import write_input
from ampproxy.model.base import Json
from ampproxy.model.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ampproxy.model.request import Turn

Item: TypeAlias = "dict[str, Any] | Json"

_OWN_MESSAGE: Final = ("id", "phase")


class ItemWriter:
    """Writes the items of turns that are fitted to the dialect.

    :param names: gives the tool names to send; ``ids``: the calls' ids.
    """

    def __init__(self, names: Callable[[str], str], ids: Callable[[str], str]) -> None:
        self._names = names
        self._ids = ids

    def items(self, turns: Iterable[Turn]) -> list[Item]:
        """All items, in order."""
        return [item for turn in turns for item in self._items(turn)]

    def _items(self, turn: Turn) -> Iterator[Item]:
        """Items as they stand, and what is between them as messages."""
        content: list[Part] = []
        for part in turn.parts:
            item = self._item(part, turn)
            if item is None:
                content.append(part)
                continue
            yield from self._message(turn, content)
            content = []
            yield item
        yield from self._message(turn, content)

    def _item(self, part: Part, turn: Turn) -> Item | None:
        """What is an item of its own."""
        if isinstance(part, Opaque):
            return part.raw if turn.role == "assistant" or not _is_content(part) else None
        write = _WRITERS.get(type(part))
        return None if write is None else write(self, part)

    def _message(self, turn: Turn, parts: Sequence[Part]) -> Iterator[Item]:
        if not parts:
            return
        if turn.role != "assistant":
            content = [write_input(part) for part in parts]
            yield {"type": "message", "role": turn.role, "content": content}
            return
        extras = parts[0].extras if isinstance(parts[0], Text) else {}
        message: dict[str, Any] = {"type": "message", "role": "assistant"}
        message |= {name: extras[name] for name in _OWN_MESSAGE if name in extras}
        message["content"] = [_output_part(part) for part in parts]
        if "id" in message:
            message["status"] = "completed"
        yield message

    def _call(self, part: ToolCall) -> Item:
        item: dict[str, Any] = {"type": "custom_tool_call" if part.freeform else "function_call"}
        put(item, {"id": part.item})
        item |= {"call_id": self._ids(part.id), "name": self._names(part.name)}
        if part.freeform:
            item["input"] = part.arguments
        else:
            item["arguments"] = part.arguments or "{}"
        return {**item, **part.extras}

    def _result(self, part: ToolResult) -> Item:
        kind = "custom_tool_call_output" if part.freeform else "function_call_output"
        return {"type": kind, "call_id": self._ids(part.call), "output": _output(part), **part.extras}

    def _reasoning(self, part: Reasoning) -> Item:
        texts = part.sections or ((part.text,) if part.text else ())
        item: dict[str, Any] = {"type": "reasoning"}
        put(item, {"id": part.signature.item if part.signature else None})
        item["summary"] = [{"type": "summary_text", "text": text} for text in texts]
        put(item, {"encrypted_content": (part.signature.value or None) if part.signature else None})
        return item


def _output_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    assert isinstance(part, Text)
    rest = {name: value for name, value in part.extras.items() if name not in _OWN_MESSAGE}
    return {"type": "output_text", "text": part.text, **rest}


def _output(part: ToolResult) -> str | list[Item]:
    if len(part.parts) == 1 and isinstance(part.parts[0], Text) and not part.parts[0].extras:
        return part.parts[0].text
    return [write_input(inner) for inner in part.parts] or ""


def _is_content(part: Opaque) -> bool:
    """Whether an opaque part stood in a message's content and not among the items."""
    return part.kind.startswith("input_") or part.kind.endswith("_text")


_WRITERS: Final[dict[type, Callable[[ItemWriter, Any], Item]]] = {
    ToolCall: ItemWriter._call,
    ToolResult: ItemWriter._result,
    Reasoning: ItemWriter._reasoning,
}
