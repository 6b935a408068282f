"""What was learned and pinned, over real sockets: the end of one service, and the start of
the next.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from twisted.internet import reactor

from ampproxy.assembly import Outside, Start, assemble
from ampproxy.config.load import parse
from ampproxy.credentials import lessons, pins
from ampproxy.service import GatewayService
from ampproxy.testing import openai_responses
from ampproxy.testing.script import Script
from tests.reactor import in_reactor

KEYS = ["canary-key-a", "canary-key-b"]


class Gateway:
    """A service with two accounts at one stand-in, which keeps its state in a folder."""

    def __init__(self, url: str, state: Path) -> None:
        accounts = "".join(f"  - {{api-key: {key}, base-url: '{url}/v1', models: [gpt-x]}}\n" for key in KEYS)
        text = f"port: 0\napi-keys: [client]\ncodex-api-key:\n{accounts}"
        config = parse(text, name="test.yaml", environ={}, home=state, read_secret=Path.read_text)
        outside = Outside(reactor=reactor, environ={}, home=state, state=state)
        self.service = GatewayService(assemble(config, outside, Start()))
        in_reactor(self.service.startService)
        in_reactor(self.service.listen)

    @property
    def port(self) -> int:
        return int(self.service.ports[0].getHost().port)

    def ask(self, session: str, **more: object) -> str:
        """Ask; gives the answer's id."""
        body = json.dumps({"model": "gpt-x", "input": "hi", **more}).encode()
        headers = {
            "Authorization": "Bearer client",
            "Content-Type": "application/json",
            "X-Session-ID": session,
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/responses", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["id"])

    def stop(self) -> None:
        in_reactor(self.service.stopService)


@pytest.mark.loopback
def test_restart(tmp_path: Path) -> None:
    """The end of the service writes what was not written yet; the next one asks right at once, and asks the
    account that has what the request refers to.
    """
    vendor = in_reactor(openai_responses.start, reactor, keys=KEYS)
    try:
        words = "Unsupported parameter: 'temperature' is not supported with this model."
        for key in KEYS:
            vendor.script(Script(status=400, message=words), key=key)
        before = Gateway(vendor.url, tmp_path)
        try:
            ids = [before.ask(f"s{number}", temperature=0.5) for number in range(2)]
        finally:
            before.stop()
        owners = [request.key for request in vendor.requests]
        assert [b'"temperature"' in request.body for request in vendor.requests] == [True, False] * 2
        assert owners[0] == owners[1] != owners[2] == owners[3]
        for name in (lessons.NAME, pins.NAME):
            assert b"canary" not in (tmp_path / name).read_bytes()
        after = Gateway(vendor.url, tmp_path)
        try:
            for id, owner in zip(ids * 2, [owners[0], owners[2]] * 2, strict=True):
                after.ask(f"t{id}", temperature=0.5, previous_response_id=id)
                assert vendor.requests[-1].key == owner
                assert b'"temperature"' not in vendor.requests[-1].body
        finally:
            after.stop()
        assert len(vendor.requests) == 8
    finally:
        in_reactor(vendor.stop)
