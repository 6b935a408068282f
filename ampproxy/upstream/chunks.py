"""Twisted's HTTP client, with many small HTTP chunks decoded at once.

A vendor sends each event as a chunk of its own, and a read brings hundreds of them. Twisted's decoder
takes them one by one, which is half of what a relayed stream costs.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import _HTTP11ClientFactory
from twisted.web.http import _ChunkedTransferDecoder

#: A chunk's size line without extensions (RFC 9112, section 7.1), of a size that fits in memory.
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")


class ChunkDecoder(_ChunkedTransferDecoder):
    """Hands over in one piece all chunks that one read brought whole.

    Whatever is not a plain whole chunk (the last one, extensions, half a chunk, anything malformed) is left
    to the base class, which is as strict as before.
    """

    def _dataReceived_CHUNK_LENGTH(self) -> bool:
        data = bytes(self._buffer)
        pieces = []
        at = 0
        match = _SIZE.match(data)
        while match is not None:
            start = match.end()
            end = start + int(match[1], 16)
            if end == start or data[end : end + 2] != b"\r\n":
                break
            pieces.append(data[start:end])
            at = end + 2
            match = _SIZE.match(data, at)
        if not pieces:
            return super()._dataReceived_CHUNK_LENGTH()
        del self._buffer[:at]
        self._start = 0
        self.dataCallback(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return True


class Connection(HTTP11ClientProtocol):
    """A kept connection to an upstream."""

    def request(self, request: Request) -> Deferred[Any]:
        """Send a request; its answer's chunks go through :class:`ChunkDecoder`."""
        answer = super().request(request)
        if self._parser is not None:
            self._parser._transferDecoders = {b"chunked": ChunkDecoder}
        return answer


class ConnectionFactory(_HTTP11ClientFactory):
    """Makes connections, without a line in the log for each."""

    noisy = False

    def buildProtocol(self, addr: Any) -> Connection:
        """A connection that goes back to the pool when it is quiescent."""
        return Connection(self._quiescentCallback)  # type: ignore[no-untyped-call]
