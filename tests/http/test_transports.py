"""Connections that change hands, and what OpenSSL keeps for them."""

from __future__ import annotations

from typing import Any

import trustme
from OpenSSL import SSL
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol

from ampproxy.http.transports import give_to, release_buffers
from tests.upstream.doubles import certificate


class Layer(TLSMemoryBIOProtocol):
    """TLS over something, as far as it is looked at."""

    def __init__(self, connection: Any, below: Any) -> None:
        self._tlsConnection = connection
        self.transport = below


def carry(one: SSL.Connection, other: SSL.Connection) -> None:
    """Hand over what each has for the other, until there is nothing more."""
    moved = True
    while moved:
        moved = False
        for source, sink in ((one, other), (other, one)):
            try:
                sink.bio_write(source.bio_read(65536))
                moved = True
            except SSL.WantReadError:
                pass


def connected() -> tuple[SSL.Connection, SSL.Connection]:
    """Two ends of a TLS connection."""
    ends = (
        SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD)),
        SSL.Connection(certificate(trustme.CA(), "localhost").getContext()),
    )
    ends[0].set_connect_state()
    ends[1].set_accept_state()
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except SSL.WantReadError:
                pass
        carry(*ends)
    for end in ends:
        assert said(end) == b""
    return ends


def said(end: SSL.Connection) -> bytes:
    """What has come for an end."""
    out = b""
    while True:
        try:
            out += end.recv(65536)
        except SSL.WantReadError:
            return out


def test_released_and_alive() -> None:
    """The buffers are others, again and again, and the two ends go on as if nothing had been."""
    client, server = connected()
    seen = set()
    for size in (1, 16384, 9_000, 5):
        client.send(bytes(size))
        carry(client, server)
        assert said(server) == bytes(size)
        server.send(b"x" * size)
        carry(client, server)
        before = client._into_ssl, client._from_ssl
        assert said(client) == b"x" * size
        assert release_buffers(Layer(client, StringTransport()))
        assert (client._into_ssl, client._from_ssl) != before
        seen.add(client._ssl)
    assert len(seen) == 1
    client.shutdown()
    carry(client, server)
    try:
        server.recv(1)
        raise AssertionError("the end did not arrive")
    except SSL.ZeroReturnError:
        pass


def test_what_is_on_its_way_is_not_lost() -> None:
    """While something is in a buffer, on either way, none is released."""
    client, server = connected()
    layer = Layer(client, StringTransport())
    client.send(b"out")
    assert not release_buffers(layer)
    carry(client, server)
    server.send(b"in")
    client.bio_write(server.bio_read(65536))
    assert not release_buffers(layer)
    assert (said(server), said(client)) == (b"out", b"in")
    assert release_buffers(layer)


def test_layers() -> None:
    """TLS within TLS, as behind a proxy: all layers are looked at. Without TLS there is nothing to do."""
    inner, outer = connected()[0], connected()[0]
    before = inner._into_ssl, outer._into_ssl
    assert release_buffers(Layer(inner, Layer(outer, StringTransport())))
    assert inner._into_ssl != before[0]
    assert outer._into_ssl != before[1]
    assert release_buffers(StringTransport())
    assert release_buffers(Layer(None, None))
    assert release_buffers(Layer(object(), None))


def test_given() -> None:
    """A transport talks to the protocol that it was given to."""
    plain, layer = StringTransport(), Layer(None, None)
    for transport in (plain, layer):
        protocol = Protocol()
        give_to(transport, protocol)
        assert protocol in (getattr(transport, "protocol", None), getattr(transport, "wrappedProtocol", None))
