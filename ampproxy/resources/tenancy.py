"""Requests to models of clients that have limits: reserved before they are sent, settled when they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ampproxy.config.schema import Account
from ampproxy.credits.allowance import Unbounded
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, ClientGone, ExchangeError, GatewayFault, UpstreamTimeout
from ampproxy.generation import Generation
from ampproxy.model.clients import Standing, Unit
from ampproxy.model.events import Usage
from ampproxy.relay.record import ExchangeRecord
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.counting import Amounts, Demand, LimitReached, Taken
from ampproxy.tenants.refusals import HEADER, limit_reached, standings_header, too_many
from ampproxy.tenants.tenant import Tenant, check_route, check_served, may_use
from ampproxy.wire.json import sole_members

#: After so many seconds a client should try again whose request was not served because the state is not
#: shared.
RETRY_SECONDS = 2.0


def check_open(generation: Generation, tenant: Tenant | None, route_class: str) -> None:
    """Whether a client may use a class of routes, now.

    :raises ClientFault: its key does not open them.
    :raises GatewayFault: the state is not shared, and must be.
    """
    check_route(tenant, route_class)
    check_shared(generation)


def check_shared(generation: Generation) -> None:
    """Whether accounts may be used now.

    :raises GatewayFault: the state is not shared, and must be.
    """
    if generation.runtime.shared.refusal:
        raise GatewayFault.of(
            "unavailable",
            "This gateway cannot reach what it shares its state by, and serves no request meanwhile: try"
            " again soon (settings: state.url, state.when-away).",
            status=503,
            code="state_not_shared",
            retry_after=RETRY_SECONDS,
        )


def countable(tenant: Tenant, body: bytes) -> bytes:
    """The body as it can be counted: under a limit of tokens or money, one in which every reader finds the
    same bound of the answer.

    :raises ClientFault: that cannot be written.
    """
    if not _units(tenant) & {"tokens", "usd"} or not body:
        return body
    try:
        return sole_members(body, ("generationConfig", "generation_config"))
    except ValueError as error:
        raise ClientFault.of("invalid_request", str(error)) from None


async def within_limits(
    generation: Generation,
    request: GatewayRequest,
    record: ExchangeRecord,
    tenant: Tenant,
    demand: Demand,
    serve: Callable[[], Awaitable[None]],
    endpoint: Endpoint | None = None,
) -> None:
    """Serve one request of a client within its limits.

    :param demand: what it may use at most.
    :param endpoint: in whose dialect the headers state what is left; ``None``: in none.
    :raises ExchangeError: a limit is reached: status 429, or 402 where it is one of money; or it was not
        served.
    :raises ClientGone: the client left; what it may have used stays counted if it was asked of a vendor.
    """
    limiter, most = generation.runtime.limiter, tenant.key.concurrent
    entered = limiter.enter(tenant.id, most)
    if not (entered if isinstance(entered, bool) else await entered):
        raise too_many(tenant, most or 0)
    try:
        if request.gone:
            raise ClientGone
        taken = await _taken(generation, request, tenant, demand, endpoint)
        failure: BaseException | None = None
        try:
            await serve()
        except BaseException as error:
            failure = error
            raise
        finally:
            request.taken = None
            if demand != Demand():
                limiter.settle(taken, _used(generation, record, taken, failure))
    finally:
        limiter.leave(tenant.id)


async def _taken(
    generation: Generation,
    request: GatewayRequest,
    tenant: Tenant,
    demand: Demand,
    endpoint: Endpoint | None,
) -> Taken:
    """What was reserved; the answer's headers state what is left."""
    if not tenant.key.limits:
        return Taken(tenant.id, (), Amounts())
    limiter = generation.runtime.limiter
    try:
        taken: Taken = await limiter.take(tenant, demand)
    except LimitReached as reached:
        _state_left(generation, request, (reached.standing,), endpoint)
        raise limit_reached(tenant, reached, generation.runtime.wall()) from None
    limiter.last[tenant.label] = taken.standings
    if request.gone or request.aborted is not None:
        limiter.settle(taken, Amounts())
        raise request.aborted or ClientGone()
    request.taken = taken
    _state_left(generation, request, taken.standings, endpoint)
    return taken


def _state_left(
    generation: Generation,
    request: GatewayRequest,
    standings: tuple[Standing, ...],
    endpoint: Endpoint | None,
) -> None:
    """Have the answer's headers state what is left, its own request counted."""
    headers = request.responseHeaders
    headers.setRawHeaders(HEADER, [standings_header(standings)])
    if endpoint is not None:
        found = DIALECTS[endpoint.dialect].passthrough.limits(standings, generation.runtime.wall())
        for name, value in found:
            headers.setRawHeaders(name, [value])


def recheck(route: Route, record: ExchangeRecord, tenant: Tenant) -> None:
    """See that a client may still have what a route answers, by the rights that it has now.

    :raises ClientFault: it may not.
    """
    asked = (offer.account for offer in route.offers if offer.account.label == record.account)
    check_served(tenant, route, next(asked, None))


def allows(request: GatewayRequest, offer: RouteTarget) -> bool:
    """Whether an account may serve a request's client, by the rights that it has now."""
    tenant: Tenant | None = request.client_key.tenant
    return tenant is None or may_use(tenant, offer.account)


def demand_of(
    generation: Generation, tenant: Tenant, route: Route, endpoint: Endpoint, body: bytes
) -> Demand:
    """What a request to a model may use at most.

    :param body: as :func:`countable` gives it.
    :raises ClientFault: status 402: a limit in tokens could not be kept, for how many it may use is
        unknown; or one in dollars, for a price is not known.
    """
    units = _units(tenant)
    if not units & {"tokens", "usd"} or endpoint.operation is Operation.COUNT_TOKENS:
        return Demand()
    try:
        asked, whole = _bounds(route, endpoint, body)
    except Unbounded as why:
        if "tokens" in units:
            raise _unbounded(tenant, why) from None
        _most_cost(generation, tenant, route, 0, 0)
        return Demand(usd=None)
    usd = _most_cost(generation, tenant, route, asked, whole - asked) if "usd" in units else 0
    return Demand(whole, usd)


def check_unpriced(tenant: Tenant, kind: str) -> None:
    """See that no limit of a client's counts what a call costs that no one can know.

    :param kind: of the call.
    :raises ClientFault: status 402: one in tokens or dollars does.
    """
    if _units(tenant) & {"tokens", "usd"}:
        raise _unbounded(tenant, Unbounded(f"the cost of a call of {kind} is not known in advance"))


def _units(tenant: Tenant) -> set[Unit]:
    return {limit.unit for limit in tenant.key.limits}


def _bounds(route: Route, endpoint: Endpoint, body: bytes) -> tuple[int, int]:
    """The tokens of the question, and those of question and answer, at most."""
    # Not at the top: few clients have such limits.
    from ampproxy.credits.bound import longest_answer, most_tokens

    if endpoint.operation is Operation.OTHER:
        raise Unbounded(f"the cost of {endpoint.method} is not known")
    asked = most_tokens(body, 0)
    if endpoint.operation is Operation.EMBED:
        return asked, asked
    longest = longest_answer(endpoint.dialect, split_suffix(route.resolved_model or route.requested_model)[0])
    whole = most_tokens(body, longest)
    # A thinking suffix may raise the bound that the client names.
    return asked, whole if route.suffix is None else max(whole, asked + longest)


def _most_cost(generation: Generation, tenant: Tenant, route: Route, input: int, output: int) -> int:
    """The most that it may cost at any account that may serve it, in millionths of a US dollar.

    :raises ClientFault: status 402: a price is not known.
    """
    served: list[tuple[Account | None, str]] = [
        (offer.account, offer.upstream_model) for offer in route.offers
    ]
    if route.kind is RouteKind.AMP:
        served = [(None, split_suffix(route.requested_model)[0])]
    found = 0
    for account, model in served:
        cost = generation.costs.most(account, model, input, output)
        if cost is None:
            raise _unpriced(tenant, model)
        found = max(found, cost)
    return found


def _used(
    generation: Generation, record: ExchangeRecord, taken: Taken, failure: BaseException | None
) -> Amounts | None:
    """What a request used that has ended; ``None``: unknown. A request counts whatever became of it."""
    if failure is None and record.status < 400:
        return None if record.usage is None else _amounts(generation, record, record.usage, taken)
    if record.sent is None or _cost_nothing(record, failure):
        return Amounts(requests=taken.amounts.requests)
    # What broke off in mid-answer was made and is billed, as far as it came; how far is unknown.
    return None


def _cost_nothing(record: ExchangeRecord, failure: BaseException | None) -> bool:
    """Whether nothing was made: every vendor refused, or was not reached."""
    if failure is None:
        return record.status >= 400
    refused = isinstance(failure, ExchangeError) and record.first_byte is None
    return refused and not isinstance(failure, UpstreamTimeout)


def _amounts(generation: Generation, record: ExchangeRecord, usage: Usage, taken: Taken) -> Amounts:
    cost: int | None = 0
    if taken.amounts.usd:
        cost = generation.costs.of(*_served(generation, record), usage)
    return Amounts(taken.amounts.requests, usage.total, taken.amounts.usd if cost is None else cost)


def _served(generation: Generation, record: ExchangeRecord) -> tuple[Account | None, str]:
    """Who answered (``None``: Amp), and with which model."""
    if record.kind == RouteKind.AMP.value:
        return None, split_suffix(record.asked)[0]
    accounts = generation.config.accounts
    return next((one for one in accounts if one.label == record.account), None), record.served


def _unbounded(tenant: Tenant, why: Unbounded) -> ExchangeError:
    return ClientFault.of(
        "billing",
        f"The client key {tenant.label} has a limit in tokens, and how many this request may use is"
        f" unknown, because {why} (setting: {tenant.key.section}.limits). A limit in requests or dollars"
        " needs no such bound.",
        code="client_limit_unbounded",
    )


def _unpriced(tenant: Tenant, model: str) -> ExchangeError:
    return ClientFault.of(
        "billing",
        f"The client key {tenant.label} has a limit in dollars, and the price of {model!r} is not known: the"
        " gateway's owner can name it in a file of prices (setting: ledger.prices).",
        code="client_budget_unpriced",
        param="model",
    )
