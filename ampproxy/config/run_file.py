"""What a running service leaves in its folder of state for the commands: which process it is, where it
listens, and where its log is.

The service holds a lock on the file as long as it runs: so one that a crash left behind is known, whatever
process has its number by then.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from ampproxy.config import files

#: The largest file that is read. Bytes.
_MAX_BYTES = 64 * 1024


class RunNote(msgspec.Struct, frozen=True):
    """What it holds.

    :param started: seconds since the epoch.
    :param config: the configuration's file.
    :param listening: as people type it: ``127.0.0.1:8317``, or the path of a Unix socket.
    :param log: the log's file; empty: it goes to a terminal, or wherever the standard output does.
    """

    pid: int
    started: float
    config: str
    listening: tuple[str, ...]
    log: str = ""


def run_file(state_dir: Path, config: Path) -> Path:
    """Where the service that runs by a configuration's file leaves it: two may share a folder of state."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(config))).hexdigest()
    return state_dir / f"service-{digest[:12]}.json"


class RunFile:
    """The file as the service has it: written, locked, and removed at the end.

    :raises OSError: it cannot be written.
    """

    def __init__(self, path: Path, note: RunNote) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        self._path = path
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.write(self._file, msgspec.json.encode(note))
        fcntl.flock(self._file, fcntl.LOCK_EX)
        # Another process's, at a restart, stays locked until that one ends: it has no name any more.
        new.replace(path)

    def remove(self) -> None:
        """Remove it, unless another process has put its own there."""
        try:
            if os.path.samestat(os.fstat(self._file), self._path.stat()):
                self._path.unlink()
        except OSError:
            pass  # it is gone already


def read_note(path: Path) -> RunNote | None:
    """What the service left that runs now; ``None``: none does, or the file is another user's."""
    try:
        with files.opened(path) as file:
            if os.fstat(file).st_uid not in (0, os.geteuid()) or not _is_locked(file):
                return None
            return msgspec.json.decode(files.read_from(file, _MAX_BYTES, path), type=RunNote)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
