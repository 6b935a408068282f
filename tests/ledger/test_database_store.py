"""PostgreSQL as the ledger: real ones, that are killed, stopped and asked by several at once."""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import create_engine, inspect

from ampproxy.ledger import LedgerError, database_store, migrations
from ampproxy.ledger.database_store import DatabaseStore
from ampproxy.ledger.entry import Entry, Tokens
from ampproxy.ledger.file import DAY
from ampproxy.ledger.place import Place
from ampproxy.ledger.postgres import Database, DatabaseReading, Server
from ampproxy.ledger.query import BY_DAY, Span, read
from ampproxy.ledger.rows import Rows, Wanted
from ampproxy.ledger.store import OTHERS
from ampproxy.ledger.tables import metadata
from ampproxy.model.ledger import Ledger
from ampproxy.wire.redact import Secret, Unseen
from tests.ledger.conftest import shared
from tests.ledger.samples import NOON, SECOND, entry, keyed
from tests.postgres import Postgres

LONG = 60.0


def store(postgres: Postgres, timeout: float = LONG, most: int = 100) -> DatabaseStore:
    return DatabaseStore(Server(postgres.url, None, timeout), most, time.monotonic)


def batch(first: int, count: int = 3, writer: int = 7, at: int = NOON, **series: Any) -> list[Entry]:
    return keyed((entry(at + n, **series) for n in range(first, first + count)), writer, first)


def ask(postgres: Postgres, question: str) -> list[Any]:
    return postgres.ask(question)


def check_sums(postgres: Postgres) -> int:
    """That the daily sums are those of the rows; gives the number of rows."""
    names = ("input", "cache_read", "output", "total_ms", "first_ms")
    summed = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
    rows = ask(postgres, f"SELECT count(*), count(input), {summed} FROM exchanges")
    daily = ask(
        postgres, f"SELECT coalesce(sum(requests), 0), coalesce(sum(metered), 0), {summed} FROM daily"
    )
    assert rows == daily
    return int(rows[0][0])


def test_tables_are_those_that_are_declared(postgres: Postgres) -> None:
    """The migrations make what the statements are made of: the same columns, keys and indexes."""
    with closing(store(postgres)) as made:
        made.add([])
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres.url))
    found = inspect(engine)
    assert set(found.get_table_names("ampproxy")) == set(metadata.tables)
    for name, table in metadata.tables.items():
        columns = {column["name"]: column for column in found.get_columns(name, "ampproxy")}
        assert list(columns) == list(table.columns.keys())
        for column in table.columns:
            assert type(columns[column.name]["type"]) is type(column.type.as_generic()) or isinstance(
                columns[column.name]["type"], type(column.type)
            )
            assert columns[column.name]["nullable"] == column.nullable
        key = found.get_pk_constraint(name, "ampproxy")["constrained_columns"]
        assert key == [column.name for column in table.primary_key]
        assert {index.name for index in table.indexes} == {
            index["name"]
            for index in found.get_indexes(name, "ampproxy")
            if "duplicates_constraint" not in index
        }
    engine.dispose()


def test_a_row_says_everything(postgres: Postgres) -> None:
    """The view is for people with psql."""
    with closing(store(postgres)) as made:
        made.add(batch(0, 1))
    (row,) = ask(postgres, "SELECT client, route, status, input, total_ms, prompt_over FROM readable")
    assert row == ("key0", "local", 200, 100, 1500, 0)
    ((ended,),) = ask(postgres, "SELECT extract(epoch FROM ended) FROM readable")
    assert int(ended) == NOON // SECOND


def test_the_same_rows_again(postgres: Postgres) -> None:
    """A key is there once, with its part of the sums, whoever writes it again, in whatever batch."""
    with closing(store(postgres)) as one, closing(store(postgres)) as other:
        assert one.add(batch(0, 5)) == 5
        assert other.add(batch(3, 5)) == 3
        assert one.add(batch(0, 8)) == 0
        assert one.add(batch(0, 8, writer=8)) == 8
    assert check_sums(postgres) == 16


def test_sums_are_those_of_the_rows(postgres: Postgres) -> None:
    """In whatever order, over several days, with what is not known."""
    chance = random.Random(5)
    with closing(store(postgres)) as made:
        first = 0
        for size in (1, 99, 123, 1):
            entries = [
                entry(
                    NOON + chance.randrange(-DAY, DAY),
                    tokens=chance.choice([None, Tokens(*(chance.randrange(1000) for _ in range(5)))]),
                    client=chance.choice(["key0", "key1"]),
                )
                for _ in range(size)
            ]
            assert made.add(keyed(entries, 1, first)) == size
            first += size
    assert check_sums(postgres) == 224
    assert len(ask(postgres, "SELECT DISTINCT day FROM daily")) == 3


def test_nothing_of_a_batch_that_cannot_be_written_stays(postgres: Postgres) -> None:
    """Not even its names, and the next one is written as if it had not been."""
    with closing(store(postgres)) as made:
        wrong = [row._replace(status=1 << 40) for row in batch(0, 1, client="other")]
        with pytest.raises(sqlalchemy.exc.DataError):
            made.add([*batch(1, 2), *wrong])
        assert check_sums(postgres) == 0
        made.add(batch(1, 2, client="other"))
    assert ask(postgres, "SELECT client FROM series") == [("other",)]


def test_writers_at_once(postgres: Postgres) -> None:
    """They begin an empty database together, have names and sums in common, and none waits for another for
    ever: nothing is missing, nothing twice.
    """

    def work(writer: int) -> None:
        chance = random.Random(writer)
        with closing(store(postgres)) as made:
            for number in range(12):
                names = [f"client{n}" for n in range(10)]
                chance.shuffle(names)
                entries = [entry(NOON + n, client=name) for n, name in enumerate(names)]
                made.add(keyed(entries, writer, number * 10))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert check_sums(postgres) == 4 * 12 * 10
    assert ask(postgres, "SELECT count(*) FROM series") == [(10,)]
    assert ask(postgres, "SELECT value FROM state WHERE name = 'version'") == [(len(migrations.MIGRATIONS),)]


def test_too_many_names(postgres: Postgres) -> None:
    """Further ones of that day are counted as one, also where another process has made the first."""
    with closing(store(postgres, most=3)) as one, closing(store(postgres, most=3)) as other:
        one.add(keyed([entry(NOON, asked=f"m{n}") for n in range(2)], 1, 0))
        other.add(keyed([entry(NOON, asked=f"m{n}") for n in range(6)], 2, 0))
        one.add(keyed([entry(NOON + DAY, asked="m5")], 1, 2))
    found = ask(
        postgres, "SELECT asked, sum(requests) FROM daily JOIN series ON id = series GROUP BY 1 ORDER BY 1"
    )
    assert dict(found) == {OTHERS: 3, "m0": 2, "m1": 2, "m2": 1, "m5": 1}


def test_room_is_made_by_one(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds another at it leaves it to him; in steps, the oldest first."""
    monkeypatch.setattr(database_store, "STEP", 3)
    with closing(store(postgres)) as one:
        one.add(batch(0, 8))
        with psycopg.connect(postgres.url) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (migrations.LOCKS, migrations.PRUNE))
            assert one.prune(NOON + 6) is False
            assert check_sums(postgres) == 8
        assert one.prune(NOON + 6) is True
        assert ask(postgres, "SELECT count(*) FROM exchanges") == [(5,)]
        assert one.prune(NOON + 6) is False
        assert ask(postgres, "SELECT id FROM exchanges ORDER BY 1") == [(NOON + 6,), (NOON + 7,)]
        assert ask(postgres, "SELECT value FROM state WHERE name = 'rows_since'") == [(NOON + 6,)]
        one.prune(NOON + 2 * DAY)
    assert ask(postgres, "SELECT count(*) FROM series") == [(0,)]


def test_names_are_not_removed_while_they_are_used(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has just found a name that only old sums have adds sums to it before another may remove it."""
    found_or_made = database_store._found_or_made
    with closing(store(postgres)) as one, closing(store(postgres)) as other, ThreadPoolExecutor(1) as pool:
        one.add(batch(0, 1))
        pruning: list[Future[bool]] = []

        def found(*given: Any) -> Any:
            result = found_or_made(*given)
            pruning.append(pool.submit(one.prune, NOON + 20 * DAY))
            wait(pruning, timeout=0.5)
            return result

        monkeypatch.setattr(database_store, "_found_or_made", found)
        other.add(batch(1, 1, at=NOON + 40 * DAY))
        assert pruning[0].result(60) is True
    assert postgres.ask("SELECT day, client FROM daily JOIN series ON id = series") == [
        (NOON // DAY + 40, "key0")
    ]
    assert postgres.rows == 1


def test_a_newer_version_has_been_here(postgres: Postgres) -> None:
    """It is left as it is, by who writes and who reads."""
    with closing(store(postgres)) as made:
        made.add([])
    ask(postgres, "UPDATE state SET value = 9 WHERE name = 'version' RETURNING 1")
    with (
        closing(store(postgres)) as made,
        pytest.raises(LedgerError, match="of version 9, and this"),
    ):
        made.add(batch(0))
    with pytest.raises(LedgerError, match="postgresql://db/x cannot be read: its tables are of version 9"):
        DatabaseReading(Server(postgres.url, None, LONG), "postgresql://db/x")


def test_there_is_none_yet(postgres: Postgres) -> None:
    """Reading makes none."""
    with pytest.raises(LedgerError, match="start the service once"):
        DatabaseReading(Server(postgres.url, None, LONG), "x")
    assert ask(postgres, "SELECT count(*) FROM pg_namespace WHERE nspname = 'ampproxy'") == [(0,)]


def test_it_is_killed_and_back(postgres: Postgres) -> None:
    """In the middle of a transaction: all of it is gone, it is said why, and the same rows can be added
    again.
    """
    with closing(store(postgres)) as made:
        made.add(batch(0))

        def killed() -> None:
            with made._connected() as connection, connection.begin():
                made._add(connection, batch(3))
                postgres.kill()

        with pytest.raises(LedgerError, match="connection"):
            killed()
        with pytest.raises(LedgerError, match=r"No such file|refused"):
            made.add(batch(3))
        postgres.start()
        assert made.add(batch(0, 6)) == 3
    assert check_sums(postgres) == 6


def test_it_stops_answering(postgres: Postgres) -> None:
    """Its kernel still takes what is sent. Neither a batch nor a new connection waits longer than it may."""
    with closing(store(postgres, timeout=0.5)) as made:
        made.add(batch(0))
        with postgres.frozen():
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(LedgerError, match=r"has not answered within 0\.5 s"):
                    made.add(batch(3))
                assert time.monotonic() - began < 30
        assert made._database._connection is None
    with closing(store(postgres)) as made:
        made.add(batch(0, 6))
    assert check_sums(postgres) == 6


def test_a_statement_that_waits(postgres: Postgres) -> None:
    """The server itself ends what takes too long: who has gone leaves no lock behind."""
    with closing(store(postgres)) as made:
        made.add([])
    with psycopg.connect(postgres.url) as other, closing(store(postgres, timeout=0.5)) as made:
        other.execute("LOCK TABLE ampproxy.exchanges")
        with pytest.raises(LedgerError):
            made.add(batch(0))
        other.rollback()
    with closing(store(postgres)) as made:
        assert made.add(batch(0)) == 3


def test_rows_that_are_committed_late(postgres: Postgres) -> None:
    """Who follows the log gets every row once, also those of a transaction that began before and ends after
    another, and those that waited on a disk and are of an hour ago.
    """
    with closing(store(postgres)) as slow, closing(store(postgres)) as quick:
        quick.add(batch(0, 2))
        with closing(DatabaseReading(Server(postgres.url, None, LONG), "x")) as ledger:
            rows = Rows(ledger, Wanted())
            with slow._connected() as connection, connection.begin():
                slow._add(connection, batch(0, 2, writer=8, client="slow"))
                quick.add(batch(10, 1))
                # They are there already, but their turn has not come.
                assert len(rows.newest(9)) == 3
                assert rows.new(9) == []
            assert len(rows.new(9)) == 2
            quick.add(batch(11, 3, at=NOON - 3600 * SECOND))
            assert len(rows.new(2)) == 2
            assert len(rows.new(2)) == 1
            assert rows.new(9) == []


def test_clocks_of_replicas_differ(postgres: Postgres, tmp_path: Path) -> None:
    """A row counts on the day that the clock of its replica showed; none is lost, and each sum is of its
    rows.
    """
    midnight = NOON - NOON % DAY
    late, early = shared(postgres, tmp_path / "late"), shared(postgres, tmp_path / "early")
    with closing(late), closing(early):
        late.write([entry(midnight - 2 * SECOND, client="late")])
        early.write([entry(midnight + 3 * SECOND, client="early")])
        late.write([entry(midnight - 1, client="late"), entry(midnight, client="late")])
        lines = read(late.opened, Span(), BY_DAY).lines
        days = sorted((line.key - NOON // DAY, line.series.client, line.sums.requests) for line in lines)  # type: ignore[operator]
        assert days == [(-1, "late", 2), (0, "early", 1), (0, "late", 1)]
        assert [row.series.client for row in Rows(late.opened, Wanted()).newest(9)] == [
            "late", "late", "late", "early",
        ]  # fmt: skip
    assert check_sums(postgres) == 4


def test_no_secret_is_shown(postgres: Postgres) -> None:
    """Neither the password nor the user of the URL, in what is logged of the ledger or of an error."""
    url = f"postgresql://me:p%40ssword@/nothing?host={postgres.folder}&password=another-secret"
    place = Place(Path("x"), Ledger(url=Secret(url), password=Secret("a-third-one")))
    assert place.name == f"postgresql://{postgres.folder}/nothing"
    with pytest.raises(LedgerError) as failed:
        place.open()
    shown = f"{failed.value} {place!r} {place.database!r} {Server(url, 'a-third-one', 1)!r}"
    for secret in ("p%40ssword", "p@ssword", "another-secret", "a-third-one"):
        assert secret not in shown


def test_a_secret_that_is_not_here() -> None:
    """As the command line of another user may not have it."""
    place = Place(Path("x"), Ledger(url=Unseen("${DATABASE_URL}", "ledger.url", "DATABASE_URL")))
    with pytest.raises(LedgerError, match="DATABASE_URL"):
        place.open()
    assert place.name == "the database of ledger.url"


def test_a_password_of_its_own(postgres: Postgres) -> None:
    """It goes to the driver beside the URL."""
    database = Database(Server(postgres.url, "unused-here", LONG))
    with database.connected() as (connection, fresh):
        assert fresh
        assert connection.connection.driver_connection.info.password == "unused-here"
    with database.connected() as (connection, fresh):
        assert not fresh
    database.close()


def test_a_service_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "ampproxy.ledger.postgres", None)
    with pytest.raises(LedgerError):
        Place(Path("x"), Ledger(url=Secret("postgresql://h/d"))).open()


def test_what_waits_is_written_when_it_is_back(postgres: Postgres, tmp_path: Path) -> None:
    """A process that is killed while the database is away loses nothing that was given to the disk; the next
    one writes it, and what the database had taken without an answer counts once.
    """
    ledger = shared(postgres, tmp_path)
    ledger.write([entry(NOON + n) for n in range(3)])
    postgres.kill()
    ledger.write([entry(NOON + n) for n in range(3, 6)])
    ledger.write([entry(NOON + n) for n in range(6, 8)])
    # As a kill does: the lock of the file goes, and nothing else happens.
    ledger.store._spool.close()
    postgres.start()
    again = shared(postgres, tmp_path)
    with closing(again):
        while again.store.write([], str).backlog:
            pass
    assert check_sums(postgres) == 8
