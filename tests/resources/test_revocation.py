"""A client key that is revoked: what is under way with it ends, told in the dialect; the rest goes on."""

from __future__ import annotations

import json
import unittest
from typing import Any

from tests.resources.harness import CLIENT_KEY, CONFIG, World
from tests.resources.test_amp_keys import KEY, NAMED, Users
from tests.resources.test_provider import AMP, ANSWER, DELTA, JSON, SSE, START, body
from tests.resources.test_tunnel import SWITCH, UPGRADE, Upstream

SECOND = "second-client-key"


WITHOUT = {
    CLIENT_KEY: CONFIG.replace(f'"{CLIENT_KEY}", ', ""),
    SECOND: CONFIG.replace(f', "{SECOND}"', ""),
}


class Revoked(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()

    def ask(self, model: str = "claude-local", *, stream: bool = True, key: str = CLIENT_KEY) -> Any:
        return self.world.request("POST", AMP, body=body(model, stream=stream), key=key)

    def revoke(self, key: str = CLIENT_KEY) -> int:
        return self.world.use(WITHOUT[key])

    def ended(self) -> Any:
        self.world.turn()
        (exchange,) = self.world.exchanges
        self.assertEqual(self.world.generation.runtime.running.count, 0)
        return exchange

    def test_stream(self) -> None:
        """It ends with its dialect's error event and no clean end; the vendor's connection is closed."""
        connection = self.ask()
        stream = self.world.client.sent[0].respond(200, SSE)
        stream.data(START + DELTA)
        self.world.turn()
        self.assertEqual(self.revoke(), 1)
        self.assertIn(b"event: error\ndata: ", connection.answer)
        self.assertIn(b"authentication_error", connection.answer)
        self.assertIn(b"revoked", connection.answer)
        self.assertFalse(connection.ended_cleanly)
        self.assertTrue(connection.closed)
        self.assertEqual(stream.state, "stopped")
        self.assertEqual(self.ended()["outcome"], "broken-off")

    def test_stream_of_another(self) -> None:
        """That of another key goes on."""
        connection = self.ask(key=SECOND)
        stream = self.world.client.sent[0].respond(200, SSE)
        stream.data(START)
        self.world.turn()
        self.assertEqual(self.revoke(), 0)
        stream.data(DELTA)
        self.world.turn()
        self.assertIn(DELTA.partition(b"data: ")[2][:40], connection.body)

    def test_before_the_answer(self) -> None:
        """Who still waits is refused by status, in the dialect; no other account is asked."""
        connection = self.ask()
        self.revoke()
        self.assertEqual(connection.status, 401)
        self.assertEqual(json.loads(connection.body)["error"]["type"], "authentication_error")
        self.assertTrue(self.world.client.sent[0].cancelled)
        self.assertEqual(len(self.world.client.sent), 1)
        self.assertEqual(self.ended()["outcome"], "refused")

    def test_between_headers_and_first_byte(self) -> None:
        """Likewise after the vendor has begun to answer."""
        connection = self.ask()
        stream = self.world.client.sent[0].respond(200, SSE)
        self.revoke()
        self.assertEqual(connection.status, 401)
        self.assertEqual(stream.state, "stopped")

    def test_whole_answer(self) -> None:
        """Likewise while a whole answer is gathered."""
        connection = self.ask(stream=False)
        self.world.client.sent[0].respond(200, JSON).data(b'{"id"')
        self.revoke()
        self.assertEqual(connection.status, 401)
        self.ended()

    def test_long_answer_on_its_way(self) -> None:
        """A whole answer that a slow client is still reading is broken off."""
        connection = self.ask(stream=False)
        large = (
            b'{"id":"m","type":"message","model":"claude-real","content":[],"x":"' + b"x" * (1 << 20) + b'"}'
        )
        exchange = self.world.client.sent[0].respond(200, JSON, len(large))
        exchange.data(large)
        write = connection.transport.write

        def reluctant(data: bytes) -> None:
            write(data)
            connection.channel.pauseProducing()

        connection.transport.write = reluctant
        exchange.done()
        self.assertEqual(self.world.exchanges, [])
        self.revoke()
        self.assertTrue(connection.closed)
        self.assertEqual(self.ended()["outcome"], "broken-off")

    def test_forwarded(self) -> None:
        """What is handed on to Amp ends too, before and after its first byte."""
        before = self.world.request("GET", "/api/threads")
        after = self.world.request("GET", "/api/threads")
        self.world.client.sent[1].respond(200, JSON).data(b"[1,")
        self.world.turn()
        self.assertEqual(self.revoke(), 2)
        self.assertEqual(before.status, 401)
        self.assertTrue(after.closed)
        self.assertFalse(after.ended_cleanly)

    def test_tunnel(self) -> None:
        """Both sides of a tunnel are closed."""
        upstream = Upstream(self.world)
        connection = self.world.request("GET", "/api/socket", UPGRADE)
        upstream.say(SWITCH)
        self.assertEqual(connection.status, 101)
        self.revoke()
        self.assertTrue(connection.closed)
        self.assertTrue(upstream.wires[0].disconnecting)
        connection.leave()
        upstream.leave()
        exchange = self.ended()
        self.assertEqual(exchange["outcome"], "broken-off")
        self.assertIn("revoked", exchange["why"])

    def test_tunnel_that_is_being_opened(self) -> None:
        """One that the upstream has not agreed to yet is refused."""
        Upstream(self.world)
        connection = self.world.request("GET", "/api/socket", UPGRADE)
        self.revoke()
        self.assertEqual(connection.status, 401)

    def test_no_keys_any_more(self) -> None:
        """Where nobody needs a key any more, nobody's is revoked."""
        self.ask()
        self.assertEqual(self.world.use(CONFIG.replace("api-keys:", "ignored:", 1)), 0)

    def test_twice(self) -> None:
        """What has ended is not ended again."""
        self.ask()
        self.assertEqual((self.revoke(), self.revoke()), (1, 0))

    def test_body_still_on_its_way(self) -> None:
        """A request that was let in and then became whole under another configuration is refused by that."""
        text = body("claude-local")
        head = f"POST {AMP} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
        connection = self.world.connect().send(
            f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text[:5]
        )
        self.revoke()
        connection.send(text[5:])
        self.assertEqual(connection.status, 401)
        self.assertIn(b"X-Ampproxy-Generation: 2\r\n", connection.answer)
        self.assertEqual(self.world.client.sent, [])


class AmpUsers(unittest.TestCase):
    """Those who come with a key of Amp's own."""

    def setUp(self) -> None:
        self.world = Users(NAMED)
        self.connection = self.world.request("GET", "/api/threads", key=KEY)

    def test_user_taken_off_the_list(self) -> None:
        """What runs for the user ends; so it does where such keys count no more."""
        for config in (NAMED.replace("Anna@", "ben@"), CONFIG):
            world = Users(NAMED)
            connection = world.request("GET", "/api/threads", key=KEY)
            world.says()
            self.assertEqual(world.use(config), 1)
            self.assertEqual(connection.status, 401)

    def test_user_still_on_it(self) -> None:
        """The others go on, and Amp is not asked about them again."""
        self.world.says()
        self.assertEqual(self.world.use(NAMED.replace("[Anna@", "[ben@example.org, anna@")), 0)
        self.world.request("GET", "/api/threads", key=KEY)
        self.assertEqual((len(self.world.asked), len(self.world.other())), (1, 2))

    def test_while_amp_is_asked(self) -> None:
        """Who is not known yet is asked about once more, by the new configuration, and let in by that."""
        self.world.use(NAMED)
        self.world.says()
        self.assertEqual((len(self.world.asked), len(self.world.other())), (2, 0))
        self.world.says()
        (sent,) = self.world.other()
        sent.respond_whole(200, b"{}")
        self.world.turn()
        self.assertEqual(self.connection.status, 200)
        self.assertIn(b"X-Ampproxy-Generation: 2\r\n", self.connection.answer)

    def test_while_amp_is_asked_and_revoked(self) -> None:
        """Or not."""
        self.world.use(NAMED.replace("Anna@", "ben@"))
        self.world.says()
        self.world.says()
        self.assertEqual(self.connection.status, 403)

    def test_body_still_on_its_way(self) -> None:
        """The same for a request whose body was not whole yet: the new configuration asks, and has
        it wait.
        """
        self.world.says()
        text = body("claude-local")
        head = f"POST {AMP} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n"
        connection = self.world.connect().send(
            f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text[:5]
        )
        self.world.use(NAMED.replace("https://amp.test", "https://other.test"))
        connection.send(text[5:])
        self.assertEqual((connection.answer, len(self.world.asked)), (b"", 2))
        self.world.says()
        self.world.client.sent[-1].respond_whole(200, ANSWER, JSON)
        self.world.turn()
        self.assertEqual(connection.status, 200)


class Ending(unittest.TestCase):
    """How connections end when the service does."""

    def setUp(self) -> None:
        self.world = World()

    def test_answer_says_so(self) -> None:
        """A kept connection is served once more, and told that it is the last time."""
        connection = self.world.request("GET", "/healthz")
        self.world.site.lifecycle.leave()
        self.world.site.end()
        self.world.clock.advance(1)
        self.assertFalse(connection.closed)
        connection.transport.clear()
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(connection.status, 200)
        self.assertIn(b"\r\nConnection: close\r\n", connection.answer)
        self.assertTrue(connection.closed)

    def test_idle_ones(self) -> None:
        """Those on which nothing is asked are closed soon."""
        connections = [self.world.connect(), self.world.request("GET", "/healthz")]
        self.world.site.lifecycle.leave()
        self.world.site.end()
        self.world.clock.advance(6)
        self.assertTrue(all(connection.closed for connection in connections))

    def test_running_one(self) -> None:
        """A stream goes on to its end, and its connection is closed soon after it."""
        connection = self.world.request("POST", AMP, body=body(stream=True))
        stream = self.world.client.sent[0].respond(200, SSE)
        stream.data(START)
        self.world.site.lifecycle.leave()
        self.world.site.end()
        self.world.clock.advance(100)
        self.assertFalse(connection.closed)
        stream.data(DELTA)
        self.world.turn()
        self.assertIn(b"content_block_delta", connection.body)

    def test_gone_ones_are_forgotten(self) -> None:
        """Nothing is kept of a connection that has ended."""
        connection = self.world.request("GET", "/healthz")
        self.assertEqual(len(self.world.site.channels), 1)
        connection.leave()
        self.assertEqual(len(self.world.site.channels), 0)
