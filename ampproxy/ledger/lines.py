"""Rows of the ledger as lines of files on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ampproxy.ledger.entry import Entry, Series, Tokens


class _Batch(msgspec.Struct, frozen=True):
    """A line of a file. Members may be added, with defaults: another version may read it.

    :param names: the series; rows name theirs by its place here.
    """

    writer: int
    names: list[Series]
    rows: list[tuple[int, int, int, str, int, list[int] | None, int | None, int]]


def encoded(rows: Sequence[Entry]) -> bytes:
    """Rows of one writer as a line."""
    places: dict[Series, int] = {}
    found = []
    for row in rows:
        place = places.setdefault(row.series, len(places))
        tokens = None if row.tokens is None else list(row.tokens)
        found.append((row.number, row.at, place, row.thread, row.status, tokens, row.first_ms, row.total_ms))
    batch = _Batch(rows[0].writer, list(places), found)
    return msgspec.json.encode(batch) + b"\n"


def decoded(line: bytes) -> list[Entry]:
    """The rows of a line; none where it is damaged."""
    try:
        batch = _DECODER.decode(line)
        return list(_rows(batch))
    except (msgspec.DecodeError, IndexError, TypeError):
        return []


def _rows(batch: _Batch) -> Iterator[Entry]:
    for number, at, place, thread, status, tokens, first_ms, total_ms in batch.rows:
        counts = None if tokens is None else Tokens._make(tokens)
        series = batch.names[place]
        yield Entry(at, series, thread, status, counts, first_ms, total_ms, batch.writer, number)


_DECODER = msgspec.json.Decoder(_Batch)
