"""Server-sent events as bytes.

The format is the HTML standard's "Server-sent events", section 9.2.6: lines end in LF, CRLF or CR; a
blank line dispatches the event; ``data`` lines of one event are joined by LF; a line that begins with a
colon is a comment. Lines are cut as bytes: text readers would also cut at U+2028 and the like, which
stand unescaped in JSON.
"""

from __future__ import annotations

import re
from io import BytesIO
from itertools import chain

from ampproxy.wire.pieces import add

#: No event that a vendor sends comes near this; a stream without blank lines must not fill the memory.
MAX_EVENT = 32 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event grew past the limit without ending."""


#: Where an object of JSON ends in a line, and the next line begins another event: within one event, no two
#: objects stand side by side.
_PARTED = re.compile(rb"\}\n(?=(?:event:[^\n]{0,100}\n)?data: ?(?:\{|\[DONE\]))")
#: So many bytes before its end may belong to such a place.
_BORDER = 128


def part(whole: bytes) -> bytes:
    """Whole events, with a blank line too where a server parts them by one line end."""
    return _PARTED.sub(b"}\n\n", whole)


class EventCutter:
    """Cuts a byte stream behind its last blank line: whole events out, line ends as LF.

    A carriage return at the end of a chunk counts as the end of its line at once, so that an event
    is never held back for a byte that may not come; the LF that may follow is then dropped. What is
    held is joined only when its end has come, so that one large event in many chunks is copied once.
    """

    __slots__ = ("_held", "_limit", "_size", "_skip_lf", "_started")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._skip_lf = False
        self._started = False
        self._limit = limit

    def feed(self, data: bytes) -> bytes:
        """Take bytes, split anywhere; give the events that are complete now, blank lines included.

        :raises EventTooLargeError: an event grew past the limit.
        """
        if not self._started:
            data = self._first(data)
        if self._skip_lf or b"\r" in data:
            data = self._normalise(data)
        if data.endswith(b"\n\n"):
            if not self._held:
                return data
            end = len(data)
        else:
            end = data.rfind(b"\n\n") + 2
            if end == 1:
                # A blank line may lie across the two chunks.
                end = 1 if data.startswith(b"\n") and self._held and self._held[-1].endswith(b"\n") else 0
        if not end:
            return self._parted(data)
        whole = data[:end]
        if self._held:
            whole = b"".join((*self._held, whole))
            self._held, self._size = [], 0
        self._hold(data[end:])
        return whole

    def _parted(self, data: bytes) -> bytes:
        """Bytes without a blank line: the events in them, where a server parts its events by one line end."""
        # What lies further back was looked at when it came.
        near = self._border() + data
        found = list(_PARTED.finditer(near)) if b"\ndata:" in near else []
        if not found:
            self._hold(data)
            return b""
        whole = b"".join((*self._held, data))
        self._held, self._size = [], 0
        end = len(whole) - len(near) + found[-1].end()
        self._hold(whole[end:])
        return part(whole[:end] + b"\n")

    def _border(self) -> bytes:
        """The end of what is held."""
        last = self._held[-1][-_BORDER:] if self._held else b""
        if len(last) < _BORDER and len(self._held) > 1:
            return self._held[-2][-_BORDER:] + last
        return last

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        add(self._held, data)
        self._size += len(data)
        if self._size > self._limit:
            raise EventTooLargeError(f"An event of the stream is larger than {self._limit} bytes.")

    def _first(self, data: bytes) -> bytes:
        """Drop a byte order mark, which may itself come in pieces."""
        data = b"".join((*self._held, data))
        self._held, self._size = [], 0
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._hold(data)
            return b""
        self._started = True
        return data.removeprefix(_BOM)

    def _normalise(self, data: bytes) -> bytes:
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if data.endswith(b"\r"):
            self._skip_lf = True
        # Mostly all lines end alike. To look for one byte is several times faster than for two.
        bare = data.replace(b"\r", b"")
        if bare.replace(b"\n", b"\r\n") == data:
            return bare
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @property
    def rest(self) -> bytes:
        """The beginning of an event that is not complete."""
        return b"".join(self._held)


class BlockSplitter:
    """Cuts a byte stream into event blocks: what stands between two blank lines, line ends as LF."""

    __slots__ = ("_cutter",)

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._cutter = EventCutter(limit)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, split anywhere; give the blocks that are complete, without their blank lines.

        :raises EventTooLargeError: a block grew past the limit.
        """
        whole = self._cutter.feed(data)
        return split_blocks(whole) if whole else []

    @property
    def rest(self) -> bytes:
        """The beginning of an event that is not complete."""
        return self._cutter.rest


def split_blocks(whole: bytes) -> list[bytes]:
    """The blocks of whole events (see :class:`EventCutter`), without their blank lines."""
    if whole.startswith(b"data:"):
        # Mostly each is one line, and in a stream that is read as it comes there is one.
        if whole.find(b"\n") == len(whole) - 2:
            return [whole[:-2]]
        blocks = [line[:-1] for line in BytesIO(whole).readlines()[::2]]
        if all(blocks) and b"\n\n".join(blocks) + b"\n\n" == whole:
            return blocks
    if whole.startswith(b"\n") or b"\n\n\n" in whole:
        return [stripped for block in whole.split(b"\n\n") if (stripped := block.lstrip(b"\n"))]
    blocks = whole.split(b"\n\n")
    blocks.pop()
    return blocks


_USUAL = re.compile(rb"(?:event: ?([^ \n].*)\n)?data: ?([^ \n].*)")


#: A field that the standard does not know, and has readers ignore.
_FIELD = re.compile(rb"[A-Za-z][\w-]*(?::|\Z)")
_KNOWN = re.compile(rb":|(?:data|event|id|retry)(?::|\Z)")


def parse_block(block: bytes) -> tuple[bytes, bytes]:
    """The event's name (empty if it has none) and its data. A comment has neither.

    What is no event (a page, bare JSON) is data as a whole. The standard would have it ignored, and half
    an answer would look like a whole one; so whoever reads the data fails.
    """
    usual = _USUAL.fullmatch(block)
    if usual is not None:
        return usual.groups(b"")  # type: ignore[return-value]
    name, data = _fields(block)
    return (name, block) if _is_foreign(block, data) else (name, data)


def _fields(block: bytes) -> tuple[bytes, bytes]:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(_value(line, 5))
        elif line == b"data":
            data.append(b"")
        elif line.startswith(b"event:"):
            name = _value(line, 6)
    return name, b"\n".join(data)


def _is_foreign(block: bytes, data: bytes) -> bool:
    """Whether lines stand there that are no fields of an event; beside data a new field may stand."""
    odd = [line for line in block.split(b"\n") if line and not _KNOWN.match(line)]
    return bool(odd) and not (data and all(map(_FIELD.match, odd)))


def _value(line: bytes, at: int) -> bytes:
    return line[at + 1 :] if line[at : at + 1] == b" " else line[at:]


#: Named events of the usual form: a line ``event`` and a line ``data``. The values begin with neither space
#: nor line end, so that the one optional space is taken unmistakably.
_NAMED = re.compile(rb"^event: ?([^ \n].*)\ndata: ?([^ \n].*)\n\n", re.MULTILINE)
#: The same as nearly all vendors write them, with the spaces: what is around the values has one length.
_NAMED_SPACED = re.compile(rb"^event: ([^ \n].*)\ndata: ([^ \n].*)\n\n", re.MULTILINE)
_NAMED_AROUND = len(b"event: \ndata: \n\n")


def parse_events(whole: bytes) -> list[tuple[bytes, bytes]]:
    """The ``(name, data)`` of whole events; those without data (comments, bare names) are left out."""
    if whole.startswith(b"event:"):
        # Matches do not overlap. If what they hold is all there is, no byte is outside a match.
        found: list[tuple[bytes, bytes]] = _NAMED_SPACED.findall(whole)
        if sum(map(len, chain.from_iterable(found))) + _NAMED_AROUND * len(found) == len(whole):
            return found
        # They begin at line starts and hold exactly three line ends.
        found = _NAMED.findall(whole)
        if 3 * len(found) == whole.count(b"\n"):
            return found
    elif datas := _bare(whole):
        return [(b"", data) for data in datas]
    return [event for event in map(parse_block, split_blocks(part(whole))) if event[1]]


def _bare(whole: bytes) -> list[bytes]:
    """The data of events that are one line of data each; none if there is anything else.

    To read lines and to compare all at once is several times faster than a pattern; ``split`` is slower, too,
    for it looks at each byte.
    """
    spaced = whole.startswith(b"data: ")
    field = b"data: " if spaced else b"data:"
    if not whole.startswith(field):
        return []
    if whole.find(b"\n") == len(whole) - 2:
        found = [whole[len(field) : -2]]
    else:
        found = [line[len(field) : -1] for line in BytesIO(whole).readlines()[::2]]
        if field + (b"\n\n" + field).join(found) + b"\n\n" != whole:
            return []
        # A space that stands there in another event is not its data's.
        if not spaced and any(data.startswith(b" ") for data in found):
            return []
    return found if all(found) else []


class EventReader:
    """Bytes in, ``(name, data)`` out; events without data (comments, bare names) are left out.

    :ivar cut: at its end the stream had begun with something that is no event with data, nor a comment.
    """

    __slots__ = ("_cutter", "cut")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._cutter = EventCutter(limit)
        self.cut = False

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take bytes, split anywhere; give the events that are complete.

        :raises EventTooLargeError: an event grew past the limit.
        """
        whole = self._cutter.feed(data)
        return parse_events(whole) if whole else []

    def payloads(self, data: bytes) -> list[bytes]:
        """Likewise, but only the data of the events: in some dialects names mean nothing."""
        whole = self._cutter.feed(data)
        return _bare(whole) or [event[1] for event in parse_events(whole)] if whole else []

    def end(self) -> list[tuple[bytes, bytes]]:
        """The stream ended: an event whose blank line never came, if it has data.

        The standard drops it; vendors' last events lack the blank line now and then, and whether
        the stream is whole is the dialect's to say.
        """
        rest, self._cutter = self._cutter.rest.strip(b"\n"), EventCutter()
        event = _fields(rest)
        if event[1] and not _is_foreign(rest, event[1]):
            return [event]
        self.cut = is_cut(rest)
        return []


def is_cut(rest: bytes) -> bool:
    """Whether what a stream ended with is the beginning of something, and no comment."""
    return any(line and not line.startswith(b":") for line in rest.split(b"\n"))


def escape_separators(data: bytes) -> bytes:
    """JSON text without the characters at which careless readers of lines cut: U+0085, U+2028, U+2029.

    They can stand only within strings, where their escapes mean the same. Google's SDK for Python up to
    2.x reads a stream by ``str.splitlines`` and fails on them.
    """
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return data.replace(b"\xc2\x85", b"\\u0085")


def composed(block: bytes, name: bytes, data: bytes) -> bytes:
    """The event with another name and data; its other fields (``id``, ``retry``) stay."""
    if not name and b"\n" not in block:
        return b"data: " + data
    lines = [line for line in block.split(b"\n") if line.startswith((b"id:", b"retry:", b":"))]
    if name:
        lines.append(b"event: " + name)
    lines.extend(b"data: " + line for line in data.split(b"\n"))
    return b"\n".join(lines)
