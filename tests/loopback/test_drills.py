"""Long drills, with AMPPROXY_DRILLS=1: replicas behind HAProxy on one Redis and one PostgreSQL, under load,
while something is away, stands still, or has another time. What the vendor counted is what the ledger has, in
the end.

The first replica has two workers, the second is a single process.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests.etc.test_proxies import NAME, Replicated, program, until
from tests.etc.test_replicas import Stream, run
from tests.loopback.process import Service
from tests.loopback.test_restart import is_there
from tests.postgres import Postgres
from tests.reactor import in_reactor
from tests.state.redis_server import RedisServer, needs_redis

pytestmark = [
    pytest.mark.loopback,
    needs_redis,
    pytest.mark.skipif(not os.environ.get("AMPPROXY_DRILLS"), reason="AMPPROXY_DRILLS is not set"),
]

MODEL = "claude-sonnet-4-5"
#: Answers of some ten seconds.
PACED = f"{MODEL}+interval=0.5+events=20"
LIMITED = f"{MODEL}+status=429+retry_after=600"
KEY = "client-key"
#: Seconds for which something is away.
AWAY = float(os.environ.get("AMPPROXY_DRILL_SECONDS", "60"))
#: Requests a second, and streams at once.
RATE, STREAMS = 20, 50
#: Seconds after which a request has hung: Redis may take one, for one command and for a connection.
HUNG = 10.0


class Gateways:
    """Two replicas, and what they share.

    :param wrappers: a command for each, within which it runs.
    """

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        redis: RedisServer,
        wrappers: tuple[tuple[str, ...], ...] = ((), ()),
        more: dict[str, Any] | None = None,
    ) -> None:
        self.vendor = in_reactor(anthropic.start, reactor, keys=["account-one", "account-two"])
        self.postgres, self.redis = postgres, redis
        self.services = []
        for number, (workers, within) in enumerate(zip((2, 1), wrappers, strict=True)):
            own = folder / str(number)
            own.mkdir()
            config = json.dumps({**self._config(own), "workers": workers, **(more or {})})
            environ = {"DONT_FAKE_MONOTONIC": "1"}
            self.services.append(Service(own, config, environ=environ, within=within))
        for service in self.services:
            service.wait_for_log("The state is shared by")
        self.services[0].wait_for_log("is ready", 2)
        # Each twice: HAProxy's configuration has three.
        ports = [self.services[0].port, self.services[1].port, self.services[0].port]
        self.front = Replicated("haproxy", ports, folder / "haproxy", trustme.CA())
        self.front.await_ready()

    def _config(self, folder: Path) -> dict[str, Any]:
        models = [{"name": name} for name in (MODEL, PACED, LIMITED)]
        keys = ("account-one", "account-two")
        accounts = [{"api-key": key, "base-url": self.vendor.url, "models": models} for key in keys]
        return {
            "port": 0,
            "state-dir": str(folder / "state"),
            # Limits have each request wait for Redis.
            "api-keys": [{"name": "ci", "key": KEY, "limits": {"requests-per-month": 1_000_000}}],
            "allowed-hosts": [NAME],
            "claude-api-key": accounts,
            "state": {"url": f"unix://{self.redis.socket}"},
            "ledger": {"url": self.postgres.url},
            "metrics": {"enable": False},
            "streaming": {"keepalive-seconds": 1},
        }

    def check_ledger(self) -> int:
        """That it has what the vendor counted, each once; gives how many that are."""
        asked = len(self.vendor.requests)
        until(lambda: self.postgres.rows >= asked, 60)
        time.sleep(2)
        rows = self.postgres.rows
        sums = self.postgres.ask("SELECT sum(requests) FROM daily")[0][0]
        print(f"the vendor counted {asked}; rows {rows}, daily sums {sums}")
        assert asked == rows == sums
        return rows

    def count(self, text: str) -> list[int]:
        """How often each log has a text."""
        return [service.log_text.count(text) for service in self.services]

    def workers(self) -> list[int]:
        """The processes of the first replica's workers, as they are now."""
        with self._asked(0) as state:
            return [one["pid"] for one in state["workers"] if "pid" in one]

    def running(self) -> list[int]:
        """The exchanges that each of those workers has."""
        with self._asked(0) as state:
            return [one.get("running", 0) for one in state["workers"]]

    @contextmanager
    def _asked(self, number: int) -> Iterator[dict[str, Any]]:
        connection = self.services[number].connect()
        connection.request("GET", "/readyz", headers={"X-Api-Key": KEY})
        yield json.loads(connection.getresponse().read())
        connection.close()

    def stop(self) -> None:
        self.front.stop()
        for service in self.services:
            service.stop()
        in_reactor(self.vendor.stop)


class Load:
    """Requests of so many conversations, and streams, until it is to end.

    :ivar found: how requests went.
    :ivar slowest: seconds of the slowest request.
    """

    def __init__(self, front: Replicated) -> None:
        self._front = front
        self._over = asyncio.Event()
        self.found: Counter[object] = Counter()
        self.slowest = 0.0
        self._asks: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        work = [self._pace(), *(self._stream() for _ in range(STREAMS))]
        self._work = [asyncio.ensure_future(each) for each in work]

    async def end(self) -> None:
        self._over.set()
        await asyncio.gather(*self._work, *self._asks)

    async def _pace(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            ask = asyncio.ensure_future(self._ask(f"T-{number % 500}"))
            self._asks.add(ask)
            ask.add_done_callback(self._asks.discard)
            await asyncio.sleep(1 / RATE)

    async def _ask(self, thread: str) -> None:
        began = time.monotonic()
        try:
            status: object = await asyncio.wait_for(once(self._front, thread), 60)
        except Exception as error:
            status = repr(error)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.found[status] += 1

    async def _stream(self) -> None:
        while not self._over.is_set():
            try:
                stream = await (await Stream(self._front, PACED).begin()).end()
                self.found["whole" if stream.whole else f"stream {stream.status} broken"] += 1
            except Exception as error:
                self.found[f"stream {error!r}"] += 1


async def once(front: Replicated, thread: str, model: str = MODEL, key: str = KEY) -> int:
    """The status of one request."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", front.port, ssl=front.context, server_hostname="127.0.0.1"
    )
    body = json.dumps({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    lines = (
        "POST /v1/messages HTTP/1.1",
        f"Host: {NAME}",
        f"X-Api-Key: {key}",
        *([f"X-Amp-Thread-Id: {thread}"] if thread else []),
        "Connection: close",
        f"Content-Length: {len(body)}",
        "",
        body,
    )
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split(None, 2)[1])


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    program("haproxy")
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture
def gateways(tmp_path: Path, postgres: Postgres, redis: RedisServer) -> Iterator[Gateways]:
    made = Gateways(tmp_path, postgres, redis)
    yield made
    made.stop()


@contextmanager
def redis_killed(gateways: Gateways) -> Iterator[None]:
    gateways.redis.kill()
    yield
    gateways.redis.start()


@contextmanager
def redis_frozen(gateways: Gateways) -> Iterator[None]:
    gateways.redis.pause()
    yield
    gateways.redis.resume()


@contextmanager
def postgres_killed(gateways: Gateways) -> Iterator[None]:
    gateways.postgres.kill()
    yield
    gateways.postgres.start()


@contextmanager
def postgres_frozen(gateways: Gateways) -> Iterator[None]:
    with gateways.postgres.frozen():
        yield


STATE = ("The state cannot be shared", "The state is shared again")
LEDGER = ("cannot be reached", "is back; what waited for it is written")


@pytest.mark.parametrize(
    ("outage", "gone", "back"),
    [
        (redis_killed, *STATE),
        (redis_frozen, *STATE),
        (postgres_killed, *LEDGER),
        (postgres_frozen, *LEDGER),
    ],
)
def test_an_engine_is_away(gateways: Gateways, outage: Callable[..., Any], gone: str, back: str) -> None:
    """For a minute, under load: no request fails, none hangs, both replicas recover, and log it once each."""

    async def work() -> Load:
        load = Load(gateways.front)
        load.begin()
        await asyncio.sleep(5)
        with outage(gateways):
            await asyncio.sleep(AWAY)
        await until_logged(gateways, back)
        await asyncio.sleep(5)
        await load.end()
        return load

    load = asyncio.run(asyncio.wait_for(work(), AWAY + 200))
    print(f"\n{outage.__name__} for {AWAY:g} s: {dict(load.found)}, slowest {load.slowest:.2f} s")
    print(f"{gone}: {gateways.count(gone)}; {back}: {gateways.count(back)}")
    assert set(load.found) == {200, "whole"}
    assert load.slowest < HUNG
    assert gateways.count(gone) == gateways.count(back) == [1, 1]
    assert gateways.count("Traceback") == [0, 0]
    gateways.check_ledger()


async def until_logged(gateways: Gateways, text: str) -> None:
    deadline = time.monotonic() + 60
    while 0 in gateways.count(text):
        assert time.monotonic() < deadline, f"{text}: {gateways.count(text)}"
        await asyncio.sleep(0.1)


async def begun(front: Replicated, count: int) -> tuple[list[Stream], list[asyncio.Future[Stream]]]:
    """Streams that run, and their ends."""
    streams = list(await asyncio.gather(*(Stream(front, PACED).begin() for _ in range(count))))
    assert {stream.status for stream in streams} == {200}
    return streams, [asyncio.ensure_future(stream.end()) for stream in streams]


def test_a_worker_stands_still(tmp_path: Path, postgres: Postgres, redis: RedisServer) -> None:
    """Among 200 streams: it is replaced, only its streams end, and all are in the ledger."""
    gateways = Gateways(tmp_path, postgres, redis, more={"timeouts": {"worker": 3}})

    async def work() -> None:
        streams, ends = await begun(gateways.front, 200)
        workers = await asyncio.to_thread(gateways.workers)
        os.kill(workers[0], signal.SIGSTOP)
        statuses = Counter([await once(gateways.front, f"T-{number}") for number in range(40)])
        await asyncio.gather(*ends)
        broken = sum(stream.broken for stream in streams)
        lost = gateways.services[0].log_text.count("code=worker_ended")
        print(f"\nof 200 streams {broken} broke; {dict(statuses)}; exchanges that ended with it: {lost}")
        assert 0 < broken < 150
        assert all(stream.whole for stream in streams if not stream.broken)
        assert set(statuses) == {200}
        assert "has not answered for 3 s" in gateways.services[0].log_text
        assert await asyncio.to_thread(gateways.workers) != workers

    try:
        run(work())
        gateways.check_ledger()
    finally:
        gateways.stop()


@pytest.mark.parametrize("kind", ["worker", "single", "template", "supervisor"])
def test_a_process_is_killed(gateways: Gateways, kind: str) -> None:
    """One of any kind, among 200 streams: only what it served itself breaks, and is in the ledger all the
    same.
    """

    async def work() -> None:
        streams, ends = await begun(gateways.front, 200)
        workers = await asyncio.to_thread(gateways.workers)
        if kind == "worker":
            victim = workers[0]
        elif kind == "supervisor":
            victim = gateways.services[0].process.pid
        elif kind == "template":
            victim = int(Path(f"/proc/{workers[0]}/stat").read_text().rpartition(")")[2].split()[1])
        else:
            victim = gateways.services[1].process.pid
        await asyncio.sleep(2)
        os.kill(victim, signal.SIGKILL)
        statuses = Counter([await once(gateways.front, f"T-{number}") for number in range(40)])
        await asyncio.gather(*ends)
        broken = sum(stream.broken for stream in streams)
        print(f"\n{kind} killed: of 200 streams {broken} broke; {dict(statuses)}")
        assert 0 < broken < 150 if kind in ("worker", "single") else broken == 0
        assert all(stream.whole for stream in streams if not stream.broken)

    run(work())
    if kind == "single":
        service = gateways.services[1]
        gateways.services[1] = Service(service.log.parent, (service.log.parent / "config.yaml").read_text())
    gateways.check_ledger()


def test_the_supervisor_stands_still(gateways: Gateways) -> None:
    """For ten seconds among 200 streams: nothing is cut, no request fails, and all is in the ledger."""
    supervisor = gateways.services[0].process.pid

    async def work() -> None:
        streams, ends = await begun(gateways.front, 200)
        workers = await asyncio.to_thread(gateways.workers)
        os.kill(supervisor, signal.SIGSTOP)
        began, statuses, slowest = time.monotonic(), Counter[int](), 0.0
        while time.monotonic() - began < 10:
            before = time.monotonic()
            statuses[await once(gateways.front, f"T-{time.monotonic()}")] += 1
            slowest = max(slowest, time.monotonic() - before)
        os.kill(supervisor, signal.SIGCONT)
        await asyncio.gather(*ends)
        whole = sum(stream.whole for stream in streams)
        print(f"\nof 200 streams {whole} whole; {dict(statuses)}, the slowest after {slowest:.2f} s")
        assert (whole, set(statuses)) == (200, {200})
        assert await asyncio.to_thread(gateways.workers) == workers
        assert all(map(is_there, workers))

    run(work())
    gateways.check_ledger()


def test_clocks_differ(tmp_path: Path, postgres: Postgres, redis: RedisServer) -> None:
    """By two hours: a cooldown is honoured by both, a budget is exact, and a thread keeps its account."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not installed")
    wrappers = ((faketime, "-f", "+1h"), (faketime, "-f", "-1h"))
    limits = {"name": "ci", "key": KEY, "limits": {"requests-per-month": 100}}
    gateways = Gateways(tmp_path, postgres, redis, wrappers, {"api-keys": ["owner", limits]})

    async def work() -> None:
        found = Counter(await asyncio.gather(*(once(gateways.front, "") for _ in range(300))))
        print(f"\n{dict(found)}")
        assert found == {200: 100, 429: 200}
        homes: dict[str, set[str]] = {}
        for number in range(40):
            thread = f"T-{number % 8}"
            assert await once(gateways.front, thread, key="owner") == 200
            asked = dict(gateways.vendor.requests[-1].headers)
            homes.setdefault(thread, set()).add(asked["x-api-key"])
        print(homes)
        assert all(len(accounts) == 1 for accounts in homes.values())
        assert len(set.union(*homes.values())) == 2
        assert await once(gateways.front, "", LIMITED, key="owner") == 429
        await asyncio.sleep(1)
        before = len(gateways.vendor.requests)
        assert {await once(gateways.front, "", LIMITED, key="owner") for _ in range(6)} == {429}
        assert len(gateways.vendor.requests) == before

    try:
        print([service.log_text.partition(" ")[0] for service in gateways.services])
        run(work())
        # Those that were refused have rows, too.
        until(lambda: gateways.postgres.rows == 300 + 40 + 7, 60)
        days = gateways.postgres.ask("SELECT sum(requests), sum(metered) FROM daily")
        print(days)
        assert days == [(347, 140)]
    finally:
        gateways.stop()
