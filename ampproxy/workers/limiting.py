"""Clients' limits on requests at once, counted for all workers together: by the supervisor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ampproxy.channel.messages import Enter, Entered, Left, Message
from ampproxy.server.limiter import Limiter

#: Seconds that the supervisor may take to answer; then a worker goes by its own count.
TIMEOUT = 2.0
#: So many questions may be answered too late; of further ones it is not made up for what the answer counted.
MAX_OVERDUE = 10_000


class Entrance:
    """In a worker: takes the place of the limiter's own count.

    :param send: sends to the supervisor.
    """

    def __init__(self, limiter: Limiter, clock: IReactorTime, send: Callable[[Message], None]) -> None:
        self._clock = clock
        self._send = send
        self._waiting: dict[int, Deferred[bool]] = {}
        #: The questions that are answered too late, and whose requests they are about.
        self._overdue: dict[int, str] = {}
        self._number = 0
        #: Whether there is a supervisor.
        self.open = True
        self._own_enter, self._own_leave = limiter.enter, limiter.leave
        limiter.enter = self.enter  # type: ignore[method-assign]
        limiter.leave = self.leave  # type: ignore[method-assign]

    def enter(self, tenant: str, most: int | None) -> bool | Deferred[bool]:
        """See :meth:`~ampproxy.server.limiter.Limiter.enter`."""
        own = self._own_enter(tenant, most)
        if not own or not self.open:
            return own
        if most is None:
            self._send(Enter(tenant, 0, 0))
            return True
        self._number += 1
        number = self._number
        answer: Deferred[bool] = Deferred()
        self._waiting[number] = answer
        self._send(Enter(tenant, most, number))
        answer.addTimeout(TIMEOUT, self._clock)
        return answer.addCallbacks(self._answered, self._late, (tenant,), errbackArgs=(number, tenant))

    def leave(self, tenant: str) -> None:
        """See :meth:`~ampproxy.server.limiter.Limiter.leave`."""
        self._own_leave(tenant)
        self._send(Left(tenant))

    def message(self, message: Entered) -> None:
        """The supervisor has answered."""
        waiting = self._waiting.pop(message.number, None)
        if waiting is not None:
            waiting.callback(message.ok)
        tenant = self._overdue.pop(message.number, None)
        if tenant is not None and message.ok:
            # It was counted twice.
            self._send(Left(tenant))

    def _answered(self, ok: bool, tenant: str) -> bool:
        if not ok:
            self._own_leave(tenant)
        return ok

    def _late(self, _: Failure, number: int, tenant: str) -> bool:
        """It is served, whatever the answer will be: so it counts in any case."""
        self._waiting.pop(number, None)
        if self.open and len(self._overdue) < MAX_OVERDUE:
            self._overdue[number] = tenant
            self._send(Enter(tenant, 0, 0))
        return True


class Gate:
    """In the supervisor: counts for all.

    :param running: how many requests of each client are under way, in all workers.
    """

    def __init__(self, running: Counter[str]) -> None:
        self._running = running
        self._of: dict[Any, Counter[str]] = {}

    def enter(self, member: Any, message: Enter) -> None:
        """A worker is about to serve a request."""
        ok = not message.most or self._running[message.tenant] < message.most
        if ok:
            self._running[message.tenant] += 1
            self._of.setdefault(member, Counter())[message.tenant] += 1
        if message.number:
            member.send(Entered(message.number, ok))

    def left(self, member: Any, tenant: str, count: int = 1) -> None:
        """It has served it."""
        own = self._of.get(member)
        if own is None or not own[tenant]:
            return  # it went by its own count
        own[tenant] -= count
        self._running[tenant] -= count
        for counts in (own, self._running):
            if counts[tenant] <= 0:
                del counts[tenant]

    def gone(self, member: Any) -> None:
        """It has ended, with all that it served."""
        for tenant, count in dict(self._of.get(member, ())).items():
            self.left(member, tenant, count)
        self._of.pop(member, None)
