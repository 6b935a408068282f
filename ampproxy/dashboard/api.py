"""The admin API: its routes, a row each, and the resource that answers one.

``openapi.py`` makes the document of the API of these rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from ampproxy.credentials.report import Forgotten, Report
from ampproxy.dashboard import questions, shapes
from ampproxy.dashboard.desk import Desk
from ampproxy.dashboard.questions import Asked
from ampproxy.dashboard.usage import DIMENSIONS
from ampproxy.errors import ClientFault, ClientGone, ExchangeError
from ampproxy.generation import Generation
from ampproxy.http.server_request import NOT_DONE_YET
from ampproxy.model.base import Value
from ampproxy.model.clients import ADMIN
from ampproxy.model.roles import ROLES
from ampproxy.relay.unknown import UnknownRoutes
from ampproxy.resources.access import admit, shield, then
from ampproxy.resources.base import GatewayResource
from ampproxy.server.bodies import GatheredBody
from ampproxy.server.site import GatewayRequest
from ampproxy.status import AlertsReport, AlertsTested, CloudTraffic, ReloadReport

#: Where the API is.
BASE = "/ampproxy"
#: Bytes of what is sent: an address with a code is some thousand.
_MOST_SENT = 16 * 1024


class Parameter(Value, frozen=True):
    """A parameter of a query.

    :param type: as JSON Schema names it.
    :param choices: all of its values; empty: any.
    """

    name: str
    doc: str
    type: str = "string"
    choices: tuple[str, ...] = ()
    required: bool = False


class ApiRoute(Value, frozen=True):
    """A route of the API.

    :param path: behind :data:`BASE`.
    :param summary: a clause.
    :param result: what it answers with; ``None``: no JSON, and ``content_type`` says what.
    :param ask: finds that; ``None``: another resource serves the route.
    :param order: whether it is ``POST``, and does something.
    :param body: what it is sent, as JSON; ``None``: nothing.
    """

    path: str
    summary: str
    result: Any
    ask: Callable[[Asked], Awaitable[Any]] | None = None
    order: bool = False
    parameters: tuple[Parameter, ...] = ()
    content_type: str = "application/json"
    body: Any = None

    @property
    def method(self) -> bytes:
        """Its method."""
        return b"POST" if self.order else b"GET"


_FILTERS = (
    Parameter("before", "Only rows before this number: `next` of the answer before."),
    Parameter("limit", "How many rows; no more than the setting `page.max-rows`.", "integer"),
    Parameter("client", "Only what this client asked."),
    Parameter("model", "Only requests for this model, or served by it."),
    Parameter("account", "Only what this account served, by its label."),
    Parameter("thread", "Only requests of this Amp thread."),
    Parameter("errors", "Only what ended otherwise than well.", choices=("0", "1", "true", "false")),
)

#: Every route below ``/ampproxy/`` but those of the page.
ROUTES: tuple[ApiRoute, ...] = (
    ApiRoute("overview", "the service at a glance", shapes.Overview, questions.overview),
    ApiRoute("requests", "what is under way, and what ended last", shapes.Live, questions.live),
    ApiRoute(
        "live",
        "the same as it happens, as server-sent events: `ended` (`rows`, newest first, and how many more were"
        " `missed`), `running` (`rows` and `count`), `accounts` (a list, when any of them has changed)",
        None,
        content_type="text/event-stream",
    ),
    ApiRoute("accounts", "how the accounts are", Report),
    ApiRoute("alerts", "what is wrong now, and how the last alerts were delivered", AlertsReport),
    ApiRoute("test-alert", "sends a test alert, once to each place", AlertsTested, order=True),
    ApiRoute(
        "usage",
        "what was used, by day and one dimension",
        shapes.Usage,
        questions.usage_of,
        parameters=(
            Parameter("by", "The dimension.", choices=DIMENSIONS),
            Parameter("days", "How many days, today (in UTC) included.", "integer"),
        ),
    ),
    ApiRoute("keys", "the client keys, and what is left of each", shapes.Keys, questions.client_keys),
    ApiRoute(
        "models", "the models that are served, and what is known of them", shapes.Models, questions.models
    ),
    ApiRoute(
        "explain",
        "where a request for a model would go, and why",
        shapes.Explanation,
        questions.explain,
        parameters=(
            Parameter("model", "The model, with or without a thinking suffix.", required=True),
            Parameter("role", "What Amp uses it for.", choices=tuple(ROLES)),
            Parameter("amp", "Whether it comes by one of Amp's paths.", choices=("0", "1", "true", "false")),
        ),
    ),
    ApiRoute(
        "config",
        "the configuration without its secrets, and what was found fault with",
        shapes.Configuration,
        questions.config,
    ),
    ApiRoute("log", "rows of the ledger, newest first", shapes.Log, questions.log, parameters=_FILTERS),
    ApiRoute("doctor", "the doctor's last visit", shapes.Doctor, questions.doctor),
    ApiRoute("doctor/run", "has the doctor come", shapes.Doctor, questions.call_doctor, order=True),
    ApiRoute(
        "logins",
        "the vendors whose logins are served, and the login under way",
        shapes.Logins,
        questions.logins,
    ),
    ApiRoute(
        "logins/begin",
        "begins a login; one that is under way is given up",
        shapes.Logins,
        questions.begin_login,
        order=True,
        parameters=(
            Parameter("vendor", "Whose.", choices=questions.LOGIN_KINDS, required=True),
            Parameter("device", "By a code that is typed.", choices=("0", "1", "true", "false")),
        ),
    ),
    ApiRoute(
        "logins/finish",
        "goes on with the address at which the browser ended",
        shapes.Logins,
        questions.finish_login,
        order=True,
        body=shapes.Pasted,
    ),
    ApiRoute("logins/cancel", "gives the login up", shapes.Logins, questions.cancel_login, order=True),
    ApiRoute(
        "unknown",
        "routes that Amp's clients asked for and that are new to ampproxy",
        UnknownRoutes,
    ),
    ApiRoute("neo", "what was seen of requests from Amp's cloud", CloudTraffic),
    ApiRoute("reload", "reads the configuration anew", ReloadReport, order=True),
    ApiRoute(
        "forget",
        "forgets what accounts taught",
        Forgotten,
        order=True,
        parameters=(
            Parameter("account", "Of this account alone, by its label; may be repeated."),
            Parameter("model", "For this model alone."),
        ),
    ),
    ApiRoute("openapi.json", "this document", dict[str, Any]),
)


class PageRoute(GatewayResource):
    """Something that the owner alone gets: admission, shielding, and errors in one place.

    :param path: where it is, and nowhere below.
    :cvar what: how refusals name it.
    :cvar order: whether something is done by it.
    """

    route_class = ADMIN
    what = "page"
    order = False

    def __init__(self, generation: Generation, desk: Desk, path: bytes) -> None:
        super().__init__(generation)
        self.desk = desk
        self.path = path

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """By the owner, and by the right method."""
        super().authorize(request)
        found = admit(self.generation, request, self.what, order=self.order)
        return then(found, lambda: self.check(request))

    def check(self, request: GatewayRequest) -> None:
        """Look at the rest of it.

        :raises ClientFault: it is not served.
        """
        if request.path.rstrip(b"/") != self.path:
            raise ClientFault.of("not_found", "There is no such path (see /ampproxy/openapi.json).")
        allowed = (b"POST",) if self.order else (b"GET", b"HEAD")
        if request.method not in allowed:
            request.responseHeaders.setRawHeaders(b"Allow", [b", ".join(allowed)])
            raise ClientFault.of(
                "invalid_request",
                f"Method {request.method.decode('latin-1')} not allowed; use {allowed[0].decode()}.",
                status=405,
            )

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer with an error, kept nowhere."""
        shield(request)
        super().send_error(request, refusal)

    def serve(self, request: GatewayRequest, work: Awaitable[None]) -> object:
        """Serve it by a coroutine; the log has no line for what goes well."""
        done = Deferred.fromCoroutine(self._serve(request, work))
        done.addErrback(request.processingFailed).addErrback(lambda _: None)
        return NOT_DONE_YET

    async def _serve(self, request: GatewayRequest, work: Awaitable[None]) -> None:
        try:
            await work
        except ClientGone:
            pass
        except ExchangeError as refusal:
            if not request.gone:
                self.send_error(request, refusal)


class ApiResource(PageRoute):
    """One route of the API."""

    def __init__(self, generation: Generation, desk: Desk, route: ApiRoute) -> None:
        super().__init__(generation, desk, f"{BASE}/{route.path}".encode())
        self._route = route
        self.what = "admin API"
        self.order = route.order

    def check(self, request: GatewayRequest) -> None:
        """With a small body."""
        super().check(request)
        if request.length is None or request.length > _MOST_SENT:
            raise ClientFault.of("too_large", f"The body is larger than {_MOST_SENT} bytes, or in chunks.")

    def render(self, request: GatewayRequest) -> Any:
        return self.serve(request, self._answer(request))

    async def _answer(self, request: GatewayRequest) -> None:
        assert self._route.ask is not None
        body = request.body.take() if isinstance(request.body, GatheredBody) else b""
        local = request.is_local()
        asked = Asked.of(self.desk, self.generation, request.query, body, local=local)
        body = msgspec.json.encode(await self._route.ask(asked))
        if not request.gone:
            shield(request)
            request.answer(200, body)


class DocumentResource(PageRoute):
    """``/ampproxy/openapi.json``."""

    def render(self, request: GatewayRequest) -> Any:
        from ampproxy.dashboard.openapi import document

        shield(request)
        request.answer(200, msgspec.json.encode(document()))


class LiveResource(PageRoute):
    """``/ampproxy/live``: requests as they happen."""

    def check(self, request: GatewayRequest) -> None:
        """As long as not too many watch."""
        super().check(request)
        most = self.generation.config.page.max_watching
        if self.desk.feed.watching >= most:
            raise ClientFault.of(
                "rate_limit",
                f"{most} pages watch requests already: close one (setting: page.max-watching).",
                status=429,
                retry_after=10.0,
            )

    def render(self, request: GatewayRequest) -> Any:
        """Send what happens until the client leaves."""
        shield(request)
        headers = request.responseHeaders
        headers.setRawHeaders(b"Content-Type", [b"text/event-stream"])
        headers.setRawHeaders(b"X-Accel-Buffering", [b"no"])
        if request.method == b"HEAD":
            request.finish()
            return NOT_DONE_YET
        visitor = request.visitor
        self.desk.feed.watch(request, None if visitor is None else visitor.until)
        return NOT_DONE_YET
