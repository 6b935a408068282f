"""One call that a vendor has beside its models: to an account, and its answer back, as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from ampproxy.credentials.outcomes import classify, classify_fault, for_account
from ampproxy.credentials.pins import Pins
from ampproxy.credentials.pool import Selection
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientGone, ExchangeError, UpstreamFault
from ampproxy.http.bodies import BytesProducer
from ampproxy.http.headers import LowerHeaders
from ampproxy.model.events import Usage
from ampproxy.relay.answer_headers import useful_headers
from ampproxy.relay.downstream import Downstream
from ampproxy.relay.exchange import MAX_ERROR, AccountError
from ampproxy.relay.exhausted import Attempt, exhausted
from ampproxy.relay.filters import Filter, IdentityFilter
from ampproxy.relay.forward import ClientWatch, Forward, pass_back, sent
from ampproxy.relay.pinning import LOOKED_THROUGH
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.settings import ExchangeSettings
from ampproxy.relay.vendor_ids import issued, upload_of
from ampproxy.routing.route import RouteTarget
from ampproxy.routing.vendor_calls import CLAUDE, VendorCall
from ampproxy.upstream.body import collect
from ampproxy.upstream.failures import explain
from ampproxy.upstream.pipe import PipeProducer
from ampproxy.wire.headers import Header
from ampproxy.wire.json import members, replace_model
from ampproxy.wire.redact import Secret

#: What of an answer's headers goes to the client, by the beginning of the name.
_ANSWER_HEADERS = (
    *(b"content-", b"accept-ranges", b"etag", b"last-modified", b"location", b"x-goog-upload-"),
    *(b"request-id", b"x-request-id", b"openai-processing-ms"),
)
#: An account is at fault, or busy: another one may do better.
_OF_ACCOUNT = frozenset((401, 402, 403, 408, 429))


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks.

    :param query: the client's, as it came; likewise ``headers``.
    :param body: gathered, or as it arrives; ``None``: there is none.
    :param model: the model that the body names; empty: none.
    :param here: the gateway's origin as the client has it.
    """

    call: VendorCall
    method: bytes
    query: bytes
    headers: tuple[Header, ...]
    body: bytes | PipeProducer | None
    model: str
    here: bytes


class VendorExchange:
    """One such call, until it is answered.

    :param pins: is given the ids that come back; ``None``: they are not noted.
    """

    def __init__(
        self,
        asked: Asked,
        downstream: Downstream,
        record: ExchangeRecord,
        settings: ExchangeSettings,
        pins: Pins | None,
    ) -> None:
        self._asked = asked
        self._downstream = downstream
        self._record = record
        self._settings = settings
        self._pins = pins
        self._gone = ClientWatch(downstream)
        self._dialect: Dialect = DIALECTS[asked.call.route.dialect]

    async def to_one(self, offer: RouteTarget) -> None:
        """Have this account answer, and no other.

        :raises ExchangeError: it refused, was not reached, or its answer broke off.
        :raises ClientGone: the client left; the upstream was closed.
        """
        try:
            await self._ask(offer)
        except AccountError as error:
            attempt = Attempt(
                offer.account.label, for_account(error.verdict, offer.account), 0.0, error.error
            )
            if not attempt.key_refused:
                raise
            # The client's own key is a good one.
            raise exhausted(self._name, [attempt], (), count=1, wait=None) from None

    async def to_any(self, tries: Selection, allows: Callable[[RouteTarget], bool]) -> None:
        """Have one of several accounts answer: the next, where one is at fault or busy, as long as nothing
        of the request's body has gone through us.

        :param allows: whether an account may still be asked.
        :raises ExchangeError: see :meth:`to_one`; or all of them failed.
        """
        clock = self._settings.runtime.clock
        attempts: list[Attempt] = []
        failure: ExchangeError | None = None
        while (offer := tries.next(clock.seconds())) is not None:
            if not allows(offer):
                tries.abandoned()
                continue
            try:
                await self._ask(offer)
            except ExchangeError as error:
                if self._record.first_byte is not None or not _is_accounts(error):
                    tries.abandoned()
                    raise
                failure = error
                attempts.append(self._failed(offer, error, tries))
            except BaseException:
                tries.abandoned()
                raise
            else:
                tries.succeeded()
                return
        if failure is not None and len(attempts) == 1 and not attempts[0].key_refused:
            raise failure
        raise self._none_left(tries, attempts)

    @property
    def _name(self) -> str:
        """What is asked for, as errors name it."""
        return self._asked.model or self._asked.call.route.kind

    def _failed(self, offer: RouteTarget, error: ExchangeError, tries: Selection) -> Attempt:
        """An account failed: it rests, and the log has it."""
        runtime, label = self._settings.runtime, offer.account.label
        verdict = error.verdict if isinstance(error, AccountError) else classify_fault(error)
        verdict = for_account(verdict, offer.account)
        back = tries.failed(verdict, runtime.clock.seconds(), runtime.wall())
        self._record.attempts.append(f"{label}: {error.error.status} {error.error.message}")
        return Attempt(label, verdict, back, error.error)

    def _none_left(self, tries: Selection, attempts: Sequence[Attempt]) -> ExchangeError:
        now = self._settings.runtime.clock.seconds()
        asked = {attempt.label for attempt in attempts}
        cooling = [
            Attempt(account.label, cooldown.verdict, max(0.0, cooldown.until - now))
            for account, cooldown in tries.cooling()
            if account.label not in asked
        ]
        wait = tries.wait(now)
        wait = None if wait is None else max(wait, 1.0)
        return exhausted(self._name, attempts, cooling, count=tries.count, wait=wait)

    async def _ask(self, offer: RouteTarget) -> None:
        what, body = self._outgoing(offer)
        response = await self._sent(what, body)
        if response.code >= 400:
            raise await self._refusal(response, what, offer)
        await self._pass_back(what, response, offer)

    def _outgoing(self, offer: RouteTarget) -> tuple[Forward, Callable[[], BytesProducer | None] | None]:
        """The request, and what makes its body anew; ``None``: it comes but once."""
        asked, account = self._asked, offer.account
        provider = self._settings.providers[account.label]
        record = self._record
        record.account, record.account_name, record.served = (
            account.label,
            provider.name,
            offer.upstream_model,
        )
        body = asked.body
        renewed: Callable[[], BytesProducer | None] | None = None
        if isinstance(body, bytes):
            renewed = partial(BytesProducer, _with_model(body, asked.model, offer.upstream_model))
        elif body is None:
            renewed = _nothing
        call = provider.vendor_call(asked.call, asked.method, query=asked.query, headers=asked.headers)
        what = Forward(
            method=call.method.decode("ascii"),
            url=call.url.decode("ascii"),
            headers=LowerHeaders.of_pairs(call.headers),
            body=body if isinstance(body, PipeProducer) else None,
            origin=f"{account.label} ({account.base_url})",
            record=record,
            proxy=account.proxy_url or self._settings.config.proxy_url,
        )
        return what, renewed

    async def _sent(self, what: Forward, body: Callable[[], BytesProducer | None] | None) -> IResponse:
        runtime = self._settings.runtime
        return await sent(
            what,
            self._gone,
            client=runtime.client,
            clock=runtime.clock,
            deadlines=runtime.deadlines,
            first_byte=self._settings.config.timeouts.first_byte,
            body=body,
        )

    async def _refusal(self, response: IResponse, what: Forward, offer: RouteTarget) -> AccountError:
        """The error that an account answered, without the key that some servers repeat."""
        settings, runtime = self._settings, self._settings.runtime
        gathering = collect(
            response, limit=MAX_ERROR, clock=runtime.clock, idle=settings.config.timeouts.idle
        )
        try:
            body: bytes = await self._gone.wait_for(gathering)
        except ClientGone:
            raise
        except Exception as failed:
            fault = explain(failed, what.origin)
            if not isinstance(fault, UpstreamFault):
                raise fault from None
            # What is the matter its status says, too.
            body = b""
        text = settings.redactor.known(body.decode("utf-8", "replace"))
        source = offer.account.token
        if source is not None:
            token = (what.headers.getRawHeaders(b"authorization") or [b""])[0].decode("latin-1")
            secret = Secret(token.removeprefix("Bearer "))
            text = text.replace(secret.reveal(), "***") if secret else text
            if response.code == 401:
                source.refused(secret)
        body = text.encode()
        headers = {
            name.decode("ascii", "replace").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        error = self._dialect.parse_error(response.code, headers, body)
        if error.retry_after is not None:
            wait = min(error.retry_after, settings.longest_wait)
            error = msgspec.structs.replace(error, retry_after=wait)
        return AccountError(
            error,
            verdict=classify(response.code, error, headers, body, wall=runtime.wall()),
            body=self._dialect.error_body(error) if members(body) is None else body,
            headers=useful_headers(response.headers, longest_wait=settings.longest_wait, wall=runtime.wall()),
        )

    async def _pass_back(self, what: Forward, response: IResponse, offer: RouteTarget) -> None:
        runtime = self._settings.runtime
        beginning = _Beginning()
        if _names_things(response.headers):
            what.meter = beginning
        base = offer.account.base_url.encode()
        what.change = _Answer(self._asked, base, None if self._pins is None else partial(self._pin, offer))
        try:
            await pass_back(
                what,
                response,
                self._downstream,
                self._gone,
                clock=runtime.clock,
                idle=self._settings.config.timeouts.idle,
                mark=lambda headers: None,
            )
        finally:
            self._learn(beginning, offer)

    def _learn(self, beginning: _Beginning, offer: RouteTarget) -> None:
        """Note what the answer issues, and what it used."""
        route = self._asked.call.route
        if self._asked.method != b"DELETE":
            self._pin(offer, *issued(route.vendor, beginning.text, route.kind))
        if self._asked.call.thing:
            self._pin(offer, self._asked.call.thing)
        if route.runs and self._record.usage is None:
            self._record.usage = usage_of(beginning.text)

    def _pin(self, offer: RouteTarget, *things: str) -> None:
        if self._pins is not None and things:
            self._pins.pin(things, self._settings.providers[offer.account.label].name)


def _nothing() -> None:
    """No body."""


def _names_things(headers: Headers) -> bool:
    """Whether an answer may name what the account keeps: JSON, and events of it, but no sound and no file."""
    kind = (headers.getRawHeaders(b"content-type") or [b"application/json"])[0].lower()
    return kind.startswith((b"application/json", b"text/event-stream"))


def _is_accounts(error: ExchangeError) -> bool:
    """Whether a failure is the account's own, so that another one may do better."""
    if not isinstance(error, AccountError):
        return error.fault == "upstream"
    return error.error.status in _OF_ACCOUNT or error.error.status >= 500


class _Beginning:
    """Keeps the beginning of an answer; a :class:`~ampproxy.relay.forward.Meter`."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        if self._size < LOOKED_THROUGH:
            self._pieces.append(data[: LOOKED_THROUGH - self._size])
            self._size += len(self._pieces[-1])

    @property
    def text(self) -> bytes:
        """What was kept."""
        return b"".join(self._pieces)


class _Answer:
    """What is changed of an answer: the addresses that a client follows lead to the gateway.

    :param base: of the account: its address.
    :param pin: is given an upload that goes on piece by piece. ``None``: it could not be found again, and
        its pieces go to its vendor, which wants no key with them.
    """

    def __init__(self, asked: Asked, base: bytes, pin: Callable[[str], None] | None) -> None:
        self._asked = asked
        self._base = base
        self._pin = pin

    def headers(self, headers: list[Header]) -> list[Header]:
        """See :class:`~ampproxy.relay.forward.Change`."""
        kept = ((name.lower(), value) for name, value in headers)
        return [(name, self._led(name, value)) for name, value in kept if name.startswith(_ANSWER_HEADERS)]

    def body(self, status: int, headers: Headers) -> Filter | None:
        """Anthropic's batches name the address of their results, which its SDKs ask with the client's key."""
        route = self._asked.call.route
        json = (headers.getRawHeaders(b"content-type") or [b""])[0].startswith(b"application/json")
        if route.vendor != CLAUDE or route.kind != "batches" or not json:
            return None
        version = b"" if self._base.endswith(b"/v1") else b"/v1"
        return ReplacingFilter(
            b'"' + self._base + version + b"/messages/batches/",
            b'"' + self._asked.here + b"/v1/messages/batches/",
        )

    def _led(self, name: bytes, value: bytes) -> bytes:
        if name == b"location" and value.startswith(self._base + b"/"):
            return self._asked.here + b"/" + value[len(self._base) :].lstrip(b"/")
        if name != b"x-goog-upload-url" or not value.startswith(_origin(self._base) + b"/"):
            return value
        query = value.partition(b"?")[2]
        upload = upload_of(query)
        if not upload or self._pin is None:
            return value
        self._pin(upload)
        return self._asked.here + b"/upload/v1beta/files?" + query


class ReplacingFilter(IdentityFilter):
    """Replaces one text by another, wherever the pieces of a body part it."""

    changed = True

    def __init__(self, old: bytes, new: bytes) -> None:
        self._old = old
        self._new = new
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """As much as is certain."""
        data = (self._held + data).replace(self._old, self._new)
        held = _overlap(data, self._old)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def end(self) -> bytes:
        """The rest."""
        held, self._held = self._held, b""
        return held


def _overlap(data: bytes, text: bytes) -> int:
    """How much of the end of some data may be the beginning of a text."""
    return next(
        (size for size in range(min(len(data), len(text) - 1), 0, -1) if data.endswith(text[:size])), 0
    )


def _origin(base: bytes) -> bytes:
    return b"/".join(base.split(b"/", 3)[:3])


def _with_model(body: bytes, asked: str, served: str) -> bytes:
    """The body with the vendor's name of the model, where that is another one."""
    if not asked or asked == served:
        return body
    # Google's begin with what they are.
    resource = b'"models/' + asked.encode() + b'"'
    if resource in body:
        return replace_model(body, f"models/{served}", f"models/{asked}")
    return replace_model(body, served, asked)


def usage_of(answer: bytes) -> Usage | None:
    """The tokens that an answer of pictures or of speech reports; ``None``: it reports none."""
    found = members(answer)
    raw = None if found is None else found.get("usage")
    try:
        usage: dict[str, Any] = {} if raw is None else msgspec.json.decode(raw)
        input, output = usage.get("input_tokens"), usage.get("output_tokens")
    except (msgspec.MsgspecError, AttributeError):
        return None
    if isinstance(input, int) and isinstance(output, int):
        return Usage(input=input, output=output)
    return None
