"""Sockets that are listened on for other processes: several on one address, one for each worker."""

from __future__ import annotations

import os
import socket
import stat
import sys

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort
from zope.interface import implementer


@implementer(IListeningPort)
class ParkedPort:
    """Sockets that listen, and on which this process accepts nothing: its workers have copies of them. As
    long as this one holds them, what connects waits in their queues even where a worker has died.

    :param sockets: of one address. They are ours from now on.
    :param path: of a Unix socket: the file that is ours to remove at the end.
    """

    #: There is no port of the reactor's.
    acceptor = None

    def __init__(self, sockets: list[socket.socket], path: str = "") -> None:
        self.sockets = sockets
        self.path = path
        self._file = identity(path) if path else None

    def startListening(self) -> None:
        """They do."""

    def pause(self) -> None:
        """Nothing is accepted here."""

    def resume(self) -> None:
        """Nothing is accepted here."""

    def getHost(self) -> IAddress:
        """Where they listen."""
        return address_of(self.sockets[0])

    def yield_to(self) -> Deferred[None]:
        """See :meth:`SharedPort.yield_to`; the workers do that."""
        return self.stopListening()

    def stopListening(self) -> Deferred[None]:
        """Close them here; the workers serve what has connected so far."""
        remove(self.path, self._file)
        return self.release()

    def release(self) -> Deferred[None]:
        """Close them here."""
        self.path = ""
        for sock in self.sockets:
            sock.close()
        return succeed(None)


def address_of(sock: socket.socket) -> IAddress:
    """Where a socket listens."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return UNIXAddress(os.fsencode(name))
    make = IPv6Address if sock.family == socket.AF_INET6 else IPv4Address
    return make("TCP", *name)


def remove(path: str, file: tuple[int, int] | None) -> None:
    """Remove the file of a Unix socket, if it still is that one."""
    if path and file is not None and identity(path) == file:
        os.unlink(path)


def with_more(sockets: list[socket.socket], wanted: int, backlog: int) -> list[socket.socket]:
    """These and further ones on their address, one for each worker: the kernel then spreads connections
    evenly (``SO_REUSEPORT``). Where it does not, all workers accept on those that there are.

    The first was bound without the option, so that an address that another service has is still found taken.

    :param sockets: they listen; all have the option, or there is one.
    """
    if not sys.platform.startswith("linux") or sockets[0].family == socket.AF_UNIX:
        return sockets
    try:
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        while len(sockets) < wanted:
            sockets = [*sockets, _beside(sockets[0], backlog)]
    except OSError:
        pass  # those that there are will do
    return sockets


def _beside(first: socket.socket, backlog: int) -> socket.socket:
    """One more socket on the same address.

    :raises OSError: there can be none.
    """
    sock = socket.socket(first.family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        if first.family == socket.AF_INET6:
            only = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind(first.getsockname())
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def identity(path: str) -> tuple[int, int] | None:
    """Which socket's file lies there, if any."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
