"""Exchanges with a key of their own and names as they are kept: what can be stored, or wait on a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ampproxy.ledger.entry import Entry, Series, clean_name


class Numbered(NamedTuple):
    """One row and its key.

    :ivar writer: the process that made it, by a random number of 63 bits.
    :ivar number: counts its rows.
    :ivar entry: without secrets; names are clean.
    """

    writer: int
    number: int
    entry: Entry


def numbered(
    entries: Iterable[Entry], redacted: Callable[[str], str], writer: int, first: int
) -> list[Numbered]:
    """The rows of a batch.

    :param redacted: cuts secrets out of names.
    :param first: the number of the first.
    """
    cleaned: dict[Series, Series] = {}
    threads: dict[str, str] = {}
    rows = []
    for number, entry in enumerate(entries, first):
        series = cleaned.get(entry.series)
        if series is None:
            series = cleaned[entry.series] = _clean(entry.series, redacted)
        thread = threads.get(entry.thread)
        if thread is None:
            thread = threads[entry.thread] = clean_name(redacted(entry.thread))
        rows.append(Numbered(writer, number, entry._replace(series=series, thread=thread)))
    return rows


def _clean(series: Series, redacted: Callable[[str], str]) -> Series:
    return Series._make(clean_name(redacted(value)) if isinstance(value, str) else value for value in series)
