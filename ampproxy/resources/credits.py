"""Requests for models that go to the Amp upstream, where they cost credits: let through, counted, refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ampproxy.amp.roles import HEADERS as ROLE_HEADERS
from ampproxy.amp.roles import role_of, signs_of
from ampproxy.config.schema import ALLOW, FallbackRule
from ampproxy.credits.allowance import LimitReached, Taken, Unbounded
from ampproxy.credits.waiting import SETTLE_TIMEOUT, when_free
from ampproxy.dialects.registry import shown_in
from ampproxy.errors import ClientFault, ClientGone, ExchangeError, Unreachable
from ampproxy.generation import Generation
from ampproxy.http.headers import has_any
from ampproxy.model.clients import MODELS
from ampproxy.model.events import Usage
from ampproxy.relay.forward import ClientWatch
from ampproxy.relay.meter import AnswerMeter
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.amp import AmpResource
from ampproxy.resources.base import ROUTE_HEADER, printable_path
from ampproxy.resources.management import forward_to_amp
from ampproxy.resources.shared_credits import settle_of_all, take_of_all
from ampproxy.resources.upgrades import wants_upgrade
from ampproxy.routing.decide import shown
from ampproxy.routing.fallback import place_of
from ampproxy.routing.named_models import NamedModels, named_models
from ampproxy.routing.route import Route, RouteKind
from ampproxy.routing.suffix import split_suffix
from ampproxy.server.decoding import decoded_body
from ampproxy.server.guard import Client
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.counting import Taken as SharedTaken
from ampproxy.tenants.tenant import check_unknown_path
from ampproxy.upstream.body import SLICE, BytesProducer
from ampproxy.wire.json import Peek, peek
from ampproxy.wire.redact import Secret
from ampproxy.wire.words import counted


class Spending:
    """One request to the Amp upstream's models, from the moment it is let through.

    :param taken: of the daily limits, if there is one.
    :param of_all: of those of all gateways that share their state, if it is shared.
    """

    def __init__(
        self, generation: Generation, taken: Taken | None, of_all: SharedTaken | None = None
    ) -> None:
        self._generation = generation
        self._taken = taken
        self._of_all = of_all

    def settle(self, record: ExchangeRecord, usage: Usage | None, failure: BaseException | None) -> None:
        """Give back what was not used.

        :param usage: what the answer told, if it came to its end.
        :param failure: what it ended with instead.
        """
        # What was refused cost nothing; what nobody answered may have.
        sent = record.status < 400 and not isinstance(failure, Unreachable)
        self._give_back(None if usage is None else total(usage), sent=sent)

    def drop(self) -> None:
        """It was not sent after all."""
        self._give_back(None, sent=False)

    def _give_back(self, tokens: int | None, *, sent: bool) -> None:
        if self._taken is None:
            return
        if self._of_all is not None:
            settle_of_all(self._generation, self._of_all, tokens=tokens, sent=sent)
        settle = partial(self._generation.runtime.allowance.settle, self._taken, tokens=tokens, sent=sent)
        # The client does not wait for this: its answer is complete.
        waiting = when_free(self._generation.runtime.clock, settle, timeout=SETTLE_TIMEOUT)
        Deferred.fromCoroutine(waiting).addErrback(self._stays_counted)

    def _stays_counted(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, ExchangeError):
            self._generation.runtime.log.error("{message}", message=error.error.message)
        else:
            self._generation.runtime.log.failure(
                "Unhandled error while counting what an exchange used", failure
            )


async def let_through(generation: Generation, request: GatewayRequest, route: Route, most: int) -> Spending:
    """Let a request through, and take what it may cost.

    :param route: of kind ``AMP``.
    :param most: the tokens that it may cost at most; asked for only where there is a limit.
    :raises ClientFault: status 402: a daily limit is reached; names the model, the rule and what would help.
    :raises ampproxy.errors.GatewayFault: status 503: nobody can tell, because the counters cannot be read, or
        another program has had them for too long.
    :raises ampproxy.errors.ClientGone: the client left while it waited for them.
    """
    rule = route.fallback
    if rule is None or rule.action != "limit":
        return Spending(generation, None)
    client: Client | None = request.client_key
    key = None if client is None else client.key
    take = partial(generation.runtime.allowance.take, rule, key, most)
    try:
        taken = await when_free(generation.runtime.clock, take, gone=lambda: request.gone)
        of_all = await _of_all(generation, rule, key, most, taken)
    except LimitReached as reached:
        raise limit_reached(route, reached) from None
    spending = Spending(generation, taken, of_all)
    if request.gone:
        spending.drop()
        raise ClientGone
    return spending


async def _of_all(
    generation: Generation, rule: FallbackRule, key: Secret | None, most: int, taken: Taken
) -> SharedTaken | None:
    """Take it of what all gateways share, too; what was taken here is given back where that cannot be."""
    try:
        return await take_of_all(generation, rule, key, most)
    except BaseException:
        Spending(generation, taken).drop()
        raise


def total(usage: Usage) -> int:
    """All tokens, in and out."""
    return usage.total


async def spend(
    generation: Generation,
    request: GatewayRequest,
    record: ExchangeRecord,
    route: Route,
    body: bytes,
    meter: AnswerMeter | None = None,
    *,
    most: Callable[[], int] = lambda: 0,
) -> None:
    """Have the Amp upstream answer, within what ``ampcode.fallback`` allows, and count it.

    :param meter: reads what the answer costs; ``None``: nothing can.
    :param most: gives the tokens that it may cost at most, or raises :class:`Unbounded`; asked under a limit
        in tokens only. Where it is 0 it costs none.
    :raises ExchangeError: it was not let through, or no answer came.
    """
    limited = route.fallback is not None and route.fallback.tokens is not None
    try:
        bound = _bound(route, most) if limited else 0
        spending = await let_through(generation, request, route, bound)
    except ExchangeError:
        record.kind = RouteKind.NONE.value
        request.responseHeaders.setRawHeaders(ROUTE_HEADER, [record.kind.encode()])
        raise
    _log_fallback(generation, route, record)
    failure: BaseException | None = None
    try:
        producer = BytesProducer(body) if body or request.method == b"POST" else None
        await forward_to_amp(generation, request, request.client_key, record, producer, meter=meter)
    except BaseException as error:
        failure = error
        raise
    finally:
        final = Usage() if limited and not bound else None
        if meter is not None:
            record.usage = meter.usage()
            final = record.usage if meter.complete else None
        spending.settle(record, final, failure)


def _bound(route: Route, most: Callable[[], int]) -> int:
    """What it may cost at most.

    :raises ClientFault: status 402: nobody can tell, so a limit in tokens could not be kept.
    """
    try:
        return most()
    except Unbounded as why:
        rule = route.fallback
        assert rule is not None
        message = (
            f"The model {route.requested_model!r}{_for(route)} is not served here, and a daily limit in"
            f" tokens keeps the request from Amp ({place_of(rule)}): its cost has no known bound, because"
            f" {why}. A limit in requests (daily-requests) needs no such bound."
        )
        raise ClientFault.of(
            "billing", message + _help(route), code="amp_limit_unbounded", param="model"
        ) from None


def _log_fallback(generation: Generation, route: Route, record: ExchangeRecord) -> None:
    """Every request that costs credits is a warning, with what would avoid it."""
    generation.runtime.log.warn(
        "forwarding to ampcode.com (uses amp credits): {model}{role}{remedy}",
        model=shown(route.requested_model) or record.path,
        role=f" for {route.role}" if route.role else "",
        path=record.path,
        remedy=f". To serve it locally:\n{route.suggested_config}"
        if route.suggested_config
        else f", at {record.path}, which no account could serve",
    )


def refusal_of(route: Route) -> ExchangeError:
    """The refusal of a model that nobody serves: it says why, and what would serve it."""
    if not route.requested_model:
        return ClientFault.of("invalid_request", " ".join(route.reasons), param="model")
    message = (
        f"The model {route.requested_model!r}{_for(route)} is not available here. {' '.join(route.reasons)}"
    )
    return ClientFault.of("not_found", message + _help(route), code="model_not_found", param="model")


def limit_reached(route: Route, reached: LimitReached) -> ExchangeError:
    """The refusal of a request that a daily limit keeps from the Amp upstream."""
    rule, used = route.fallback, reached.used
    assert rule is not None
    counts = []
    if rule.requests is not None:
        counts.append(f"{used.requests} of {rule.requests} requests")
    if rule.tokens is not None:
        counts.append(f"{used.tokens} of {rule.tokens} tokens (this request may cost up to {reached.wanted})")
    message = (
        f"The model {route.requested_model!r}{_for(route)} is not served here, and a limit keeps it from Amp,"
        f" where it costs credits: today {' and '.join(counts)} are used"
        f"{' by this client' if rule.per_client else ''} ({place_of(rule)})."
        " The count restarts at midnight."
    )
    return ClientFault.of("billing", message + _help(route), code="amp_limit_reached", param="model")


def _for(route: Route) -> str:
    return f" (role {route.role})" if route.role else ""


def _help(route: Route) -> str:
    text = ""
    if route.nearest:
        here = f"the {counted(route.served_here, 'model')} here" if route.served_here > 1 else "what is here"
        text = f" Nearest of {here}: {', '.join(route.nearest)}."
    # Logs tell the first line alone.
    return text + (f"\nWhat would serve it:\n{route.suggested_config}" if route.suggested_config else "")


_ROLE_NAMES = frozenset(name.encode() for name in ROLE_HEADERS)


def may_show_role(request: GatewayRequest, found: Peek) -> bool:
    """Whether anything tells what Amp uses a request's model for; cheap."""
    return found.demands or has_any(request.requestHeaders, _ROLE_NAMES)


def inferred_role(request: GatewayRequest, dialect: str, model: str, found: Peek, body: bytes) -> str:
    """What Amp uses a request's model for; empty if nothing tells.

    :param model: as asked, thinking suffix included.
    """
    get = request.requestHeaders.getRawHeaders
    headers = [(name, values[0].decode("latin-1")) for name in ROLE_HEADERS if (values := get(name.encode()))]
    return role_of(signs_of(dialect, split_suffix(model)[0], headers, shown_in(dialect, found, body)))


class ProviderPathResource(AmpResource):
    """What is below ``/api/provider/`` and none of the model routes that we know: only the Amp upstream can
    serve it, and it may cost credits. So ``ampcode.fallback`` decides on it as on every other model request:
    by the model in its body, if there is one.
    """

    route_class = MODELS

    def _authorized(self, request: GatewayRequest, client: Client | None) -> None:
        super()._authorized(request, client)
        if request.method in (b"GET", b"HEAD"):
            return
        request.recheck = check_unknown_path
        if client is not None and client.tenant is not None:
            check_unknown_path(client.tenant)

    @property
    def streams_body(self) -> bool:  # type: ignore[override]
        """Where everything may pass, nobody needs to look into the body."""
        return self.generation.config.ampcode.fallback == ALLOW

    def render(self, request: GatewayRequest) -> Any:
        """Hand it on, if it may be."""
        if self.streams_body:
            if request.method not in (b"GET", b"HEAD"):
                self.generation.runtime.log.warn(
                    "forwarding to ampcode.com (may use amp credits): {path} is not a known model route",
                    path=printable_path(request),
                )
            return super().render(request)
        record = self.record(request)
        record.kind = "management"
        return self.run(request, record, self._decide(request, record))

    async def _decide(self, request: GatewayRequest, record: ExchangeRecord) -> None:
        generation = self.generation
        if wants_upgrade(request):
            raise ClientFault.of(
                "permission",
                "A WebSocket to Amp's models cannot be counted, so ampcode.fallback does not allow it.",
            )
        look = partial(_looked, request, limit := generation.config.limits.max_body)
        # How large a compressed body becomes nobody knows.
        coded = request.requestHeaders.hasHeader(b"content-encoding")
        size = limit if coded else request.body.size  # type: ignore[union-attr]  # it gathers its bodies
        if size <= SLICE:
            body, found, names = look()
        else:
            looking = generation.runtime.workers.run(look, size)
            body, found, names = await ClientWatch(request).wait_for(looking)
        silent = _asks_nothing(request, body)
        record.role = role = inferred_role(request, "", found.model or "", found, body)
        route = generation.router.unknown(names.models, role, sure=names.sure or silent)
        record.asked, record.kind, record.reasons = route.requested_model, route.kind.text, route.reasons
        if route.kind is RouteKind.NONE:
            raise ClientFault.of(
                "not_found",
                f"Unknown path {record.path}; not forwarded to Amp. {' '.join(route.reasons)}",
                code="model_not_found",
            )
        await spend(generation, request, record, route, body, most=(lambda: 0) if silent else _unknown_cost)


def _looked(request: GatewayRequest, limit: int) -> tuple[bytes, Peek, NamedModels]:
    """The body of a request to an unknown path, and what it tells of a model."""
    body = decoded_body(request, limit)
    names = named_models(request.path, b"{}" if _asks_nothing(request, body) else body)
    return body, _peek(body), names


def _asks_nothing(request: GatewayRequest, body: bytes) -> bool:
    """Whether no model can answer it: the CLI warms a connection up so before it asks."""
    return request.method in (b"GET", b"HEAD", b"DELETE") and not body


def _unknown_cost() -> NoReturn:
    raise Unbounded("the gateway does not know this path, nor what it costs")


def _peek(body: bytes) -> Peek:
    try:
        return peek(body)
    except ValueError:
        return Peek()
