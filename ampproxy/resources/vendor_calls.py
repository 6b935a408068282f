"""What vendors have beside their models, for clients that ask it here: files, batches, pictures, speech."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred

from ampproxy.config.schema import Account
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.generation import Generation
from ampproxy.http.bodies import SLICE
from ampproxy.model.clients import MODELS, STORED
from ampproxy.relay.exchange import AccountError
from ampproxy.relay.forward import ClientWatch, pairs
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.vendor_calls import Asked, VendorExchange
from ampproxy.relay.vendor_ids import referred, upload_of
from ampproxy.resources.base import ROUTE_HEADER, GatewayResource, answer_error
from ampproxy.resources.credits import refusal_of
from ampproxy.resources.management import client_keys_in
from ampproxy.resources.stored_answers import answered_here
from ampproxy.resources.tenancy import allows, check_open, check_shared, check_unpriced, within_limits
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.routing.vendor_calls import CLAUDE, VendorCall
from ampproxy.server.authentication import authenticate_client
from ampproxy.server.decoding import decoded_body
from ampproxy.server.guard import ANONYMOUS, Client
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.counting import Demand
from ampproxy.tenants.tenant import (
    Tenant,
    check_account,
    check_model,
    check_unnamed_model,
    may_use,
)
from ampproxy.upstream.pipe import PipeProducer
from ampproxy.wire.forms import boundary_of, model_in
from ampproxy.wire.headers import strip_query
from ampproxy.wire.json import members, string
from ampproxy.wire.redact import LOOKED_AT

#: So much of a form is looked through for the model's name. Bytes.
_FORM_BEGINNING = SLICE // 2


class VendorCallResource(GatewayResource):
    """One call of a vendor's whose answer only its client knows of.

    :param streams: whether the body passes as it arrives.
    """

    route_class = MODELS

    def __init__(self, generation: Generation, call: VendorCall, *, streams: bool) -> None:
        super().__init__(generation)
        self._call = call
        self._dialect = DIALECTS[call.route.dialect]
        self.streams_body = streams

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only with a client key; or with the id of an upload that was begun with one, for Google's SDKs
        send nothing else with its pieces.
        """
        super().authorize(request)
        if self._call.route.upload and self._is_begun(request):
            request.client_key = ANONYMOUS
            check_shared(self.generation)
            return None
        found = authenticate_client(self.generation, request)
        if isinstance(found, Deferred):
            return found.addCallback(lambda client: self._authorized(request, client))
        self._authorized(request, found)
        return None

    def _authorized(self, request: GatewayRequest, client: Client) -> None:
        request.client_key = client
        check_open(self.generation, client.tenant, self.route_class)

    def _is_begun(self, request: GatewayRequest) -> bool:
        upload = upload_of(request.query) if request.query else ""
        commands = b",".join(request.requestHeaders.getRawHeaders(b"x-goog-upload-command") or ())
        if not upload or b"start" in commands.lower():
            return False
        return self.generation.runtime.pins.owner(upload) is not None

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer in the vendor's dialect; an account's own error as it came."""
        error = msgspec.structs.replace(refusal.error, request_id=request.request_id)
        body = self._dialect.error_body(error)
        if isinstance(refusal, AccountError):
            body = refusal.body
            for name, value in refusal.headers:
                request.responseHeaders.setRawHeaders(name, [value])
        answer_error(request, error, body)

    def render(self, request: GatewayRequest) -> Any:
        """Bring it to an account."""
        record = self.record(request)
        record.call, record.kind = self._call.route.kind, RouteKind.LOCAL.value
        request.responseHeaders.setRawHeaders(ROUTE_HEADER, [b"local"])
        return self.run(request, record, self._serve(request, record))

    async def _serve(self, request: GatewayRequest, record: ExchangeRecord) -> None:
        if self._call.route.kind == "responses":
            elsewhere = self.generation.runtime.kept_elsewhere
            if elsewhere is not None and self._call.thing:
                fetching = elsewhere.fetch_answer(record.client, self._call.thing)
                if fetching is not None:
                    await ClientWatch(request).wait_for(fetching)
            if answered_here(self.generation, request, record, self._call):
                return
        body, models, things = await self._read(request)
        tenant: Tenant | None = request.client_key.tenant
        runs = request.method in self._call.route.runs
        if runs:
            # The ledger keeps what costs something.
            record.asked = (models[0] if models else self._call.route.kind)[:LOOKED_AT]
        serve = partial(self._serve_by, request, record, body, models, things)
        if tenant is None:
            await serve()
            return
        if runs:
            self._check_rights(tenant, models)
        request.recheck = partial(_recheck, self.generation, record)
        await within_limits(self.generation, request, record, tenant, Demand(), serve)

    def _check_rights(self, tenant: Tenant, models: Iterable[str]) -> None:
        check_unpriced(tenant, self._call.route.kind)
        models = tuple(models)
        if not models:
            check_unnamed_model(tenant, self._call.route.kind)
        for model in models:
            check_model(tenant, model)

    async def _read(
        self, request: GatewayRequest
    ) -> tuple[bytes | PipeProducer | None, tuple[str, ...], tuple[str, ...]]:
        """The body, the models that it names, and what path and body refer to."""
        if isinstance(request.body, PipeProducer):
            upload = upload_of(request.query) if self._call.route.upload else ""
            things = (upload,) if upload else referred(self._call, b"")
            pipe = request.body if request.length != 0 else None
            model = await self._model_of_form(request, pipe) if pipe is not None else ""
            return pipe, (model,) if model else (), things
        limit = self.generation.config.limits.max_body
        decode = partial(decoded_body, request, limit)
        if not request.requestHeaders.hasHeader(b"content-encoding"):
            body = decode()
        else:
            body = await self._apart(request, decode, limit)
        look = partial(_looked, self._call, body)
        models, things = look() if len(body) <= SLICE else await self._apart(request, look, len(body))
        return body or None, models, things

    async def _apart(self, request: GatewayRequest, work: Any, size: int) -> Any:
        return await ClientWatch(request).wait_for(self.generation.runtime.workers.run(work, size))

    async def _model_of_form(self, request: GatewayRequest, pipe: PipeProducer) -> str:
        """The model that a form names before its first file, or soon after; empty: none."""
        if request.method not in self._call.route.runs:
            return ""
        boundary = boundary_of(_kind(request))
        if boundary is None:
            return ""
        beginning = await ClientWatch(request).wait_for(pipe.beginning(_FORM_BEGINNING))
        found = model_in(beginning, boundary)
        return "" if found is None else beginning[slice(*found)].decode("utf-8", "replace")

    async def _serve_by(
        self,
        request: GatewayRequest,
        record: ExchangeRecord,
        body: bytes | PipeProducer | None,
        models: tuple[str, ...],
        things: tuple[str, ...],
    ) -> None:
        model = models[0] if models else ""
        exchange = self._exchange(request, record, body, model)
        may = partial(_may_use, request)
        accounts, vendor = self.generation.vendor_accounts, self._call.route.vendor
        account = accounts.keeping(vendor, things, may)
        if account is None and not model:
            account = accounts.first(vendor, self._call.thing, may)
        if account is not None:
            await exchange.to_one(RouteTarget(account, self._name_at(account, model)))
            return
        route = self.generation.router.route(model, amp=False)
        offers = accounts.offers(vendor, route, may)
        if not offers:
            raise refusal_of(route) if not route.offers else self._no_account(route)
        if isinstance(body, PipeProducer):
            await self._stream_to(request, exchange, body, model, offers[0])
            return
        tenant: Tenant | None = request.client_key.tenant
        tries = self.generation.pool.select(
            replace(route, kind=RouteKind.LOCAL, resolved_model=route.resolved_model or model, offers=offers),
            call=self._call.route.kind,
            whose=() if tenant is None else tenant.key.accounts,
        )
        await exchange.to_any(tries, partial(allows, request))

    async def _stream_to(
        self,
        request: GatewayRequest,
        exchange: VendorExchange,
        pipe: PipeProducer,
        model: str,
        offer: RouteTarget,
    ) -> None:
        """Send a form to an account, which calls the model by its own name."""
        boundary = boundary_of(_kind(request))
        if boundary is not None and offer.upstream_model != model:
            pipe.change_beginning(partial(_renamed, boundary, offer.upstream_model.encode()))
        await exchange.to_one(offer)

    def _name_at(self, account: Account, model: str) -> str:
        """What an account calls a model."""
        if not model:
            return ""
        offers = self.generation.router.route(model, amp=False).offers
        return next((offer.upstream_model for offer in offers if offer.account is account), model)

    def _exchange(
        self,
        request: GatewayRequest,
        record: ExchangeRecord,
        body: bytes | PipeProducer | None,
        model: str,
    ) -> VendorExchange:
        generation = self.generation
        query = strip_query(request.query, client_keys_in(generation, request)) if request.query else b""
        host = (request.requestHeaders.getRawHeaders(b"host") or [b""])[0]
        asked = Asked(
            call=self._call,
            method=request.method,
            query=query,
            headers=tuple(pairs(request.requestHeaders)),
            body=body,
            model=model,
            here=(b"https://" if request.speaks_tls else b"http://") + host,
        )
        pins = generation.runtime.pins if generation.exchanges.pinning is not None else None
        return VendorExchange(asked, request, record, generation.exchanges, pins)

    def _no_account(self, route: Route) -> ExchangeError:
        return ClientFault.of(
            "not_found",
            f"The accounts that serve {route.requested_model!r} have no call for {self._call.route.kind}.",
            code="model_not_found",
            param="model",
        )


class StoredCallResource(VendorCallResource):
    """A call that shows or deletes what any client of an account has stored."""

    route_class = STORED


def resource_for_call(
    generation: Generation, call: VendorCall, request: GatewayRequest
) -> VendorCallResource:
    """The resource that serves a call."""
    json = _kind(request).lower().startswith(b"application/json") and not call.route.upload
    streams = request.method in call.route.streams and not json
    made = StoredCallResource if call.route.stored else VendorCallResource
    return made(generation, call, streams=streams)


def _looked(call: VendorCall, body: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The models that a body names, and what path and body refer to.

    :raises ClientFault: the body is not JSON.
    """
    things = referred(call, body)
    found = members(body) if body else None
    if found is None:
        return (), things
    if call.route.vendor == CLAUDE and "requests" in found:
        return _models_of_batch(bytes(found["requests"])), things
    name = (string(found["model"]) if "model" in found else "") or ""
    return ((name.removeprefix("models/"),) if name else ()), things


class _Params(msgspec.Struct):
    model: str = ""


class _Request(msgspec.Struct):
    params: _Params = msgspec.field(default_factory=_Params)


def _models_of_batch(requests: bytes) -> tuple[str, ...]:
    try:
        found = msgspec.json.decode(requests, type=list[_Request])
    except (msgspec.MsgspecError, ValueError):
        return ()  # its vendor will find what is wrong with it
    return tuple(dict.fromkeys(request.params.model for request in found if request.params.model))


def _renamed(boundary: bytes, name: bytes, form: bytes) -> bytes:
    """The beginning of a form with another model's name, if it has any."""
    found = model_in(form, boundary)
    return form if found is None else form[: found[0]] + name + form[found[1] :]


def _kind(request: GatewayRequest) -> bytes:
    """The type of a request's body."""
    return (request.requestHeaders.getRawHeaders(b"content-type") or [b""])[0]


def _may_use(request: GatewayRequest, account: Account) -> bool:
    tenant: Tenant | None = request.client_key.tenant
    return tenant is None or may_use(tenant, account)


def _recheck(generation: Generation, record: ExchangeRecord, tenant: Tenant) -> None:
    """See that a client may still use the account that answers it, by the rights that it has now.

    :raises ClientFault: it may not.
    """
    for account in generation.config.accounts:
        if account.label == record.account:
            check_account(tenant, account)
