"""Three replicas on one Redis behind HAProxy: one budget, one set of cooldowns, one account for a thread.

With AMPPROXY_DRILLS=1, on a machine that is not busy, the second is asserted within which a cooldown is known
to all.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests.etc.test_proxies import NAME, program
from tests.etc.test_replicas import Replicated
from tests.loopback.process import Service
from tests.reactor import in_reactor
from tests.running import CLIENT_KEY
from tests.state.redis_server import RedisServer, needs_redis

pytestmark = [pytest.mark.loopback, needs_redis]

DRILLS = bool(os.environ.get("AMPPROXY_DRILLS"))
MODEL = "claude-sonnet-4-5"
LIMITED = f"{MODEL}+status=429+retry_after=600"
ACCOUNTS = ("canary-account-one-41f0", "canary-account-two-52e1")
KEY, LATER_KEY = "canary-key-of-ci-77aa", "canary-key-of-cron-88bb"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=ACCOUNTS, forbidden=[KEY, LATER_KEY])
    yield stand_in
    in_reactor(stand_in.stop)


class Replicas:
    """Several services, each with a folder of its own, that share by one Redis, behind one HAProxy."""

    def __init__(self, folder: Path, vendor: Any, redis: RedisServer) -> None:
        self.vendor, self.services = vendor, []
        models = f"models: [{{name: {MODEL}}}, {{name: {LIMITED}}}]"
        accounts = "".join(
            f"  - {{api-key: {key}, base-url: '{vendor.url}', {models}}}\n" for key in ACCOUNTS
        )
        limited = "".join(
            f"  - {{name: {name}, key: {key}, limits: {{requests-per-month: 100}}}}\n"
            for name, key in (("ci", KEY), ("cron", LATER_KEY))
        )
        for number in range(3):
            own = folder / str(number)
            own.mkdir()
            config = f"""
port: 0
state-dir: {own}/state
state: {{url: "unix://{redis.socket}"}}
metrics: {{enable: false}}
allowed-hosts: [{NAME}]
api-keys:
  - {CLIENT_KEY}
{limited}
claude-api-key:
{accounts}"""
            self.services.append(Service(own, config))
        for service in self.services:
            service.wait_for_log("The state is shared by")
        ports = [service.port for service in self.services]
        self.front = Replicated("haproxy", ports, folder / "haproxy", trustme.CA())
        self.front.await_ready()

    def ask(
        self, key: str = CLIENT_KEY, model: str = MODEL, thread: str = "", number: int | None = None
    ) -> int:
        """The status of one request, at one of the services or at any of them."""
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"X-Api-Key": key} | ({"X-Amp-Thread-Id": thread} if thread else {})
        connection: http.client.HTTPConnection
        if number is None:
            connection, headers = self.front.connect(), {**headers, "Host": NAME}
        else:
            connection = self.services[number].connect()
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def spend(self, key: str) -> Counter[int]:
        """The statuses of 300 requests of one client, as many at once as there are threads."""
        with ThreadPoolExecutor(60) as pool:
            return Counter(pool.map(self.ask, [key] * 300))

    def accounts(self, threads: list[str]) -> list[str]:
        """Which account serves each thread, wherever its request gets to."""
        before = len(self.vendor.requests)
        assert {self.ask(thread=thread) for thread in threads} == {200}
        return [dict(request.headers)["x-api-key"] for request in self.vendor.requests[before:]]

    def homes(self, threads: list[str]) -> list[str]:
        """The account of each thread, the same wherever it is served: most are at several replicas."""
        first, *others = [self.accounts(threads) for _ in range(4)]
        assert others == [first] * 3
        served = [{name for name in threads if f"thread={name} " in one.log_text} for one in self.services]
        assert sum(map(len, served)) > 1.5 * len(threads)
        return first

    def asks_of_limited(self, number: int) -> bool:
        """Whether a service asks a vendor for the model that both accounts have refused."""
        before = len(self.vendor.requests)
        assert self.ask(model=LIMITED, number=number) == 429
        return len(self.vendor.requests) > before

    def away(self, number: int) -> bool:
        """Whether a service does not share, as it reports to its owner."""
        connection = self.services[number].connect()
        connection.request("GET", "/readyz", headers={"X-Api-Key": CLIENT_KEY})
        response = connection.getresponse()
        assert response.status == 200
        return not json.loads(response.read())["shared"].get("connected", False)

    def stop(self) -> None:
        self.front.stop()
        for service in self.services:
            service.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    program("haproxy")
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


def test_three_replicas(tmp_path: Path, vendor: Any, redis: RedisServer) -> None:
    """300 requests at once against a budget of 100: exactly 100 pass. What one is refused the others do not
    ask for. A thread stays where it is. All of it also after Redis was killed and has forgotten all.
    """
    replicas = Replicas(tmp_path, vendor, redis)
    threads = [f"T-{number}" for number in range(7)]
    try:
        assert replicas.spend(KEY) == {200: 100, 429: 200}
        assert all("client=ci" in service.log_text for service in replicas.services)
        homes = replicas.homes(threads)
        assert set(homes) == set(ACCOUNTS)
        check_cooldown(replicas)

        redis.kill()
        for number, service in enumerate(replicas.services):
            service.wait_for(lambda number=number: replicas.away(number))
        assert replicas.accounts(threads) == homes
        assert [replicas.ask(KEY, number=number) for number in range(3)] == [429] * 3
        redis.start()
        for service in replicas.services:
            service.wait_for_log("The state is shared again by")
        assert replicas.homes(threads) == homes
        assert [replicas.ask(KEY, number=number) for number in range(3)] == [429] * 3
        assert replicas.spend(LATER_KEY) == {200: 100, 429: 200}
        assert not any(replicas.asks_of_limited(number) for number in range(3))
        for service in replicas.services:
            assert service.log_text.count("The state cannot be shared") == 1
            assert service.log_text.count("shared again") == 1
            assert KEY not in service.log_text
    finally:
        replicas.stop()


def check_cooldown(replicas: Replicas) -> None:
    """Both accounts are refused at whichever replica is asked; soon the others ask no more, either."""
    assert replicas.ask(model=LIMITED) == 429
    began = time.monotonic()
    for number, service in enumerate(replicas.services):
        service.wait_for(lambda number=number: not replicas.asks_of_limited(number))
    taken = time.monotonic() - began
    print(f"known to all after {taken * 1000:.0f} ms")
    assert taken < 1 or not DRILLS
