"""What a worker reports: each exchange before it costs something, and when it has ended, exactly once."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path
from typing import Any

from ampproxy.channel.link import Link
from ampproxy.channel.messages import Begun, Ended, Line, from_worker
from ampproxy.config.schema import Logging
from ampproxy.ledger.entry import entry_of
from ampproxy.ledger.place import Place
from ampproxy.ledger.store import Store
from ampproxy.ledger.written import unwritten
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.workers.reporting import ChannelOutput, Reporter
from tests.channel.reactor import TurnedReactor


class Supervisor:
    """The other end."""

    def __init__(self) -> None:
        self.reactor = TurnedReactor()
        ours, theirs = socket.socketpair()
        self.link = Link(self.reactor, ours, self)
        self.link.start()
        self.worker = Link(self.reactor, theirs, self)
        self.messages: list[Any] = []

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        self.messages.append(from_worker(payload))

    def lost(self) -> None:
        pass

    def read(self) -> list[Any]:
        self.reactor.settle()
        found, self.messages = self.messages, []
        return found


def record(number: int = 0, *, total: float = 1.0) -> ExchangeRecord:
    found = ExchangeRecord(float(number), "POST", "/v1/messages", request=str(number), client="c")
    found.kind = "local"
    found.asked = found.served = "m"
    found.account = "a[0]"
    found.close(number + total, Outcome.COMPLETED)
    return found


def test_in_the_kernel_at_once() -> None:
    """What was reported arrives though the worker's process is gone in the same moment."""
    there = Supervisor()
    reporter = Reporter(2, there.worker, lambda: 5.0, 7)
    begun = ExchangeRecord(0.0, "POST", "/x", asked="m")
    reporter.departing(begun)
    there.worker.close()
    (message,) = there.read()
    assert isinstance(message, Begun)
    assert (message.key, message.record.worker, message.record.asked) == (id(begun), 2, "m")


def test_counted_until_written() -> None:
    """Each that has ended has a number; those up to one that is written are forgotten, the others are
    kept.
    """
    there = Supervisor()
    reporter = Reporter(1, there.worker, lambda: 5.0, 7)
    ended = [record(number) for number in range(3)]
    for each in ended:
        reporter.departing(each)
        reporter.ended(each)
    numbers = [message.number for message in there.read() if isinstance(message, Ended)]
    assert numbers == [1, 2, 3]
    reporter.written(2)
    assert reporter.unwritten() == [ended[2]]
    assert [each.row for each in ended] == [(7, 1), (7, 2), (7, 3)]
    reporter.written(2)
    assert ended[2].ended_at == 5.0


def test_what_is_under_way_is_reported_again() -> None:
    """With what it has used so far; what has ended is not."""
    there = Supervisor()
    reporter = Reporter(1, there.worker, lambda: 5.0, 7)
    going, ended = record(1), record(2)
    for each in (going, ended):
        reporter.departing(each)
    reporter.ended(ended)
    there.read()
    going.bytes_out = 77
    reporter.update()
    (message,) = there.read()
    assert (message.key, message.record.bytes_out) == (id(going), 77)


def test_a_supervisor_that_does_not_read() -> None:
    """Lines of the log are dropped, and counted, beyond the buffer; exchanges are not."""
    there = Supervisor()
    output, reporter = ChannelOutput(there.worker), Reporter(1, there.worker, lambda: 5.0, 7)
    output.use(Logging(buffer=100_000))
    for _ in range(3000):
        output.write("x" * 999 + "\n", "info")
    reporter.ended(record())
    found = there.read()
    lines = [message for message in found if isinstance(message, Line)]
    assert 100 < len(lines) < 3000
    assert isinstance(found[-1], Ended)
    output.write("on we go\n", "warn")
    (line,) = there.read()
    dropped = 3000 - len(lines)
    assert line.text == f"{dropped} lines of the log could not be written before this one\non we go\n"
    output.replace(lambda text, level: there.messages.append((text, level)))
    output.write("alone\n", "info")
    assert there.messages == [("alone\n", "info")]


def test_without_a_supervisor() -> None:
    """What ends then is somebody else's to keep."""
    there = Supervisor()
    reporter = Reporter(1, there.worker, lambda: 5.0, 7)
    kept: list[ExchangeRecord] = []
    reporter.orphaned = kept.append
    ended = record()
    reporter.ended(ended)
    assert kept == [ended]
    assert (ended.ended_at, ended.row) == (5.0, (7, 1))
    assert there.read() == []


def test_written_once(tmp_path: Path) -> None:
    """Of what a supervisor may have written before it was killed, exactly the rest is written by its workers:
    also where two ended in the same microsecond.
    """
    path = tmp_path / "ledger.sqlite3"
    place = Place(path)
    first, same, other, late = (
        entry_of(record(number, total=total), at)
        for number, (total, at) in enumerate([(1.0, 100.0), (2.0, 100.0), (3.0, 100.0), (1.0, 200.0)])
    )
    assert unwritten(place, [first]) == [first]
    store = Store(path)
    store.write([first, same])
    store.close()
    assert unwritten(place, [first, same, other, late]) == [other, late]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM exchanges").fetchone() == (2,)
