"""Twisted for plain pytest functions: one reactor, in a thread of its own, for the whole test run.

::

    from tests.reactor import in_reactor

    def test_something():
        stand_in = in_reactor(anthropic.start, reactor, keys=["k"])     # a coroutine function
        answer = requests_or_any_blocking_client(stand_in.url)          # in the test's own thread
        in_reactor(stand_in.stop)

``in_reactor(fn, *args, timeout=60, **kwargs)`` calls ``fn`` in the reactor's thread and gives what it
returns; a coroutine or a Deferred is waited for. Exceptions come out as they are; after ``timeout``
seconds the call is cancelled and ``TimeoutError`` is raised. The reactor starts at the first use. Never
call it from the reactor's own thread, and touch Twisted objects only through it.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import defer, reactor, threads

_started = threading.Event()
_lock = threading.Lock()


def start_reactor() -> None:
    """Run the reactor in a daemon thread, once."""
    with _lock:
        if _started.is_set():
            return
        thread = threading.Thread(
            target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
        )
        reactor.callWhenRunning(_started.set)
        thread.start()
        if not _started.wait(60):
            raise RuntimeError("the reactor did not start within 60 seconds")


def in_reactor(fn: Callable[..., Any], *args: Any, timeout: float = 60, **kwargs: Any) -> Any:
    """The result of ``fn(*args, **kwargs)``, run in the reactor's thread (see the module)."""
    start_reactor()
    if threading.current_thread().name == "reactor":
        raise RuntimeError("in_reactor was called from the reactor's own thread: it would wait for itself")
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    running: list[defer.Deferred[Any]] = []

    def call() -> None:
        deferred = defer.maybeDeferred(_begin, fn, args, kwargs)
        running.append(deferred)
        deferred.addCallbacks(
            lambda value: future.done() or future.set_result(value),
            lambda failure: future.done() or future.set_exception(failure.value),
        )

    reactor.callFromThread(call)
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError:
        if future.done():
            raise
        reactor.callFromThread(lambda: [deferred.cancel() for deferred in running])
        name = getattr(fn, "__qualname__", repr(fn))
        raise TimeoutError(f"{name} took longer than {timeout} seconds") from None


def _begin(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = fn(*args, **kwargs)
    return defer.ensureDeferred(result) if inspect.iscoroutine(result) else result


def blocking(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> defer.Deferred[Any]:
    """Run a blocking function (a real SDK's call) in a thread; for code that runs in the reactor."""
    return threads.deferToThread(fn, *args, **kwargs)
