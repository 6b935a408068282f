"""Exchanges with their names as they are kept: what can be stored, or wait on a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ampproxy.ledger.entry import Entry, Series, clean_name


def cleaned(entries: Iterable[Entry], redacted: Callable[[str], str]) -> list[Entry]:
    """The rows of a batch, with clean names.

    :param redacted: cuts secrets out of names.
    """
    known: dict[Series, Series] = {}
    threads: dict[str, str] = {}
    rows = []
    for entry in entries:
        series = known.get(entry.series)
        if series is None:
            series = known[entry.series] = clean_series(entry.series, redacted)
        thread = threads.get(entry.thread)
        if thread is None:
            thread = threads[entry.thread] = clean_name(redacted(entry.thread))
        rows.append(entry._replace(series=series, thread=thread))
    return rows


def clean_series(series: Series, redacted: Callable[[str], str]) -> Series:
    """A series with clean names."""
    return Series._make(clean_name(redacted(value)) if isinstance(value, str) else value for value in series)
