"""What the database does not take waits on the disk, and is written once it can be: in order, and once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.shared import ADOPT_INTERVAL, MAX_RETRY_SECONDS, RETRY, SharedStore
from ampproxy.ledger.spool import Spool
from ampproxy.wire.redact import Redactor, Secret
from tests.ledger.samples import NOON, entry, keyed


class Database:
    """Takes rows, or not.

    :ivar away: why it is away; empty: it is not.
    :ivar mute: whether it takes rows and fails to answer.
    :ivar unfit: numbers of rows that it can never take.
    """

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.calls = 0
        self.away = ""
        self.mute = False
        self.unfit: set[int] = set()

    def add(self, rows: Sequence[Entry]) -> int:
        self.calls += 1
        if self.away:
            raise LedgerError(self.away)
        if self.unfit & {row.number for row in rows}:
            raise ValueError("no such row")
        new = [row for row in rows if row not in self.rows]
        self.rows += new
        if self.mute:
            raise LedgerError("it has not answered")
        return len(new)

    def prune(self, oldest: int) -> bool:
        self.calls += 1
        if self.away:
            raise LedgerError(self.away)
        return False

    def close(self) -> None:
        pass


class World:
    """A store, whose numbers of rows the test counts as the recorder does."""

    def __init__(self, folder: Path, limit: int = 1 << 30, writer: int = 7) -> None:
        self.now = 0.0
        self.first = 0
        self.writer = writer
        self.database = Database()
        self.folder = folder
        self.store = SharedStore(self.database, Spool(folder, writer, limit), lambda: self.now)

    def write(self, count: int = 1, **series: str):
        made = (entry(NOON + self.first + n, **series) for n in range(count))
        progress = self.store.write(keyed(made, self.writer, self.first), str)
        self.first += count
        return progress

    @property
    def numbers(self) -> list[int]:
        return [row.number for row in self.database.rows]

    @property
    def files(self) -> int:
        return len(list(self.folder.glob("*")))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "spool")


def test_nothing_touches_the_disk_while_the_database_is_there(world: World) -> None:
    """It is not even made."""
    assert world.write(3) == ("", 0, 0.0, 0)
    assert (world.numbers, world.folder.exists()) == ([0, 1, 2], False)


def test_away_and_back(world: World) -> None:
    """It is asked again after a time that doubles, and nothing waits for it; then all is there, in order."""
    world.write()
    world.database.away = "it is closed"
    progress = world.write(2)
    assert (progress.away, progress.backlog > 0, progress.pause) == ("it is closed", True, RETRY)
    calls = world.database.calls
    for _ in range(5):
        world.write()
    assert world.database.calls == calls
    world.now += RETRY
    assert world.write(0).pause == 2 * RETRY
    world.now += 1000
    assert world.write(0).pause == 4 * RETRY
    for _ in range(9):
        world.now += 1000
        assert world.write(0).pause <= MAX_RETRY_SECONDS
    world.database.away = ""
    world.now += 1000
    left = [world.write(0).backlog for _ in range(6)]
    assert left == sorted(left, reverse=True)
    assert (left[-1], world.numbers, world.files) == (0, list(range(8)), 0)
    assert world.write() == ("", 0, 0.0, 0)
    assert world.numbers == list(range(9))


def test_what_comes_while_much_is_waiting(world: World) -> None:
    """It has to wait for its turn, although the database is back."""
    world.database.away = "it is closed"
    for _ in range(4):
        world.write()
    world.database.away = ""
    world.now += RETRY
    for _ in range(9):
        world.write()
        world.write(0)
    while world.write(0).backlog:
        pass
    assert world.numbers == list(range(13))


def test_an_answer_that_is_lost(world: World) -> None:
    """The rows were added, but that is not known: they are added again under the same keys, so once."""
    world.database.mute = True
    assert world.write(3).away == "it has not answered"
    assert world.numbers == [0, 1, 2]
    world.database.mute = False
    world.now += RETRY
    assert world.write(0) == ("", 0, 0.0, 0)
    assert world.numbers == [0, 1, 2]


def test_a_full_spool(tmp_path: Path) -> None:
    """Who sends the rows keeps them then, and sends them again; none is twice, none is missing."""
    world = World(tmp_path / "spool", limit=700)
    world.database.away = "it is closed"
    world.write()
    with pytest.raises(LedgerError, match=r"limit \(setting: ledger.spool-size\)"):
        world.write(5)
    world.now += RETRY
    world.database.away = ""
    with pytest.raises(LedgerError):
        # This is when what waits is written.
        world.write(5)
    assert world.write(5) == ("", 0, 0.0, 0)
    assert world.numbers == list(range(6))


def test_a_row_that_can_never_be_stored(world: World) -> None:
    """It keeps no other from it, and is counted."""
    world.database.away = "it is closed"
    world.write(2)
    world.write(2)
    world.database.away, world.database.unfit = "", {1}
    world.now += RETRY
    assert world.write(0).lost == 2
    assert world.write(0) == ("", 0, 0.0, 0)
    assert world.numbers == [2, 3]


def test_a_restart_while_it_is_away(tmp_path: Path) -> None:
    """The next process goes on with what waits; one that runs beside it leaves it alone."""
    first = World(tmp_path / "spool", writer=1)
    first.database.away = "it is closed"
    first.write(2)
    second = World(tmp_path / "spool", writer=2)
    second.write()
    assert second.numbers == [0]
    first.store.close()
    second.now += ADOPT_INTERVAL
    second.write()
    while second.write(0).backlog:
        pass
    assert [(row.writer, row.number) for row in second.database.rows] == [(2, 0), (1, 0), (1, 1), (2, 1)]
    assert second.files == 0


def test_no_secret_gets_to_the_disk(world: World) -> None:
    """Names are cut before they are kept, for who reads the disk is another than who asks the ledger."""
    world.database.away = "it is closed"
    redacted = Redactor([Secret("a-key-of-somebody")]).text
    world.store.write([entry(asked="a-key-of-somebody", thread="a-key-of-somebody")], redacted)
    (file,) = world.folder.iterdir()
    assert b"somebody" not in file.read_bytes()


def test_room_is_not_made_while_it_is_away(world: World) -> None:
    """An error in it is one of the database's, and no other attempt is made before its time."""
    world.write()
    world.database.away = "it is closed"
    assert world.store.make_room(NOON, 1, 1) is False
    calls = world.database.calls
    assert world.store.make_room(NOON, 1, 1) is False
    assert world.write().away == "it is closed"
    assert world.database.calls == calls
