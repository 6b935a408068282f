"""Large whole answers go out at the client's pace."""

from __future__ import annotations

import unittest
from typing import Any

from ampproxy.relay.downstream import SlicedBody
from ampproxy.upstream.body import SLICE


class Client:
    """Pauses its producer after every write, as a transport with a full buffer does."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.producer.pauseProducing()


class SlicedBodies(unittest.TestCase):
    def setUp(self) -> None:
        self.client = Client()
        self.body = bytes(range(256)) * (SLICE // 100)
        self.sliced = SlicedBody(self.client, self.body)  # type: ignore[arg-type]
        self.done = self.sliced.start()

    def test_one_slice_at_a_time(self) -> None:
        """Nothing is written that the client has not made room for."""
        self.assertEqual([len(piece) for piece in self.client.written], [SLICE])
        self.assertFalse(self.done.called)

    def test_all_in_the_end(self) -> None:
        """Every byte arrives, and the producer is gone when the answer ends."""
        while self.client.producer is not None:
            self.client.producer.resumeProducing()
        self.assertEqual(b"".join(self.client.written), self.body)
        self.assertTrue(self.done.called)

    def test_client_leaves(self) -> None:
        """The rest is dropped."""
        self.client.producer.stopProducing()
        self.assertTrue(self.done.called)
        self.sliced.resumeProducing()
        self.assertEqual(len(self.client.written), 1)
