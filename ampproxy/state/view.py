"""The view of one process that shares its state, whatever carries the entries to the hub and back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as NoAnswer
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import provider

from ampproxy.state.entries import Entry
from ampproxy.state.shared import Away, Lease, Topic
from ampproxy.status import SharedReport

#: So many entries wait for a hub that is away, the latest of each key.
MAX_WAITING_ENTRIES = 20_000
#: So many own entries are sent in one turn of the reactor when all are exchanged.
SLICE_ENTRIES = 200
#: Seconds that a claim, or the question for a lock, may take.
TIMEOUT = 2.0


class Link(Protocol):
    """What carries entries to a hub. Called in the reactor's thread; none of its methods waits or raises."""

    def put(self, entry: Entry, number: int) -> None:
        """Have the hub keep an entry, and send it to all views.

        :param number: comes back to this view with the entry. 0: it is one of those that are exchanged at the
            beginning, which the hub drops if it knows something younger.
        """

    def claim(self, entry: Entry) -> Deferred[bytes]:
        """The value that counts for a key."""

    def lock(self, name: str, ttl: float) -> Deferred[int | None]:
        """The number of a lock that is held from now on; ``None``: another holds it."""

    def unlock(self, name: str, number: int) -> None:
        """Let go of a lock."""


@provider(ILogObserver)
def _ignored(event: LogEvent) -> None:
    """What another process logs is not logged twice."""


class View:
    """Implements :class:`~ampproxy.state.shared.Shared` over a link.

    :param by: what the state is shared by, for people, without a secret.
    :param wall: seconds since the epoch, for the report.
    :param timeout: seconds that a claim, or the question for a lock, may take.
    :param closes: serve no request while the state is not shared.
    :param quiet: another process of the same service logs it when the state is not shared, and when it is.
    :ivar on_open: called whenever the state is shared again.
    :ivar refusal: why no request is served now; empty: they are.
    """

    active = True

    def __init__(
        self,
        by: str,
        clock: IReactorTime,
        wall: Callable[[], float],
        log: Logger,
        *,
        timeout: float = TIMEOUT,
        closes: bool = False,
        quiet: bool = False,
    ) -> None:
        self._by = by
        self._clock = clock
        self._wall = wall
        self._log = Logger(observer=_ignored) if quiet else log
        self._timeout = timeout
        self._link: Link | None = None
        self._connected = False
        self._away_since = wall()
        self._why = "not connected yet"
        self._reported_away = self._was_open = False
        self._closes = closes
        self.refusal = self._refusal()
        self._beginning: list[Deferred[None]] = []
        self.on_open: list[Callable[[], None]] = []
        self._topics: dict[str, Topic] = {}
        self._number = 0
        self._on_the_way: dict[tuple[str, str], int] = {}
        self._waiting: OrderedDict[tuple[str, str], tuple[Entry, float]] = OrderedDict()

    # What the service calls.

    def subscribe(self, kind: str, topic: Topic) -> None:
        self._topics[kind] = topic

    def publish(self, kind: str, key: str, value: bytes | None, ttl: float) -> None:
        entry = Entry(kind, key, value, ttl)
        if self._connected and self._link is not None:
            self._number += 1
            self._on_the_way[kind, key] = self._number
            self._link.put(entry, self._number)
        else:
            self._keep(entry)

    def claim(self, kind: str, key: str, value: bytes, ttl: float) -> Deferred[bytes]:
        if self._connected and self._link is not None:
            claimed = self._link.claim(Entry(kind, key, value, ttl))
        elif self._was_open or self._reported_away:
            return succeed(value)
        else:
            # The process has just started, and may not decide anew what the others know.
            begun: Deferred[None] = Deferred()
            self._beginning.append(begun)
            claimed = begun.addCallback(lambda _: self.claim(kind, key, value, ttl))

        def failed(failure: Failure) -> bytes:
            if failure.check(CancelledError):
                failure.raiseException()
            return value

        return claimed.addTimeout(self._timeout, self._clock).addErrback(failed)

    def _has_begun(self) -> None:
        """It is known whether the hub is there: let go on who waits for that."""
        beginning, self._beginning = self._beginning, []
        for begun in beginning:
            if not begun.called:
                begun.callback(None)

    def lock(self, name: str, ttl: float) -> Deferred[Lease | None]:
        if not self._connected or self._link is None:
            return fail(Away(self._why))

        def held(number: int | None) -> Lease | None:
            return None if number is None else Lease(name, number)

        return (
            self._link.lock(name, ttl).addTimeout(self._timeout, self._clock).addCallbacks(held, _translated)
        )

    def unlock(self, lease: Lease) -> None:
        if self._connected and self._link is not None:
            self._link.unlock(*lease)

    def report(self) -> SharedReport:
        return SharedReport(
            self._by,
            self._connected,
            0.0 if self._connected else self._away_since,
            "" if self._connected else self._why,
            len(self._waiting),
        )

    @property
    def connected(self) -> bool:
        """Whether the state is shared now. It may be asked for in any thread."""
        return self._connected

    def failed(self, why: str) -> None:
        """Something else that asks the hub got no answer. Called in any thread."""

    def start(self) -> None:
        """See :meth:`Shared.start <ampproxy.state.shared.Shared.start>`."""

    def stop(self) -> Deferred[None]:
        return succeed(None)

    # What the link calls, in the reactor's thread.

    def use(self, link: Link) -> None:
        """Share by this link, once it is open."""
        self._link = link

    def known(self, entry: Entry) -> None:
        """The hub knows this, as it tells at the beginning of a connection: what is younger here stays."""
        topic, key = self._topics.get(entry.kind), (entry.kind, entry.key)
        if topic is None:
            return
        waits = self._waiting.get(key)
        age = topic.age(entry.key) if waits is None else self._clock.seconds() - waits[1]
        if age is None or entry.age < age:
            self._waiting.pop(key, None)
            topic.apply(entry)

    def arrived(self, entry: Entry, own: int | None) -> None:
        """An entry in the hub's order.

        :param own: the number with which this view has put it; 0 also where it was claimed; ``None``: it is
            another's.
        """
        key = entry.kind, entry.key
        if own is not None:
            if own and self._on_the_way.get(key) == own:
                del self._on_the_way[key]
        elif key not in self._on_the_way and (topic := self._topics.get(entry.kind)) is not None:
            topic.apply(entry)

    def opened(self) -> None:
        """The link is open, and all that the hub knew has been delivered: give it what is known here."""
        self._on_the_way.clear()
        if self._reported_away or not self._was_open:
            again = " again" if self._was_open else ""
            self._log.info("The state is shared{again} by {by}", again=again, by=self._by)
        self._connected, self._reported_away, self._was_open = True, False, True
        self._why = self.refusal = ""
        for follow in self.on_open:
            follow()
        self._has_begun()
        self._send(self._own())

    def closed(self, why: str) -> None:
        """The link is lost, or could not be opened.

        :param why: without a secret.
        """
        self._on_the_way.clear()
        if self._connected:
            self._away_since = self._wall()
        self._connected, self._why = False, why
        self.refusal = self._refusal()
        if not self._reported_away:
            self._reported_away = True
            self._log.warn(
                "The state cannot be shared by {by}: {why}. {then}; retrying until it can",
                by=self._by,
                why=why,
                then=self._then,
            )
        self._has_begun()

    def unsent(self, entry: Entry) -> None:
        """What was published did not reach the hub: it waits for it."""
        self._on_the_way.pop((entry.kind, entry.key), None)
        self._keep(entry)

    @property
    def _then(self) -> str:
        return "No request is served" if self._closes else "This process goes on with what it knows"

    def _refusal(self) -> str:
        return f"{self._by}: {self._why}" if self._closes else ""

    def _keep(self, entry: Entry) -> None:
        key = entry.kind, entry.key
        self._waiting[key] = entry, self._clock.seconds()
        self._waiting.move_to_end(key)
        if len(self._waiting) > MAX_WAITING_ENTRIES:
            self._waiting.popitem(last=False)

    def _own(self) -> Iterator[Entry]:
        """What waited, and all that the topics know."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for entry, at in waiting.values():
            passed = self._clock.seconds() - at
            if entry.ttl > passed:
                yield Entry(entry.kind, entry.key, entry.value, entry.ttl - passed, passed)
        for topic in tuple(self._topics.values()):
            yield from topic.entries()

    def _send(self, entries: Iterator[Entry]) -> None:
        """Put these, some in each turn of the reactor."""
        link = self._link
        for _ in range(SLICE_ENTRIES):
            entry = next(entries, None)
            if entry is None or link is None or not self._connected:
                return
            link.put(entry, 0)
        self._clock.callLater(0, self._send, entries)


def _translated(failure: Any) -> Any:
    """A lock's failure, whatever it was, as :class:`Away`."""
    if failure.check(Away):
        return failure
    late = failure.check(CancelledError, NoAnswer)
    raise Away("no answer in time" if late else str(failure.value) or type(failure.value).__name__)
