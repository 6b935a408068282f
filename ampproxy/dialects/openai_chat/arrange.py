"""Puts calls and their results where OpenAI wants them: each call answered right after its message.

A request without this order is refused ("An assistant message with 'tool_calls' must be followed by
tool messages responding to each 'tool_call_id'").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ampproxy.dialects._common import Losses
from ampproxy.model.base import Json
from ampproxy.model.parts import Part, Text, ToolCall, ToolResult
from ampproxy.model.request import Role, Turn

#: What a call is answered with that never was: the conversation went on without its result.
INTERRUPTED: Final = "interrupted"


class Placed(NamedTuple):
    """A part and where it stands in the request."""

    path: str
    part: Part


class Message:
    """A message to be written: its parts, and for an assistant's the results of its calls."""

    __slots__ = ("extras", "parts", "path", "results", "role")

    def __init__(self, role: Role, path: str, parts: list[Placed], extras: dict[str, Json]) -> None:
        self.role = role
        self.path = path
        self.parts = parts
        self.extras = extras
        self.results: list[Placed] = []

    @property
    def calls(self) -> list[Placed]:
        """The tool calls in it."""
        return [placed for placed in self.parts if isinstance(placed.part, ToolCall)]


def arrange(turns: Sequence[Turn], losses: Losses) -> list[Message]:
    """The messages, each call's result taken out of the turns and put to the call.

    What does not fit is mended and told: a call without a result is answered as interrupted, a result
    without a call becomes a user's text.
    """
    messages = _joined(turns)
    taken: set[str] = set()
    for number, message in enumerate(messages):
        if message.calls:
            _answer(message, messages[number + 1 :], taken, losses)
    kept = []
    for message in messages:
        had_parts = bool(message.parts)
        message.parts = list(_without_results(message.parts, taken, losses))
        if message.parts or not had_parts or message.extras:
            kept.append(message)
    return kept


def _joined(turns: Sequence[Turn]) -> list[Message]:
    """One message a turn; an assistant's turn that follows one with calls goes on with that one."""
    messages: list[Message] = []
    for number, turn in enumerate(turns):
        path = f"turns[{number}]"
        parts = [Placed(f"{path}.parts[{index}]", part) for index, part in enumerate(turn.parts)]
        last = messages[-1] if messages else None
        if last and last.role == turn.role == "assistant" and last.calls:
            last.parts += parts
            last.extras = {**last.extras, **turn.extras}
        else:
            messages.append(Message(turn.role, path, parts, turn.extras))
    return messages


def _answer(message: Message, later: Sequence[Message], taken: set[str], losses: Losses) -> None:
    """Find the results of a message's calls among what follows."""
    waiting = {placed.part.id: placed.path for placed in message.calls if isinstance(placed.part, ToolCall)}
    late = False
    for other in later:
        if other.role == "assistant":
            late = True
            # The same id again: what follows belongs to that call.
            for again in _call_ids(other):
                if again in waiting:
                    _interrupt(message, again, waiting.pop(again), losses)
        for placed in other.parts:
            part = placed.part
            if isinstance(part, ToolResult) and part.call in waiting and placed.path not in taken:
                del waiting[part.call]
                taken.add(placed.path)
                message.results.append(placed)
                if late:
                    losses("result_order", placed.path, "A result was moved up to the call it answers.")
        if not waiting:
            return
    for call, path in waiting.items():
        _interrupt(message, call, path, losses)


def _call_ids(message: Message) -> Iterator[str]:
    return (placed.part.id for placed in message.calls if isinstance(placed.part, ToolCall))


def _interrupt(message: Message, call: str, path: str, losses: Losses) -> None:
    losses("unanswered_call", path, "A call without a result was answered as interrupted.")
    message.results.append(Placed(path, ToolResult(call, (Text(INTERRUPTED),))))


def _without_results(parts: Iterable[Placed], taken: set[str], losses: Losses) -> Iterator[Placed]:
    for placed in parts:
        if not isinstance(placed.part, ToolResult):
            yield placed
        elif placed.path not in taken:
            losses("orphan_result", placed.path, "A result without a call was told as the user's words.")
            yield from (Placed(placed.path, part) for part in placed.part.parts)
