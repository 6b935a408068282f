"""What is under way when its process is killed is in the ledger, each exchange once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.ledger import NAME, LedgerError, journal
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.journal import Journal, Journalled, key_of
from ampproxy.ledger.place import Place
from ampproxy.ledger.recorder import row_keys
from ampproxy.ledger.store import Store
from ampproxy.ledger.watch import INTERVAL, Watch
from ampproxy.model.events import Usage
from ampproxy.model.ledger import Ledger
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.wire.redact import Redactor, Secret
from tests.ledger.samples import NOON, SECOND, entry, keyed

WALL = NOON / SECOND


class Refusing:
    """A store that fails, before it has written or after."""

    def __init__(self, store: Store, *, writes: bool) -> None:
        self.store, self.writes = store, writes

    def write(self, entries: Sequence[Entry], redacted: Any) -> None:
        if self.writes:
            self.store.write(entries, redacted)
        if entries:
            raise LedgerError("killed")


class World:
    """A process, and what it has under way."""

    def __init__(self, folder: Path, writer: int = 7) -> None:
        self.folder = folder / "journal"
        self.place = Place(folder / NAME)
        self.store = Store(self.place.path)
        self.journal = Journal(self.folder, writer)
        self.clock = Clock()
        self.live: list[ExchangeRecord] = []
        self.calls = 0
        self.events: list[Any] = []
        self.watch = Watch(
            self.journal,
            lambda: self.live,
            row_keys(writer),
            clock=self.clock,
            in_thread=self.in_thread,
            wall=lambda: WALL + self.clock.seconds(),
            log=Logger(observer=self.events.append),
        )
        self.watch.management = False
        self.watch.start()
        self.found: list[int] = []
        # What secrets are is known then.
        with self.journal.writing((), str):
            pass

    def in_thread(self, work: Any) -> Any:
        self.calls += 1
        return maybeDeferred(work)

    def begin(self, **more: Any) -> ExchangeRecord:
        """An exchange whose vendor has been asked."""
        now = self.clock.seconds()
        found = ExchangeRecord(now, "POST", "/v1/messages", client="c", kind="local", asked="m", sent=now)
        for name, value in more.items():
            setattr(found, name, value)
        self.live.append(found)
        return found

    def wait(self, seconds: float = 2 * INTERVAL) -> None:
        self.clock.pump([INTERVAL / 2] * int(2 * seconds / INTERVAL))

    def kill(self) -> None:
        """As the system does: the lock of the file goes, and nothing else happens."""
        if self.journal._lock is not None:
            os.close(self.journal._lock)
            self.journal._lock = None
        self.store.close()

    @property
    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.folder.glob("*"))

    def rows(self) -> list[Any]:
        with sqlite3.connect(self.place.path) as connection:
            return connection.execute(
                "SELECT outcome, status, input, total_ms"
                " FROM exchanges JOIN series ON series.id = series ORDER BY 1, 2"
            ).fetchall()


def ledger_of(world: World, inner: Any = None) -> Journalled:
    return Journalled(inner or world.store, world.journal, world.place, world.found.append)


def next_process(folder: Path) -> World:
    """It writes what the one before has left."""
    world = World(folder, writer=8)
    ledger_of(world).write((), str)
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_was_under_way(world: World, tmp_path: Path) -> None:
    """Has failed when it was last noted, with the tokens that were known then."""
    begun = world.begin(status=200)
    world.wait()
    begun.usage = Usage(input=5)
    world.begin()
    world.wait()
    world.kill()
    then = next_process(tmp_path)
    assert [row[:3] for row in then.rows()] == [("failed", 0, None), ("failed", 200, 5)]
    assert (then.found, then.files) == ([2], [])
    # And once is enough.
    assert next_process(tmp_path).found == []
    assert len(then.rows()) == 2


@pytest.mark.parametrize(
    "which",
    [
        {},
        {"sent": None},
        {"worker": 2},
        {"kind": "management"},
        {"asked": ""},
        {"outcome": Outcome.COMPLETED},
    ],
)
def test_what_is_not_noted(world: World, which: dict[str, Any]) -> None:
    """What is answered within a second costs nothing; nor does what gets no row, or is another's to keep."""
    world.begin(**which)
    world.wait(INTERVAL / 2 if not which else 9 * INTERVAL)
    assert (world.calls, world.folder.exists()) == (0, False)


def test_without_a_ledger(world: World) -> None:
    """Nothing is noted."""
    world.watch.management = None
    world.begin()
    world.wait()
    assert world.calls == 0


def test_the_disk_rests_while_nothing_changes(world: World) -> None:
    """However long it takes."""
    world.begin()
    world.wait(100 * INTERVAL)
    assert world.calls == 1
    assert world.files == [".jsonl", ".lock"]


def ended(world: World) -> Entry:
    """The row of an exchange that was noted, and has ended."""
    (begun,) = world.live
    world.live.clear()
    assert begun.row is not None
    return entry(NOON + 3 * SECOND)._replace(writer=begun.row[0], number=begun.row[1])


def test_an_orderly_end(world: World) -> None:
    """Leaves nothing: what has ended is in the ledger."""
    world.begin()
    world.wait()
    ledger_of(world).write([ended(world)], str)
    assert [row[0] for row in world.rows()] == ["completed"]
    world.wait()
    assert world.watch.stop().called
    assert not world.folder.exists()
    assert not world.clock.getDelayedCalls()


def test_a_kill_before_the_row_is_written(world: World, tmp_path: Path) -> None:
    """Although the exchange is under way no more."""
    world.begin()
    world.wait()
    ended(world)
    world.begin()
    world.wait()
    world.kill()
    assert [row[0] for row in next_process(tmp_path).rows()] == ["failed", "failed"]


@pytest.mark.parametrize("writes", [False, True])
def test_a_kill_while_the_row_is_written(world: World, tmp_path: Path, writes: bool) -> None:
    """The true row is there, once, whether or not it had been written."""
    world.begin()
    world.wait()
    with pytest.raises(LedgerError):
        ledger_of(world, Refusing(world.store, writes=writes)).write([ended(world)], str)
    world.kill()
    then = next_process(tmp_path)
    assert then.rows() == [("completed", 200, 100, 1500)]
    assert then.found == ([] if writes else [1])


def test_a_note_that_comes_late(world: World, tmp_path: Path) -> None:
    """What was under way when it was looked at may be in the ledger when that gets to the disk."""
    rows = keyed([entry(), entry()], 7, 1)
    running = {key_of(row): row for row in rows}
    world.journal.announce(running)
    ledger_of(world).write(rows[:1], str)
    world.journal.note(running)
    world.journal.note({})
    world.kill()
    assert len(next_process(tmp_path).rows()) == 2


def test_what_is_answered_at_once_is_not_remembered(world: World) -> None:
    """However many exchanges end while nothing is noted, or the same long one is."""
    rows = keyed([entry() for _ in range(40)], 7, 100)
    ledger = ledger_of(world)
    ledger.write(rows[:20], str)
    assert not world.journal._done
    world.begin()
    world.wait()
    ledger.write(rows[20:], str)
    assert not world.journal._done
    # Nor is a long one, once it is noted that it has ended.
    ledger.write([ended(world)], str)
    assert len(world.journal._done) == 1
    world.wait()
    assert not world.journal._done


def test_one_that_lives_is_let_alone(world: World, tmp_path: Path) -> None:
    """Its file is its own."""
    world.begin()
    world.wait()
    then = next_process(tmp_path)
    assert (then.found, world.files) == ([], [".jsonl", ".lock"])


def test_a_ledger_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    """What was left waits until it can be."""
    world.begin()
    world.wait()
    world.kill()
    later = World(tmp_path, writer=8)
    with pytest.raises(LedgerError):
        ledger_of(later, Refusing(later.store, writes=False)).write([entry()], str)
    assert later.files == [".jsonl", ".lock"]
    assert next_process(tmp_path).found == [1]


def test_a_database_knows_keys(world: World, tmp_path: Path) -> None:
    """It is not asked what it has."""
    world.begin()
    world.wait()
    world.kill()
    taken: list[Entry] = []

    class Database:
        def write(self, entries: Sequence[Entry], redacted: Any) -> None:
            taken.extend(entries)

    place = Place(tmp_path / NAME, Ledger(url=Secret("postgresql://nowhere")))
    assert Journal(world.folder, 8).take_over(place, Database(), str) == 1  # type: ignore[arg-type]
    assert [key_of(row) for row in taken] == [(7, 1)]


def test_no_secret_gets_to_the_disk(world: World) -> None:
    """Not by the name of a model."""
    ledger_of(world).write((), Redactor([Secret("a-key-of-somebody")]).text)
    world.begin(asked="a-key-of-somebody")
    world.wait()
    (path,) = world.folder.glob("*.jsonl")
    assert b"somebody" not in path.read_bytes()
    assert path.stat().st_mode & 0o77 == 0


def test_a_disk_that_takes_nothing(world: World) -> None:
    """Is no reason not to write the ledger."""
    world.folder.write_text("in the way")
    world.begin()
    world.wait()
    ledger_of(world).write([ended(world)], str)
    assert len(world.rows()) == 1
    assert world.events == []


def test_no_more_than_so_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that are under way the first are noted."""
    monkeypatch.setattr(journal, "MAX_NOTED", 3)
    for _ in range(5):
        world.begin()
    world.wait()
    assert len(world.journal._noted) == 3
