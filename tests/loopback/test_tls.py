"""TLS on both sides: the listener's certificate, and what is demanded of an upstream's."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet import reactor

from ampproxy.config.load import parse
from ampproxy.config.schema import Tls
from ampproxy.errors import ConfigError
from ampproxy.listen import tls_options
from ampproxy.tap import build
from ampproxy.testing import amp
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting, certificate

pytestmark = pytest.mark.loopback


class Gateway:
    """A gateway under TLS in front of an Amp upstream under TLS."""

    def __init__(self, directory: Path, ours: trustme.CA, theirs: Any, trusted: trustme.CA) -> None:
        issued = ours.issue_cert("localhost")
        issued.private_key_pem.write_to_path(str(directory / "key.pem"))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(directory / "cert.pem"), append=True)
        self.ours, self.directory, self.theirs, self.trusted = ours, directory, theirs, trusted

    def start(self) -> None:
        in_reactor(self._start)

    async def _start(self) -> None:
        self.upstream = await amp.start(reactor, keys=["amp-key"], tls=self.theirs)
        text = f"""
port: 0
api-keys: [k]
tls: {{enable: true, cert: {self.directory}/cert.pem, key: {self.directory}/key.pem}}
ampcode: {{upstream-url: "https://localhost:{self.upstream.port}", upstream-api-key: amp-key}}
"""
        config = parse(
            text, name="c", environ={}, home=self.directory, read_secret=lambda path: path.read_text()
        )
        self.service = build(
            config, reactor, environ={}, policy=Trusting(self.trusted), observer=lambda _: None
        )
        await self.service.listen()

    def ask(self) -> tuple[int, Any]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ours.configure_trust(context)
        port = self.service.ports[0].getHost().port
        connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        body = '{"method": "getUserInfo"}'
        connection.request("POST", "/api/internal?getUserInfo", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def stop(self) -> None:
        in_reactor(self.service.stopService)
        in_reactor(self.upstream.stop)


def told(directory: Path, theirs: Any, trusted: trustme.CA) -> tuple[int, Any]:
    gateway = Gateway(directory, trustme.CA(), theirs, trusted)
    gateway.start()
    try:
        return gateway.ask()
    finally:
        gateway.stop()


def test_both_sides(tmp_path: Path) -> None:
    """A client that verifies us reaches an upstream that we verify."""
    authority = trustme.CA()
    status, answer = told(tmp_path, certificate(authority, "localhost"), authority)
    assert (status, answer["ok"]) == (200, True)


def test_untrusted_upstream(tmp_path: Path) -> None:
    """An upstream with a certificate of a stranger is refused: 502, with the reason, and no key sent."""
    status, answer = told(tmp_path, certificate(trustme.CA(), "localhost"), trustme.CA())
    assert status == 502
    assert "TLS" in answer["error"]


def test_upstream_of_another_name(tmp_path: Path) -> None:
    """So is one with somebody else's certificate."""
    authority = trustme.CA()
    status, answer = told(tmp_path, certificate(authority, "elsewhere.test"), authority)
    assert status == 502
    assert "another name" in answer["error"]


def test_key_of_another_certificate(tmp_path: Path) -> None:
    """The listener's files are checked before anything starts."""
    one, two = trustme.CA().issue_cert("localhost"), trustme.CA().issue_cert("localhost")
    one.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    two.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    with pytest.raises(ConfigError, match="not the key"):
        tls_options(Tls(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem"))


def test_key_with_a_passphrase(tmp_path: Path) -> None:
    """Nobody is asked for it: a reload under a terminal would keep all requests waiting."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase"))
    (tmp_path / "key.pem").write_bytes(locked)
    with pytest.raises(ConfigError, match=r"key is encrypted.*without one"):
        tls_options(Tls(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem"))


def test_no_certificate(tmp_path: Path) -> None:
    """A file that holds none is named."""
    (tmp_path / "cert.pem").write_text("nothing")
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"cert\.pem"):
        tls_options(Tls(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem"))
