"""Three services on one Redis: one budget, one set of cooldowns, one account for a thread."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests.loopback.process import Service
from tests.reactor import in_reactor
from tests.running import CLIENT_KEY
from tests.state.redis_server import RedisServer, needs_redis

pytestmark = [pytest.mark.loopback, needs_redis]

MODEL = "claude-sonnet-4-5"
LIMITED = f"{MODEL}+status=429+retry_after=600"
ACCOUNTS = ("canary-account-one-41f0", "canary-account-two-52e1")
KEY = "canary-key-of-ci-77aa"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=ACCOUNTS, forbidden=[KEY])
    yield stand_in
    in_reactor(stand_in.stop)


class Replicas:
    """Several services, each with a folder of its own, that share by one Redis."""

    def __init__(self, folder: Path, vendor: Any, redis: RedisServer, count: int) -> None:
        self.vendor, self.services = vendor, []
        models = f"models: [{{name: {MODEL}}}, {{name: {LIMITED}}}]"
        accounts = "".join(
            f"  - {{api-key: {key}, base-url: '{vendor.url}', {models}}}\n" for key in ACCOUNTS
        )
        for number in range(count):
            own = folder / str(number)
            own.mkdir()
            config = f"""
port: 0
state-dir: {own}/state
state: {{url: "unix://{redis.socket}"}}
metrics: {{enable: false}}
api-keys:
  - {CLIENT_KEY}
  - {{name: ci, key: {KEY}, limits: {{requests-per-month: 100}}}}
claude-api-key:
{accounts}"""
            self.services.append(Service(own, config))
        for service in self.services:
            service.wait_for_log("The state is shared by")

    def ask(self, number: int, key: str = CLIENT_KEY, model: str = MODEL, thread: str = "") -> int:
        """The status of one request at one of the services."""
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"X-Api-Key": key} | ({"X-Amp-Thread-Id": thread} if thread else {})
        connection = self.services[number].connect()
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def accounts(self, number: int, threads: list[str]) -> list[str]:
        """Which account serves each thread at one of the services."""
        before = len(self.vendor.requests)
        assert {self.ask(number, thread=thread) for thread in threads} == {200}
        return [dict(request.headers)["x-api-key"] for request in self.vendor.requests[before:]]

    def asks_of_limited(self, number: int) -> bool:
        """Whether a service asks a vendor for the model that both accounts have refused."""
        before = len(self.vendor.requests)
        assert self.ask(number, model=LIMITED) == 429
        return len(self.vendor.requests) > before

    def away(self, number: int) -> bool:
        """Whether a service does not share, as it reports to its owner."""
        connection = self.services[number].connect()
        connection.request("GET", "/readyz", headers={"X-Api-Key": CLIENT_KEY})
        response = connection.getresponse()
        assert response.status == 200
        return not json.loads(response.read())["shared"].get("connected", False)

    def stop(self) -> None:
        for service in self.services:
            service.stop()


def test_three_replicas(tmp_path: Path, vendor: Any) -> None:
    """300 requests at once against a budget of 100: exactly 100 pass. What one is refused the others do not
    ask for. A thread stays where it is. All of it also after Redis was killed and has forgotten all.
    """
    redis = RedisServer(tmp_path).start()
    replicas = Replicas(tmp_path, vendor, redis, 3)
    try:
        with ThreadPoolExecutor(60) as pool:
            found = Counter(pool.map(lambda number: replicas.ask(number, KEY), islice(cycle(range(3)), 300)))
        assert found == {200: 100, 429: 200}

        threads = [f"T-{number}" for number in range(6)]
        homes = replicas.accounts(0, threads)
        assert replicas.accounts(1, threads) == replicas.accounts(2, threads) == homes
        assert set(homes) == set(ACCOUNTS)

        assert replicas.ask(0, model=LIMITED) == 429
        for number in (1, 2):
            replicas.services[number].wait_for(lambda number=number: not replicas.asks_of_limited(number))

        redis.kill()
        for number, service in enumerate(replicas.services):
            service.wait_for(lambda number=number: replicas.away(number))
        assert replicas.accounts(2, threads) == homes
        assert [replicas.ask(number, KEY) for number in range(3)] == [429] * 3
        redis.start()
        for service in replicas.services:
            service.wait_for_log("The state is shared again by")
        assert replicas.accounts(1, threads) == homes
        assert [replicas.ask(number, KEY) for number in range(3)] == [429] * 3
        assert not any(replicas.asks_of_limited(number) for number in range(3))
        for service in replicas.services:
            assert service.log_text.count("The state cannot be shared") == 1
            assert service.log_text.count("shared again") == 1
            assert KEY not in service.log_text
    finally:
        try:
            replicas.stop()
        finally:
            redis.kill()
