"""The calls of a conversation that wait for their results, which need not name them in all dialects."""

from __future__ import annotations

from collections import deque

from ampproxy.model.parts import ToolCall


class Waiting:
    """Calls in their order, each of which is answered once."""

    __slots__ = ("_answered", "_calls", "_numbers")

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        #: The numbers of the calls: of an id, of a name, and all. Those that another way has found since are
        #: dropped when they come up.
        self._numbers: dict[tuple[str, str] | None, deque[int]] = {}
        self._answered: set[int] = set()

    def add(self, call: ToolCall) -> None:
        """One more call."""
        for key in (("id", call.id), ("name", call.name), None):
            self._numbers.setdefault(key, deque()).append(len(self._calls))
        self._calls.append(call)

    def take(self, id: str | None, name: str | None) -> ToolCall | None:
        """The first call of an id, else of a name, else of all; ``None``: none of these waits."""
        numbers = self._numbers.get(("id", id) if id else ("name", name) if name else None)
        while numbers:
            number = numbers.popleft()
            if number not in self._answered:
                self._answered.add(number)
                return self._calls[number]
        return None
