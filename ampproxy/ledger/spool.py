"""Rows that wait on a disk while their database is away: files that are only appended to, read from the
oldest.

A process appends to files of its own and holds each locked. Those that another one left behind, killed or
ended while the database was away, are adopted by whoever locks them first. A row that is read twice,
because a process was killed before it could remove a file, does no harm: it has a key.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.lines import decoded, encoded

#: Bytes after which another file is begun: a file is given back to the disk as a whole.
SEGMENT_BYTES = 4 * 1024 * 1024
_SUFFIX = ".jsonl"


class _File(msgspec.Struct):
    """One file, open and locked.

    :ivar size: bytes of whole batches in it.
    :ivar read: bytes of it that are stored already.
    """

    path: Path
    file: BinaryIO
    size: int
    read: int = 0

    def close(self, *, remove: bool) -> None:
        if remove:
            # While it is locked: no other process reads it meanwhile.
            with suppress(FileNotFoundError):
                self.path.unlink()
        self.file.close()


class Spool:
    """The rows that wait. For one thread at a time.

    :param folder: of its files; made when the first is.
    :param writer: names the files of this process.
    :param max_bytes: of all files together, those of other processes included.
    """

    def __init__(self, folder: Path, writer: int, max_bytes: int) -> None:
        self.folder = folder
        self._writer = writer
        self._max_bytes = max_bytes
        self._files: deque[_File] = deque()
        self._own: _File | None = None
        self._begun = 0

    def __bool__(self) -> bool:
        """Whether any rows wait."""
        return any(file.read < file.size for file in self._files)

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return sum(file.size - file.read for file in self._files)

    def adopt(self) -> None:
        """Take what ended processes left.

        :raises LedgerError: the folder cannot be read.
        """
        known = {file.path for file in self._files}
        try:
            # Their names begin with the time. All are older than ours, and the oldest comes to stand first.
            for path in sorted(self.folder.glob(f"*{_SUFFIX}"), reverse=True):
                if path not in known and (found := _locked(path)) is not None:
                    self._files.appendleft(found)
        except OSError as error:
            raise LedgerError(f"{self.folder} cannot be read: {_why(error)}") from error

    def append(self, rows: Sequence[Entry]) -> None:
        """Keep rows until they are stored; when this returns they are on the disk.

        :raises LedgerError: they do not fit, or cannot be written; none of them is kept.
        """
        lines = b"".join(map(encoded, _by_writer(rows)))
        try:
            if self._used() + len(lines) > self._max_bytes:
                raise LedgerError(
                    f"what waits for it in {self.folder} has reached its limit (setting: ledger.spool-size)"
                )
            own = self._own
            if own is None or own.size >= SEGMENT_BYTES:
                own = self._own = self._begin(rows[0].at)
            _append(own, lines)
        except OSError as error:
            raise LedgerError(f"nor can {self.folder} be written: {_why(error)}") from error

    def oldest(self) -> tuple[list[Entry], int]:
        """The batch that has waited longest, and what :meth:`stored` is to be called with; an empty one where
        none waits.

        :raises LedgerError: it cannot be read.
        """
        while self._files:
            file = self._files[0]
            line = _line(file)
            if line:
                return decoded(line), len(line)
            self._finish()
        return [], 0

    def stored(self, length: int) -> None:
        """The batch that :meth:`oldest` gave is in the database."""
        file = self._files[0]
        file.read += length
        if file.read >= file.size:
            self._finish()

    def close(self) -> None:
        """Let go of the files; what waits in them stays."""
        for file in self._files:
            file.close(remove=file.read >= file.size)
        self._files.clear()
        self._own = None

    def _finish(self) -> None:
        """The first file has nothing more."""
        file = self._files.popleft()
        if file is self._own:
            self._own = None
        file.close(remove=True)

    def _used(self) -> int:
        """Bytes of all files, whoever's."""
        return sum(_size(path) for path in self.folder.glob(f"*{_SUFFIX}"))

    def _begin(self, at: int) -> _File:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._begun += 1
        path = self.folder / f"{at:017d}-{self._writer:016x}-{self._begun}{_SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made = _File(path, os.fdopen(descriptor, "r+b", buffering=0), 0)
        self._files.append(made)
        return made


def _append(own: _File, lines: bytes) -> None:
    try:
        written = os.write(own.file.fileno(), lines)
        if written != len(lines):
            raise OSError(None, "the disk is full")
        os.fdatasync(own.file.fileno())
    except OSError:
        # A part of a batch is none: what is appended next must not continue it.
        os.ftruncate(own.file.fileno(), own.size)
        raise
    own.size += len(lines)


def _line(file: _File) -> bytes:
    """The next batch of a file; empty: there is none, or it breaks off."""
    try:
        file.file.seek(file.read)
        found = bytearray()
        while file.read + len(found) < file.size:
            piece = file.file.read(65536)
            end = piece.find(b"\n")
            if end >= 0:
                return bytes(found + piece[: end + 1])
            if not piece:
                break
            found += piece
    except OSError as error:
        raise LedgerError(f"{file.path} cannot be read: {_why(error)}") from error
    return b""


def _locked(path: Path) -> _File | None:
    """A file that no process has any more; ``None``: one has it, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    found = os.fstat(descriptor)
    if not found.st_nlink:
        # Who had it has just removed it.
        os.close(descriptor)
        return None
    return _File(path, os.fdopen(descriptor, "r+b", buffering=0), found.st_size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _by_writer(rows: Sequence[Entry]) -> Collection[list[Entry]]:
    """Rows of one writer each, in their order."""
    found: dict[int, list[Entry]] = {}
    for row in rows:
        found.setdefault(row.writer, []).append(row)
    return found.values()
