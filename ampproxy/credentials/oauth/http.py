"""Runs a flow: its requests over Twisted, its pauses by a clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from typing import Protocol as TypingProtocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from ampproxy import __version__
from ampproxy.credentials.oauth.effects import Flow, HttpAnswer, HttpRequest, Notify, OpenBrowser, Sleep
from ampproxy.credentials.oauth.failures import Unavailable
from ampproxy.wire.pieces import add

T = TypeVar("T")


class Send(TypingProtocol):
    """What sends a request: :meth:`ampproxy.upstream.client.UpstreamClient.send`."""

    def __call__(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: IBodyProducer | None = None,
        proxy: str | None = None,
    ) -> Deferred[Any]:
        """The ``IResponse``, once its headers are there; redirects are not followed."""


#: Seconds that a login server may take. Long: an answer that comes after we gave up may have held the
#: only refresh token that is still good.
TIMEOUT = 60.0
#: The largest answer that is read, in bytes.
MAX_ANSWER = 1024 * 1024
_USER_AGENT = f"ampproxy/{__version__}"


@implementer(IBodyProducer)
class _Body:
    """A request body of some hundred bytes."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is written at once."""

    def resumeProducing(self) -> None:
        """It is written at once."""

    def stopProducing(self) -> None:
        """It is written at once."""


class _Collector(Protocol):
    def __init__(self, done: Deferred[bytes]) -> None:
        self._done = done
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        add(self._pieces, data)
        self._size += len(data)
        if self._size > MAX_ANSWER and self.transport is not None:
            stop: Any = self.transport
            stop.stopProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._done.called:
            return
        if self._size <= MAX_ANSWER and reason.check(ResponseDone, PotentialDataLoss):
            self._done.callback(b"".join(self._pieces))
        else:
            self._done.errback(Unavailable("The login server's answer broke off."))


class Fetch:
    """Sends a flow's requests; follows no redirect, for a refresh token must not leave its origin.

    :param send: sends one; follows no redirect either.
    :param proxy: ``proxy-url`` as it is configured.
    """

    def __init__(
        self, send: Send, clock: IReactorTime, *, proxy: str | None = None, timeout: float = TIMEOUT
    ) -> None:
        self._send = send
        self._proxy = proxy
        self._clock = clock
        self._timeout = timeout

    async def __call__(self, ask: HttpRequest) -> HttpAnswer:
        """The answer, whatever its status.

        :raises Unavailable: there is none.
        """
        headers = Headers({"User-Agent": [_USER_AGENT]})
        for name, value in ask.headers:
            headers.setRawHeaders(name, [value])
        body = _Body(ask.body) if ask.method != "GET" else None
        asking = Deferred.fromCoroutine(self._exchange(ask, headers, body))
        try:
            return await asking.addTimeout(self._timeout, self._clock)
        except Unavailable:
            raise
        except CancelledError:
            raise
        except Exception as error:
            # The names of these say it all; their texts may hold the request.
            raise Unavailable(f"The login server cannot be reached: {type(error).__name__}.") from None

    async def _exchange(self, ask: HttpRequest, headers: Headers, body: _Body | None) -> HttpAnswer:
        response = await self._send(ask.method, ask.url, headers, body, self._proxy)
        done: Deferred[bytes] = Deferred()
        response.deliverBody(_Collector(done))
        options = {
            name.decode("ascii", "replace").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return HttpAnswer(response.code, options, await done)


async def _no_user(browse: OpenBrowser) -> str:
    raise AssertionError("this flow has no user to ask")


async def drive(
    flow: Flow[T],
    fetch: Callable[[HttpRequest], Awaitable[HttpAnswer]],
    clock: IReactorTime,
    *,
    browse: Callable[[OpenBrowser], Awaitable[str]] = _no_user,
    show: Callable[[str], object] = lambda text: None,
) -> T:
    """Run a flow to its end and give its result; raises what it raises.

    :param browse: has the user open a page; gives what the browser brought back.
    :param show: tells the user something.
    """
    sent: Any = None
    problem: Unavailable | None = None
    try:
        while True:
            try:
                step = flow.send(sent) if problem is None else flow.throw(problem)
            except StopIteration as stop:
                result: T = stop.value
                return result
            sent, problem = None, None
            if isinstance(step, HttpRequest):
                try:
                    sent = await fetch(step)
                except Unavailable as error:
                    problem = error
            elif isinstance(step, Sleep):
                await deferLater(clock, step.seconds)
            elif isinstance(step, OpenBrowser):
                sent = await browse(step)
            elif isinstance(step, Notify):
                show(step.text)
    finally:
        flow.close()
