"""Requests of a client at once, over all workers: exact, and none is counted that a dead worker served."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ampproxy.channel.messages import Enter, encode, from_supervisor, from_worker
from ampproxy.server.limiter import kept_nowhere
from ampproxy.workers import limiting
from ampproxy.workers.limiting import TIMEOUT, Entrance, Gate


class Worker:
    """One, joined to the supervisor's count by messages that arrive at once."""

    def __init__(self, gate: Gate, *, deaf: bool = False) -> None:
        self.gate, self.deaf = gate, deaf
        self.clock = Clock()
        #: What the supervisor reads later; ``None``: it reads at once.
        self.late: list[Any] | None = None
        self.limiter = kept_nowhere(lambda: 0.0)
        self.entrance = Entrance(self.limiter, self.clock, self.to_gate)

    def to_gate(self, message: Any) -> None:
        if self.late is not None:
            self.late.append(message)
            return
        found: Any = from_worker(encode(message))
        if self.deaf:
            return
        if isinstance(found, Enter):
            self.gate.enter(self, found)
        else:
            self.gate.left(self, found.tenant)

    def send(self, message: Any) -> None:
        self.entrance.message(from_supervisor(encode(message)))  # type: ignore[arg-type]

    def enter(self, most: int | None = 3) -> bool | None:
        """Whether a request is let in; ``None``: no one has answered."""
        entered = self.limiter.enter("a", most)
        if isinstance(entered, bool):
            return entered
        found: list[bool] = []
        entered.addCallback(found.append)
        return found[0] if found else None


def test_all_together() -> None:
    """Three at once are three over all workers; when one has ended, another one is let in, anywhere."""
    running: Counter[str] = Counter()
    gate = Gate(running)
    one, two = Worker(gate), Worker(gate)
    assert [one.enter(), two.enter(), one.enter(), two.enter(), one.enter()] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert running["a"] == 3
    one.limiter.leave("a")
    assert two.enter() is True
    assert two.limiter.running["a"] == 2


def test_without_a_limit() -> None:
    """They are counted, for the owner's page, and none waits."""
    running: Counter[str] = Counter()
    worker = Worker(Gate(running))
    assert worker.enter(None) is True
    assert running["a"] == 1
    worker.limiter.leave("a")
    assert running == Counter()


def test_a_worker_dies() -> None:
    """Its requests are under way no longer."""
    running: Counter[str] = Counter()
    gate = Gate(running)
    one, two = Worker(gate), Worker(gate)
    assert [one.enter(), one.enter(), two.enter()] == [True, True, True]
    gate.gone(one)
    assert running["a"] == 1
    assert [two.enter(), two.enter(), two.enter()] == [True, True, False]


def test_no_answer() -> None:
    """Then the worker goes by its own count, and at once where there is no supervisor."""
    worker = Worker(Gate(Counter()), deaf=True)
    entered = worker.limiter.enter("a", 2)
    assert isinstance(entered, Deferred)
    found: list[bool] = []
    entered.addCallback(found.append)
    worker.clock.advance(TIMEOUT)
    assert found == [True]
    worker.entrance.open = False
    assert [worker.enter(2), worker.enter(2)] == [True, False]


def test_a_late_answer() -> None:
    """What a worker serves meanwhile counts once for all, whether it would have been let in or not."""
    running: Counter[str] = Counter()
    gate = Gate(running)
    one, two = Worker(gate), Worker(gate)
    for most, served in ((3, 1), (2, 2)):
        gate.enter(two, Enter("a", 0, 0))
        one.late = []
        entered = one.limiter.enter("a", most)
        assert isinstance(entered, Deferred)
        found: list[bool] = []
        entered.addCallback(found.append)
        one.clock.advance(TIMEOUT)
        assert found == [True]
        late, one.late = one.late, None
        for message in late:
            one.to_gate(message)
        assert running["a"] == 2 * served
    one.limiter.leave("a")
    one.limiter.leave("a")
    assert running["a"] == 2


def test_no_answers_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every question is remembered of a supervisor that stands still."""
    monkeypatch.setattr(limiting, "MAX_OVERDUE", 3)
    worker = Worker(Gate(Counter()))
    worker.late = []
    for _ in range(9):
        worker.limiter.enter("a", 100)
        worker.clock.advance(TIMEOUT)
    assert len(worker.entrance._overdue) == 3
    assert len(worker.late) == 9 + 3
