"""Which result answers which call: the part of it that is the same for vendors who pair them by place."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Results(Generic[T]):
    """The results of a conversation by the call that they answer; each is given once."""

    def __init__(self) -> None:
        self._known: dict[str, deque[tuple[int, T]]] = {}

    def add(self, call: str, at: int, result: T) -> None:
        """A result that stands in message ``at``; to be told in their order."""
        self._known.setdefault(call, deque()).append((at, result))

    def take(self, call: str, after: int) -> T | None:
        """The first result of a call that stands after its message ``after`` and was not given yet.

        Calls are asked for in their order, so a result that stands before one is nobody's any more.
        """
        known = self._known.get(call)
        while known:
            at, result = known.popleft()
            if at > after:
                return result
        return None
