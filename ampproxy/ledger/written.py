"""Whether rows are in a ledger already: asked where another process may have written them, and has died."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.place import Place
from ampproxy.ledger.reading import Readable

#: So far the writer of a file moves a row whose moment another one has. Microseconds.
_MOVED = 10_000
#: What makes a row known: the moment at which its exchange ended, to the microsecond, its status and times.
_SAME = (
    "SELECT 1 FROM exchanges WHERE id BETWEEN :at AND :latest AND status = :status AND total_ms = :total"
    " AND coalesce(first_ms, -1) = :first"
)


def unwritten(place: Place, entries: Sequence[Entry]) -> list[Entry]:
    """Those that are not there. Where the ledger cannot be read, none is taken to be there. Waits for it."""
    try:
        if not entries or not place.exists():
            return list(entries)
        reading = place.open()
        with closing(reading), reading.moment():
            return [entry for entry in entries if not _is_there(reading, entry)]
    except LedgerError:
        return list(entries)


def _is_there(reading: Readable, entry: Entry) -> bool:
    values = {
        "at": entry.at,
        "latest": entry.at + _MOVED,
        "status": entry.status,
        "total": entry.total_ms,
        "first": -1 if entry.first_ms is None else entry.first_ms,
    }
    return bool(reading.rows(_SAME, values))
