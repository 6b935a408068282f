"""A hub in memory, without I/O and without a clock: what the views of one machine may share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

import msgspec

from ampproxy.state.entries import KINDS, Entry


class _Kept(msgspec.Struct):
    """An entry's value, when it was learned and when it ends, by the hub's clock."""

    value: bytes | None
    at: float
    until: float


class Hub:
    """Keeps the latest of each key, and who holds which lock. Times are handed in, of one that only grows.

    :param most: kind -> how many entries of it are kept; the others have no bound.
    """

    def __init__(self, most: Mapping[str, int] = KINDS) -> None:
        self._most = most
        self._kinds: dict[str, OrderedDict[str, _Kept]] = {}
        self._locks: dict[str, tuple[int, float]] = {}
        self._number = 0

    def put(self, entry: Entry, now: float, *, exchanged: bool = False) -> bool:
        """Keep an entry; whether it must be sent to all views.

        :param exchanged: it is one of those that a view gives when it connects. What is older than what is
            there is dropped; the value that is there already is only prolonged.
        """
        book = self._kinds.setdefault(entry.kind, OrderedDict())
        kept, at, until = self._fresh(book, entry.key, now), now - entry.age, now + entry.ttl
        if exchanged and kept is not None:
            if kept.value == entry.value:
                kept.until = max(kept.until, until)
                return False
            if kept.at > at:
                return False
        self._keep(book, entry.kind, entry.key, _Kept(entry.value, at, until), now)
        return True

    def claim(self, entry: Entry, now: float) -> tuple[bytes, bool]:
        """The value that counts, and whether it is this entry's, so that it must be sent to all views."""
        assert entry.value is not None
        book = self._kinds.setdefault(entry.kind, OrderedDict())
        kept = self._fresh(book, entry.key, now)
        if kept is not None and kept.value is not None:
            kept.until = max(kept.until, now + entry.ttl)
            return kept.value, False
        self._keep(book, entry.kind, entry.key, _Kept(entry.value, now, now + entry.ttl), now)
        return entry.value, True

    def entries(self, now: float) -> Iterator[Entry]:
        """All that is known, for a view that has just connected."""
        for kind, book in self._kinds.items():
            for key, kept in list(book.items()):
                if kept.until > now:
                    yield Entry(kind, key, kept.value, kept.until - now, max(0.0, now - kept.at))

    def lock(self, name: str, ttl: float, now: float) -> int | None:
        """The number of a lock that is held from now on; ``None``: another holds it."""
        held = self._locks.get(name)
        if held is not None and held[1] > now:
            return None
        self._number += 1
        self._locks[name] = self._number, now + ttl
        return self._number

    def unlock(self, name: str, number: int) -> None:
        """Let go of a lock, if it is still held by this number."""
        held = self._locks.get(name)
        if held is not None and held[0] == number:
            del self._locks[name]

    @staticmethod
    def _fresh(book: OrderedDict[str, _Kept], key: str, now: float) -> _Kept | None:
        kept = book.get(key)
        return kept if kept is not None and kept.until > now else None

    def _keep(self, book: OrderedDict[str, _Kept], kind: str, key: str, kept: _Kept, now: float) -> None:
        book[key] = kept
        book.move_to_end(key)
        # Two of those that were put longest ago are looked at: so the book does not fill with what is over.
        for _ in range(2):
            oldest = next(iter(book))
            if book[oldest].until > now:
                break
            del book[oldest]
        if len(book) > self._most.get(kind, len(book)):
            book.popitem(last=False)
