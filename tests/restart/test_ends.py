"""A process that is told to end before it has taken another's place."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ampproxy.process import Process
from tests.reactor import in_reactor
from tests.restart.test_handover_new import Place

pytestmark = pytest.mark.loopback


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


class Reactor:
    """One that runs what it is told, when the test says so."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.triggers: dict[tuple[str, str], Any] = {}

    def callWhenRunning(self, what: Any) -> None:
        self.started.append(what)

    def addSystemEventTrigger(self, phase: str, event: str, what: Any) -> None:
        self.triggers[phase, event] = what


class Anything:
    """Takes every call."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def stop(place: Place, monkeypatch: pytest.MonkeyPatch, **meanwhile: Any) -> None:
    """Have a process that is to take the place end.

    :param meanwhile: what the other one says just before, so that it is not heard yet.
    """
    timeouts = SimpleNamespace(grace=1.0)
    current = SimpleNamespace(config=SimpleNamespace(timeouts=timeouts))
    service: Any = SimpleNamespace(running=True, current=current)
    reactor, other = Reactor(), Anything()
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    process = Process(
        service,
        reactor,
        twistd={},
        clock=other,  # type: ignore[arg-type]
        notifier=other,  # type: ignore[arg-type]
        metrics=other,  # type: ignore[arg-type]
        succession=place.succession,
        restart=lambda process: other,  # type: ignore[arg-type,return-value]
    )
    process.install()

    def end() -> None:
        if meanwhile:
            place.say(**meanwhile)
        reactor.triggers["before", "shutdown"]()

    in_reactor(end)


def test_before_it_is_ready(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one hears of it, and need not wait."""
    stop(place, monkeypatch)
    assert place.hear() == {"failed": "the new process received a signal to stop"}


def test_when_it_is_ready(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave to take the place comes too late: the other one goes on, or nobody would serve."""
    place.begin()
    stop(place, monkeypatch, go=True)
    assert place.hear() == {"failed": "the new process received a signal to stop"}
    place.control.shutdown(socket.SHUT_WR)
    assert place.lines.readline() == ""
    assert (place.took, place.why) == (0, "")
