"""What is left of a client's limits, in the headers of OpenAI's API.

See https://developers.openai.com/api/docs/guides/rate-limits (rate limits in headers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ampproxy.model.clients import Standing, tightest


def limit_headers(standings: Sequence[Standing], wall: float) -> list[tuple[bytes, bytes]]:
    """``x-ratelimit-limit-requests`` and its like.

    :param wall: seconds since the epoch; resets are spans: ``6m12s``.
    """
    found: list[tuple[bytes, bytes]] = []
    for unit in ("requests", "tokens"):
        standing = tightest(standings, unit)
        if standing is not None:
            name = unit.encode()
            found += [
                (b"X-Ratelimit-Limit-" + name, b"%d" % standing.limit.most),
                (b"X-Ratelimit-Remaining-" + name, b"%d" % max(0, standing.left)),
                (b"X-Ratelimit-Reset-" + name, _span(standing.renews - wall).encode()),
            ]
    return found


def _span(seconds: float) -> str:
    """``1h2m3s``, as Go and OpenAI write spans."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}h" if hours else ""
    return f"{shown}{minutes}m{rest}s" if hours or minutes else f"{rest}s"
