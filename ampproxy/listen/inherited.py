"""Sockets that were there before this process: systemd's, by ``sd_listen_fds(3)``, and those of the process
whose place it takes.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ampproxy.errors import ConfigError
from ampproxy.listen.sockets import listening

#: The first descriptor that systemd passes.
FIRST = 3
_PREFIX = "systemd:"


class Inherited(msgspec.Struct):
    """What is there already.

    :param activated: systemd's sockets, in its order.
    :param names: theirs, in the same order.
    :param kept: of the process before, by what it was told to listen on.
    """

    activated: list[socket.socket] = msgspec.field(default_factory=list)
    names: list[str] = msgspec.field(default_factory=list)
    kept: dict[str, list[socket.socket]] = msgspec.field(default_factory=dict)

    @classmethod
    def by_systemd(cls, environ: Mapping[str, str], pid: int) -> Inherited:
        """What systemd passes to this process.

        :raises ConfigError: a descriptor is not a socket that listens.
        """
        count = environ.get("LISTEN_FDS", "")
        if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
            return cls()
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        try:
            sockets = [listening(FIRST + index) for index in range(int(count))]
        except ValueError as error:
            raise ConfigError((f"socket activation (LISTEN_FDS={count}): {error}",)) from None
        return cls(sockets, [*names, *("" for _ in sockets)][: len(sockets)])

    def take(self, key: str) -> socket.socket | None:
        """A socket that the process before listened on for ``key``; the next call gives the next."""
        found = self.kept.get(key)
        return found.pop(0) if found else None

    def count(self, key: str) -> int:
        """How many of these there are that nobody has taken."""
        return len(self.kept.get(key, ()))

    def take_all(self, key: str) -> list[socket.socket]:
        """All of these; the next call gives none."""
        return self.kept.pop(key, [])

    def named(self, text: str) -> socket.socket:
        """The socket of an endpoint string: ``systemd:domain=INET:index=0`` or ``systemd:INET:name=web``.
        What family it is of, the socket itself says.

        :raises ConfigError: there is none.
        """
        given = dict(zip(("domain", "index", "name"), _arguments(text), strict=False))
        for part in text.split(":")[1:]:
            key, is_named, value = part.partition("=")
            if is_named:
                given[key] = value
        index, name = given.get("index", ""), given.get("name", "")
        if name in self.names and name:
            return self.activated[self.names.index(name)].dup()
        if index.isdecimal() and int(index) < len(self.activated):
            return self.activated[int(index)].dup()
        named = [name for name in self.names if name]
        found = f"{len(self.activated)} sockets{' named ' if named else ''}{', '.join(named)}"
        raise ConfigError((f"--listen {text}: systemd has passed {found}, and not this one",))

    def close(self) -> None:
        """Close what nobody has taken."""
        for sockets in self.kept.values():
            for sock in sockets:
                sock.close()
        self.kept.clear()


def is_systemds(text: str) -> bool:
    """Whether an endpoint string names one of systemd's sockets."""
    return text.startswith(_PREFIX)


def first_environment() -> dict[str, str]:
    """The environment that the process was started with, where the system tells it (Linux): Twisted takes
    systemd's variables out of the other one as soon as its endpoints are imported.
    """
    try:
        pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    decoded = (pair.decode("utf-8", "surrogateescape").partition("=") for pair in pairs)
    return {name: value for name, _, value in decoded if name}


def _arguments(text: str) -> list[str]:
    """The parts of an endpoint string without a name of their own."""
    return [part for part in text.split(":")[1:] if "=" not in part]
