"""``--listen haproxy:...``: a connection begins with a line that tells whose it is; anybody can write one."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from tests.resources.harness import World

FROM_HERE = b"PROXY TCP4 127.0.0.1 127.0.0.1 4001 8317\r\n"
#: The proxy asks for itself, or does not know for whom.
NOBODY = b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n"
#: Served to this machine alone.
REQUEST = b"GET /api/internal HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %b\r\n\r\n"


def status(peer: Any, line: bytes) -> int:
    world = World()
    transport = StringTransport(peerAddress=peer)
    factory = HAProxyWrappingFactory(world.site)  # type: ignore[arg-type]
    protocol: Any = factory.buildProtocol(peer)
    protocol.makeConnection(transport)
    key = world.config.api_keys[0].reveal().encode()
    protocol.dataReceived(line + REQUEST % key)
    if world.client.sent:
        world.client.sent[0].respond_whole(200, b"{}")
    return int(transport.value().split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("peer", "line", "code"),
    [
        (IPv4Address("TCP", "127.0.0.1", 4000), FROM_HERE, 200),
        (UNIXAddress(b""), FROM_HERE, 200),
        (IPv4Address("TCP", "127.0.0.1", 4000), FROM_HERE.replace(b"TCP4 127.0.0.1", b"TCP4 192.0.2.1"), 403),
        (IPv4Address("TCP", "192.0.2.9", 4000), FROM_HERE, 403),
        (IPv4Address("TCP", "192.0.2.9", 4000), NOBODY, 403),
        (IPv4Address("TCP", "127.0.0.1", 4000), NOBODY, 403),
        (UNIXAddress(b""), NOBODY, 403),
    ],
    ids=["proxy here", "unix", "client elsewhere", "forged", "nobody", "nobody here", "nobody by unix"],
)
def test_this_machine(peer: Any, line: bytes, code: int) -> None:
    """This machine's rights are for a client on it, introduced by a proxy on it."""
    assert status(peer, line) == code
