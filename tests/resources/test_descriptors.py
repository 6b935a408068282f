"""The gateway when file descriptors run out."""

from __future__ import annotations

import os
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger

from ampproxy.server.descriptors import PAUSE, Descriptors
from tests.resources.harness import World


class Scarce:
    """A limit just above what this process has open, or far above it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events: list[Any] = []
        self.made = Descriptors(self.clock, Logger(observer=self.events.append), limit=1 << 20)

    def run_out(self) -> None:
        self.made._limit = 8

    def free(self) -> None:
        self.made._limit = 1 << 20


def test_told_once() -> None:
    """Many refusals are one line; that they are over is another, and counts them."""
    scarce = Scarce()
    assert scarce.made.suffice()
    scarce.run_out()
    assert not any(scarce.made.suffice() for _ in range(100))
    scarce.free()
    assert scarce.made.suffice()
    assert [event["log_level"].name for event in scarce.events] == ["error"]
    scarce.clock.advance(61)
    assert scarce.made.suffice()
    assert scarce.made.suffice()
    assert [event["log_level"].name for event in scarce.events] == ["error", "info"]
    assert scarce.events[1]["count"] == 100
    scarce.run_out()
    assert not scarce.made.suffice()
    assert len(scarce.events) == 3


def test_none_left_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one to look with."""
    scarce = Scarce()

    def refuse(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    assert not scarce.made.suffice()


def test_client_is_told() -> None:
    """One client too many gets status 503 and a closed connection; the log has it once."""
    world = World()
    scarce = Scarce()
    world.site._descriptors = scarce.made
    assert world.request("GET", "/healthz").status == 200
    scarce.run_out()
    transport = StringTransport()
    world.site.buildProtocol(None).makeConnection(transport)
    assert transport.value().startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5\r\n" in transport.value()
    assert transport.disconnecting


class Port:
    """What a port does as long as it accepts, and when it cannot."""

    connected = True
    disconnecting = False

    def __init__(self, observer: Any) -> None:
        self._logger = Logger(namespace="port", observer=observer)
        self.reading = True

    def stopReading(self) -> None:
        self.reading = False

    def startReading(self) -> None:
        self.reading = True


def test_port_that_cannot_accept() -> None:
    """It pauses in place of trying without end; what it logs of the lack is one line, all else goes on."""
    scarce, logged = Scarce(), []
    port = Port(logged.append)
    scarce.made.watch(port)
    for _ in range(10):
        port._logger.info("Could not accept new connection ({acceptError})", acceptError="EMFILE")
        assert not port.reading
        scarce.clock.advance(PAUSE)
        assert port.reading
    port._logger.info("EMFILE encountered; releasing reserved file descriptor.")
    port._logger.info("EMFILE recovery: Closed socket from {address}", address="a")
    port._logger.info("Re-reserving EMFILE recovery file descriptor.")
    port._logger.info("something else")
    assert [event["log_format"] for event in logged] == ["something else"]
    assert len(scarce.events) == 1
    port._logger.info("Could not accept new connection ({acceptError})", acceptError="EMFILE")
    port.disconnecting = True
    scarce.clock.advance(PAUSE)
    assert not port.reading


def test_a_port_that_is_paused_meanwhile() -> None:
    """Is not read again after its rest: another process accepts."""
    scarce, accepts = Scarce(), [True]
    port = Port([].append)
    scarce.made.watch(port, accepts.pop)
    port._logger.info("Could not accept new connection ({acceptError})", acceptError="EMFILE")
    accepts[:] = [False]
    scarce.clock.advance(PAUSE)
    assert accepts == []
    assert not port.reading


def test_port_without_a_logger() -> None:
    """Other kinds of ports are left alone."""
    Scarce().made.watch(object())
