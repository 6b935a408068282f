"""The configuration file, watched: a changed one is read, checked, and put in force without a restart."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ampproxy.config import files
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.status import ReloadReport

#: Seconds between two looks at the files.
INTERVAL = 0.25
#: Seconds for which they must have been still before they are read: one that is being written is not read by
#: halves. With the looks that makes less than one.
STILL = 0.5
#: Seconds after which a file is read although some process still has it open for writing.
WRITING_TIMEOUT = 10.0
#: A file that changes while it is read is read again, so often.
_TRIES = 3

Signature = tuple[int, ...]

#: In place of a digest: the file may not be read; there is something else than a file.
_DENIED, _OTHER = b"denied", b"other"


class Snapshot:
    """What the files held that a configuration was made of, each read once.

    :param before: the one before: what may no longer be read stays as it was then. A service that gave up its
        privileges has read its key while it still could.
    """

    def __init__(self, before: Snapshot | None = None) -> None:
        self._before = before._content if before is not None else {}
        self._content: dict[Path, bytes] = {}
        self._digests: dict[Path, bytes] = {}
        self.unreadable: list[Path] = []

    def read(self, path: Path) -> bytes:
        """What the file holds.

        :raises OSError: it cannot be read.
        """
        try:
            once = path in self._before and _is_other(path) and not path.is_dir()
            content = self._before[path] if once else _read(path)
        except PermissionError:
            self._digests[path] = _DENIED
            if path not in self._before:
                raise
            self.unreadable.append(path)
            content = self._before[path]
        except OSError:
            self._digests[path] = _OTHER if _is_other(path) else b""
            raise
        self._digests[path] = _OTHER if _is_other(path) else sha256(content).digest()
        self._content[path] = content
        return content

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that were asked for, those that are not there included."""
        return tuple(self._digests)

    def is_current(self) -> bool:
        """Whether all of them hold what they held. What may no longer be read tells of no change."""
        for path, known in self._digests.items():
            now = digest(path)
            if now != known and not (now == _DENIED and path in self._content):
                return False
        return True


def _stays(path: Path) -> str:
    return f"{path} can no longer be read; its earlier content stays active"


def _is_other(path: Path) -> bool:
    """Whether something lies there that is no file: a pipe, which can be read only once."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _read(path: Path) -> bytes:
    """A whole file, as it was at one moment."""
    for _ in range(_TRIES):
        with files.opened(path) as file:
            before = _stamp(os.fstat(file))
            content = files.read_from(file, files.MAX_CONFIG, path)
            if _stamp(os.fstat(file)) == before:
                break
    return content


def digest(path: Path) -> bytes:
    """Tells contents apart; empty for a file that is not there. What is no file is not looked into."""
    try:
        return _OTHER if _is_other(path) else sha256(_read(path)).digest()
    except OSError as error:
        return _DENIED if isinstance(error, PermissionError) else b""


def signature(paths: Iterable[Path]) -> tuple[Signature | None, ...]:
    """Which files lie at these paths, and when they were written; links are followed."""
    return tuple(map(_signature, paths))


def _signature(path: Path) -> Signature | None:
    try:
        return _stamp(os.stat(path))
    except OSError:
        return None


def _stamp(found: os.stat_result) -> Signature:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_being_written(path: Path) -> bool:
    """Whether some process has the file open for writing, as far as the system tells: Linux does, of files of
    our own.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # A lease for reading is given only where nobody writes. Who wants to write in the moment for which it
        # is held makes a signal: not the usual one, which would end us, but one that means nothing.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(fd)
    return False


class Reloader:
    """Reads the configuration anew and puts it in force. A wrong one changes nothing.

    :param read: makes a configuration of the files that it is given to read by; raises ``ConfigError``.
    :param use: puts it in force and gives what has changed; raises ``ConfigError`` where that is not
        possible.
    :param generation: of the configuration that is in force.
    :param wall: seconds since the epoch.
    :param announce: surrounds each reading, so that a service manager can be told.
    :ivar snapshot: the files of the last reading.
    :ivar last: how the last reading went, the first one aside.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Callable[[Path], bytes]], Config],
        use: Callable[[Config], tuple[str, ...]],
        *,
        generation: Callable[[], int],
        snapshot: Snapshot,
        wall: Callable[[], float],
        log: Logger,
        announce: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.path = path
        self.snapshot = self._good = snapshot
        self.last: ReloadReport | None = None
        self._read = read
        self._use = use
        self._generation = generation
        self._wall = wall
        self._log = log
        self._announce = announce

    def load(self) -> ReloadReport:
        """Read the file and put it in force."""
        with self._announce():
            return self._load()

    def _load(self) -> ReloadReport:
        snapshot = Snapshot(self._good)
        try:
            config = self._read(snapshot.read)
            warnings = (*config.warnings, *map(_stays, snapshot.unreadable))
            for warning in warnings:
                self._log.warn("{warning}", warning=warning)
            changes = self._use(config)
        except ConfigError as error:
            report = self._refused(error.complaints, error.warnings)
        except Exception as defect:
            self._log.failure("Unhandled error while reading {path}", path=str(self.path))
            report = self._refused((f"{self.path}: a bug in ampproxy: {defect!r}; see the log",))
        else:
            self._good = snapshot
            report = ReloadReport(True, self._wall(), self._generation(), warnings=warnings, changes=changes)
        self.snapshot = snapshot
        self.last = report
        return report

    def _refused(self, complaints: tuple[str, ...], warnings: tuple[str, ...] = ()) -> ReloadReport:
        self._log.error(
            "{path} is invalid, the configuration stays as it was:\n{complaints}",
            path=str(self.path),
            complaints="\n".join(complaints),
            generation=self._generation(),
        )
        return ReloadReport(False, self._wall(), self._generation(), complaints, warnings)


class ConfigWatch:
    """Looks at the files of the configuration by their paths, again and again: so it does not matter whether
    one is written in place, replaced by rename, removed and made anew, or reached through a link that is
    turned.

    They are read only when all of them have been still for a while and nobody has one open for writing, so
    that none is read by halves. The same contents in new files change nothing.

    :param reload: reads the configuration; its snapshot says which files matter.
    """

    def __init__(self, reload: Reloader, *, clock: IReactorTime, log: Logger) -> None:
        self._reload = reload
        self._clock = clock
        self._log = log
        # What has been looked into; the first look does that, for something may have changed since the start.
        self._settled: tuple[Signature | None, ...] = ()
        self._pending: tuple[Signature | None, ...] = ()
        self._since = 0.0
        self._paths: tuple[Path, ...] = ()
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        """Look from now on."""
        self._loop.start(INTERVAL, now=True)

    def stop(self) -> None:
        """Look no longer."""
        if self._loop.running:
            self._loop.stop()

    @property
    def last(self) -> ReloadReport | None:
        """How the last reading went, the one at the start aside."""
        return self._reload.last

    def load(self) -> ReloadReport:
        """Read the files now, changed or not."""
        # They may be in the midst of a change: they are looked into once more when they are still.
        self._settled = ()
        report = self._reload.last = msgspec.structs.replace(self._reload.load(), asked=True)
        return report

    def _look(self) -> None:
        try:
            self.look()
        except Exception:
            # One that escaped would end the loop.
            self._log.failure("Unhandled error while checking {path}", path=str(self._reload.path))

    def look(self) -> None:
        """One look."""
        now, paths = self._clock.seconds(), self._reload.snapshot.paths
        seen = signature(paths)
        if seen == self._settled and paths == self._paths:
            self._pending = ()
            return
        if seen != self._pending:
            self._pending, self._since = seen, now
        quiet = now - self._since
        if quiet < STILL or (quiet < WRITING_TIMEOUT and any(map(is_being_written, paths))):
            return
        self._settled, self._paths = seen, paths
        if not self._has_appeared(paths, seen):
            self._log.warn(
                "{path} is gone: the configuration stays as it was read last", path=str(self._reload.path)
            )
        elif not self._reload.snapshot.is_current():
            self._reload.load()

    def _has_appeared(self, paths: tuple[Path, ...], seen: tuple[Signature | None, ...]) -> bool:
        return self._reload.path not in paths or seen[paths.index(self._reload.path)] is not None
