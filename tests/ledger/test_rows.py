"""Single exchanges out of a ledger."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ampproxy.ledger.file import open_to_read
from ampproxy.ledger.rows import _ROWS, Rows, Wanted
from ampproxy.ledger.store import Store
from tests.ledger.samples import NOON, SECOND, THREAD, entry

OTHER = "T-0123abcd-4567-4890-abcd-ef0123456780"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite3"
    with closing(Store(path)) as store:
        store.write(
            [
                entry(NOON),
                entry(NOON + SECOND, client="ci", tokens=None, outcome="upstream-error"),
                entry(NOON + 2 * SECOND, thread=OTHER)._replace(status=429),
                entry(NOON + 3 * SECOND, thread="", asked="gpt-5.4", route="mapped"),
            ]
        )
    return path


def found(path: Path, most: int = 9, **wanted: object) -> list[int]:
    """How many seconds after noon those are that are found."""
    with closing(open_to_read(path)) as connection:
        rows = Rows(connection, Wanted(**wanted)).newest(most)  # type: ignore[arg-type]
    return [(row.at - NOON) // SECOND for row in rows]


def test_the_newest(path: Path) -> None:
    """In order, as many as are wanted."""
    assert found(path) == [0, 1, 2, 3]
    assert found(path, 2) == [2, 3]
    assert found(path, 0) == []


def test_wanted(path: Path) -> None:
    """By series, thread, time, and how they ended."""
    assert found(path, series=lambda series: series.client == "ci") == [1]
    assert found(path, thread=OTHER) == [2]
    assert found(path, since=NOON + 2 * SECOND) == [2, 3]
    assert found(path, errors=True) == [1, 2]
    assert found(path, errors=True, thread=THREAD) == [1]


def test_a_row_is_the_entry_that_was_written(path: Path) -> None:
    """With its tokens, or without any."""
    with closing(open_to_read(path)) as connection:
        first, second, *_ = Rows(connection, Wanted()).newest(9)
    assert first == entry(NOON)
    assert second.tokens is None


def test_those_to_come(path: Path) -> None:
    """Also those of a series that is new; in order, some at a time."""
    with closing(open_to_read(path)) as connection, closing(Store(path)) as store:
        rows = Rows(connection, Wanted(lambda series: series.client != "ci"))
        (last,) = rows.newest(1)
        assert rows.after(last.at, 9) == []
        later = [
            entry(last.at + at, client=client)
            for at, client in ((1, "new"), (2, "ci"), (3, "key0"), (4, "a"))
        ]
        store.write(later)
        assert rows.after(last.at, 2) == [later[0], later[2]]
        assert rows.after(later[2].at, 2) == [later[3]]


def test_no_row_is_looked_at_in_vain(path: Path) -> None:
    """The table is read from its end, by its key, and nothing is sorted: ten million rows cost no memory."""
    values = {"after": 0, "since": 0, "thread": None, "errors": False}
    with closing(open_to_read(path)) as connection:
        Rows(connection, Wanted()).newest(1)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {_ROWS} DESC LIMIT 20", values).fetchall()
    steps = [step for *_, step in plan]
    assert steps[0] == "SEARCH exchanges USING INTEGER PRIMARY KEY (rowid>?)"
    assert all(step.startswith("SEARCH") and "PRIMARY KEY" in step for step in steps)
