"""Puts calls and their results where OpenAI wants them: each call answered right after its message.

A request without this order is refused ("An assistant message with 'tool_calls' must be followed by
tool messages responding to each 'tool_call_id'").
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ampproxy.dialects.common import Losses
from ampproxy.model.base import Json
from ampproxy.model.parts import Part, Text, ToolCall, ToolResult
from ampproxy.model.request import Role, Turn

#: What a call is answered with that never was: the conversation went on without its result.
INTERRUPTED: Final = "interrupted"
#: The number of a message that there is not: after all others.
_NEVER: Final = sys.maxsize


class Placed(NamedTuple):
    """A part and where it stands in the request."""

    path: str
    part: Part


class Message:
    """A message to be written: its parts, and for an assistant's the results of its calls."""

    __slots__ = ("calls", "extras", "parts", "path", "results", "role")

    def __init__(self, role: Role, path: str, parts: list[Placed], extras: dict[str, Json]) -> None:
        self.role = role
        self.path = path
        self.parts: list[Placed] = []
        self.extras = dict(extras)
        #: Where each call of it stands, by the call's id; of namesakes the last one.
        self.calls: dict[str, str] = {}
        self.results: list[Placed] = []
        self.add(parts)

    def add(self, parts: list[Placed]) -> None:
        """Go on with these."""
        self.parts += parts
        self.calls.update((part.id, path) for path, part in parts if isinstance(part, ToolCall))


def arrange(turns: Sequence[Turn], losses: Losses) -> list[Message]:
    """The messages, each call's result taken out of the turns and put to the call.

    What does not fit is mended and told: a call without a result is answered as interrupted, a result
    without a call becomes a user's text.
    """
    messages = _joined(turns)
    results = _Results(messages)
    for number, message in enumerate(messages):
        if message.calls:
            results.answer(number, losses)
    kept = []
    for message in messages:
        had_parts = bool(message.parts)
        message.parts = list(_without_results(message.parts, results.taken, losses))
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
            last.add(parts)
            last.extras.update(turn.extras)
        else:
            messages.append(Message(turn.role, path, parts, turn.extras))
    return messages


class _Id:
    """Where an id occurs: the messages that call it, and its results, in their order."""

    __slots__ = ("calls", "results")

    def __init__(self) -> None:
        self.calls: deque[int] = deque()
        self.results: deque[tuple[int, int, Placed]] = deque()


class _Results:
    """The results in a conversation, each of which answers the call of its id that stands before it.

    :ivar taken: the paths of those that were given to a call.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self.taken: set[str] = set()
        self._ids: dict[str, _Id] = {}
        #: The next assistant's message after each message.
        self._spoken: list[int] = [_NEVER] * len(messages)
        for number in range(len(messages) - 2, -1, -1):
            after = number + 1
            self._spoken[number] = after if messages[after].role == "assistant" else self._spoken[after]
        for number, message in enumerate(messages):
            for call in message.calls if message.role == "assistant" else ():
                self._of(call).calls.append(number)
            for index, placed in enumerate(message.parts):
                if isinstance(placed.part, ToolResult):
                    self._of(placed.part.call).results.append((number, index, placed))

    def _of(self, call: str) -> _Id:
        return self._ids.setdefault(call, _Id())

    def answer(self, number: int, losses: Losses) -> None:
        """Give a message the results of its calls, in the order in which they stand. To be asked for one
        message after the other.
        """
        message = self._messages[number]
        answers = [self._answer(call, number, order) for order, call in enumerate(message.calls)]
        for where, _, call, placed in sorted(answers):
            if placed is None:
                _interrupt(message, call, losses)
                continue
            self.taken.add(placed.path)
            message.results.append(placed)
            if self._spoken[number] <= where:
                losses("result_order", placed.path, "A result was moved up to the call it answers.")

    def _answer(self, call: str, number: int, order: int) -> tuple[int, int, str, Placed | None]:
        """Where the answer of a call stands, for the order among them, and the answer. The same id may be
        called again: what follows belongs to that call.
        """
        known = self._of(call)
        while known.calls and known.calls[0] <= number:
            known.calls.popleft()
        again = known.calls[0] if known.calls else _NEVER
        while known.results and known.results[0][0] <= number:
            known.results.popleft()
        if known.results and known.results[0][0] < again:
            where, index, placed = known.results.popleft()
            return where, index, call, placed
        # Before the results of the message that calls it again.
        return again, order - len(self._messages[number].calls), call, None


def _interrupt(message: Message, call: str, losses: Losses) -> None:
    path = message.calls[call]
    losses("unanswered_call", path, "A call without a result was answered as interrupted.")
    message.results.append(Placed(path, ToolResult(call, (Text(INTERRUPTED),))))


def _without_results(parts: Iterable[Placed], taken: set[str], losses: Losses) -> Iterator[Placed]:
    for placed in parts:
        if not isinstance(placed.part, ToolResult):
            yield placed
        elif placed.path not in taken:
            losses("orphan_result", placed.path, "A result without a call was sent as the user's text.")
            if extras := sorted(placed.part.extras):
                losses("extras", placed.path, f"Members of another dialect: {', '.join(extras)}.")
            yield from (Placed(placed.path, part) for part in placed.part.parts)
