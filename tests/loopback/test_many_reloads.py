"""Reload after reload under load. With AMPPROXY_LONG=1 as many as the documentation tells of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.cli.reload import PATH
from ampproxy.cli.service_client import ServiceClient
from ampproxy.config.load import load
from ampproxy.status import ReloadReport
from ampproxy.testing import anthropic
from tests.loopback.test_restart import CLIENT, LONG, MODEL, Running, ask
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

RELOADS, STREAMS = (1000, 50) if LONG else (30, 10)
#: Bytes that memory may grow by from a tenth of the reloads to the last: what the allocator does not give
#: back.
GROWTH = 12 * 1024 * 1024
STEADY = f"{MODEL}+interval=0.5+events={80 if LONG else 6}"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


def values(vendor: Any, port: int, number: int) -> dict[str, Any]:
    """A configuration that is another one each time: settings, keys, accounts, mappings, proxies."""
    account = {
        "api-key": "vendor-key",
        "base-url": vendor.url,
        "models": [{"name": MODEL}, {"name": STEADY}],
    }
    others = [
        {"api-key": f"key-{number}-{index}", "base-url": vendor.url, "models": [f"m-{number}"]}
        for index in range(20)
    ]
    return {
        "port": port,
        "api-keys": ["k", f"key-{number}"],
        "timeouts": {"connect": 1 + number % 9},
        "proxy-url": f"http://127.0.0.1:{1 + number % 50}" if number % 2 else "direct",
        "claude-api-key": [{**account, "proxy-url": "direct"}, *others],
        "ampcode": {
            "upstream-url": f"http://127.0.0.1:{1 + number % 3}",
            "model-mappings": [{"from": f"from-{number}-{index}", "to": MODEL} for index in range(20)],
        },
    }


def test_many(tmp_path: Path, vendor: Any) -> None:
    """No stream is cut, no request refused, memory stays flat, no descriptor is left over."""
    port = free_port()
    service = Running(tmp_path, json.dumps(values(vendor, port, 0)))
    asker = ServiceClient(load(service.path, environ={}, home=tmp_path))
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        before, memory = len(descriptors(service)), 0
        streams = [ask(service, STEADY) for _ in range(STREAMS)]
        for number in range(1, RELOADS + 1):
            service.path.write_text(json.dumps(values(vendor, port, number)))
            report: ReloadReport = asker.ask(PATH, "POST").read(ReloadReport)
            assert report.ok, report.complaints
            assert any(line.startswith("timeouts.connect") for line in report.changes)
            if number == RELOADS // 10:
                memory = service.rss()
        assert report.generation > RELOADS
        grown = service.rss() - memory
        assert [stream.read().count(b"event: message_stop") for stream in streams] == [1] * STREAMS
        for stream in streams:
            stream.close()
        out, _ = client.communicate(timeout=60)
        done, failed = json.loads(out)
        assert failed == []
        assert done > 0
        assert grown < GROWTH
        # The connections of the streams to the vendor are kept for a while.
        service.wait_for(lambda: len(descriptors(service)) <= before + STREAMS + 2)
        print(f"{RELOADS} reloads, {done} requests, memory {memory >> 20} MiB + {grown >> 10} KiB")
    finally:
        service.stop()
    assert "Traceback" not in service.log_text


def descriptors(service: Running) -> list[str]:
    """What the service has open, without the ledger, which is opened when it is needed. Sockets and the like
    have no names of their own here.
    """
    found = []
    folder = f"/proc/{service.process.pid}/fd"
    for name in os.listdir(folder):
        try:
            what = os.readlink(f"{folder}/{name}")
        except OSError:
            continue  # closed meanwhile
        if "ledger" not in what:
            found.append(what.partition("[")[0])
    return sorted(found)


@pytest.mark.skipif(not LONG, reason="takes a minute")
def test_descriptors_are_given_back(tmp_path: Path, vendor: Any) -> None:
    """Once the kept connections have been idle for long, there are as many descriptors as before."""
    port = free_port()
    service = Running(tmp_path, json.dumps(values(vendor, port, 0)))
    asker = ServiceClient(load(service.path, environ={}, home=tmp_path))
    try:
        # The last that it opens by itself.
        service.wait_for_log("Serving metrics at")
        before = descriptors(service)
        for number in range(1, 200):
            service.path.write_text(json.dumps(values(vendor, port, number)))
            assert asker.ask(PATH, "POST").read(ReloadReport).ok
            assert ask(service, MODEL).read().count(b"event: message_stop") == 1
        time.sleep(60)
        assert descriptors(service) == before
    finally:
        service.stop()
