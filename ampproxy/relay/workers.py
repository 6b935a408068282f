"""Long work on large bodies, done in other threads than the reactor's.

Reading and rendering are pure functions, so they may run anywhere. What takes a moment is done at once, in
the same turn: a thread would only make it later. What takes longer would keep every stream and every other
client waiting, and so it goes to a thread, with which the reactor shares the interpreter by the few
milliseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from ampproxy.errors import ExchangeError, bare

T = TypeVar("T")

#: Runs a function in a thread; its result fires in the reactor's.
InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]

#: So many jobs on bodies up to this size run at once, and one on a larger body. They share one interpreter
#: with the reactor, so that more would only be in its way; and what takes half a minute must not keep
#: waiting what takes a tenth of a second. Bytes.
MOST_AT_ONCE: Final = 2
HUGE: Final = 4 * 1024 * 1024
#: From this size on a body goes to a thread. Where it is one text, half a MiB takes some 8 ms; where it is
#: all names and numbers, ten times as long. Bytes.
LARGE: Final = 512 * 1024
#: No body of that size takes long, whatever is in it. Bytes.
SMALL: Final = 16 * 1024
#: From this size on even one look at a body takes more than some 10 ms. Bytes.
LONG_LOOK: Final = 16 * 1024 * 1024
#: Objects in a request, and in an answer, that take some 40 ms to be read and said in another dialect: an
#: object of a request takes about 13 us, one of an answer up to 60 us.
REQUEST_OBJECTS: Final = 3000
ANSWER_OBJECTS: Final = 700


def takes_long(body: bytes, objects: int) -> bool:
    """Whether translating a JSON text would keep the reactor waiting.

    :param objects: how many objects would.
    """
    size = len(body)
    return size > LARGE or (size > SMALL and has_more_objects(body, objects))


def has_more_objects(body: bytes, most: int) -> bool:
    """Whether more objects begin in a JSON text than that."""
    # Where there are few, taking them out is several times faster than counting.
    return len(body) - len(body.replace(b"{", b"", most + 1)) > most


class _Failed(NamedTuple):
    """What a job's error becomes on its way out of the thread."""

    error: ExchangeError


def _tried(work: Callable[[], Any]) -> Any:
    """Do it. An error comes back as a value: raised, it would refer to the thread's frames, and one of them
    to it; both, and the body with them, would stay until a garbage collection.
    """
    try:
        return work()
    except ExchangeError as error:
        bare(error)
        return _Failed(error)


class _Lane:
    """Jobs of which so many run at once; the others wait in their order."""

    def __init__(self, in_thread: InThread, most: int) -> None:
        self._in_thread = in_thread
        self._most = most
        self._running = 0
        self._waiting: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()

    def run(self, work: Callable[[], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred(self._forget)
        self._waiting.append((work, result))
        self._next()
        return result

    def _forget(self, result: Deferred[Any]) -> None:
        self._waiting = deque(job for job in self._waiting if job[1] is not result)

    def _next(self) -> None:
        while self._waiting and self._running < self._most:
            work, result = self._waiting.popleft()
            self._running += 1
            self._in_thread(partial(_tried, work)).addBoth(partial(self._ended, result))

    def _ended(self, result: Deferred[Any], outcome: Any) -> None:
        self._running -= 1
        if result.called:
            pass
        elif isinstance(outcome, _Failed):
            result.errback(outcome.error)
        else:
            result.callback(outcome)
        self._next()


class Workers:
    """Does long work in threads: a few jobs at once, the rest in its order.

    :param in_thread: how; by default without any thread, at once.
    """

    def __init__(self, in_thread: InThread = maybeDeferred) -> None:
        self._usual = _Lane(in_thread, MOST_AT_ONCE)
        self._huge = _Lane(in_thread, 1)

    def run(self, work: Callable[[], T], size: int) -> Deferred[T]:
        """Do it; fires with its result, or fails as it failed.

        Work whose Deferred is cancelled before it began is never done; the result of work that had begun
        is dropped, and its place is free when it has ended.

        :param size: of the body that it is about, in bytes.
        """
        return (self._usual if size <= HUGE else self._huge).run(work)
