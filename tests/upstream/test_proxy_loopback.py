"""The way out through real proxies on this machine, to origins with and without TLS."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from ampproxy.errors import ExchangeError
from ampproxy.upstream.body import BodyReader
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.failures import explain
from tests.reactor import in_reactor
from tests.upstream.doubles import (
    ConnectProxy,
    Origin,
    ProxyDouble,
    Raw,
    SocksProxy,
    Trusting,
    body_of,
    certificate,
)

pytestmark = pytest.mark.loopback

USER, PASSWORD = "amy", "p@ss/word:1"
WRITTEN = "amy:p%40ss%2Fword%3A1@"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def client_for(authority: trustme.CA, connect_timeout: float = 5) -> UpstreamClient:
    return UpstreamClient(reactor, connect_timeout=connect_timeout, policy=Trusting(authority))


async def refused(client: UpstreamClient, url: str, proxy: str | None) -> ExchangeError:
    """The error that a client of the gateway would be told."""
    try:
        response = await client.send("GET", url, Headers(), proxy=proxy)
    except Exception as error:
        return explain(error, "https://origin.test")
    raise AssertionError(f"answered with {response.code}")


@pytest.mark.parametrize("credentials", [None, (USER, PASSWORD)], ids=["open", "password"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_through_a_proxy_that_resolves(
    authority: trustme.CA, scheme: str, tls: bool, credentials: tuple[str, str] | None
) -> None:
    """An origin whose name only the proxy knows is reached through each kind of proxy; a second request
    goes through the same tunnel.
    """

    async def scenario() -> None:
        origin = Origin(certificate(authority, "origin.test") if tls else None)
        kind: Any = SocksProxy if scheme.startswith("socks") else ConnectProxy
        own = certificate(authority, "127.0.0.1") if scheme == "https" else None
        proxy: ProxyDouble = kind({"origin.test": "127.0.0.1"}, credentials, own)
        client = client_for(authority)
        async with origin, proxy:
            through = f"{scheme}://{WRITTEN if credentials else ''}127.0.0.1:{proxy.port}"
            url = f"{'https' if tls else 'http'}://origin.test:{origin.port}"
            for path, expected in (("/big", b"0123456789abcdef" * 100_000), ("/", b"hello ")):
                response = await client.send("GET", url + path, Headers(), proxy=through)
                assert (response.code, await body_of(response)) == (200, expected)
            await client.close()
        assert proxy.asked == [("origin.test", origin.port)]
        assert proxy.complaints == []
        assert origin.connections == 1
        assert origin.requests[0][1].getRawHeaders(b"proxy-authorization") is None

    in_reactor(scenario)


def test_connections_are_not_mixed(authority: trustme.CA) -> None:
    """Requests of two accounts with different proxies, and of one without, never share a connection."""

    async def scenario() -> None:
        client = client_for(authority)
        async with Origin() as origin, ConnectProxy() as one, SocksProxy() as other:
            ways = [
                f"http://127.0.0.1:{one.port}",
                f"socks5h://127.0.0.1:{other.port}",
                None,
                "direct",
                "none",
            ]
            for proxy in ways * 2:
                url = f"http://127.0.0.1:{origin.port}/"
                await body_of(await client.send("GET", url, Headers(), proxy=proxy))
            await client.close()
        assert (len(one.asked), len(other.asked), origin.connections) == (1, 1, 3)

    in_reactor(scenario)


@pytest.mark.parametrize("kind", [ConnectProxy, SocksProxy])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "requires a user name and a password: write them into its URL"),
        ("amy:wrong-secret@", "did not accept the user name and the password of its URL"),
    ],
)
def test_refused_credentials(authority: trustme.CA, kind: Any, given: str, told: str) -> None:
    """A proxy that refuses the credentials is named, with the setting; the credentials are not shown."""

    async def scenario() -> None:
        async with kind({}, (USER, PASSWORD)) as proxy:
            scheme = "http" if kind is ConnectProxy else "socks5h"
            way = f"{scheme}://{given}127.0.0.1:{proxy.port}"
            error = await refused(client_for(authority), "https://origin.test/", way)
            message = error.error.message
            assert message.startswith(f"The proxy 127.0.0.1:{proxy.port} (setting proxy-url) {told}")
            assert "secret" not in repr(error) + message
            assert error.retryable

    in_reactor(scenario)


@pytest.mark.parametrize("kind", [ConnectProxy, SocksProxy])
def test_unreachable_origin(authority: trustme.CA, kind: Any) -> None:
    """An origin that the proxy cannot reach is the one that the error names."""

    async def scenario() -> None:
        async with kind() as proxy:
            scheme = "http" if kind is ConnectProxy else "socks5h"
            way = f"{scheme}://127.0.0.1:{proxy.port}"
            error = await refused(client_for(authority), "https://nowhere.test/", way)
            assert "could not reach nowhere.test:443" in error.error.message

    in_reactor(scenario)


def test_proxy_down(authority: trustme.CA) -> None:
    """A proxy that does not run is blamed itself, not the vendor."""

    async def scenario() -> None:
        async with ConnectProxy() as proxy:
            way = f"http://{WRITTEN}127.0.0.1:{proxy.port}"
        error = await refused(client_for(authority), "https://origin.test/", way)
        assert error.error.message == (
            f"The proxy 127.0.0.1:{proxy.port} (setting proxy-url) refused the connection."
        )

    in_reactor(scenario)


@pytest.mark.parametrize(
    ("scheme", "told"),
    [("http", "answered CONNECT with what is not HTTP"), ("socks5h", "does not speak SOCKS5")],
)
def test_not_a_proxy(authority: trustme.CA, scheme: str, told: str) -> None:
    """A server that is no proxy of the kind is told apart from a broken vendor."""

    async def scenario() -> None:
        async with Raw(b"SSH-2.0-something\r\n") as server:
            way = f"{scheme}://127.0.0.1:{server.port}"
            assert told in (await refused(client_for(authority), "http://a.test/", way)).error.message

    in_reactor(scenario)


def test_proxy_with_a_wrong_certificate(authority: trustme.CA) -> None:
    """An ``https://`` proxy must prove its name; the credentials are never sent to another one."""

    async def scenario() -> None:
        async with ConnectProxy({}, (USER, PASSWORD), certificate(authority, "other.test")) as proxy:
            way = f"https://{WRITTEN}127.0.0.1:{proxy.port}"
            error = await refused(client_for(authority), "https://origin.test/", way)
            assert error.error.message == (
                f"The certificate of the proxy 127.0.0.1:{proxy.port} (setting proxy-url)"
                " is for another name."
            )
            assert proxy.asked == []

    in_reactor(scenario)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h"])
def test_origin_is_verified_through_the_tunnel(authority: trustme.CA, scheme: str) -> None:
    """A proxy that leads to somebody else's server is found out by the origin's certificate."""

    async def scenario() -> None:
        kind: Any = SocksProxy if scheme == "socks5h" else ConnectProxy
        own = certificate(authority, "127.0.0.1") if scheme == "https" else None
        async with (
            Origin(certificate(authority, "impostor.test")) as origin,
            kind({"origin.test": "127.0.0.1"}, None, own) as proxy,
        ):
            way = f"{scheme}://127.0.0.1:{proxy.port}"
            error = await refused(client_for(authority), f"https://origin.test:{origin.port}/", way)
            assert error.error.message == "The certificate of https://origin.test is for another name."
            assert origin.requests == []

    in_reactor(scenario)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("scheme", [None, "http", "https", "socks5h"])
def test_stopping_reaches_the_origin(authority: trustme.CA, scheme: str | None, tls: bool) -> None:
    """When a client leaves while it is not reading, the vendor's connection is closed, through any proxy."""

    class Nothing:
        def __init__(self) -> None:
            self.begun: Deferred[None] = Deferred()

        def received(self, data: bytes) -> None:
            self.begun.callback(None)

        def ended(self, error: Exception | None, *, measured: bool) -> None:
            raise AssertionError("nobody is to be told")

    async def scenario() -> None:
        kind: Any = SocksProxy if scheme == "socks5h" else ConnectProxy
        own = certificate(authority, "127.0.0.1") if scheme == "https" else None
        sink = Nothing()
        async with (
            Origin(certificate(authority, "127.0.0.1") if tls else None) as origin,
            kind(tls=own) as proxy,
        ):
            way = scheme and f"{scheme}://127.0.0.1:{proxy.port}"
            url = f"{'https' if tls else 'http'}://127.0.0.1:{origin.port}/stream"
            response = await client_for(authority).send("GET", url, Headers(), proxy=way)
            reader = BodyReader(sink, reactor, 30)
            response.deliverBody(reader)
            await sink.begun
            reader.pause()
            reader.stop()
            await origin.left.addTimeout(3, reactor)

    in_reactor(scenario)


def test_wrong_url_of_a_proxy(authority: trustme.CA) -> None:
    """A proxy of an unknown kind is told as a wrong setting, and not shown."""

    async def scenario() -> None:
        error = await refused(client_for(authority), "https://origin.test/", f"ftp://{WRITTEN}h:1")
        assert "proxy-url: expected a URL that begins with http://, https://" in error.error.message
        assert "amy" not in error.error.message

    in_reactor(scenario)
