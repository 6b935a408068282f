"""Answers that come as gzip: said so, or not; whole, broken or cut.

Twisted's own decoder raises in the reactor where a body is broken, takes one that is cut for whole, and lets
a small body grow without end.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from ampproxy.errors import UnreadableAnswer

#: What one read may grow to. Text does not compress by more than some twenty times; what does is meant to
#: fill the memory.
INFLATED_AT_ONCE = 16 * 1024 * 1024

#: How a gzip body begins.
GZIP = b"\x1f\x8b"
_PLAIN = (b"", b"identity")
_GZIP = ([b"gzip"], [b"x-gzip"])


class Decoder(Protocol):
    """What a body goes through, piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """The decoded bytes.

        :raises UnreadableAnswer: it cannot be decoded.
        """

    def end(self) -> bytes:
        """What is left.

        :raises UnreadableAnswer: the body is not whole.
        """


class Inflate:
    """A gzip body, of one member or several (RFC 1952, section 2.2). A :class:`Decoder`."""

    def __init__(self) -> None:
        self._inflate: Any = None
        self._members = 0

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        room = INFLATED_AT_ONCE
        # Zeros may fill up the last block of a file.
        while data := data if self._inflate is not None or not self._members else data.lstrip(b"\0"):
            if self._inflate is None:
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                out.append(self._inflate.decompress(data, room))
            except zlib.error as error:
                raise UnreadableAnswer(f"The upstream's gzip body is broken: {error}.") from None
            room -= len(out[-1])
            if self._inflate.unconsumed_tail or room <= 0:
                raise UnreadableAnswer("The upstream's gzip body inflates beyond the decompression limit.")
            data = b""
            if self._inflate.eof:
                data, self._inflate = self._inflate.unused_data, None
                self._members += 1
        return b"".join(out)

    def end(self) -> bytes:
        if self._inflate is not None:
            raise UnreadableAnswer("The upstream's gzip body broke off.")
        return b""


class Sniff:
    """Any body; one that is gzip without saying so is inflated. A :class:`Decoder`.

    :ivar found: whether it is; ``None`` as long as too little of it is there.
    """

    def __init__(self) -> None:
        self._inflate = Inflate()
        self._held = b""
        self.found: bool | None = None

    def feed(self, data: bytes) -> bytes:
        if self.found is None:
            self._held += data
            if len(self._held) < len(GZIP) and GZIP.startswith(self._held):
                return b""
            data, self._held = self._held, b""
            self.found = data.startswith(GZIP)
        return self._inflate.feed(data) if self.found else data

    def end(self) -> bytes:
        return self._inflate.end() if self.found else self._held


class _Decoding(TwistedProtocol):
    """Hands a decoded body on."""

    def __init__(self, protocol: Any, decoder: Decoder) -> None:
        self._protocol: Any = protocol
        self._decoder = decoder

    def connectionMade(self) -> None:
        self._protocol.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if self._protocol is not None and (out := self._decoded(lambda: self._decoder.feed(data))):
            self._protocol.dataReceived(out)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._protocol is None:
            return
        if reason.check(ResponseDone, PotentialDataLoss) and (out := self._decoded(self._decoder.end)):
            self._protocol.dataReceived(out)
        self._lost(reason)

    def _decoded(self, step: Callable[[], bytes]) -> bytes:
        try:
            return step()
        except UnreadableAnswer:
            self._lost(Failure())
            if self.transport is not None:
                self.transport.stopProducing()  # type: ignore[attr-defined]
            return b""

    def _lost(self, reason: Failure) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)


class _Decoded(proxyForInterface(IResponse)):  # type: ignore[misc]
    """A response whose body is decoded on the way."""

    length = UNKNOWN_LENGTH

    def deliverBody(self, protocol: Any) -> None:
        self.original.deliverBody(_Decoding(protocol, Inflate()))


def inflated(response: IResponse) -> IResponse:
    """The response itself, or if it says that it is gzip and nothing else one whose body is inflated."""
    values = response.headers.getRawHeaders(b"content-encoding") or ()
    names = [name.strip().lower() for value in values for name in value.split(b",")]
    if [name for name in names if name not in _PLAIN] not in _GZIP:
        return response
    response.headers.removeHeader(b"content-encoding")
    return cast(IResponse, _Decoded(response))
