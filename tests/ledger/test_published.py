"""Published prices are read when something is priced, and never by the service."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ampproxy.ledger.price import Case
from ampproxy.ledger.published import Published

#: Everything that a service imports, and the command line until it prices something.
SERVICE = """
import sys
import ampproxy.tap, ampproxy.assembly, ampproxy.service, ampproxy.ledger.recorder, ampproxy.cli.usage
from ampproxy.ledger.published import Published
prices = Published()
print(sorted({"pydantic", "genai_prices"} & set(sys.modules)))
from ampproxy.ledger.price import USUAL
prices.find("gpt-5.4", USUAL)
print(sorted({"pydantic", "genai_prices"} & set(sys.modules)))
"""


def test_nothing_is_imported_before_something_is_priced():
    """The package takes some 0.2 s to import: no service waits for it, nor carries it."""
    found = subprocess.run([sys.executable, "-c", SERVICE], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["[]", "['genai_prices', 'pydantic']"]


@pytest.mark.parametrize(
    ("over", "dollars"), [(0, 2), (200_000, 2), (256_000, 2), (272_000, 4), (524_288, 4)]
)
def test_steps_of_the_prompt(over, dollars):
    """A step holds for what exceeds it, and for all of a longer prompt."""
    assert Published().find("gpt-6.1-sol", Case("", over, 20_786)).input == dollars


def test_all_steps_that_are_published_are_told_apart():
    """The ledger knows of each prompt whether it was longer than any step of any vendor."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import TieredPrices

    from ampproxy.ledger.entry import STEPS

    found = set()
    for provider in get_snapshot().providers:
        for model in provider.models:
            rows = model.prices if isinstance(model.prices, list) else [model]
            for row in (*rows, *(model.price_variants or ())):
                for rate in vars(row.prices).values():
                    if isinstance(rate, TieredPrices):
                        found |= {tier.start for tier in rate.tiers}
    assert found <= set(STEPS)


def test_what_is_not_known():
    """Not even roughly: an unknown name has no price, and no day on which it changes."""
    published = Published()
    for name in ("qwen3-coder:30b", "gpt-5.9-of-the-future", "", "(high)", "-2026-01-01"):
        assert published.find(name, Case(day=20_786)) is None
        assert list(published.changes(name)) == []
