"""Turns out as the items of ``input``, by the rules that the service checks.

- A user's and the system's words are ``input_text``, the assistant's ``output_text`` or ``refusal``.
- A reasoning item goes only with the proof that this vendor issued, under the id it was issued with, and
  never last: the message or the call that it led to follows it.
- Every output has its call before it, every call its output after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ampproxy.dialects.base import Target
from ampproxy.dialects.common import Losses, ToolNameMap, Unique, raw_str
from ampproxy.dialects.json import put
from ampproxy.dialects.openai import SHARED_OF_PARTS
from ampproxy.dialects.openai_responses.content import render_input
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.loss import Loss, part_kind
from ampproxy.model.parts import (
    Audio,
    Document,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Turn

Item: TypeAlias = "dict[str, Any] | Json"

#: The longest ``call_id``.
CALL_ID_LIMIT = 64
#: What stands where the result of an interrupted call would stand.
INTERRUPTED = "The call was interrupted and has no result."

_CACHE = "Responses caches by itself; marks have no place."
_OWN_MESSAGE = ("id", "phase")


class CallIds:
    """Ids of calls as they are sent: short enough, and no two calls with the same.

    Servers without ids of their own count their calls anew in each turn, so an id may come again; a
    result belongs to the first call of its id that has none.
    """

    def __init__(self) -> None:
        self._unique = Unique(CALL_ID_LIMIT)
        self._open: dict[str, deque[str]] = {}
        self._forgotten: set[str] = set()

    def call(self, id: str) -> str:
        """The id of a new call."""
        sent = self._unique(id)
        self._open.setdefault(id, deque()).append(sent)
        return sent

    def result(self, id: str) -> str | None:
        """The id of the call that a result belongs to; ``None`` if there is none."""
        waiting = self._open.get(id)
        while waiting:
            if (sent := waiting.popleft()) not in self._forgotten:
                return sent
        return None

    def forget(self, sent: str) -> None:
        """No result will come any more."""
        self._forgotten.add(sent)


class ItemWriter:
    """Writes the items of one request.

    :param names: gives the tool names to send.
    :param losses: told what could not be said.
    """

    def __init__(self, request: ChatRequest, target: Target, names: ToolNameMap, losses: Losses) -> None:
        self._turns = request.turns
        self._native = request.dialect == RESPONSES
        self._stored = self._native and bytes(request.extras.get("store", b"true")) == b"true"
        self._thinks = target.thinking != "none"
        self._names = names
        self._losses = losses
        self._items: list[Item] = []
        #: The turn in which each call's last result stands.
        self._answered = {
            part.call: number
            for number, turn in enumerate(request.turns)
            for part in turn.parts
            if isinstance(part, ToolResult)
        }
        self._ids = CallIds()
        #: Calls of the turn before: as the client knows them, and the id that was sent.
        self._open: list[tuple[ToolCall, str]] = []

    def write(self) -> list[Item]:
        """All items, in order."""
        for number, turn in enumerate(self._turns):
            path = f"turns[{number}]"
            self._lose_extras(turn.extras, path)
            if turn.role == "assistant":
                self._assistant(turn, path)
            else:
                self._answer_open_calls(number)
                self._render_turn(turn, path)
        return list(self._without_orphans())

    # ---------------------------------------------------------------------------- user and system

    def _render_turn(self, turn: Turn, path: str) -> None:
        """A user's or the system's turn: results as they stand, what is between them as messages."""
        content: list[Item] = []
        for number, part in enumerate(turn.parts):
            at = f"{path}.parts[{number}]"
            self._mark(part, at)
            if isinstance(part, ToolResult) and (id := self._call_of(part)) is not None:
                content = self._message(turn, content)
                self._items.append(self._result(part, id, at))
            elif isinstance(part, ToolResult):
                self._losses("orphan_result", at, "The result's call does not stand before it: sent as text.")
                content += self._content(part.parts, at)
            elif isinstance(part, Opaque) and part.dialect == RESPONSES and not _is_content(part):
                content = self._message(turn, content)
                self._items.append(part.raw)
            else:
                content += self._content((part,), at)
        self._message(turn, content)

    def _message(self, turn: Turn, content: list[Item]) -> list[Item]:
        """Add a message, if there is anything in it; give the next one's empty content."""
        if content:
            self._items.append({"type": "message", "role": turn.role, "content": content})
        return []

    def _content(self, parts: Iterable[Part], path: str) -> list[Item]:
        items: list[Item] = []
        for part in parts:
            one = render_input(part, path, native=self._native)
            if isinstance(one, Loss):
                self._losses(one.kind, one.path, one.why)
            else:
                items.append(one)
        return items

    def _call_of(self, part: ToolResult) -> str | None:
        return part.call if self._native else self._ids.result(part.call)

    def _result(self, part: ToolResult, id: str, path: str) -> Item:
        if part.is_error:
            self._losses(
                "is_error", path, "Responses has no flag for a failed call; the text stands for itself."
            )
        kind = "custom_tool_call_output" if part.freeform else "function_call_output"
        item: dict[str, Any] = {
            "type": kind,
            "call_id": id,
            "output": self._output(part, path),
        }
        return {**item, **(part.extras if self._native else {})}

    def _output(self, part: ToolResult, path: str) -> str | list[Item]:
        if part.structured is not None and not part.parts:
            return raw_str(part.structured)
        if len(part.parts) == 1 and isinstance(part.parts[0], Text) and not part.parts[0].extras:
            return part.parts[0].text
        return self._content(part.parts, path) or ""

    def _answer_open_calls(self, turn: int) -> None:
        """The conversation goes on, so calls that nobody answers from here on were interrupted."""
        for call, sent in self._open:
            if self._native or self._answered.get(call.id, -1) >= turn:
                continue
            path = f"turns[{turn}]"
            self._losses(
                "unanswered_call", path, f"No result followed the call {call.id}: marked as interrupted."
            )
            kind = "custom_tool_call_output" if call.freeform else "function_call_output"
            self._items.append({"type": kind, "call_id": sent, "output": INTERRUPTED})
            self._ids.forget(sent)
        self._open = []

    # ---------------------------------------------------------------------------------- assistant

    def _assistant(self, turn: Turn, path: str) -> None:
        message: dict[str, Any] | None = None
        for number, part in enumerate(turn.parts):
            at = f"{path}.parts[{number}]"
            self._mark(part, at)
            if isinstance(part, Text | Refusal):
                message = self._into(message, part)
                continue
            if write := _ASSISTANT.get(type(part)):
                if item := write(self, part, at):
                    self._items.append(item)
                    message = None
                continue
            self._losses(part_kind(part), at, "Responses has no place for this in the assistant's words.")

    def _into(self, message: dict[str, Any] | None, part: Text | Refusal) -> dict[str, Any]:
        """Add words to the open message, or to a new one."""
        mine = part.extras if isinstance(part, Text) and self._native else {}
        if message is None:
            head = {name: mine[name] for name in _OWN_MESSAGE if name in mine}
            message = {"type": "message", "role": "assistant", **head, "content": []}
            if "id" in head:
                message["status"] = "completed"
            self._items.append(message)
        if isinstance(part, Refusal):
            message["content"].append({"type": "refusal", "refusal": part.text})
        else:
            rest = {name: value for name, value in mine.items() if name not in _OWN_MESSAGE}
            message["content"].append({"type": "output_text", "text": part.text, **rest})
        return message

    def _call(self, part: ToolCall, path: str) -> Item:
        id = part.id if self._native else self._ids.call(part.id)
        self._open.append((part, id))
        item: dict[str, Any] = {"type": "custom_tool_call" if part.freeform else "function_call"}
        put(item, {"id": part.item if self._native else None})
        item |= {"call_id": id, "name": self._names(part.name)}
        if part.freeform:
            item["input"] = part.arguments
        else:
            item["arguments"] = part.arguments or "{}"
        return {**item, **(part.extras if self._native else {})}

    def _reasoning(self, part: Reasoning, path: str) -> Item | None:
        sealed = part.sealed
        if sealed is None:
            self._losses("reasoning", path, "Thinking without its vendor's proof is not taken back.")
            return None
        if sealed.vendor != RESPONSES:
            self._losses("foreign_proof", path, f"The proof of this thinking is {sealed.vendor}'s.")
            return None
        if not self._thinks:
            self._losses("reasoning", path, "The model does not think and takes no thinking back.")
            return None
        if not sealed.value and not (self._stored and sealed.item):
            self._losses("reasoning", path, "The thinking came without its proof.")
            return None
        texts = part.sections or ((part.text,) if part.text else ())
        item: dict[str, Any] = {"type": "reasoning"}
        put(item, {"id": sealed.item})
        item["summary"] = [{"type": "summary_text", "text": text} for text in texts]
        put(item, {"encrypted_content": sealed.value or None})
        return item

    def _audio(self, part: Audio, path: str) -> Item | None:
        self._losses("audio", path, "Responses has no place for spoken words of the assistant.")
        if not part.transcript:
            return None
        content = [{"type": "output_text", "text": part.transcript}]
        return {"type": "message", "role": "assistant", "content": content}

    def _opaque(self, part: Opaque, path: str) -> Item | None:
        if part.dialect == RESPONSES:
            return part.raw
        self._losses("opaque", path, f"Only {part.dialect} knows {part.kind}.")
        return None

    # --------------------------------------------------------------------------------------- both

    def _mark(self, part: Part, path: str) -> None:
        """Tell what a part carries that has no place here."""
        if getattr(part, "cache", None) is not None:
            self._losses("cache_control", path, _CACHE)
        self._lose_extras(getattr(part, "extras", {}), path)
        self._lose_name(part, path)
        for number, inner in enumerate(part.parts if isinstance(part, ToolResult) else ()):
            self._lose_name(inner, f"{path}.parts[{number}]")
            self._lose_extras(inner.extras, f"{path}.parts[{number}]")
        if not isinstance(part, Reasoning) and (sealed := getattr(part, "sealed", None)) is not None:
            self._losses("foreign_proof", path, f"The proof on this part is {sealed.vendor}'s.")

    def _lose_name(self, part: Part, path: str) -> None:
        """A file that is sent has its name; no other document has."""
        named = isinstance(part, Document) and part.name and not isinstance(part.source, Inline)
        if named and not self._native:
            self._losses("document_name", path, "A document that is not sent itself has no name here.")

    def _lose_extras(self, extras: dict[str, Json], path: str) -> None:
        lost = sorted(extras.keys() - SHARED_OF_PARTS) if extras and not self._native else ()
        if lost:
            self._losses("extras", path, f"Members of another dialect: {', '.join(lost)}.")

    def _without_orphans(self) -> Iterable[Item]:
        """The items without reasoning that nothing follows which it could have led to."""
        kept: list[Item] = []
        followed = False
        for item in reversed(self._items):
            kind = item.get("type") if isinstance(item, dict) else None
            if kind == "reasoning" and not followed:
                self._losses("orphan_reasoning", "turns", "Thinking that led to nothing was left out.")
                continue
            # Reasoning may lead to more reasoning, to words, to calls and to items only this dialect knows.
            followed = not isinstance(item, dict) or (
                item.get("role") == "assistant" or kind in ("reasoning", "function_call", "custom_tool_call")
            )
            kept.append(item)
        return reversed(kept)


def _is_content(part: Opaque) -> bool:
    """Whether an opaque part stood in a message's content and not among the items."""
    return part.kind.startswith("input_") or part.kind.endswith("_text")


_ASSISTANT: dict[type, Callable[[ItemWriter, Any, str], Item | None]] = {
    ToolCall: ItemWriter._call,
    Reasoning: ItemWriter._reasoning,
    Audio: ItemWriter._audio,
    Opaque: ItemWriter._opaque,
}
