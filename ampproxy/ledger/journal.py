"""What is under way, on a disk: so that it is in the ledger even if its process is killed.

A process that serves alone has no supervisor that would know what it had. So each second it writes down what
has been under way for so long, as rows of exchanges that failed. Such a row stands there until its exchange
is in the ledger; before a batch is written to that, the true rows take their places. What a killed process
has left is written to the ledger by the next one, each exchange once. Requests that are answered within a
second cost nothing of this.

The file is replaced as a whole each time, and not synchronized: a kill loses nothing of it, a loss of power
may.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path
from threading import Lock

from ampproxy.ledger.cleaned import cleaned
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.lines import decoded, encoded
from ampproxy.ledger.place import Place
from ampproxy.ledger.writing import Progress, Writes

#: The folder, in that of the state.
JOURNAL = "ledger-journal"
#: So many exchanges are noted at most.
MAX_NOTED = 20_000
_SUFFIX, _LOCK = ".jsonl", ".lock"
#: What the lines of a file begin with.
_RUNNING, _ENDED = b"running ", b"ended "

#: A row's but for its time: its writer and its number.
Key = tuple[int, int]


#: The key of a row, but for its time; of each that is written.
key_of: Callable[[Entry], Key] = itemgetter(Entry._fields.index("writer"), Entry._fields.index("number"))


class Journal:
    """The file of one process, and those that others have left. For any thread but the reactor's.

    Trouble with the disk is none of the ledger's: then nothing is noted.

    :param folder: of the files; made when the first is.
    :param writer: names this process's.
    """

    def __init__(self, folder: Path, writer: int) -> None:
        self._folder = folder
        self._path = folder / f"{writer:016x}{_SUFFIX}"
        self._guard = Lock()
        self._lock: int | None = None
        self._noted: dict[Key, Entry] = {}
        self._ended: dict[Key, list[Entry]] = {}
        #: What is on its way to :meth:`note`, and what of that is in the ledger already.
        self._announced: Collection[Key] = ()
        self._done: set[Key] = set()
        #: Cuts secrets out of names; not known before there was a first batch.
        self._redacted: Callable[[str], str] | None = None

    def announce(self, keys: Collection[Key]) -> None:
        """In the reactor's thread: :meth:`note` will be called with what has these keys, and is done with
        what was announced before. Of these alone it is remembered that they are in the ledger: a process that
        answers at once would else remember every exchange.
        """
        self._announced = keys

    def note(self, running: Mapping[Key, Entry]) -> None:
        """Note what is under way, beside what was noted and is not in the ledger yet.

        :param running: all of it, as announced. Each call knows of no less than the one before it.
        """
        with self._guard:
            if self._redacted is None:
                return
            before = dict(self._noted)
            for key, row in running.items():
                if key not in self._done and (key in self._noted or len(self._noted) < MAX_NOTED):
                    self._noted[key] = row
            self._done &= running.keys()
            if self._noted != before:
                self._save()

    @contextmanager
    def writing(self, batch: Sequence[Entry], redacted: Callable[[str], str]) -> Iterator[None]:
        """While this lasts, a batch is written to the ledger; if it fails, it is not known whether it was.

        :param redacted: cuts secrets out of names.
        """
        keys = set(map(key_of, batch))
        with self._guard:
            self._redacted = redacted
            ended: dict[Key, list[Entry]] = {}
            if not keys.isdisjoint(self._noted):
                for row in batch:
                    if (key := key_of(row)) in self._noted:
                        # What other models used for it has the same key.
                        ended.setdefault(key, []).append(row)
                self._ended.update(ended)
                self._save()
        yield
        with self._guard:
            self._done |= keys.intersection(self._announced)
            for key in ended:
                self._noted.pop(key, None)
                self._ended.pop(key, None)
            if ended:
                self._save()

    def take_over(self, place: Place, store: Writes, redacted: Callable[[str], str]) -> int:
        """Write to the ledger what killed processes have left; how many exchanges that are.

        :raises ampproxy.ledger.LedgerError: it cannot be written; it is still there.
        """
        count = 0
        for path in self._others():
            with _taken(path) as is_ours:
                if is_ours:
                    count += _move(path, place, store, redacted)
        self._tidy()
        return count

    def close(self) -> None:
        """The process ends. What is not in the ledger is left to the next one."""
        lock, self._lock = self._lock, None
        if lock is not None:
            if not self._noted:
                _remove(self._path)
                self._tidy()
            os.close(lock)

    def _tidy(self) -> None:
        # Only if it is empty, and others may still use it.
        with suppress(OSError):
            self._folder.rmdir()

    def _save(self) -> None:
        assert self._redacted is not None
        rows = [row for key, row in self._noted.items() if key not in self._ended]
        lines = [_RUNNING + line for line in _lines(rows, self._redacted)]
        ended = list(chain.from_iterable(self._ended.values()))
        lines += [_ENDED + line for line in _lines(ended, self._redacted)]
        try:
            self._begin()
            fresh = self._path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(b"".join(lines))
            fresh.replace(self._path)
        except OSError:
            # What it has is not true any more.
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _begin(self) -> None:
        if self._lock is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(self._path)

    def _others(self) -> list[Path]:
        try:
            return [path for path in sorted(self._folder.glob(f"*{_SUFFIX}")) if path != self._path]
        except OSError:
            return []


class Journalled:
    """A store whose batches are noted; see :class:`~ampproxy.ledger.writing.Writes`.

    :param place: where the store writes.
    :param found: called with how many exchanges killed processes have left, if there are any.
    """

    def __init__(self, store: Writes, journal: Journal, place: Place, found: Callable[[int], None]) -> None:
        self._store = store
        self._journal = journal
        self._place = place
        self._found = found
        self._has_looked = False

    def write(self, entries: Sequence[Entry], redacted: Callable[[str], str]) -> Progress | None:
        if not self._has_looked:
            count = self._journal.take_over(self._place, self._store, redacted)
            self._has_looked = True
            if count:
                self._found(count)
        with self._journal.writing(entries, redacted):
            return self._store.write(entries, redacted)

    def make_room(self, now: int, max_age: int, max_size: int) -> bool:
        return self._store.make_room(now, max_age, max_size)

    def close(self) -> None:
        self._store.close()


def _locked(path: Path) -> int | None:
    """The lock of a file, held; ``None``: another process holds it."""
    descriptor = os.open(path.with_suffix(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Hold the file of a process that has ended; whether that can be."""
    try:
        descriptor = _locked(path)
    except OSError:
        descriptor = None
    if descriptor is None:
        yield False
        return
    try:
        yield path.exists()
    finally:
        os.close(descriptor)


def _move(path: Path, place: Place, store: Writes, redacted: Callable[[str], str]) -> int:
    """Have a file's rows in the ledger, each once, and the file gone."""
    rows = _left(path)
    if place.database is None:
        # Only here: it loads SQLite, and mostly nothing is left.
        from ampproxy.ledger.written import unwritten

        # It knows no keys. Its tables have to be there, and of this version.
        store.write((), redacted)
        rows = unwritten(place, rows)
    if rows:
        store.write(rows, redacted)
    _remove(path)
    return len(rows)


def _remove(path: Path) -> None:
    for each in (path, path.with_suffix(_LOCK)):
        with suppress(OSError):
            each.unlink(missing_ok=True)


def _lines(rows: Sequence[Entry], redacted: Callable[[str], str]) -> Iterator[bytes]:
    by_writer: dict[int, list[Entry]] = {}
    for row in cleaned(rows, redacted):
        by_writer.setdefault(row.writer, []).append(row)
    return map(encoded, by_writer.values())


def _left(path: Path) -> list[Entry]:
    """The rows of a file: what has ended as it was, what was under way as failed when that was last noted."""
    try:
        last = path.stat().st_mtime_ns // 1000
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return []
    rows = []
    for line in lines:
        is_running = line.startswith(_RUNNING)
        for row in decoded(line.removeprefix(_RUNNING if is_running else _ENDED)):
            later = max(0, last - row.at) if is_running else 0
            rows.append(row._replace(at=row.at + later, total_ms=row.total_ms + later // 1000))
    return rows
