"""The error for a client that has used up a limit: which, how much is left, when it renews."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timezone

from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.model.clients import MICRO, KeyLimit, Standing
from ampproxy.tenants.counting import LimitReached
from ampproxy.tenants.tenant import Tenant
from ampproxy.wire.words import span

#: How a client stands with all of its limits, dollars among them, for which vendors have no header.
HEADER = b"X-Ampproxy-Limits"


def limit_reached(tenant: Tenant, reached: LimitReached, wall: float) -> ExchangeError:
    """The refusal of a request that a limit has not enough left for.

    Status 429; 402 where money is used up, or where waiting would not help: a request that may use more than
    the whole limit never passes.

    :param wall: seconds since the epoch.
    """
    standing, limit = reached.standing, reached.standing.limit
    hopeless = reached.wanted > limit.most
    money = limit.unit == "usd"
    wait = None if hopeless else float(max(1, math.ceil(standing.renews - wall)))
    message = f"The client key {tenant.label} has {_left(standing)} left of its limit {limit.setting}"
    if hopeless:
        message += (
            f", and this request may use up to {reached.wanted:,}, more than the whole limit: send a"
            " smaller one, or limit its answer further (max_tokens and the like)."
        )
    else:
        message += f"; this request may use up to {reached.wanted:,}." if reached.wanted > 1 else "."
        message += f" It renews at {time_of(standing.renews)} (in {span(standing.renews - wall)})."
    return ClientFault.of(
        "billing" if money or hopeless else "rate_limit",
        f"{message} The gateway's owner can raise it (setting: {tenant.key.section}.limits.{limit.setting}).",
        code="client_budget_reached" if money else "client_limit_reached",
        retry_after=wait,
    )


def too_many(tenant: Tenant, running: int) -> ExchangeError:
    """The refusal of a request beside as many as its client may have under way."""
    return ClientFault.of(
        "rate_limit",
        f"The client key {tenant.label} has {running} running requests, which is its limit."
        " Try again when one has ended. The gateway's owner can raise this (setting:"
        f" {tenant.key.section}.limits.concurrent).",
        code="client_limit_reached",
        retry_after=1.0,
    )


def standings_header(standings: Iterable[Standing]) -> bytes:
    """``tokens-per-day;limit=5000;left=120;renews=2026-11-30T00:00:00Z, ...``."""
    return ", ".join(
        f"{standing.limit.setting};limit={amount(standing.limit, standing.limit.most)}"
        f";left={amount(standing.limit, max(0, standing.left))}"
        f";renews={datetime.fromtimestamp(standing.renews, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        for standing in standings
    ).encode("ascii")


def amount(limit: KeyLimit, value: int) -> str:
    """An amount of a limit's unit, for programs: dollars as a decimal number."""
    return f"{value / MICRO:.4f}" if limit.unit == "usd" else str(value)


def shown_amount(limit: KeyLimit, value: int) -> str:
    """The same for people: ``1,200 tokens``, ``$2.50``."""
    return f"${value / MICRO:,.2f}" if limit.unit == "usd" else f"{value:,} {limit.unit}"


def _left(standing: Standing) -> str:
    limit = standing.limit
    left = shown_amount(limit, max(0, standing.left))
    return f"{left} of {shown_amount(limit, limit.most)}"


def time_of(wall: float) -> str:
    """A time, in UTC."""
    return f"{datetime.fromtimestamp(wall, timezone.utc):%Y-%m-%d %H:%M} UTC"
