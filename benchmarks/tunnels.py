"""WebSockets through the gateway to an upstream under TLS: that many work, and what each of them costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from benchmarks.contenders import Bench, Contender, environment, issue, stop
from benchmarks.echo import (
    CLOSE,
    CLOSED,
    FRAME,
    FRAMES,
    PING,
    PONG,
    POUR,
    POURING,
    PROTOCOL,
    RESUME,
    SMALL,
    STALL,
    small,
)
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
def upstream(place: Bench, *options: str) -> Iterator[Bench]:
    """A bench whose gateway has a WebSocket server under TLS for its Amp upstream: :mod:`benchmarks.echo`."""
    # Apart from the bench's own, which other contenders trust.
    folder = place.folder / "tunnels"
    folder.mkdir(exist_ok=True)
    trusted, certificate = issue(folder, "127.0.0.1")
    command = [sys.executable, "-m", "benchmarks.echo", str(certificate), *options]
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
        async with many(gateway, before) as first:
            await each_of(first, talk)
            start = await settled(gateway, rest)
            begin = time.perf_counter()
            async with many(gateway, count) as tunnels:
                opened = count / (time.perf_counter() - begin)
                idle = (await settled(gateway, rest) - start) / count
                delays = await each_of(tunnels, talk)
                await _move(gateway, first)
                start = await settled(gateway, rest)
                cpu, moved = await _move(gateway, tunnels)
                used = idle + (await settled(gateway, rest) - start) / count
                await each_of(tunnels[::2], _close)
                await each_of(tunnels[1::2], _be_closed)
    held, meanwhile = await stalled(place, count, rest)
    return Tunnels(count, idle, used, held, opened, median(delays), meanwhile, cpu / (moved / _MEGABYTE))


async def stalled(place: Bench, count: int, rest: float) -> tuple[float, float]:
    """Open so many tunnels of which one end does not read what the other says: the client's end of each
    even one, the server's of each odd. Then read some of them after all, and break the others off.

    :return: what each of them takes of the gateway's memory meanwhile, in bytes; and how long another tunnel
        took for a talk, in seconds.
    :raises BadAnswer: an end could send all though it was not read, a tunnel broke, or something was lost.
    """
    with upstream(place, SMALL) as beside, beside.running("ampproxy") as gateway:
        async with (
            many(gateway, _AT_A_TIME, narrow=True) as others,
            many(gateway, count, narrow=True) as tunnels,
        ):
            await each_of([*others, *tunnels], talk)
            start = await settled(gateway, rest)
            for tunnel in tunnels[::2]:
                await tunnel.send(POUR)
                tunnel.transport.pause_reading()
            saying = [asyncio.ensure_future(_pour(tunnel)) for tunnel in tunnels[1::2]]
            await _until_idle(gateway)
            held = (await settled(gateway, rest) - start) / count
            meanwhile = median(await each_of(others, talk))
            await expect(others[0], POURING, str(len(tunnels[::2])))
            check_none_ended(saying)
            for tunnel in tunnels[_AT_A_TIME:]:
                tunnel.transport.abort()
            await expect(others[0], RESUME, RESUME)
            for tunnel in tunnels[:_AT_A_TIME:2]:
                tunnel.transport.resume_reading()
            reading = each_of(tunnels[:_AT_A_TIME], _read_flood)
            await asyncio.gather(reading, *saying[: _AT_A_TIME // 2])
            await asyncio.gather(*saying, return_exceptions=True)
    return held, meanwhile


def check_none_ended(pours: Sequence[asyncio.Future[None]]) -> None:
    """Require that each of these is still held back.

    :raises BadAnswer: one has sent everything, or its tunnel broke; the two are different defects.
    """
    for each in pours:
        if not each.done():
            continue
        error = each.exception()
        if error is not None:
            raise BadAnswer(f"a tunnel that was held back broke: {str(error) or type(error).__name__}")
        raise BadAnswer("a client could send everything to a server that read nothing")


async def _until_idle(gateway: Contender) -> None:
    """Wait until nothing moves any more."""
    before, now = 0, cpu_ns(gateway.pid)
    while now - before > 20_000_000:
        await asyncio.sleep(1)
        before, now = now, cpu_ns(gateway.pid)


async def _pour(tunnel: ClientConnection) -> None:
    await tunnel.send(STALL)
    for _ in range(FRAMES):
        await tunnel.send(FRAME)


async def _read_flood(tunnel: ClientConnection) -> None:
    for _ in range(FRAMES):
        if await tunnel.recv() != FRAME:
            raise BadAnswer("something else came than was said")


async def settled(gateway: Contender, rest: float) -> int:
    """Bytes of resident memory, when the gateway has been quiet for so many seconds."""
    await asyncio.sleep(rest)
    return rss_bytes(gateway.pid)


async def _move(gateway: Contender, tunnels: Sequence[ClientConnection]) -> tuple[float, int]:
    """A megabyte and more in both directions of each tunnel.

    :return: seconds of CPU for binary frames, and the bytes that those moved.
    """
    plain = [each for each in tunnels if not each.protocol.extensions]
    packed = [each for each in tunnels if each.protocol.extensions]
    before = cpu_ns(gateway.pid)
    await each_of(plain, _large_frame)
    cpu = (cpu_ns(gateway.pid) - before) / 1e9
    await each_of(packed, _large_message)
    return cpu, 2 * _MEGABYTE * len(plain)


@contextlib.asynccontextmanager
async def many(
    gateway: Contender, count: int, *, narrow: bool = False
) -> AsyncIterator[list[ClientConnection]]:
    """So many tunnels. Every other one compresses, as both of its ends have agreed.

    :param narrow: through small buffers; then none compresses.
    """

    def compresses(number: int) -> bool:
        return number % 2 == 1 and not narrow

    async def one(number: int) -> ClientConnection:
        return await connect(
            f"ws://127.0.0.1:{gateway.port}{_PATH}",
            sock=_connected(gateway.port, narrow),
            compression="deflate" if compresses(number) else None,
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
            if each.subprotocol != PROTOCOL or bool(each.protocol.extensions) != compresses(number):
                raise BadAnswer("the two ends did not agree on what they offered each other")
        yield tunnels
    except (OSError, WebSocketException) as error:
        raise BadAnswer(f"a tunnel broke: {error or type(error).__name__}") from None
    finally:
        for each in tunnels:
            each.transport.abort()
        await asyncio.gather(*(each.wait_closed() for each in tunnels))


def _connected(port: int, narrow: bool) -> socket.socket:
    connection = small(socket.socket()) if narrow else socket.socket()
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


async def each_of(
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


async def expect(tunnel: ClientConnection, said: str | bytes, answer: str | bytes) -> None:
    """Say something, and be answered that.

    :raises BadAnswer: something else was said.
    """
    await tunnel.send(said)
    heard = await tunnel.recv()
    if heard != answer:
        raise BadAnswer(f"{heard[:20]!r} came back and not {answer[:20]!r}")


async def talk(tunnel: ClientConnection) -> None:
    """A word, and a question from each side whether the other is there."""
    await expect(tunnel, "hello", "hello")
    await (await tunnel.ping())
    await expect(tunnel, PING, PONG)


async def _large_frame(tunnel: ClientConnection) -> None:
    """One binary frame that does not compress."""
    frame = os.urandom(_MEGABYTE)
    await expect(tunnel, frame, frame)


async def _large_message(tunnel: ClientConnection) -> None:
    """A text in fragments, which compresses; and some bytes that do not."""
    text = "all work and no play " * (_MEGABYTE // 21)
    await tunnel.send(text[at : at + 65536] for at in range(0, len(text), 65536))
    if await tunnel.recv() != text:
        raise BadAnswer("something else came back than was said in fragments")
    noise = os.urandom(65536)
    await expect(tunnel, noise, noise)


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
