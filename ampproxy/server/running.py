"""What is under way: counted, waited for, and ended from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ampproxy.errors import ExchangeError
from ampproxy.tenants.counting import Taken
from ampproxy.tenants.tenant import Tenant


class ActiveExchange(Protocol):
    """A request that is being served.

    :ivar client_key: whose it is: a :class:`~ampproxy.server.guard.Client`, or ``None``.
    :ivar taken: what it has reserved of its client's limits; ``None``: nothing.
    :ivar asks_model: whether it is a request to a model.
    """

    client_key: Any
    taken: Taken | None
    asks_model: bool

    def is_local(self) -> bool:
        """Whether it comes from this machine."""

    def check_again(self, tenant: Tenant) -> None:
        """See that its client may still have it, by the rights that it has now.

        :raises ClientFault: it may not.
        """

    def abort(self, error: ExchangeError) -> None:
        """End it, and tell the client why as far as that can still be said."""


class Revocable:
    """What a request has so that it can be ended from outside.

    :ivar client_key: whose it is: a :class:`~ampproxy.server.guard.Client`, or ``None``.
    :ivar on_abort: ends what serves the request; whoever serves it sets it.
    :ivar aborted: for what it was ended.
    :ivar recheck: raises what a client with these rights may no longer have of it; ``None``: the class of its
        route alone counts.
    :ivar taken: what it has reserved of its client's limits.
    :ivar asks_model: whether it is a request to a model.
    """

    client_key: Any = None
    on_abort: Callable[[ExchangeError], None] | None = None
    aborted: ExchangeError | None = None
    recheck: Callable[[Tenant], None] | None = None
    taken: Taken | None = None
    asks_model: bool = False

    def abort(self, error: ExchangeError) -> None:
        """End what serves it; the client gets ``error``, as far as that can still be sent."""
        self.aborted = self.aborted or error
        if self.on_abort is not None:
            self.on_abort(error)


class DetachedExchange(msgspec.Struct, eq=False):
    """What goes on after a request was answered, and keeps nothing else of it.

    :param check_again: raises :class:`~ampproxy.errors.ClientFault` if its client, by the rights that it has
        now, may not have it.
    :param end: ends it; the client may be told why.
    :param ended: fires when it has.
    """

    client_key: Any
    local: bool
    check_again: Callable[[Tenant], None]
    end: Callable[[ExchangeError], None]
    ended: Deferred[None]
    taken: Taken | None = None
    asks_model: bool = False

    def is_local(self) -> bool:
        """Whether the request came from this machine."""
        return self.local

    def abort(self, error: ExchangeError) -> None:
        """End it."""
        self.end(error)


class ActiveExchanges:
    """The exchanges and tunnels that are under way, under any configuration."""

    def __init__(self) -> None:
        # In the order in which they began.
        self._requests: dict[ActiveExchange, None] = {}
        self._waiting: list[Deferred[None]] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._requests)

    def begin(self, request: ActiveExchange) -> None:
        """One more."""
        self._requests[request] = None

    def go_on(self, what: DetachedExchange) -> None:
        """Something goes on for which a request has begun."""
        self.begin(what)
        what.ended.addBoth(lambda _: self.end(what))

    def end(self, request: ActiveExchange) -> None:
        """One less."""
        self._requests.pop(request, None)
        if self._waiting and not self._requests:
            self.give_up()

    def all(self) -> tuple[ActiveExchange, ...]:
        """All of them, in the order in which they began."""
        return tuple(self._requests)

    def abort(self, error: ExchangeError) -> None:
        """End all of them."""
        for request in self.all():
            request.abort(error)

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
