"""What the streams of all dialects have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, Generic, TypeVar

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import bad_answer
from ampproxy.errors import TruncatedStream
from ampproxy.model.base import Json
from ampproxy.model.events import Event, Failed, Ping, Usage, UsageReport, WireError, steps_of
from ampproxy.model.loss import Losses
from ampproxy.wire.sse import EventReader, EventTooLargeError
from ampproxy.wire.values import bytes_of

#: A vendor's id that is longer is not taken over: each event of a stream may repeat it.
LONGEST_ID: Final = 256
#: Bytes of members that each event of a stream may repeat.
_MOST_REPEATED: Final = 2048

Piece = TypeVar("Piece")


class Parser(Generic[Piece]):
    """A parser of one stream; see :class:`~ampproxy.dialects.base.StreamParser`.

    :param split: cuts the bytes of the stream into what :meth:`_read` takes.
    """

    def __init__(self, split: Callable[[bytes], list[Piece]]) -> None:
        self._split = split
        self._over = False

    def feed(self, data: bytes) -> list[Event]:
        if self._over:
            return []
        try:
            pieces = self._split(data)
        except EventTooLargeError as problem:
            return self._fail(bad_answer(str(problem)).error)
        return self._read(pieces)

    def _read(self, pieces: list[Piece]) -> list[Event]:
        """The events of what is complete now."""
        raise NotImplementedError

    def _fail(self, error: WireError) -> list[Event]:
        self._over = True
        return [Failed(error)]


class EventParser(Parser[tuple[bytes, bytes]]):
    """A parser of a stream of events with a terminal one."""

    def __init__(self) -> None:
        self._reader = EventReader()
        super().__init__(self._reader.feed)

    def end(self) -> list[Event]:
        events = [] if self._over else self._read(self._reader.end())
        if not (self._over or self._reader.cut):
            self._settle(events)
        if not self._over:
            raise TruncatedStream
        return events

    def _settle(self, out: list[Event]) -> None:
        """The stream ended without its terminal event, which may be all that it lacks."""


class Renderer:
    """A renderer of one stream; see :class:`~ampproxy.dialects.base.StreamRenderer`. Each kind of event has a
    method of its own (:func:`~ampproxy.model.events.steps_of`), which adds to the bytes that go out.

    :cvar KEEPALIVE: something harmless to send while the vendor is silent: mostly a comment, which readers
        skip; empty where there is no such thing.
    """

    KEEPALIVE: ClassVar[bytes] = b": keep-alive\n\n"
    _steps: ClassVar[Mapping[type, Callable[..., object]]] = {}

    def __init_subclass__(cls) -> None:
        cls._steps = steps_of(cls)

    def __init__(self, context: AnswerContext) -> None:
        self.losses = Losses()
        self._context = context
        #: Whether the vendor speaks the client's dialect.
        self._own = False
        self._usage: Usage | None = None
        self._over = False

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if not self._over and (step := self._steps.get(type(event))) is not None:
                step(self, event, out)
        return b"".join(out)

    def error(self, error: WireError) -> bytes:
        raise NotImplementedError

    def keepalive(self) -> bytes:
        return b"" if self._over else self.KEEPALIVE

    def _on_usage(self, event: UsageReport, out: list[bytes]) -> None:
        self._usage = event.usage

    def _on_failure(self, event: Failed, out: list[bytes]) -> None:
        out.append(self.error(event.error))

    def _on_ping(self, event: Ping, out: list[bytes]) -> None:
        out.append(self.KEEPALIVE)


def repeated(extras: Mapping[str, Json]) -> dict[str, Json]:
    """Those of an answer's members that each event of its stream may repeat: all that any vendor gives.

    What is large and reported once must not be sent ten thousand times.
    """
    kept: dict[str, Json] = {}
    room = _MOST_REPEATED
    for name, raw in extras.items():
        room -= len(name) + len(bytes_of(raw))
        if room >= 0:
            kept[name] = raw
    return kept
