"""Has the limits of clients counted, many requests at a time, in another thread.

What is asked for while one batch is on its way to the disk is the next batch. So a request of a client that
has limits waits for about one transaction, the reactor for none, and clients without limits never come here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.errors import GatewayFault
from ampproxy.model.clients import Period, Standing
from ampproxy.tenants.counting import NOTHING, Amounts, Demand, Taken
from ampproxy.tenants.store import Counts, CountsFailed, Look, Order, Result, Settle, Take
from ampproxy.tenants.tenant import Tenant

#: The most orders of one transaction: some milliseconds.
BATCH = 500
#: So many settlements may wait for a disk that does not take them. What is lost beyond stays counted: clients
#: get less than their limits, never more.
MAX_WAITING = 10_000

#: Runs a function in another thread, and gives its result in this one.
InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class Works(Protocol):
    """What keeps the counts: :class:`~ampproxy.tenants.store.Counts`."""

    def work(self, orders: Sequence[Order]) -> list[Result]:
        """Carry orders out, all or none.

        :raises CountsFailed: none of them was.
        """

    def close(self) -> None:
        """Let go of the file."""


class Limiter:
    """Reserves and settles. Its methods are called in the reactor's thread, and none of them waits.

    :param make_counts: makes what keeps the counts, in the other thread: SQLite takes a while to load.
    :param in_thread: runs its methods.
    :ivar running: how many requests each client has under way that has rights or limits of its own.
    :ivar last: how each client stood with its limits at its last request, by its label; for metrics.
    """

    def __init__(self, make_counts: Callable[[], Works], in_thread: InThread, log: Logger) -> None:
        self._make_counts = make_counts
        self._in_thread = in_thread
        self._log = log
        self._counts: Works | None = None
        self._orders: list[tuple[Order, Deferred[Any] | None]] = []
        self._working: Deferred[None] | None = None
        self.running: Counter[str] = Counter()
        self.last: dict[str, tuple[Standing, ...]] = {}

    def enter(self, tenant: str, most: int | None) -> bool | Deferred[bool]:
        """One more of a client's requests is under way, unless that is one too many; whether it is.

        :param tenant: its id.
        :param most: how many may be; ``None``: any number.
        """
        if most is not None and self.running[tenant] >= most:
            return False
        self.running[tenant] += 1
        return True

    def leave(self, tenant: str) -> None:
        """One less."""
        self.running[tenant] -= 1
        if not self.running[tenant]:
            del self.running[tenant]

    def take(self, tenant: Tenant, demand: Demand) -> Deferred[Taken]:
        """Reserve what one request may use.

        :return: fails with :class:`LimitReached`, or with :class:`GatewayFault` where the counts cannot be
            kept.
        """
        return self.order(Take(tenant.id, tenant.key.limits, demand))

    def used(self, tenant: Tenant) -> Deferred[dict[Period, Amounts]]:
        """What a client has used and reserved in the present periods of its limits: all that was asked for
        before is counted, and nothing else.

        :return: fails with :class:`GatewayFault` where the counts cannot be read.
        """
        return self.order(Look(tenant.id, tenant.key.limits))

    def order(self, order: Take | Look) -> Deferred[Any]:
        """Have something counted that is no client's own: what :meth:`take` or :meth:`used` give."""
        done: Deferred[Any] = Deferred()
        self._orders.append((order, done))
        self._go_on()
        return done

    def settle(self, taken: Taken, used: Amounts | None) -> None:
        """Give back what a request did not use.

        :param used: ``None``: unknown, so all that was reserved stays counted.
        """
        back = NOTHING if used is None else taken.amounts.minus(used)
        if back == NOTHING or not taken.windows:
            return
        if len(self._orders) >= MAX_WAITING:
            return
        self._orders.append((Settle(taken, back), None))
        self._go_on()

    def look_again(self) -> None:
        """What the counts are kept in is back: have it know what has changed meanwhile."""
        if self._counts is not None:
            self._orders.append((Look("", ()), None))
            self._go_on()

    async def close(self) -> None:
        """Write what waits, and close the file."""
        while self._working is not None:
            await _after(self._working)
        counts, self._counts = self._counts, None
        if counts is not None:
            await self._in_thread(counts.close)

    def _go_on(self) -> None:
        if self._working is None and self._orders:
            self._working = Deferred.fromCoroutine(self._work())
            # It may be over already.
            self._working.addBoth(self._worked)

    def _worked(self, result: object) -> None:
        self._working = None
        if isinstance(result, Failure):
            self._log.failure("Unhandled error while counting what clients use", result)
        self._go_on()

    async def _work(self) -> None:
        batch, self._orders = self._orders[:BATCH], self._orders[BATCH:]
        orders = [order for order, _ in batch]
        try:
            results: Sequence[Any] = await self._in_thread(lambda: self._open().work(orders))
        except Exception as error:
            results = [self._fault(error)] * len(batch)
        for (_, waits), result in zip(batch, results, strict=True):
            if waits is not None and isinstance(result, Exception):
                waits.errback(result)
            elif waits is not None:
                waits.callback(result)

    def _open(self) -> Works:
        """What keeps the counts. Called in the other thread, which alone works at that time."""
        if self._counts is None:
            self._counts = self._make_counts()
        return self._counts

    def _fault(self, error: Exception) -> GatewayFault:
        why = str(error)
        if not isinstance(error, CountsFailed):
            self._log.failure("Unhandled error while counting what clients use")
            why = "see the log"
        message = (
            "What this client has used of its limits cannot be counted, so its requests are not served:"
            f" {why}{'' if '(settings: ' in why else ' (settings: api-keys[].limits, state-dir)'}."
        )
        self._log.error("{message}", message=message)
        fault = GatewayFault.of("unavailable", message, status=503, code="client_limit_unknown")
        assert isinstance(fault, GatewayFault)
        return fault


def kept_nowhere(wall: Callable[[], float]) -> Limiter:
    """A limiter whose counts are forgotten with it, and that counts at once."""
    return Limiter(lambda: Counts(None, wall), maybeDeferred, Logger(namespace="ampproxy"))


def _after(working: Deferred[None]) -> Deferred[None]:
    """Fires when that work is done, which others wait for, too."""
    done: Deferred[None] = Deferred()
    working.addBoth(lambda _: done.callback(None))
    return done
