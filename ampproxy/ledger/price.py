"""A price, and what it depends on."""

from __future__ import annotations

import math
from typing import NamedTuple

from ampproxy.ledger.entry import Tokens

_MILLION = 1_000_000


class Case(NamedTuple):
    """What the price of a model depends on.

    :ivar tier: how it was served: ``fast``, ``flex``, ``priority``, ``batch``; empty: as usual.
    :ivar prompt_over: the prompt had more tokens than these (:data:`ampproxy.ledger.entry.STEPS`).
    :ivar day: when, in days since the epoch.
    """

    tier: str = ""
    prompt_over: int = 0
    day: int = 0


#: As usual, a short prompt, at a time after which nothing is known to change.
USUAL = Case(day=36_500)


class Price(NamedTuple):
    """US dollars for a million tokens of each class. Reasoning is output.

    :ivar cache_write: of input that is kept for minutes; ``cache_write_1h``: for an hour; ``None``: as much.
    """

    input: float
    cache_read: float
    cache_write: float
    output: float
    cache_write_1h: float | None = None

    def of(self, tokens: Tokens) -> float:
        """What these tokens cost, in US dollars."""
        longer = self.cache_write if self.cache_write_1h is None else self.cache_write_1h
        parts = (
            self.input * tokens.input,
            self.cache_read * tokens.cache_read,
            self.cache_write * (tokens.cache_write - tokens.cache_write_1h),
            longer * tokens.cache_write_1h,
            self.output * tokens.output,
        )
        return math.fsum(parts) / _MILLION
