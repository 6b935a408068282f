"""Running stand-ins, and a small blocking client for raw requests."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple

import pytest
from twisted.internet import reactor

from ampproxy.testing import amp, anthropic, gemini, openai_chat, openai_responses
from tests.reactor import in_reactor

KEY = "vendor-key"
HEADERS = {
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "openai_chat": {"authorization": f"Bearer {KEY}"},
    "openai_responses": {"authorization": f"Bearer {KEY}"},
    "gemini": {"x-goog-api-key": KEY},
    "amp": {"authorization": f"Bearer {KEY}", "x-api-key": KEY},
}


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        lines = [line[6:] for line in self.body.splitlines() if line.startswith(b"data: {")]
        return [json.loads(line) for line in lines]


class Client:
    """Blocking requests to one stand-in, with its credential unless other headers are given."""

    def __init__(self, stand_in: Any, headers: dict[str, str]) -> None:
        self.stand_in = stand_in
        self.headers = headers

    def __call__(self, method: str, path: str, body: Any = None, headers: Any = None) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.stand_in.port, timeout=60)
        sent = dict(self.headers if headers is None else headers)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if body is not None:
            sent.setdefault("content-type", "application/json")
        connection.request(method, path, data, sent)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        answered = Answered(response.status, names, response.read())
        connection.close()
        return answered


def _fixture(module: Any, name: str) -> Any:
    @pytest.fixture
    def running() -> Any:
        stand_in = in_reactor(module.start, reactor, keys=[KEY], forbidden=["client-key"])
        yield Client(stand_in, HEADERS[name])
        in_reactor(stand_in.stop)

    return running


claude = _fixture(anthropic, "anthropic")
chat = _fixture(openai_chat, "openai_chat")
responses = _fixture(openai_responses, "openai_responses")
google = _fixture(gemini, "gemini")
upstream = _fixture(amp, "amp")
