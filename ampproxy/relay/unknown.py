"""Routes of Amp's that nobody knew when this was written: forwarded all the same, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ampproxy.config import files

#: The file's name in the folder of what is kept.
NAME = "unknown-routes.json"
#: So many are remembered. A client that asks for more asks for nonsense.
MAX_ROUTES = 200
#: Of one route, so many clients are named.
MAX_CLIENTS = 8
#: Seconds between a request and the writing of the file.
PAUSE = 30.0
#: Seconds without a request after which a route is forgotten.
FORGOTTEN = 180 * 86_400.0

_MAX_FILE_BYTES = 1024 * 1024


class UnknownRoute(msgspec.Struct, frozen=True):
    """A route, and who asked for it.

    :param method: of HTTP, or ``UPGRADE``.
    :param path: without ids (:func:`ampproxy.amp.routes.shape`).
    :param first_seen: seconds since the epoch, as ``last_seen``.
    :param clients: of Amp's, with their versions.
    """

    method: str
    path: str
    count: int
    first_seen: float
    last_seen: float
    clients: tuple[str, ...] = ()


class UnknownRoutes(msgspec.Struct, frozen=True):
    """All of them: what the file holds and the service tells, those asked for last first."""

    routes: tuple[UnknownRoute, ...] = ()


_decode = msgspec.json.Decoder(UnknownRoutes).decode
_Book = dict[tuple[str, str], UnknownRoute]


def read(folder: Path | None) -> UnknownRoutes:
    """What is kept in a folder; nothing if there is no file that can be read."""
    if folder is None:
        return UnknownRoutes()
    try:
        return _decode(files.read(folder / NAME, _MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return UnknownRoutes()


class RouteMemory:
    """Remembers unknown routes, in memory and from time to time in a file that several processes share.

    :param folder: made when something is written first. ``None``: nothing is kept.
    :param wall: seconds since the epoch.
    """

    def __init__(
        self, folder: Path | None, clock: IReactorTime, wall: Callable[[], float], log: Logger
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._wall = wall
        self._log = log
        #: What the file held when it was read or written last, and what is new since then.
        self._kept: _Book | None = None
        self._new: _Book = {}
        self._writing: IDelayedCall | None = None
        self._full = False
        self._unwritable = ""

    def see(self, method: str, path: str, client: str, then: str = "it is forwarded") -> None:
        """A client asked for a route that is not known.

        :param path: its shape.
        :param client: which one; empty if that is not known.
        :param then: what becomes of it, for people.
        """
        now = self._wall()
        key = (method, path)
        kept = self._book()
        if key not in self._new and key not in kept:
            if len(self._new) + len(kept) >= MAX_ROUTES:
                self._log_full()
                return
            self._log.info(
                "{method} {path}{client} is a route of Amp's that this version does not know: {then}",
                log_kind="unknown-route",
                method=method,
                path=path,
                client=f" (of {client})" if client else "",
                then=then,
            )
        one = UnknownRoute(method, path, 1, now, now, (client,) if client else ())
        self._new[key] = _joined(self._new.get(key), one)
        if self._folder is not None and self._writing is None:
            self._writing = self._clock.callLater(PAUSE, self._write)

    def routes(self) -> UnknownRoutes:
        """All that are remembered."""
        return _sorted(_merged(self._book(), self._new))

    def close(self) -> None:
        """Write what is not written yet."""
        if self._writing is not None:
            self._writing.cancel()
            self._write()

    def _book(self) -> _Book:
        if self._kept is None:
            self._kept = self._read()
        return self._kept

    def _read(self) -> _Book:
        oldest = self._wall() - FORGOTTEN
        routes = read(self._folder).routes
        return {(one.method, one.path): one for one in routes[:MAX_ROUTES] if one.last_seen >= oldest}

    def _write(self) -> None:
        """Replace the file by one that has also what other processes have written meanwhile."""
        self._writing = None
        kept = _merged(self._read(), self._new)
        assert self._folder is not None
        try:
            files.replace(self._folder / NAME, msgspec.json.encode(_sorted(kept)))
        except OSError as error:
            # What is new stays so, for the next attempt.
            why = error.strerror or type(error).__name__
            if why != self._unwritable:
                self._unwritable = why
                self._log.warn(
                    "Unknown routes cannot be written to {path}: {why}",
                    path=str(self._folder / NAME),
                    why=why,
                )
            return
        self._kept, self._new, self._unwritable = kept, {}, ""

    def _log_full(self) -> None:
        if not self._full:
            self._full = True
            self._log.warn("More than {most} unknown routes: further ones are not recorded", most=MAX_ROUTES)


def _joined(old: UnknownRoute | None, new: UnknownRoute) -> UnknownRoute:
    if old is None:
        return new
    clients = tuple(dict.fromkeys((*new.clients, *old.clients)))[:MAX_CLIENTS]
    return UnknownRoute(
        old.method,
        old.path,
        old.count + new.count,
        min(old.first_seen, new.first_seen),
        max(old.last_seen, new.last_seen),
        clients,
    )


def _merged(old: _Book, new: _Book) -> _Book:
    book = {**old, **{key: _joined(old.get(key), one) for key, one in new.items()}}
    return {(one.method, one.path): one for one in _sorted(book).routes}


def _sorted(book: _Book) -> UnknownRoutes:
    latest = sorted(book.values(), key=lambda one: one.last_seen, reverse=True)
    return UnknownRoutes(tuple(latest[:MAX_ROUTES]))
