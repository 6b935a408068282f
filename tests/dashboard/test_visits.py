"""The doctor, called by the page: one at a time, for a bounded time, however it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ampproxy.dashboard.visits import Visits

FOUND = b'{"findings": [{"check": "keys", "level": "warning", "text": "T.", "todo": ""}], "live": null}'
FILE = Path("/etc/ampproxy/config.yaml")


class Doctors:
    """Starts processes that end when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.started: list[tuple[Any, tuple[str, ...]]] = []
        self.killed: list[str] = []
        self.visits = Visits(self.spawn, self.clock.callLater, lambda: 7.0)

    def spawn(self, protocol: Any, program: str, arguments: tuple[str, ...], env: Any) -> None:
        self.started.append((protocol, arguments))
        protocol.makeConnection(self)
        self.pid = 1

    def signalProcess(self, signal: str) -> None:
        self.killed.append(signal)
        self.end()

    def end(self, output: bytes = b"") -> None:
        protocol = self.started[-1][0]
        if output:
            protocol.outReceived(output)
        protocol.processEnded(Failure(ProcessDone(0)))


def test_findings() -> None:
    doctors = Doctors()
    assert doctors.visits.last.state == "never"
    assert doctors.visits.begin(FILE, 60).state == "running"
    # Whoever calls meanwhile sees the same visit.
    assert doctors.visits.begin(FILE, 60).state == "running"
    ((_, arguments),) = doctors.started
    assert arguments[-4:] == ("doctor", "--json", "--config", str(FILE))
    doctors.end(FOUND)
    last = doctors.visits.last
    assert (last.state, last.ended_at, last.findings[0].level) == ("done", 7.0, "warning")
    assert doctors.clock.getDelayedCalls() == []
    assert doctors.visits.begin(FILE, 60).state == "running"


@pytest.mark.parametrize("output", [b"", b"Traceback", b'{"findings": [{"check": 1}]}'])
def test_no_findings(output: bytes) -> None:
    doctors = Doctors()
    doctors.visits.begin(FILE, 60)
    doctors.end(output)
    assert doctors.visits.last.state == "failed"
    assert "ampproxy doctor" in doctors.visits.last.why


def test_too_long() -> None:
    """It is killed after its time, and the page names the setting."""
    doctors = Doctors()
    doctors.visits.begin(FILE, 60)
    doctors.clock.advance(60)
    assert doctors.killed == ["KILL"]
    assert "page.doctor-timeout" in doctors.visits.last.why


def test_too_much() -> None:
    doctors = Doctors()
    doctors.visits.begin(FILE, 60)
    doctors.started[-1][0].outReceived(b"x" * (1 << 20) + b"x")
    assert doctors.killed == ["KILL"]
    assert "too much" in doctors.visits.last.why


def test_end_of_the_service() -> None:
    doctors = Doctors()
    doctors.visits.stop()
    doctors.visits.begin(FILE, 60)
    doctors.visits.stop()
    assert doctors.killed == ["KILL"]


def test_no_process() -> None:
    """Where none can be started the page says so."""
    clock = Clock()

    def spawn(*_: Any, **__: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    visits = Visits(spawn, clock.callLater, lambda: 7.0)
    assert visits.begin(FILE, 60).state == "failed"
    assert "Resource temporarily unavailable" in visits.last.why
    assert clock.getDelayedCalls() == []
