"""Requests that refer to what one account's vendor keeps: they go to that account, and to no other.

Which account that is is known by the ids that its answers issued, and by those that it took.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from ampproxy.catalog.families import Families
from ampproxy.config.schema import Account
from ampproxy.credentials.health import Identity, PoolState
from ampproxy.credentials.names import account_name
from ampproxy.credentials.pins import PinnedSelection, Pins
from ampproxy.credentials.pool import Pool, Selection
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.state import VendorState
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.interfaces import StreamFilter
from ampproxy.model.events import ErrorKind, WireError
from ampproxy.model.lesson import STATUSES
from ampproxy.model.loss import Loss
from ampproxy.providers import Provider
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.spoken import spoken_in
from ampproxy.relay.vendor_ids import issued
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.route import Route, RouteTarget
from ampproxy.routing.vendor_calls import GOOGLE
from ampproxy.wire.redact import LOOKED_AT, printable
from ampproxy.wire.values import encode, loads

#: A vendor says that a proof of thinking is not its own, or not this account's.
_PROOF_REFUSED = re.compile(
    r"\binvalid_encrypted_content\b|\bencrypted content .{0,400}could not be (?:verified|decrypted)"
    # Answers' items that are not stored; Azure looks for them by their ids all the same.
    r"|\bexpected an id that begins with ['\"]rs\b|\bitem with id ['\"]rs_"
    r"|\bof type ['\"]reasoning['\"] was provided without its required"
    r"|\binvalid [`'\"]?signature[`'\"]? in [`'\"]?thinking",
    re.IGNORECASE | re.DOTALL,
)
#: The statuses of such refusals: what is not there is told of by its own.
PROOF_STATUSES = (*STATUSES, 404)
#: What issues ids.
_ISSUING = (Operation.GENERATE, Operation.OTHER)
#: So much of a whole answer is looked through for ids. Bytes.
LOOKED_THROUGH = 256 * 1024
_MAX_ID_CHARS = 256
#: So much of an error is searched for that. Characters.
_SEARCHED_CHARS = 4096


class Missed(ClientFault):
    """The account that keeps what a request refers to cannot be asked.

    :ivar body: the error, where the dialect has more to say than an error usually has.
    """

    def __init__(self, error: WireError, body: bytes | None = None) -> None:
        super().__init__(error)
        self.body = body


class Pin(NamedTuple):
    """A thing that a request refers to, and the account that keeps it."""

    thing: str
    offer: RouteTarget

    def selection(
        self,
        pool: Pool,
        route: Route,
        call: str,
        can: Callable[[RouteTarget], bool],
        whose: tuple[str, ...] = (),
    ) -> Selection:
        """The way to that account, and to no other."""
        model, selector = pool.selector(route, call, can, whose)
        label = self.offer.account.label
        only = next(
            (candidate for candidate in selector.candidates() if candidate.account.label == label), None
        )
        if only is None:
            # It has no such call, as the usual way will find.
            return pool.select(route, call=call, can=can, whose=whose)
        return PinnedSelection(pool, selector, model, None, only)

    def explain(self, failure: ExchangeError) -> None:
        """Say of a failure why no other account was asked; and let none be."""
        if failure.fault == "upstream" and failure.retryable:
            message = (
                f"{failure.error.message}\n{shown(self.thing)} is stored only at {self.offer.account.label}:"
                " no other account was tried. Try again later, or send the whole conversation."
            )
            failure.error = msgspec.structs.replace(failure.error, message=message)
        failure.retryable = False


class Sorted(NamedTuple):
    """What becomes of the proofs in a body.

    :ivar unowned: those of which nobody knows whose they are.
    """

    unowned: tuple[str, ...]
    body: bytes
    losses: tuple[Loss, ...]


class Pinning:
    """What one configuration's exchanges do about what vendors keep.

    :param pins: what is known of all of them.
    :param accounts: those of the configuration.
    :param families: what it knows of models; ``None``: the shipped table.
    """

    def __init__(
        self,
        pins: Pins,
        providers: Mapping[str, Provider],
        accounts: Iterable[Account],
        state: PoolState,
        families: Families | None = None,
    ) -> None:
        self._families = families
        self.pins = pins
        self._providers = providers
        self._accounts = tuple(accounts)
        vendors = Counter(providers[account.label].VENDOR for account in self._accounts)
        vendors[""] = 0
        #: The accounts beside which others may be asked for what they keep: by its id, without a model.
        self._several = {one.label for one in self._accounts if vendors[providers[one.label].VENDOR] > 1}
        self._state = state

    def may_refer(self, dialect: str, route: Route, body: bytes) -> bool:
        """Whether a request may refer to something that one of several accounts keeps, by a glance at it."""
        if not self.pins.things and len(route.offers) < 2:
            return False
        return DIALECTS[dialect].passthrough.state.may_refer(body)

    def knows(self, question: ModelRequest) -> bool:
        """Whether a request may refer to something of which it is known whose it is."""
        return question.refers and self.pins.things > 0

    def named(self, question: ModelRequest) -> tuple[str, ...]:
        """The things that a request refers to. It may be called in any thread."""
        return DIALECTS[question.endpoint.dialect].passthrough.state.references(question.body)

    def pin(self, question: ModelRequest, things: Iterable[str]) -> Pin | None:
        """The thing that decides where a request goes; ``None``: it may go anywhere.

        :param things: those that it refers to.
        :raises ExchangeError: nobody can serve it who has them.
        """
        owners = {owner: thing for thing in things if (owner := self.pins.owner(thing)) is not None}
        if not owners:
            return None
        if len(owners) > 1:
            both = " and ".join(shown(thing) for thing in list(owners.values())[:2])
            raise ClientFault.of(
                "invalid_request", f"{both} are stored at different accounts: none has both."
            )
        ((owner, thing),) = owners.items()
        for offer in question.route.offers:
            if self._name(offer) == owner and self._is_its_own(offer, question):
                return Pin(thing, offer)
        raise self._missed(DIALECTS[question.endpoint.dialect], thing, owner, question)

    def served(self, question: ModelRequest, offer: RouteTarget, part: bytes) -> None:
        """An account has begun to answer: what it issues is its own, and what it was asked about.

        :param part: of the answer, from its beginning.
        """
        alone = len(question.route.offers) < 2 and offer.account.label not in self._several
        if alone and (self.pins.empty or not self.pins.things):
            return
        state, operation = DIALECTS[question.endpoint.dialect].passthrough.state, question.endpoint.operation
        if operation not in _ISSUING or not self._is_its_own(offer, question):
            return
        if operation is Operation.OTHER:
            # As the batch that a method of a model begins.
            self.pins.pin(issued(GOOGLE, part[:LOOKED_THROUGH]), self._name(offer))
            return
        found = [*state.issued(question.facts.found, part[:LOOKED_THROUGH])]
        if question.refers:
            found += state.references(question.body)
        if found:
            self.pins.pin(found, self._name(offer))

    def watched(self, inner: StreamFilter, question: ModelRequest, offer: RouteTarget) -> StreamFilter:
        """A stream's filter that notes what is issued in it, where tools of the vendor's may do so."""
        if len(question.route.offers) < 2 or not self._is_its_own(offer, question):
            return inner
        state, tools = self._of(question), bytes(question.facts.found.tools)
        if not any(tool in tools for tool in state.tools):
            return inner
        issued = partial(state.issued, question.facts.found)
        return _Watched(inner, issued, partial(self.pins.pin, account=self._name(offer)))

    def _of(self, question: ModelRequest) -> VendorState:
        return DIALECTS[question.endpoint.dialect].passthrough.state

    def may_sort(
        self, question: ModelRequest, offer: RouteTarget, body: bytes, left: Identity | None
    ) -> bool:
        """Whether a body may hold proofs that the account does not take."""
        if left is None and not self.pins.proofs:
            return False
        state = DIALECTS[self._backend_dialect(offer, question)].passthrough.state
        return (state.bound or self.pins.proofs > 0) and state.may_prove(body)

    def sort(self, question: ModelRequest, offer: RouteTarget, body: bytes, left: Identity | None) -> Sorted:
        """The body without the proofs of other accounts. It changes nothing, and may be called in any thread.

        :param left: the account that the conversation has just left.
        """
        state = DIALECTS[self._backend_dialect(offer, question)].passthrough.state
        assert state.without is not None
        name = self._name(offer)
        moved = left is not None and state.bound
        unowned = (
            tuple(proof for proof in state.proofs_in(body) if not self.pins.knows_proof(proof))
            if moved
            else ()
        )
        gone = frozenset(unowned)
        body, losses = state.without(body, lambda proof: proof in gone or self.pins.is_foreign(proof, name))
        return Sorted(unowned, body, losses)

    def take(self, found: Sorted, bridge: Bridge, left: Identity | None) -> None:
        """Let a bridge have a sorted body, and remember whose the proofs were."""
        if found.unowned and left is not None:
            owner = next((one for one in self._accounts if self._state.identity(one) == left), None)
            self.pins.pin_proofs(found.unowned, "?" if owner is None else account_name(owner))
        if found.losses:
            bridge.body, bridge.losses = found.body, (*bridge.losses, *found.losses)

    def refuses_proofs(
        self, refusal: ExchangeError, question: ModelRequest, offer: RouteTarget, sent: bytes
    ) -> bool:
        """Whether a refusal is of proofs in the request: then they are known not to be this account's."""
        error = refusal.error
        text = f"{error.code or ''} {error.message[:_SEARCHED_CHARS]}"
        state = DIALECTS[self._backend_dialect(offer, question)].passthrough.state
        if not _PROOF_REFUSED.search(text) or not state.may_prove(sent):
            return False
        proofs = state.proofs_in(sent)
        self.pins.refuse_proofs(proofs, self._name(offer))
        return bool(proofs)

    def _name(self, offer: RouteTarget) -> str:
        return self._providers[offer.account.label].name

    def _backend_dialect(self, offer: RouteTarget, question: ModelRequest) -> str:
        return spoken_in(self._providers[offer.account.label], question, offer, self._families)

    def _is_its_own(self, offer: RouteTarget, question: ModelRequest) -> bool:
        """Whether an account speaks the client's dialect, so that ids are the same on both sides."""
        try:
            return self._backend_dialect(offer, question) == question.endpoint.dialect
        except ExchangeError:
            return False

    def _missed(self, dialect: Dialect, thing: str, owner: str, question: ModelRequest) -> Missed:
        """The error for a client whose thing is not to be had: the vendor's own for that, with the reason."""
        missing = dialect.passthrough.state.missing_as(thing)
        account = next((one for one in self._accounts if account_name(one) == owner), None)
        where = "an account that is no longer configured"
        if account is not None:
            where = f"{account.label}, which does not serve {question.requested_model}"
        message = (
            f"{shown(thing)} is not found: it is stored at {where}, and no other account has it. Send the"
            " whole conversation, or what it refers to."
        )
        kind: ErrorKind = "invalid_request" if missing.status == 400 else "not_found"
        error = WireError(kind, message, missing.status, missing.code, missing.param or None)
        return Missed(error, _detailed(dialect, error, missing.details) if missing.details else None)


class _Watched:
    """Looks at a stream before its filter does; an :class:`~ampproxy.interfaces.StreamFilter`.

    :param issued: finds ids. It may be called in any thread, as :meth:`feed` is.
    :param pin: is given them at the end.
    """

    def __init__(
        self,
        inner: StreamFilter,
        issued: Callable[[bytes], tuple[str, ...]],
        pin: Callable[[Iterable[str]], None],
    ) -> None:
        self._inner = inner
        self._issued = issued
        self._pin = pin
        self._found: dict[str, None] = {}
        #: An id may be parted between two pieces.
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        whole = self._tail + data
        self._found.update((thing, None) for thing in self._issued(whole))
        self._tail = whole[-_MAX_ID_CHARS:]
        return self._inner.feed(data)

    def end(self) -> bytes:
        self._pin(self._found)
        return self._inner.end()

    @property
    def complete(self) -> bool:
        return self._inner.complete

    def keepalive(self) -> bytes:
        return self._inner.keepalive()


def shown(thing: str) -> str:
    """A thing's id as people may be shown it."""
    return printable(thing[:LOOKED_AT])


def _detailed(dialect: Dialect, error: WireError, details: Mapping[str, str]) -> bytes:
    """The dialect's error, with details within its object."""
    body = loads(dialect.error_body(error))
    body["error"]["details"] = dict(details)
    return encode(body)
