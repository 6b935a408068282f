"""Usage, both ways (``ResponseUsage``): input includes what was cached, output includes reasoning."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.dialects.openai import total_input, usage_of
from ampproxy.model.events import Usage


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = 0
    cache_write_tokens: int | None = 0


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = 0


class WireUsage(msgspec.Struct):
    """``usage`` as it stands in an answer; servers leave out what they do not count."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


def usage_from(wire: WireUsage, tier: object = None) -> Usage:
    """The counts as disjoint classes.

    :param tier: the answer's ``service_tier``.
    """
    given = wire.input_tokens_details or _InputDetails()
    spent = wire.output_tokens_details or _OutputDetails()
    return usage_of(
        prompt=wire.input_tokens or 0,
        cached=given.cached_tokens or 0,
        written=given.cache_write_tokens or 0,
        output=wire.output_tokens or 0,
        reasoning=spent.reasoning_tokens or 0,
        total=wire.total_tokens,
        tier=tier,
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    """The ``usage`` member; the types want all details."""
    given = total_input(usage)
    return {
        "input_tokens": given,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": given + usage.output,
    }
