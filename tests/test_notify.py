"""What a service manager hears, over a real datagram socket and with a clock of the test's own."""

from __future__ import annotations

import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.notify import RETRY, Notifier, for_successor

PID = 4711


class Manager:
    """The service manager's end of the socket, and what the service logged."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        self.log = Logger(observer=self.events.append)
        self.open()

    def open(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address.replace("@", "\0", 1))
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()
        if not self.address.startswith("@"):
            Path(self.address).unlink(missing_ok=True)

    def heard(self) -> list[dict[str, str]]:
        messages = []
        while True:
            try:
                message = self.socket.recv(65536).decode()
            except BlockingIOError:
                return messages
            messages.append(dict(line.split("=", 1) for line in message.split("\n")))

    def notifier(self, **environ: str) -> Notifier:
        return Notifier.of({"NOTIFY_SOCKET": self.address, **environ}, PID, self.clock, self.log)


@pytest.fixture
def manager() -> Iterator[Manager]:
    # Not pytest's folder: a socket's path may be only some hundred bytes long.
    with tempfile.TemporaryDirectory() as folder:
        made = Manager(f"{folder}/notify")
        yield made
        made.close()


def test_a_life(manager: Manager) -> None:
    """Ready, a reload with its time, a state, an heir, the end with the time that it may take."""
    notifier = manager.notifier()
    notifier.ready("Serving on\n127.0.0.1:8317")
    with notifier.reloading(lambda: "configuration 2"):
        (ready, reloading) = manager.heard()
    notifier.status("three streams")
    notifier.main_pid(99)
    notifier.stopping(30, "waits")
    assert ready == {"READY": "1", "STATUS": "Serving on 127.0.0.1:8317"}
    assert reloading["RELOADING"] == "1"
    # systemd drops a reload whose time is not of its own clock (sd_notify(3), MONOTONIC_USEC).
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert 0 <= now // 1000 - int(reloading["MONOTONIC_USEC"]) < 60_000_000
    assert manager.heard() == [
        {"READY": "1", "STATUS": "configuration 2"},
        {"STATUS": "three streams"},
        {"MAINPID": "99"},
        {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "40000000", "STATUS": "waits"},
    ]
    assert manager.events == []


def test_abstract_socket() -> None:
    """``@name`` is one without a file."""
    manager = Manager(f"@ampproxy-test-{secrets.token_hex(8)}")
    manager.notifier().ready()
    assert manager.heard() == [{"READY": "1"}]
    manager.close()


def test_without_a_manager() -> None:
    """Nothing is sent, logged, or planned."""
    clock, events = Clock(), []
    notifier = Notifier.of({"WATCHDOG_USEC": "1000000"}, PID, clock, Logger(observer=events.append))
    notifier.ready("x")
    with notifier.reloading():
        notifier.status("y")
    notifier.stopping(30)
    notifier.close()
    assert events == []
    assert clock.getDelayedCalls() == []


def test_watchdog(manager: Manager) -> None:
    """Fed at half its time, by the reactor's own clock, from readiness on."""
    notifier = manager.notifier(WATCHDOG_USEC="10000000", WATCHDOG_PID=str(PID))
    manager.clock.advance(60)
    assert manager.heard() == []
    notifier.ready()
    notifier.ready()
    assert manager.heard().count({"WATCHDOG": "1"}) == 1
    manager.clock.pump([1.0] * 20)
    assert manager.heard() == [{"WATCHDOG": "1"}] * 4
    notifier.close()
    manager.clock.pump([1.0] * 20)
    assert manager.heard() == []
    assert manager.clock.getDelayedCalls() == []


def test_watchdog_of_several_processes(manager: Manager) -> None:
    """While one of them does not answer, the manager is to end the service."""

    class Crew:
        answers = True

        def all_answer(self) -> bool:
            return self.answers

    notifier, crew = manager.notifier(WATCHDOG_USEC="10000000", WATCHDOG_PID=str(PID)), Crew()
    notifier.alive = crew
    notifier.ready()
    manager.clock.pump([1.0] * 5)
    assert manager.heard().count({"WATCHDOG": "1"}) == 2
    crew.answers = False
    manager.clock.pump([1.0] * 20)
    assert manager.heard() == []
    notifier.close()


@pytest.mark.parametrize(
    "environ", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_watchdog_of_somebody_else(manager: Manager, environ: dict[str, str]) -> None:
    """What is meant for another process, or is no number, is not fed."""
    manager.notifier(**{"WATCHDOG_USEC": "10000000", **environ}).ready()
    manager.clock.pump([1.0] * 20)
    assert manager.heard() == [{"READY": "1"}]


def test_manager_gone(manager: Manager) -> None:
    """Told once; when it is back it hears again, and its next absence is news."""
    notifier = manager.notifier(WATCHDOG_USEC="2000000")
    notifier.ready()
    manager.close()
    manager.clock.pump([1.0] * 10)
    notifier.status("still here")
    (event,) = manager.events
    assert event["log_level"].name == "warn"
    assert "No such file" in event["why"]
    manager.open()
    manager.clock.advance(1)
    assert manager.heard() == [{"WATCHDOG": "1"}]
    manager.close()
    manager.clock.pump([1.0] * 5)
    assert len(manager.events) == 2


def test_full_socket(manager: Manager) -> None:
    """A manager that does not read: the service does not wait, and nothing of its state is lost."""
    notifier = manager.notifier(WATCHDOG_USEC="2000000")
    sent = 0
    while not manager.clock.getDelayedCalls():
        notifier.status(f"{sent}")
        sent += 1
        assert sent < 10_000
    with notifier.reloading():
        pass
    heard = manager.heard()
    while heard[-1:] != [{"READY": "1"}] and manager.clock.getDelayedCalls():
        manager.clock.advance(RETRY)
        heard += manager.heard()
    assert [message["STATUS"] for message in heard if "STATUS" in message] == [str(n) for n in range(sent)]
    assert [next(iter(message)) for message in heard[-2:]] == ["RELOADING", "READY"]
    assert manager.events == []


def test_full_for_ever(manager: Manager) -> None:
    """What waits is bounded, and what is newest of it is kept; pings do not wait at all."""
    notifier = manager.notifier(WATCHDOG_USEC="2000000")
    notifier.ready()
    for number in range(1000):
        notifier.status(f"{number}")
    manager.clock.pump([1.0] * 60)
    heard = manager.heard()
    while manager.clock.getDelayedCalls() and {"STATUS": "999"} not in heard:
        manager.clock.advance(RETRY)
        heard += manager.heard()
    assert heard[0] == {"READY": "1"}
    assert heard[-1] == {"STATUS": "999"}
    assert len(heard) < 500
    assert heard.count({"WATCHDOG": "1"}) <= 1


def test_strange_address() -> None:
    """Neither a path nor an abstract name: said once, and that is all."""
    events: list[Any] = []
    environ = {"NOTIFY_SOCKET": "vsock:2:1234"}
    Notifier.of(environ, PID, Clock(), Logger(observer=events.append)).ready()
    assert len(events) == 1


def test_successor() -> None:
    """A process that takes over is not told that the watchdog is another's."""
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "7", "HOME": "/h"}
    assert for_successor(environ) == {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "HOME": "/h"}


def test_main_process(manager: Manager) -> None:
    """Who is to know of another process is told of it for sure: also when the socket is full at first."""
    notifier = manager.notifier()
    filled = 0
    while not notifier._waiting:
        notifier.status(str(filled))
        filled += 1
    said = notifier.main_pid(12)
    assert not said.called
    manager.heard()
    manager.clock.advance(RETRY)
    assert said.called
    assert manager.heard()[-1] == {"MAINPID": "12"}


def test_main_process_unheard(manager: Manager) -> None:
    """If that is not possible it is told; without a manager there is nobody to tell."""
    notifier = manager.notifier()
    manager.close()
    failed: list[Any] = []
    notifier.main_pid(12).addErrback(failed.append)
    assert failed[0].check(OSError)
    assert Notifier.of({}, PID, manager.clock, manager.log).main_pid(12).called
