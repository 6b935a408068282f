"""The view of a process that shares its state by Redis, and the two threads that carry what it shares.

One thread sends commands: what is asked for while one batch is on its way is the next. The other listens;
whenever it has connected it reads what Redis knows, and only then does the view give what it knows itself.
Every command and every connection has a time limit, so neither thread hangs where Redis does, and the
reactor waits for neither.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, cast

import msgspec
from redis import Redis
from redis.client import PubSub
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ampproxy.model.sharing import StateSettings
from ampproxy.state.entries import KINDS, Entry
from ampproxy.state.redis.commands import Command, Commander, Sender, decode_message, milliseconds
from ampproxy.state.redis.connect import FAILURES, connect, reason
from ampproxy.state.redis.scripts import CLAIM, LOCK, PUT, UNLOCK
from ampproxy.state.shared import Away
from ampproxy.state.view import View

#: The most commands of one round trip.
MAX_BATCH_COMMANDS = 500
#: So many commands wait for a round trip.
MAX_QUEUED_COMMANDS = 20_000
#: Entries of a page when all are read.
_PAGE_ENTRIES = 500
#: Seconds between two signs of life on a connection on which nothing arrives.
ALIVE_SECONDS = 2.0
#: Seconds before the next attempt to connect: at first, and at most; doubles with each.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 2.0


class RedisState(View):
    """A view that shares by Redis. :meth:`start` begins it, after the process has forked if it does.

    :param quiet: see :class:`~ampproxy.state.view.View`.
    """

    def __init__(
        self,
        settings: StateSettings,
        reactor: Any,
        wall: Callable[[], float],
        log: Logger,
        *,
        quiet: bool = False,
    ) -> None:
        super().__init__(
            str(settings.url),
            reactor,
            wall,
            log,
            timeout=settings.timeout,
            closes=settings.when_away == "fail-closed",
            quiet=quiet,
        )
        self._redis = RedisLink(settings, reactor, self, log)
        self.use(self._redis)

    def failed(self, why: str) -> None:
        """Something else that asks Redis got no answer: see whether it is there. Called in any thread."""
        self._redis.failed(why)

    def start(self) -> None:
        self._redis.start()

    def stop(self) -> Deferred[None]:
        """Send what waits, as long as Redis takes it, and end; fires when that is done."""
        return self._redis.stop()


class RedisLink:
    """Carries entries to Redis and back; implements :class:`ampproxy.state.view.Link`."""

    def __init__(self, settings: StateSettings, reactor: Any, view: View, log: Logger) -> None:
        self._settings = settings
        self._reactor = reactor
        self._view = view
        self._log = log
        self._commander = Commander(settings.prefix)
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._unanswered: dict[str, str] = {}
        self._ending = threading.Event()
        self._broken = threading.Event()
        self._stopped: Deferred[None] | None = None

    # In the reactor's thread.

    def start(self) -> None:
        """Begin both threads."""
        self._stopped = Deferred()
        for work in (self._send, self._listen):
            threading.Thread(target=work, name=f"ampproxy-redis{work.__name__}", daemon=True).start()

    def stop(self) -> Deferred[None]:
        """Send what waits, and end."""
        if self._stopped is None:
            return succeed(None)
        self._ending.set()
        self._commands.put(None)
        return self._stopped.addTimeout(2 * self._settings.timeout, self._reactor, lambda *_: None)

    def put(self, entry: Entry, number: int) -> None:

        def done(result: Any) -> None:
            if isinstance(result, Exception) and number:
                self._view.unsent(entry)

        self._ask(self._commander.entry(PUT, entry, number, done))

    def claim(self, entry: Entry) -> Deferred[bytes]:
        answered: Deferred[bytes] = Deferred()
        self._ask(self._commander.entry(CLAIM, entry, 0, _fires(answered)))
        return answered

    def lock(self, name: str, ttl: float) -> Deferred[int | None]:
        answered: Deferred[int | None] = Deferred()
        fires, attempt = _fires(answered), os.urandom(9).hex()

        def done(result: Any) -> None:
            if isinstance(result, Exception) or answered.called:
                # It may be held all the same: the next attempt takes it over.
                self._unanswered[name] = attempt
            fires(result)

        keys = self._commander.key("lock", name), self._commander.key("lock-number")
        arguments = milliseconds(ttl), attempt, self._unanswered.pop(name, "")
        self._ask(Command(LOCK, keys, arguments, done))
        return answered

    def unlock(self, name: str, number: int) -> None:
        self._ask(Command(UNLOCK, (self._commander.key("lock", name),), (number,), lambda _: None))

    def _ask(self, command: Command) -> None:
        if self._commands.qsize() >= MAX_QUEUED_COMMANDS:
            command.done(Away("too much waits to be sent"))
            return
        self._commands.put(command)

    def _in_reactor(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._reactor.callFromThread(function, *arguments)

    # In the thread that sends.

    def _send(self) -> None:
        assert self._stopped is not None
        sender = Sender(self._settings)
        going_on = True
        while going_on:
            batch, going_on = self._batch()
            try:
                results = sender.run(batch)
            except FAILURES as error:
                results = self._failed(batch, reason(error, self._settings))
            except Exception:
                self._log.failure("Unhandled error while talking to Redis")
                results = self._failed(batch, "a bug in ampproxy; see the log")
            self._in_reactor(_deliver, batch, results)
        sender.close()
        self._in_reactor(self._stopped.callback, None)

    def _batch(self) -> tuple[list[Command], bool]:
        """What waits, at least one command; and whether there is more to come."""
        batch: list[Command] = []
        try:
            while len(batch) < MAX_BATCH_COMMANDS:
                command = self._commands.get(block=not batch)
                if command is None:
                    return batch, False
                batch.append(command)
        except Empty:
            pass
        return batch, True

    def failed(self, why: str) -> None:
        """Have the thread that listens connect anew. Called in any thread."""
        self._broken.set()
        self._in_reactor(self._view.closed, why)

    def _failed(self, batch: list[Command], why: str) -> list[Any]:
        """Give up these commands."""
        self.failed(why)
        return [Away(why)] * len(batch)

    # In the thread that listens.

    def _listen(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ending.is_set():
            try:
                client = connect(self._settings)
                try:
                    with cast(Any, client).pubsub() as pubsub:
                        self._open(client, pubsub)
                        pause = FIRST_PAUSE_SECONDS
                        self._follow(pubsub)
                finally:
                    client.close()
            except FAILURES as error:
                self._in_reactor(self._view.closed, reason(error, self._settings))
            except Exception:
                self._log.failure("Unhandled error while listening to Redis")
                self._in_reactor(self._view.closed, "a bug in ampproxy; see the log")
            self._ending.wait(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _open(self, client: Redis, pubsub: PubSub) -> None:
        """Subscribe, see that an entry that is put arrives, and read what Redis knows."""
        self._broken.clear()
        pubsub.subscribe(self._commander.channel)
        probe = Entry("probe", os.urandom(9).hex(), b"", 1.0)
        Sender(self._settings, client).run([self._commander.entry(PUT, probe, 1, lambda _: None)])
        until = time.monotonic() + self._settings.timeout
        while (left := until - time.monotonic()) > 0:
            message = pubsub.get_message(timeout=left)
            entry = self._received(message)
            if entry is not None and entry == probe:
                break
        else:
            raise TimeoutError("an entry that was published did not arrive")
        for kind in KINDS:
            self._read(client, kind)
        self._in_reactor(self._view.opened)

    def _read(self, client: Redis, kind: str) -> None:
        """Deliver all entries of a kind, a page at a time."""
        seconds, micros = client.time()
        now = seconds * 1000 + micros // 1000
        cursor = -1
        while cursor:
            found: Any = client.hscan(self._commander.key(kind), max(cursor, 0), count=_PAGE_ENTRIES)
            cursor, page = found
            read = (_stored(kind, key, text, now) for key, text in page.items())
            self._in_reactor(self._know, [entry for entry in read if entry is not None])

    def _know(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._view.known(entry)

    def _follow(self, pubsub: PubSub) -> None:
        """Deliver what arrives, until the connection is lost.

        :raises TimeoutError: nothing arrives any more, not even an answer.
        """
        asked = False
        while not (self._ending.is_set() or self._broken.is_set()):
            message = pubsub.get_message(timeout=self._settings.timeout if asked else ALIVE_SECONDS)
            if message is None:
                if asked:
                    raise TimeoutError("no answer in time")
                pubsub.ping()
            asked = message is None
            self._received(message)

    def _received(self, message: Any) -> Entry | None:
        """Deliver what a message carries, and give it; ``None``: nothing."""
        if message is None or message["type"] != "message":
            return None
        try:
            read = decode_message(message["data"])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        own = read.number if read.origin == self._commander.origin else None
        self._in_reactor(self._view.arrived, read.entry, own)
        return read.entry


def _deliver(batch: Sequence[Command], results: Sequence[Any]) -> None:
    """Give each command what came of it; in the reactor's thread."""
    for command, result in zip(batch, results, strict=True):
        command.done(result)


def _fires(answered: Deferred[Any]) -> Callable[[Any], None]:
    """Fires a Deferred with what came of a command, unless it was given up."""

    def done(result: Any) -> None:
        if answered.called:
            return
        if isinstance(result, Exception):
            answered.errback(result)
        else:
            answered.callback(result)

    return done


def _stored(kind: str, key: bytes, text: bytes, now: int) -> Entry | None:
    """An entry as Redis keeps it; ``None`` if it is over, or cannot be read."""
    try:
        at, until, value = text.split(b" ", 2)
        ttl, age = (int(until) - now) / 1000, max(0, now - int(at)) / 1000
        name = key.decode()
    except ValueError:
        return None
    return Entry(kind, name, value[1:] if value[:1] == b"v" else None, ttl, age) if ttl > 0 else None
