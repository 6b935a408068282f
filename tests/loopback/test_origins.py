"""A vendor that redirects: no credential leaves its own origin."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest
from twisted.internet import reactor

from ampproxy.config.load import parse
from ampproxy.tap import build
from tests.reactor import in_reactor
from tests.upstream.doubles import Origin, Raw

pytestmark = pytest.mark.loopback

CANARIES = (
    "canary-anthropic",
    "canary-openai",
    "canary-gemini",
    "canary-chat",
    "canary-amp",
    "canary-client",
)
MESSAGES = [{"role": "user", "content": "hi"}]
ASKED = {
    "/v1/messages": {"model": "a", "max_tokens": 9, "messages": MESSAGES},
    "/v1/chat/completions": {"model": "c", "messages": MESSAGES},
    "/v1/responses": {"model": "r", "input": "hi"},
    "/v1beta/models/g:generateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
    "/v1beta/models/g:streamGenerateContent?alt=sse": {"contents": [{"parts": [{"text": "hi"}]}]},
    "/v1/messages/count_tokens": {"model": "a", "messages": MESSAGES},
}


def config(vendor: int) -> str:
    return f"""
port: 0
api-keys: [canary-client]
disable-cooling: true
claude-api-key: [{{api-key: canary-anthropic, base-url: "http://127.0.0.1:{vendor}", models: [a]}}]
codex-api-key: [{{api-key: canary-openai, base-url: "http://127.0.0.1:{vendor}", models: [r]}}]
gemini-api-key: [{{api-key: canary-gemini, base-url: "http://127.0.0.1:{vendor}", models: [g]}}]
openai-compatibility:
  - name: chat
    base-url: "http://127.0.0.1:{vendor}/v1"
    api-key-entries: [{{api-key: canary-chat}}]
    models: [c]
ampcode: {{upstream-url: "http://127.0.0.1:{vendor}", upstream-api-key: canary-amp}}
"""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, tmp_path: Path) -> None:
    """The other origin is never asked; a vendor's redirect is an error, Amp's is the client's."""
    elsewhere = Origin()
    in_reactor(elsewhere.__aenter__)
    location = f"http://localhost:{elsewhere.port}/stolen"
    head = (
        f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    vendor = Raw(head.encode())
    in_reactor(vendor.__aenter__)
    text = config(vendor.port)
    parsed = parse(text, name="c", environ={}, home=tmp_path, read_secret=lambda path: path.read_text())
    service = in_reactor(lambda: build(parsed, reactor, environ={}, home=tmp_path, observer=lambda _: None))
    in_reactor(service.listen)
    port = service.ports[0].getHost().port
    try:
        for path, body in ASKED.items():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", path, json.dumps(body), {"Authorization": "Bearer canary-client"})
            answer = connection.getresponse()
            told = answer.read().decode()
            assert answer.status == 502, path
            assert "redirects to another address" in told
            assert not any(canary in told for canary in CANARIES)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/api/user", headers={"Authorization": "Bearer canary-client"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (status, location)
        assert elsewhere.requests == []
    finally:
        in_reactor(service.stopService)
        in_reactor(vendor.__aexit__)
        in_reactor(elsewhere.__aexit__)
