"""Ends running exchanges that their clients may no longer have: after a reload, and when a key expires.

A client's present rights apply from then on, also to what it began before. Rights are checked at once; limits
after that, because what was used of them is in a file, which another thread reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ampproxy.errors import ClientFault, ExchangeError, GatewayFault
from ampproxy.server.authentication import Keys
from ampproxy.server.guard import Client
from ampproxy.server.limiter import Limiter
from ampproxy.server.running import ActiveExchange, ActiveExchanges
from ampproxy.tenants.counting import Taken, kept
from ampproxy.tenants.refusals import limit_reached, too_many
from ampproxy.tenants.tenant import Tenant
from ampproxy.wire.words import counted

#: So often the counts are read anew because a request ended while they were read.
_LOOKS = 5


def revoke(
    keys: Keys, running: ActiveExchanges, limiter: Limiter, wall: Callable[[], float], log: Logger
) -> Deferred[None]:
    """End what clients may no longer have, and log how many exchanges that were.

    :param wall: seconds since the epoch.
    :return: fires when the limits have been looked at, too.
    """

    def report(count: int) -> None:
        if count:
            log.warn(
                "Ended, for their client keys no longer allow them: {what}", what=counted(count, "exchange")
            )

    report(end_revoked(keys, running))
    beyond = Deferred.fromCoroutine(end_beyond_limits(running, limiter, wall)).addCallback(report)
    # Where the counts cannot be read, the limiter has logged it.
    return beyond.addErrback(lambda why: why.trap(GatewayFault))


def end_revoked(keys: Keys, running: ActiveExchanges) -> int:
    """End running exchanges whose client key is no longer valid or no longer opens them; return how many.
    The others have their clients' present rights from then on.
    """
    refused = ((request, _refusal(keys, request)) for request in running.all())
    return _abort((request, error) for request, error in refused if error is not None)


async def end_beyond_limits(running: ActiveExchanges, limiter: Limiter, wall: Callable[[], float]) -> int:
    """End running exchanges beyond limits that are lower now; return how many.

    The requests under way are let in anew, in the order in which they began: what would not be let in ends.

    :param wall: seconds since the epoch.
    :raises GatewayFault: the counts cannot be read; nothing was ended for what they hold.
    """
    ended = _abort(_too_many(running))
    for tenant in _with_other_limits(running):
        ended += await _end_beyond(tenant, running, limiter, wall)
    return ended


def _refusal(keys: Keys, request: ActiveExchange) -> ExchangeError | None:
    """Why a request may not go on; ``None``: it may."""
    client: Client | None = request.client_key
    if client is None or client.key is None:
        return None
    if client.user is not None:
        users = keys.amp_users
        allowed = users is not None and users.allows(client.user, local=request.is_local())
        return None if allowed else _revoked()
    now = keys.guard.current(client)
    if now is None:
        return _revoked()
    request.client_key = now
    try:
        if now.tenant is not None:
            request.check_again(now.tenant)
    except ExchangeError as error:
        return error
    return None


def _revoked() -> ExchangeError:
    return ClientFault.of(
        "authentication",
        "The client key of this request was revoked or has expired (setting: api-keys).",
        code="invalid_api_key",
    )


def _abort(refused: Iterable[tuple[ActiveExchange, ExchangeError]]) -> int:
    # Ending one may end others, and changes what is iterated over.
    chosen = list(refused)
    for request, error in chosen:
        request.abort(error)
    return len(chosen)


def _tenant(request: ActiveExchange) -> Tenant | None:
    client: Client | None = request.client_key
    return None if client is None else client.tenant


def _too_many(running: ActiveExchanges) -> Iterable[tuple[ActiveExchange, ExchangeError]]:
    """What is under way beyond what clients may have at once, those that began last."""
    count: Counter[str] = Counter()
    for request in running.all():
        tenant = _tenant(request)
        if tenant is None or tenant.key.concurrent is None or not request.asks_model:
            continue
        count[tenant.id] += 1
        if count[tenant.id] > tenant.key.concurrent:
            yield request, too_many(tenant, tenant.key.concurrent)


def _with_other_limits(running: ActiveExchanges) -> Iterable[Tenant]:
    """The clients whose limits are others than when a request of theirs began."""
    found: dict[str, Tenant] = {}
    for request in running.all():
        tenant, taken = _tenant(request), request.taken
        if tenant is None or taken is None:
            continue
        if tuple(standing.limit for standing in taken.standings) != tenant.key.limits:
            found[tenant.id] = tenant
    return found.values()


def _reserved(tenant: Tenant, running: ActiveExchanges) -> dict[ActiveExchange, Taken]:
    """What a client's requests under way have reserved, in the order in which they began."""
    return {
        request: request.taken
        for request in running.all()
        if request.taken is not None and request.taken.tenant == tenant.id
    }


async def _end_beyond(
    tenant: Tenant, running: ActiveExchanges, limiter: Limiter, wall: Callable[[], float]
) -> int:
    for _ in range(_LOOKS):
        before = _reserved(tenant, running)
        used = await limiter.used(tenant)
        reserved = _reserved(tenant, running)
        if before.keys() <= reserved.keys():
            break
        # What one that ended gave back is not in these numbers yet.
    reached = kept(tenant.key.limits, used, reserved.values(), wall())
    pairs = zip(reserved, reached, strict=True)
    return _abort((one, limit_reached(tenant, why, wall())) for one, why in pairs if why is not None)
