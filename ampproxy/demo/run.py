"""The demonstration: five stand-ins, the gateway between, one request of each kind, and a verdict on each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import formatEvent

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.demo.cases import AMP_KEY, CASES, CLIENT_KEY, NEO_KEY, VENDOR_KEYS, Case
from ampproxy.demo.client import Answered, Client
from ampproxy.demo.streamed import streamed_text, text_of
from ampproxy.testing import amp, anthropic, gemini, openai_chat, openai_responses
from ampproxy.testing.stand_in import StandIn
from ampproxy.wire.sse import EventReader

#: Nothing of the user's own is read: neither the environment nor a home directory.
NOWHERE = Path("/nonexistent/ampproxy-demo")

_CONFIG = """\
host: 127.0.0.1
port: {port}
api-keys: [{client_key}]
ampcode:
{amp}claude-api-key:
  - api-key: {keys[anthropic]}
    base-url: "{urls[anthropic]}"
    models:
      [claude-sonnet-4-6, claude-haiku-4-5-20251001, claude-opus-5-5, claude-sonnet-5-5, claude-haiku-5-5]
codex-api-key:
  - {{api-key: {keys[openai-responses]}, base-url: "{urls[openai-responses]}/v1"}}
gemini-api-key:
  - {{api-key: {keys[gemini]}, base-url: "{urls[gemini]}"}}
openai-compatibility:
  - name: local
    base-url: "{urls[openai-chat]}/v1"
    api-key-entries: [{{api-key: {keys[openai-chat]}}}]
    models: [{{name: demo-model-1, alias: demo-chat}}]
neo: {{listen: "127.0.0.1:0", key: {neo_key}}}
"""
_AMP = """\
  upstream-url: "{url}"
  upstream-api-key: {key}
  model-mappings:
    - {{from: claude-opus-4-6, to: claude-sonnet-4-6}}
    - {{from: "^claude-opus-", to: claude-sonnet-4-6, regex: true}}
"""
_FORCED = """\
  force-model-mappings: true
  model-mappings:
    - {from: claude-sonnet-4-6, to: claude-haiku-4-5-20251001}
"""


class Service(Protocol):
    """What the demonstration needs of the gateway's service."""

    @property
    def ports(self) -> list[Any]:
        """What it listens on."""

    async def listen(self) -> None:
        """Open the ports."""

    def startService(self) -> None:
        """Keep the ledger from now on."""

    def stopService(self) -> Deferred[None]:
        """Close them."""


#: Makes a service: configuration, reactor, endpoint strings, environment, home, log observer.
Build = Callable[..., Service]
Echo = Callable[..., None]


@dataclass(slots=True)
class Outcome:
    """What came of a case. ``faults`` says what was not as expected; empty: all was right."""

    case: Case
    answered: Answered | None = None
    by: str = ""
    served: str = ""
    faults: list[str] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """What it is, route, asked model, what served it, status, milliseconds to the first byte and to the
        last, and the verdict.
        """
        answered = self.answered or Answered(0)
        return (
            self.case.what,
            answered.headers.get("x-ampproxy-route", "-"),
            self.case.asked or "-",
            self.served or self.by or "-",
            str(answered.status or "-"),
            f"{answered.first_byte * 1000:.1f}",
            f"{answered.total * 1000:.1f}",
            "WRONG" if self.faults else "ok",
        )


class Demo:
    """Runs it.

    :param build: makes the gateway's service (:func:`ampproxy.tap.build`).
    :param echo: prints a line, or with ``nl=False`` a part of one.
    :param colour: paints a text; gives it back as it is where there is no terminal.
    :param table: makes lines of rows of the cells of outcomes.
    :param state: where the gateways keep what they keep; by default nowhere for longer than it runs.
    """

    def __init__(
        self,
        reactor: Any,
        build: Build,
        echo: Echo,
        colour: Callable[[str, str], str],
        table: Callable[[Sequence[Sequence[str]]], Iterable[str]],
        state: Path | None = None,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.stand_ins: dict[str, StandIn] = {}
        self.clients: dict[str, Client] = {}
        self.config_text = ""
        self._services: list[Service] = []
        self._scratch = (
            TemporaryDirectory(prefix="ampproxy-demo-", ignore_cleanup_errors=True) if state is None else None
        )
        self._state = state or Path(self._scratch.name if self._scratch else "")
        self._reactor = reactor
        self._build = build
        self._echo = echo
        self._colour = colour
        self._make_table = table
        self._live = False

    async def start(self, port: int, *, wished: bool = False) -> None:
        """Start the stand-ins and both gateways; the first one on ``port`` if it is free.

        :param wished: whether it has to be that port.
        :raises CannotListenError: the port is taken that has to be it, or nothing at all can be listened on.
        """
        starts = {
            "anthropic": (anthropic.start, {}),
            "openai-responses": (openai_responses.start, {}),
            "gemini": (gemini.start, {}),
            "openai-chat": (openai_chat.start, {"flavour": "compatible"}),
        }
        secrets = {CLIENT_KEY, AMP_KEY, NEO_KEY, *VENDOR_KEYS.values()}
        for name, (start, settings) in starts.items():
            key = VENDOR_KEYS[name]
            self.stand_ins[name] = await start(
                self._reactor, keys=[key], forbidden=secrets - {key}, **settings
            )
        self.stand_ins["amp"] = await amp.start(self._reactor, keys=[AMP_KEY], forbidden=secrets - {AMP_KEY})
        upstream = _AMP.format(url=self.stand_ins["amp"].url, key=AMP_KEY)
        self.config_text = self._config_text(port, upstream)
        try:
            service = await self._serve(self.config_text, port)
        except CannotListenError as error:
            if wished:
                raise
            why = getattr(error.socketError, "strerror", None) or error.socketError
            self._echo(f"Port {port} cannot be used ({why}), so another one is (choose one with --port).")
            self.config_text = self._config_text(0, upstream)
            service = await self._serve(self.config_text, 0)
        self.config_text = self._config_text(_port(service), upstream)
        forced = await self._serve(self._config_text(0, _FORCED), 0)
        for name, one in (("main", service), ("forced", forced)):
            self.clients[name] = Client(self._reactor, f"http://127.0.0.1:{_port(one)}")
        self.clients["cloud"] = Client(self._reactor, f"http://127.0.0.1:{_port(service, -1)}")

    def _config_text(self, port: int, section: str) -> str:
        urls = {name: one.url for name, one in self.stand_ins.items()}
        return _CONFIG.format(
            port=port, client_key=CLIENT_KEY, neo_key=NEO_KEY, keys=VENDOR_KEYS, urls=urls, amp=section
        )

    async def _serve(self, text: str, port: int) -> Service:
        config = self._parse(text.replace("port: 0\n", ""))
        service = self._build(
            config,
            self._reactor,
            listen=(f"tcp:{port}:interface=127.0.0.1",),
            environ={},
            home=NOWHERE,
            observer=self._observe,
            state=self._state / str(len(self._services)),
        )
        await service.listen()
        service.startService()
        self._services.append(service)
        return service

    def _parse(self, text: str) -> Config:
        return parse(text, name="demo.yaml", environ={}, home=NOWHERE, read_secret=_no_file)

    def _observe(self, event: Mapping[str, Any]) -> None:
        """The gateway's log, once the demonstration only waits for requests."""
        if self._live:
            self._echo(formatEvent(dict(event)))

    async def run(self) -> bool:
        """Ask everything, print the table, and say whether all was right."""
        for case in CASES:
            self.outcomes.append(await self._try(case))
        self._table()
        wrong = [outcome for outcome in self.outcomes if outcome.faults]
        for outcome in wrong:
            for fault in outcome.faults:
                self._echo(self._colour(f"WRONG  {outcome.case.what}: {fault}", "red"))
        return not wrong

    async def _try(self, case: Case) -> Outcome:
        outcome = Outcome(case)
        before = {name: (len(one.requests), len(one.leaks)) for name, one in self.stand_ins.items()}
        if case.script is not None:
            self.stand_ins[case.by].script(case.script)
        arrived = self._shown(case) if case.shown else lambda data: None
        try:
            outcome.answered = await self.clients[case.proxy].ask(
                case.method, case.path, case.body, case.headers, arrived
            )
        except Exception as error:
            outcome.faults.append(f"no answer: {type(error).__name__}: {error}")
            return outcome
        if case.shown:
            self._echo("\n")
        self._judge(outcome, outcome.answered, before)
        return outcome

    def _judge(self, outcome: Outcome, answered: Answered, before: dict[str, tuple[int, int]]) -> None:
        case = outcome.case
        got: list[str] = []
        for name, one in self.stand_ins.items():
            count, leaks = before[name]
            for recorded in one.requests[count:]:
                got.append(name)
                outcome.by, outcome.served = name, recorded.model
            outcome.faults += one.leaks[leaks:]
        route = answered.headers.get("x-ampproxy-route", "")
        text = answered.body.decode("utf-8", "replace").replace('": "', '":"')
        shown = streamed_text(answered.body)
        expected: tuple[tuple[str, Any, Any], ...] = (
            ("the status", case.status, answered.status),
            ("the route", case.route, route),
            ("the vendors asked", [case.by] if case.by else [], got),
            ("the model asked of it", case.served if case.by else "", outcome.served),
            ("a whole body", True, answered.whole),
        )
        if case.read is not None:
            outcome.faults += _unreadable(case, answered)
        if case.shown and answered.first_byte > answered.total / 2:
            outcome.faults.append("the stream was held back: its first byte came with the last ones")
        outcome.faults += [
            f"{what}: expected {right!r}, got {real!r}" for what, right, real in expected if right != real
        ]
        outcome.faults += [
            f"{words!r} is not in the answer: {text[:300]}"
            for words in case.sees
            if words not in text + shown
        ]

    def _shown(self, case: Case) -> Callable[[bytes], None]:
        reader = EventReader()
        self._echo(f"{case.what}: ", nl=False)

        def arrived(data: bytes) -> None:
            for _, event in reader.feed(data):
                self._echo(self._colour(text_of(event), "cyan"), nl=False)

        return arrived

    def _table(self) -> None:
        for line in self._make_table([outcome.cells() for outcome in self.outcomes]):
            self._echo(line)

    @property
    def page(self) -> str:
        """Where a browser sees what the gateway does."""
        return f"{self.clients['main'].url}/"

    def hints(self) -> str:
        """What to try next."""
        url = self.clients["main"].url
        body = {"model": "claude-sonnet-4-6", "max_tokens": 99, "stream": True}
        body["messages"] = [{"role": "user", "content": "Hello"}]
        return (
            f"The page: {self.page} (if it asks for a client key: {CLIENT_KEY})\n"
            "Try it:\n"
            f"  curl -N {url}/v1/messages -H 'x-api-key: {CLIENT_KEY}' \\\n"
            "    -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\\n"
            f"    -d '{json.dumps(body)}'\n"
            f"  AMP_URL={url} AMP_API_KEY={CLIENT_KEY} amp -x 'Hello'\n"
            f"  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={CLIENT_KEY} claude -p 'Hello'"
        )

    def watch(self) -> None:
        """From now on print a line for each request that the gateway ends."""
        self._live = True

    async def stop(self) -> None:
        """Close everything."""
        self._live = False
        for service in self._services:
            await service.stopService()
        for stand_in in self.stand_ins.values():
            await stand_in.stop()
        if self._scratch is not None:
            self._scratch.cleanup()


def _unreadable(case: Case, answered: Answered) -> list[str]:
    """What the case's own client finds wrong with the answer."""
    assert case.read is not None
    try:
        case.read(answered.status, answered.headers, answered.body)
    except Exception as error:
        return [f"its client cannot read the answer: {type(error).__name__}: {error}"]
    return []


def _port(service: Service, at: int = 0) -> int:
    port: int = service.ports[at].getHost().port
    return port


def _no_file(path: Path) -> str:
    raise FileNotFoundError(path)
