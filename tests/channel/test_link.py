"""Frames between two processes: whole, in order, with their descriptors, and bounded in time and size."""

from __future__ import annotations

import os
import socket

import pytest

from ampproxy.channel.link import MAX_FRAME_BYTES, BrokenChannel, Frames, Link, frame, pump
from tests.channel.reactor import TurnedReactor


class Receiver:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.descriptors: list[int] = []
        self.ends = 0

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        self.payloads.append(payload)
        self.descriptors += descriptors

    def lost(self) -> None:
        self.ends += 1


class Pair:
    """Two ends of a channel in one reactor."""

    def __init__(self, pause: float = 0.0) -> None:
        self.reactor = TurnedReactor()
        sockets = socket.socketpair()
        self.receivers = Receiver(), Receiver()
        self.left, self.right = (
            Link(self.reactor, sock, receiver, pause=pause)
            for sock, receiver in zip(sockets, self.receivers, strict=True)
        )
        self.left.start()
        self.right.start()


def test_any_split() -> None:
    """However the bytes arrive, the same frames come of them."""
    payloads = [b"", b"a", b"b" * 300, b""]
    data = b"".join(map(frame, payloads))
    for step in (1, 2, 5, 7, len(data)):
        frames, found = Frames(), []
        for at in range(0, len(data), step):
            found += [payload for payload, _ in frames.feed(data[at : at + step])]
        assert found == payloads


def test_what_is_no_frame() -> None:
    """A length beyond the limit, and a descriptor that has not come, are no frames."""
    with pytest.raises(BrokenChannel):
        Frames().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big") + b"\0")
    with pytest.raises(BrokenChannel):
        Frames().feed(frame(b"x", 1))


def test_both_ways() -> None:
    """Each end gets what the other one sends, in order."""
    pair = Pair()
    for number in range(5):
        pair.left.send(b"%d" % number)
    pair.right.send(b"back")
    pair.reactor.settle()
    assert pair.receivers[1].payloads == [b"0", b"1", b"2", b"3", b"4"]
    assert pair.receivers[0].payloads == [b"back"]


def test_more_than_the_socket_takes() -> None:
    """The rest waits, is counted, and arrives; so does a descriptor behind it."""
    pair, (read, write) = Pair(), os.pipe()
    large = b"x" * 3_000_000
    pair.left.send(large)
    assert pair.left.waiting > 0
    pair.left.send(b"end", [write])
    os.close(write)
    pair.reactor.settle()
    assert pair.left.waiting == 0
    assert pair.receivers[1].payloads == [large, b"end"]
    (copy,) = pair.receivers[1].descriptors
    os.write(copy, b"!")
    assert os.read(read, 9) == b"!"
    assert not os.get_inheritable(copy)
    for number in (read, copy):
        os.close(number)


def test_the_other_end_goes() -> None:
    """What it had sent is still read; then that it is gone is reported once, and sending does no harm."""
    pair = Pair()
    pair.left.send(b"last words")
    pair.left.close()
    pair.right.send(b"too late")
    pair.reactor.settle()
    pair.right.send(b"too late")
    assert pair.receivers[1].payloads == [b"last words"]
    assert [receiver.ends for receiver in pair.receivers] == [0, 1]
    assert not pair.right.open
    assert not pair.reactor.readers
    assert not pair.reactor.writers


def test_reading_pauses() -> None:
    """With a pause, what comes within it is read at once after it."""
    pair = Pair(pause=0.005)
    pair.left.send(b"1")
    pair.reactor.turn()
    pair.left.send(b"2")
    pair.left.send(b"3")
    assert not pair.reactor.turn()
    pair.reactor.advance(0.005)
    assert pair.reactor.turn()
    assert pair.receivers[1].payloads == [b"1", b"2", b"3"]


def test_pump() -> None:
    """Links go on without the reactor until something holds, or the time is over."""
    pair, now = Pair(pause=1.0), [0.0]
    pair.left.send(b"answer")

    def seconds() -> float:
        now[0] += 0.01
        return now[0]

    assert pump([pair.right], lambda: bool(pair.receivers[1].payloads), seconds, 1.0)
    assert not pump([pair.right], lambda: False, seconds, 0.05)
    pair.left.close()
    assert not pump([pair.right], lambda: False, seconds, 1.0)
