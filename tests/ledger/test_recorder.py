"""Exchanges become rows in batches, out of the reactor's way, and trouble with the file is nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, formatEvent

from ampproxy.ledger import LedgerError, recorder
from ampproxy.ledger.recorder import BATCH, INTERVAL, ROOM_INTERVAL, STOP_TIMEOUT, Recorder, row_keys
from ampproxy.ledger.writing import Progress
from ampproxy.model.events import Beside, Usage
from ampproxy.model.ledger import Ledger
from ampproxy.wire.redact import Secret
from tests.ledger.samples import record

WALL = 1_793_534_400.0


class Disk:
    """A store that the test can have fail, and threads that it can have wait.

    :ivar held: what other threads have not done yet, where they are told to wait.
    """

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.progress: Progress | None = None
        #: What it reports first, one after another.
        self.progresses: list[Progress] = []
        self.redacted: list[Callable[[str], str]] = []
        self.trouble: Exception | None = None
        self.room_trouble: Exception | None = None
        self.opened = self.closed = 0
        self.rooms: list[tuple[int, int, int]] = []
        self.more_room = 0
        self.waits = False
        self.held: list[Callable[[], None]] = []

    def write(self, entries: Any, redacted: Callable[[str], str]) -> Progress | None:
        if self.trouble is not None:
            raise self.trouble
        self.batches.append(list(entries))
        self.redacted.append(redacted)
        return self.progresses.pop(0) if self.progresses else self.progress

    def make_room(self, now: int, max_age: int, max_size: int) -> bool:
        if self.room_trouble is not None:
            raise self.room_trouble
        self.rooms.append((now, max_age, max_size))
        self.more_room -= 1
        return self.more_room >= 0

    def close(self) -> None:
        self.closed += 1

    def in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        if not self.waits:
            return maybeDeferred(work)
        done: Deferred[Any] = Deferred()
        self.held.append(lambda: maybeDeferred(work).chainDeferred(done))
        return done

    def go_on(self) -> None:
        held, self.held = self.held, []
        for each in held:
            each()

    @property
    def rows(self) -> int:
        return sum(map(len, self.batches))


class World:
    def __init__(self, settings: Ledger, *, start: bool = True) -> None:
        self.clock, self.disk, self.events = Clock(), Disk(), []
        self.made: list[Ledger] = []
        self.recorder = Recorder(
            lambda settings: "/state/ledger",
            self.make,
            clock=self.clock,
            in_thread=self.disk.in_thread,
            wall=lambda: WALL + self.clock.seconds(),
            log=Logger(observer=self.events.append),
            new_row=row_keys(7),
        )
        self.recorder.configure(settings)
        if start:
            self.recorder.start()

    def make(self, settings: Ledger) -> Disk:
        self.made.append(settings)
        self.disk.opened += 1
        return self.disk

    def observe(self, count: int = 1, **changes: Any) -> None:
        for _ in range(count):
            self.recorder.observe(record(**changes))

    def wait(self, seconds: float = INTERVAL) -> None:
        self.clock.pump([INTERVAL / 4] * int(seconds * 4 / INTERVAL))

    def told(self, level: LogLevel) -> list[str]:
        return [formatEvent(event) for event in self.events if event["log_level"] is level]


@pytest.fixture
def world():
    return World(Ledger())


def test_rows_are_written_within_a_second(world):
    """Together, once; the moment is that at which each exchange ended."""
    world.wait()
    world.observe()
    world.clock.advance(0.25)
    world.observe(2)
    assert world.disk.rows == 0
    world.wait()
    assert [[entry.at for entry in batch] for batch in world.disk.batches if batch] == [
        [int((WALL + 1) * 1e6), int((WALL + 1.25) * 1e6), int((WALL + 1.25) * 1e6)]
    ]


def test_many_are_written_at_once(world):
    """A burst does not wait for the second to pass, and leaves in transactions of bounded size."""
    world.observe(BATCH * 2 + 10)
    world.clock.advance(0)
    world.clock.advance(0)
    assert [len(batch) for batch in world.disk.batches] == [BATCH, BATCH]
    world.wait()
    assert world.disk.rows == BATCH * 2 + 10


def test_nothing_waits_for_the_disk(world):
    """While a batch is being written the next one gathers; the two are not mixed up."""
    world.disk.waits = True
    world.observe(2)
    world.wait()
    world.observe(3)
    world.wait(5)
    assert len(world.disk.held) == 1
    for _ in range(10):
        world.disk.go_on()
        world.wait()
    assert [len(batch) for batch in world.disk.batches if batch] == [2, 3]


def test_the_file_is_looked_at_when_the_service_starts(world):
    """Whoever has given it the wrong folder hears of it before the first exchange."""
    world.disk.trouble = LedgerError("it is read-only")
    world.wait()
    (error,) = world.told(LogLevel.error)
    assert "/state/ledger cannot be written: it is read-only." in error
    assert "settings: ledger, state-dir" in error


def test_trouble_is_told_once_and_gets_over(world):
    """Nothing is lost that has room to wait, and it is tried less and less often."""
    world.disk.trouble = LedgerError("the disk is full")
    world.observe(5)
    world.wait(60)
    world.observe(5)
    world.wait(60)
    assert len(world.told(LogLevel.error)) == 1
    assert world.recorder.trouble == "the disk is full (10 exchanges waiting, 0 lost)"
    assert world.disk.closed == 0
    world.disk.trouble = LedgerError("another program holds it locked")
    world.wait(60)
    assert len(world.told(LogLevel.error)) == 2
    world.disk.trouble = None
    world.wait(60)
    assert world.recorder.trouble == ""
    assert world.disk.rows == 10
    assert world.told(LogLevel.info) == [
        "The ledger /state/ledger can be written again; missing from it: 0 exchanges"
    ]


def test_trouble_with_making_room_is_told_once(world):
    """On a full disk nothing can be removed, though an idle ledger can be opened: that is one trouble."""
    world.disk.room_trouble = LedgerError("the disk is full")
    world.wait(60)
    world.observe(3)
    world.wait(60)
    assert world.disk.rows == 3
    assert (len(world.told(LogLevel.error)), world.told(LogLevel.info)) == (1, [])
    world.disk.room_trouble = None
    world.wait(60)
    assert (len(world.disk.rooms), len(world.told(LogLevel.info))) == (1, 1)


def test_what_finds_no_room_is_counted(world, monkeypatch):
    """The first that is dropped is told, and how many they were when it is over."""
    monkeypatch.setattr(recorder, "MAX_WAITING", 100)
    world.disk.trouble = LedgerError("the disk is full")
    world.observe(130)
    world.wait(10)
    world.observe(3)
    (warning,) = world.told(LogLevel.warn)
    assert "The ledger /state/ledger cannot be written: 100 exchanges are waiting" in warning
    world.disk.trouble = None
    world.wait(60)
    assert world.disk.rows == 100
    assert "missing from it: 33 exchanges" in world.told(LogLevel.info)[-1]
    world.observe()
    world.wait()
    assert world.disk.rows == 101


def test_a_batch_that_nothing_can_write_does_not_stay(world):
    """A defect costs that batch, not all that come after it."""
    world.disk.trouble = RuntimeError("a defect")
    world.observe(2)
    world.wait()
    world.disk.trouble = None
    world.observe(3)
    world.wait(2)
    assert world.disk.rows == 3
    assert any("Unhandled error while writing the ledger" in told for told in world.told(LogLevel.critical))
    assert "missing from it: 2 exchanges" in world.told(LogLevel.info)[-1]


def test_a_record_that_cannot_be_noted(world):
    """The exchange has ended well all the same: nobody hears of it but the log."""
    world.observe(usage=Usage(input="many"))  # type: ignore[arg-type]
    world.observe()
    world.wait()
    assert world.disk.rows == 1
    assert "missing from it: 1 exchange" in world.told(LogLevel.info)[-1]


def test_room_is_made_again_and_again(world):
    """In steps a second apart as long as there is more to do; also while nothing is written."""
    world.disk.more_room = 3
    world.wait(10)
    assert len(world.disk.rooms) == 4
    world.wait(ROOM_INTERVAL)
    assert len(world.disk.rooms) == 5
    settings = Ledger()
    assert world.disk.rooms[-1][1:] == (int(settings.max_age * 1e6), settings.max_size)


def test_room_is_made_where_much_is_written(world, monkeypatch):
    """A busy service does not wait ten minutes to keep within its limit."""
    monkeypatch.setattr(recorder, "ROOM_ROWS", 2 * BATCH)
    world.wait(5)
    for _ in range(5):
        world.observe(BATCH)
        world.wait()
    assert len(world.disk.rooms) == 3


def test_an_idle_ledger_does_not_hinder_the_next_exchange(world):
    """It waits for the next look at the limits, but a row is written within a second."""
    world.wait(5)
    world.observe()
    world.wait()
    assert world.disk.rows == 1


def test_settings_change_under_way(world):
    """Switched off, what came before is written and the file let go; switched on, rows come again."""
    world.observe(2)
    world.recorder.configure(Ledger(enable=False))
    world.observe(2)
    world.wait()
    assert (world.disk.rows, world.disk.closed) == (2, 1)
    assert not world.clock.getDelayedCalls()
    world.recorder.configure(Ledger(max_age=60.0, management=True))
    world.observe(kind="management", asked="")
    world.wait()
    assert (world.disk.rows, world.disk.opened) == (3, 2)
    assert world.disk.rooms[-1][1] == 60_000_000


def test_names_are_redacted_by_the_configuration_in_force(world):
    """What is a secret may change with a reload."""
    world.observe()
    world.recorder.configure(Ledger(), str.upper)
    world.wait()
    assert world.disk.redacted[-1]("x") == "X"


def test_switched_off_it_touches_nothing():
    """``ledger: false``: no file, no timer, no thread."""
    world = World(Ledger(enable=False))
    world.observe(3)
    world.wait(3)
    assert (world.disk.opened, world.disk.batches) == (0, [])
    assert not world.clock.getDelayedCalls()


def test_the_end_writes_what_waits(world):
    """After the batch that is under way; then the file is closed."""
    world.disk.waits = True
    world.observe(2)
    world.wait()
    world.observe(BATCH + 1)
    stopping = world.recorder.stop()
    for _ in range(5):
        assert not stopping.called
        world.disk.go_on()
    assert stopping.called
    assert (world.disk.rows, world.disk.closed) == (BATCH + 3, 1)
    assert not world.clock.getDelayedCalls()


def test_the_end_does_not_wait_for_ever(world):
    """A disk that hangs costs the last rows, which is told."""
    world.disk.waits = True
    world.observe(2)
    stopping = world.recorder.stop()
    world.clock.advance(STOP_TIMEOUT)
    assert stopping.called
    assert "/state/ledger: 2 exchanges" in world.told(LogLevel.error)[-1]


def test_the_end_with_a_broken_disk(world):
    """It is tried once more, and not again."""
    world.disk.trouble = LedgerError("the disk is full")
    world.observe(2)
    world.wait(5)
    assert world.recorder.stop().called
    assert "/state/ledger: 2 exchanges" in world.told(LogLevel.error)[-1]
    assert not world.clock.getDelayedCalls()


def test_the_end_with_a_batch_that_nothing_can_write(world):
    """It costs that batch, and the defect is told; the others are written, and the file is closed."""
    world.disk.waits = True
    world.observe(BATCH + 1)
    stopping = world.recorder.stop()
    world.disk.trouble = RuntimeError("a defect")
    world.disk.go_on()
    world.disk.trouble = None
    while not stopping.called:
        world.disk.go_on()
    assert (world.disk.rows, world.disk.closed) == (1, 1)
    assert world.told(LogLevel.critical) == ["Unhandled error while writing the ledger"]
    assert f"missing from it: {BATCH:,} exchanges" in world.told(LogLevel.info)[-1]


def test_the_end_without_a_beginning():
    """A service that could not listen stops before it has started."""
    world = World(Ledger(), start=False)
    assert world.recorder.stop().called
    assert (world.disk.opened, world.told(LogLevel.error)) == (0, [])


def test_rows_keep_their_numbers(world):
    """A row that is written again is the same: who knows rows by their keys adds none of them twice. One of a
    worker's has the key that it got there, and what other models used for an exchange has one of its own.
    """
    world.observe(2)
    world.disk.trouble = LedgerError("it is away")
    world.wait()
    world.observe(3)
    world.disk.trouble = None
    world.wait(60)
    advice = Beside(Usage(input=1, output=1), "claude-haiku-4-5")
    world.observe(usage=Usage(input=1, output=1, beside=(advice, advice)), row=(9, 4))
    world.observe()
    world.wait(2)
    first, then = [batch for batch in world.disk.batches if batch]
    assert [(row.writer, row.number) for row in first] == [(7, number) for number in range(1, 6)]
    assert [(row.writer, row.number) for row in then] == [(9, 4)] * 3 + [(7, 6)]
    assert [row.at - then[0].at for row in then] == [0, 1, 2, 0]


def test_rows_that_wait_elsewhere(world):
    """It is said once that they do, however often and for whatever reason, and once that they do no more."""
    world.wait()
    for why in ("it is closed", "it starts"):
        world.disk.progress = Progress(why, 100, 7.0)
        world.observe()
        world.wait(20)
    (warning,) = world.told(LogLevel.warn)
    assert "/state/ledger cannot be reached: it is closed." in warning
    assert "setting: ledger.spool-size" in warning
    world.disk.progresses = [Progress("", 50, 0.0), Progress("", 20, 0.0)]
    world.disk.progress = Progress()
    calls = len(world.disk.batches)
    world.clock.advance(7)
    assert len(world.disk.batches) == calls + 3, "it goes on with them at once"
    (back,) = world.told(LogLevel.info)
    assert back == "The ledger /state/ledger is back; what waited for it is written"
    assert world.told(LogLevel.error) == []


def test_rows_that_still_wait_at_the_end(world):
    """They are not lost, and it is said how many bytes there are."""
    world.disk.progress = Progress("it is closed", 123, 7.0)
    world.observe()
    world.recorder.stop()
    assert world.disk.rows == 1
    assert [text for text in world.told(LogLevel.info) if "123 bytes of exchanges wait on the disk" in text]
    assert world.told(LogLevel.error) == []


def test_rows_that_could_never_be_stored(world):
    """They are missing, and counted."""
    world.disk.progresses = [Progress("", 0, 0.0, 4)]
    world.wait()
    (error,) = world.told(LogLevel.error)
    assert "4 exchanges that waited for the ledger /state/ledger cannot be stored" in error


def test_another_ledger(world):
    """Where the settings name another one, the first is let go and what waits goes to that."""
    world.observe()
    world.wait()
    world.recorder.configure(Ledger(max_age=1.0))
    world.observe()
    world.wait()
    assert (world.disk.opened, world.disk.closed) == (1, 0)
    other = Ledger(url=Secret("postgresql://db/a"))
    world.recorder.configure(other)
    world.observe()
    world.wait()
    assert (world.disk.opened, world.disk.closed, world.made[-1]) == (2, 1, other)
