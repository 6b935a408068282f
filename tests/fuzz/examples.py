"""How long fuzzers search: ``AMPPROXY_FUZZ=N`` in the environment gives each N times as many examples."""

from __future__ import annotations

import os

#: How many times as many examples.
FACTOR = int(os.environ.get("AMPPROXY_FUZZ", "1"))


def examples(usual: int) -> int:
    """How many examples, of a fuzzer that usually has so many."""
    return usual * FACTOR
