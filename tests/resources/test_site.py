"""The server's limits: each answers before it closes, and an early answer is readable."""

from __future__ import annotations

import json
import unittest

from ampproxy.http.server_receiving import MAX_BEHIND_BYTES
from tests.resources.harness import CLIENT_KEY, CONFIG, World

HEAD = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"


class Limits(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()

    def test_slow_headers(self) -> None:
        """Bytes that trickle in do not put the headers' deadline off: 408, naming the setting."""
        connection = self.world.connect().send(b"GET /healthz HTTP/1.1\r\n")
        for _ in range(9):
            self.world.clock.advance(1.2)
            connection.send(b"X-Slow: 1\r\n")
        self.assertEqual(connection.status, 408)
        self.assertIn(b"limits.header-timeout", connection.answer)
        self.assertTrue(connection.closed)

    def test_slow_body(self) -> None:
        """A body that stops coming is told so."""
        connection = self.world.connect().send(f"{HEAD}Content-Length: 100\r\n\r\n".encode() + b"{")
        self.world.clock.advance(61)
        self.assertEqual(connection.status, 408)
        self.assertIn(b"limits.body-timeout", connection.answer)

    def test_trickling_body(self) -> None:
        """A body that keeps coming, a byte at a time, is no way to hold a connection for ever."""
        connection = self.world.connect().send(f"{HEAD}Content-Length: 1000000\r\n\r\n".encode())
        for _ in range(4):
            connection.send(b"x")
            self.world.clock.advance(30)
        self.assertEqual(connection.status, 408)

    def test_steady_body(self) -> None:
        """A large body at a fair pace may take longer than the limit between two pieces."""
        connection = self.world.connect().send(f"{HEAD}Content-Length: 1000000\r\n\r\n".encode())
        for _ in range(8):
            connection.send(b"x" * 100_000)
            self.world.clock.advance(20)
        self.assertEqual(connection.answer, b"")

    def test_idle_connection(self) -> None:
        """A connection on which nothing is asked is closed without a word."""
        connection = self.world.connect()
        self.world.clock.advance(76)
        self.assertTrue(connection.closed)
        self.assertEqual(connection.answer, b"")

    def test_idle_after_an_answer(self) -> None:
        """The idle time begins anew after each answer."""
        connection = self.world.request("GET", "/healthz")
        self.world.clock.advance(70)
        self.assertFalse(connection.closed)
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.world.clock.advance(70)
        self.assertFalse(connection.closed)
        self.world.clock.advance(6)
        self.assertTrue(connection.closed)

    def test_no_time_limit_while_the_model_thinks(self) -> None:
        """The client's own limits do not run while it waits for its answer."""
        body = b'{"model":"claude-local"}'
        connection = self.world.request("POST", "/v1/messages", body=body)
        self.world.clock.advance(500)
        self.assertFalse(connection.closed)
        self.assertEqual(connection.answer, b"")

    def test_too_many_headers(self) -> None:
        """431 with the setting's name, not a bare close."""
        lines = b"".join(b"X-%d: 1\r\n" % index for index in range(200))
        connection = self.world.connect().send(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
        self.assertEqual(connection.status, 431)
        self.assertIn(b"limits.max-headers", connection.answer)
        self.assertEqual(connection.answer.count(b"HTTP/1.1"), 1)

    def test_too_long_a_header(self) -> None:
        """One endless line is refused before it ends."""
        connection = self.world.connect().send(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000)
        self.assertEqual(connection.status, 431)

    def test_too_large_headers(self) -> None:
        """So are many lines that are large together."""
        lines = b"".join(b"X-%d: %b\r\n" % (index, b"a" * 1000) for index in range(80))
        connection = self.world.connect().send(b"GET / HTTP/1.1\r\n" + lines)
        self.assertEqual(connection.status, 431)

    def test_not_http(self) -> None:
        """400, in JSON."""
        connection = self.world.connect().send(b"hello\r\n\r\n")
        self.assertEqual(connection.status, 400)
        self.assertIn("error", json.loads(connection.body))

    def test_both_lengths(self) -> None:
        """A request with two framings is how requests are smuggled: refused."""
        connection = self.world.connect().send(
            f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        self.assertEqual(connection.status, 400)
        self.assertTrue(connection.closed)

    def test_announced_body_too_large(self) -> None:
        """413 before a byte of the body is read, in the dialect of the route."""
        connection = self.world.connect().send(f"{HEAD}Content-Length: 99999999999\r\n\r\n".encode())
        self.assertEqual(connection.status, 413)
        self.assertEqual(json.loads(connection.body)["error"]["type"], "request_too_large")
        self.assertIn("limits.max-body", connection.body.decode())

    def test_unannounced_body_too_large(self) -> None:
        """A chunked body is stopped where it passes the limit."""
        world = World(CONFIG + "limits: {max-body: 1000}\n")
        connection = world.connect().send(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        self.assertEqual(connection.status, 413)

    def test_refused_upload_is_readable(self) -> None:
        """A client that is refused in mid-upload may finish it, reads the answer, and is then closed."""
        connection = self.world.connect().send(
            b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345"
        )
        self.assertEqual(connection.status, 401)
        self.assertFalse(connection.closed)
        connection.send(b"67890")
        self.assertTrue(connection.closed)
        self.assertEqual(connection.answer.count(b"HTTP/1.1"), 1)

    def test_refused_upload_does_not_go_on_for_ever(self) -> None:
        """What still comes is dropped for a few seconds, not more, however it trickles."""
        connection = self.world.connect().send(
            b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        )
        for _ in range(3):
            connection.send(b"x")
            self.world.clock.advance(2)
        self.assertTrue(connection.closed)

    def test_refused_upload_gets_no_100(self) -> None:
        """No "100 Continue" follows a final answer."""
        connection = self.world.connect().send(
            b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        self.assertEqual(connection.status, 401)
        self.assertNotIn(b"100 Continue", connection.answer)

    def test_admitted_upload_gets_100(self) -> None:
        """A client that waits for "100 Continue" gets it once it is let in."""
        connection = self.world.connect().send(
            f"{HEAD}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n".encode()
        )
        self.assertEqual(connection.answer, b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_pipelined_requests(self) -> None:
        """Requests sent ahead are answered in turn on the one connection."""
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection = self.world.connect().send(request * 3)
        self.assertEqual(connection.answer.count(b"200 OK"), 3)

    def test_head(self) -> None:
        """HEAD tells the length and no body."""
        connection = self.world.request("HEAD", "/healthz")
        self.assertIn(b"Content-Length: 15", connection.answer)
        self.assertEqual(connection.body, b"")

    def test_every_refusal_is_logged_once(self) -> None:
        """A request that is turned away leaves one line with its outcome."""
        self.world.request("GET", "/api/user", key=None)
        (event,) = self.world.exchanges
        self.assertEqual((event["status"], event["outcome"]), (401, "refused"))


class Behind(unittest.TestCase):
    """What a client sends behind a request that is still being answered."""

    def setUp(self) -> None:
        self.world = World()
        body = b'{"model":"claude-local","max_tokens":5,"messages":[]}'
        self.first = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.connection = self.world.connect().send(self.first)

    def answer(self) -> None:
        self.world.client.sent[-1].respond_whole(
            200, b'{"type":"message","model":"claude-real","content":[]}'
        )

    def test_it_waits_its_turn(self) -> None:
        """A request that came too early is served when the one before it has its answer."""
        self.connection.send(self.first[:50])
        self.connection.send(self.first[50:])
        self.assertEqual(len(self.world.client.sent), 1)
        self.answer()
        self.assertEqual(len(self.world.client.sent), 2)
        self.answer()
        self.assertEqual(self.connection.answer.count(b"HTTP/1.1 200"), 2)
        self.assertFalse(self.connection.closed)

    def test_too_much(self) -> None:
        """Of more than a bound nothing is kept, and the reading goes on: else the client could not leave. The
        first request has its answer, and then the connection is closed.
        """
        for _ in range(40):
            self.connection.send(b"x" * (MAX_BEHIND_BYTES // 20))
            self.assertEqual(self.connection.transport.producerState, "producing")
        self.assertEqual(self.connection.channel._behind, [])
        self.answer()
        self.assertEqual(self.connection.answer.count(b"HTTP/1.1 200"), 1)
        self.assertTrue(self.connection.closed)
        self.assertEqual(len(self.world.client.sent), 1)
