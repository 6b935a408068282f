"""One stream on its way: when its bytes leave, who waits for whom, and how it ends."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed

from ampproxy.errors import ClientGone, TruncatedStream, UpstreamFault, UpstreamTimeout
from ampproxy.relay.stream import StreamRelay
from ampproxy.relay.workers import Workers


class Filter:
    """Passes everything; whole once it has seen ``END``."""

    def __init__(self) -> None:
        self.complete = False
        self.fed: list[bytes] = []
        self.error: Exception | None = None

    def feed(self, data: bytes) -> bytes:
        self.fed.append(data)
        if self.error is not None:
            raise self.error
        self.complete = self.complete or b"END" in data
        return data

    def end(self) -> bytes:
        if not self.complete:
            raise TruncatedStream
        return b""

    def keepalive(self) -> bytes:
        return b":ping"


class Client:
    """The client's side."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.finished = self.broken = False
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        assert not self.finished
        self.written.append(data)

    def finish(self) -> None:
        assert self.producer is None, "twisted.web wants the producer gone first"
        self.finished = True

    def break_off(self) -> None:
        self.broken = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None


class Upstream:
    """The upstream's side: a response and its transport."""

    state = "producing"
    protocol: Any = None

    def deliverBody(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.makeConnection(self)

    def pauseProducing(self) -> None:
        self.state = "paused"

    def resumeProducing(self) -> None:
        self.state = "producing"

    def stopProducing(self) -> None:
        self.state = "stopped"

    def done(self) -> None:
        self.protocol.connectionLost(Failure(ResponseDone()))

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ResponseFailed([Failure(ConnectionLost())])))


class Streams(unittest.TestCase):
    def setUp(self) -> None:
        self.clock, self.filter, self.client, self.upstream = Clock(), Filter(), Client(), Upstream()
        self.firsts = 0
        self.jobs: list[tuple[Any, Deferred[Any]]] = []
        self.relay = StreamRelay(
            self.client,  # type: ignore[arg-type]
            self.filter,
            self.clock,
            error_event=lambda error: f"error: {error.message}".encode(),
            keepalive=15,
            on_first=self.first,
            workers=Workers(self.in_thread),
        )
        self.results: list[Any] = []
        done: Deferred[None] = self.relay.start(self.upstream, 60)  # type: ignore[arg-type]
        done.addBoth(self.results.append)

    def in_thread(self, work: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.jobs.append((work, done))
        return done

    def work(self) -> None:
        """Have the thread do what it was given."""
        work, done = self.jobs.pop(0)
        try:
            result = work()
        except Exception as error:
            done.errback(Failure(error))
        else:
            done.callback(result)

    def first(self) -> None:
        self.firsts += 1

    def data(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.upstream.protocol.dataReceived(piece)

    def failure(self) -> Exception:
        (result,) = self.results
        return result.value  # type: ignore[no-any-return]

    def test_one_write_a_read(self) -> None:
        """All that one read brought leaves in one write, at once: nothing waits for the reactor."""
        self.data(b"abc")
        self.assertEqual(self.client.written, [b"abc"])
        self.assertEqual(self.firsts, 1)
        self.data(b"d", b"e")
        self.assertEqual(self.client.written, [b"abc", b"d", b"e"])

    def test_more_that_comes_within_a_write(self) -> None:
        """A client that asks for more while it is written to gets it behind that, in order."""
        self.data(b"a")
        written, more = self.client.write, [b"c", b"d"]

        def write(data: bytes) -> None:
            if more:
                self.data(more.pop(0))
            written(data)

        self.client.write = write  # type: ignore[method-assign]
        self.data(b"b")
        self.assertEqual(self.client.written, [b"a", b"b", b"c", b"d"])

    def test_a_huge_event(self) -> None:
        """What would keep the reactor waiting is taken apart in a thread: the upstream waits meanwhile,
        what comes stays in order, and the end waits, too.
        """
        dense = b"{}" * 9_000 + b"\n\n"
        self.data(dense)
        self.clock.advance(0)
        self.assertEqual((self.filter.fed, self.upstream.state), ([], "paused"))
        self.data(b"more ", b"END")
        self.clock.advance(20)
        self.upstream.done()
        self.assertEqual((self.client.written, self.results), ([], []))
        self.work()
        self.assertEqual(self.client.written, [dense, b"more END"])
        self.assertTrue(self.client.finished)
        self.assertEqual(self.results, [None])

    def test_many_pieces_of_a_huge_event(self) -> None:
        """Pieces that cannot end an event stay in their turn; the one that may goes to the thread."""
        self.filter.feed = lambda data: data if b"\n" in data else b""  # type: ignore[method-assign]
        for _ in range(20):
            self.data(b"x" * 60_000)
            self.clock.advance(0)
        self.assertEqual((self.jobs, self.upstream.state), ([], "producing"))
        self.data(b"\n\n")
        self.clock.advance(0)
        self.assertEqual((len(self.jobs), self.upstream.state), (1, "paused"))
        self.work()
        self.assertEqual((self.client.written, self.upstream.state), ([b"\n\n"], "producing"))
        self.data(b"\n\n")
        self.clock.advance(0)
        self.assertEqual(self.jobs, [])

    def test_a_huge_event_that_is_wrong(self) -> None:
        """A fault that the thread meets ends the stream as any other does."""
        self.filter.error = UpstreamFault.of("unavailable", "no")
        self.data(b"{}" * 9_000)
        self.clock.advance(0)
        self.work()
        self.assertEqual((self.failure().error.message, self.upstream.state), ("no", "stopped"))  # type: ignore[attr-defined]

    def test_a_client_that_leaves_meanwhile(self) -> None:
        """What the thread made is dropped."""
        self.data(b"{}" * 9_000)
        self.clock.advance(0)
        self.relay.client_left()
        self.work()
        self.assertEqual(self.client.written, [])
        self.assertIsInstance(self.failure(), ClientGone)

    def test_a_slow_client_meanwhile(self) -> None:
        """The upstream goes on when both the thread and the client are ready."""
        self.data(b"{}" * 9_000)
        self.clock.advance(0)
        self.relay.pauseProducing()
        self.relay.resumeProducing()
        self.assertEqual(self.upstream.state, "paused")
        self.relay.pauseProducing()
        self.work()
        self.assertEqual(self.upstream.state, "paused")
        self.relay.resumeProducing()
        self.assertEqual(self.upstream.state, "producing")

    def test_pauses_are_the_upstreams(self) -> None:
        """The pause between two pieces is the upstream's; what the filter takes is the gateway's own."""

        def feed(data: bytes) -> bytes:
            self.clock.rightNow += 0.002
            return data

        self.filter.feed = feed  # type: ignore[method-assign]
        for pause in (5.0, 0.5, 0.05):
            self.clock.advance(pause)
            self.data(b"x")
            self.clock.advance(0)
        self.assertEqual(sum(self.relay.gaps.counts), 2)
        self.assertAlmostEqual(self.relay.gaps.longest, 0.502)
        self.assertAlmostEqual(self.relay.busy, 0.006)

    def test_a_pause_of_the_client(self) -> None:
        """That nothing came while the client did not read is not the upstream's doing."""
        self.clock.advance(1)
        self.data(b"x")
        self.clock.advance(0)
        self.relay.pauseProducing()
        self.clock.advance(50)
        self.relay.resumeProducing()
        self.clock.advance(0.3)
        self.data(b"y")
        self.clock.advance(0)
        self.assertAlmostEqual(self.relay.gaps.longest, 0.3)

    def test_whole(self) -> None:
        """A stream with its terminal event ends cleanly; nothing is left running."""
        self.data(b"a", b"END")
        self.upstream.done()
        self.assertEqual(b"".join(self.client.written), b"aEND")
        self.assertTrue(self.client.finished)
        self.assertEqual(self.results, [None])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_came_before_the_fault(self) -> None:
        """What stood in one read before the fault goes to the client before the error; but where nothing went
        to it yet, it goes nowhere, for another account may answer.
        """
        fault = UpstreamFault.of("unavailable", "nonsense")
        fault.sent_before = b"before"
        for began in (True, False):
            with self.subTest(began=began):
                self.setUp()
                if began:
                    self.data(b"a")
                    self.clock.advance(0)
                self.filter.error = fault
                self.data(b"b")
                self.clock.advance(0)
                told = b"abeforeerror: nonsense" if began else b""
                self.assertEqual(b"".join(self.client.written), told)
                self.assertEqual((self.client.broken, self.upstream.state), (began, "stopped"))
                self.assertIs(self.failure(), fault)
                self.assertEqual(self.relay.beginning, b"a" if began else b"b")

    def test_terminal_event_then_a_reset(self) -> None:
        """Once the terminal event is there, how the connection ends does not matter."""
        self.data(b"END")
        self.upstream.lose()
        self.assertTrue(self.client.finished)

    def test_truncated(self) -> None:
        """A tidy end without the terminal event is an error for the client, and no clean end."""
        self.data(b"a")
        self.upstream.done()
        self.assertEqual(self.client.written[0], b"a")
        self.assertTrue(self.client.written[1].startswith(b"error: "))
        self.assertTrue(self.client.broken)
        self.assertFalse(self.client.finished)
        self.assertIsInstance(self.failure(), TruncatedStream)

    def test_broken_off(self) -> None:
        """So is a connection that breaks."""
        self.data(b"a")
        self.upstream.lose()
        self.assertTrue(self.client.broken)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_came(self) -> None:
        """A stream that ends before its first byte leaves the client unanswered, for another to answer."""
        self.upstream.done()
        self.assertEqual((self.client.written, self.client.broken), ([], False))
        self.assertFalse(self.relay.began)
        self.assertIsInstance(self.failure(), TruncatedStream)

    def test_bad_event(self) -> None:
        """An event that cannot be read stops the upstream and is told."""
        self.data(b"a")
        self.clock.advance(0)
        self.filter.error = UpstreamFault.of("unavailable", "unreadable")
        self.data(b"b")
        self.clock.advance(0)
        self.assertEqual(self.client.written, [b"a", b"error: unreadable"])
        self.assertEqual(self.upstream.state, "stopped")

    def test_silence(self) -> None:
        """An upstream that sends nothing for too long is closed and the client told."""
        self.data(b"a")
        self.clock.advance(0)
        self.clock.pump([10] * 6)
        self.assertEqual(self.upstream.state, "stopped")
        self.assertIsInstance(self.failure(), UpstreamTimeout)
        self.assertTrue(self.client.broken)

    def test_signs_of_life(self) -> None:
        """A silent upstream's client hears something every keepalive interval, not sooner."""
        self.data(b"a")
        self.clock.pump([0, 14])
        self.assertEqual(self.client.written, [b"a"])
        self.clock.advance(1)
        self.assertEqual(self.client.written, [b"a", b":ping"])
        self.data(b"b")
        self.clock.pump([0, 14])
        self.assertEqual(self.client.written[2:], [b"b"])

    def test_no_signs_of_life_to_a_stalled_client(self) -> None:
        """A client that does not read is not written to."""
        self.data(b"a")
        self.clock.advance(0)
        self.client.producer.pauseProducing()
        self.clock.advance(40)
        self.assertEqual(self.client.written, [b"a"])

    def test_pressure(self) -> None:
        """A client that does not read holds the upstream, however long, and frees it again."""
        self.client.producer.pauseProducing()
        self.assertEqual(self.upstream.state, "paused")
        self.clock.pump([30] * 10)
        self.assertEqual(self.results, [])
        self.client.producer.resumeProducing()
        self.assertEqual(self.upstream.state, "producing")
        self.clock.advance(59)
        self.assertEqual(self.results, [])

    def test_client_leaves(self) -> None:
        """The upstream is closed at once; nothing is written any more."""
        self.data(b"a")
        self.relay.client_left()
        self.assertEqual(self.upstream.state, "stopped")
        self.data(b"b")
        self.clock.advance(100)
        self.assertEqual(self.client.written, [b"a"])
        self.assertIsInstance(self.failure(), ClientGone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_leaves_while_it_does_not_read(self) -> None:
        """The upstream is closed even while it is held."""
        self.client.producer.pauseProducing()
        self.client.producer.stopProducing()
        self.assertEqual(self.upstream.state, "stopped")
