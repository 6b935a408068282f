"""What answers cost, as limits in dollars count it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.ledger.book import BookCosts, price_book
from ampproxy.model.events import Usage

CONFIG = """
claude-api-key:
  - api-key: first
    base-url: http://claude.test
    models: [dear-1]
openai-compatibility:
  - name: here
    base-url: http://127.0.0.1:9/v1
    models: [{name: dear-1, alias: home}]
ledger: {prices: prices.yaml}
"""
PRICES = """
amp-factor: 2
models:
  - {names: [dear-1], input: 2, cache-read: 1, cache-write: 4, output: 10}
"""


@pytest.fixture
def world(tmp_path: Path):
    (tmp_path / "prices.yaml").write_text(PRICES)
    config = parse(
        CONFIG, name="c.yaml", environ={}, home=tmp_path, read_secret=lambda path: "", folder=tmp_path
    )
    return BookCosts(price_book(config), lambda: 1_796_000_000.0), config.accounts


def test_an_answer(world) -> None:
    """Each class of tokens has its price, in millionths of a dollar."""
    costs, (account, _) = world
    assert costs.of(account, "dear-1", Usage(1000, 200, 30, 40, 5)) == 2000 + 200 + 120 + 400


def test_the_most(world) -> None:
    """A question may be of the dearest class."""
    costs, (account, _) = world
    assert costs.most(account, "dear-1", 1000, 100) == 4000 + 1000


def test_where(world) -> None:
    """A server on this machine costs nothing, Amp what it bills; what is unknown is not free."""
    costs, (account, home) = world
    assert costs.of(home, "dear-1", Usage(1000, 0, 0, 0)) == 0
    assert costs.most(home, "anything", 1000, 10) == 0
    assert costs.of(None, "dear-1", Usage(1000, 0, 0, 0)) == 4000
    assert costs.most(account, "never-heard-of-it-9", 1, 1) is None
    assert costs.of(account, "never-heard-of-it-9", Usage(1, 0, 0, 0)) is None
