"""Bodies of requests and answers, in memory and without real time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface.verify import verifyObject

from ampproxy.errors import UpstreamFault, UpstreamTimeout
from ampproxy.upstream.body import SLICE, BodyReader, BytesProducer, collect
from ampproxy.upstream.pipe import PipeProducer


class Consumer:
    """An upstream connection; ``meanwhile`` is called inside each ``write``."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))
        self.meanwhile()

    @property
    def got(self) -> bytes:
        return b"".join(self.writes)


def outcome_of(deferred: Any) -> list[Any]:
    outcome: list[Any] = []
    deferred.addBoth(outcome.append)
    return outcome


BODY = bytes(range(256)) * (SLICE // 256 * 2 + 3)


class TestBytesProducer:
    @pytest.mark.parametrize("body", [b"", b"x", BODY[:SLICE], BODY[: SLICE + 1], BODY])
    def test_whole(self, body: bytes) -> None:
        """The upstream gets the body whole, in slices that no buffer has to copy often."""
        consumer, producer = Consumer(), BytesProducer(body)
        assert verifyObject(IBodyProducer, producer)
        assert producer.length == len(body)
        assert outcome_of(producer.startProducing(consumer)) == [None]
        assert consumer.got == body
        assert all(0 < len(piece) <= SLICE for piece in consumer.writes)

    def test_paused_inside_write(self) -> None:
        """An upstream that is full at once gets no second slice until it asks; then it gets the rest."""
        consumer, producer = Consumer(), BytesProducer(BODY)
        consumer.meanwhile = producer.pauseProducing
        done = outcome_of(producer.startProducing(consumer))
        for count in range(1, 5):
            assert len(consumer.writes) == min(count, 3)
            assert done == ([None] if count >= 3 else [])
            if count < 3:
                producer.resumeProducing()
        assert consumer.got == BODY

    def test_resumed_inside_write(self) -> None:
        """Pausing and resuming inside one write neither repeats nor reorders slices."""
        consumer, producer = Consumer(), BytesProducer(BODY)

        def both() -> None:
            producer.pauseProducing()
            producer.resumeProducing()

        consumer.meanwhile = both
        assert outcome_of(producer.startProducing(consumer)) == [None]
        assert consumer.got == BODY

    def test_stopped_inside_write(self) -> None:
        """After a stop nothing more is written, and nobody is told that the body was sent."""
        consumer, producer = Consumer(), BytesProducer(BODY)
        consumer.meanwhile = producer.stopProducing
        done = outcome_of(producer.startProducing(consumer))
        producer.resumeProducing()
        assert (len(consumer.writes), done) == (1, [])

    def test_cancelled(self) -> None:
        """Cancelling ends the writing."""
        consumer, producer = Consumer(), BytesProducer(BODY)
        consumer.meanwhile = producer.pauseProducing
        sending = producer.startProducing(consumer)
        done = outcome_of(sending)
        sending.cancel()
        producer.resumeProducing()
        assert done[0].check(CancelledError)
        assert len(consumer.writes) == 1


class Piped:
    """A client's upload on its way; ``held`` is what the client was last told."""

    def __init__(self, length: int | None = None) -> None:
        self.told: list[str] = []
        self.consumer = Consumer()
        self.pipe = PipeProducer(
            length, pause=lambda: self.told.append("wait"), resume=lambda: self.told.append("go on")
        )

    def start(self) -> list[Any]:
        self.done = self.pipe.startProducing(self.consumer)
        return outcome_of(self.done)


class TestPipeProducer:
    def test_length(self) -> None:
        """What the client said of the length is said to the upstream; an unknown one stays unknown."""
        assert verifyObject(IBodyProducer, Piped().pipe)
        assert Piped(7).pipe.length == 7
        assert Piped(0).pipe.length == 0
        assert Piped().pipe.length == UNKNOWN_LENGTH

    def test_order(self) -> None:
        """What came before the connection stood goes first, then each piece as it comes."""
        piped = Piped()
        piped.pipe.push(b"a")
        piped.pipe.push(b"b")
        done = piped.start()
        piped.pipe.push(b"c")
        piped.pipe.pauseProducing()
        piped.pipe.push(b"d")
        piped.pipe.push(b"e")
        assert piped.consumer.got == b"abc"
        piped.pipe.resumeProducing()
        piped.pipe.push(b"f")
        assert (piped.consumer.got, done) == (b"abcdef", [])
        piped.pipe.end()
        assert done == [None]
        assert piped.told == ["wait", "go on"]

    def test_client_waits_for_the_connection(self) -> None:
        """While the upstream is being connected to, the client is stopped after one slice, once."""
        piped = Piped()
        piped.pipe.push(bytes(SLICE - 1))
        assert piped.told == []
        piped.pipe.push(b"x")
        piped.pipe.push(b"y")
        assert piped.told == ["wait"]
        piped.start()
        assert piped.told == ["wait", "go on"]
        assert len(piped.consumer.got) == SLICE + 1

    def test_paused_before_it_starts(self) -> None:
        """On a connection that is full already nothing is written, until it takes more."""
        piped = Piped()
        piped.pipe.push(b"early")
        piped.pipe.pauseProducing()
        piped.start()
        assert piped.consumer.got == b""
        piped.pipe.resumeProducing()
        assert piped.consumer.got == b"early"

    def test_end_before_start(self) -> None:
        """A small upload that is complete before the connection stands is sent whole."""
        piped = Piped()
        piped.pipe.push(b"all")
        piped.pipe.end()
        assert (piped.start(), piped.consumer.got) == ([None], b"all")

    def test_empty(self) -> None:
        """An upload of nothing ends too."""
        piped = Piped()
        piped.pipe.end()
        assert (piped.start(), piped.consumer.writes) == ([None], [])

    def test_end_while_paused(self) -> None:
        """The end waits behind bytes that the upstream does not take yet."""
        piped = Piped()
        done = piped.start()
        piped.pipe.pauseProducing()
        piped.pipe.push(b"last")
        piped.pipe.end()
        assert done == []
        piped.pipe.resumeProducing()
        assert (piped.consumer.got, done) == (b"last", [None])

    def test_paused_inside_write(self) -> None:
        """An upstream that fills up inside a write stops the client, and loses nothing."""
        piped = Piped()
        done = piped.start()
        piped.consumer.meanwhile = piped.pipe.pauseProducing
        piped.pipe.push(b"a")
        piped.pipe.push(b"b")
        assert (piped.consumer.got, piped.told) == (b"a", ["wait"])
        piped.pipe.resumeProducing()
        assert (piped.consumer.got, piped.told) == (b"ab", ["wait"])
        piped.pipe.resumeProducing()
        assert piped.told == ["wait", "go on"]
        piped.pipe.end()
        assert done == [None]

    def test_pushed_inside_resume(self) -> None:
        """A client that sends on at once when it may is heard in order."""
        piped = Piped()
        pipe = PipeProducer(
            None,
            pause=lambda: None,
            resume=lambda: [pipe.push(b"next"), pipe.end()],  # type: ignore[func-returns-value]
        )
        pipe.push(bytes(SLICE))
        done = outcome_of(pipe.startProducing(piped.consumer))
        assert piped.consumer.got == bytes(SLICE) + b"next"
        assert done == [None]

    def test_stopped_inside_write(self) -> None:
        """When the upstream's connection breaks, the client may go on and what it sends is dropped."""
        piped = Piped()
        piped.pipe.push(bytes(SLICE))
        piped.consumer.meanwhile = piped.pipe.stopProducing
        done = piped.start()
        assert piped.told == ["wait", "go on"]
        piped.pipe.push(b"x")
        piped.pipe.end()
        assert (len(piped.consumer.writes), done) == (1, [])

    def test_client_left(self) -> None:
        """When the client leaves, the upstream's request fails with the reason, so that it is closed."""
        piped = Piped()
        done = piped.start()
        piped.pipe.push(b"half")
        piped.pipe.abandon(Failure(ConnectionAborted()))
        assert done[0].check(ConnectionAborted)
        piped.pipe.push(b"x")
        piped.pipe.end()
        piped.pipe.resumeProducing()
        assert piped.consumer.got == b"half"

    def test_answered_early(self) -> None:
        """When the upstream has answered, a client that was told to wait may send the rest into nothing."""
        piped = Piped()
        done = piped.start()
        piped.pipe.pauseProducing()
        piped.pipe.push(b"x")
        piped.pipe.abandon()
        piped.pipe.push(b"y")
        assert (piped.told, piped.consumer.got, done) == (["wait", "go on"], b"", [])

    def test_cancelled(self) -> None:
        """A cancelled request lets go of the client."""
        piped = Piped()
        done = piped.start()
        piped.pipe.pauseProducing()
        piped.done.cancel()
        assert piped.told == ["wait", "go on"]
        assert done[0].check(CancelledError)


class Transport:
    """What twisted.web gives a body's reader."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[tuple[Exception | None, bool]] = []

    def received(self, data: bytes) -> None:
        self.pieces.append(data)

    def ended(self, error: Exception | None, *, measured: bool) -> None:
        self.ends.append((error, measured))


class Reading:
    """An answer that is being read, idle limit 10 s."""

    def __init__(self) -> None:
        self.clock, self.sink, self.transport = Clock(), Sink(), Transport()
        self.reader = BodyReader(self.sink, self.clock, 10.0)
        self.reader.makeConnection(self.transport)  # type: ignore[arg-type]


class TestBodyReader:
    @pytest.mark.parametrize(
        ("reason", "whole", "measured"),
        [(ResponseDone(), True, True), (PotentialDataLoss(), True, False), (ConnectionLost(), False, False)],
    )
    def test_end(self, reason: Exception, whole: bool, measured: bool) -> None:
        """A body that HTTP measured, one that the connection's end ended, and a broken one are told apart."""
        reading = Reading()
        reading.reader.dataReceived(b"a")
        reading.reader.connectionLost(Failure(reason))
        assert reading.sink.pieces == [b"a"]
        assert reading.sink.ends == [(None if whole else reason, measured)]
        assert reading.clock.getDelayedCalls() == []

    def test_silence(self) -> None:
        """An upstream that falls silent is closed after the limit, counted from its last byte."""
        reading = Reading()
        reading.clock.advance(6)
        reading.reader.dataReceived(b"a")
        reading.clock.pump([1] * 9)
        assert reading.sink.ends == []
        reading.clock.advance(1)
        ((error, measured),) = reading.sink.ends
        assert isinstance(error, UpstreamTimeout)
        assert str(error) == "The upstream sent nothing for 10 s."
        assert not measured
        assert reading.transport.calls == ["stop"]
        assert reading.clock.getDelayedCalls() == []
        reading.reader.connectionLost(Failure(ConnectionLost()))
        assert len(reading.sink.ends) == 1

    def test_silence_while_paused(self) -> None:
        """A client that does not read for hours is not the upstream's fault; after that it counts anew."""
        reading = Reading()
        reading.clock.advance(9)
        reading.reader.pause()
        reading.reader.pause()
        reading.clock.pump([7] * 1000)
        reading.reader.resume()
        reading.reader.resume()
        assert reading.transport.calls == ["pause", "resume"]
        reading.clock.pump([0.5] * 19)
        assert reading.sink.ends == []
        reading.clock.pump([0.5] * 21)
        assert isinstance(reading.sink.ends[0][0], UpstreamTimeout)

    @pytest.mark.parametrize("paused", [False, True])
    def test_stop(self, paused: bool) -> None:
        """A stop closes the connection, paused or not, and nobody is told of anything any more."""
        reading = Reading()
        if paused:
            reading.reader.pause()
        reading.reader.stop()
        assert reading.transport.calls[-1] == "stop"
        assert reading.clock.getDelayedCalls() == []
        reading.reader.dataReceived(b"late")
        reading.reader.connectionLost(Failure(ConnectionLost()))
        assert (reading.sink.pieces, reading.sink.ends) == ([], [])

    def test_stopped_by_the_sink(self) -> None:
        """A sink that stops the reader while it is given bytes leaves no timer behind."""
        reading = Reading()
        reading.sink.received = lambda data: reading.reader.stop()  # type: ignore[method-assign]
        reading.reader.dataReceived(b"a")
        reading.reader.connectionLost(Failure(ResponseDone()))
        assert reading.sink.ends == []
        assert reading.clock.getDelayedCalls() == []


class Answer:
    """An answer of which the test sends the body."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.reader: Any = None

    def deliverBody(self, reader: Any) -> None:
        self.reader = reader
        reader.makeConnection(self.transport)


class TestCollect:
    def begin(self, limit: int = 10) -> tuple[Answer, Clock, Any, list[Any]]:
        answer, clock = Answer(), Clock()
        collecting = collect(answer, limit=limit, clock=clock, idle=5.0)  # type: ignore[arg-type]
        return answer, clock, collecting, outcome_of(collecting)

    @pytest.mark.parametrize("pieces", [[], [b"one"], [b"one", b"two", b"four"]])
    def test_whole(self, pieces: list[bytes]) -> None:
        """A body up to the limit comes in one value."""
        answer, clock, _, outcome = self.begin()
        for piece in pieces:
            answer.reader.dataReceived(piece)
        assert outcome == []
        answer.reader.connectionLost(Failure(ResponseDone()))
        assert outcome == [b"".join(pieces)]
        assert (answer.transport.calls, clock.getDelayedCalls()) == ([], [])

    def test_too_large(self) -> None:
        """One byte over the limit ends it, once, and the connection is closed."""
        answer, clock, _, outcome = self.begin()
        answer.reader.dataReceived(bytes(10))
        assert outcome == []
        answer.reader.dataReceived(b"x")
        answer.reader.dataReceived(b"x")
        answer.reader.connectionLost(Failure(ConnectionLost()))
        (failure,) = outcome
        assert failure.check(UpstreamFault)
        assert str(failure.value) == "The upstream's answer is larger than 10 bytes."
        assert (answer.transport.calls, clock.getDelayedCalls()) == (["stop"], [])

    def test_idle(self) -> None:
        """A silent upstream is given up."""
        answer, clock, _, outcome = self.begin()
        clock.advance(5)
        assert outcome[0].check(UpstreamTimeout)
        assert answer.transport.calls == ["stop"]

    def test_broken(self) -> None:
        """Half a body is none."""
        answer, _, _, outcome = self.begin()
        answer.reader.dataReceived(b"half")
        answer.reader.connectionLost(Failure(ConnectionLost()))
        assert outcome[0].check(ConnectionLost)

    def test_cancelled(self) -> None:
        """A client that leaves closes the upstream's connection."""
        answer, clock, collecting, outcome = self.begin()
        answer.reader.dataReceived(b"half")
        collecting.cancel()
        assert outcome[0].check(CancelledError)
        assert (answer.transport.calls, clock.getDelayedCalls()) == (["stop"], [])
        answer.reader.connectionLost(Failure(ConnectionAborted()))
        assert len(outcome) == 1
