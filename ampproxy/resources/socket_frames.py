"""The framing of WebSockets (RFC 6455) by wsproto, which is imported when the first socket is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ampproxy.wire.pieces import add

if TYPE_CHECKING:
    from wsproto.connection import Connection

#: Bytes that wsproto is given at a time; and from so many frames on the rest waits for the next turn. A frame
#: takes it some 50 us, and the smallest has six bytes.
_SLICE = 4096
_MOST_FRAMES = 64


class SocketFrames:
    """The frames of one connection: messages in and out. No I/O.

    :param most: bytes of a message.
    :ivar size: what is held of a message that is not whole, in bytes.
    :ivar closed: whether nothing more is sent.
    """

    def __init__(self, most: int) -> None:
        from wsproto.connection import Connection, ConnectionType

        self._connection: Connection = Connection(ConnectionType.SERVER)
        self._most = most
        self._pieces: list[bytes] = []
        self.size = 0
        self.closed = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes, bytes]:
        """What a client sent; gives its whole messages, what is to be answered at once, and what has not been
        looked at: each frame is work, and of many small ones some are left for another turn of the reactor.

        What is wrong with it closes the connection: :attr:`closed` is set.
        """
        found: list[bytes] = []
        out = bytearray()
        at = frames = 0
        while at < len(data) and frames < _MOST_FRAMES and not self.closed:
            self._connection.receive_data(data[at : at + _SLICE])
            at += _SLICE
            frames += self._look(found, out)
        return found, bytes(out), b"" if self.closed else data[at:]

    def _look(self, found: list[bytes], out: bytearray) -> int:
        """Look at what has come; gives the number of frames."""
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
        from wsproto.utilities import RemoteProtocolError

        frames = 0
        try:
            for event in self._connection.events():
                frames += 1
                if isinstance(event, (TextMessage, BytesMessage)):
                    text = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    self.size += len(text)
                    if self.size > self._most:
                        out += self.close(1009, "The message is larger than limits.max-body.")
                        break
                    add(self._pieces, text)
                    if event.message_finished:
                        found.append(b"".join(self._pieces))
                        self.forget()
                elif isinstance(event, Ping):
                    out += self._connection.send(event.response())
                elif isinstance(event, CloseConnection):
                    self.closed = True
                    out += self._connection.send(event.response())
                    break
        except RemoteProtocolError as error:
            self.closed = True
            if error.event_hint is not None:
                out += self._connection.send(error.event_hint)
        return frames

    def forget(self) -> None:
        """Keep nothing of a message that is not whole."""
        self._pieces, self.size = [], 0

    def message(self, text: bytes) -> bytes:
        """A message to the client."""
        from wsproto.events import TextMessage

        return (
            b"" if self.closed else self._connection.send(TextMessage(data=text.decode("utf-8", "replace")))
        )

    def ping(self) -> bytes:
        """A sign of life."""
        from wsproto.events import Ping

        return b"" if self.closed else self._connection.send(Ping())

    def close(self, code: int, reason: str) -> bytes:
        """Say that nothing more will come."""
        from wsproto.events import CloseConnection

        if self.closed:
            return b""
        self.closed = True
        return self._connection.send(CloseConnection(code=code, reason=reason[:100]))
