"""Coroutines that serve requests, run to their ends."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


def begin(work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run a coroutine that awaits Deferreds, in a copy of the context in which it begins.

    As ``Deferred.fromCoroutine``, for work that nobody waits for and that nobody cancels: without a Deferred
    of its own, and in a third of the calls.

    :raises Exception: what it raises before it waits for the first time; later, whoever fires what it waits
        for gets that by the Deferred. So it is to raise nothing.
    """
    _Running(work).go_on(None)


class _Running:
    __slots__ = ("_run", "_work")

    def __init__(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        self._run = copy_context().run
        self._work = work

    def go_on(self, result: object) -> None:
        """Resume the coroutine: it reads a result from the Deferred itself; a failure is thrown into it."""
        try:
            if isinstance(result, Failure):
                waiting = self._run(result.throwExceptionIntoGenerator, self._work)
            else:
                waiting = self._run(self._work.send, None)
        except StopIteration:
            return
        waiting.addBoth(self.go_on)
