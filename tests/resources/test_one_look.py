"""A body is looked at once, and cleaned once, however large it is."""

from __future__ import annotations

import json
import sys
import unittest
from collections import Counter
from types import FrameType
from typing import Any

from tests.resources.harness import World

SIGNED = {"type": "thinking", "thinking": "t", "signature": "s"}
THREAD = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}]},
    {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "b"}]},
    {"role": "user", "content": "go on"},
]


class OneLook(unittest.TestCase):
    """A turn of a thread with thinking, as Amp's and other clients send it."""

    def asked(self, path: str) -> tuple[Counter[str], list[Any]]:
        """The calls of the functions that go through a body, and the messages that the vendor got."""
        calls: Counter[str] = Counter()

        def see(frame: FrameType, event: str, arg: object) -> None:
            if event == "call":
                calls[frame.f_code.co_name] += 1

        world = World()
        body = json.dumps({"model": "claude-local", "max_tokens": 9, "messages": THREAD}).encode()
        sys.setprofile(see)
        try:
            world.request("POST", path, body=body)
        finally:
            sys.setprofile(None)
        (sent,) = world.client.sent
        return calls, json.loads(sent.body)["messages"]

    def test_of_amp(self) -> None:
        """Amp's client: what nobody signed is taken out, in one going-through."""
        calls, messages = self.asked("/api/provider/anthropic/v1/messages")
        self.assertEqual(messages[1]["content"], [{"type": "text", "text": "a"}])
        self.assertEqual(messages[2]["content"][0], SIGNED)
        self.assertEqual((calls["peek"] + calls["look"], calls["clean_request"]), (1, 1))

    def test_of_others(self) -> None:
        """Another client: likewise, for a model of the vendor's own."""
        calls, messages = self.asked("/v1/messages")
        self.assertEqual(messages[1]["content"], [{"type": "text", "text": "a"}])
        self.assertEqual((calls["peek"] + calls["look"], calls["clean_request"]), (1, 1))
