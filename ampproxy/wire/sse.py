"""Server-sent events as bytes.

The format is the HTML standard's "Server-sent events", section 9.2.6: lines end in LF, CRLF or CR; a
blank line dispatches the event; ``data`` lines of one event are joined by LF; a line that begins with a
colon is a comment. Lines are cut as bytes: text readers would also cut at U+2028 and the like, which
stand unescaped in JSON.
"""

from __future__ import annotations

#: No event that a vendor sends comes near this; a stream without blank lines must not fill the memory.
MAX_EVENT = 32 * 1024 * 1024


class EventTooLargeError(ValueError):
    """An event grew past the limit without ending."""


class BlockSplitter:
    """Cuts a byte stream into event blocks: what stands between two blank lines, line ends as LF.

    A carriage return at the end of a chunk counts as the end of its line at once, so that an event
    is never held back for a byte that may not come; the LF that may follow is then dropped.
    """

    __slots__ = ("_limit", "_rest", "_skip_lf", "_started")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._rest = b""
        self._skip_lf = False
        self._started = False
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, split anywhere; give the blocks that are complete, without their blank lines.

        :raises EventTooLargeError: a block grew past the limit.
        """
        if not self._started and data:
            self._started = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        if self._skip_lf or b"\r" in data:
            data = self._normalise(data)
        buffer = self._rest + data if self._rest else data
        blocks = buffer.split(b"\n\n")
        self._rest = blocks.pop()
        if len(self._rest) > self._limit:
            raise EventTooLargeError(f"An event of the stream is larger than {self._limit} bytes.")
        return [block.lstrip(b"\n") for block in blocks if block and block != b"\n"]

    def _normalise(self, data: bytes) -> bytes:
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if data.endswith(b"\r"):
            self._skip_lf = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @property
    def rest(self) -> bytes:
        """The beginning of an event that is not complete."""
        return self._rest


def parse_block(block: bytes) -> tuple[bytes, bytes]:
    """The event's name (empty if it has none) and its data. A comment has neither."""
    if block.startswith(b"data:") and b"\n" not in block:
        return b"", block[6:] if block[5:6] == b" " else block[5:]
    if block.startswith(b"event:"):
        first, _, second = block.partition(b"\n")
        if second.startswith(b"data:") and b"\n" not in second:
            return _value(first, 6), _value(second, 5)
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


def _value(line: bytes, at: int) -> bytes:
    return line[at + 1 :] if line[at : at + 1] == b" " else line[at:]


class EventReader:
    """Bytes in, ``(name, data)`` out; events without data (comments, bare names) are left out."""

    __slots__ = ("_splitter",)

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._splitter = BlockSplitter(limit)

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take bytes, split anywhere; give the events that are complete.

        :raises EventTooLargeError: an event grew past the limit.
        """
        return [event for event in map(parse_block, self._splitter.feed(data)) if event[1]]

    def end(self) -> list[tuple[bytes, bytes]]:
        """The stream ended: an event whose blank line never came, if it has data.

        The standard drops it; vendors' last events lack the blank line now and then, and whether
        the stream is whole is the dialect's to say.
        """
        rest, self._splitter = self._splitter.rest, BlockSplitter()
        event = parse_block(rest.strip(b"\n"))
        return [event] if event[1] else []
