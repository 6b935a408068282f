"""A gateway in memory between AmpCloud and strict stand-ins of the vendors, two accounts of each dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from ampproxy.testing.amp_cloud import CUSTOM_URL, AmpCloud, Request
from ampproxy.testing.amp_formats import FORMATS, Answer, Talk
from ampproxy.testing.anthropic import Anthropic
from ampproxy.testing.gemini import Gemini
from ampproxy.testing.openai_chat import OpenAIChat
from ampproxy.testing.openai_responses import OpenAIResponses
from ampproxy.testing.script import Script
from ampproxy.testing.stand_in import Ending, steps
from ampproxy.testing.vendor import Recorded, Scripts, Vendor
from tests.resources.harness import AMP_KEY, Connection, FakeBody, Sent, World

NEO_KEY = "canary-neo-key-7b2e"
CLIENT_KEY = "canary-client-key-91d0"
MODELS = {
    "anthropic": "claude-opus-4-6",
    "openai-responses": "gpt-5.4",
    "gemini": "gemini-3-pro-preview",
    "openai-chat": "gpt-4.1-chat",
}
_VENDORS: dict[str, type[Vendor]] = {
    "anthropic": Anthropic,
    "openai-responses": OpenAIResponses,
    "gemini": Gemini,
    "openai-chat": OpenAIChat,
}
KEYS = {dialect: [f"canary-{dialect}-{number}" for number in (1, 2)] for dialect in MODELS}
SECRETS = (NEO_KEY, CLIENT_KEY, AMP_KEY, *(key for keys in KEYS.values() for key in keys))


def config(more: str = "") -> str:
    def accounts(dialect: str, url: str) -> str:
        return "".join(
            f'\n  - {{api-key: {key}, base-url: "{url}", models: [{{name: {MODELS[dialect]}}}]}}'
            for key in KEYS[dialect]
        )

    return f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key:{accounts("anthropic", "http://anthropic.test")}
codex-api-key:{accounts("openai-responses", "http://openai-responses.test/v1")}
gemini-api-key:{accounts("gemini", "http://gemini.test")}
openai-compatibility:
  - name: chat
    base-url: http://openai-chat.test/v1
    api-key-entries: [{{api-key: {KEYS["openai-chat"][0]}}}, {{api-key: {KEYS["openai-chat"][1]}}}]
    models: [{{name: {MODELS["openai-chat"]}}}]
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: {AMP_KEY}
neo: {{public-url: "https://gw.example.org", listen: "127.0.0.1:8319", key: {NEO_KEY}{more}}}
"""


class Vendors:
    """In place of ``UpstreamClient``: each vendor at its host, answered turn by turn of a clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.vendors: dict[str, Vendor] = {}
        for number, (dialect, make) in enumerate(_VENDORS.items()):
            vendor = self.vendors[dialect] = make(Scripts(), KEYS[dialect])
            # Ids are unique among vendors, as those of real ones are.
            vendor._count = number * 1_000_000
        self.asked: list[tuple[str, Recorded]] = []
        self.sent: list[Sent] = []

    def script(self, dialect: str, *scripts: Script) -> None:
        self.vendors[dialect].scripts.add(scripts)

    def send(
        self, method: str, url: str, headers: Headers, body: Any = None, proxy: str | None = None
    ) -> Deferred[Any]:
        sent = Sent(method, url, headers.copy(), body)
        self.sent.append(sent)
        host, _, path = url.removeprefix("http://").partition("/")
        joined = {
            name.decode().lower(): b", ".join(values).decode() for name, values in headers.getAllRawHeaders()
        }
        recorded = Recorded(
            method=method,
            uri=f"/{path}",
            headers=joined,
            body=sent.body,
            size=len(sent.body),
            received_at=self.clock.seconds(),
        )
        dialect = host.removesuffix(".test")
        self.asked.append((dialect, recorded))
        reply = self.vendors[dialect].respond(recorded)
        if reply.script.hang == "headers":
            return sent.answer
        whole = {"content-type": [reply.content_type], **{name: [value] for name, value in reply.headers}}
        answered = sent.respond(reply.status, whole)
        pieces = steps(reply)
        self.clock.callLater(0, self._next, answered, pieces, reply.script.interval)
        return sent.answer

    def _next(self, body: FakeBody, pieces: Iterator[bytes | Ending], interval: float) -> None:
        if body.state == "stopped":
            return
        if body.protocol is None:
            self.clock.callLater(0, self._next, body, pieces, interval)
            return
        piece = next(pieces)
        if piece is Ending.FINISH:
            body.done()
        elif piece is Ending.ABORT:
            body.lose()
        elif not isinstance(piece, Ending):
            body.data(piece)
            self.clock.callLater(interval, self._next, body, pieces, interval)

    def close(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done


@dataclass
class Asked:
    """A request that is under way.

    :ivar cut_at: when an edge in front of the gateway cut it, as nothing had come for so long.
    """

    request: Request
    connection: Connection
    talk: Talk | None = None

    def read(self) -> Answer:
        """The answer, as its SDK reads it."""
        assert self.talk is not None
        head, _, _ = self.connection.answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return self.talk.read(self.connection.status, headers, self.connection.body)


class CloudWorld:
    """AmpCloud, the gateway, and the vendors.

    :param stem: what the connections' base URLs end with, beside the ``/v1`` of the OpenAI formats.
    """

    def __init__(self, format: str, backend: str, more: str = "", *, mapping: str | None = None) -> None:
        self.world = World(config(more), client=Vendors(Clock()))
        self.vendors: Vendors = self.world.client
        self.vendors.clock = self.world.clock
        self.cloud = AmpCloud()
        self.backend = backend
        self.model = f"{_PROVIDERS[backend]}/{MODELS[backend]}"
        base = "https://gw.example.org" + ("" if format == "anthropic-messages" else "/v1")
        config_ = {"baseURL": base, "apiFormat": format}
        if mapping is not None:
            config_["modelMapping"] = mapping
        made = self.cloud.call(
            "createModelProviderKey",
            {
                "target": "user",
                "type": CUSTOM_URL,
                "name": "gateway",
                "secret": NEO_KEY,
                "config": config_,
                "active": True,
            },
        )
        self.connection = self.cloud.connections[made["key"]["id"]]

    def talk(self, thread: str = "", **settings: Any) -> Talk:
        effort = "" if self.backend == "openai-chat" else "medium"
        settings = {"effort": effort, **settings}
        return self.cloud.talk(self.model, thread, **settings)

    def begin(self, talk: Talk, **more: Any) -> Asked:
        """Send the next turn."""
        return self.send(self.cloud.request(self.model, talk, **more), talk)

    def send(self, request: Request, talk: Talk | None = None) -> Asked:
        body = None if request.body is None else json.dumps(request.body).encode()
        # As an edge forwards it: from this machine, with what it knows of the client.
        headers = {**request.headers, "Host": "gw.example.org", "X-Forwarded-For": "34.1.2.3"}
        headers["X-Forwarded-Proto"] = "https"
        connection = self.world.request(request.method, request.path, headers, body, key=None, cloud=True)
        return Asked(request, connection, talk)

    def finish(self, asked: Asked, seconds: float = 0.0) -> Asked:
        """Let the vendor answer."""
        for _ in range(4000):
            if not self.world.clock.getDelayedCalls():
                break
            before = len(asked.connection.answer)
            self.world.clock.advance(0)
            if asked.connection.channel._current is None and len(asked.connection.answer) == before:
                break
        return asked

    def ask(self, talk: Talk, **more: Any) -> Answer:
        """Send the next turn and read the answer."""
        return self.finish(self.begin(talk, **more)).read()

    @property
    def accounts(self) -> list[str]:
        """The keys of the accounts that were asked, in order."""
        return [recorded.key for _, recorded in self.vendors.asked]

    def check_secrets(self) -> None:
        """No vendor saw a secret but its own, and the log has none."""
        for dialect, recorded in self.vendors.asked:
            seen = f"{recorded.uri} {recorded.headers} {recorded.body!r}"
            assert not [one for one in SECRETS if one in seen and one not in KEYS[dialect]]
        for event in self.world.events:
            assert not [one for one in SECRETS if one in str(event.get("exchange", "")) + str(event)]
        assert not [event for event in self.world.events if "log_failure" in event]


_PROVIDERS = {
    "anthropic": "anthropic",
    "openai-responses": "openai",
    "gemini": "google-vertex",
    "openai-chat": "fireworks-ai",
}
PAIRS = [(format, backend) for format in FORMATS for backend in MODELS]
