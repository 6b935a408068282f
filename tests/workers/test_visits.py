"""Requests that a worker gets and the supervisor answers: as if the client had asked it itself."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol

from ampproxy.channel.messages import Visit
from ampproxy.server.guard import introducer, is_introduced, is_introduced_from_elsewhere
from ampproxy.workers.visits import receive
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

HERE, ELSEWHERE = ("127.0.0.1", 1234), ("192.0.2.7", 5)


class Seen(Protocol):
    """A connection of the supervisor's site; it answers with what it is asked."""

    def connectionMade(self) -> None:
        self.factory.made.append(self.transport)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


def visited(visit: Visit) -> tuple[Any, bytes]:
    """What the supervisor sees of a connection, and what came back."""
    site: Any = Factory.forProtocol(Seen)
    site.noisy, site.made = False, []
    ours, theirs = socket.socketpair()
    ours.sendall(b"hello")

    async def meet() -> bytes:
        from twisted.internet.threads import deferToThread

        receive(reactor, site, visit, [os.dup(theirs.fileno())])
        theirs.close()
        ours.settimeout(60)
        answer: bytes = await deferToThread(ours.recv, 100)
        return answer

    answer = in_reactor(meet)
    ours.close()
    return site.made[0], answer


@pytest.mark.parametrize(
    ("visit", "peer", "secure"),
    [
        (Visit(HERE, HERE, False), IPv4Address("TCP", *HERE), False),
        (Visit(("::1", 9), ("::1", 8), True), IPv6Address("TCP", "::1", 9), True),
        (Visit(("", 0), ("", 0), False), UNIXAddress(None), False),
    ],
)
def test_the_client_is_seen(visit: Visit, peer: object, secure: bool) -> None:
    """Its address, and whether it speaks TLS, are those of its own connection, on which rights depend."""
    from twisted.internet.interfaces import ISSLTransport

    transport, answer = visited(visit)
    assert transport.getPeer() == peer
    assert ISSLTransport.providedBy(transport) is secure
    assert not is_introduced(transport)
    assert answer == b"HELLO"


@pytest.mark.parametrize(("proxy", "elsewhere"), [(HERE, False), (ELSEWHERE, True)])
def test_a_proxy_that_names_the_client(proxy: tuple[str, int], elsewhere: bool) -> None:
    """A PROXY line counts for as much as it did in the worker: only a proxy on this machine is believed."""
    transport, _ = visited(Visit(("127.0.0.1", 77), HERE, False, proxy))
    assert is_introduced(transport)
    assert introducer(transport) == IPv4Address("TCP", *proxy)
    assert is_introduced_from_elsewhere(transport) is elsewhere
