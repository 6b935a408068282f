"""Different dialects on the two sides: parser, shared vocabulary, renderer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from ampproxy.adapt.freeform import FreeformCalls
from ampproxy.adapt.target import target_at
from ampproxy.catalog.families import Families, shipped
from ampproxy.dialects.base import (
    AnswerContext,
    Dialect,
    Opening,
    Rendered,
    StreamParser,
    StreamRenderer,
    Target,
)
from ampproxy.dialects.tool_names import ToolNames
from ampproxy.errors import ClientFault, ExchangeError, UnreadableAnswer, UpstreamFault
from ampproxy.interfaces import StreamFilter
from ampproxy.model.events import (
    ChatResponse,
    Completed,
    Event,
    Failed,
    PartStarted,
    Usage,
    UsageReport,
    WireError,
    others,
)
from ampproxy.model.fold import fold, unfold
from ampproxy.model.loss import Loss
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest
from ampproxy.model.thinking import with_suffix
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.kept import Kept
from ampproxy.relay.losses import of_answer, refusing, strict_refusal
from ampproxy.relay.settle import Settling
from ampproxy.relay.shapes import Origin, Shape, opened
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.route import RouteTarget

#: So much is held back at most before the answer itself begins. Bytes.
_MAX_HANDSHAKE_BYTES = 64 * 1024
#: The largest whole answer that is gone through again for what its client's dialect could not say.
_MOST_TO_REVIEW = 1024 * 1024


class ToolNameRestorer:
    """Tool names in an answer, as the client knows them.

    :param sent: names that had to change for the backend: as sent -> as the client knows them.
    :param request: its tools tell the right casing of a name that the model bent.
    :param freeform: names, as sent, of tools that take text and were said as functions.
    """

    def __init__(self, sent: dict[str, str], request: ChatRequest, freeform: frozenset[str]) -> None:
        self._sent = sent
        self._tools = request.tools
        self._freeform = FreeformCalls(freeform) if freeform else None
        #: Whether a call may change by more than its name.
        self.unwraps = bool(freeform)

    @cached_property
    def _declared(self) -> ToolNames:
        """Made when the first call comes."""
        return ToolNames(tool.name for tool in self._tools)

    def restore(self, events: list[Event]) -> list[Event]:
        """The same events; those that open a tool call with the client's name of the tool."""
        return [self.restored(event) for event in self.unwrapped(events)]

    def unwrapped(self, events: list[Event]) -> list[Event]:
        """The events, with calls of wrapped tools as calls with text."""
        return events if self._freeform is None else self._freeform.feed(events)

    def restored(self, event: Event) -> Event:
        """The event; if it opens a tool call, with the client's name of the tool."""
        if type(event) is not PartStarted or type(event.part) is not ToolCall:
            return event
        name = self._declared.restore(self._sent.get(event.part.name, event.part.name))
        if name == event.part.name:
            return event
        return msgspec.structs.replace(event, part=msgspec.structs.replace(event.part, name=name))


class TranslatedStream:
    """A stream from one dialect into another: an :class:`~ampproxy.interfaces.StreamFilter`.

    What goes before the answer itself is held back until that begins, or a sign of life is due: so long
    another account may be asked.
    """

    def __init__(
        self,
        parser: StreamParser,
        renderer: StreamRenderer,
        names: ToolNameRestorer,
        settling: Settling | None = None,
        kept: Kept | None = None,
    ) -> None:
        self._parser = parser
        self._renderer = renderer
        self._names = names
        self._settling = Settling(one=False) if settling is None else settling
        self._kept = kept
        self._begun = False
        self._handshake = b""
        self.complete = False
        self.usage: Usage | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What of the answer the client's dialect could not say."""
        return (*self._renderer.losses, *self._settling.losses)

    def feed(self, data: bytes) -> bytes:
        try:
            return self._render(self._parser.feed(data))
        except RecursionError:
            raise _unreadable() from None

    def end(self) -> bytes:
        try:
            return self._render(self._parser.end())
        except RecursionError:
            raise _unreadable() from None

    def error(self, error: WireError) -> bytes:
        """An error that ends the stream, in the client's dialect."""
        return self._renderer.error(error)

    def keepalive(self) -> bytes:
        if self.complete:
            return b""
        self._begun = True
        held, self._handshake = self._handshake, b""
        return held + self._renderer.keepalive()

    def _render(self, events: list[Event]) -> bytes:
        failed = None
        if others(events) or not self._settling.content or self._names.unwraps:
            events = self._names.unwrapped(self._settling.feed(events))
            failed = self._note(events)
        if failed is None:
            out = self._renderer.feed(events) if events else b""
            if self._kept is not None:
                self._kept.events(out)
            return out if self._begun else self._opening(out)
        before = [event for event in events if event is not failed]
        # As long as nothing has gone to the client it can be told by a status, or be served elsewhere.
        fault = UpstreamFault(failed.error, retryable=True)
        fault.sent_before = self._handshake + (self._renderer.feed(before) if before else b"")
        raise fault

    def _opening(self, out: bytes) -> bytes:
        self._handshake += out
        if not (self._settling.content or self.complete or len(self._handshake) > _MAX_HANDSHAKE_BYTES):
            return b""
        self._begun = True
        held, self._handshake = self._handshake, b""
        return held

    def _note(self, events: list[Event]) -> Failed | None:
        """Look at all but deltas: give calls the client's names, and return what ends the stream too soon."""
        for place in others(events):
            event = events[place]
            kind = type(event)
            if kind is PartStarted:
                events[place] = self._names.restored(event)
            elif kind is Failed:
                return event  # type: ignore[return-value]
            elif kind is Completed:
                self.complete = True
            elif kind is UsageReport:
                self.usage = event.usage  # type: ignore[union-attr]
        return None


class Openings(dict[tuple[str, str], Opening | None]):
    """How the thinking of models begins: account's label and model -> what its answers showed; ``None``: the
    model is not known to think.

    :param families: what is known of models; ``None``: the shipped table.
    """

    def __init__(self, families: Families | None) -> None:
        super().__init__()
        self._families = families

    def __missing__(self, key: tuple[str, str]) -> Opening | None:
        if len(self) >= _MOST_OPENINGS:
            self.clear()
        model = key[1]
        thinks = (self._families or shipped()).find(model).thinks
        found = Opening() if thinks or (thinks is None and _THINKER.search(model)) else None
        self[key] = found
        return found


#: So many models are known at most.
_MOST_OPENINGS = 1024
#: Names of models that always think.
_THINKER = re.compile(r"thinking|reason|\bqwq|\br1\b", re.I)


class TranslateBridge:
    """A question said in another dialect, and its answer said back. A :class:`~ampproxy.relay.bridge.Bridge`.

    :param spoken: the dialect that the account is asked in.
    :param written: the dialect of the question's body, where that is not the client's; the answer is in the
        client's all the same.
    :param strict: refuse what cannot be said without loss.
    :param families: what is known of models; ``None``: the shipped table.
    :param kept: keeps what the client may refer to later; ``None``: nothing is kept.
    :param openings: how the thinking of models was seen to begin, by account and model.
    :raises ExchangeError: the question is not valid, or cannot be said.
    """

    def __init__(
        self,
        question: ModelRequest,
        offer: RouteTarget,
        client: Dialect,
        spoken: Dialect,
        origin: Origin,
        *,
        strict: bool,
        families: Families | None = None,
        written: Dialect | None = None,
        kept: Kept | None = None,
        openings: Openings | None = None,
    ) -> None:
        endpoint = question.endpoint
        self._counts = endpoint.operation is Operation.COUNT_TOKENS
        self._client = client
        self._spoken = spoken
        self.spoken = spoken.name
        self._compacting = client.compacting if endpoint.operation is Operation.COMPACT else None
        body = question.body if self._compacting is None else self._compacting.request(question.body)
        self._question = question.body if self._compacting is not None else b""
        asked = read_question(body, written or client, spoken, model=endpoint.model, stream=question.stream)
        if self._compacting is not None and client.name == spoken.name:
            asked = client.for_others(asked)
        rendered = render_for(
            asked,
            spoken,
            offer.upstream_model,
            question.route.suffix,
            families,
            base_url=offer.account.base_url,
            profile=offer.account.profile,
        )
        if strict and (lost := refusing(rendered.losses)):
            raise strict_refusal(lost, spoken.name)
        self.body = (
            spoken.count_request(rendered.body, offer.upstream_model) if self._counts else rendered.body
        )
        self.headers: Mapping[str, str] = rendered.headers
        self.losses = rendered.losses
        self._names = ToolNameRestorer(rendered.names, asked, rendered.freeform)
        self.listed = array = question.listed(client)
        self.content_type: bytes | None = (
            b"text/event-stream" if question.stream and not array else b"application/json"
        )
        self._context = AnswerContext(
            question.requested_model, int(origin.wall()), origin.new_id, asked, "array" if array else "sse"
        )
        self._shape = Shape(spoken, offer.upstream_model, origin, unended=offer.account.unended)
        self._one = (asked.sampling.candidates or 1) < 2
        self._unended = offer.account.unended
        self._settled: Settling | None = None
        self._kept = kept
        self._opening: Opening | None = None
        if spoken.unmarked_thoughts and openings is not None:
            suffix = question.route.suffix
            thinking = with_suffix(asked.thinking, suffix) if suffix else asked.thinking
            if thinking is None or thinking.mode != "off":
                self._opening = openings[offer.account.label, offer.upstream_model]
        self._stream: TranslatedStream | None = None
        self._usage: Usage | None = None
        self._answer: ChatResponse | None = None

    def filter(self) -> StreamFilter:
        renderer = self._client.stream_renderer(self._context)
        opening = self._opening
        parser = self._spoken.stream_parser() if opening is None else self._spoken.stream_parser(opening)
        self._stream = TranslatedStream(parser, renderer, self._names, self._settling(), self._kept)
        return opened(self._stream, self._shape)

    def _settling(self) -> Settling:
        return Settling(one=self._one, unended=self._unended, client=self._client.name)

    def whole(self, body: bytes) -> bytes:
        if self._counts:
            return self._client.count_body(self._spoken.parse_count(body))
        try:
            return self._whole(body)
        except RecursionError:
            raise _unreadable() from None

    def _whole(self, body: bytes) -> bytes:
        response = self._spoken.parse_response(self._shape.whole(body))
        self._usage = response.usage
        self._settled = self._settling()
        response = fold(self._names.restore(self._settled.feed(unfold(response))))
        self._answer = response if len(body) <= _MOST_TO_REVIEW else None
        if self._compacting is not None:
            return self._compacting.answer(response, self._context, self._question)
        answer = self._client.render_response(response, self._context)
        if self._kept is not None:
            self._kept.answer(answer)
        return answer

    def error_event(self, error: WireError) -> bytes:
        return self._client.error_event(error) if self._stream is None else self._stream.error(error)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        return self._spoken.parse_error(status, headers, body)

    def error_body(self, error: WireError, original: bytes) -> bytes:
        """In the client's dialect: it does not understand the vendor's."""
        return self._client.error_body(error)

    @property
    def failed(self) -> WireError | None:
        """See :attr:`ampproxy.relay.bridge.Bridge.failed`: it is raised."""
        return None

    @property
    def usage(self) -> Usage | None:
        return self._usage if self._stream is None else self._stream.usage

    @property
    def answer_losses(self) -> tuple[Loss, ...]:
        if self._stream is not None:
            return self._stream.losses
        bent = self._shape.losses + (() if self._settled is None else tuple(self._settled.losses))
        if self._answer is None:
            return bent
        return (*of_answer(self._answer, self._client, self._context), *bent)


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _loaded(function: _Function) -> _Function:
    """The function itself, where a dialect has a stand-in for it that loads it: each call through that is one
    more.
    """
    found: _Function = getattr(function, "found", function)
    return found


def read_question(
    body: bytes, client: Dialect, spoken: Dialect, *, model: str | None, stream: bool | None
) -> ChatRequest:
    """A client's request, as another dialect may be asked it.

    :param model: from the path, as is ``stream``.
    :raises ampproxy.errors.ClientFault: it is not valid, or refers to what only its own vendor stores.
    """
    try:
        asked = _loaded(client.parse_request)(body, model=model, stream=stream)
    except RecursionError:
        raise _too_deep() from None
    return asked if client.name == spoken.name else _loaded(client.for_others)(asked)


def render_for(
    asked: ChatRequest,
    spoken: Dialect,
    model: str,
    suffix: str | None,
    families: Families | None = None,
    *,
    base_url: str = "",
    profile: str = "",
) -> Rendered:
    """A request as it goes to one account.

    :param model: the vendor's name of it.
    :param suffix: the thinking suffix in force, if any.
    :param families: what is known of models; ``None``: the shipped table.
    :param base_url: of the account; empty: any.
    :param profile: the host profile that the account names; empty: the address's.
    :raises ampproxy.errors.ClientFault: it is nested too deeply.
    """
    thinking = with_suffix(asked.thinking, suffix) if suffix else asked.thinking
    directed = msgspec.structs.replace(asked, model=model, thinking=thinking)
    target = target_at(spoken.name, model, base_url, profile, families)
    openai = target.openai_members is True
    # Not at the top: the passes are loaded when a request is translated.
    from ampproxy.adapt.settings import without_preferences

    directed, wishes = without_preferences(directed, spoken.name, openai=openai)
    if suffix:
        # The model's name asks for it, so whoever chose the name knows that the model thinks.
        host = msgspec.structs.replace(target.host, asks_unknown=True)
        target = msgspec.structs.replace(target, host=host)
    rendered = rendered_for(directed, spoken, target)
    return msgspec.structs.replace(rendered, losses=wishes + rendered.losses) if wishes else rendered


def rendered_for(asked: ChatRequest, spoken: Dialect, target: Target) -> Rendered:
    """A request as a target takes it.

    :raises ampproxy.errors.ClientFault: it is nested too deeply.
    """
    try:
        return _loaded(spoken.render_request)(asked, target)
    except RecursionError:
        raise _too_deep() from None


def _unreadable() -> UpstreamFault:
    """An answer on the verge, likewise."""
    return UnreadableAnswer("The vendor's answer is nested too deeply.")


def _too_deep() -> ExchangeError:
    """A request whose reading went well, but not all that is done with it: it is on the verge."""
    return ClientFault.of("invalid_request", "The request body is nested too deeply.")
