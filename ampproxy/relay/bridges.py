"""Makes the bridge between a question's dialect and an account's."""

from __future__ import annotations

from collections.abc import Mapping

from ampproxy.catalog.families import Families, shipped
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import STATUS, ClientFault, GatewayFault, UnreadableAnswer, UpstreamFault
from ampproxy.interfaces import StreamFilter
from ampproxy.model.events import Usage, WireError
from ampproxy.model.loss import Loss
from ampproxy.model.payload import PayloadRule
from ampproxy.providers import Provider
from ampproxy.relay.adapt import adapted, may_differ
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.endings import Endings
from ampproxy.relay.envelope import enveloped
from ampproxy.relay.kept import Kept
from ampproxy.relay.learning import Learner
from ampproxy.relay.passthrough import PassthroughFilter, WatchedFilter, passing, rewrite_whole
from ampproxy.relay.remembered import Remembered
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.relay.shapes import Origin, Shape, opened
from ampproxy.relay.spoken import other_than, spoken_in
from ampproxy.relay.stored import StoredAnswers
from ampproxy.relay.translate import Openings, TranslateBridge
from ampproxy.relay.workers import REQUEST_OBJECTS, SMALL, takes_long
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.route import RouteKind, RouteTarget
from ampproxy.wire.json import members, replace_model

#: What can be parsed at all.
_PARSED = (Operation.GENERATE, Operation.COUNT_TOKENS)


class BridgeMaker:
    """Makes bridges for the accounts of one configuration. A :class:`~ampproxy.relay.bridge.Bridges`.

    :param providers: how each account is reached, by its label.
    :param strict: refuse what cannot be translated without loss.
    :param payload: the owner's rules over bodies.
    :param families: what is known of models; ``None``: the shipped table.
    :param learner: knows what accounts have taught; ``None``: nothing is learned.
    :param dialects: those that there are.
    :param remembered: keeps what clients may refer to later; ``None``: nothing is kept.
    :param stored: likewise whole answers.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        origin: Origin,
        *,
        strict: bool,
        payload: tuple[PayloadRule, ...] = (),
        families: Families | None = None,
        learner: Learner | None = None,
        dialects: Mapping[str, Dialect] = DIALECTS,
        remembered: Remembered | None = None,
        stored: StoredAnswers | None = None,
    ) -> None:
        self._remembered = remembered
        self._stored = stored
        self._families = families
        self._learner = learner
        self._dialects = dialects
        #: The accounts whose vendors put something around their dialect.
        self._packing = {
            label for label, each in providers.items() if type(each).packed is not Provider.packed
        }
        self._providers = providers
        #: (account's label, client's dialect, operation) -> that dialect, where all is asked in it.
        self._same: dict[tuple[str, str, Operation], Dialect] = {}
        self._openings = Openings(families)
        self._origin = origin
        self._strict = strict
        self._payload = payload

    @property
    def families(self) -> Families:
        """What is known of models now."""
        return self._families or shipped()

    def know(self, families: Families) -> None:
        """From now on go by what is known now of models; what is under way keeps what it began with."""
        self._families = families
        self._openings = Openings(families)

    def can(self, endpoint: Endpoint, offer: RouteTarget) -> bool:
        """Whether the offer's account has a call for what is asked at all."""
        try:
            self._providers[offer.account.label].backend_dialect(endpoint)
        except GatewayFault:
            return False
        return True

    def spoken(self, question: ModelRequest, offer: RouteTarget) -> str:
        account, endpoint = offer.account, question.endpoint
        spoken = spoken_in(self._providers[account.label], question, offer, self._families)
        if spoken == endpoint.dialect and not other_than(spoken, account, endpoint.operation):
            self._same[account.label, spoken, endpoint.operation] = self._dialects[spoken]
        return spoken

    def take_long(self, question: ModelRequest, offer: RouteTarget) -> bool:
        if len(question.body) <= SMALL:
            return False
        return not self._passes(question, offer) and takes_long(question.body, REQUEST_OBJECTS)

    def _passes(self, question: ModelRequest, offer: RouteTarget) -> bool:
        """Whether a body is certain to pass as it is. What is known of it already is looked at first."""
        facts = question.facts
        if facts.thinks or facts.mixed or question.route.suffix:
            return False
        spoken = self.spoken(question, offer)
        if spoken != question.endpoint.dialect:
            return False
        if may_differ(question, offer, self._dialects[spoken], self._families):
            return False
        learner = self._learner
        return learner is None or learner.lessons.empty or not learner.knows(question, offer, spoken)

    def __call__(self, question: ModelRequest, offer: RouteTarget) -> Bridge:
        """The bridge for a question and an account.

        :raises ampproxy.errors.ExchangeError: the account cannot be asked this.
        """
        provider = self._providers[offer.account.label]
        asked, operation = question.endpoint.dialect, question.endpoint.operation
        same = self._same.get((offer.account.label, asked, operation))
        spoken = asked if same is not None else self.spoken(question, offer)
        bridge: Bridge
        # To set the thinking that the model's name asks for, or to take out another vendor's proofs,
        # a request has to be understood although both sides speak its dialect.
        facts = question.facts
        understood = bool(question.route.suffix) or facts.foreign_signatures or bool(facts.mixed)
        summary = operation is Operation.COMPACT and not provider.compacts(question.endpoint)
        if spoken == asked and not summary and not (understood and operation in _PARSED):
            bridge = PassthroughBridge(
                question,
                offer,
                same or self._dialects[asked],
                self._origin,
                self._families,
                strict=self._strict,
            )
            kept = self._kept(asked, question) if offer.account.label in self._packing else None
        else:
            kept = None
            bridge = TranslateBridge(
                question,
                offer,
                self._dialects[asked],
                self._dialects[spoken],
                self._origin,
                written=self._dialects[question.facts.mixed or asked],
                strict=self._strict,
                families=self._families,
                kept=self._kept(asked, question),
                openings=self._openings,
            )
        if self._payload and operation is Operation.GENERATE:
            # Not at the top: few configurations have rules.
            from ampproxy.relay.payload import apply, asked_by

            bridge.body = apply(self._payload, bridge.body, asked_by(question, offer, spoken))
        if self._learner is not None and not self._learner.lessons.empty:
            self._learner.bend(bridge, question, offer, spoken)
        if offer.account.label not in self._packing:
            return bridge
        return enveloped(bridge, provider, question, offer, strict=self._strict, kept=kept)

    def _kept(self, asked: str, question: ModelRequest) -> Kept | None:
        """What keeps the answer to a question whose account stores nothing."""
        references = self._dialects[asked].passthrough.references
        if self._remembered is None or references is None:
            return None
        return Kept.of(self._remembered, self._stored, references, question)


def _named(body: bytes, model: str, asked: str) -> bytes:
    """The body with another model's name.

    :raises ampproxy.errors.ClientFault: its members' names are not even UTF-8.
    """
    try:
        return replace_model(body, model, asked)
    except ValueError as problem:
        raise ClientFault.of("invalid_request", str(problem)) from None


class PassthroughBridge:
    """The same dialect on both sides: bytes pass; the model's name changes where it must."""

    headers: Mapping[str, str] = {}
    content_type: bytes | None = None

    def __init__(
        self,
        question: ModelRequest,
        offer: RouteTarget,
        dialect: Dialect,
        origin: Origin,
        families: Families | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self._dialect = dialect
        self.spoken = dialect.name
        self._shape = Shape(
            self._dialect, offer.upstream_model, origin, question.body, unended=offer.account.unended
        )
        self._question = question
        self._offer = offer
        self._new_id = origin.new_id
        self._filter: PassthroughFilter | WatchedFilter | None = None
        self._endings = Endings(dialect, unended=offer.account.unended)
        self._losses: tuple[Loss, ...] = ()
        self._failed: WireError | None = None
        self._usage: Usage | None = None
        events = dialect.passthrough.events
        self.listed = events is not None and bool(events.list_unless) and question.listed(dialect)
        self._shape.in_events = not self.listed
        self.body = question.body
        self.losses: tuple[Loss, ...] = ()
        passes = dialect.passthrough
        if may_differ(question, offer, dialect, families):
            self.body, self.losses = adapted(question, offer, dialect, families, strict=strict)
        if question.facts.thinks and question.endpoint.operation in (*_PARSED, Operation.COMPACT):
            cleaned = question.endpoint.amp
            self.body, lost = passes.own(self.body, offer.upstream_model, families, cleaned=cleaned)
            self.losses += lost
        if passes.model_in_body and question.requested_model != offer.upstream_model:
            self.body = _named(self.body, offer.upstream_model, question.requested_model)

    def filter(self) -> StreamFilter:
        """See :meth:`ampproxy.relay.bridge.Bridge.filter`."""
        self._filter = passing(
            self._dialect,
            self._rewriter(),
            endings=self._endings,
            unended=self._offer.account.unended,
            new_id=self._new_id,
        )
        return opened(self._filter, self._shape)

    def whole(self, body: bytes) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.whole`."""
        operation = self._question.endpoint.operation
        if operation is not Operation.GENERATE:
            check_other(self._dialect, operation, body)
            if operation is Operation.COMPACT:
                self._usage = self._dialect.passthrough.usage(members(body) or {})
            return body
        try:
            out, self._usage = rewrite_whole(
                self._dialect,
                self._shape.whole(body),
                self._rewriter(),
                check=self._dialect.parse_response,
                judge=self._judge,
                new_id=self._new_id,
            )
        except RecursionError:
            raise UnreadableAnswer("The vendor's answer is nested too deeply.") from None
        return out

    def _judge(self, body: bytes) -> None:
        """Read a whole answer that does not plainly end well.

        :raises UpstreamFault: it broke, and its client would not know.
        """
        if _PREWARM in self._question.body:
            return
        events = self._dialect.passthrough.events
        ending = self._endings.of_whole(body)
        ending.check(own_breaks=events is not None and events.own_breaks)
        self._losses, self._failed = ending.losses, ending.error

    def error_event(self, error: WireError) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.error_event`."""
        event = self._dialect.error_event(error)
        return event if self._filter is None else self._filter.framed(event, self._dialect.error_body(error))

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """See :meth:`ampproxy.relay.bridge.Bridge.parse_error`."""
        return self._dialect.parse_error(status, headers, body)

    def error_body(self, error: WireError, original: bytes) -> bytes:
        """The vendor's own, if it is JSON: its clients know how to read it."""
        return self._dialect.error_body(error) if members(original) is None else original

    @property
    def usage(self) -> Usage | None:
        """See :meth:`ampproxy.relay.bridge.Bridge.usage`."""
        return self._usage if self._filter is None else self._filter.usage or self._shape.usage

    @property
    def failed(self) -> WireError | None:
        """See :attr:`ampproxy.relay.bridge.Bridge.failed`."""
        return self._failed if self._filter is None else self._filter.failed

    @property
    def answer_losses(self) -> tuple[Loss, ...]:
        """See :attr:`ampproxy.relay.bridge.Bridge.answer_losses`."""
        return self._losses if self._filter is None else self._filter.losses

    def _rewriter(self) -> AnswerRewriter | None:
        question, offer = self._question, self._offer
        if not question.endpoint.amp and question.requested_model == offer.upstream_model:
            return None
        drop = question.route.kind is RouteKind.MAPPED or offer.account.dialect != self._dialect.name
        return AnswerRewriter(
            self._dialect,
            question.requested_model,
            question.body,
            drop_thinking=drop and question.endpoint.amp,
            repairs=question.endpoint.amp,
        )


#: Of a request that only fills OpenAI's cache, whose answer is empty.
_PREWARM = b'"prewarm"'
#: What the answer of a call for embeddings has, in the dialects that have such calls.
_EMBEDDINGS = frozenset(("data", "embedding", "embeddings"))


def check_other(dialect: Dialect, operation: Operation, body: bytes) -> None:
    """Look at what a vendor answered to anything but a question.

    :raises ampproxy.errors.UpstreamFault: it is no answer, or it tells of an error.
    """
    found = members(body)
    if found is not None and "error" in found and bytes(found["error"]) != b"null":
        raise UpstreamFault(dialect.parse_error(STATUS["unavailable"], {}, body), retryable=True)
    if operation is Operation.COUNT_TOKENS:
        dialect.parse_count(body)
    elif found is None:
        raise UnreadableAnswer("The vendor's answer is not a JSON object.")
    elif operation is Operation.EMBED and _EMBEDDINGS.isdisjoint(found):
        raise UnreadableAnswer("The vendor's answer has no embeddings.")
