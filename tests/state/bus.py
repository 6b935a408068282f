"""Views joined by a hub in memory, over connections that take as long as the test lets them."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.state.hub import Hub
from ampproxy.state.view import View

#: Seconds between a view and the hub.
TRAVEL = 0.01


class Bus:
    """A hub, its connections, and a clock that they share."""

    def __init__(self, hub=None):
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.hub = hub or Hub()
        self.wires = []
        self.events = []

    def view(self, *, open=True, timeout=2.0, closes=False):
        """Another process's view; connected, if wanted."""
        log = Logger(namespace="ampproxy", observer=self.events.append)
        view = View(
            "a hub in memory", self.clock, lambda: self.clock.seconds(), log, timeout=timeout, closes=closes
        )
        wire = Wire(self, view)
        view.use(wire)
        view.wire = wire
        self.wires.append(wire)
        if open:
            wire.open()
        return view

    def settle(self):
        """Let everything arrive that is on its way."""
        self.clock.pump([TRAVEL] * 10)


class Wire:
    """A link whose messages travel for :data:`TRAVEL` seconds, in order; it can be cut, and be silent."""

    def __init__(self, bus, view):
        self.bus, self.view = bus, view
        self.up = self.silent = False
        self.sent = []

    def open(self):
        self.up = True
        for entry in self.bus.hub.entries(self.bus.clock.seconds()):
            self.view.known(entry)
        self.view.opened()

    def cut(self, why="connection lost"):
        self.up = False
        self.view.closed(why)

    def _later(self, call, *arguments):
        if not self.silent:
            self.bus.clock.callLater(TRAVEL, lambda: call(*arguments) if self.up else None)

    def _broadcast(self, entry, number):
        for wire in self.bus.wires:
            wire._later(wire.view.arrived, entry, number if wire is self else None)

    def put(self, entry, number):
        self.sent.append(entry)
        self._later(self._put, entry, number)

    def _put(self, entry, number):
        if self.bus.hub.put(entry, self.bus.clock.seconds(), exchanged=not number):
            self._broadcast(entry, number)

    def claim(self, entry):
        done = Deferred()
        self._later(self._claim, entry, done)
        return done

    def _claim(self, entry, done):
        value, won = self.bus.hub.claim(entry, self.bus.clock.seconds())
        if won:
            self._broadcast(entry, 0)
        self._later(self._fire, done, value)

    def _fire(self, done, value):
        if not done.called:
            done.callback(value)

    def lock(self, name, ttl):
        done = Deferred()
        self._later(
            lambda: self._later(self._fire, done, self.bus.hub.lock(name, ttl, self.bus.clock.seconds()))
        )
        return done

    def unlock(self, name, number):
        self._later(self.bus.hub.unlock, name, number)
