"""How late the reactor comes to what was due: as long as it is late, everything waits."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds from one look to the next.
INTERVAL = 0.5


class Lag:
    """Looks at the clock again and again.

    :param observe: is told how many seconds late each look came.
    """

    def __init__(self, clock: IReactorTime, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Look from now on."""
        if self._call is None:
            self._again()

    def stop(self) -> None:
        """Look no longer."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _again(self) -> None:
        self._call = self._clock.callLater(INTERVAL, self._look, self._clock.seconds() + INTERVAL)

    def _look(self, due: float) -> None:
        self._observe(max(0.0, self._clock.seconds() - due))
        self._again()
