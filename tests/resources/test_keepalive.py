"""``streaming.keepalive-seconds``: what a client hears while the model is silent."""

from __future__ import annotations

import json
import unittest

from tests.resources.harness import CONFIG, Connection, FakeBody, World
from tests.resources.test_provider import DELTA, SSE, START, STOP

CHAT_ACCOUNT = """
openai-compatibility:
  - name: local
    base-url: http://chat.test/v1
    api-key-entries: [{api-key: chat-account-key}]
    models: [{name: chat-real, alias: chat-local}]
gemini-api-key:
  - api-key: gemini-account-key
    base-url: http://gemini.test
    models: [{name: gemini-real, alias: gemini-local}]
"""
#: The paths of clients.
ANTHROPIC, CHAT, RESPONSES = "/v1/messages", "/v1/chat/completions", "/v1/responses"
GEMINI = "/v1beta/models/{model}:streamGenerateContent?alt=sse"
CHAT_START = b'data: {"id":"c","model":"chat-real","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
CHAT_END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
GEMINI_START = (
    b'data: {"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"hi"}]}}]}\r\n\r\n'
)
OPENED = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
#: A model -> how its account's stream begins.
BEGINNINGS = {"claude-local": START + OPENED + DELTA, "chat-local": CHAT_START, "gemini-local": GEMINI_START}


def question(path: str, model: str) -> bytes:
    if path == GEMINI:
        return b'{"contents":[{"parts":[{"text":"hi"}]}]}'
    asked = [{"role": "user", "content": "hi"}]
    words = {"input": asked} if path == RESPONSES else {"messages": asked, "max_tokens": 50}
    return json.dumps({"model": model, "stream": True, **words}).encode()


class KeepAlive(unittest.TestCase):
    """A stream that falls silent, for each dialect of a client and each of an account."""

    def begin(self, path: str, model: str, setting: str = "") -> tuple[World, Connection, FakeBody]:
        world = World(CONFIG + CHAT_ACCOUNT + setting)
        connection = world.request("POST", path.format(model=model), body=question(path, model))
        stream = world.client.sent[0].respond(200, SSE)
        stream.data(BEGINNINGS[model])
        world.turn()
        return world, connection, stream

    def heard(self, path: str, model: str, seconds: float, setting: str = "") -> bytes:
        """What comes within some seconds of silence."""
        world, connection, _ = self.begin(path, model, setting)
        before = connection.body
        self.assertIn(b"hi", before)
        for _ in range(int(seconds * 2)):
            world.clock.advance(0.5)
        self.assertTrue(connection.body.startswith(before))
        return connection.body[len(before) :]

    def test_anthropic_client_hears_pings(self) -> None:
        """Every 15 seconds a ping comes, as Anthropic itself sends it."""
        for model in BEGINNINGS:
            with self.subTest(model=model):
                self.assertEqual(self.heard(ANTHROPIC, model, 14.5), b"")
                once = self.heard(ANTHROPIC, model, 15.5)
                self.assertTrue(once.startswith(b"event: ping\ndata: "), once)
                self.assertEqual(json.loads(once.partition(b"data: ")[2]), {"type": "ping"})
                self.assertEqual(self.heard(ANTHROPIC, model, 46), once * 3)

    def test_openai_clients_hear_comments(self) -> None:
        """Comments come, which no reader of events takes for one."""
        for path in (CHAT, RESPONSES):
            for model in BEGINNINGS:
                with self.subTest(path=path, model=model):
                    once = self.heard(path, model, 15.5)
                    self.assertRegex(once, rb"\A(:[^\r\n]*\n)+\n\Z")

    def test_gemini_client_hears_nothing(self) -> None:
        """Google's SDK breaks at a comment, so there is silence."""
        for model in BEGINNINGS:
            with self.subTest(model=model):
                self.assertEqual(self.heard(GEMINI, model, 100), b"")

    def test_setting(self) -> None:
        """The time is the setting's, and 0 is never."""
        setting = "streaming: {keepalive-seconds: 3}\n"
        for path, model in ((ANTHROPIC, "claude-local"), (ANTHROPIC, "chat-local"), (CHAT, "claude-local")):
            with self.subTest(path=path, model=model):
                self.assertEqual(self.heard(path, model, 2.5, setting), b"")
                self.assertNotEqual(self.heard(path, model, 3.5, setting), b"")
                never = setting.replace("3", "0")
                self.assertEqual(self.heard(path, model, 60, never), b"")

    def test_silence_is_counted_from_the_last_bytes(self) -> None:
        """A stream that speaks gets no signs of life between its words, and ends as if there were none."""
        for path, model, more, end in (
            (ANTHROPIC, "claude-local", DELTA, STOP),
            (ANTHROPIC, "chat-local", CHAT_START, CHAT_END),
        ):
            with self.subTest(model=model):
                world, connection, stream = self.begin(path, model)
                for _ in range(4):
                    world.clock.advance(10)
                    stream.data(more)
                    world.turn()
                self.assertNotIn(b"ping", connection.body)
                world.clock.advance(15)
                self.assertEqual(connection.body.count(b"event: ping"), 1)
                stream.data(end)
                stream.done()
                world.turn()
                self.assertTrue(connection.ended_cleanly)
                ended = connection.answer
                world.clock.advance(100)
                self.assertEqual(connection.answer, ended)
