"""Requests that a worker gets and the supervisor answers: for the page, the admin API and the state of the
service.

For each the worker makes a pair of sockets and gives one end to the supervisor, along with the addresses of
the client's connection. So the supervisor's site serves it like a connection of its own, and decides as it
always does who is let in.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ampproxy.channel.messages import Message, Visit
from ampproxy.errors import ClientGone, ExchangeError
from ampproxy.generation import Generation
from ampproxy.http.client_connection import ClientConnection
from ampproxy.http.client_request import Request
from ampproxy.http.headers import LowerHeaders
from ampproxy.relay.forward import Forward, forward, pairs
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.base import GatewayResource
from ampproxy.server.coroutines import begin
from ampproxy.server.guard import introducer
from ampproxy.server.reported import ReportedTransport
from ampproxy.server.site import GatewayRequest
from ampproxy.upstream.pipe import PipeProducer
from ampproxy.wire.headers import CONNECTION

#: Headers of the connection and of the framing, which both connections have of their own.
_OWN = CONNECTION | {b"content-length", b"expect"}
Place = tuple[str, int]


def receive(reactor: Any, site: Any, visit: Visit, descriptors: list[int]) -> None:
    """In the supervisor: serve a request that a worker has got."""
    for number in descriptors:
        reactor.adoptStreamConnection(number, socket.AF_UNIX, _Entrance(site, visit))
        os.close(number)


class _Entrance(Factory):
    noisy = False

    def __init__(self, site: Any, visit: Visit) -> None:
        self._site = site
        self._visit = visit

    def buildProtocol(self, addr: Any) -> Any:
        visit = self._visit
        peer, host = _address(visit.peer), _address(visit.host)
        proxy = None if visit.introduced is None else _address(visit.introduced)
        channel = self._site.buildProtocol(peer)
        connect = channel.makeConnection
        channel.makeConnection = lambda transport: connect(
            ReportedTransport(transport, peer, host, proxy, secure=visit.secure)
        )
        return channel


def _address(place: Place) -> IAddress:
    host, port = place
    if not port:
        return UNIXAddress(os.fsencode(host) or None)
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def _place(address: Any) -> Place:
    return str(getattr(address, "host", "")), int(getattr(address, "port", 0))


class SupervisorResource(GatewayResource):
    """In a worker: everything that the supervisor answers.

    :param send: sends to the supervisor, along with descriptors.
    """

    streams_body = True
    opened_by_links = True

    def __init__(
        self, generation: Generation, reactor: Any, send: Callable[[Message, list[int]], None]
    ) -> None:
        super().__init__(generation)
        self._reactor = reactor
        self._send = send

    def getChild(self, path: bytes, request: Any) -> SupervisorResource:
        """Itself, for the whole path."""
        return self

    def render(self, request: GatewayRequest) -> Any:
        begin(self._serve(request))

    async def _serve(self, request: GatewayRequest) -> None:
        config, runtime = self.generation.config, self.generation.runtime
        body = request.body
        if isinstance(body, PipeProducer):
            pipe = body
            request.notifyFinish().addErrback(lambda _: pipe.abandon(Failure(ConnectionAbortedError())))
        target = request.uri.decode("latin-1")
        what = Forward(
            method=request.method.decode("ascii"),
            url=target,
            headers=_headers(request.requestHeaders),
            body=body if isinstance(body, PipeProducer) and request.length != 0 else None,
            origin="the supervisor of the workers",
            record=ExchangeRecord(runtime.clock.seconds(), "", ""),
        )
        try:
            await forward(
                what,
                request,
                client=_Way(self._reactor, request, self._send),
                clock=runtime.clock,
                deadlines=runtime.deadlines,
                first_byte=config.timeouts.first_byte,
                idle=config.timeouts.idle,
                mark=lambda headers: None,
            )
        except ClientGone:
            pass
        except ExchangeError as error:
            if request.startedWriting:
                request.break_off()
            else:
                self.send_error(request, error)
        except Exception:
            request.processingFailed(Failure())
        finally:
            request.on_leave = request.on_abort = None
            request.release()


def _headers(headers: Headers) -> Headers:
    return LowerHeaders.of_pairs([pair for pair in pairs(headers) if pair[0].lower() not in _OWN])


class _Way:
    """Sends one request; see :class:`ampproxy.relay.forward.Sends`."""

    def __init__(
        self, reactor: Any, request: GatewayRequest, send: Callable[[Message, list[int]], None]
    ) -> None:
        self._reactor = reactor
        self._request = request
        self._send = send

    def send(
        self, method: str, url: str, headers: Headers, body: Any = None, proxy: str | None = None
    ) -> Deferred[Any]:
        channel: Any = self._request.channel
        by = introducer(channel.transport)
        introduced = None if by is None else _place(by)
        visit = Visit(_place(channel.peer), _place(channel.getHost()), channel.isSecure(), introduced)
        target = url.encode("latin-1")
        question = Request(method.encode("ascii"), target, target, b"", headers, body)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            self._send(visit, [theirs.fileno()])
            connection = ClientConnection(_OnlyOnce(), None)
            factory = Factory.forProtocol(lambda: connection)
            factory.noisy = False
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        return connection.ask(question)


class _OnlyOnce:
    """A connection that is closed when it is free; see :class:`ampproxy.http.client_connection.Home`."""

    clock: IReactorTime | None = None

    def free(self, connection: ClientConnection) -> None:
        connection.close()

    def lost(self, connection: ClientConnection) -> None:
        pass
