"""Different dialects on the two sides: parser, shared vocabulary, renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from ampproxy.amp import ToolNames
from ampproxy.dialects._freeform import FreeformCalls
from ampproxy.dialects.base import AnswerContext, Dialect, StreamParser, StreamRenderer
from ampproxy.dialects.targets import target_for
from ampproxy.errors import ClientFault, ExchangeError, UpstreamFault
from ampproxy.model.base import GEMINI, RESPONSES
from ampproxy.model.events import Completed, Event, Failed, PartOpened, Usage, UsageReport, WireError
from ampproxy.model.fold import fold, unfold
from ampproxy.model.loss import Loss
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest
from ampproxy.model.thinking import with_suffix
from ampproxy.relay.bridge import Question
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.route import Offer


@dataclass(frozen=True, slots=True)
class Origin:
    """What answers are made with that no vendor says.

    :param wall: seconds since the epoch.
    :param new_id: makes an unguessable id for a prefix.
    """

    wall: Callable[[], float]
    new_id: Callable[[str], str]


class Names:
    """Tool names in an answer, as the client knows them.

    :param sent: names that had to change for the backend: as sent -> as the client knows them.
    :param request: its tools tell the right casing of a name that the model bent.
    :param freeform: names, as sent, of tools that take text and were said as functions.
    """

    __slots__ = ("_declared", "_freeform", "_sent")

    def __init__(self, sent: dict[str, str], request: ChatRequest, freeform: frozenset[str]) -> None:
        self._sent = sent
        self._declared = ToolNames(tool.name for tool in request.tools)
        self._freeform = FreeformCalls(freeform)

    def restore(self, events: list[Event]) -> list[Event]:
        """The same events; those that open a tool call with the client's name of the tool."""
        events = self._freeform.feed(events)
        for index, event in enumerate(events):
            if type(event) is PartOpened and type(event.part) is ToolCall:
                call = event.part
                name = self._declared.restore(self._sent.get(call.name, call.name))
                if name != call.name:
                    part = msgspec.structs.replace(call, name=name)
                    events[index] = msgspec.structs.replace(event, part=part)
        return events


class TranslatedStream:
    """A stream from one dialect into another: an :class:`~ampproxy.interfaces.StreamFilter`."""

    def __init__(self, parser: StreamParser, renderer: StreamRenderer, names: Names) -> None:
        self._parser = parser
        self._renderer = renderer
        self._names = names
        self._began = False
        self.complete = False
        self.usage: Usage | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What of the answer the client's dialect could not say."""
        return tuple(self._renderer.losses)

    def feed(self, data: bytes) -> bytes:
        """See :meth:`ampproxy.interfaces.StreamFilter.feed`."""
        return self._render(self._parser.feed(data))

    def end(self) -> bytes:
        """See :meth:`ampproxy.interfaces.StreamFilter.end`."""
        return self._render(self._parser.end())

    def error(self, error: WireError) -> bytes:
        """An error that ends the stream, in the client's dialect."""
        return self._renderer.error(error)

    def keepalive(self) -> bytes:
        """See :meth:`ampproxy.interfaces.StreamFilter.keepalive`."""
        return b"" if self.complete else self._renderer.keepalive()

    def _render(self, events: list[Event]) -> bytes:
        failed = self._note(events)
        if failed is None:
            out = self._renderer.feed(self._names.restore(events)) if events else b""
            self._began = self._began or bool(out)
            return out
        before = [event for event in events if event is not failed]
        out = self._renderer.feed(self._names.restore(before)) if before else b""
        if not out and not self._began:
            # Nothing has gone to the client: it can still be told by a status, or be served elsewhere.
            raise UpstreamFault(failed.error, retryable=True)
        self.complete = True
        return out + self._renderer.error(failed.error)

    def _note(self, events: list[Event]) -> Failed | None:
        for event in events:
            kind = type(event)
            if kind is Failed:
                return event  # type: ignore[return-value]
            if kind is Completed:
                self.complete = True
            elif kind is UsageReport:
                self.usage = event.usage  # type: ignore[union-attr]
        return None


class TranslateBridge:
    """A question said in another dialect, and its answer said back.

    :param spoken: the dialect that the account is asked in.
    :param strict: refuse what cannot be said without loss.
    :raises ExchangeError: the question is not valid, or cannot be said.
    """

    def __init__(
        self,
        question: Question,
        offer: Offer,
        client: Dialect,
        spoken: Dialect,
        origin: Origin,
        *,
        strict: bool,
    ) -> None:
        endpoint = question.endpoint
        self._counts = endpoint.operation is Operation.COUNT_TOKENS
        self._client = client
        self._spoken = spoken
        asked = client.parse_request(question.body, model=endpoint.model, stream=question.stream)
        if client.name == RESPONSES and spoken.name != RESPONSES:
            # Not at the top: a dialect is loaded when it is first asked for.
            from ampproxy.dialects.openai_responses.state import self_contained

            asked = self_contained(asked)
        target = target_for(spoken.name, offer.upstream_model)
        rendered = spoken.render_request(_directed(asked, question, offer), target)
        if strict and rendered.losses:
            raise _strict_refusal(rendered.losses, spoken.name)
        self.body = (
            spoken.count_request(rendered.body, offer.upstream_model) if self._counts else rendered.body
        )
        self.headers: Mapping[str, str] = rendered.headers
        self.losses = rendered.losses
        self._names = Names(rendered.names, asked, rendered.freeform)
        # Gemini's clients that do not ask for events get a list that grows.
        array = client.name == GEMINI and question.stream and b"alt=sse" not in question.query.split(b"&")
        self.content_type: bytes | None = (
            b"text/event-stream" if question.stream and not array else b"application/json"
        )
        self._context = AnswerContext(
            question.asked, int(origin.wall()), origin.new_id, asked, "array" if array else "sse"
        )
        self._stream: TranslatedStream | None = None
        self._usage: Usage | None = None

    def filter(self) -> TranslatedStream:
        """See :meth:`ampproxy.relay.bridge.Bridge.filter`."""
        renderer = self._client.stream_renderer(self._context)
        self._stream = TranslatedStream(self._spoken.stream_parser(), renderer, self._names)
        return self._stream

    def whole(self, body: bytes) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.whole`."""
        if self._counts:
            return self._client.count_body(self._spoken.parse_count(body))
        response = self._spoken.parse_response(body)
        self._usage = response.usage
        response = fold(self._names.restore(unfold(response)))
        return self._client.render_response(response, self._context)

    def error_event(self, error: WireError) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.error_event`."""
        return self._client.error_event(error) if self._stream is None else self._stream.error(error)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """See :meth:`ampproxy.relay.bridge.Bridge.parse_error`."""
        return self._spoken.parse_error(status, headers, body)

    def error_body(self, error: WireError, original: bytes) -> bytes:
        """In the client's dialect: it does not understand the vendor's."""
        return self._client.error_body(error)

    @property
    def usage(self) -> Usage | None:
        """See :meth:`ampproxy.relay.bridge.Bridge.usage`."""
        return self._usage if self._stream is None else self._stream.usage


def _directed(asked: ChatRequest, question: Question, offer: Offer) -> ChatRequest:
    """The request as it goes to one account: the vendor's name of the model, the thinking suffix in force."""
    suffix = question.route.suffix
    thinking = with_suffix(asked.thinking, suffix) if suffix else asked.thinking
    return msgspec.structs.replace(asked, model=offer.upstream_model, thinking=thinking)


def _strict_refusal(losses: tuple[Loss, ...], dialect: str) -> ExchangeError:
    lines = "; ".join(f"{loss.path}: {loss.why} ({loss.kind})" for loss in losses)
    return ClientFault.of(
        "invalid_request",
        f"With translation: strict, this request cannot be said in {dialect}: {lines}",
        code="translation_loss",
    )
