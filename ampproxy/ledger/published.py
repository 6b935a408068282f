"""What vendors ask for their models, as the package genai-prices knows it: kept well, and released often.

It brings pydantic along, which takes a quarter of a second to import: only what prices something imports it,
never the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ampproxy.catalog.names import spellings
from ampproxy.ledger.price import Case, Price

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: What stands behind a name for one of its versions.
_DATED = re.compile(r"-(?:20\d{6}|20\d\d-\d\d-\d\d)\Z")
#: A tier of ours -> what the package calls it.
_CONTEXTS = {
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}


class Published:
    """Published prices of text, by the name of a model and the address of the account that served it."""

    @cached_property
    def _snapshot(self) -> DataSnapshot:
        from genai_prices.data_snapshot import get_snapshot

        return get_snapshot()

    @cached_property
    def version(self) -> str:
        """Which release it is."""
        from importlib.metadata import version

        return version("genai-prices")

    def find(self, model: str, case: Case, url: str = "") -> Price | None:
        """A price; ``None`` if none is known.

        :param url: the base URL of who served it; empty, or one that the package does not know: its maker.
        """
        found = self._model(model, url)
        if found is None:
            return None
        # Some prices change at a time of day; the rest is the same all day.
        noon = _EPOCH + timedelta(days=case.day, hours=12)
        return _price(found.get_prices(noon, _CONTEXTS.get(case.tier)), case.prompt_over)

    def changes(self, model: str, url: str = "") -> Iterator[int]:
        """The days, since the epoch, from which a model's price is another."""
        found = self._model(model, url)
        if found is None:
            return
        dated: list[Any] = list(found.prices) if isinstance(found.prices, list) else []
        for row in (*dated, *(found.price_variants or ())):
            start = getattr(row.constraint, "start_date", None)
            if start is not None:
                yield (datetime.combine(start, time(), timezone.utc) - _EPOCH).days

    def _model(self, model: str, url: str) -> ModelInfo | None:
        plain = dict.fromkeys(
            name for spelling in spellings(model) for name in (spelling, _DATED.sub("", spelling))
        )
        for address in dict.fromkeys((url or None, None)):
            for name in filter(None, plain):
                try:
                    return self._snapshot.find_provider_model(name, None, None, address)[1]
                except LookupError:
                    continue
        return None


def _price(prices: ModelPrice, prompt_over: int) -> Price | None:
    def rate(key: str) -> float | None:
        found: Any = getattr(prices, key, None)
        tiers = [tier.price for tier in getattr(found, "tiers", ()) if tier.start <= prompt_over]
        found = tiers[-1] if tiers and prompt_over else getattr(found, "base", found)
        return None if found is None else float(found)

    given, made = rate("input_mtok"), rate("output_mtok")
    if given is None and made is None:
        return None
    given, made = given or 0.0, made or 0.0
    read, written, kept = (rate(f"cache_{what}_mtok") for what in ("read", "write", "write_1h"))
    return Price(
        given,
        given if read is None else read,
        given if written is None else written,
        made,
        kept,
    )
