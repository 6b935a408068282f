"""Ledgers for the tests, of either engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.file import DAY
from ampproxy.ledger.making import make_store
from ampproxy.ledger.place import Place
from ampproxy.ledger.reading import Readable
from ampproxy.ledger.store import Store
from ampproxy.model.ledger import Ledger
from ampproxy.wire.redact import Secret
from tests.ledger.samples import keyed
from tests.postgres import Postgres


class Kept:
    """A ledger of one engine or the other, as a test fills it and reads it.

    :param place: where it is.
    :param store: fills it.
    """

    def __init__(self, place: Place, store: Any) -> None:
        self.place = place
        self.store = store
        self._first = 0
        self._opened: Readable | None = None

    @property
    def opened(self) -> Readable:
        """The ledger, open to be read until it is closed: to connect takes most of the time of a question."""
        if self._opened is None:
            self._opened = self.place.open()
        return self._opened

    def write(self, entries: Iterable[Entry]) -> None:
        """Add rows."""
        rows = keyed(entries, 1, self._first)
        self.store.write(rows, str)
        self._first += len(rows)

    def remove_before(self, oldest: int) -> None:
        """Remove what ended before a time."""
        while self.store.make_room(oldest + DAY, DAY, 1 << 40):
            pass

    def close(self) -> None:
        """Let go of it."""
        if self._opened is not None:
            self._opened.close()
        self.store.close()


def shared(postgres: Postgres, folder: Path, **settings: Any) -> Kept:
    """A ledger at PostgreSQL, as a process with a folder of its own has it."""
    config = Ledger(url=Secret(postgres.url), **settings)
    return Kept(Place(folder / NAME, config), make_store(folder, monotonic, config))


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """A ledger, of each engine."""
    if request.param == "sqlite":
        kept = Kept(Place(tmp_path / NAME), Store(tmp_path / NAME))
    else:
        kept = shared(request.getfixturevalue("postgres"), tmp_path)
    yield kept
    kept.close()
