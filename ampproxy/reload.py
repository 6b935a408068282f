"""The configuration file, watched: a changed one is read, checked, and put in force without a restart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError

#: Seconds between two looks at the file. A change is read when two looks saw the same: within a second.
INTERVAL = 0.5

Signature = tuple[int, int, int, int]


class ConfigWatch:
    """Looks at the file by its path, again and again: so it does not matter whether it is written in place,
    replaced by rename, removed and made anew, or reached through a link that is turned.

    A file is read only when it has been still from one look to the next, so that one that is being
    written is not read by halves. The same content in a new file changes nothing.

    :param read: gives the file's configuration; raises ``ConfigError``.
    :param changed: puts a new configuration in force.
    :param announce: surrounds each reading of the file, so that a service manager can be told.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[], Config],
        changed: Callable[[Config], None],
        *,
        clock: IReactorTime,
        log: Logger,
        announce: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._path = path
        self._read = read
        self._changed = changed
        self._log = log
        self._announce = announce
        self._settled = self._pending = self._signature()
        self._digest = self._content()
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock

    def start(self) -> None:
        """Look from now on."""
        self._loop.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Look no longer."""
        if self._loop.running:
            self._loop.stop()

    def look(self) -> None:
        """One look."""
        seen = self._signature()
        if seen == self._settled:
            self._pending = seen
            return
        if seen != self._pending:
            self._pending = seen
            return
        self._settled = seen
        if seen is None:
            self._log.warn(
                "{path} is gone: the configuration stays as it was read last", path=str(self._path)
            )
            return
        digest = self._content()
        if digest is not None and digest != self._digest:
            self.load()

    def load(self) -> bool:
        """Read the file and put it in force; whether it was right. A wrong one changes nothing."""
        with self._announce():
            return self._load()

    def _load(self) -> bool:
        self._settled = self._pending = self._signature()
        self._digest = self._content()
        try:
            config = self._read()
        except ConfigError as error:
            self._log.error(
                "{path} is wrong, the configuration stays as it was:\n{complaints}",
                path=str(self._path),
                complaints=str(error),
            )
            return False
        for warning in config.warnings:
            self._log.warn("{warning}", warning=warning)
        self._changed(config)
        return True

    def _signature(self) -> Signature | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _content(self) -> bytes | None:
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return None
