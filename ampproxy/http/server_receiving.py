"""What comes on a client's connection: heads, bodies, and what was sent ahead, at a pace that has limits."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ampproxy.config.schema import Limits
from ampproxy.http.chunks import BrokenChunks, ChunkedBody
from ampproxy.http.deadlines import Deadline, Deadlines
from ampproxy.http.outbox import Outbox, socket_of
from ampproxy.http.server_heads import Head, HeadReader
from ampproxy.http.server_request import HttpRequest
from ampproxy.wire.framing import BadMessage
from ampproxy.wire.pieces import add

#: So many bytes of further requests are kept behind one that is being answered. More are dropped, and the
#: connection is closed after the answer. To stop reading would be not to hear of a client that leaves.
MAX_BEHIND_BYTES = 1024 * 1024
#: Behind a request for another protocol nothing is dropped; from so much on, nothing more is read. Bytes.
MAX_EARLY_BYTES = 16 * 1024

#: So many requests that were sent ahead are served in one turn of the reactor.
AT_A_TIME = 16

#: Slower than this, over more than ``body-timeout`` seconds, a body counts as an attack. Bytes a second.
SLOWEST_BODY = 1024

#: While reads of a body are full they become larger, up to this. Bytes.
MAX_READ_BYTES = 1024 * 1024
#: While most of a read is chunks' sizes and line ends, this is its size. Bytes.
SPARSE_READ_BYTES = 16 * 1024


class Waits(Enum):
    """What a client's time limit is for."""

    NOTHING = 0
    IDLE = 1
    HEAD = 2
    BODY = 3
    #: Nothing but the end of a body whose request is answered.
    LINGER = 4


class ChannelSite(Protocol):
    """What a connection needs of its site.

    :ivar channels: the connections that are open.
    :ivar deadlines: of all of them.
    """

    limits: Limits
    logger: Logger
    channels: set[Any]
    reactor: IReactorTime
    deadlines: Deadlines

    @property
    def idle_timeout(self) -> float:
        """Seconds for which a connection may be idle."""

    def make_request(self, channel: Any, head: Head) -> HttpRequest:
        """A request whose head has come."""

    def refusal(self, status: int, message: str) -> bytes:
        """The whole answer to what is no request; the connection is closed behind it."""


class Receiving(protocol.Protocol):
    """The half of a connection on which a client sends. The whole of it is
    :class:`~ampproxy.http.server_channel.HttpChannel`.

    What comes is cut into heads, bodies and what is behind them; no call of a parser's leads to a request. At
    most one request is being served; what was sent ahead of its answer waits unread.

    :ivar by_cloud: whether it was made to the listener for Amp's cloud.
    :ivar peer: the client's address, once it was asked for.
    :ivar known: what the site remembers of the requests on it.
    :ivar persistent: whether another request may follow the one that is being answered.
    """

    transport: Any
    by_cloud = False
    persistent = True
    peer: Any = None
    known: Any = None
    _heads: HeadReader
    _outbox: Outbox
    _deadline: Deadline
    _taken: Any = None
    _current: HttpRequest | None = None
    _chunks: ChunkedBody | None = None
    _later: IDelayedCall | None = None
    _waits = Waits.NOTHING
    _left = 0
    _unread = b""
    _behind_size = 0
    _body_began: float | None = None
    _body_bytes = 0
    _usual_read = 0
    _sparse = False
    _busy = False
    _closed = False
    _full = False
    _held = False
    _stopped = False

    def __init__(self, site: ChannelSite) -> None:
        self.site = site
        self._behind: list[bytes] = []
        # Not bound to this object, which would keep itself.
        self._receive: _Receive = Receiving._receive_head

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a client's."""
        if self._taken is not None:
            self._taken.dataReceived(data)
        elif self._later is not None:
            self._keep(data)
        elif not self._closed:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Take what came apart, up to its end, or to where the connection is not ours any more."""
        self._busy = True
        size = len(data)
        begun = 0
        try:
            while data and not self._closed and self._taken is None:
                if self._receive is Receiving._receive_head:
                    begun += 1
                    if begun > AT_A_TIME or self._full:
                        self._keep(data)
                        self._go_on_later()
                        return
                data = self._receive(self, data)
        finally:
            self._busy = False
        if self._receive is not Receiving._receive_behind and self._current is not None:
            self._watch_body(size)

    def _receive_head(self, data: bytes) -> bytes:
        try:
            found = self._heads.feed(data)
        except BadMessage as bad:
            self._refuse_head(bad)
            return b""
        if found is None:
            if self._waits is not Waits.HEAD and self._heads.begun:
                self._wait(Waits.HEAD, self.site.limits.header_timeout)
            return b""
        head, self._unread = found
        self._waits = Waits.NOTHING
        self.persistent = head.keeps
        self._begin(head)
        rest, self._unread = self._unread, b""
        return rest

    def _begin(self, head: Head) -> None:
        limits = self.site.limits
        self._current = request = self.site.make_request(self, head)
        if head.length:
            self._left = head.length
            self._receive = Receiving._receive_counted
        elif head.length is None:
            most, lines = limits.max_header_bytes, limits.max_headers
            self._chunks = ChunkedBody(most, lines, _bounds(most, lines))
            self._receive = Receiving._receive_chunks
        else:
            self._receive = Receiving._receive_behind
        request.gotLength(head.length)
        if head.length == 0:
            self._whole()

    def _receive_counted(self, data: bytes) -> bytes:
        left = self._left
        if len(data) > left:
            data, self._unread = data[:left], data[left:]
        self._left = left - len(data)
        return self._body(data, self._left == 0)

    def _receive_chunks(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None
        piece = chunks.feed(data)
        if chunks.fault is not None:
            self._refuse_body(chunks.fault)
            return b""
        self._unread = chunks.rest
        self._sparse = 2 * len(piece) < len(data)
        return self._body(piece, chunks.ended)

    def _body(self, piece: bytes, whole: bool) -> bytes:
        request = self._current
        if request is not None and piece and not request.finished:
            request.handleContentChunk(piece)
        if whole:
            self._whole()
        rest, self._unread = self._unread, b""
        return rest

    def _whole(self) -> None:
        """The body has come."""
        request = self._current
        if request is None or self._taken is not None:
            return
        self._receive = Receiving._receive_behind
        self._chunks = None
        self._body_began = None
        self._waits = Waits.NOTHING
        if self._usual_read:
            self._read_as_usual()
        # Nothing is left to be held, and reading is how one hears of a client that leaves.
        if self._held:
            self._let_go()
        if request.finished:
            request.received = True
            self._done(request)
        else:
            request.requestReceived(request.method, request.uri, request.clientproto)

    def _receive_behind(self, data: bytes) -> bytes:
        self._keep(data)
        return b""

    def _keep(self, data: bytes) -> None:
        """Keep what was sent ahead."""
        self._behind_size += len(data)
        request = self._current
        if request is not None and b"upgrade" in request.requestHeaders.by_name:
            # What comes next may belong to a tunnel, of which nothing may be lost.
            self._behind.append(data)
            if self._behind_size > MAX_EARLY_BYTES:
                self._stop_reading()
        elif self._behind_size <= MAX_BEHIND_BYTES:
            add(self._behind, data)
        else:
            self.persistent = False
            self._behind.clear()
            if request is None:
                self.loseConnection()

    def _go_on_later(self) -> None:
        if self._later is None and not self._full:
            self._later = self.site.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        """Take what was sent ahead."""
        self._later = None
        if self._behind and self._current is None and not (self._busy or self._full or self._closed):
            data = b"".join(self._behind)
            self._behind.clear()
            self._behind_size = 0
            self._take(data)

    # The pace at which it comes.

    def _watch_body(self, size: int) -> None:
        if self._held or self._waits is Waits.LINGER:
            return
        now = self.site.reactor.seconds()
        limit = self.site.limits.body_timeout
        if self._body_began is None:
            self._body_began, self._body_bytes = now, 0
        self._body_bytes += size
        elapsed = now - self._body_began
        if elapsed > limit and self._body_bytes < elapsed * SLOWEST_BODY:
            self._late()
        else:
            self._wait(Waits.BODY, limit)
            self._read_more(size)

    def _read_more(self, size: int) -> None:
        """A large body goes on from socket to socket, or else comes in fewer, larger reads; one in small
        chunks in smaller reads, for each chunk is work, for which all others wait.
        """
        transport = self.transport
        if not self._outbox.direct:
            return
        if self._sparse and self._chunks is not None:
            if transport.bufferSize > SPARSE_READ_BYTES:
                self._usual_read = self._usual_read or transport.bufferSize
                transport.bufferSize = SPARSE_READ_BYTES
            return
        if transport.bufferSize != size or self._draw():
            return
        if size < MAX_READ_BYTES:
            self._usual_read = self._usual_read or size
            transport.bufferSize = size * 2

    def _draw(self) -> int:
        """Have more of a body that only passes be taken from the socket. Its end is read, and seen here."""
        request, source = self._current, socket_of(self.transport)
        if request is None or source is None or self._receive is not Receiving._receive_counted:
            return 0
        drawn = request.draw(source, self._left - 1)
        self._left -= drawn
        self._body_bytes += drawn
        return drawn

    def _read_as_usual(self) -> None:
        self.transport.bufferSize = self._usual_read
        self._usual_read = 0

    def hold_body(self) -> None:
        """Stop reading what has not come of the body, until it can be passed on. Slowness is ours then."""
        request = self._current
        if request is None or request.finished or self._receive is Receiving._receive_behind:
            return
        self._held = True
        self._waits = Waits.NOTHING
        self.transport.pauseProducing()

    def go_on_with_body(self) -> None:
        """Read the body again."""
        if self._closed or not self._held:
            return
        self._body_began = None
        self._wait(Waits.BODY, self.site.limits.body_timeout)
        self._let_go()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self.transport.resumeProducing()

    def invite(self, request: HttpRequest) -> None:
        """The body is wanted, and the client may wait to hear that."""
        if request.expects_invitation and not request.startedWriting:
            request.invited = True
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _stop_reading(self) -> None:
        if not (self._stopped or self._closed):
            self._stopped = True
            self.transport.pauseProducing()

    def _start_reading(self) -> None:
        if self._stopped and not (self._closed or self._full):
            self._stopped = False
            self.transport.resumeProducing()

    def _wait(self, what: Waits, seconds: float) -> None:
        self._waits = what
        self._deadline.start(seconds)

    # What the whole connection does.

    def _late(self) -> None:
        """A time limit passed."""
        raise NotImplementedError

    def _done(self, request: HttpRequest) -> None:
        """A request has come whole, and its answer is out."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Send a part of an answer."""
        raise NotImplementedError

    def _refuse_head(self, bad: BadMessage) -> None:
        """What came is no request."""
        raise NotImplementedError

    def _refuse_body(self, broken: BrokenChunks) -> None:
        """The body of the request that is being served is broken."""
        raise NotImplementedError

    def loseConnection(self) -> None:
        """Close it."""
        raise NotImplementedError


def _bounds(most: int, lines: int) -> str:
    return f" (settings: limits.max-header-bytes, {most}; limits.max-headers, {lines})"


#: Takes the next part of what came, and gives what is behind it.
_Receive = Callable[[Receiving, bytes], bytes]
