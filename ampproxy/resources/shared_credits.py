"""Daily limits before Amp's credits for all gateways that share their state, beside each gateway's own count.

They are counted as clients' limits are (:mod:`ampproxy.server.limiter`), by days of UTC. What one gateway
has counted by itself (:mod:`ampproxy.credits.allowance`) is a part of it, and what its own page, metrics and
commands show.
"""

from __future__ import annotations

from hashlib import blake2b

from ampproxy.config.schema import FallbackRule
from ampproxy.credits.allowance import LimitReached, Used, digest_of, name_of
from ampproxy.generation import Generation
from ampproxy.model.clients import KeyLimit
from ampproxy.tenants.counting import Amounts, Demand, Taken
from ampproxy.tenants.counting import LimitReached as SharedLimitReached
from ampproxy.tenants.store import Look, Take
from ampproxy.wire.redact import Secret


async def take_of_all(
    generation: Generation, rule: FallbackRule, client: Secret | None, tokens: int
) -> Taken | None:
    """Take one request and ``tokens`` of a rule's limits; ``None``: nothing is shared.

    :param client: the key of who asks.
    :raises LimitReached: that is more than is left; nothing is taken.
    :raises ampproxy.errors.GatewayFault: it cannot be counted.
    """
    if generation.config.state is None:
        return None
    tenant, limits, limiter = _tenant(rule, client), _limits(rule), generation.runtime.limiter
    try:
        taken: Taken = await limiter.order(Take(tenant, limits, Demand(tokens)))
    except SharedLimitReached:
        used: Amounts = (await limiter.order(Look(tenant, limits)))["day"]
        raise LimitReached(Used(used.requests, used.tokens), tokens) from None
    return taken


def settle_of_all(generation: Generation, taken: Taken, *, tokens: int | None, sent: bool) -> None:
    """Give back what was not used, as :meth:`ampproxy.credits.allowance.Allowance.settle` does."""
    cost = taken.amounts.tokens if tokens is None else tokens
    generation.runtime.limiter.settle(taken, Amounts(1, cost) if sent else Amounts())


def _tenant(rule: FallbackRule, client: Secret | None) -> str:
    """What a rule's counts go by among gateways: whom it is for; per client, with a digest of its key."""
    name = blake2b(name_of(rule).encode(), digest_size=16).hexdigest()
    return f"amp:{name}:{digest_of(client, b'amp')}" if rule.per_client else f"amp:{name}"


def _limits(rule: FallbackRule) -> tuple[KeyLimit, ...]:
    found = []
    if rule.requests is not None:
        found.append(KeyLimit("requests", "day", rule.requests))
    if rule.tokens is not None:
        found.append(KeyLimit("tokens", "day", rule.tokens))
    return tuple(found)
