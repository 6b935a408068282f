"""``limits.max-held``: what all bodies may take together."""

from __future__ import annotations

import gzip
import json
import unittest

from tests.resources.harness import CLIENT_KEY, CONFIG, Connection, World
from tests.resources.test_provider import SSE, START, STOP

JSON = {"content-type": ["application/json"]}
ANTHROPIC, CHAT = "/v1/messages", "/v1/chat/completions"


def question(size: int, *, stream: bool = False) -> bytes:
    asked = {"model": "claude-local", "max_tokens": 9, "stream": stream, "messages": []}
    return json.dumps({**asked, "metadata": {"user_id": "x" * size}}).encode()


class Bound(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World(CONFIG + "limits: {max-held: 10000}\n")

    @property
    def held(self) -> int:
        return self.world.generation.runtime.held.total

    def begin(self, path: str, length: int | None) -> Connection:
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n{framing}\r\n\r\n"
        return self.world.connect().send(head.encode())

    def refused(self, connection: Connection) -> None:
        self.assertEqual(connection.status, 503)
        self.assertIn(b"\r\nRetry-After: 5\r\n", connection.answer)
        self.assertIn(b"limits.max-held", connection.answer)

    def test_counted_as_it_comes(self) -> None:
        """Of a body on its way only what has come counts; who is too much hears so, in its dialect."""
        first = self.begin(ANTHROPIC, 9000).send(b"x" * 6000)
        self.assertEqual(self.held, 6000)
        second = self.begin(ANTHROPIC, None).send(b"bb8\r\n" + b"x" * 3000 + b"\r\n")
        self.assertEqual((self.held, second.answer), (9000, b""))
        second.send(b"7d0\r\n" + b"x" * 2000 + b"\r\n")
        self.refused(second)
        self.assertEqual(json.loads(second.body)["error"]["type"], "overloaded_error")
        self.assertEqual(self.held, 6000)
        first.leave()
        self.assertEqual(self.held, 0)

    def test_refused_by_its_length(self) -> None:
        """One whose length says that there is no room for it is refused before it comes."""
        self.begin(ANTHROPIC, 9000).send(b"x" * 6000)
        connection = self.begin(CHAT, 5000)
        self.refused(connection)
        self.assertEqual(json.loads(connection.body)["error"]["type"], "server_error")

    def test_never_any_room(self) -> None:
        """One that is larger than all may be is not asked to try again."""
        for connection in (
            self.begin(ANTHROPIC, 10_001),
            self.begin(ANTHROPIC, None).send(b"2711\r\n" + b"x" * 10_001 + b"\r\n"),
        ):
            self.assertEqual(connection.status, 413)
            self.assertIn(b"limits.max-held", connection.body)
            self.assertNotIn(b"Retry-After", connection.answer)
        self.assertEqual(self.held, 0)

    def test_until_the_exchange_is_over(self) -> None:
        """A question counts for as long as it may be asked again; then the next one has its room."""
        for stream in (True, False):
            with self.subTest(stream=stream):
                connection = self.world.request("POST", ANTHROPIC, body=question(6000, stream=stream))
                self.assertGreater(self.held, 6000)
                self.refused(self.world.request("POST", ANTHROPIC, body=question(6000)))
                if stream:
                    answer = self.world.client.sent[-1].respond(200, SSE)
                    answer.data(START)
                    self.world.turn()
                    self.assertGreater(self.held, 6000)
                    answer.data(STOP)
                    answer.done()
                else:
                    self.world.client.sent[-1].respond_whole(200, b'{"type":"message","content":[]}', JSON)
                self.world.turn()
                self.assertEqual((connection.status, self.held), (200, 0))

    def test_inflated(self) -> None:
        """What comes compressed counts as what it is."""
        small = gzip.compress(question(8000))
        first = self.world.request("POST", ANTHROPIC, {"Content-Encoding": "gzip"}, small)
        self.assertEqual(first.answer, b"")
        self.assertGreater(self.held, 8000)
        self.refused(self.world.request("POST", ANTHROPIC, {"Content-Encoding": "gzip"}, small))
        self.assertGreater(self.held, 8000)
        first.leave()
        self.assertEqual(self.held, 0)

    def test_answers(self) -> None:
        """A whole answer counts while it is held; one for which there is no room is none."""
        first = self.world.request("POST", ANTHROPIC, body=question(10))
        self.world.client.sent[-1].respond(200, JSON).data(b"{" + b" " * 7000)
        self.assertGreater(self.held, 7000)
        second = self.world.request("POST", ANTHROPIC, body=question(10))
        answer = self.world.client.sent[-1].respond(200, JSON)
        answer.data(b"{" + b" " * 7000)
        self.refused(second)
        self.assertEqual(answer.state, "stopped")
        first.leave()
        self.assertEqual(self.held, 0)

    def test_another_bound(self) -> None:
        """A reload's bound holds from the next request on."""
        self.begin(ANTHROPIC, 9000).send(b"x" * 6000)
        self.world.site.limits = World(CONFIG + "limits: {max-held: 20000}\n").config.limits
        self.assertEqual(self.begin(ANTHROPIC, 9000).answer, b"")
