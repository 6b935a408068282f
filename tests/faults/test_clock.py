"""The wall clock is set, by an hour, under a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests.loopback.process import Service
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
#: Slow, with pauses that the gateway fills with pings; ends by itself, or when the test has seen enough.
SLOW = f"{MODEL}+interval=0.1+events=10"
#: The wall clock as a file says; all other clocks go on as they are.
SET_BY_A_FILE = """
import os, time
_real = time.time
def _wall():
    try:
        return _real() + float(open({path!r}).read() or 0)
    except OSError:
        return _real()
time.time = _wall
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


def test_clock_set(tmp_path: Path, vendor: Any) -> None:
    """By an hour, forward and then back: a running stream goes on to its end, new requests are served, and a
    changed file is noticed. Nothing that counts time counts it by the wall clock.
    """
    values: dict[str, Any] = {
        "port": 0,
        "api-keys": ["k"],
        "timeouts": {"idle": "30s", "first-byte": "30s"},
        "claude-api-key": [
            {"api-key": "vendor-key", "base-url": vendor.url, "models": [{"name": MODEL}, {"name": SLOW}]}
        ],
    }
    offset = tmp_path / "offset"
    service = Service(tmp_path, json.dumps(values), first=SET_BY_A_FILE.format(path=str(offset)))
    try:
        for generation, (jump, told) in enumerate(((3600, "forward"), (0, "back")), 2):
            stream = ask(service, SLOW)
            stream.read(50)
            offset.write_text(str(jump))
            assert stream.read().count(b"event: message_stop") == 1
            assert ask(service, MODEL).read().count(b"event: message_stop") == 1
            values["api-keys"] = ["k", f"another{generation}"]
            (tmp_path / "config.yaml").write_text(json.dumps(values))
            service.wait_for_log(f"Configuration {generation} is in force")
            service.wait_for_log(f"The system's clock went {told}")
    finally:
        assert service.stop() == 0
    assert service.log_text.count("The system's clock went") == 2
    assert "Traceback" not in service.log_text


def ask(service: Service, model: str) -> Any:
    connection = service.connect()
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    connection.request("POST", "/v1/messages", json.dumps(body), {"X-Api-Key": "k"})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer
