"""Long work is done apart, a few jobs at once; what is short stays in its turn."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ampproxy.errors import ClientFault
from ampproxy.relay.workers import HUGE, LARGE, MOST_AT_ONCE, Workers, takes_long


class Threads:
    """Threads that end when they are told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, work: Callable[[], Any]) -> Deferred[Any]:
        ended: Deferred[Any] = Deferred()
        self.jobs.append((work, ended))
        return ended

    def end(self) -> None:
        """The oldest job ends."""
        work, ended = self.jobs.pop(0)
        try:
            outcome = work()
        except Exception:
            outcome = Failure()
        ended.callback(outcome)


def results(*waiting: Deferred[Any]) -> list[Any]:
    seen: list[Any] = []
    for one in waiting:
        one.addBoth(seen.append)
    return seen


def test_a_few_at_once_in_their_order() -> None:
    """So many run at once; the next begins when one has ended."""
    threads = Threads()
    workers = Workers(threads)
    seen = results(*(workers.run(lambda number=number: number, 1) for number in range(4)))  # type: ignore[misc]
    assert len(threads.jobs) == MOST_AT_ONCE
    while threads.jobs:
        threads.end()
    assert seen == [0, 1, 2, 3]


def test_huge_work_keeps_nobody_else_waiting() -> None:
    """Work on huge bodies is done one at a time, and smaller work beside it."""
    threads = Threads()
    workers = Workers(threads)
    for _ in range(3):
        workers.run(lambda: "huge", HUGE + 1)
    assert len(threads.jobs) == 1
    seen = results(workers.run(lambda: "small", HUGE))
    threads.jobs.reverse()
    threads.end()
    assert seen == ["small"]
    assert len(threads.jobs) == 1


def test_failure() -> None:
    """What the work raises is what its Deferred fails with; the next is done all the same."""
    threads = Threads()
    workers = Workers(threads)
    failed = workers.run(lambda: 1 // 0, 1)
    after = results(workers.run(lambda: 7, 1))
    threads.end()
    threads.end()
    assert failed.addErrback(lambda failure: failure.check(ZeroDivisionError)).result is ZeroDivisionError
    assert after == [7]


def test_nobody_waits_any_more() -> None:
    """What waits is given up when it is cancelled; what runs keeps its place until it has ended."""
    threads = Threads()
    workers = Workers(threads)
    running = [workers.run(lambda: None, 1) for _ in range(MOST_AT_ONCE)]
    waiting = workers.run(lambda: pytest.fail("done for nobody"), 1)
    last = results(workers.run(lambda: "last", 1))
    gone = results(running[0], waiting)
    running[0].cancel()
    waiting.cancel()
    assert [failure.check(CancelledError) for failure in gone] == [CancelledError] * 2
    assert len(threads.jobs) == MOST_AT_ONCE
    threads.end()
    assert len(threads.jobs) == MOST_AT_ONCE
    threads.end()
    threads.end()
    assert last == ["last"]
    assert not threads.jobs


def test_what_takes_long() -> None:
    """Large bodies do, and smaller ones that are made of many objects."""
    assert takes_long(b" " * (LARGE + 1), 10)
    assert not takes_long(b" " * LARGE, 10)
    assert takes_long(b"{}" * 20_000, 19_999)
    assert not takes_long(b"{}" * 20_000, 20_000)
    # So little is read in no time, whatever it is.
    assert not takes_long(b"{}" * 8000, 10)


class _Body:
    """A body that can be watched."""


class _Reactor:
    """Takes what threads hand over."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, work: Callable[..., object], *args: object) -> None:
        self.calls.put(partial(work, *args))


def test_an_error_leaves_no_body() -> None:
    """A body that a thread refused is free at once, without any garbage collection."""
    reactor, pool = _Reactor(), ThreadPool(1, 1)
    pool.start()
    gc.collect()
    gc.disable()
    try:
        watched: weakref.WeakSet[_Body] = weakref.WeakSet()

        def refuse(body: _Body) -> bytes:
            raise ClientFault.of("invalid_request", f"not {body}")

        def start() -> Deferred[bytes]:
            body = _Body()
            watched.add(body)
            workers = Workers(lambda work: deferToThreadPool(reactor, pool, work))  # type: ignore[arg-type]
            return workers.run(partial(refuse, body), LARGE)

        failures: list[Failure] = []
        start().addErrback(failures.append)
        reactor.calls.get(timeout=60)()
        (failure,) = failures
        assert failure.check(ClientFault)
        # The thread lets go of its last job a moment later.
        deadline = time.monotonic() + 60
        while watched and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not watched
    finally:
        gc.enable()
        pool.stop()
