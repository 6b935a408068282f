"""The listener for Amp's cloud on real sockets: its port, its certificate, and what reloads make of them."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor

from ampproxy.config.load import parse
from ampproxy.errors import ConfigError
from ampproxy.tap import build
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

NEO_KEY = "neo-key-on-a-socket"
KEYS = "port: 0\napi-keys: [ordinary]\n"


def neo(port: int, more: str = "") -> str:
    return f"{KEYS}neo: {{key: {NEO_KEY}, failure-delay: 0, listen: '127.0.0.1:{port}'{more}}}\n"


def read(text: str) -> Any:
    return parse(
        text,
        name="c",
        environ={},
        home=Path("/nonexistent"),
        read_secret=lambda path: "",
        read_pem=Path.read_bytes,
    )


@contextmanager
def running(text: str, *listen: str) -> Iterator[Any]:
    service = build(
        read(text), reactor, environ={}, home=Path("/nonexistent"), listen=listen, observer=lambda event: None
    )
    in_reactor(service.listen)
    try:
        yield service
    finally:
        in_reactor(service.stopService)


def ports(service: Any) -> list[int]:
    return [port.getHost().port for port in service.ports]


def status(port: int, key: str, path: str = "/v1/models", context: Any = None) -> int:
    connection: Any = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if context is not None:
        connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        return int(connection.getresponse().status)
    finally:
        connection.close()


@pytest.mark.parametrize("listen", [(), ("tcp:0:interface=127.0.0.1",)], ids=["configured", "--listen"])
def test_its_own_port(listen):
    """Beside the gateway's, wherever that is: nothing but its paths, to nobody but its key."""
    with running(neo(0), *listen) as service:
        main, own = ports(service)
        assert [status(main, "ordinary"), status(own, "ordinary")] == [200, 401]
        assert [status(main, NEO_KEY), status(own, NEO_KEY)] == [200, 200]
        assert [status(main, NEO_KEY, "/healthz"), status(own, NEO_KEY, "/healthz")] == [403, 403]
        assert [status(main, "", "/healthz"), status(own, "", "/healthz")] == [200, 401]


def test_reload():
    """It comes, moves and goes with the configuration; the gateway's own port stays."""
    first, second = free_port(), free_port()
    with running(KEYS) as service:
        (main,) = ports(service)
        in_reactor(service.use, read(neo(first)))
        assert ports(service) == [main, first]
        assert status(first, NEO_KEY) == 200
        in_reactor(service.use, read(neo(second)))
        assert ports(service) == [main, second]
        assert status(second, NEO_KEY) == 200
        in_reactor(service.use, read(KEYS))
        assert ports(service) == [main]
        assert status(main, NEO_KEY) == 401


def test_taken():
    """The error names the setting, and all stays as it was."""
    with socket.socket() as sock, running(KEYS) as service:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        with pytest.raises(ConfigError, match=r"neo: .*in use"):
            in_reactor(service.use, read(neo(sock.getsockname()[1])))
        assert len(ports(service)) == 1


def test_tls(tmp_path):
    """``tls: true`` has it show the gateway's certificate; without, a tunnel speaks to it in clear."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for pem in made.cert_chain_pems:
        pem.write_to_path(cert, append=True)
    made.private_key_pem.write_to_path(key)
    tls = f"tls: {{enable: true, cert: {cert}, key: {key}}}\n"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    with running(neo(0, ", tls: true") + tls) as service:
        assert [status(port, NEO_KEY, context=context) for port in ports(service)] == [200, 200]
        in_reactor(service.use, read(neo(0) + tls))
        main, own = ports(service)
        assert status(main, NEO_KEY, context=context) == 200
        assert status(own, NEO_KEY) == 200
