"""Single exchanges out of a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ampproxy.ledger.file import open_to_read
from ampproxy.ledger.reading import FileReading
from ampproxy.ledger.rows import Rows, Wanted
from ampproxy.ledger.store import Store
from tests.ledger.conftest import Kept
from tests.ledger.samples import NOON, SECOND, THREAD, entry

OTHER = "T-0123abcd-4567-4890-abcd-ef0123456780"


@pytest.fixture
def filled(ledger: Kept) -> Kept:
    ledger.write(
        [
            entry(NOON),
            entry(NOON + SECOND, client="ci", tokens=None, outcome="upstream-error"),
            entry(NOON + 2 * SECOND, thread=OTHER)._replace(status=429),
            entry(NOON + 3 * SECOND, thread="", asked="gpt-5.4", route="mapped"),
        ]
    )
    return ledger


def found(filled: Kept, most: int = 9, **wanted: object) -> list[int]:
    """How many seconds after noon those are that are found."""
    with closing(filled.place.open()) as ledger:
        rows = Rows(ledger, Wanted(**wanted)).newest(most)  # type: ignore[arg-type]
    return [(row.at - NOON) // SECOND for row in rows]


def test_the_newest(filled: Kept) -> None:
    """In order, as many as are wanted."""
    assert found(filled) == [0, 1, 2, 3]
    assert found(filled, 2) == [2, 3]
    assert found(filled, 0) == []


def test_wanted(filled: Kept) -> None:
    """By series, thread, time, and how they ended."""
    assert found(filled, series=lambda series: series.client == "ci") == [1]
    assert found(filled, thread=OTHER) == [2]
    assert found(filled, since=NOON + 2 * SECOND) == [2, 3]
    assert found(filled, errors=True) == [1, 2]
    assert found(filled, errors=True, thread=THREAD) == [1]


def test_a_row_is_the_entry_that_was_written(filled: Kept) -> None:
    """With its tokens, or without any."""
    with closing(filled.place.open()) as ledger:
        first, second, *_ = Rows(ledger, Wanted()).newest(9)
    assert first == entry(NOON)
    assert second.tokens is None


def test_those_to_come(filled: Kept) -> None:
    """Also those of a series that is new; in order, some at a time."""
    with closing(filled.place.open()) as ledger:
        rows = Rows(ledger, Wanted(lambda series: series.client != "ci"))
        (last,) = rows.newest(1)
        assert rows.new(9) == []
        later = [
            entry(last.at + at, client=client)
            for at, client in ((1, "new"), (2, "ci"), (3, "key0"), (4, "a"))
        ]
        filled.write(later)
        assert rows.new(2) == [later[0], later[2]]
        position = rows.position
        assert rows.new(2) == [later[3]]
        assert rows.new(2) == []
        again = Rows(ledger, Wanted(), position)
        assert again.new(9) == [later[3]]


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(errors=True, thread=THREAD)])
def test_no_row_is_looked_at_in_vain(tmp_path: Path, wanted: Wanted) -> None:
    """The table is read from its end, by its key, and nothing is sorted: ten million rows cost no memory."""
    steps: list[str] = []

    class Explaining(FileReading):
        """Keeps how SQLite goes about each question on rows."""

        def rows(self, statement: str, values: Mapping[str, object] | None = None) -> list[Any]:
            if "FROM exchanges" in statement and "max(" not in statement:
                plan = self.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values or {}).fetchall()
                steps.extend(step for *_, step in plan)
            return super().rows(statement, values)

    path = tmp_path / "ledger.sqlite3"
    with closing(Store(path)) as store:
        store.write([entry()])
    with closing(open_to_read(path)) as connection:
        rows = Rows(Explaining(connection), wanted)
        rows.newest(20)
        rows.new(20)
    assert [step for step in steps if "exchanges" in step] == 2 * [
        "SEARCH exchanges USING INTEGER PRIMARY KEY (rowid>?)"
    ]
    assert not [step for step in steps if "TEMP B-TREE" in step or step == "SCAN exchanges"]
