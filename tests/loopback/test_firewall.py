"""The credit firewall as a process: its counters survive being killed, and a crowd does not overrun them."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.testing import amp
from tests.loopback.process import Service
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

LIMIT = 20
CROWD = 50
PATHS = {
    "/api/provider/openai/v1/responses": {"input": "hi"},
    "/api/provider/anthropic/v1/messages": {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 16,
    },
    "/api/provider/xai/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
}


@pytest.fixture
def upstream() -> Iterator[Any]:
    stand_in = in_reactor(amp.start, reactor, keys=["canary-amp-key"])
    yield stand_in
    in_reactor(stand_in.stop)


def start(directory: Path, upstream: Any, rule: str) -> Service:
    return Service(
        directory,
        f"""
port: 0
state-dir: {directory}/state
ampcode:
  upstream-url: "{upstream.url}"
  upstream-api-key: canary-amp-key
  fallback: [{rule}]
""",
    )


def statuses(service: Service) -> list[int]:
    """A crowd's answers, all asked for at once."""

    def ask(number: int) -> int:
        path, body = list(PATHS.items())[number % len(PATHS)]
        connection = service.connect()
        content = json.dumps({"model": f"unknown-{number}", "stream": number % 2 == 0, **body})
        connection.request(
            "POST", path, content, {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
        )
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    with ThreadPoolExecutor(CROWD) as pool:
        return sorted(pool.map(ask, range(CROWD)))


def test_requests(tmp_path: Path, upstream: Any) -> None:
    """Fifty at once, of whom twenty may; then it is killed, and after that nobody may any more."""
    rule = f"{{daily-requests: {LIMIT}}}"
    service = start(tmp_path, upstream, rule)
    assert statuses(service) == [200] * LIMIT + [402] * (CROWD - LIMIT)
    service.process.kill()
    service.process.wait(60)
    again = start(tmp_path, upstream, rule)
    assert statuses(again) == [402] * CROWD
    assert again.stop() == 0
    assert len(upstream.requests) == LIMIT
    assert "canary-amp-key" not in service.log_text + again.log_text


def test_locked_counters(tmp_path: Path, upstream: Any) -> None:
    """Another program has the counters: eight requests under a limit are refused after their two seconds, and
    whatever has no limit is served meanwhile without noticing.
    """
    service = start(tmp_path, upstream, "{daily-requests: 20}")

    def limited(_: int) -> int:
        connection = service.connect()
        connection.request(
            "POST",
            "/api/provider/openai/v1/responses",
            '{"model": "m", "input": "hi"}',
            {"Content-Type": "application/json"},
        )
        return connection.getresponse().status

    def others(until: threading.Event) -> list[float]:
        took = []
        while not until.is_set():
            began = time.monotonic()
            connection = service.connect()
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            took.append(time.monotonic() - began)
            time.sleep(0.02)
        return sorted(took)

    assert limited(0) == 200
    other = sqlite3.connect(tmp_path / "state" / "credits.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ended = threading.Event()
    with ThreadPoolExecutor(9) as pool:
        served = pool.submit(others, ended)
        assert list(pool.map(limited, range(8))) == [503] * 8
        ended.set()
        took = served.result()
    # Eight waits of half a second each in the reactor would be four.
    assert len(took) > 20
    assert took[-1] < 1.5
    other.execute("COMMIT")
    other.close()
    assert limited(0) == 200
    assert service.stop() == 0
