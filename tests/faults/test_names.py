"""The system's resolver fails under a running service, and works again."""

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
#: A name of the test's own, which the resolver knows as long as a file is not there.
FAILS_BY_A_FILE = """
import os, socket
_real = socket.getaddrinfo
def _resolve(host, *more, **named):
    if host == "vendor.test":
        if os.path.exists({path!r}):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return _real(host, *more, **named)
socket.getaddrinfo = _resolve
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


def test_resolver_fails(tmp_path: Path, vendor: Any) -> None:
    """Each request is answered with what is wrong; the log has one line for the name, and one when that is
    over. The service needs no restart.
    """
    url = vendor.url.replace("127.0.0.1", "vendor.test")
    config = {
        "port": 0,
        "api-keys": ["k"],
        "disable-cooling": True,
        "claude-api-key": [{"api-key": "vendor-key", "base-url": url, "models": [{"name": MODEL}]}],
    }
    down = tmp_path / "down"
    down.touch()
    service = Service(tmp_path, json.dumps(config), first=FAILS_BY_A_FILE.format(path=str(down)))
    try:
        for _ in range(5):
            status, body = ask(service)
            assert status == 502
            assert "Cannot resolve" in body
        # The log is written after the answers.
        service.wait_for_log("Cannot resolve vendor.test")
        down.unlink()
        assert ask(service)[0] == 200
        service.wait_for_log("vendor.test can be resolved again")
        assert ask(service)[0] == 200
    finally:
        assert service.stop() == 0
    assert service.log_text.count("Cannot resolve vendor.test") == 1
    assert service.log_text.count("can be resolved again") == 1
    assert "Traceback" not in service.log_text


def ask(service: Service) -> tuple[int, str]:
    connection = service.connect()
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    connection.request("POST", "/v1/messages", json.dumps(body), {"X-Api-Key": "k"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
