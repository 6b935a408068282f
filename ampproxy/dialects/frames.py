"""The short way for events that repeat the one before in all but their words.

Nearly all events of a stream differ from the last one in a single JSON string, some in a number before it or
in counts behind it. When an event was read the long way and gave one delta, what stands around that string is
kept: the events that have the same around one JSON string mean the same with other words. Comparing takes a
fraction of decoding, and all the words that one read brought are decoded at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from ampproxy.dialects.json import Decoder, encode
from ampproxy.wire.json import BAD_JSON

_text: Final = Decoder(str).decode
_texts: Final = Decoder(list[str]).decode
#: So many frames are learned in vain (a server whose events all differ) before the stream is left alone.
_MAX_MISSES: Final = 8
#: The member by which OpenAI hides the length of the words; it is the last one.
_PADDING: Final = b',"obfuscation":"'
#: The member by which OpenAI counts the events.
_NUMBER: Final = b'"sequence_number":'
_MOST_DIGITS: Final = 18


#: So many events are compared at once.
_FEWEST_AT_ONCE: Final = 4
_MOST_AT_ONCE: Final = 256


class Frame:
    """What the events of one stream have in common at present.

    :param keys: the members that hold an event's words, each with its quotes and colon: no JSON string can
        hold one.
    :param open_at: members behind the words from which on events may differ.
    """

    __slots__ = (
        *("_close", "_digits", "_head", "_keys", "_middle"),
        *("_misses_left", "_open_at", "_start", "_tail"),
    )

    def __init__(self, *keys: bytes, open_at: tuple[bytes, ...] = ()) -> None:
        self._keys = keys
        self._open_at = open_at
        self._misses_left = _MAX_MISSES
        self.forget()

    def forget(self) -> None:
        """What comes next is no repetition."""
        #: An event's beginning, how many digits follow it, and what follows those up to the words.
        self._head, self._digits, self._middle = b"", 0, b""
        #: Where the words begin (0: nothing is known), what follows them, and if that is not all, what an
        #: event ends with.
        self._start, self._tail, self._close = 0, b"", b""

    def words(self, events: Sequence[bytes], at: int = 0) -> list[str]:
        """The words of the events from this place on, as far as they are in the frame."""
        if not self._start or not events[at].startswith(self._head):
            return []
        pieces: list[bytes] = []
        if len(events) - at >= _FEWEST_AT_ONCE:
            pieces = self._counted(events, at) if self._close == b"}" else self._run(events, at)
        pieces = pieces or self._pieces(events, at)
        try:
            # Of a stream that is read as it comes, a read brings one.
            one = [_text(b'"%b"' % pieces[0])] if len(pieces) == 1 else []
            words = one or _at_once(pieces) or _one_by_one(pieces)
        except BAD_JSON:
            return []
        if words:
            self._misses_left = _MAX_MISSES
        return words

    def _run(self, events: Sequence[bytes], at: int) -> list[bytes]:
        """The words of many events that are all in the frame but for the last few; none if not all are."""
        head, tail, start, digits, close = self._head, self._tail, self._start, self._digits, self._close
        number, end = len(head), min(len(events), at + _MOST_AT_ONCE)
        first = number + digits
        while end > at and not (events[end - 1].startswith(head) and events[end - 1].endswith(close or tail)):
            end -= 1
        if digits and not events[end - 1].startswith(self._middle, first):
            # Where the number has a digit more, all that follows stands one further on.
            count = events[at][number:first]
            end = min(end, at + 10**digits - int(count)) if count.isdigit() else at
        if end - at < _FEWEST_AT_ONCE:
            return []
        run = events[at:end]
        # One comparison of all instead of several for each.
        between, last = tail + b"\n" + head, tail
        parts: Iterable[bytes]
        if close:
            parted = [event[start:].partition(tail) for event in run]
            parts = pieces = [words for words, _, _ in parted]
            paddings = [padding for _, _, padding in parted]
            together = b"\n".join(paddings) + b"\n"
            # Padding has no other member after it.
            if not together.count(b'"') == together.count(close + b"\n") == len(run):
                return []
            between, last = b"\n" + head, b""
        else:
            cut = -len(tail)
            parts = pieces = [event[start:cut] for event in run]
        if digits:
            numbers = [event[number:first] for event in run]
            if not b"".join(numbers).isdigit():
                return []
            parts = map(self._middle.join, zip(numbers, parts, strict=True))
        if close:
            parts = map(tail.join, zip(parts, paddings, strict=True))
        whole = b"%b%b%b" % (head, between.join(parts), last)
        return pieces if whole == b"\n".join(run) else []

    def _counted(self, events: Sequence[bytes], at: int) -> list[bytes]:
        """The words of events that may differ behind them, up to one that has a quote in its words; none if
        they differ elsewhere.
        """
        head, start, tail = self._head, self._start, self._tail[1:]
        cut, pieces = len(tail), []
        for event in islice(events, at, None):
            words, _, rest = event[start:].partition(b'"')
            if event[:start] != head or rest[:cut] != tail or event[-1:] != b"}":
                break
            pieces.append(words)
        return pieces

    def _pieces(self, events: Sequence[bytes], at: int) -> list[bytes]:
        """The words of events, each compared for itself."""
        head, tail, start, digits, middle = self._head, self._tail, self._start, self._digits, self._middle
        number, least, cut, close = len(head), start + len(tail), -len(tail), self._close
        first, pieces = number + digits, []
        for event in islice(events, at, None):
            if not event.startswith(head) or (
                digits and not (event.startswith(middle, first) and event[number:first].isdigit())
            ):
                break
            if not close:
                if not event.endswith(tail) or len(event) < least:
                    break
                pieces.append(event[start:cut])
                continue
            # Mostly the first quote is the last one of the words: it is found much faster than the tail.
            end = event.find(b'"', start)
            if not event.startswith(tail, end) and (end := event.find(tail, start)) < 0:
                break
            # Padding has no other member after it.
            last = len(event) - len(close)
            if not event.endswith(close) or (close != b"}" and event.find(b'"', end - cut) != last):
                break
            pieces.append(event[start:end])
        return pieces

    def learn(self, event: bytes, text: str) -> bool:
        """Keep the frame of an event that gave one delta with this text and nothing else; return whether it
        has one.
        """
        self.forget()
        if self._misses_left <= 0:
            return False
        spelled = encode(text)
        for key in self._keys:
            at = event.find(key)
            if at < 0:
                continue
            at += len(key)
            at += event.startswith(b" ", at)
            if event.find(key, at) < 0 and event.startswith(spelled, at):
                return self._keep(event, at + 1, at + len(spelled) - 1)
        return False

    def _keep(self, event: bytes, start: int, end: int) -> bool:
        """Keep what stands before and after the words, where the strings of JSON hold them."""
        tail = event[end:]
        if self._open_at:
            found = next((member for member in self._open_at if member in tail), None)
            if found is None:
                return False
            self._tail, self._close = tail[: tail.index(found) + len(found)], b"}"
        elif (at := tail.rfind(_PADDING)) >= 0:
            self._tail, self._close = tail[: at + len(_PADDING)], b'"}'
        else:
            self._tail = tail
        before, number, after = event[:start].partition(_NUMBER)
        self._middle = after.lstrip(b"0123456789")
        self._digits = len(after) - len(self._middle)
        if self._digits > _MOST_DIGITS:
            # No count of events.
            self._digits = 0
        self._head = before + number if self._digits else event[:start]
        self._start = start
        self._misses_left -= 1
        return True


def _at_once(pieces: list[bytes]) -> list[str]:
    """The words of them all, where none has a quote or an escape."""
    together = b"".join(pieces)
    if not pieces or b"\\" in together or b'"' in together:
        return []
    try:
        return _texts(b'["%b"]' % b'","'.join(pieces))
    except BAD_JSON:
        return []


def _one_by_one(pieces: list[bytes]) -> list[str]:
    """The words up to a piece that is no string of JSON: that is read the long way, which complains of it, or
    repairs it.
    """
    words: list[str] = []
    for piece in pieces:
        try:
            words.append(_text(b'"%b"' % piece))
        except BAD_JSON:
            break
    return words
