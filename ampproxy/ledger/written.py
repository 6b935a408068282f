"""Whether rows are in a ledger's file already: asked where a process that has died may have written them.

A database knows rows by their keys, and takes none twice: there nothing needs to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

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
    """Those that are not there. Waits for it.

    :raises LedgerError: it cannot be read.
    """
    if not entries or not place.exists():
        return list(entries)
    reading = place.open()
    with closing(reading), reading.moment():
        return [entry for entry in entries if not _is_there(reading, entry)]


def _is_there(reading: Readable, entry: Entry) -> bool:
    values = {
        "at": entry.at,
        "latest": entry.at + _MOVED,
        "status": entry.status,
        "total": entry.total_ms,
        "first": -1 if entry.first_ms is None else entry.first_ms,
    }
    return bool(reading.rows(_SAME, values))
