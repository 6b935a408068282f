"""What is left of a client's limits, in the headers of the vendors' APIs.

See https://platform.claude.com/docs/en/api/rate-limits (response headers) and
https://developers.openai.com/api/docs/guides/rate-limits (rate limits in headers).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from ampproxy.model.clients import Standing, tightest


def anthropic_limits(standings: Sequence[Standing], wall: float) -> list[tuple[bytes, bytes]]:
    """``anthropic-ratelimit-requests-limit`` and its like; resets are times (RFC 3339).

    :param wall: seconds since the epoch.
    """
    return _headers(standings, "Anthropic-Ratelimit-{Unit}-{what}", _time)


def openai_limits(standings: Sequence[Standing], wall: float) -> list[tuple[bytes, bytes]]:
    """``x-ratelimit-limit-requests`` and its like; resets are spans: ``6m12s``.

    :param wall: seconds since the epoch.
    """
    return _headers(standings, "X-Ratelimit-{what}-{unit}", lambda renews: _span(renews - wall))


def _headers(
    standings: Sequence[Standing], name: str, reset: Callable[[float], str]
) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for unit in ("requests", "tokens"):
        standing = tightest(standings, unit)
        if standing is not None:
            left = max(0, standing.left)
            values = {"Limit": standing.limit.most, "Remaining": left, "Reset": reset(standing.renews)}
            for what, value in values.items():
                header = name.format(what=what, unit=unit, Unit=unit.title())
                found.append((header.encode(), f"{value}".encode()))
    return found


def _time(renews: float) -> str:
    return datetime.fromtimestamp(renews, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    """``1h2m3s``, as Go and OpenAI write spans."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}h" if hours else ""
    return f"{shown}{minutes}m{rest}s" if hours or minutes else f"{rest}s"
