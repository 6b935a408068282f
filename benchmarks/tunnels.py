"""WebSockets through the gateway to an upstream under TLS: that many work, and what each of them costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median

import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from benchmarks.contenders import Bench, Contender, environment, stop
from benchmarks.echo import CLOSE, CLOSED, PING, PONG, PROTOCOL
from benchmarks.load import BadAnswer
from benchmarks.meter import cpu_ns, rss_bytes
from benchmarks.results import Tunnels

#: As Amp's clients ask for one.
_PATH = "/actors/gateway/threadActor/websocket/?rvt-namespace=default&rvt-method=get&rvt-key=T-1"

#: So many do the same at a time.
_AT_A_TIME = 25
#: Tunnels that are opened before the memory is looked at first. What it takes to serve so many at a time is
#: the process's own, however many there are, and every other one sends large frames.
_BEFORE = 2 * _AT_A_TIME
_MEGABYTE = 1024 * 1024
#: Seconds within which the gateway gives back what large messages needed.
_REST = 3.0


@contextlib.contextmanager
def upstream(place: Bench) -> Iterator[Bench]:
    """A bench whose gateway has a WebSocket server under TLS for its Amp upstream."""
    authority = trustme.CA()
    trusted, certificate = place.folder / "authority.pem", place.folder / "echo.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    command = [sys.executable, "-m", "benchmarks.echo", str(certificate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield replace(place, upstream=f"https://127.0.0.1:{port}", authority=trusted)
    finally:
        stop(process)


async def measure(place: Bench, count: int, *, before: int = _BEFORE, rest: float = _REST) -> Tunnels:
    """Open so many tunnels, use each of them, and close them from both sides.

    :param before: tunnels that are opened first and not counted.
    :param rest: seconds until the gateway has become quiet.
    :raises BadAnswer: one does not do what a WebSocket does.
    """
    with upstream(place) as beside, beside.running("ampproxy") as gateway:
        async with _many(gateway, before) as first:
            await _each(first, _talk)
            start = await _rss(gateway, rest)
            begin = time.perf_counter()
            async with _many(gateway, count) as tunnels:
                opened = count / (time.perf_counter() - begin)
                idle = (await _rss(gateway, rest) - start) / count
                delays = await _each(tunnels, _talk)
                await _move(gateway, first)
                start = await _rss(gateway, rest)
                cpu, moved = await _move(gateway, tunnels)
                used = idle + (await _rss(gateway, rest) - start) / count
                await _each(tunnels[::2], _close)
                await _each(tunnels[1::2], _be_closed)
    return Tunnels(count, idle, used, opened, median(delays), cpu / (moved / _MEGABYTE))


async def _rss(gateway: Contender, rest: float) -> int:
    await asyncio.sleep(rest)
    return rss_bytes(gateway.pid)


async def _move(gateway: Contender, tunnels: Sequence[ClientConnection]) -> tuple[float, int]:
    """A megabyte and more in both directions of each tunnel.

    :return: seconds of CPU for binary frames, and the bytes that those moved.
    """
    plain = [each for each in tunnels if not each.protocol.extensions]
    packed = [each for each in tunnels if each.protocol.extensions]
    before = cpu_ns(gateway.pid)
    await _each(plain, _large_frame)
    cpu = (cpu_ns(gateway.pid) - before) / 1e9
    await _each(packed, _large_message)
    return cpu, 2 * _MEGABYTE * len(plain)


@contextlib.asynccontextmanager
async def _many(gateway: Contender, count: int) -> AsyncIterator[list[ClientConnection]]:
    """So many tunnels. Every other one compresses, as both of its ends have agreed."""

    async def one(number: int) -> ClientConnection:
        return await connect(
            f"ws://127.0.0.1:{gateway.port}{_PATH}",
            compression="deflate" if number % 2 else None,
            subprotocols=[PROTOCOL, "rivet_encoding.bare"],
            proxy=None,
            ping_interval=None,
            max_size=None,
            open_timeout=60,
        )

    tunnels: list[ClientConnection] = []
    try:
        for begin in range(0, count, _AT_A_TIME):
            numbers = range(begin, min(begin + _AT_A_TIME, count))
            tunnels += await asyncio.gather(*map(one, numbers))
        for number, each in enumerate(tunnels):
            if each.subprotocol != PROTOCOL or bool(each.protocol.extensions) != bool(number % 2):
                raise BadAnswer("the two ends did not agree on what they offered each other")
        yield tunnels
    except (OSError, WebSocketException) as error:
        raise BadAnswer(f"a tunnel broke: {error or type(error).__name__}") from None
    finally:
        for each in tunnels:
            each.transport.abort()
        await asyncio.gather(*(each.wait_closed() for each in tunnels))


async def _each(
    tunnels: Sequence[ClientConnection], do: Callable[[ClientConnection], Awaitable[None]]
) -> list[float]:
    """Do something with each tunnel; gives how long it took, in seconds."""

    async def timed(tunnel: ClientConnection) -> float:
        begin = time.perf_counter()
        await asyncio.wait_for(do(tunnel), 60)
        return time.perf_counter() - begin

    times: list[float] = []
    for begin in range(0, len(tunnels), _AT_A_TIME):
        times += await asyncio.gather(*map(timed, tunnels[begin : begin + _AT_A_TIME]))
    return times


async def _expect(tunnel: ClientConnection, said: str | bytes, answer: str | bytes) -> None:
    await tunnel.send(said)
    if await tunnel.recv() != answer:
        raise BadAnswer("something else came back than was said")


async def _talk(tunnel: ClientConnection) -> None:
    """A word, and a question from each side whether the other is there."""
    await _expect(tunnel, "hello", "hello")
    await (await tunnel.ping())
    await _expect(tunnel, PING, PONG)


async def _large_frame(tunnel: ClientConnection) -> None:
    """One binary frame that does not compress."""
    frame = os.urandom(_MEGABYTE)
    await _expect(tunnel, frame, frame)


async def _large_message(tunnel: ClientConnection) -> None:
    """A text in fragments, which compresses; and some bytes that do not."""
    text = "all work and no play " * (_MEGABYTE // 21)
    await tunnel.send(text[at : at + 65536] for at in range(0, len(text), 65536))
    if await tunnel.recv() != text:
        raise BadAnswer("something else came back than was said in fragments")
    noise = os.urandom(65536)
    await _expect(tunnel, noise, noise)


async def _close(tunnel: ClientConnection) -> None:
    await tunnel.close(4001)
    if tunnel.close_code != 4001:
        raise BadAnswer(f"a tunnel closed with {tunnel.close_code}")


async def _be_closed(tunnel: ClientConnection) -> None:
    await tunnel.send(CLOSE)
    try:
        await tunnel.recv()
    except ConnectionClosed:
        pass
    if tunnel.close_code != CLOSED:
        raise BadAnswer(f"a tunnel was closed with {tunnel.close_code}")
