"""Memory: of an exchange that has ended, however it ended, no body is kept."""

from __future__ import annotations

import gc
import json
import tracemalloc
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from ampproxy.errors import GatewayFault
from tests.resources.harness import CLIENT_KEY, CONFIG, Connection, Sent, World
from tests.resources.test_provider import DELTA, SSE, START, STOP

#: Of each body that is sent, and how much of one may be kept for other reasons. Bytes.
SIZE, SLACK = 2_000_000, 300_000

TWO = CONFIG.replace(
    "ampcode:",
    """  - api-key: second-account
    base-url: http://second.test
    models: [{name: claude-real, alias: claude-local}]
openai-compatibility:
  - name: chat
    base-url: http://chat.test/v1
    api-key-entries: [{api-key: chat-account}]
    models: [{name: chat-real, alias: chat-local}]
ampcode:""",
)
DETAIL = {"content-type": ["application/json"]}
CHAT_ERROR = b'data: {"error":{"message":"no"}}\n\n'
ERROR = json.dumps({"type": "error", "error": {"type": "api_error", "message": "no" * 20_000}}).encode()


def question(model: str = "claude-local", *, stream: bool = False) -> bytes:
    words = [{"role": "user", "content": "x" * SIZE}]
    return json.dumps({"model": model, "stream": stream, "max_tokens": 9, "messages": words}).encode()


class _Counting(Sent):
    """A request whose body the upstream reads and drops."""

    def write(self, data: Any) -> None:
        pass


class _Client:
    """An upstream that keeps nothing."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, method: str, url: str, headers: Any, body: Any = None, proxy: str | None = None) -> Any:
        sent = _Counting(method, url, headers.copy(), body)
        self.sent.append(sent)
        return sent.answer


@contextmanager
def nothing_kept(test: unittest.TestCase) -> Iterator[None]:
    """What is allocated within is free again at the end, without any garbage collection."""
    gc.disable()
    tracemalloc.start(3)
    try:
        yield
        grown, _ = tracemalloc.get_traced_memory()
        if grown >= SLACK:  # a snapshot takes longer than all else here
            largest = tracemalloc.take_snapshot().statistics("traceback")[:1]
            test.fail("\n".join(line for one in largest for line in one.traceback.format()))
    finally:
        tracemalloc.stop()
        gc.enable()


Ends = Callable[[World, Connection], None]


class Kept(unittest.TestCase):
    """Each kind of end, with the client's connection still known to the site."""

    def check(
        self,
        ends: Ends,
        *,
        body: Callable[[], bytes] = question,
        path: str = "/v1/messages",
        config: str = TWO,
        outcome: str,
        again: bool = False,
    ) -> None:
        for measured in (True,) if again else (False, True):  # what is loaded at the first time stays
            world = World(config, client=_Client())
            with nothing_kept(self) if measured else nullcontext():
                connection = world.request("POST", path, body=body())
                ends(world, connection)
                world.turn()
                connection.transport.clear()
            self.assertEqual(world.generation.runtime.held.total, 0)
            self.assertEqual([event["outcome"] for event in world.exchanges], [outcome])

    # An upload.

    def test_broken_upload(self) -> None:
        """The connection is lost in mid-body."""
        for framing in ("Content-Length: 9000000", "Transfer-Encoding: chunked"):
            for path in ("/v1/messages", "/api/provider/anthropic/v1/messages"):
                with self.subTest(framing=framing, path=path):
                    world = World(TWO)
                    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
                    chunked = "chunked" in framing
                    with nothing_kept(self):
                        connection = world.connect().send(f"{head}{framing}\r\n\r\n".encode())
                        for _ in range(SIZE // 1000):
                            connection.send(b"3e8\r\n" + bytes(1000) + b"\r\n" if chunked else bytes(1000))
                        connection.leave()
                    self.assertEqual(world.generation.runtime.held.total, 0)

    def test_upload_of_a_client_that_nobody_knows_yet(self) -> None:
        """The connection is lost while Amp is asked about the client's key, and Amp is slow."""
        world = World(TWO.replace("ampcode:", "ampcode:\n  accept-amp-keys: true"))
        head = (
            "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sgamp_user_01ANNA_a\r\n"
        )
        with nothing_kept(self):
            connection = world.connect().send(f"{head}Content-Length: {SIZE}\r\n\r\n".encode() + bytes(SIZE))
            connection.leave()
        self.assertEqual(len(world.client.sent), 1)

    def test_upload_that_is_too_slow(self) -> None:
        """408: the rest is not waited for."""
        world = World(TWO)
        head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
        with nothing_kept(self):
            connection = world.connect().send(f"{head}Content-Length: 9000000\r\n\r\n".encode() + b"x" * SIZE)
            world.clock.advance(61)
            self.assertEqual(connection.status, 408)
        self.assertEqual(world.generation.runtime.held.total, 0)

    def test_upload_that_is_too_large(self) -> None:
        """413 in its midst."""
        world = World(TWO + f"limits: {{max-body: {SIZE}}}\n")
        head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
        with nothing_kept(self):
            connection = world.connect().send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            for _ in range(3):
                connection.send(b"%x\r\n%b\r\n" % (SIZE // 2, b"x" * (SIZE // 2)))
            self.assertEqual(connection.status, 413)
        self.assertEqual(world.generation.runtime.held.total, 0)

    # Refused.

    def test_refused(self) -> None:
        """No JSON, no such model, no bytes that can be decoded."""
        for body, status in (
            (lambda: b"x" * SIZE, 400),
            (lambda: question("nobody-has-this"), 404),
        ):
            with self.subTest(status=status):
                self.check(
                    lambda _, connection, status=status: self.assertEqual(connection.status, status),
                    body=body,
                    outcome="refused",
                )

    # A vendor.

    def fail_all(self, world: World, status: int, body: bytes = ERROR) -> None:
        while world.client.sent:
            world.client.sent.pop().respond_whole(status, body, DETAIL)
            world.turn()

    def test_served(self) -> None:
        """A good answer, whole."""

        def ends(world: World, connection: Connection) -> None:
            world.client.sent.pop().respond_whole(
                200, b'{"type":"message","content":[]}' + b" " * SIZE, DETAIL
            )
            self.assertEqual(connection.status, 200)

        self.check(ends, outcome="completed")

    def test_vendor_fails(self) -> None:
        """Every status: those after which the next account is asked, and those that are final."""
        for number, status in enumerate((302, 400, 401, 404, 429, 500, 503, 529)):
            for model, path in (
                ("claude-local", "/v1/messages"),
                ("claude-local", "/api/provider/anthropic/v1/messages"),
                ("chat-local", "/v1/messages"),
            ):
                for stream in (False, True):
                    with self.subTest(status=status, model=model, stream=stream, path=path):
                        self.check(
                            lambda world, _, status=status: self.fail_all(world, status),
                            body=lambda model=model, stream=stream: question(model, stream=stream),
                            path=path,
                            outcome="upstream-error",
                            again=number > 1,  # of the first that is final some more is loaded
                        )

    def test_vendor_does_not_answer(self) -> None:
        """No connection, no answer, one that breaks."""
        for error in (
            ConnectionLost(),
            ResponseNeverReceived([Failure(ConnectionLost())]),
            ResponseFailed([Failure(ConnectionLost())]),
            ZeroDivisionError(),
        ):
            with self.subTest(error=type(error)):

                def ends(world: World, _: Connection, error: Exception = error) -> None:
                    while world.client.sent:
                        world.client.sent.pop().answer.errback(Failure(error))

                self.check(ends, outcome="upstream-error")

    def test_vendor_is_too_slow(self) -> None:
        """``timeouts.first-byte``."""

        def ends(world: World, _: Connection) -> None:
            while world.client.sent:
                world.client.sent.pop()
                world.clock.advance(601)

        self.check(ends, outcome="upstream-error")

    def test_another_serves(self) -> None:
        """The first account fails, the second serves."""
        for stream in (False, True):
            with self.subTest(stream=stream):

                def ends(world: World, connection: Connection, stream: bool = stream) -> None:
                    world.client.sent.pop().respond_whole(529, ERROR, DETAIL)
                    if stream:
                        answer = world.client.sent.pop().respond(200, SSE)
                        answer.data(START + DELTA + STOP)
                        answer.done()
                    else:
                        world.client.sent.pop().respond_whole(200, b'{"type":"message","content":[]}', DETAIL)
                    self.assertEqual(connection.status, 200)

                self.check(ends, body=lambda stream=stream: question(stream=stream), outcome="completed")

    def test_answer_breaks_off(self) -> None:
        """A stream that is cut, in mid-answer and before its first event; a whole answer that is cut, or is
        none; one that falls silent.
        """

        def cut(world: World, begin: bytes) -> None:
            while world.client.sent:
                answer = world.client.sent.pop().respond(200, SSE)
                if begin:
                    answer.data(begin)
                    world.turn()
                answer.lose(ConnectionLost())

        def silent(world: World) -> None:
            world.client.sent.pop().respond(200, SSE).data(START + DELTA)
            world.turn()
            world.clock.advance(301)

        def nonsense(world: World) -> None:
            while world.client.sent:
                world.client.sent.pop().respond_whole(200, b"nonsense", DETAIL)

        for stream, model, end, outcome in (
            (True, "claude-local", lambda world: cut(world, START + DELTA), "broken-off"),
            (True, "chat-local", lambda world: cut(world, CHAT_ERROR), "upstream-error"),
            (True, "claude-local", lambda world: cut(world, b""), "upstream-error"),
            (False, "claude-local", lambda world: cut(world, bytes(SIZE)), "upstream-error"),
            (False, "chat-local", nonsense, "upstream-error"),
            (True, "claude-local", silent, "broken-off"),
        ):
            with self.subTest(stream=stream, model=model, outcome=outcome):
                self.check(
                    lambda world, _, end=end: end(world),
                    body=lambda stream=stream, model=model: question(model, stream=stream),
                    outcome=outcome,
                )

    # The client, and the owner.

    def stages(self) -> Iterator[tuple[bool, Callable[[World], None]]]:
        """How far an exchange may have come when it is ended from outside."""
        yield False, lambda world: None
        yield True, lambda world: None
        yield False, lambda world: world.client.sent.pop().respond(200, DETAIL).data(b"{")
        yield True, lambda world: world.client.sent.pop().respond(200, SSE).data(START + DELTA)
        yield True, lambda world: world.client.sent.pop().respond_whole(529, ERROR, DETAIL)

    def test_client_leaves(self) -> None:
        """At each stage."""
        for number, (stream, before) in enumerate(self.stages()):
            with self.subTest(number):

                def ends(world: World, connection: Connection, before: Any = before) -> None:
                    before(world)
                    world.turn()
                    connection.leave()
                    world.client.sent.clear()

                self.check(ends, body=lambda stream=stream: question(stream=stream), outcome="client-left")

    def test_aborted(self) -> None:
        """By the end of the service, a restart or a key that is taken back, at each stage."""
        for number, (stream, before) in enumerate(self.stages()):
            with self.subTest(number):

                def ends(world: World, connection: Connection, before: Any = before) -> None:
                    before(world)
                    world.turn()
                    world.generation.runtime.running.abort(GatewayFault.of("unavailable", "the end"))
                    world.client.sent.clear()

                began = number == 3
                self.check(
                    ends,
                    body=lambda stream=stream: question(stream=stream),
                    outcome="broken-off" if began else "refused",
                )

    def test_amp_fails(self) -> None:
        """What was for Amp itself."""
        config = TWO + "  fallback: allow\n"
        for status in (200, 500):
            with self.subTest(status=status):
                self.check(
                    lambda world, _, status=status: self.fail_all(world, status, b"{}"),
                    body=lambda: question("claude-elsewhere"),
                    path="/api/provider/anthropic/v1/messages",
                    config=config,
                    outcome="completed",
                )

        def lost(world: World, _: Connection) -> None:
            world.client.sent.pop().answer.errback(Failure(ConnectionLost()))

        self.check(
            lost,
            body=lambda: question("claude-elsewhere"),
            path="/api/provider/anthropic/v1/messages",
            config=config,
            outcome="upstream-error",
        )
