"""Files that people and other programs write, read whole: without waiting for what is no file, and not more
than is sane. A named pipe at the path of a file would otherwise hold whoever opens it for ever. And files of
our own, written whole.
"""

from __future__ import annotations

import errno
import os
import secrets
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ampproxy.wire.late import LatePattern

#: The largest configuration; it is read in the reactor. Bytes.
MAX_CONFIG = 1024 * 1024
#: The largest file of a secret, a certificate or a key. Bytes.
MAX_SECRET = 256 * 1024
#: Seconds for what comes from a pipe that whoever started this process gave it.
READ_TIMEOUT = 30.0
_PIECE = 1024 * 1024
#: A descriptor of this process: ``<(command)`` in a shell, ``/dev/stdin``.
_DESCRIPTOR = LatePattern(r"/dev/(?:stdin|fd/[0-9]+)|/proc/(?:self|[0-9]+)/fd/[0-9]+")
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFile(OSError):
    """Something else than a file lies there."""


class TooLarge(OSError):
    """It holds more than a file of its kind ever should."""


def read(path: Path, most: int) -> bytes:
    """What a file holds; links are followed.

    :param most: so many bytes at most.
    :raises NotAFile: it is a pipe, a socket or a device. The one exception is a pipe among this process's own
        descriptors, which whoever started it has put there; it is read to its end.
    :raises IsADirectoryError: it is a folder.
    :raises TooLarge: it holds more.
    :raises OSError: it cannot be read.
    """
    with opened(path) as file:
        return read_from(file, most, path)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor for reading that file; raises as :func:`read` does."""
    # Looked at before it is opened, for opening a device may do something, and again afterwards.
    require_file(os.stat(path), path)
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        require_file(os.fstat(file), path)
        yield file
    finally:
        os.close(file)


def read_from(file: int, most: int, path: Path) -> bytes:
    """The rest of an opened file.

    :param path: for the error.
    :raises TooLarge: it is more than ``most`` bytes.
    """
    pieces: list[bytes] = []
    length, deadline = 0, time.monotonic() + READ_TIMEOUT
    while length <= most:
        try:
            piece = os.read(file, min(_PIECE, most + 1 - length))
        except BlockingIOError:
            _await(file, deadline, path)
            continue
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        length += len(piece)
    raise TooLarge(errno.EFBIG, f"it has more than {_in_words(most)}", str(path))


def _await(file: int, deadline: float, path: Path) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([file], [], [], left)[0]:
        raise TimeoutError(
            errno.ETIMEDOUT, f"nothing came through the pipe for {READ_TIMEOUT:g} s", str(path)
        )


def require_file(found: os.stat_result, path: Path) -> None:
    """
    :raises NotAFile: it is a pipe, a socket or a device, but for a pipe among this process's own descriptors.
    :raises IsADirectoryError: it is a folder.
    """
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFREG or (kind == stat.S_IFIFO and _DESCRIPTOR.fullmatch(str(path))):
        return
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotAFile(errno.EINVAL, f"it is {_KINDS.get(kind, 'something else')} and not a file", str(path))


def replace(path: Path, data: bytes) -> None:
    """Have a file hold this, as a whole or not at all. Only its owner can read it.

    :raises OSError: the disk does not take it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(file, "wb") as stream:
            stream.write(data)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _in_words(most: int) -> str:
    return f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
