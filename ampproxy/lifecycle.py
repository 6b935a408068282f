"""The phases of a service, from its start to its end: one table, which the service, its site and its
listeners go by.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Phase(enum.Enum):
    """Where a service is in its life."""

    #: It is put together, and does not listen yet.
    STARTING = "starting"
    #: It listens, and accepts nobody: another process serves still, whose place it is to take.
    HELD = "held"
    #: It accepts and serves.
    SERVING = "serving"
    #: It serves, and accepts nobody: another process is about to take its place.
    YIELDING = "yielding"
    #: Another process has the sockets; what is under way is served.
    LEAVING = "leaving"
    #: It was asked to end; what is under way is served.
    DRAINING = "draining"
    #: Nothing is under way any more.
    STOPPED = "stopped"


#: What may follow each phase, beside itself.
NEXT: Mapping[Phase, frozenset[Phase]] = {
    Phase.STARTING: frozenset({Phase.SERVING, Phase.YIELDING, Phase.LEAVING, Phase.DRAINING}),
    Phase.HELD: frozenset({Phase.SERVING, Phase.LEAVING, Phase.DRAINING}),
    Phase.SERVING: frozenset({Phase.YIELDING, Phase.LEAVING, Phase.DRAINING}),
    Phase.YIELDING: frozenset({Phase.SERVING, Phase.LEAVING, Phase.DRAINING}),
    Phase.LEAVING: frozenset({Phase.DRAINING}),
    Phase.DRAINING: frozenset({Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
}

_PAUSED = frozenset({Phase.HELD, Phase.YIELDING})
_ENDING = frozenset({Phase.LEAVING, Phase.DRAINING, Phase.STOPPED})


class Lifecycle:
    """In which phase a service is.

    :param held: whether it begins as one that another process must make way for.
    :ivar paused: whether it listens without accepting anybody.
    :ivar ending: whether it listens no longer, and closes each connection after its answer.
    """

    __slots__ = ("ending", "paused", "phase")

    def __init__(self, *, held: bool = False) -> None:
        self.phase = Phase.HELD if held else Phase.STARTING
        self.paused, self.ending = held, False

    def leave(self) -> None:
        """Another process has the sockets; where the service ends already, that is no change."""
        if not self.ending:
            self.to(Phase.LEAVING)

    def to(self, phase: Phase) -> None:
        """Go on to another phase; the present one again is no change.

        :raises RuntimeError: that one does not follow this one.
        """
        if phase is self.phase:
            return
        if phase not in NEXT[self.phase]:
            raise RuntimeError(f"a service that is {self.phase.value} cannot be {phase.value}")
        self.phase = phase
        self.paused, self.ending = phase in _PAUSED, phase in _ENDING
