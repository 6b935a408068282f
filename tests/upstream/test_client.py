"""The client against real servers on this machine."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.logger import formatEvent, globalLogPublisher
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from ampproxy.errors import ExchangeError, Unreachable, UnreadableAnswer, UpstreamFault, UpstreamTimeout
from ampproxy.upstream.body import SLICE, BytesProducer
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.failures import died_unanswered, explain
from tests.reactor import in_reactor
from tests.upstream.doubles import Origin, Raw, Trusting, body_of, certificate

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def plain_client() -> UpstreamClient:
    return UpstreamClient(reactor, connect_timeout=5)


async def failing(client: UpstreamClient, url: str) -> Exception:
    """How a request fails."""
    try:
        response = await client.send("GET", url, Headers())
    except Exception as error:
        return error
    raise AssertionError(f"answered with {response.code}")


async def told(client: UpstreamClient, url: str) -> ExchangeError:
    """What a client of the gateway would be told."""
    return explain(await failing(client, url), "the vendor")


def test_reuse() -> None:
    """One request after the other takes one connection, and after ``close`` another one; two at a time
    take two.
    """

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            url = f"http://127.0.0.1:{origin.port}/"
            for _ in range(3):
                await body_of(await client.send("GET", url, Headers()))
            assert origin.connections == 1
            both = [await client.send("GET", url + "big", Headers()) for _ in range(2)]
            assert origin.connections == 2
            for response in both:
                assert len(await body_of(response)) == 1_600_000
            await client.close()
            await body_of(await client.send("GET", url, Headers()))
            assert origin.connections == 3
            await client.close()

    in_reactor(scenario)


def test_compressed_over_and_over() -> None:
    """An answer that is compressed once is decoded; one that is compressed more often is refused and closed:
    each layer makes a thousand bytes of one.
    """
    body = gzip.compress(b"hello")

    async def scenario() -> None:
        for coding, layers in (
            ("gzip", 1),
            ("identity", 0),
            ("gzip,gzip", 2),
            ("gzip, br", 2),
        ):
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
            client = plain_client()
            async with Raw(head.encode() + body) as server:
                url = f"http://127.0.0.1:{server.port}/"
                if layers < 2:
                    answer = await body_of(await client.send("GET", url, Headers()))
                    assert answer == (b"hello" if layers else body)
                else:
                    error = await told(client, url)
                    assert isinstance(error, UpstreamFault)
                    assert "compressed its answer 2 times" in str(error)
            await client.close()

    in_reactor(scenario)


def test_what_is_sent(authority: trustme.CA) -> None:
    """Method, path, query, headers and a long body arrive as they were given, under TLS too."""

    async def scenario() -> None:
        body = bytes(range(256)) * (SLICE // 256 * 5)
        async with Origin(certificate(authority, "127.0.0.1")) as origin:
            client = UpstreamClient(reactor, connect_timeout=5, policy=Trusting(authority))
            url = f"https://127.0.0.1:{origin.port}/a%2Fb;c/%E2%9C%93?q=%20&r"
            headers = Headers({b"X-Api-Key": [b"k"], b"Accept": [b"one", b"two"]})
            response = await client.send("POST", url, headers, BytesProducer(body))
            assert await body_of(response) == b"hello " + body
            ((path, got, received),) = origin.requests
            assert path == b"/a%2Fb;c/%E2%9C%93"
            assert received == body
            assert got.getRawHeaders(b"accept") == [b"one", b"two"]
            assert got.getRawHeaders(b"content-length") == [b"%d" % len(body)]
            assert got.getRawHeaders(b"user-agent") is None
            await client.close()

    in_reactor(scenario)


@pytest.mark.parametrize("damage", ["cut", "broken"])
def test_gzip_that_is_none(damage: str) -> None:
    """Gzip that is cut or broken is an error, and no unhandled one; the next request is served."""

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            url = f"http://127.0.0.1:{origin.port}/gzip"
            with pytest.raises(UnreadableAnswer, match="gzip"):
                await body_of(await client.send("GET", f"{url}/{damage}", Headers()))
            assert await body_of(await client.send("GET", url, Headers())) == b"compressed on the way"
            await client.close()

    told: list[str] = []
    globalLogPublisher.addObserver(observer := lambda event: told.append(formatEvent(event)))
    try:
        in_reactor(scenario)
    finally:
        globalLogPublisher.removeObserver(observer)
    assert not [line for line in told if "Unhandled" in line or "Traceback" in line]


def test_no_redirects() -> None:
    """A redirect is handed on: following it would carry a key to another place."""

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            response = await client.send("GET", f"http://127.0.0.1:{origin.port}/redirect", Headers())
            assert response.code == 302
            assert response.headers.getRawHeaders(b"location") == [b"/elsewhere"]
            await body_of(response)
            assert len(origin.requests) == 1
            await client.close()

    in_reactor(scenario)


def test_no_cookies() -> None:
    """A cookie that an upstream sets for one is never sent for another; one that a client sends is."""

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            url = f"http://127.0.0.1:{origin.port}/"
            response = await client.send("GET", url + "cookie", Headers())
            assert response.headers.getRawHeaders(b"set-cookie") == [b"session=of-somebody"]
            await body_of(response)
            await body_of(await client.send("GET", url, Headers()))
            await body_of(await client.send("GET", url, Headers({b"Cookie": [b"own=1"]})))
            sent = [headers.getRawHeaders(b"cookie") for _, headers, _ in origin.requests]
            assert sent == [None, None, [b"own=1"]]
            await client.close()

    in_reactor(scenario)


def test_gzip() -> None:
    """A compressed answer is decoded on the way."""

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            response = await client.send("GET", f"http://127.0.0.1:{origin.port}/gzip", Headers())
            assert await body_of(response) == b"compressed on the way"
            await client.close()

    in_reactor(scenario)


def test_tls(authority: trustme.CA) -> None:
    """A certificate of a trusted authority for the right name is accepted, name or address."""

    async def scenario() -> None:
        async with Origin(certificate(authority, "localhost", "127.0.0.1")) as origin:
            client = UpstreamClient(reactor, connect_timeout=5, policy=Trusting(authority))
            for host in ("localhost", "127.0.0.1"):
                response = await client.send("GET", f"https://{host}:{origin.port}/", Headers())
                assert await body_of(response) == b"hello "
            await client.close()

    in_reactor(scenario)


def test_tls_of_another_name(authority: trustme.CA) -> None:
    """A certificate for another name is refused, by name and by address; the request is never sent."""

    async def scenario() -> None:
        async with Origin(certificate(authority, "other.test")) as origin:
            client = UpstreamClient(reactor, connect_timeout=5, policy=Trusting(authority))
            for host in ("localhost", "127.0.0.1"):
                error = await told(client, f"https://{host}:{origin.port}/")
                assert isinstance(error, Unreachable)
                assert error.error.message == "The certificate of the vendor is for another name."
            assert origin.requests == []

    in_reactor(scenario)


def test_tls_of_an_unknown_authority(authority: trustme.CA) -> None:
    """A certificate that nobody vouches for is refused: of another authority, and by default."""

    async def scenario() -> None:
        async with Origin(certificate(authority, "127.0.0.1")) as origin:
            for policy in (Trusting(trustme.CA()), None):
                client = UpstreamClient(reactor, connect_timeout=5, policy=policy)
                error = await told(client, f"https://127.0.0.1:{origin.port}/")
                assert isinstance(error, Unreachable)
                assert error.error.message.startswith("No trusted TLS connection to the vendor: ")
                assert "certificate verify failed" in error.error.message
            assert origin.requests == []

    in_reactor(scenario)


def test_tls_expired(authority: trustme.CA) -> None:
    """An expired certificate is refused."""

    async def scenario() -> None:
        past = datetime.now(timezone.utc) - timedelta(days=1)
        async with Origin(certificate(authority, "127.0.0.1", not_after=past)) as origin:
            client = UpstreamClient(reactor, connect_timeout=5, policy=Trusting(authority))
            error = await told(client, f"https://127.0.0.1:{origin.port}/")
            assert error.error.message.startswith("No trusted TLS connection to the vendor: ")
            assert origin.requests == []

    in_reactor(scenario)


def test_tls_with_a_plain_server(authority: trustme.CA) -> None:
    """``https://`` to a server without TLS is told as such."""

    async def scenario() -> None:
        async with Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
            client = UpstreamClient(reactor, connect_timeout=5, policy=Trusting(authority))
            error = await told(client, f"https://127.0.0.1:{server.port}/")
            assert error.error.message.startswith("No trusted TLS connection to the vendor: ")

    in_reactor(scenario)


def test_refused() -> None:
    """A port where nobody listens."""

    async def scenario() -> None:
        async with Origin() as origin:
            pass
        error = await told(plain_client(), f"http://127.0.0.1:{origin.port}/")
        assert isinstance(error, Unreachable)
        assert error.error.message == "The vendor refused the connection."
        assert error.retryable

    in_reactor(scenario)


def test_not_http() -> None:
    """A server that speaks something else."""

    async def scenario() -> None:
        async with Raw(b"SSH-2.0-something\r\n\r\n") as server:
            error = await told(plain_client(), f"http://127.0.0.1:{server.port}/")
            assert isinstance(error, UpstreamFault)
            assert error.error.message.startswith("The vendor answered with a first line that")

    in_reactor(scenario)


@pytest.mark.parametrize("kept", [False, True])
def test_closed_unanswered(kept: bool) -> None:
    """A connection that is dropped instead of an answer, new or kept, is known as one where nothing began."""

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            url = f"http://127.0.0.1:{origin.port}/"
            if kept:
                await body_of(await client.send("GET", url, Headers()))
            error = await failing(client, url + "drop")
            assert died_unanswered(error)
            assert (
                explain(error, "the vendor").error.message == "The vendor closed the connection unanswered."
            )
            assert (origin.connections, len(origin.requests)) == (1, 2 if kept else 1)
            await client.close()

    in_reactor(scenario)


def test_deadline() -> None:
    """A request that is cancelled by a deadline is told as a timeout, and its connection is not kept."""

    async def scenario() -> None:
        client = plain_client()
        async with Origin() as origin:
            url = f"http://127.0.0.1:{origin.port}/"
            for end in (lambda d: d.cancel(), lambda d: d.addTimeout(0.1, reactor)):
                sending: Any = client.send("GET", url + "silent", Headers())
                reactor.callLater(0.1, end, sending)
                with pytest.raises((CancelledError, DeferredTimeoutError, ResponseNeverReceived)) as caught:
                    await sending
                assert not died_unanswered(caught.value)
                assert isinstance(explain(caught.value, "the vendor"), UpstreamTimeout)
            await body_of(await client.send("GET", url, Headers()))
            assert origin.connections == 3
            await client.close()

    in_reactor(scenario)
