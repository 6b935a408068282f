"""A stand-in on a socket of this machine: records requests, delivers answers, misbehaves when asked."""

from __future__ import annotations

import enum
import hashlib
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IPushProducer
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from ampproxy.testing.script import Script
from ampproxy.testing.vendor import Recorded, Reply, Scripts, Vendor

#: A larger body is counted and hashed, not kept.
KEPT = 64 * 1024 * 1024


class Ending(enum.Enum):
    """How a delivery ends."""

    FINISH = "tidily"
    ABORT = "the TCP connection is reset"
    HANG = "never: nothing more is sent"


def steps(reply: Reply) -> Iterator[bytes | Ending]:
    """What is sent, one write after the other, and how it ends."""
    script = reply.script
    if script.hang == "headers":
        yield Ending.HANG
        return
    stops: tuple[tuple[int | None, bytes, Ending], ...] = (
        (script.cut, b"", Ending.ABORT),
        (script.error, reply.broken, Ending.FINISH),
        (script.end, b"", Ending.FINISH),
        (2 if script.hang else None, b"", Ending.HANG),
    )
    after, last, ending = next((row for row in stops if row[0] is not None), (None, b"", Ending.FINISH))
    events: Iterable[bytes] = [reply.body] if reply.events is None else reply.events
    if after is not None:
        if reply.events is None:
            events = [reply.body[: len(reply.body) // 2]]
        elif ending is Ending.FINISH and not last:
            listed = list(events)
            events = listed[: min(after, len(listed) - reply.terminal)]
        else:
            events = itertools.islice(events, after)
    for event in itertools.chain(events, [last] if last else ()):
        yield from _split(event, script.split)
    yield ending


def _split(event: bytes, length: int | None) -> Iterator[bytes]:
    if length is None:
        yield event
    else:
        yield from (event[at : at + length] for at in range(0, len(event), length))


@implementer(IPushProducer)
class Delivery:
    """Sends an answer at the pace of the client and of the script."""

    def __init__(self, reactor: Any, request: Request, recorded: Recorded, reply: Reply) -> None:
        self._reactor = reactor
        self._request = request
        self._recorded = recorded
        self._interval = reply.script.interval
        self._gap = self._interval or reply.script.split is not None
        self._steps = steps(reply)
        self._timer: Any = None
        self._paused = False
        self._over = False

    def start(self) -> None:
        """Begin."""
        self._request.registerProducer(self, True)
        self._go()

    def pauseProducing(self) -> None:
        """The client does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has caught up."""
        self._paused = False
        if self._timer is None:
            self._go()

    def stopProducing(self) -> None:
        """The client is gone."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        self._timer = None
        for _ in range(64):
            if self._paused or self._over:
                return
            step = next(self._steps, Ending.FINISH)
            if isinstance(step, Ending):
                self._end(step)
                return
            self._recorded.sent += len(step)
            self._request.write(step)
            if self._gap:
                break
        if not self._over:
            self._timer = self._reactor.callLater(self._interval, self._go)

    def _end(self, ending: Ending) -> None:
        self._over = True
        if ending is Ending.HANG:
            return
        self._request.unregisterProducer()
        if ending is Ending.FINISH:
            self._recorded.finished = True
            self._request.finish()
        else:
            # through the transport's own buffer first: what was written before the cut should arrive
            self._reactor.callLater(0.02, self._abort)

    def _abort(self) -> None:
        self._recorded.cut = True
        channel = self._request.channel
        transport: Any = getattr(channel, "transport", None)
        if transport is not None:
            transport.abortConnection()


class _Everything(Resource):
    isLeaf = True

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__()
        self._stand_in = stand_in

    def render(self, request: Request) -> int:
        self._stand_in.serve(request)
        return NOT_DONE_YET


class _Site(Site):
    noisy = False

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self.open: weakref.WeakSet[Any] = weakref.WeakSet()
        self.connections = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        self.connections += 1
        protocol = super().buildProtocol(addr)
        self.open.add(protocol)
        return protocol

    def log(self, request: Any) -> None:
        """No access log: the records say it."""


class StandIn:
    """A vendor on ``127.0.0.1``.

    :param forbidden: secrets that must not arrive here; one that does is kept in :attr:`leaks`.
    :ivar requests: every request that arrived whole, in order.
    :ivar leaks: what was seen of ``forbidden``, and headers that give the client away, in words.
    :ivar on_request: called with each request that ended.
    """

    def __init__(self, reactor: Any, vendor: Vendor, forbidden: Iterable[str] = ()) -> None:
        self.vendor = vendor
        self.requests: list[Recorded] = []
        self.leaks: list[str] = []
        self.forbidden = tuple(forbidden)
        self.on_request: Callable[[Recorded], None] | None = None
        self.port = 0
        self.url = ""
        self._reactor = reactor
        self._site = _Site(_Everything(self))
        self._listening: IListeningPort | None = None

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return self._site.connections

    def listen(self, tls: Any = None, port: int = 0) -> StandIn:
        """Listen; with a context factory, under TLS.

        :raises twisted.internet.error.CannotListenError: the port is taken.
        """
        if tls is None:
            self._listening = self._reactor.listenTCP(port, self._site, interface="127.0.0.1")
        else:
            self._listening = self._reactor.listenSSL(port, self._site, tls, interface="127.0.0.1")
        assert self._listening is not None
        host: Any = self._listening.getHost()
        self.port = host.port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.vendor.scheme = "https" if tls else "http"
        return self

    async def stop(self) -> None:
        """Stop listening and reset what is open."""
        if self._listening is not None:
            await _maybe(self._listening.stopListening())
            self._listening = None
        for recorded in self.requests:
            recorded.cut = recorded.cut or not (recorded.finished or recorded.closed_by_client)
        for protocol in list(self._site.open):
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abortConnection()

    def script(self, *scripts: Script, key: str | None = None) -> None:
        """Ask for these answers, one request each, in order; of one key's requests only, if it is given."""
        self.vendor.scripts.add(scripts, key)

    def always(self, script: Script | None) -> None:
        """Ask for this answer whenever no other script applies; ``None`` ends it."""
        self.vendor.scripts.always = script

    async def until(self, condition: Callable[[], Any], timeout: float = 5.0) -> Any:
        """Wait, in small steps of real time, until the condition holds, and give what it gave.

        :raises TimeoutError: it did not hold in time.
        """
        deadline = self._reactor.seconds() + timeout
        while not (value := condition()):
            if self._reactor.seconds() > deadline:
                raise TimeoutError(f"the condition did not hold within {timeout} seconds")
            pause: Deferred[None] = Deferred()
            self._reactor.callLater(0.01, pause.callback, None)
            await pause
        return value

    def serve(self, request: Request) -> None:
        """Record a request, answer it, and deliver the answer."""
        recorded = self._record(request)
        self.requests.append(recorded)
        request.notifyFinish().addBoth(self._ended, recorded)
        self._look_for_leaks(recorded)
        reply = self.vendor.respond(recorded)
        recorded.status = reply.status
        request.setResponseCode(reply.status)
        request.setHeader("content-type", reply.content_type)
        for name, value in reply.headers:
            request.responseHeaders.addRawHeader(name, value)
        if reply.events is None and reply.script.end is None:
            request.setHeader("content-length", str(len(reply.body)))
        Delivery(self._reactor, request, recorded, reply).start()

    def _record(self, request: Request) -> Recorded:
        pairs = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        joined: dict[str, str] = {}
        for name, value in pairs:
            lowered = name.lower()
            joined[lowered] = f"{joined[lowered]}, {value}" if lowered in joined else value
        body, size, digest = _read(request)
        return Recorded(
            method=request.method.decode("ascii"),
            uri=request.uri.decode("latin-1"),
            headers=joined,
            header_list=pairs,
            body=body,
            size=size,
            sha256=digest,
            received_at=self._reactor.seconds(),
        )

    def _look_for_leaks(self, recorded: Recorded) -> None:
        where = [("the address", recorded.uri), *recorded.header_list]
        body = recorded.body[:1_000_000].decode("latin-1")
        for secret in self.forbidden:
            places = [name for name, value in where if secret in value] + ["the body"] * (secret in body)
            what = f"{recorded.method} {recorded.path}: a foreign secret in"
            self.leaks += [f"{what} {place}" for place in places]

    def _ended(self, result: Any, recorded: Recorded) -> None:
        if isinstance(result, Failure) and not recorded.finished and not recorded.cut:
            recorded.closed_by_client = True
            recorded.closed_at = self._reactor.seconds()
        if self.on_request is not None:
            self.on_request(recorded)


def _read(request: Request) -> tuple[bytes, int, str]:
    """The body if it is not too large to be kept, its length and its SHA-256."""
    digest, size, kept = hashlib.sha256(), 0, []
    while piece := request.content.read(1 << 20) if request.content is not None else b"":
        digest.update(piece)
        size += len(piece)
        if size <= KEPT:
            kept.append(piece)
    return b"".join(kept) if size <= KEPT else b"", size, digest.hexdigest()


async def _maybe(result: Any) -> None:
    if isinstance(result, Deferred):
        await result


def start_vendor(
    reactor: Any,
    make: Callable[..., Vendor],
    *,
    keys: Iterable[str] = (),
    forbidden: Iterable[str] = (),
    tls: Any = None,
    port: int = 0,
    **settings: Any,
) -> StandIn:
    """A running stand-in of the vendor that ``make`` makes (see :class:`StandIn`)."""
    return StandIn(reactor, make(Scripts(), keys, **settings), forbidden).listen(tls, port)
