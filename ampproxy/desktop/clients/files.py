"""Files of other programs: read, and replaced whole or not at all, with their mode, their owner and the
symbolic links that lead to them.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ampproxy.config.files import read

#: No settings file is near this. Bytes.
MAX_FILE = 16 * 1024 * 1024


def content(path: Path) -> bytes | None:
    """A file's bytes; ``None`` if it is not there.

    :raises OSError: it cannot be read, is no file, or is far too large.
    """
    try:
        return read(path, MAX_FILE)
    except FileNotFoundError:
        return None


def real(path: Path) -> Path:
    """Where a path leads, its last link included, whether anything is there or not."""
    return Path(os.path.realpath(path))


def missing_folders(path: Path) -> list[Path]:
    """The folders that would have to be made for a file, outermost first."""
    return [folder for folder in reversed(real(path).parents) if not folder.exists()]


def write(path: Path, data: bytes) -> None:
    """Put a file in place of the one that is there. What was there keeps its mode and its owner; a new one
    is for its owner alone, and so are the folders that are made for it.

    :raises OSError: it cannot be written; the old one is as it was.
    """
    target = real(path)
    for folder in missing_folders(target):
        folder.mkdir(mode=0o700)
    try:
        before = target.stat()
    except FileNotFoundError:
        before = None
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            if before is not None:
                _give(stream.fileno(), before)
            os.fsync(stream.fileno())
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def remove(path: Path) -> None:
    """Remove a file; a link that leads to it stays.

    :raises OSError: it cannot be removed.
    """
    target = real(path)
    target.unlink(missing_ok=True)
    _sync(target.parent)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing is."""
    try:
        folder.rmdir()
    except OSError:
        pass


def _give(file: int, before: os.stat_result) -> None:
    """The owner and the mode of the file that is replaced; the owner only where we may."""
    mine = os.fstat(file)
    if (before.st_uid, before.st_gid) != (mine.st_uid, mine.st_gid):
        try:
            os.fchown(file, before.st_uid, before.st_gid)
        except PermissionError:
            pass
    os.fchmod(file, stat.S_IMODE(before.st_mode))


def _sync(folder: Path) -> None:
    """Wait until the folder's names are on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
