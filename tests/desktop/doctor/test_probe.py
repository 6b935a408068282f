"""Each upstream is reached by the way that requests take, and what is wrong on it is said."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from twisted.internet import reactor

from ampproxy.desktop.doctor.context import Probe, Target
from ampproxy.desktop.doctor.probe import knock
from ampproxy.upstream.client import UpstreamClient
from tests.cli.test_setup import silent_port
from tests.reactor import in_reactor
from tests.upstream.doubles import ConnectProxy, Origin, Raw, SocksProxy, Trusting, certificate

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def reached(authority: trustme.CA, *wanted: tuple[str, str | None]) -> list[Probe]:
    client = UpstreamClient(reactor, connect_timeout=20, policy=Trusting(authority))
    targets = [Target(url, proxy, ("a",)) for url, proxy in wanted]
    probes = await knock(client, reactor, targets)
    await client.close()
    assert [probe.target for probe in probes] == targets
    return list(probes)


def test_reached(authority):
    """With and without TLS, straight and through proxies; no request is made."""

    async def scenario() -> None:
        plain, secure = Origin(), Origin(certificate(authority, "origin.test", "127.0.0.1"))
        names = {"origin.test": "127.0.0.1"}
        async with plain, secure, ConnectProxy(names) as http, SocksProxy(names) as socks:
            probes = await reached(
                authority,
                (f"http://127.0.0.1:{plain.port}", None),
                (f"https://127.0.0.1:{secure.port}", "direct"),
                (f"https://origin.test:{secure.port}", f"http://127.0.0.1:{http.port}"),
                (f"https://origin.test:{secure.port}", f"socks5h://127.0.0.1:{socks.port}"),
            )
            assert [probe.error for probe in probes] == [""] * 4
            assert plain.requests + secure.requests == []

    in_reactor(scenario, timeout=60)


def test_not_reached(authority):
    """No name, no connection, a foreign certificate, one for another name, no TLS, a proxy that is down."""
    foreign = trustme.CA()

    async def scenario(closed: int) -> None:
        strange = Origin(certificate(foreign, "127.0.0.1"))
        misnamed = Origin(certificate(authority, "other.test"))
        plain = Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        async with strange, misnamed, plain:
            probes: list[Any] = await reached(
                authority,
                (f"http://127.0.0.1:{closed}", None),
                (f"https://127.0.0.1:{strange.port}", None),
                (f"https://127.0.0.1:{misnamed.port}", None),
                (f"https://127.0.0.1:{plain.port}", None),
                ("https://origin.test", f"http://amy:canary-pw@127.0.0.1:{closed}"),
                ("https://origin.test", "gopher://canary"),
            )
        errors = [probe.error for probe in probes]
        assert errors[0].endswith("refused the connection.")
        assert "No trusted TLS connection" in errors[1]
        assert "is for another name" in errors[2]
        assert "TLS" in errors[3]
        assert errors[4].startswith("The proxy 127.0.0.1:")
        assert "proxy-url" in errors[5]
        assert not [error for error in errors if "canary" in error]

    with silent_port() as port:
        in_reactor(scenario, port, timeout=60)
