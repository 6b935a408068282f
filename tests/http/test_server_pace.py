"""The pace at which a body comes: held and read on in any order, with a time limit wherever it was begun."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.http.server_receiving import AT_A_TIME, MAX_EARLY_BYTES, Waits
from tests.fuzz.examples import examples
from tests.http.server import House, Line, Served

HOST = b"Host: localhost\r\n"
GET = b"GET /%d HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
FIVE = POST + b"Content-Length: 5\r\n\r\nhello"
CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def hold(request: Served) -> None:
    if request.length != 0:
        request.channel.hold_body()


@pytest.mark.parametrize("body", [FIVE, CHUNKS])
@pytest.mark.parametrize("when", ["on_head", "on_piece", "on_whole"])
def test_held_and_whole(body: bytes, when: str) -> None:
    """Of a body that has come nothing is left to be held: a client that leaves is heard of, and its next
    request is read.
    """
    house = House()
    setattr(house, when, hold)
    line = house.connect().send(body)
    (request,) = house.served
    assert (request.got, request.whole) == (b"hello", True)
    assert line.transport.producerState == "producing"
    request.channel.go_on_with_body()
    request.answer()
    assert line.transport.producerState == "producing"
    line.send(GET % 2)
    assert house.served[-1].uri == b"/2"


def test_held_and_answered() -> None:
    """What is left of a body whose request is answered is read, and dropped."""
    house = House()
    house.on_piece = hold
    line = house.connect().send(FIVE[:-2])
    house.served[0].answer()
    assert line.transport.producerState == "producing"
    line.send(FIVE[-2:] + GET % 2)
    assert house.served[-1].uri == b"/2"
    assert not line.closed


def test_held_too_late() -> None:
    """Who holds a body whose request is answered holds nothing, and puts no limit off."""
    house = House()
    line = house.connect().send(FIVE[:-2])
    request, channel = house.served[0], line.channel
    request.answer()
    channel.hold_body()
    assert line.transport.producerState == "producing"
    line.send(FIVE[-2:])
    channel.hold_body()
    channel.go_on_with_body()
    assert line.transport.producerState == "producing"
    assert channel._waits is Waits.IDLE


def test_let_go_too_late() -> None:
    """What waits for a tunnel is not read on because a body before it was held once."""
    house = House()
    house.on_head = hold
    line = house.connect().send(FIVE)
    house.served[0].answer()
    line.send(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n")
    line.send(b"x" * (MAX_EARLY_BYTES + 1))
    assert line.transport.producerState == "paused"
    line.channel.go_on_with_body()
    assert line.transport.producerState == "paused"


@pytest.mark.parametrize("ahead", [1, AT_A_TIME])
@pytest.mark.parametrize("body", [FIVE, CHUNKS])
def test_sent_ahead(ahead: int, body: bytes) -> None:
    """A body that was begun behind other requests has the same time limit as any other."""
    house = House(body_timeout=60.0)
    line = house.connect().send(b"".join(GET % number for number in range(ahead)) + body[:-3])
    while house.served[-1].method == b"GET":
        house.served[-1].answer()
        house.reactor.advance(0)
    assert house.served[-1].method == b"POST"
    house.reactor.pump([1.0] * 58)
    assert b" 408 " not in line.said
    house.reactor.pump([1.0] * 5)
    assert b"HTTP/1.1 408 " in line.said
    assert line.closed


STEPS = ("hold", "go on", "send", "answer", "pause", "resume", "time")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=24), st.integers(1, 90))
def test_any_order(steps: list[str], size: int) -> None:
    """Whatever happens in whichever order, a connection that is open has its requests answered in the end."""
    house = House(body_timeout=600.0, idle_timeout=600.0, answer_timeout=600.0, header_timeout=600.0)
    line = house.connect()
    left = (FIVE + CHUNKS) * 4
    for step in steps:
        left = _step(house, line, step, left, size)
    if line.aborted or line.closed:
        # It was answered early, and its body did not come soon.
        return
    if house.served and not house.served[-1].finished:
        # Who serves it has room again; who has served one has no more to do with it.
        line.channel.go_on_with_body()
    if line.channel._full:
        line.channel.resumeProducing()
    while left:
        assert line.transport.producerState == "producing"
        left = _step(house, line, "send", left, size)
        _step(house, line, "answer", left, size)
    for _ in range(9):
        _step(house, line, "answer", left, size)
        house.reactor.advance(0)
    assert line.said.count(b"HTTP/1.1 200 ") == len(house.served) == 8
    assert all(request.got in (b"hello", b"") or b"hello".startswith(request.got) for request in house.served)


def _step(house: House, line: Line, step: str, left: bytes, size: int) -> bytes:
    channel = line.channel
    if step == "hold":
        channel.hold_body()
    elif step == "go on":
        channel.go_on_with_body()
    elif step == "send" and line.transport.producerState == "producing":
        line.send(left[:size])
        return left[size:]
    elif step == "answer" and house.served and not house.served[-1].finished and not line.closed:
        house.served[-1].answer()
    elif step == "pause" and not channel._full:
        channel.pauseProducing()
    elif step == "resume" and channel._full:
        channel.resumeProducing()
    elif step == "time":
        house.reactor.advance(1)
    return left
