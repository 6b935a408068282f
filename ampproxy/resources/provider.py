"""The model routes: every provider alias below ``/api/provider/``, and the standard root routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from ampproxy.amp.clients import NAMING
from ampproxy.config.schema import ALLOW
from ampproxy.credentials.affinity import session_key
from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.facts import BodyFacts, facts_of
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.generation import Generation
from ampproxy.http.headers import has_any
from ampproxy.model.base import RESPONSES
from ampproxy.model.clients import MODELS
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.exchange import AccountError, Exchange
from ampproxy.relay.exhausted import is_overload
from ampproxy.relay.forward import ClientWatch
from ampproxy.relay.losses import LOSSES_HEADER
from ampproxy.relay.meter import AnswerMeter
from ampproxy.relay.pinning import Missed, Pin
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.workers import HUGE, LONG_LOOK, REQUEST_OBJECTS, takes_long
from ampproxy.resources.agents import check_socket
from ampproxy.resources.base import ROUTE_HEADER, GatewayResource, answer_error
from ampproxy.resources.credits import inferred_role, may_show_role, refusal_of, spend
from ampproxy.resources.management import client_keys_in
from ampproxy.resources.questions import cleaned, estimated, is_out_of_reach, mended, most
from ampproxy.resources.tenancy import allows, check_open, countable, demand_of, recheck, within_limits
from ampproxy.resources.traffic_notes import notice_client
from ampproxy.routing.endpoints import AMP_PREFIX, Endpoint, Operation, WrongMethod
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.server.authentication import authenticate_client
from ampproxy.server.bodies import GatheredBody
from ampproxy.server.decoding import decoded_body
from ampproxy.server.guard import Client
from ampproxy.server.known import Admitted
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.counting import Demand
from ampproxy.tenants.tenant import Tenant, narrowed, offered
from ampproxy.wire.headers import strip_query
from ampproxy.wire.json import sole_members, with_model
from ampproxy.wire.redact import LOOKED_AT

T = TypeVar("T")

_ROUTE, _LOSSES = ROUTE_HEADER.lower(), LOSSES_HEADER.lower()
#: Says that a number in the answer is an estimate.
ESTIMATE_HEADER = b"X-Ampproxy-Estimate"


class ModelResource(GatewayResource):
    """One endpoint of one dialect, for the request that asked for it.

    :param endpoint: what is asked; or the refusal of a wrong method, which is said in its dialect.
    """

    route_class = MODELS

    def __init__(self, generation: Generation, endpoint: Endpoint | WrongMethod) -> None:
        super().__init__(generation)
        self._endpoint = endpoint
        self._dialect = DIALECTS[endpoint.dialect]

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only with a client key, and with the right method."""
        known, guard = request.channel.known, self.generation.guard
        plain = request.path_refusal is None and not request.query
        if plain and known.admitted is not None and known.admitted.covers(guard, request.requestHeaders):
            self._authorized(request, known.admitted.client)
            return None
        super().authorize(request)
        found = authenticate_client(self.generation, request)
        if isinstance(found, Deferred):
            return found.addCallback(lambda client: self._authorized(request, client))
        if plain and found.expires is None and found.own is None and not guard.open:
            known.admitted = Admitted(guard, request.requestHeaders, found)
        self._authorized(request, found)
        return None

    def _authorized(self, request: GatewayRequest, client: Client) -> None:
        request.client_key = client
        if client.tenant is not None or self.generation.runtime.shared.refusal:
            check_open(self.generation, client.tenant, self.route_class)
        # Any program may ask for a model there.
        if request.path.startswith(AMP_PREFIX) and has_any(request.requestHeaders, NAMING):
            notice_client(self.generation, request)
        if isinstance(self._endpoint, WrongMethod):
            if self._endpoint.dialect == RESPONSES:
                check_socket(request)
            request.responseHeaders.setRawHeaders(b"Allow", [self._endpoint.allow])
            raise self._endpoint

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer with an error in the dialect of the route."""
        if isinstance(refusal, Missed) and refusal.body is not None:
            body = refusal.body
        elif isinstance(refusal, AccountError):
            for name, value in refusal.headers:
                request.responseHeaders.setRawHeaders(name, [value])
            body = refusal.body
        else:
            # A dialect that has a place for it tells which request it was.
            error = msgspec.structs.replace(refusal.error, request_id=request.request_id)
            body = self._dialect.error_body(error)
        error = refusal.error
        if error.status == _ANTHROPICS or is_overload(refusal):
            error = msgspec.structs.replace(error, status=self._dialect.passthrough.overloaded)
        answer_error(request, error, body, self._dialect.passthrough.longest_sleep)

    def _refused(self, route: Route) -> ExchangeError:
        return refusal_of(route)


#: The status by which Anthropic reports an overload.
_ANTHROPICS = 529


class ModelListResource(ModelResource):
    """The models that are there, in the format of the route's dialect."""

    _endpoint: Endpoint

    def render(self, request: GatewayRequest) -> Any:
        """List them all, or tell of one."""
        record = self.record(request)
        record.kind = RouteKind.LOCAL.value
        return self.run(request, record, self._list(request, record))

    async def _list(self, request: GatewayRequest, record: ExchangeRecord) -> None:
        models = self._models(request.client_key.tenant)
        wanted = self._endpoint.model
        request.responseHeaders.setRawHeaders(ROUTE_HEADER, [b"local"])
        if self._endpoint.operation is Operation.LIST_MODELS:
            body = self._dialect.models_body(models)
        else:
            record.asked = (wanted or "")[:LOOKED_AT]
            body = self._dialect.model_body(self._find(models, wanted or "", request.client_key.tenant))
        record.status = 200
        record.bytes_out = len(body)
        request.answer(200, body)

    def _models(self, tenant: Tenant | None) -> Sequence[ModelInfo]:
        """The models whose names are known, as far as they are for a client."""
        listed = self.generation.listed()
        if tenant is None:
            return listed
        find = self.generation.router.catalog.find
        return [model for model in listed if offered(tenant, model.id, find(model.id))]

    def _find(self, models: Sequence[ModelInfo], wanted: str, tenant: Tenant | None) -> ModelInfo:
        for model in models:
            if model.id == wanted:
                return model
        route = self._decided(wanted)
        if route.kind is RouteKind.NONE:
            raise self._refused(route)
        if tenant is not None:
            narrowed(tenant, route)
        return self._info(wanted, route)

    def _decided(self, asked: str) -> Route:
        return self.generation.router.route(asked, amp=False)

    def _info(self, wanted: str, route: Route) -> ModelInfo:
        return self.generation.info(wanted, "ampproxy")


class GenerateResource(ModelResource):
    """A question to a model: answered by a local account, by a mapping's, or by the Amp upstream."""

    _endpoint: Endpoint

    def __init__(self, generation: Generation, endpoint: Endpoint) -> None:
        super().__init__(generation, endpoint)
        self._call = f"{endpoint.dialect} {endpoint.operation.value}"

    def render(self, request: GatewayRequest) -> Any:
        record = self.record(request)
        record.show_losses = self.generation.config.debug
        return self.run(request, record, self._serve(request, record))

    async def _serve(self, request: GatewayRequest, record: ExchangeRecord) -> None:
        endpoint, generation = self._endpoint, self.generation
        if b"content-encoding" not in request.requestHeaders.by_name:
            gathered: GatheredBody = request.body  # type: ignore[assignment]  # so this resource has it
            if gathered.size <= LONG_LOOK:
                body = gathered.take()
            else:
                # To join its pieces takes a tenth of a second, for which Python lets other threads run.
                body = await self._apart(request, gathered.take, gathered.size)
        else:
            # How large it becomes nobody knows.
            decode = partial(decoded_body, request, generation.config.limits.max_body)
            body = await self._apart(request, decode, generation.config.limits.max_body)
        if endpoint.model is not None and self._dialect.passthrough.model_in_body:
            body = await self._done(request, partial(with_model, body, endpoint.model), body)
        look_at = partial(facts_of, self._dialect, body)
        try:
            facts = look_at() if len(body) <= LONG_LOOK else await self._apart(request, look_at, len(body))
        except ValueError as error:
            mend = partial(mended, self._dialect, body, error)
            body, facts = mend() if len(body) <= LONG_LOOK else await self._apart(request, mend, len(body))
        elsewhere = generation.runtime.kept_elsewhere
        if elsewhere is not None:
            fetching = elsewhere.fetch(self._dialect, record.client, body)
            if fetching is not None:
                await ClientWatch(request).wait_for(fetching)
        if generation.runtime.stored.enabled:
            whole = partial(generation.runtime.stored.whole, self._dialect, record.client, body, facts)
            body, facts = await self._done(request, whole, body)
            request.holds(len(body))
        found = facts.found
        asked = endpoint.model if endpoint.model is not None else found.model
        stream = found.stream if endpoint.stream is None else endpoint.stream
        record.stream = stream
        if endpoint.neo:
            await self._note(request, record, body)
        if endpoint.amp and (facts.thinks or may_show_role(request, found)):
            look = partial(self._from_amp, request, asked or "", facts, body)
            record.role, body = await self._done(request, look, body)
        route = self._take(self._decided(asked, record.role), request, record)
        if route.kind is RouteKind.NONE:
            raise self._refused(route)
        tenant: Tenant | None = request.client_key.tenant
        if tenant is None:
            await self._serve_by(request, record, route, body, stream, facts)
            return
        count = partial(_counted, generation, tenant, route, endpoint, body)
        body, demand = await self._done(request, count, body)
        serve = partial(self._serve_by, request, record, route, body, stream, facts)
        await within_limits(generation, request, record, tenant, demand, serve, endpoint)

    async def _serve_by(
        self,
        request: GatewayRequest,
        record: ExchangeRecord,
        route: Route,
        body: bytes,
        stream: bool,
        facts: BodyFacts,
    ) -> None:
        """Answer it by a route, or where that has nobody at the moment by the next."""
        endpoint, generation, asked = self._endpoint, self.generation, route.requested_model
        exhausted: frozenset[str] = frozenset()
        while route.kind is not RouteKind.AMP:
            try:
                await self._answer(request, record, route, body, stream, facts)
                return
            except ExchangeError as failure:
                if not self._falls_back(request, route, record, failure):
                    raise
                exhausted |= {split_suffix(route.resolved_model)[0]}
                route = self._decided(asked, record.role, exhausted)
                if route.kind is RouteKind.NONE:
                    raise
                try:
                    route = self._take(route, request, record)
                except ClientFault:
                    # The next route is not for this client: the error of the one that is counts.
                    raise failure from None
        body = self._as_decided(body)
        meter = None
        if endpoint.operation in (Operation.GENERATE, Operation.EMBED, Operation.COMPACT):
            meter = AnswerMeter(self._dialect, stream=stream)
        base = split_suffix(route.requested_model)[0]
        await spend(generation, request, record, route, body, meter, most=lambda: most(endpoint, base, body))

    def _decided(self, asked: str | None, role: str, exhausted: frozenset[str] = frozenset()) -> Route:
        return self.generation.router.route(asked, amp=self._endpoint.amp, role=role, exhausted=exhausted)

    async def _note(self, request: GatewayRequest, record: ExchangeRecord, body: bytes) -> None:
        """Take down what the body tells of where it belongs; asked for Amp's cloud alone."""

    def _session(
        self, request: GatewayRequest, record: ExchangeRecord, body: bytes
    ) -> Callable[[], str | None]:
        """Finds what names the conversation."""
        return partial(session_key, request.requestHeaders, body)

    def _as_decided(self, body: bytes) -> bytes:
        """The body as it goes to Amp: under rules, one that no other reader could find another model in.

        :raises ClientFault: that cannot be written.
        """
        if self.generation.config.ampcode.fallback == ALLOW:
            return body
        try:
            return sole_members(body, ("generationConfig", "generation_config"))
        except ValueError as error:
            raise ClientFault.of("invalid_request", str(error)) from None

    async def _done(self, request: GatewayRequest, work: Callable[[], T], body: bytes) -> T:
        """Do work with a body: at once, or in a thread where it would take long.

        :raises ClientGone: the client left meanwhile.
        """
        return await self._apart(request, work, len(body)) if takes_long(body, REQUEST_OBJECTS) else work()

    async def _apart(self, request: GatewayRequest, work: Callable[[], T], size: int) -> T:
        """Do work in a thread.

        :raises ClientGone: the client left meanwhile.
        """
        done: T = await ClientWatch(request).wait_for(self.generation.runtime.workers.run(work, size))
        return done

    def _from_amp(
        self, request: GatewayRequest, asked: str, facts: BodyFacts, body: bytes
    ) -> tuple[str, bytes]:
        """What one of Amp's clients asks it for, and its body, cleaned."""
        role = inferred_role(request, self._endpoint.dialect, asked, facts.found, body)
        return role, self._dialect.passthrough.clean(body) if facts.thinks else body

    def _take(self, route: Route, request: GatewayRequest, record: ExchangeRecord) -> Route:
        """Go this way as far as the client may, and say so.

        :raises ClientFault: it may not.
        """
        tenant: Tenant | None = request.client_key.tenant
        if tenant is not None:
            record.asked = route.requested_model
            route = narrowed(tenant, route)
        request.asks_model, request.recheck = True, partial(recheck, route, record)
        record.asked, record.kind, record.reasons = route.requested_model, route.kind.text, route.reasons
        request.responseHeaders.by_name[_ROUTE] = [record.kind.encode()]
        if self.generation.config.debug:
            self.generation.runtime.log.debug(
                "{steps}", model=route.requested_model, steps=" ".join(route.reasons)
            )
        if route.slow is not None:
            # Without the name, so that the same trouble is the same warning.
            self.generation.runtime.log.warn(
                "ampcode.model-mappings, line {line}: {pattern} takes too long to match a requested "
                "name; such requests are refused",
                line=route.slow.line,
                pattern=route.slow.source,
            )
        return route

    async def _answer(
        self,
        request: GatewayRequest,
        record: ExchangeRecord,
        route: Route,
        body: bytes,
        stream: bool,
        facts: BodyFacts,
    ) -> None:
        """Have one of a route's accounts answer."""
        endpoint, generation = self._endpoint, self.generation
        pinning = generation.exchanges.pinning
        if self._dialect.passthrough.references is not None:
            body, facts = generation.runtime.remembered.whole(self._dialect, record.client, body, facts)
        question = ModelRequest(
            endpoint=endpoint,
            body=body,
            requested_model=route.requested_model,
            stream=stream,
            headers=self._headers(request),
            query=self._query(request) if request.query else b"",
            route=route,
            facts=facts,
            client=record.client,
            refers=(
                pinning is not None
                and not (pinning.pins.empty and len(route.offers) < 2)
                and pinning.may_refer(endpoint.dialect, route, body)
            ),
            shows_losses=_LOSSES in request.requestHeaders.by_name,
        )
        pin = await self._pin(request, question) if question.refers else None
        if pin is not None:
            tries = pin.selection(generation.pool, route, self._call, self._can, _whose(request))
        else:
            key = self._session(request, record, body)
            if len(body) > HUGE and len(route.offers) > 1 and generation.config.routing.session_affinity:
                key = await self._key_apart(request, key, len(body))
            tries = generation.pool.select(
                route,
                key=key,
                most=generation.config.max_retry_credentials,
                call=self._call,
                can=self._can,
                whose=_whose(request),
            )
        if not tries.count:
            if endpoint.operation is Operation.COUNT_TOKENS:
                await self._estimate(request, question, record)
                return
            if endpoint.operation is Operation.OTHER:
                raise ClientFault.of(
                    "not_found", f"{route.resolved_model} has no method {endpoint.method} here."
                )
            generation.providers[route.offers[0].account.label].backend_dialect(endpoint)
        exchange = Exchange(question, request, record, generation.exchanges, partial(allows, request))
        try:
            await exchange.run(tries)
        except ExchangeError as failure:
            if pin is not None:
                pin.explain(failure)
            if endpoint.operation is not Operation.COUNT_TOKENS:
                raise
            if not exchange.lacks_call and not is_out_of_reach(failure):
                raise
            await self._estimate(request, question, record)

    async def _pin(self, request: GatewayRequest, question: ModelRequest) -> Pin | None:
        """The account that keeps what a request refers to; ``None``: it may go to any.

        :raises ExchangeError: nobody can serve it who has that.
        """
        pinning = self.generation.exchanges.pinning
        if pinning is None or not pinning.knows(question):
            return None
        named = partial(pinning.named, question)
        return pinning.pin(question, await self._done(request, named, question.body))

    async def _key_apart(
        self, request: GatewayRequest, key: Callable[[], str | None], size: int
    ) -> Callable[[], str | None]:
        """What names the conversation of a huge body, where it will be asked for: found in a thread."""
        found = await self._apart(request, key, size)
        return lambda: found

    def _can(self, offer: RouteTarget) -> bool:
        return self.generation.exchanges.bridges.can(self._endpoint, offer)

    def _falls_back(
        self, request: GatewayRequest, route: Route, record: ExchangeRecord, failure: ExchangeError
    ) -> bool:
        """Whether a failure is to be hidden by the next route: all accounts of this one rest, nothing was
        sent, and the owner wants it so, for it may spend Amp credits.
        """
        generation, endpoint = self.generation, self._endpoint
        if not (generation.config.ampcode.fallback_when_exhausted and endpoint.amp and failure.retryable):
            return False
        if record.first_byte is not None:
            return False
        now, whose = generation.runtime.clock.seconds(), _whose(request)
        return generation.pool.all_cooling(route, now, call=self._call, can=self._can, whose=whose)

    async def _estimate(
        self, request: GatewayRequest, question: ModelRequest, record: ExchangeRecord
    ) -> None:
        """Count by rule of thumb, and say that it is one: the account's vendor has no call that counts, or
        none that gives a number.
        """
        dialect = DIALECTS[self._endpoint.dialect]
        tokens = await self._done(request, partial(estimated, dialect, question), question.body)
        account = question.route.offers[0].account
        record.account, record.served = account.label, question.route.resolved_model
        record.account_name = self.generation.providers[account.label].name
        request.responseHeaders.setRawHeaders(ESTIMATE_HEADER, [b"tokens"])
        body = dialect.count_body(tokens)
        record.status, record.bytes_out = 200, len(body)
        request.answer(200, body)

    def _headers(self, request: GatewayRequest) -> Mapping[bytes, Sequence[bytes]]:
        headers = request.requestHeaders.by_name
        cleaners = self._dialect.passthrough.clean_headers
        if self._endpoint.amp and not headers.keys().isdisjoint(cleaners):
            return cleaned(headers, cleaners)
        return headers

    def _query(self, request: GatewayRequest) -> bytes:
        return strip_query(request.query, client_keys_in(self.generation, request))


def _counted(
    generation: Generation, tenant: Tenant, route: Route, endpoint: Endpoint, body: bytes
) -> tuple[bytes, Demand]:
    """A client's request as it can be counted, and what it may use at most."""
    body = countable(tenant, body)
    return body, demand_of(generation, tenant, route, endpoint, body)


def _whose(request: GatewayRequest) -> tuple[str, ...]:
    """Which accounts the client may use, if not all: such clients have their own turns among them."""
    tenant: Tenant | None = request.client_key.tenant
    return () if tenant is None else tenant.key.accounts


def resource_for(generation: Generation, endpoint: Endpoint | WrongMethod) -> ModelResource:
    """The resource that serves an endpoint."""
    if isinstance(endpoint, WrongMethod):
        return ModelResource(generation, endpoint)
    if endpoint.operation in (Operation.LIST_MODELS, Operation.GET_MODEL):
        return ModelListResource(generation, endpoint)
    return GenerateResource(generation, endpoint)
