"""The whole configuration, exchanged under a running service."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.demo import amp, anthropic
from tests.loopback.process import Service
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
SLOW = f"{MODEL}+interval=0.2+events=12"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[list[Any]]:
    running = [in_reactor(amp.start, reactor, keys=[key]) for key in ("amp-key", "second-amp-key")]
    yield running
    for stand_in in running:
        in_reactor(stand_in.stop)


class Configured:
    """A service and its configuration, changed piece by piece."""

    def __init__(self, directory: Path, vendor: Any, upstreams: list[Any]) -> None:
        self.values: dict[str, Any] = {
            "port": 0,
            "api-keys": ["k", "second"],
            "claude-api-key": [
                {"api-key": "vendor-key", "base-url": vendor.url, "models": [{"name": MODEL}, {"name": SLOW}]}
            ],
            "ampcode": {"upstream-url": upstreams[0].url, "upstream-api-key": "amp-key"},
        }
        self.path = directory / "config.yaml"
        self.service = Service(directory, json.dumps(self.values))

    def write(self, **amp_code: Any) -> None:
        """Change settings of ``ampcode`` and wait until they are in force."""
        self.values["ampcode"].update(amp_code)
        self.put()

    def put(self) -> None:
        seen = self.service.log_text.count("is in force")
        self.path.write_text(json.dumps(self.values))
        deadline = time.monotonic() + 5
        while self.service.log_text.count("is in force") == seen:
            assert time.monotonic() < deadline, self.service.log_text
            time.sleep(0.05)

    def ask(self, model: str, key: str = "k", *, stream: bool = False) -> Any:
        connection = self.service.connect()
        body = {
            "model": model,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
            "stream": stream,
        }
        path = "/api/provider/anthropic/v1/messages"
        connection.request("POST", path, json.dumps(body), {"X-Api-Key": key})
        return connection.getresponse()

    def route(self, model: str) -> str | None:
        answer = self.ask(model)
        answer.read()
        return answer.headers["X-Ampproxy-Route"]


@pytest.fixture
def configured(tmp_path: Path, vendor: Any, upstreams: list[Any]) -> Iterator[Configured]:
    running = Configured(tmp_path, vendor, upstreams)
    yield running
    running.service.stop()


def test_each_option_of_ampcode(configured: Configured, upstreams: list[Any]) -> None:
    """All six take effect without a restart, shown by a request each; a stream runs on meanwhile."""
    stream = configured.ask(SLOW, stream=True)
    stream.read(50)
    assert configured.route("wanted") == "amp"
    configured.write(**{"model-mappings": [{"from": "wanted", "to": MODEL}]})
    assert configured.route("wanted") == "mapped"
    configured.write(**{"model-mappings": [{"from": SLOW, "to": MODEL}]})
    assert configured.route(MODEL) == "local"
    configured.write(**{"force-model-mappings": True})
    assert configured.route(SLOW) == "mapped"
    configured.write(**{"upstream-url": upstreams[1].url, "upstream-api-key": "second-amp-key"})
    assert configured.route("unheard") == "amp"
    assert upstreams[1].requests[-1].headers["x-api-key"] == "second-amp-key"
    per_client = [{"upstream-api-key": "amp-key", "api-keys": ["second"]}]
    configured.write(**{"upstream-url": upstreams[0].url, "upstream-api-keys": per_client})
    configured.ask("unheard", "second").read()
    assert upstreams[0].requests[-1].headers["x-api-key"] == "amp-key"
    configured.write(**{"upstream-url": ""})
    assert configured.route("unheard") == "none"
    assert stream.read().count(b"event: message_stop") == 1


def test_revoked_key(configured: Configured) -> None:
    """A client key that is gone lets in no more, on an open connection either."""
    connection = configured.service.connect()
    connection.request("GET", "/v1/models", headers={"X-Api-Key": "second"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    configured.values["api-keys"] = ["k"]
    configured.put()
    connection.request("GET", "/v1/models", headers={"X-Api-Key": "second"})
    assert connection.getresponse().status == 401


def test_wrong_file(configured: Configured) -> None:
    """It is told with its line, and the old configuration goes on; also when it is asked for."""
    good = configured.path.read_text()
    configured.path.write_text("port: many\n")
    deadline = time.monotonic() + 5
    while "stays as it was" not in configured.service.log_text and time.monotonic() < deadline:
        time.sleep(0.05)
    assert f"{configured.path}:1: port" in configured.service.log_text
    assert configured.route(MODEL) == "local"
    configured.path.write_text(good)
    configured.service.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert "is in force" in configured.service.log_text


def test_another_address(configured: Configured) -> None:
    """The new port opens before the old one closes; streams on the old one end whole."""
    stream = configured.ask(SLOW, stream=True)
    stream.read(50)
    old = configured.service.port
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        new = free.getsockname()[1]
    configured.values["port"] = new
    configured.put()
    deadline = time.monotonic() + 5
    while f"127.0.0.1:{new}" not in configured.service.log_text and time.monotonic() < deadline:
        time.sleep(0.05)
    connection = http.client.HTTPConnection("127.0.0.1", new, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old), timeout=2)
    assert stream.read().count(b"event: message_stop") == 1
