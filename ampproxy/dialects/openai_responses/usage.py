"""Usage, both ways (``ResponseUsage``): input includes what was cached, output includes reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ampproxy.dialects.openai import total_input, usage_of
from ampproxy.model.events import Usage


def usage_from(body: Mapping[str, Any], tier: object = None) -> Usage:
    """The counts as disjoint classes.

    :param tier: the answer's ``service_tier``.
    """
    return usage_of(body, "input_tokens", "output_tokens", tier)


def usage_object(usage: Usage) -> dict[str, Any]:
    """The ``usage`` member; the types want all details."""
    given = total_input(usage)
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": given + usage.output,
    }
