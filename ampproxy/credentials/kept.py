"""Small files of what was learned of accounts: read when needed, written in batches by another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.config import files

#: Seconds between a change and the writing of the file: what a kill or a power cut may cost.
PAUSE = 5.0

#: Runs a function in another thread; its result fires in the reactor's.
InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class KeptFile:
    """One file in the folder of what is kept across restarts. It is its owner's alone, and replaced whole.

    :param folder: made when something is written first. ``None``: nothing is kept.
    :param largest: no larger file is read. Bytes.
    :param make: makes the file's new content of what it holds by now (``None``: there is none), for another
        process may have written it. It is called in the other thread.
    :param pause: seconds between a change and the writing.
    :ivar trouble: why it could not be written last; empty: it could.
    """

    def __init__(
        self,
        folder: Path | None,
        name: str,
        largest: int,
        make: Callable[[bytes | None], bytes],
        *,
        clock: IReactorTime | None = None,
        log: Logger | None = None,
        in_thread: InThread = maybeDeferred,
        pause: float = PAUSE,
    ) -> None:
        self._pause = pause
        self.path = None if folder is None else folder / name
        self._largest = largest
        self._make = make
        self._clock = clock
        self._log = log
        self._in_thread = in_thread
        self._call: IDelayedCall | None = None
        self._busy = self._again = False
        self._lock = threading.Lock()
        self.trouble = ""

    def read(self) -> bytes | None:
        """What it holds; ``None`` if there is none that can be read."""
        try:
            return None if self.path is None else files.read(self.path, self._largest)
        except OSError:
            return None

    def changed(self) -> None:
        """What is to be kept has changed: write it soon."""
        if self.path is None or self._clock is None or self._call is not None:
            return
        if self._busy:
            self._again = True
            return
        self._call = self._clock.callLater(self._pause, self._begin)

    def flush(self) -> None:
        """Write at once, in this thread, if anything has changed."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        elif not (self._busy or self._again):
            return
        self.write()

    def write(self) -> None:
        """Write at once, in this thread, whether or not anything has changed. Trouble is logged."""
        try:
            self._replace()
        except OSError as error:
            self._complain(error)

    def _begin(self) -> None:
        self._call, self._busy = None, True
        self._in_thread(self._replace).addErrback(self._failed).addBoth(self._ended)

    def _ended(self, _: object) -> None:
        self._busy = False
        if self._again:
            self._again = False
            self.changed()

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, OSError):
            if self._log is not None:
                self._log.failure("{path} cannot be written", failure, path=str(self.path))
            return
        self._complain(failure.value)
        # For the next attempt.
        self._again = True

    def _complain(self, error: OSError) -> None:
        why = error.strerror or type(error).__name__
        if self._log is not None and why != self.trouble:
            self._log.warn("{path} cannot be written: {why}", path=str(self.path), why=why)
        self.trouble = why

    def _replace(self) -> None:
        if self.path is None:
            return
        with self._lock:
            files.replace(self.path, self._make(self.read()))
        self.trouble = ""
