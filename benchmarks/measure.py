"""Measures a scenario, or a footprint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import quantiles

from benchmarks.contenders import WATCHED, Bench, Contender
from benchmarks.load import Ask, BadAnswer, Client, Clients, ask_once
from benchmarks.meter import cpu_ns, rss_bytes
from benchmarks.payloads import MARK
from benchmarks.results import Footprint, Results, Sample
from benchmarks.scenarios import Scenario, held_stream, large_question

#: What a browser asks for that shows the page: a stream of events without an end.
LIVE = Ask("GET", "/ampproxy/live", (("Accept", "text/event-stream"),))

#: Seconds of the same load before each round that are not measured.
_WARM_UP = 0.15

#: Seconds after which a gateway has loaded what it loads when it serves already.
_AT_REST = 3.0

#: Streams that are held open, after some that are not counted.
_HELD = 500
_HELD_BEFORE = 20

#: Large requests, one after another, after which memory must be about what it was.
_LARGE = 50


async def scenario(
    what: Scenario, running: Mapping[str, Contender], results: Results, rounds: int, scale: float
) -> None:
    """Measure a scenario with each of its contenders in turn, round after round.

    A contender whose first answer is not right is not measured; the results say why.

    :param scale: how long rounds are, of their full length.
    """
    contenders = [running[name] for name in what.contenders if name in running]
    for contender in contenders:
        contender.use()
        complaint = await _complaint(contender, what)
        if complaint:
            results.missing[what.name] = f"not available with {contender.name}: {complaint}"
            return
    once = _paced if what.paced else _closed_loop
    for number in range(rounds * what.rounds):
        # Who is first in a round changes: a machine that grows warm favours nobody.
        for contender in contenders[:: -1 if number % 2 else 1]:
            contender.use()
            results.add(what.name, contender.name, await once(contender, what, scale))


async def footprints(place: Bench, names: Sequence[str], starts: int) -> dict[str, Footprint]:
    """Start contenders in turn, some times; look at the memory of each the last time."""
    ready: dict[str, list[float]] = {name: [] for name in names}
    ready_cpu: dict[str, list[float]] = {name: [] for name in names}
    found = {}
    for left in reversed(range(starts)):
        for name in names[:: -1 if left % 2 else 1]:
            with place.running(name) as contender:
                ready[name].append(contender.ready)
                ready_cpu[name].append(contender.ready_cpu)
                if not left:
                    memory = await _memory(contender)
                    found[name] = Footprint(ready[name], ready_cpu[name], *memory)
    return {name: found[name] for name in names}


async def _memory(contender: Contender) -> tuple[float, float, float]:
    """See :class:`Footprint`."""
    await asyncio.sleep(_AT_REST)
    idle = rss_bytes(contender.pid)
    stream = await _memory_of_streams(contender)
    return idle, stream, await _memory_kept(contender)


async def _complaint(contender: Contender, what: Scenario) -> str:
    """What is wrong with an answer; nothing if it is right."""
    try:
        status, answer = await ask_once(contender.port, what.ask(contender.name), contender.tls)
    except (BadAnswer, OSError, asyncio.TimeoutError) as error:
        return str(error) or type(error).__name__
    if status != 200:
        return f"status {status}: {answer[:150].decode(errors='replace')}"
    marks = answer.count(MARK.encode())
    if marks != what.marks:
        return f"{marks} of {what.marks} pieces of text arrived"
    return ""


async def _closed_loop(contender: Contender, what: Scenario, scale: float) -> Sample:
    ask = what.ask(contender.name)
    async with Clients(contender.port, what.connections, contender.tls) as clients, _page(contender):
        await clients.drive(ask, _WARM_UP)
        before = cpu_ns(contender.pid)
        tally = await clients.drive(ask, what.seconds * scale)
        cpu = (cpu_ns(contender.pid) - before) / 1e9
    return _sample(cpu, tally.wall, len(tally.latencies) * what.units, tally.latencies)


@asynccontextmanager
async def _page(contender: Contender) -> AsyncIterator[None]:
    """Have the owner's page open, where the contender is looked at."""
    if contender.name != WATCHED:
        yield
        return
    async with Clients(contender.port, 1) as page:
        _start(page.clients[0], LIVE)
        await asyncio.wait_for(page.clients[0].began.wait(), 10)
        yield


async def _paced(contender: Contender, what: Scenario, scale: float) -> Sample:
    """Look at a part of the time in which all streams run."""
    ask = what.ask(contender.name)
    delays: list[float] = []
    over: list[asyncio.Future[None]] = []
    async with Clients(contender.port, what.connections, contender.tls) as clients:
        for client in clients.clients:
            over.append(_start(client, ask))
            await asyncio.sleep(0.001)
        await asyncio.wait_for(asyncio.gather(*(client.began.wait() for client in clients.clients)), 10)
        await asyncio.sleep(0.3)
        for client in clients.clients:
            client.delays = delays
        begin, before = time.perf_counter(), cpu_ns(contender.pid)
        await asyncio.sleep(what.seconds)
        cpu, wall = (cpu_ns(contender.pid) - before) / 1e9, time.perf_counter() - begin
        events = len(delays)
        await asyncio.wait_for(asyncio.gather(*over), 60)
    return _sample(cpu, wall, events, delays[:events])


async def _memory_of_streams(contender: Contender) -> float:
    ask = held_stream(contender.name)
    async with Clients(contender.port, _HELD_BEFORE) as first, Clients(contender.port, _HELD) as rest:
        await _hold(first, ask)
        before = rss_bytes(contender.pid)
        await _hold(rest, ask)
        return (rss_bytes(contender.pid) - before) / _HELD


async def _memory_kept(contender: Contender) -> float:
    ask = large_question(contender.name)
    await ask_once(contender.port, ask)
    before = rss_bytes(contender.pid)
    for _ in range(_LARGE):
        await ask_once(contender.port, ask)
    return rss_bytes(contender.pid) - before


async def _hold(clients: Clients, ask: Ask) -> None:
    for client in clients.clients:
        _start(client, ask)
    await asyncio.wait_for(asyncio.gather(*(client.began.wait() for client in clients.clients)), 30)
    await asyncio.sleep(0.3)


def _start(client: Client, ask: Ask) -> asyncio.Future[None]:
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        if error is None:
            over.set_result(None)
        else:
            over.set_exception(error)

    client.send(ask.head(), ask.body, done)
    return over


def _sample(cpu: float, wall: float, units: float, times: list[float]) -> Sample:
    if not units:
        raise BadAnswer("nothing arrived in time")
    cuts = quantiles(times, n=100) if len(times) > 1 else times * 99
    return Sample(cpu=cpu / units, rate=units / wall, busy=cpu / wall, p50=cuts[49], p99=cuts[98])
