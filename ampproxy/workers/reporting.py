"""What a worker sends of its work: its log, and each exchange when it begins to cost something and when it
ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ampproxy.channel.link import Link
from ampproxy.channel.messages import Begun, Ended, Line, Message, encode, portable
from ampproxy.config.schema import Logging
from ampproxy.ledger.recorder import MAX_WAITING
from ampproxy.relay.record import ExchangeRecord, Observer

#: Of so many exchanges, those that began last, the supervisor is kept up to date.
MAX_UPDATED = 1000


class Reporter:
    """Sends to the supervisor. While that does not read, lines of the log are dropped beyond
    ``logging.buffer``; exchanges wait, as many as a ledger lets wait, for each is somebody's money.

    :param number: the worker's.
    :param wall: seconds since the epoch.
    :param writer: by which this worker's rows in the ledger are known, whoever writes them.
    :ivar orphaned: gets what has ended, once there is no supervisor any more.
    """

    def __init__(self, number: int, link: Link, wall: Callable[[], float], writer: int) -> None:
        self._wall = wall
        self._writer = writer
        self._number = number
        self._link = link
        self._count = 0
        #: What has ended and is not known to be in the ledger.
        self._unwritten: deque[tuple[int, ExchangeRecord]] = deque(maxlen=MAX_WAITING)
        self._begun: dict[int, ExchangeRecord] = {}
        self.orphaned: Observer | None = None

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send something else."""
        self._link.send(encode(message), descriptors)

    def departing(self, record: ExchangeRecord) -> None:
        """An exchange is about to cost something."""
        record.worker = self._number
        self._begun[id(record)] = record
        self._link.send(encode(Begun(id(record), portable(record))))

    def ended(self, record: ExchangeRecord) -> None:
        """An exchange has ended; see :data:`~ampproxy.relay.record.Observer`."""
        record.worker = self._number
        self._begun.pop(id(record), None)
        self._count += 1
        record.ended_at = self._wall()
        record.row = self._writer, self._count
        if self.orphaned is not None:
            self.orphaned(record)
            return
        self._unwritten.append((self._count, record))
        self._link.send(encode(Ended(id(record), self._count, portable(record))))

    def update(self) -> None:
        """Report again what has been under way since it was last: what it has used so far is known then."""
        for key, record in list(self._begun.items())[-MAX_UPDATED:]:
            self._link.send(encode(Begun(key, portable(record))))

    def written(self, number: int) -> None:
        """The supervisor has these, and all before them, in the ledger."""
        unwritten = self._unwritten
        while unwritten and unwritten[0][0] <= number:
            unwritten.popleft()

    def unwritten(self) -> Iterable[ExchangeRecord]:
        """What may not be in the ledger."""
        return [record for _, record in self._unwritten]


class ChannelOutput:
    """Has the supervisor write the log; see :class:`~ampproxy.logs.observer.Output`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._most = Logging().buffer
        self._lost = 0
        self._instead: Callable[[str, str], None] | None = None

    def write(self, line: str, level: str) -> None:
        if self._instead is not None:
            self._instead(line, level)
            return
        if self._link.waiting > self._most:
            self._lost += line.count("\n")
            return
        lost, self._lost = self._lost, 0
        if lost:
            line = f"{lost} lines of the log could not be written before this one\n{line}"
        self._link.send(encode(Line(line, level)))

    def use(self, logging: Logging) -> None:
        self._most = logging.buffer

    def replace(self, write: Callable[[str, str], None]) -> None:
        """Write elsewhere from now on: there is no supervisor any more."""
        self._instead = write

    def start(self) -> None:
        """It needs no thread."""

    def settle(self) -> None:
        """What the socket has not taken is waited for, in bounded time, when the process ends."""

    def reopen(self) -> None:
        """The supervisor does that."""
