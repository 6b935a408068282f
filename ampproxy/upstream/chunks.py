"""Request bodies in the chunked coding, decoded by twisted.web's channel: many small chunks at once."""

from __future__ import annotations

import re

from twisted.web.http import (
    _ChunkedTransferDecoder,
    _MalformedChunkedDataError,
    maxChunkSizeLineLength,
)

from ampproxy.http.heads import MAX_HEAD, MAX_LINES
from ampproxy.wire.framing import MAX_LENGTH, BadMessage, check_begun, check_trailer

#: A chunk's size line without extensions (RFC 9112, section 7.1), of a size that fits in memory.
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")
#: Bytes of extensions that any chunk may have, beside twice its own size.
_FREE = 16
#: Any such line, or the beginning of one.
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{0,16})((?<=.);[\t\x20-\x7e\x80-\xff]*)?\r?")


class ChunkDecoder(_ChunkedTransferDecoder):
    """Hands over in one piece all chunks that one read brought whole.

    Whatever is not a plain whole chunk (the last one, extensions, half a chunk, anything malformed) goes
    through the base class, once its lines have been looked at: a wrong one is refused before it has ended.

    :ivar fault: what was wrong, as the end of a sentence; public.
    """

    fault = ""
    _most_extra = MAX_HEAD
    _extra = 0
    _trailers = 0
    _most_trailers = MAX_LINES
    _bounds = ""

    def bound(self, size: int, trailers: int) -> None:
        """Use the limits of a request's headers.

        :param size: bytes that trailers may have, and extensions beyond what is in keeping with their chunks.
        """
        self._most_extra = size
        self._maxTrailerHeadersSize = size
        self._most_trailers = trailers
        self._bounds = f" (settings: limits.max-header-bytes, {size}; limits.max-headers, {trailers})"

    def _dataReceived_CHUNK_LENGTH(self) -> bool:
        # Not copied as a whole: between chunks that are none of ours it would be for each of them.
        data = self._buffer
        pieces = []
        at = 0
        match = _SIZE.match(data)
        while match is not None:
            start = match.end()
            end = start + int(match[1], 16)
            if end == start or data[end : end + 2] != b"\r\n":
                break
            pieces.append(bytes(data[start:end]))
            at = end + 2
            match = _SIZE.match(data, at)
        if not pieces:
            self._check_size_line()
            return super()._dataReceived_CHUNK_LENGTH()
        del self._buffer[:at]
        self._start = 0
        self.dataCallback(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return True

    def _check_size_line(self) -> None:
        end = self._buffer.find(b"\r\n", self._start)
        parts = _SIZE_LINE.fullmatch(self._buffer, 0, maxChunkSizeLineLength if end < 0 else end)
        if parts is None or (end >= 0 and not parts[1]) or int(parts[1] or b"0", 16) > MAX_LENGTH:
            raise self._broken("the size of a chunk is no plain hexadecimal number, or too large")
        if end >= 0:
            # Some sign every chunk there: that is no more than the chunk.
            self._extra = max(0, self._extra - _FREE - 2 * int(parts[1], 16))
            self._add_extra(len(parts[2] or b""))

    def _dataReceived_CRLF(self) -> bool:
        if not b"\r\n".startswith(self._buffer[:2]):
            raise self._broken("no line end follows a chunk")
        return super()._dataReceived_CRLF()

    def _dataReceived_TRAILER(self) -> bool:
        end = self._buffer.find(b"\r\n", self._start)
        try:
            if end < 0:
                check_begun(bytes(self._buffer[self._start :]))
            elif end:
                check_trailer(bytes(self._buffer[:end]))
                self._trailers += 1
                self._add_extra(end)
        except BadMessage as bad:
            raise self._broken(f"it has {bad.words}") from None
        more = super()._dataReceived_TRAILER()
        if end < 0:
            # The base class would look at all of it again.
            self._start = len(self._buffer) - 1
        return more

    def _add_extra(self, size: int) -> None:
        self._extra += size
        if self._extra > self._most_extra or self._trailers > self._most_trailers:
            raise self._broken(f"its extensions and trailers are too many or too large{self._bounds}")

    def _broken(self, what: str) -> _MalformedChunkedDataError:
        self.fault = f": {what}"
        return _MalformedChunkedDataError(what)
