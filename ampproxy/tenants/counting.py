"""What may be used of limits, and what was: decisions over numbers, without a clock and without a file.

A request reserves what it may use at most before it is sent, and what it did not use is given back when it
has ended. *Requests* and *tokens* never exceed their limits: a request that might is refused. *US dollars*
stop at most one request late: one is let in as long as anything is left after what all others under way may
still cost, for a bound on the price of a single request is often many times what it will cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ampproxy.model.base import Value
from ampproxy.model.clients import KeyLimit, Period, Standing, Unit
from ampproxy.tenants.periods import began, ends


class Amounts(Value, frozen=True):
    """Something used, reserved or given back.

    :param usd: in millionths of a US dollar.
    """

    requests: int = 0
    tokens: int = 0
    usd: int = 0

    def of(self, unit: Unit) -> int:
        """The amount of one unit."""
        found: int = getattr(self, unit)
        return found

    def plus(self, other: Amounts) -> Amounts:
        """The sum of both."""
        return Amounts(self.requests + other.requests, self.tokens + other.tokens, self.usd + other.usd)

    def minus(self, other: Amounts) -> Amounts:
        """What is left of it without the other."""
        return Amounts(self.requests - other.requests, self.tokens - other.tokens, self.usd - other.usd)


NOTHING = Amounts()


class Demand(Value, frozen=True):
    """What a request may use at most.

    :param usd: ``None``: unknown, so that it reserves all that is left.
    """

    tokens: int = 0
    usd: int | None = 0


class Taken(Value, frozen=True):
    """What a request has reserved, until it is settled.

    :param tenant: whose it is (:func:`ampproxy.tenants.tenant.tenant_id`).
    :param windows: the periods that it is counted in, each with its beginning.
    :param standings: how the client stands with its limits, this request counted.
    """

    tenant: str
    windows: tuple[tuple[Period, int], ...]
    amounts: Amounts
    standings: tuple[Standing, ...] = ()


class LimitReached(Exception):
    """Not taken: more than a limit has left.

    :ivar standing: how the client stands with that limit.
    :ivar wanted: what the request may use at most of it; 0 where that is unknown.
    """

    def __init__(self, standing: Standing, wanted: int) -> None:
        super().__init__(f"The limit {standing.limit.setting} is reached.")
        self.standing = standing
        self.wanted = wanted


def windows_of(limits: Iterable[KeyLimit], wall: float) -> tuple[tuple[Period, int], ...]:
    """The periods in which a client is counted at a time, each with its beginning."""
    periods = dict.fromkeys(limit.period for limit in limits)
    return tuple((period, began(period, wall)) for period in periods)


def reserve(
    tenant: str, limits: tuple[KeyLimit, ...], used: Mapping[Period, Amounts], demand: Demand, wall: float
) -> Taken:
    """Reserve what one request may use.

    :param used: of each period, what has been used and reserved before.
    :raises LimitReached: a limit has not enough left; of several the one that renews last.
    """
    standings = [_standing(limit, used, wall) for limit in limits]
    usd = demand.usd
    if usd is None:
        usd = max((standing.left for standing in standings if standing.limit.unit == "usd"), default=0)
    wanted = Amounts(1, demand.tokens, max(0, usd))
    reached = [standing for standing in standings if not _fits(standing, wanted)]
    if reached:
        last = max(reached, key=lambda standing: standing.renews)
        raise LimitReached(last, 0 if last.limit.unit == "usd" else wanted.of(last.limit.unit))
    after = tuple(
        Standing(standing.limit, standing.left - wanted.of(standing.limit.unit), standing.renews)
        for standing in standings
    )
    return Taken(tenant, windows_of(limits, wall), wanted, after)


def kept(
    limits: tuple[KeyLimit, ...], used: Mapping[Period, Amounts], running: Iterable[Taken], wall: float
) -> list[LimitReached | None]:
    """Whether requests that are under way would be let in anew under other limits, one after the other.

    A request counts for the limits of those periods alone in which it was counted when it began.

    :param used: of each period, what has been used and reserved, that of these requests included.
    :param running: what they reserved, in the order in which they began.
    :return: for each of them ``None``, or the limit that it is beyond.
    """
    running, found = list(running), dict(used)
    windows = dict(windows_of(limits, wall))
    counted = [[period for period in windows if (period, windows[period]) in one.windows] for one in running]
    for one, periods in zip(running, counted, strict=True):
        found |= {period: found.get(period, NOTHING).minus(one.amounts) for period in periods}
    reached: list[LimitReached | None] = []
    for one, periods in zip(running, counted, strict=True):
        own = tuple(limit for limit in limits if limit.period in periods)
        try:
            reserve(one.tenant, own, found, Demand(one.amounts.tokens, one.amounts.usd), wall)
        except LimitReached as why:
            reached.append(why)
        else:
            reached.append(None)
            found |= {period: found[period].plus(one.amounts) for period in periods}
    return reached


def standings_of(
    limits: Iterable[KeyLimit], used: Mapping[Period, Amounts], wall: float
) -> tuple[Standing, ...]:
    """How a client stands with its limits."""
    return tuple(_standing(limit, used, wall) for limit in limits)


def _fits(standing: Standing, wanted: Amounts) -> bool:
    if standing.limit.unit == "usd":
        return standing.left > 0
    return wanted.of(standing.limit.unit) <= standing.left


def _standing(limit: KeyLimit, used: Mapping[Period, Amounts], wall: float) -> Standing:
    before = used.get(limit.period, NOTHING).of(limit.unit)
    return Standing(limit, limit.most - before, ends(limit.period, began(limit.period, wall)))
