"""Answers in the other shape: whole where a stream was asked for, a stream where a whole answer was; and what
is neither. Servers and proxies that know one of the two, or have fallen over, give these.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ampproxy.dialects.base import AnswerContext, Dialect
from ampproxy.errors import TruncatedStream, UnreadableAnswer
from ampproxy.interfaces import StreamFilter
from ampproxy.model.base import Value
from ampproxy.model.events import Usage
from ampproxy.model.fold import fold, unfold
from ampproxy.model.loss import Loss
from ampproxy.model.request import ChatRequest
from ampproxy.relay.growing import GrowingList
from ampproxy.relay.settle import Settling
from ampproxy.wire.json import members
from ampproxy.wire.sse import MAX_EVENT, EventTooLargeError, parse_events

#: What may stand before an answer and means nothing: a byte order mark, blanks, line ends.
_MARK = b"\xef\xbb\xbf"
_BLANK = _MARK + b" \t\r\n"
#: How the first line of an event stream may begin.
_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")
_STREAM = re.compile(rb"\s*(?:" + b"|".join(_FIELDS) + rb")")
#: A whole answer of Chat Completions where a chunk was expected: chunks have another word there.
_COMPLETION = b'"chat.completion"'
#: How an event begins that has no name, in dialects whose events have one.
_UNNAMED = (b"data:", b"event: message\n", b"event:message\n")
_WHOLE = re.compile(rb'"object"\s*:\s*' + re.escape(_COMPLETION))
#: A stream whose first line has not ended after so many bytes is taken for one.
_DOUBTED = 16 * 1024
#: Comments that have ended, and the blank lines behind them.
_COMMENTS = re.compile(rb"(?::[^\r\n]*[\r\n]+)+")
_LINE = re.compile(rb"[\r\n]")
#: Where most first events end.
_SOON = 1024
_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_WANTS_USAGE = re.compile(rb'"include_usage"\s*:\s*true\b')


class Origin(Value, frozen=True):
    """What answers are made with that no vendor says.

    :param wall: seconds since the epoch.
    :param new_id: makes an unguessable id for a prefix.
    """

    wall: Callable[[], float]
    new_id: Callable[[str], str]


class Shape:
    """Gives an answer of a dialect in the other shape, in the same dialect.

    :param dialect: of the account.
    :param model: the account's name of the model, for an answer that tells none.
    :param asked: the client's request, if it is of the same dialect: a chat that did not ask for usage in its
        stream may fail on it. ``None``: usage is always told.
    :param unended: take a stream for whole whose vendor did not say how the answer ended.
    :ivar losses: what could not be kept of a stream that was given as a whole answer.
    :ivar usage: what a whole answer that was given as a stream told of its cost.
    :ivar in_events: the client asked for events, though streams of the dialect may be lists.
    """

    def __init__(
        self,
        dialect: Dialect,
        model: str,
        origin: Origin,
        asked: bytes | None = None,
        *,
        unended: bool = False,
    ) -> None:
        self._unended = unended
        self.losses: tuple[Loss, ...] = ()
        self.dialect = dialect
        self._model = model
        self._origin = origin
        self._asked = asked
        self.usage: Usage | None = None
        self.in_events = False

    @property
    def lists(self) -> bool:
        """Whether a stream of the dialect may be a JSON list."""
        events = self.dialect.passthrough.events
        return events is not None and bool(events.list_unless)

    def streamed(self, body: bytes) -> bytes:
        """A whole answer as the stream that would have told it.

        :raises ampproxy.errors.UpstreamFault: it is none, or it tells of an error.
        """
        response = self.dialect.parse_response(body)
        self.usage = response.usage
        renderer = self.dialect.stream_renderer(self._context())
        return renderer.feed(unfold(response))

    def in_event(self, start: bytes) -> bool | None:
        """Whether the first event of a stream is a whole answer; ``None``: its line has not ended yet."""
        if _LINE.search(start) is None:
            return None if start.startswith(b"data:") else False
        # Mostly it ends so, and soon: that is found much faster.
        end_at = start.find(b"\n\n", 0, _SOON)
        if end_at < 0 and (end := _EVENT_END.search(start)) is not None:
            end_at = end.start()
        event = start if end_at < 0 else start[:end_at]
        events = self.dialect.passthrough.events
        if events is not None and events.typed:
            # Nearly all vendors name their events.
            return event.startswith(_UNNAMED) and self._is_whole(event)
        if _COMPLETION not in event:
            return False
        return _WHOLE.search(event) is not None and b'"message"' in event and b'"delta"' not in event

    def _is_whole(self, event: bytes) -> bool:
        values = members(parse_events(event.replace(b"\r\n", b"\n") + b"\n\n")[0][1])
        return values is not None and self.dialect.passthrough.is_answer(values)

    def in_lines(self, start: bytes) -> bool:
        """Whether a stream's first line is an event, with nothing around it: some servers write one object of
        JSON a line.
        """
        events = self.dialect.passthrough.events
        end = start.find(b"\n")
        if events is None or end < 0 or not start.startswith(b"{"):
            return False
        values = members(start[:end])
        monitor = events.monitor()
        if values is None or not monitor.see(b"", start[:end], values) or monitor.terminal:
            return False
        return self.lists or b'"delta"' in start[:end] or not self.dialect.passthrough.is_answer(values)

    def whole(self, body: bytes) -> bytes:
        """What came in place of a whole answer: the same, or if it is a stream the answer that it tells.

        :raises ampproxy.errors.UpstreamFault: the stream broke off, or tells of an error.
        """
        if body[:1] == b"{":
            return body
        body = body.removeprefix(_MARK)
        if self.dialect.passthrough.events is None or not self._is_stream(body):
            return body
        if self.in_event(body):
            return _first_event(body)
        parser = self.dialect.stream_parser()
        settling = Settling(one=False, unended=self._unended)
        response = fold(settling.feed([*parser.feed(body), *parser.end()]))
        self.losses = tuple(settling.losses)
        return self.dialect.render_response(response, self._context())

    def _is_stream(self, body: bytes) -> bool:
        if self.lists and body[:16].lstrip(_BLANK).startswith(b"["):
            return True
        return _STREAM.match(body) is not None

    def _context(self) -> AnswerContext:
        usage = self._asked is None or _WANTS_USAGE.search(self._asked) is not None
        request = ChatRequest(dialect=self.dialect.name, model=self._model, turns=(), include_usage=usage)
        return AnswerContext(self._model, int(self._origin.wall()), self._origin.new_id, request)


def opened(inner: StreamFilter, shape: Shape) -> StreamFilter:
    """What an account's stream goes through first. How a stream begins that is none of server-sent events is
    for its dialect to know.
    """
    return inner if shape.dialect.passthrough.events is None else Opened(inner, shape)


class Opened:
    """A stream's first bytes tell what it is; an :class:`~ampproxy.interfaces.StreamFilter`.

    A stream goes on to the filter at once. A JSON object in its place is gathered, and then told as the
    stream that it would have been. Anything else is refused with its first bytes.

    :param inner: what an account's stream goes through.
    """

    def __init__(self, inner: StreamFilter, shape: Shape) -> None:
        self._inner = inner
        self._shape = shape
        self._decided = False
        self._held: list[bytes] = []
        self._size = 0
        self._gathers = False

    def feed(self, data: bytes) -> bytes:
        if self._decided:
            return self._inner.feed(data)
        self._hold(data)
        return b"" if self._gathers else self._decide()

    def end(self) -> bytes:
        if self._decided:
            return self._inner.end()
        body = b"".join(self._held)
        if not body.strip(_BLANK):
            raise UnreadableAnswer("The vendor's answer is empty.")
        start = body.lstrip(_BLANK)
        if self._gathers or start.startswith(b"{"):
            body = self._shape.streamed(start if start.startswith(b"{") else _first_event(start))
        self._decided = True
        return self._inner.feed(body) + self._inner.end()

    @property
    def complete(self) -> bool:
        return self._inner.complete

    def keepalive(self) -> bytes:
        return self._inner.keepalive()

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT:
            raise UnreadableAnswer(
                f"The vendor's answer to a stream is no stream and larger than {MAX_EVENT} bytes."
            )

    def _decide(self) -> bytes:
        held = b"".join(self._held)
        start = held.lstrip(_BLANK)
        if start.startswith(b":") and len(start) < _DOUBTED:
            return self._comments(start)
        if self._shape.in_lines(start):
            self._inner = Lines(self._inner)
            return self._go_on(start)
        if start.startswith(b"{") and b"\n" not in start and len(start) < _DOUBTED:
            return b""
        whole = start.startswith(b"{") or self._shape.in_event(start)
        if whole is None and len(start) < _DOUBTED:
            return b""
        if whole:
            self._gathers = True
        elif self._is_stream(start):
            if self._shape.in_events and start.startswith(b"["):
                self._inner = Elements(self._inner)
            return self._go_on(held)
        elif start and not any(field.startswith(start) for field in _FIELDS):
            raise UnreadableAnswer("The vendor did not send a stream of events where one was expected.")
        return b""

    def _go_on(self, held: bytes) -> bytes:
        self._decided = True
        self._held = []
        # From now on nothing stands between.
        self.feed = self._inner.feed  # type: ignore[method-assign]
        return self._inner.feed(held)

    def _comments(self, start: bytes) -> bytes:
        """Comments go on at once, and tell nothing of what follows them."""
        comments = _COMMENTS.match(start)
        if comments is None:
            return b""
        rest = start[comments.end() :]
        self._held, self._size = [rest], len(rest)
        out = self._inner.feed(comments.group())
        return out + self._decide() if rest else out

    def _is_stream(self, start: bytes) -> bool:
        return start.startswith(_FIELDS) or (self._shape.lists and start.startswith(b"["))


class Lines:
    """Events that stand alone, each in a line, as server-sent events; a
    :class:`~ampproxy.interfaces.StreamFilter`.

    :param inner: what an account's stream goes through.
    """

    def __init__(self, inner: StreamFilter) -> None:
        self._inner = inner
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        end = data.rfind(b"\n") + 1
        if not end:
            self._size += len(data)
            if self._size > MAX_EVENT:
                raise UnreadableAnswer(f"An event of the stream is larger than {MAX_EVENT} bytes.")
            self._held.append(data)
            return b""
        lines = b"".join((*self._held, data[:end])).split(b"\n")
        self._held, self._size = [data[end:]], len(data) - end
        events = [line if line.startswith(b"data:") else b"data: " + line for line in lines if line.strip()]
        return self._inner.feed(b"".join([event + b"\n\n" for event in events])) if events else b""

    def end(self) -> bytes:
        out = self.feed(b"\n") if any(self._held) else b""
        return out + self._inner.end()

    @property
    def complete(self) -> bool:
        return self._inner.complete

    def keepalive(self) -> bytes:
        return self._inner.keepalive()


class Elements:
    """The elements of a JSON list that grows, as server-sent events: a stream filter, too.

    :param inner: what an account's stream goes through.
    """

    def __init__(self, inner: StreamFilter) -> None:
        self._inner = inner
        self._list = GrowingList(self._element, MAX_EVENT)
        self._events: list[bytes] = []

    def _element(self, text: bytes) -> bytes:
        self._events.append(b"data: " + text.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n")
        return b""

    def feed(self, data: bytes) -> bytes:
        try:
            self._list.feed(data)
        except EventTooLargeError as error:
            raise UnreadableAnswer(f"The model's answer cannot be read: {error}") from error
        events, self._events = self._events, []
        return self._inner.feed(b"".join(events)) if events else b""

    def end(self) -> bytes:
        if not self._list.closed:
            raise TruncatedStream
        return self._inner.end()

    @property
    def complete(self) -> bool:
        return self._inner.complete

    def keepalive(self) -> bytes:
        return self._inner.keepalive()


def _first_event(stream: bytes) -> bytes:
    """The data of the first event that has any."""
    return parse_events(stream.replace(b"\r\n", b"\n") + b"\n\n")[0][1]
