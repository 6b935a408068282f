"""One answer of an upstream, from its first byte to its end, without I/O."""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.http.chunks import BrokenChunks, ChunkedBody
from ampproxy.http.heads import BODILESS, AnswerRefused, Head, HeadReader

_SURPLUS = "answered with more than its headers announce"


class BrokenOff(Exception):
    """A connection ended before the answer that it carried."""


class AnswerReader:
    """Reads one answer. Interim ones before it are dropped.

    :param bodiless: whether no body follows, for ``HEAD`` was asked.
    :ivar head: ``None`` until it is whole.
    :ivar ended: whether the answer is whole.
    :ivar keep: whether the connection can be used again, once it is.
    :ivar begun: whether a single byte of it came.
    :ivar fault: why it is no answer, or none any more; nothing may be fed after it.
    """

    __slots__ = (
        "_bodiless",
        "_chunks",
        "_heads",
        "_left",
        "_step",
        "begun",
        "ended",
        "fault",
        "head",
        "keep",
    )

    def __init__(self, *, bodiless: bool = False) -> None:
        self._bodiless = bodiless
        self._heads: HeadReader | None = None
        self._chunks: ChunkedBody | None = None
        self._left = 0
        self.head: Head | None = None
        self.begun = self.ended = self.keep = False
        self.fault: AnswerRefused | BrokenChunks | None = None
        # Not bound, which would be a circle of references.
        self._step: Callable[[AnswerReader, bytes], bytes] = AnswerReader._feed_head

    def feed(self, data: bytes) -> bytes:
        """The next bytes, split anywhere; gives those of the body."""
        return self._step(self, data)

    def may_be_drawn(self) -> int:
        """How many of the next bytes are the body's, whatever they are: all but the last, which ends it."""
        return self._left - 1 if self._left > 0 and self.fault is None else 0

    def drawn(self, size: int) -> None:
        """So many of them went where they belong without being fed."""
        self._left -= size

    @property
    def until_closed(self) -> bool:
        """Whether nothing but the end of the connection ends it."""
        return self.head is not None and self.head.length is None and not self.head.chunked

    def _feed_head(self, data: bytes) -> bytes:
        self.begun = True
        heads = self._heads
        if heads is None:
            heads = self._heads = HeadReader(bodiless=self._bodiless)
        try:
            head = heads.feed(data)
        except AnswerRefused as refused:
            # Its traceback would refer to this object, and with it to all that has come.
            self.fault = refused.with_traceback(None)
            return b""
        return b"" if head is None else self._begin(head, heads.rest)

    def _begin(self, head: Head, rest: bytes) -> bytes:
        self._heads = None
        self.keep = head.keep
        length = head.length
        if head.chunked:
            self._chunks = ChunkedBody()
            self._step = AnswerReader._feed_chunks
        elif length is None:
            self.keep = False
            self._step = AnswerReader._feed_all
        elif length:
            self._left = length
            self._step = AnswerReader._feed_counted
        elif rest and not self._bodiless and head.code not in BODILESS:
            self.fault = AnswerRefused(_SURPLUS)
            return b""
        else:
            # What comes behind an answer that has no body whatever its headers say may be one all the same.
            self.keep = head.keep and not rest
            self.ended = True
            rest = b""
        self.head = head
        return self.feed(rest) if rest else b""

    def _feed_counted(self, data: bytes) -> bytes:
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        if left:
            self.fault = AnswerRefused(_SURPLUS)
            return data[:left]
        self.ended = True
        return data

    def _feed_chunks(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None
        out = chunks.feed(data)
        if chunks.ended or chunks.fault is not None:
            self.ended = chunks.ended and not chunks.rest
            self.fault = AnswerRefused(_SURPLUS) if chunks.rest else chunks.fault
        return out

    def _feed_all(self, data: bytes) -> bytes:
        return data
