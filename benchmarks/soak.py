"""``python -m benchmarks.soak``: whether memory and descriptors stay flat under a day's worth of traffic.

Sends a million exchanges of every kind through the gateway: whole answers and streams, passed through and
translated, Amp's own requests; clients that leave in the middle of a stream, vendors that break off or fail,
wrong keys and unknown models. Each must end as its kind does. Prints memory and descriptors twenty times on
the way; fails if either grew from the second fifth to the end, or if the ledger does not have each exchange
once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ampproxy.ledger import NAME
from benchmarks.contenders import Bench, Contender, account, bench
from benchmarks.load import Ask, Client, Clients
from benchmarks.meter import rss_bytes
from benchmarks.payloads import request_body
from benchmarks.scenarios import SCENARIOS

#: Megabytes that memory may grow by from the second fifth on, and descriptors.
GROWTH_MB = 6.0
GROWTH_FDS = 8
_STEPS = 20
_CONNECTIONS = 48
_TIMEOUT = 60.0
_SCENARIOS = {each.name: each for each in SCENARIOS}


@dataclass(frozen=True)
class Kind:
    """A kind of exchange.

    :param share: how many of a thousand are of this kind.
    :param ask: the request.
    :param end: how it ends for the client: ``200``, another status, ``cut`` or ``leave``.
    :param model: whether it is one of those that the ledger has.
    """

    name: str
    share: int
    ask: Ask
    end: str = "200"
    model: bool = True


def kinds() -> tuple[Kind, ...]:
    """All kinds."""

    def usual(name: str) -> Ask:
        return _SCENARIOS[name].ask("ampproxy")

    def to(behaviour: str, *, stream: bool) -> Ask:
        body = request_body("anthropic", account("anthropic", behaviour).asked, stream=stream, size=2048)
        return replace(usual("json-1"), body=body)

    stranger = replace(usual("json-1"), headers=(("Authorization", "Bearer nobody"),))
    unknown = request_body("anthropic", "no-such-model", stream=False, size=300)
    return (
        Kind("whole", 500, usual("json-1")),
        Kind("management", 150, usual("management"), model=False),
        Kind("stream", 60, usual("bulk-anthropic")),
        Kind("translated to Chat", 25, usual("translated-chat")),
        Kind("translated to Responses", 20, usual("translated-responses")),
        Kind("translated to Gemini", 20, usual("translated-gemini")),
        Kind("translated from Chat", 25, usual("translated-anthropic")),
        Kind("200 KB", 10, usual("body-200k")),
        Kind("client leaves", 50, to("held", stream=True), "leave"),
        Kind("vendor breaks off", 40, to("cut", stream=True), "cut"),
        Kind("vendor fails", 40, to("fails", stream=False), "500"),
        Kind("wrong key", 30, stranger, "401", model=False),
        Kind("unknown model", 30, replace(usual("json-1"), path="/v1/messages", body=unknown), "404"),
    )


@dataclass
class Soak:
    """What has been sent, and what was seen.

    :ivar wrong: exchanges that ended otherwise than their kind does, by what happened.
    :ivar seen: memory in bytes, and descriptors, at each step.
    """

    total: int
    contender: Contender
    kinds: tuple[Kind, ...]
    left: int = 0
    done: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[int, int]] = field(default_factory=list)

    async def run(self) -> None:
        """Send everything."""
        self.left, begin = self.total, time.perf_counter()
        draw = random.Random(1)
        await asyncio.gather(*(self._client(draw, begin) for _ in range(_CONNECTIONS)))

    async def _client(self, draw: random.Random, begin: float) -> None:
        async with contextlib.AsyncExitStack() as stack:
            fresh: Callable[[], Awaitable[Client]] = lambda: _connected(stack, self.contender.port)  # noqa: E731
            client = await fresh()
            while self.left > 0:
                self.left -= 1
                (kind,) = draw.choices(self.kinds, [one.share for one in self.kinds])
                end = await _exchange(client, kind)
                self.counted[kind.name] += 1
                if end != kind.end:
                    self.wrong[f"{kind.name}: {end}"] += 1
                if kind.end != "200":
                    # A refused request's connection may be about to close.
                    await stack.aclose()
                    client = await fresh()
                self._look(begin)

    def _look(self, begin: float) -> None:
        self.done += 1
        if self.done % max(1, self.total // _STEPS):
            return
        rss, fds = rss_bytes(self.contender.pid), len(os.listdir(f"/proc/{self.contender.pid}/fd"))
        self.seen.append((rss, fds))
        print(
            f"{self.done:10,} exchanges  {rss / 1e6:6.1f} MB  {fds:4} descriptors"
            f"  {time.perf_counter() - begin:6.0f} s",
            flush=True,
        )


async def _connected(stack: contextlib.AsyncExitStack, port: int) -> Client:
    return (await stack.enter_async_context(Clients(port, 1))).clients[0]


async def _exchange(client: Client, kind: Kind) -> str:
    """Send one, and tell how it ended."""
    over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    client.began.clear()

    def done(error: Exception | None) -> None:
        if not over.done():
            over.set_result(error)

    client.send(kind.ask.head(), kind.ask.body, done)
    if kind.end == "leave":
        await asyncio.wait_for(client.began.wait(), _TIMEOUT)
        client.transport.abort()
        return "leave"
    error = await asyncio.wait_for(over, _TIMEOUT)
    if error is None:
        return "200"
    closed = client.transport.is_closing()
    if client.status == 200 and closed:
        return "cut"
    return str(client.status) if client.status else str(error)


def in_ledger(file: Path) -> int:
    """How many exchanges the ledger has."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT sum(requests) FROM daily").fetchone()[0] or 0)


def verdicts(soak: Soak, kept: int) -> list[tuple[bool, str]]:
    """What holds and what does not.

    :param kept: how many exchanges the ledger has.
    """
    early = soak.seen[len(soak.seen) // 5 : 2 * len(soak.seen) // 5 + 1]
    grown = (soak.seen[-1][0] - max(rss for rss, _ in early)) / 1e6
    more = soak.seen[-1][1] - max(fds for _, fds in early)
    wanted = sum(soak.counted[kind.name] for kind in soak.kinds if kind.model)
    return [
        (not soak.wrong, f"each ended as its kind does: {dict(soak.wrong) or 'all'}"),
        (grown <= GROWTH_MB, f"memory grew by {grown:.1f} MB (at most {GROWTH_MB:g})"),
        (more <= GROWTH_FDS, f"{more} more descriptors (at most {GROWTH_FDS})"),
        (kept == wanted, f"the ledger has {kept:,} exchanges of {wanted:,}"),
    ]


def main() -> int:
    """Send them, print what was seen; 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, bench(Path(folder)) as place:
        found = _soaked(place, options.exchanges)
    for holds, what in found:
        print(f"{'PASS' if holds else 'FAIL'}  {what}")
    return 0 if all(holds for holds, _ in found) else 1


def _soaked(place: Bench, exchanges: int) -> list[tuple[bool, str]]:
    with place.running("ampproxy") as contender:
        soak = Soak(exchanges, contender, kinds())
        asyncio.run(soak.run())
        # The ledger is written once a second.
        time.sleep(3)
    return verdicts(soak, in_ledger(place.folder / f"state-{contender.port}" / NAME))


if __name__ == "__main__":
    sys.exit(main())
