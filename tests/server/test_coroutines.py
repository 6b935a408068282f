"""Coroutines that serve requests."""

from __future__ import annotations

from contextvars import ContextVar

import pytest
from twisted.internet.defer import Deferred, succeed

from ampproxy.server.coroutines import begin

WHERE: ContextVar[str] = ContextVar("where", default="")


def test_what_it_waits_for() -> None:
    """It goes on with each result, and with each failure, in the turn in which that comes."""
    first: Deferred[int] = Deferred()
    second: Deferred[int] = Deferred()
    seen: list[object] = []

    async def work() -> None:
        seen.append(await succeed(0))
        seen.append(await first)
        try:
            await second
        except ValueError as error:
            seen.append(str(error))

    begin(work())
    assert seen == [0]
    first.callback(1)
    assert seen == [0, 1]
    second.errback(ValueError("two"))
    assert seen == [0, 1, "two"]
    # Nothing is left for whoever else looks at them.
    left: list[object] = []
    first.addBoth(left.append)
    second.addBoth(left.append)
    assert left == [None, None]


def test_its_context() -> None:
    """It keeps the context in which it began, and changes nobody else's."""
    waiting: Deferred[None] = Deferred()
    seen: list[str] = []

    async def work() -> None:
        seen.append(WHERE.get())
        await waiting
        seen.append(WHERE.get())
        WHERE.set("inside")

    token = WHERE.set("outside")
    begin(work())
    WHERE.reset(token)
    waiting.callback(None)
    assert seen == ["outside", "outside"]
    assert WHERE.get() == ""


def test_a_defect() -> None:
    """What it raises at once, its caller gets."""

    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        begin(work())
