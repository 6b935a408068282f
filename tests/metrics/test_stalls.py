"""A turn of the reactor that lasts too long is told of, with what ran."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.metrics import stalls
from ampproxy.metrics.stalls import BEAT, Stalls
from ampproxy.wire import redact

SECRET = "canary-value-of-a-variable"


class Turns:
    """A thread that plays the reactor's: it runs what it is given, and beats."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        self.stalls = Stalls(self.clock, Logger(observer=self.events.append), thread=threading.get_ident())
        self.stalls.use(0.05)
        self.stalls.start()

    def turn(self, what: Callable[[], Any] = lambda: None) -> None:
        what()
        self.clock.advance(BEAT)

    def idle(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(lambda: time.sleep(0.005))

    def told(self, count: int) -> list[dict[str, Any]]:
        end = time.monotonic() + 30
        while len(self.events) < count and time.monotonic() < end:
            self.idle(0.02)
        return self.events


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(stalls, "PAUSE", 0.0)
    made = Turns()
    yield made
    made.stalls.stop()
    made.stalls.stop()
    assert made.clock.getDelayedCalls() == []


def busy(seconds: float, secret: str = SECRET) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        redact.printable(secret * 100)


def test_what_ran(turns: Turns) -> None:
    """How long it took and which lines ran, ours by their file; no value of anything."""
    turns.turn(lambda: busy(0.6))
    (event, *_) = turns.told(1)
    assert event["seconds"] >= 0.5
    assert event["log_level"].name == "warn"
    assert "ampproxy/" not in event["where"] or "ampproxy/wire/redact.py:" in event["where"]
    assert "test_stalls.py:" in event["where"] or "redact.py:" in event["where"]
    assert SECRET not in str(event)
    assert turns.stalls.longest >= 0.5


def test_our_own_frames(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """The innermost lines of the package are told, whatever library they called."""
    monkeypatch.setattr(redact, "_escaped", lambda match: time.sleep(0.6) or "")
    turns.turn(lambda: redact.printable("\0"))
    where = turns.told(1)[0]["where"]
    assert "ampproxy/wire/redact.py:" in where
    assert " printable" in where
    assert "test_stalls.py" in where.partition(" < ")[0]


def test_while_it_lasts(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """A very long one is told of before it ends, and again with its length."""
    monkeypatch.setattr(stalls, "LONG", 0.3)
    turns.turn(lambda: time.sleep(1.2))
    first, second = turns.told(2)[:2]
    assert "still is" in first["log_format"]
    assert first["seconds"] < second["seconds"]


def test_not_too_often(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many in a row one is told, and the next says how many there were."""
    monkeypatch.setattr(stalls, "PAUSE", 3600.0)
    for _ in range(3):
        turns.turn(lambda: time.sleep(0.4))
        turns.idle(0.4)
    assert len(turns.events) == 1
    monkeypatch.setattr(stalls, "PAUSE", 0.0)
    turns.turn(lambda: time.sleep(0.4))
    # On a busy machine a turn in which nothing was done may have been one, too.
    more = re.search(r"(\d+) more such turns", turns.told(2)[1]["more"])
    assert more
    assert int(more[1]) >= 2


def test_idle(turns: Turns) -> None:
    """Where the thread waits for something to do, nothing held it, however late it is."""

    def doPoll() -> None:
        time.sleep(0.5)

    turns.turn(doPoll)
    turns.idle(0.2)
    assert turns.events == []


def test_stopped() -> None:
    """Stopped and started again, it watches; a turn that lasts meanwhile is nobody's concern."""
    turns = Turns()
    turns.stalls.stop()
    time.sleep(0.3)
    assert turns.events == []
    turns.stalls.start()
    turns.turn(lambda: time.sleep(0.5))
    assert turns.told(1)
    turns.stalls.stop()
