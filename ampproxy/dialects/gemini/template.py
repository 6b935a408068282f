"""Reads the common event of a stream by what it shares with the one before.

Nearly all events of a stream are the same bytes but for a few words and some counts. Once one was
decoded, the bytes before its words and those after them up to the next top-level member are
remembered; an event that has the same is read by comparing, which takes a fraction of decoding it.
"""

from __future__ import annotations

import re

from ampproxy.dialects.json import Decoder
from ampproxy.wire.json import BAD_JSON

#: The value of a part's text, from its opening quote on, after the candidates' beginning.
_TEXT = re.compile(rb'"text"\s*:\s*"')
_STRING = re.compile(rb'(?:[^"\\]|\\.)*"', re.DOTALL)
_NEXT = (b'"usageMetadata"', b'"modelVersion"')

_decode = Decoder(str).decode


class Template:
    """What the last event of mere words looked like.

    :ivar counts: whether the events have usage, which then is to be read from the last of them.
    """

    __slots__ = ("_after", "_before", "_start", "counts")

    def __init__(self) -> None:
        self._before = b""
        self._after = b""
        self._start = 0
        self.counts = False

    def forget(self) -> None:
        """The next event may be about something else."""
        self._before = b""

    def learn(self, payload: bytes) -> None:
        """Remember the form of an event that brought words of one part and nothing else."""
        begin = _TEXT.search(payload)
        if begin is None or not payload.startswith(b'{"candidates"'):
            return
        end = _STRING.match(payload, begin.end())
        if end is None:
            return
        close = end.end() - 1
        for member in _NEXT:
            stop = payload.find(member, close)
            if stop > 0:
                self._before = payload[: begin.end()]
                self._start = begin.end()
                self._after = payload[close : stop + len(member)]
                self.counts = member is _NEXT[0]
                return

    def words(self, payload: bytes) -> str | None:
        """The words of an event of the same form; ``None``: it must be decoded.

        What stands after the words has unescaped quotes, so it cannot be found inside of them.
        """
        before = self._before
        if not before or not payload.startswith(before) or payload[-1:] != b"}":
            return None
        close = payload.find(self._after, self._start)
        if close <= self._start:
            return None
        try:
            return _decode(payload[self._start - 1 : close + 1])
        except BAD_JSON:
            return None
