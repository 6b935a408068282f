"""A worker whose supervisor has ended writes what that may not have written: once, whatever it finds."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.channel.link import Link
from ampproxy.config.schema import Config
from ampproxy.ledger import NAME, recorder
from ampproxy.ledger.entry import entry_of
from ampproxy.ledger.store import Store
from ampproxy.workers.orphan import Orphan
from ampproxy.workers.reporting import ChannelOutput, Reporter
from tests.channel.reactor import TurnedReactor
from tests.workers.test_reporting import record


class Reactor(Clock):
    """Whose threads do at once what they are asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[Callable[[], Any]] = []

    def getThreadPool(self) -> Reactor:
        return self

    def callInThreadWithCallback(self, done: Any, function: Any, *arguments: Any) -> None:
        try:
            result = function(*arguments)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def addSystemEventTrigger(self, phase: str, event: str, function: Any, *arguments: Any) -> None:
        self.ends.append(lambda: function(*arguments))


class World:
    """A worker of which two exchanges have ended, of which the ledger has the first."""

    def __init__(self, folder: Path) -> None:
        self.reactor = Reactor()
        self.path = folder / NAME
        ours, self.theirs = socket.socketpair()
        link = Link(TurnedReactor(), ours, self)
        self.reporter = Reporter(1, link, time.time, 7)
        self.ended = [record(1), record(2)]
        for each in self.ended:
            self.reporter.ended(each)
        self.kept = folder / "kept"
        store = Store(self.kept)
        store.write([entry_of(self.ended[0], self.ended[0].ended_at)])
        store.close()
        self.events: list[Any] = []
        current = SimpleNamespace(config=Config(), runtime=SimpleNamespace(state=folder))
        service: Any = SimpleNamespace(current=current)
        # The log goes elsewhere.
        self.orphan = Orphan({"logger": "x"}, service, self.reactor, Logger(observer=self.events.append))
        self.output = ChannelOutput(link)

    def begin(self) -> None:
        self.orphan.take_over(self.output, self.reporter)

    def end(self) -> None:
        for each in self.reactor.ends:
            each()

    @property
    def rows(self) -> int:
        with sqlite3.connect(self.path) as connection:
            return int(connection.execute("SELECT count(*) FROM exchanges").fetchone()[0])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_rest_is_written(world: World) -> None:
    """And what ends from then on."""
    os.replace(world.kept, world.path)
    world.begin()
    world.reporter.ended(record(3))
    world.end()
    assert world.rows == 3


def test_a_file_that_cannot_be_read(world: World) -> None:
    """It is looked at again: what may be in it is not written on suspicion."""
    world.path.write_text("This is no ledger, for now. " * 99)
    world.begin()
    world.reactor.advance(recorder.RETRY)
    os.replace(world.kept, world.path)
    world.reactor.pump([recorder.RETRY] * 3)
    assert world.rows == 2
    world.end()
    assert world.rows == 2


def test_a_file_that_can_never_be_read(world: World) -> None:
    """The end does not wait for it, and the log has what is not known."""
    world.path.write_text("This is no ledger. " * 99)
    world.begin()
    world.end()
    world.reactor.pump([recorder.RETRY] * 3)
    found = [event for event in world.events if "is not known" in event["log_format"]]
    assert [event["count"] for event in found] == [2]
    assert not [call for call in world.reactor.getDelayedCalls() if call.active()]
