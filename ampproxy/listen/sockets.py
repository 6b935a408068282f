"""Listening sockets that belong to us and not to the reactor: they can be handed to another process.

The reactor accepts on a copy of the socket, which it closes without shutting it down: what connects meanwhile
waits in the kernel's one queue, and whoever holds the socket then accepts it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any

from twisted.internet import unix
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.tcp import Port
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.http.closing import TLSFactory
from ampproxy.listen.parked import ParkedPort, address_of, identity, remove, with_more

#: Connections that may wait to be accepted. Twisted's 50 turns clients away in a burst.
BACKLOG = 1024
_TWISTEDS_BACKLOG = 50
#: Seconds for which a socket completes what is being connected: less than a client waits before it asks
#: again.
_GIVE_WAY = 0.5
#: ``socket(7)``; Python has no name for it.
_SO_ATTACH_FILTER = 26


class _UnixPort(unix.Port):
    """The reactor's port on a Unix socket that is there already. Twisted's own changes the mode of the file
    and removes it at the end, though other processes may still listen on it.
    """

    factory: Any
    fileno: Any
    _shouldShutdown = False

    def startListening(self) -> None:
        """Accept from now on."""
        self.factory.doStart()
        sock, self._preexistingSocket = self._preexistingSocket, None
        assert sock is not None
        self.socket, self.fileno = sock, sock.fileno
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Close the copy of the socket, and nothing else."""
        Port.connectionLost(self, reason)


@implementer(IListeningPort)
class SharedPort:
    """A socket that listens, and the reactor's port on a copy of it.

    :param sock: listens, and does not block. It is ours from now on.
    :param path: of a Unix socket: the file that is ours to remove at the end.
    """

    def __init__(self, reactor: Any, sock: socket.socket, factory: IProtocolFactory, path: str = "") -> None:
        self._reactor = reactor
        self._factory = factory
        self._file = identity(path) if path else None
        self.socket = sock
        self.path = path
        self._port: Any = None
        self.startListening()

    def startListening(self) -> None:
        """Accept from now on."""
        if self.socket.family == socket.AF_UNIX:
            port = _UnixPort._fromListeningDescriptor(self._reactor, self.socket.fileno(), self._factory)
            port.startListening()
            self._port = port
        else:
            self._port = self._reactor.adoptStreamPort(
                self.socket.fileno(), self.socket.family, self._factory
            )

    @property
    def acceptor(self) -> Any:
        """The reactor's port, which accepts."""
        return self._port

    def pause(self) -> None:
        """Accept nothing; what connects waits."""
        self._port.stopReading()

    def resume(self) -> None:
        """Accept again."""
        self._port.startReading()

    def getHost(self) -> IAddress:
        """Where it listens."""
        return address_of(self.socket)

    @property
    def sockets(self) -> list[socket.socket]:
        """All that it has."""
        return [self.socket]

    def yield_to(self) -> Deferred[None]:
        """Close the socket because another one of ours has its address, too: who is about to connect is to
        find that one. Where the system cannot do this, somebody who connects at this very moment may be cut
        off.
        """
        wait = _GIVE_WAY if stop_accepting_syns(self.socket) else 0.0
        waited: Deferred[Any] = deferLater(self._reactor, wait)
        return waited.addCallback(lambda _: self.stopListening())

    def stopListening(self) -> Deferred[None]:
        """Accept no more, and close the socket; what has connected so far is still served."""
        return self._close().addCallback(self._last)

    def release(self) -> Deferred[None]:
        """Close the socket here, because another process has it now: that one serves what waits."""
        self.path = ""
        return self._close().addCallback(lambda _: self.socket.close())

    def _close(self) -> Deferred[Any]:
        return maybeDeferred(self._port.stopListening)

    def _last(self, _: Any) -> None:
        while True:
            try:
                client, _address = self.socket.accept()
            except OSError:
                break
            with client:
                client.setblocking(False)
                self._reactor.adoptStreamConnection(client.fileno(), client.family, self._factory)
        self.socket.close()
        remove(self.path, self._file)


class TlsSwitchFactory(Factory):
    """What a port gives its connections to: the site, with TLS before it or without.

    A change concerns new connections; those that stand go on as they are.
    """

    noisy = False

    def __init__(self, site: IProtocolFactory, clock: IReactorTime) -> None:
        self._site = site
        self._clock = clock
        self._inner = site

    def use(self, context: Any) -> None:
        """Have connections begin with TLS.

        :param context: an ``IOpenSSLServerConnectionCreator`` or a context factory; ``None``: no TLS.
        """
        self._inner = self._site if context is None else TLSFactory(context, False, self._site, self._clock)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol of a new connection."""
        return self._inner.buildProtocol(addr)  # type: ignore[arg-type]


#: What a socket is listened on by.
AnyPort = SharedPort | ParkedPort


class SocketReactor:
    """What endpoints listen by in place of the reactor, so that they listen on sockets of ours.

    :param given: sockets that listen there already, of the process before; with ``parked`` any number.
    :param rivals: our own sockets that may hold a part of the address and are to be closed soon.
    :param mode: of the file of a Unix socket, in place of what the endpoint asks for.
    :param parked: for how many workers; 0: this process accepts itself.
    :ivar borrowed: whether another process removes the files of Unix sockets.
    """

    def __init__(
        self,
        reactor: Any,
        given: list[socket.socket] | None = None,
        rivals: Iterable[socket.socket] = (),
        mode: int | None = None,
        parked: int = 0,
    ) -> None:
        self._reactor = reactor
        self._given = given or []
        self._rivals = tuple(rivals)
        self._mode = mode
        self._parked = parked
        self.borrowed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = BACKLOG, interface: str = ""
    ) -> AnyPort:
        """As ``IReactorTCP.listenTCP``.

        :raises CannotListenError: the address is taken, or not ours.
        """
        sockets = self._given or [bind_tcp(interface, port, _backlog(backlog), self._rivals)]
        if self._parked:
            return ParkedPort(with_more(sockets, self._parked, _backlog(backlog)))
        return SharedPort(self._reactor, sockets[0], factory)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = BACKLOG,
        interface: str = "",
    ) -> AnyPort:
        """As ``IReactorSSL.listenSSL``; raises as :meth:`listenTCP`."""
        under_tls = TLSFactory(contextFactory, False, factory, self._reactor)
        return self.listenTCP(port, under_tls, backlog, interface)

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = BACKLOG,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> AnyPort:
        """As ``IReactorUNIX.listenUNIX``; a file on which nobody listens any more is replaced, so that there
        is no need of a lock beside it.

        :raises CannotListenError: somebody listens there, or the file cannot be made.
        """
        path = os.fsdecode(address)
        mode = mode if self._mode is None else self._mode
        sock = self._given[0] if self._given else bind_unix(path, _backlog(backlog), mode)
        file = "" if self.borrowed or path.startswith("\0") else path
        return ParkedPort([sock], file) if self._parked else SharedPort(self._reactor, sock, factory, file)

    def adoptStreamPort(self, fd: int, family: int, factory: IProtocolFactory) -> AnyPort:
        """As ``IReactorSocket.adoptStreamPort``."""
        sock = listening(os.dup(fd))
        return ParkedPort([sock]) if self._parked else SharedPort(self._reactor, sock, factory)


def bind_tcp(host: str, port: int, backlog: int, rivals: Iterable[socket.socket] = ()) -> socket.socket:
    """A socket that listens.

    :param host: an address; empty for every IPv4 interface.
    :param rivals: see :class:`SocketReactor`.
    :raises CannotListenError: it cannot.
    """
    sock = _stream_socket(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)
    try:
        address: Any = (host, port)
        if ":" in host:
            address = socket.getaddrinfo(
                host, port, sock.family, sock.type, 0, socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            )[0][4]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(sock, address, backlog, tuple(rivals))
    except OSError as error:
        sock.close()
        raise CannotListenError(host, port, error) from None
    sock.setblocking(False)
    return sock


def _stream_socket(family: int, interface: str | None, port: int | str) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListenError(interface, port, error) from None


def every_interface() -> str:
    """The address of all of them: one socket takes both families, where the system has IPv6 and lets its
    sockets take IPv4 connections.
    """
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return "0.0.0.0"  # noqa: S104  asked for
    return "::"


def _bind(sock: socket.socket, address: Any, backlog: int, rivals: tuple[socket.socket, ...]) -> None:
    try:
        sock.bind(address)
        sock.listen(backlog)
        return
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not rivals or not hasattr(socket, "SO_REUSEPORT"):
            raise
    # From 127.0.0.1 to every interface: Linux lets the two sockets stand beside each other if both say so.
    both = (sock, *rivals)
    try:
        for each in both:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(backlog)
    finally:
        # And from now on nobody else may.
        for each in both:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


def bind_unix(path: str, backlog: int, mode: int) -> socket.socket:
    """A Unix socket that listens.

    :param path: of the file; one that begins with a zero byte is a name in Linux's abstract space.
    :param mode: of the file, which never has another one that lets more people in.
    :raises CannotListenError: it cannot.
    """
    sock = _stream_socket(socket.AF_UNIX, None, path)
    try:
        if _is_left_over(path):
            os.unlink(path)
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        if not path.startswith("\0"):
            os.chmod(path, mode)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise CannotListenError(None, path, error) from None
    sock.setblocking(False)
    return sock


def stop_accepting_syns(sock: socket.socket) -> bool:
    """Have the system drop what asks a listening socket for a connection, so that it is asked for again, a
    second later; what is being made is completed. Says whether it does (Linux).
    """
    if sock.family == socket.AF_UNIX or not sys.platform.startswith("linux"):
        return False
    # Load the flags of the TCP header; is SYN among them? Then take nothing, else all of it.
    code = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
    filter = struct.pack("HL", len(code), ctypes.addressof(program))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter)
    except OSError:
        return False
    return True


def _is_left_over(path: str) -> bool:
    """Whether there is the file of a socket on which nobody listens."""
    if path.startswith("\0") or identity(path) is None:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def listening(fd: int) -> socket.socket:
    """The socket of a descriptor that somebody gave us; it is not handed on by accident.

    :raises ValueError: it is not a socket that listens for connections.
    """
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        raise ValueError(f"descriptor {fd} is not a socket") from None
    if sock.type != socket.SOCK_STREAM or not _listens(sock):
        raise ValueError(f"descriptor {fd} is not a socket that listens for connections")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # macOS cannot tell for every kind
        return True


def _backlog(asked: int) -> int:
    """What an endpoint asks for, unless it only asks for Twisted's default."""
    return BACKLOG if asked == _TWISTEDS_BACKLOG else asked
