"""The smallest possible request for each of Amp's roles and for each account, sent to those themselves.

The gateway's own way to the Amp upstream is not on this path: what would go to Amp is told, and never sent,
so that no Amp credits can be spent. Requests that would be the same are sent once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from msgspec.structs import replace
from twisted.web.http_headers import Headers

from ampproxy.amp.asks import PATHS, Ask
from ampproxy.config.schema import Account, Config
from ampproxy.desktop.doctor.finding import LiveRow
from ampproxy.dialects.facts import BodyFacts
from ampproxy.errors import ExchangeError
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.providers import PROVIDERS, Call, Provider
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.shapes import Origin
from ampproxy.routing.decide import Router
from ampproxy.routing.endpoints import Endpoint, parse_endpoint
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.upstream.body import BytesProducer, collect
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.failures import explain
from ampproxy.wire.json import Peek
from ampproxy.wire.redact import Redactor, printable

#: Seconds for each answer: one word, but perhaps from a machine that loads the model first.
TRIAL_TIMEOUT = 60.0
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_WORDS = 300
_HELLO = [{"role": "user", "content": "hi"}]

#: The smallest request of each dialect. OpenAI wants room for at least 16 tokens.
_BODIES: Mapping[str, dict[str, Any]] = {
    ANTHROPIC: {"max_tokens": 1, "messages": _HELLO},
    RESPONSES: {"max_output_tokens": 16, "input": "hi"},
    CHAT: {"max_tokens": 1, "messages": _HELLO},
    GEMINI: {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"maxOutputTokens": 1},
    },
}
_CHAT_PATH = "/api/provider/groq/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of one request."""

    dialect: str
    result: Literal["ok", "failed"]
    ms: int | None = None
    text: str = ""


class Trial:
    """Tries roles and accounts.

    :param config: with the logins' accounts.
    :param client: sends requests.
    :param redactor: cuts the configuration's secrets out of vendors' words.
    :param wall: seconds since the epoch.
    :param report: called with each row as soon as it is known.
    """

    def __init__(
        self,
        config: Config,
        router: Router,
        client: UpstreamClient,
        reactor: Any,
        *,
        redactor: Redactor,
        wall: Callable[[], float],
        report: Callable[[LiveRow], object] = lambda row: None,
    ) -> None:
        self._config = config
        self._router = router
        self._client = client
        self._reactor = reactor
        self._redactor = redactor
        self._providers: dict[str, Provider] = {
            account.label: PROVIDERS[account.kind](account) for account in config.accounts
        }
        origin = Origin(wall, lambda prefix: prefix + "doctor")
        self._bridges = BridgeMaker(
            self._providers, origin, strict=False, payload=config.payload.rules, families=config.families
        )
        self._report = report
        self._done: dict[tuple[str, str, str], _Tried] = {}

    async def run(self, roles: Iterable[Ask]) -> tuple[LiveRow, ...]:
        """Try each role, then each account that no role has come to."""
        rows = []
        for ask in roles:
            rows.append(await self._role(ask))
            self._report(rows[-1])
        met = {row.account for row in rows if row.result != "not sent"}
        for account in self._config.accounts:
            if account.label not in met:
                rows.append(await self._account(account))
                self._report(rows[-1])
        return tuple(rows)

    async def _role(self, ask: Ask) -> LiveRow:
        route = self._router.route(ask.model, amp=True, role=ask.role)
        if route.kind is RouteKind.AMP:
            return _not_sent(ask, "amp credits", "it would cost credits")
        if not route.offers:
            return _not_sent(ask, "nobody", route.reasons[-1] if route.reasons else "")
        offer = route.offers[0]
        endpoint = _endpoint(PATHS[ask.dialect], ask.model)
        return _row(ask.role, ask.model, offer, await self._try(endpoint, route, offer))

    async def _account(self, account: Account) -> LiveRow:
        found = self._any_model(account)
        if found is None:
            why = "no model of it is known: start the service, or ampproxy models --refresh"
            return LiveRow("", "", account.label, "", account.dialect, "local", "not sent", text=why)
        model, offer = found
        path = _CHAT_PATH if account.dialect == CHAT else PATHS[account.dialect]
        route = Route(kind=RouteKind.LOCAL, requested_model=model, resolved_model=model, offers=(offer,))
        return _row("", model, offer, await self._try(_endpoint(path, model), route, offer))

    def _any_model(self, account: Account) -> tuple[str, RouteTarget] | None:
        """A model of an account, with its visible name; one that makes no images, if there is one."""
        catalog = self._router.catalog
        found = [
            (model.id, offer)
            for model in catalog.models()
            for offer in catalog.find(model.id)
            if offer.account is account
        ]
        found.sort(key=lambda one: "image" in one[1].upstream_model)
        return found[0] if found else None

    async def _try(self, endpoint: Endpoint, route: Route, offer: RouteTarget) -> _Tried:
        key = (offer.account.label, offer.upstream_model, endpoint.dialect)
        if key not in self._done:
            self._done[key] = await self._sent(endpoint, route, offer)
        return self._done[key]

    async def _sent(self, endpoint: Endpoint, route: Route, offer: RouteTarget) -> _Tried:
        dialect = offer.account.dialect
        began = self._reactor.seconds()
        try:
            dialect = self._providers[offer.account.label].backend_dialect(endpoint)
            bridge = self._bridges(_question(endpoint, route), offer)
            dialect = bridge.spoken
            await self._ask(endpoint, offer, bridge)
        except ExchangeError as error:
            return _Tried(dialect, "failed", text=self._words(error.error.message))
        return _Tried(dialect, "ok", ms=round((self._reactor.seconds() - began) * 1000))

    async def _ask(self, endpoint: Endpoint, offer: RouteTarget, bridge: Bridge) -> None:
        """Send it, and read the answer whole.

        :raises ExchangeError: it fails.
        """
        account = offer.account
        call = self._providers[account.label].call(
            endpoint, offer.upstream_model, extra=bridge.headers, spoken=bridge.spoken
        )
        origin = f"{account.label} ({account.base_url})"
        try:
            response = await self._send(call, bridge.body, account)
            gathering = collect(
                response, limit=_MAX_ANSWER_BYTES, clock=self._reactor, idle=TRIAL_TIMEOUT, inflate=True
            )
            body = await gathering.addTimeout(TRIAL_TIMEOUT, self._reactor)
        except ExchangeError:
            raise
        except Exception as error:
            raise explain(error, origin) from None
        if response.code >= 300:
            raise ExchangeError(bridge.parse_error(response.code, _plain(response.headers), body))
        bridge.whole(body)

    def _send(self, call: Call, body: bytes, account: Account) -> Any:
        headers = Headers()
        for name, value in call.headers:
            headers.addRawHeader(name, value)
        proxy = account.proxy_url or self._config.proxy_url
        sending = self._client.send(
            call.method.decode(), call.url.decode(), headers, BytesProducer(body), proxy
        )
        return sending.addTimeout(TRIAL_TIMEOUT, self._reactor)

    def _words(self, text: str) -> str:
        return printable(self._redactor.shown(text, _WORDS))[:_WORDS]


def _row(role: str, asked: str, offer: RouteTarget, tried: _Tried) -> LiveRow:
    label, model = offer.account.label, offer.upstream_model
    return LiveRow(role, asked, label, model, tried.dialect, "local", tried.result, tried.ms, tried.text)


def _not_sent(ask: Ask, pays: Literal["amp credits", "nobody"], why: str) -> LiveRow:
    return LiveRow(ask.role, ask.model, "", "", ask.dialect, pays, "not sent", text=why)


def _question(endpoint: Endpoint, route: Route) -> ModelRequest:
    """The smallest request; without the thinking that a mapping may ask for, which needs more room."""
    body = dict(_BODIES[endpoint.dialect])
    if endpoint.dialect != GEMINI:
        body["model"] = route.requested_model
    return ModelRequest(
        endpoint=endpoint,
        body=json.dumps(body).encode(),
        requested_model=route.requested_model,
        stream=False,
        headers={},
        query=b"",
        route=replace(route, suffix=None),
        facts=BodyFacts(Peek(), thinks=False, foreign_signatures=False),
    )


def _endpoint(path: str, model: str) -> Endpoint:
    endpoint = parse_endpoint(b"POST", path.replace("{model}", quote(model)).encode())
    assert endpoint is not None
    return endpoint


def _plain(headers: Headers) -> dict[str, str]:
    return {
        name.decode("ascii", "replace").lower(): values[-1].decode("latin-1")
        for name, values in headers.getAllRawHeaders()
    }
