"""Prices: which one a model gets, and what is said of a file that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Tokens
from ampproxy.ledger.price import Case, Price
from ampproxy.ledger.prices import SHIPPED, PriceBook, Prices, parse_prices, read_prices
from ampproxy.ledger.published import Published

OPUS = Price(5, 0.5, 6.25, 25, 10)


@pytest.fixture(scope="module")
def shipped() -> Prices:
    return read_prices(SHIPPED)


@pytest.fixture(scope="module")
def book(shipped) -> PriceBook:
    """The prices in force for a user who has none of his own."""
    return PriceBook(None, shipped, published=Published())


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-opus-4-6", (5, 0.5, 6.25, 25)),
        ("claude-opus-4-5-20251101", (5, 0.5, 6.25, 25)),
        ("CLAUDE-OPUS-4-7(high)", (5, 0.5, 6.25, 25)),
        ("claude-opus-4-20250514", (15, 1.5, 18.75, 75)),
        ("claude-opus-4-1-20250805", (15, 1.5, 18.75, 75)),
        ("claude-sonnet-4-5-20250929", (3, 0.3, 3.75, 15)),
        ("claude-haiku-4-5-20251001", (1, 0.1, 1.25, 5)),
        ("gpt-5", (1.25, 0.125, 1.25, 10)),
        ("gpt-5-2025-08-07", (1.25, 0.125, 1.25, 10)),
        ("gpt-5-mini", (0.25, 0.025, 0.25, 2)),
        ("gpt-5.4", (2.5, 0.25, 2.5, 15)),
        ("openai/gpt-5.4-mini", (0.75, 0.075, 0.75, 4.5)),
        ("anthropic/claude-opus-4.6", (5, 0.5, 6.25, 25)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", (1, 0.1, 1.25, 5)),
        ("gemini-2.5-flash", (0.3, 0.03, 0.3, 2.5)),
        ("gemini-2.5-flash-lite-preview-09-2025", (0.1, 0.01, 0.1, 0.4)),
        ("accounts/fireworks/models/kimi-k2p5", (0.6, 0.1, 0.6, 3)),
        ("gpt-5.9-of-the-future", None),
        ("qwen3-coder:30b", None),
        ("", None),
    ],
)
def test_known_prices(book, model, dollars):
    """What Amp asks for has a price; what nobody knows has none, and none is guessed."""
    found = book.find(model)
    assert found == dollars if dollars is None else found[:4] == dollars


def test_shipped_prices_say_when_and_where_from(shipped):
    """A price without a date is a rumour."""
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", shipped.as_of)
    assert len(shipped.sources) >= 3
    assert shipped.amp_factor == 1
    for row in shipped.models:
        price = row.price
        assert 0 < price.cache_read < price.input <= price.cache_write, row
        assert price.output >= price.input, row


def test_shipped_prices_are_for_what_is_not_published(shipped):
    """A row that says what the package says anyway would only grow old, unless an older release lacks it."""
    published, day = Published(), 20_786
    for row in shipped.models:
        known = published.find(row.pattern.rstrip("*"), Case(row.tier, row.prompt_over, max(day, row.since)))
        assert known is None or known[:4] == row.price[:4], row


def test_what_tokens_cost():
    """By class, for a million each; reasoning is in the output already."""
    million = 1_000_000
    assert OPUS.of(Tokens(million, million, million, million, million)) == 36.75
    assert OPUS.of(Tokens(million, million, million, million, million, million)) == 40.5
    assert Price(1, 1, 1.25, 1).of(Tokens(cache_write=million, cache_write_1h=million)) == 1.25
    assert OPUS.of(Tokens(output=40)) == pytest.approx(0.001)
    assert OPUS.of(Tokens()) == 0


OWN = """
models:
  - {names: [my-*, claude-opus-4-6], input: 1, output: 2}
  - {names: [my-own], input: 7, output: 7, cache-read: 0, cache-write: 8}
flat: ["openai-compatibility/box*"]
amp-factor: 1.5
"""


def test_own_prices_go_before_the_shipped_ones(shipped):
    """Also where the shipped pattern fits better; what they do not say is as shipped."""
    own = parse_prices(OWN, "own.yaml")
    book = PriceBook(own, shipped, ["claude:anna@example.com"], published=Published())
    assert book.find("claude-opus-4-6") == Price(1, 1, 1, 2)
    assert book.find("my-own") == Price(7, 0, 8, 7)
    assert book.find("my-other") == Price(1, 1, 1, 2)
    assert book.find("claude-opus-4-7") == OPUS
    assert book.amp_factor == 1.5
    labels = ("openai-compatibility/box[0]", "claude:anna@example.com", "claude-api-key[0]")
    assert [book.is_flat(label) for label in labels] == [True, True, False]
    assert PriceBook(None, shipped).amp_factor == 1


def test_where_a_price_holds():
    """The entry that says most of the case counts, in whatever order they stand."""
    prices = parse_prices(
        """
models:
  - {names: [m], tier: fast, prompt-over: 200000, input: 8, output: 8}
  - {names: [m], input: 1, output: 1}
  - {names: [m], prompt-over: 200000, input: 2, output: 2}
  - {names: [m], tier: fast, input: 4, output: 4}
  - {names: [m], from: 2026-12-01, input: 3, output: 3}
""",
        "own.yaml",
    )
    before, after = 20_787, 20_788
    cases = {
        Case("", 0, before): 1,
        Case("", 0, after): 3,
        Case("", 199_999, before): 1,
        Case("", 272_000, before): 2,
        Case("fast", 0, before): 4,
        Case("fast", 200_000, after): 8,
        Case("flex", 0, before): 1,
    }
    assert {case: prices.find("m", case).input for case in cases} == cases
    assert set(prices.changes("m")) == {after}
    assert set(prices.changes("other")) == set()


def test_who_served_counts():
    """A host has prices of its own for a maker's models; one that nobody knows has the maker's."""
    book = PriceBook(None, Prices(), published=Published())
    case = Case(day=20_786)
    assert book.find("glm-4.7", case, "https://api.z.ai/api/paas/v4").input == 0.6
    assert book.find("gpt-5.4", case, "https://nobody.example/v1") == book.find("gpt-5.4", case)


def test_json_will_do():
    """JSON is YAML."""
    prices = parse_prices('{"models": [{"names": ["m"], "input": 1.5, "output": 2}]}', "own.json")
    assert prices.find("m") == Price(1.5, 1.5, 1.5, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "own.yaml:1: file: contains no prices"),
        ("[]", "expected keys and values"),
        ("models: {a: 1}", "own.yaml:1: models: expected a list of models with their prices"),
        ("models:\n  - {names: [a], input: 1}", "own.yaml:2: models[0].output: is missing, expected number"),
        ("models:\n  - {names: [a], input: -1, output: 1}", "models[0].input: expected a number, 0 or more"),
        (
            "models:\n  - {names: [a], input: 1, output: much}",
            "models[0].output: expected a number, 0 or more",
        ),
        ("models:\n  - {names: [a], input: 1, output: 2, cahce-read: 1}", "did you mean cache-read?"),
        (
            "models:\n  - {names: [a], input: 1, output: 2, prompt-over: 150000}",
            "models[0].prompt-over: the ledger distinguishes prompts only at these lengths: 32000, 100000",
        ),
        ("models:\n  - {names: [a], input: 1, output: 2, from: soon}", "models[0].from: expected a day"),
        ("models:\n  - {names: [a], input: 1, output: 2, tier: slow}", "models[0].tier: expected"),
        ("model: []", "model: is not a known setting and has no effect: did you mean models?"),
        ("models: [", "not valid YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(text, told):
    """A slip would price nothing, so that it is an error, too."""
    with pytest.raises(LedgerError) as caught:
        parse_prices(text, "own.yaml")
    assert told in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    """Which, and why."""
    with pytest.raises(LedgerError, match=r"gone\.yaml: the prices cannot be read: No such file"):
        read_prices(tmp_path / "gone.yaml")
    (tmp_path / "latin.yaml").write_bytes("models: [] # é".encode("latin-1"))
    with pytest.raises(LedgerError, match="not UTF-8"):
        read_prices(tmp_path / "latin.yaml")


def test_the_shipped_file_is_installed():
    """A package without it would price nothing."""
    setup = (Path(__file__).parents[2] / "setup.py").read_text()
    assert f'"ledger/{SHIPPED.name}"' in setup
