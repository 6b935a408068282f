"""A request of our own is twisted.web's to its resources: what they call does what it does there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web import static
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET
from twisted.web.util import Redirect
from zope.interface.verify import verifyObject

from ampproxy.http import server_request
from tests.http.server import House, Line, Served

GET = b"GET /%b HTTP/1.1\r\nHost: localhost:8317\r\n\r\n"


class Rendered(Served):
    """A request that a tree of twisted.web's serves."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.received = True
        self.site: Any = self.channel.site
        self.path = self.uri.partition(b"?")[0]
        self.prepath, self.postpath = [], self.path[1:].split(b"/")
        try:
            self.render(getChildForRequest(self.site.tree, self))
        except Exception:
            self.processingFailed(Failure())


class Page(Resource):
    isLeaf = True

    def __init__(self, serve: Any) -> None:
        super().__init__()
        self.serve = serve

    def render_GET(self, request: Any) -> Any:
        return self.serve(request)


def house(tree: Resource) -> House:
    made = House()
    made.request = Rendered
    made.tree, made.displayTracebacks = tree, False  # type: ignore[attr-defined]
    return made


def ask(serve: Any, said: bytes = GET % b"") -> tuple[Line, bytes, bytes]:
    """The connection, and the answer's head and body."""
    line = house(Page(serve)).connect().send(said)
    head, _, body = line.said.partition(b"\r\n\r\n")
    return line, head, body


def test_interface() -> None:
    """All of ``IRequest``."""
    seen = []
    ask(lambda request: seen.append(verifyObject(IRequest, request)) or b"")
    assert seen == [True]


def test_a_tree_of_twisteds(tmp_path: Path) -> None:
    """Children, files with their parts, redirections, and what is not there."""
    (tmp_path / "file.txt").write_bytes(b"0123456789" * 30_000)
    root = Resource()
    root.putChild(b"data", static.Data(b"some data", "text/plain"))
    root.putChild(b"away", Redirect(b"http://localhost/data"))
    root.putChild(b"none", notFound())
    root.putChild(b"files", static.File(str(tmp_path)))
    made = house(root)
    line = made.connect()
    for path, status, body in (
        (b"data", b"200 OK", b"some data"),
        (b"away", b"302 Found", b"data"),
        (b"none", b"404 Not Found", b"No Such Resource"),
        (b"nothing", b"404 Not Found", b"No Such Resource"),
    ):
        line.transport.clear()
        line.send(GET % path)
        assert line.said.startswith(b"HTTP/1.1 " + status)
        assert body in line.said
        assert not line.closed
    line.transport.clear()
    line.send(b"GET /files/file.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=10-19\r\n\r\n")


def test_a_pull_producer() -> None:
    """It is asked for more turn by turn, not while the client takes nothing, and no more once it is done."""

    class Pulled:
        left = 5

        def __init__(self, request: Any) -> None:
            self.request = request
            self.stopped = 0
            request.registerProducer(self, False)

        def resumeProducing(self) -> None:
            self.left -= 1
            self.request.write(b"piece")
            if not self.left:
                self.request.unregisterProducer()
                self.request.finish()

        def stopProducing(self) -> None:
            self.stopped += 1

    clock, producers = Clock(), []
    from twisted.internet import task

    with pytest.MonkeyPatch.context() as patch:
        cooperator = task.Cooperator(scheduler=lambda call: clock.callLater(0.01, call))
        patch.setattr("ampproxy.http.server_request.cooperate", cooperator.cooperate)
        line, _, _ = ask(lambda request: producers.append(Pulled(request)) or NOT_DONE_YET)
        line.channel.pauseProducing()
        clock.pump([0.01] * 10)
        assert producers[0].left == 5
        line.channel.resumeProducing()
        clock.pump([0.01] * 20)
        assert line.said.endswith(b"5\r\npiece\r\n" * 5 + b"0\r\n\r\n")
        assert not line.closed
        line.send(GET % b"")
        # The transport's word, and the connection's.
        line.channel.stopProducing()
        line.leave()
        assert producers[1].stopped == 1
        left = producers[1].left
        clock.pump([0.01] * 20)
        assert producers[1].left == left


def test_what_resources_ask() -> None:
    """Address, host, query, cookies, user."""
    said = (
        b"GET /a/b?x=1&x=2&y= HTTP/1.1\r\nHost: example.test:99\r\nCookie: a=b; c=d=e\r\nCookie: f=g\r\n"
        b"Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
    )
    seen: dict[str, Any] = {}

    def serve(request: Any) -> bytes:
        seen.update(
            args=request.args,
            cookies=[request.getCookie(name) for name in (b"a", b"c", b"f", b"z")],
            user=(request.getUser(), request.getPassword()),
            host=request.getRequestHostname(),
            secure=request.isSecure(),
            peer=request.getClientAddress().host,
            here=request.getHost().port,
            header=request.getHeader(b"host"),
            all=request.getAllHeaders()[b"host"],
        )
        return b""

    ask(serve, said)
    assert seen == {
        "args": {b"x": [b"1", b"2"], b"y": [b""]},
        "cookies": [b"b", b"d=e", b"g", None],
        "user": (b"user", b"secret"),
        "host": b"example.test",
        "secure": False,
        "peer": "127.0.0.1",
        "here": 12345,
        "header": b"example.test:99",
        "all": b"example.test:99",
    }


def test_addresses() -> None:
    """Of the resource that was found, of its parent, and of what was asked for; there are no sessions."""
    seen: dict[str, Any] = {}

    def serve(request: Any) -> bytes:
        before = request.getRootURL()
        request.rememberRootURL()
        seen.update(
            found=request.prePathURL(),
            before=before,
            parent=request.getRootURL(),
            asked=str(request.URLPath()),
        )
        with pytest.raises(RuntimeError, match="sessions"):
            request.getSession()
        return b""

    root, middle = Resource(), Resource()
    root.putChild(b"a=", middle)
    middle.putChild(b"b", Page(serve))
    house(root).connect().send(b"GET /a=/b/c?d HTTP/1.1\r\nHost: example.test\r\n\r\n")
    assert seen == {
        "found": b"http://example.test:12345/a%3D/b",
        "before": None,
        "parent": b"http://example.test:12345/a%3D",
        "asked": "http://example.test:12345/a%3D/b",
    }


def test_a_method_that_a_resource_does_not_know() -> None:
    """The client is told which it knows."""
    _, head, body = ask(lambda request: b"body", (GET % b"").replace(b"GET", b"PUT"))
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"Allow: GET, HEAD" in head
    assert body == b""


def test_answers_later() -> None:
    """The mark of ours is twisted.web's."""
    assert server_request.NOT_DONE_YET is NOT_DONE_YET


def test_what_resources_set() -> None:
    """Headers, cookies, dates and tags are in the head of the answer."""

    def serve(request: Any) -> bytes:
        request.setHeader(b"X-A", b"b")
        request.addCookie(b"k", b"v", path=b"/")
        request.setLastModified(1_700_000_000)
        request.setETag(b'"tag"')
        request.setResponseCode(201, b"Made")
        return b"body"

    _, head, body = ask(serve)
    assert head.startswith(b"HTTP/1.1 201 Made\r\n")
    for line in (b"X-A: b", b"Set-Cookie: k=v; Path=/", b'ETag: "tag"', b"Content-Length: 4"):
        assert line.lower() in head.lower()
    assert b"Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT" in head
    assert body == b"body"


def test_one_piece() -> None:
    """Head and body leave in one write; so do the head and the first chunk."""
    for serve, expected in ((lambda request: b"body", 1), (_streamed, 3)):
        line = house(Page(serve)).connect()
        writes: list[bytes] = []
        line.transport.write = writes.append
        line.send(GET % b"")
        assert len(writes) == expected
        assert writes[0].endswith((b"\r\n\r\nbody", b"\r\n\r\n3\r\none\r\n"))


def _streamed(request: Any) -> Any:
    for piece in (b"one", b"", b"two"):
        request.write(piece)
    request.finish()
    return NOT_DONE_YET


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("code", [200, 204, 304])
def test_without_a_body(method: bytes, code: int) -> None:
    """What has no body is given none, nor a length or a coding of its own."""

    def serve(request: Any) -> Any:
        request.setResponseCode(code)
        request.write(b"body")
        request.finish()
        return NOT_DONE_YET

    line = house(Page(serve)).connect().send((GET % b"").replace(b"GET", method) * 2)
    if method == b"GET" and code == 200:
        assert line.said.count(b"4\r\nbody\r\n0\r\n\r\n") == 2
    else:
        assert b"body" not in line.said
        assert b"Transfer-Encoding" not in line.said
        assert line.said.count(b"HTTP/1.1 ") == 2


def test_http_1_0() -> None:
    """It knows no chunks: the end of the connection is the end of a body without a length."""
    line, head, body = ask(_streamed, (GET % b"").replace(b"1.1\r", b"1.0\r"))
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b"chunked" not in head
    assert body == b"onetwo"
    assert line.closed


def test_notify_finish() -> None:
    """Fires when the answer is out, fails when the client leaves before."""
    seen: list[Any] = []
    requests: list[Any] = []

    def serve(request: Any) -> Any:
        requests.append(request)
        waiting: Deferred[None] = request.notifyFinish()
        waiting.addBoth(lambda result: seen.append(result and type(result)))
        return NOT_DONE_YET

    line, _, _ = ask(serve)
    requests[0].finish()
    assert seen == [None]
    line.send(GET % b"")
    line.leave()
    assert seen == [None, Failure]
    requests[1].write(b"nothing happens")
    with pytest.raises(RuntimeError):
        requests[1].finish()
    with pytest.raises(RuntimeError):
        requests[1].registerProducer(object(), True)


def test_finished() -> None:
    """Nothing is written behind the end; ending twice is ending once."""
    requests: list[Any] = []

    def serve(request: Any) -> bytes:
        requests.append(request)
        return b"body"

    line, _, _ = ask(serve)
    said = line.said
    requests[0].finish()
    with pytest.raises(RuntimeError):
        requests[0].write(b"more")
    assert line.said == said


def test_two_producers() -> None:
    """There is one at a time; one that was left behind is not the next request's."""
    requests: list[Any] = []

    class Producer:
        paused = 0

        def pauseProducing(self) -> None:
            self.paused += 1

        resumeProducing = stopProducing = pauseProducing

    producer = Producer()

    def serve(request: Any) -> Any:
        requests.append(request)
        request.registerProducer(producer, True)
        with pytest.raises(ValueError, match="unregistered"):
            request.registerProducer(Producer(), True)
        request.finish()
        return NOT_DONE_YET

    line, _, _ = ask(serve)
    line.channel.pauseProducing()
    assert producer.paused == 0


def test_a_resource_that_fails() -> None:
    """A server error, and the connection goes on."""

    def fail(request: Any) -> bytes:
        raise ZeroDivisionError

    line, head, _ = ask(fail)
    assert head.startswith(b"HTTP/1.1 500 Internal Server Error")
    line.send(GET % b"")
    assert line.said.count(b"HTTP/1.1 500") == 2


def test_a_resource_that_fails_in_mid_answer() -> None:
    """What has gone out is no whole answer, and does not look like one."""

    def fail(request: Any) -> bytes:
        request.write(b"half")
        raise ZeroDivisionError

    line, head, body = ask(fail)
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b"4\r\nhalf\r\n"
    assert line.aborted
