"""What is under way: counted, waited for, and ended from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ampproxy.errors import ExchangeError


class ActiveExchange(Protocol):
    """A request that is being served.

    :ivar client_key: whose it is: a :class:`~ampproxy.server.guard.Client`, or ``None``.
    """

    client_key: Any

    def is_local(self) -> bool:
        """Whether it comes from this machine."""
        ...

    def abort(self, error: ExchangeError) -> None:
        """End it, and tell the client why as far as that can still be said."""
        ...


@dataclass(slots=True, eq=False)
class DetachedExchange:
    """What goes on after a request was answered, and keeps nothing else of it.

    :param end: ends it; the client may be told why.
    :param ended: fires when it has.
    """

    client_key: Any
    local: bool
    end: Callable[[ExchangeError], None]
    ended: Deferred[None]

    def is_local(self) -> bool:
        """Whether the request came from this machine."""
        return self.local

    def abort(self, error: ExchangeError) -> None:
        """End it."""
        self.end(error)


class ActiveExchanges:
    """The exchanges and tunnels that are under way, under any configuration."""

    def __init__(self) -> None:
        self._requests: set[ActiveExchange] = set()
        self._waiting: list[Deferred[None]] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._requests)

    def begin(self, request: ActiveExchange) -> None:
        """One more."""
        self._requests.add(request)

    def go_on(self, what: DetachedExchange) -> None:
        """Something goes on for which a request has begun."""
        self.begin(what)
        what.ended.addBoth(lambda _: self.end(what))

    def end(self, request: ActiveExchange) -> None:
        """One less."""
        self._requests.discard(request)
        if not self._requests:
            self.give_up()

    def abort(self, error: ExchangeError, which: Callable[[ActiveExchange], bool] = lambda _: True) -> int:
        """End some of them, or all; says how many."""
        chosen = [request for request in self._requests if which(request)]
        for request in chosen:
            request.abort(error)
        return len(chosen)

    def idle(self, clock: IReactorTime, within: float) -> Deferred[None]:
        """Fires when none is left, or when ``within`` seconds have passed."""
        waiting: Deferred[None] = Deferred()
        if not self._requests:
            waiting.callback(None)
            return waiting
        self._waiting.append(waiting)
        timer = clock.callLater(within, self.give_up)
        return waiting.addBoth(lambda _: timer.cancel() if timer.active() else None)

    def give_up(self) -> None:
        """Stop waiting."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
