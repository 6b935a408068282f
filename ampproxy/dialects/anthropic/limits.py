"""What is left of a client's limits, in the headers of Anthropic's API.

See https://platform.claude.com/docs/en/api/rate-limits (response headers).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from ampproxy.model.clients import Standing, tightest


def limit_headers(standings: Sequence[Standing], wall: float) -> list[tuple[bytes, bytes]]:
    """``anthropic-ratelimit-requests-limit`` and its like; resets are times (RFC 3339)."""
    found: list[tuple[bytes, bytes]] = []
    for unit in ("requests", "tokens"):
        standing = tightest(standings, unit)
        if standing is not None:
            name = b"Anthropic-Ratelimit-" + unit.title().encode()
            at = datetime.fromtimestamp(standing.renews, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            found += [
                (name + b"-Limit", b"%d" % standing.limit.most),
                (name + b"-Remaining", b"%d" % max(0, standing.left)),
                (name + b"-Reset", at.encode()),
            ]
    return found
