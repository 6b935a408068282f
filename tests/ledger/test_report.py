"""Groups, costs and credits, and how they are shown: vectors."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from ampproxy.ledger.entry import Sums, Tokens
from ampproxy.ledger.file import DAY
from ampproxy.ledger.price import Price
from ampproxy.ledger.prices import SHIPPED, PriceBook, Prices, Row, read_prices
from ampproxy.ledger.published import Published
from ampproxy.ledger.query import Line
from ampproxy.ledger.report import DIMENSIONS, Group, Money, Report, report, sameness, shortened
from ampproxy.ledger.text import count, dollars, drawn, money, remarks, table, to_csv, to_json
from tests.ledger.samples import NOON, SERIES

MILLION = 1_000_000
#: A dollar a million in, ten out; half of one from the cache.
PLAIN = Price(1, 0.5, 1, 10)
NONE = Tokens()
BOOK = PriceBook(
    None,
    Prices(
        models=(Row("claude-*", PLAIN), Row("gpt-*", Price(2, 2, 2, 2))), amp_factor=1.0, as_of="2026-10-24"
    ),
    ["claude:anna@example.com"],
)


def line(
    requests: int = 1, tokens: Tokens = NONE, *, key: Any = 0, metered: int | None = None, **series: Any
) -> Line:
    sums = Sums(requests, requests if metered is None else metered, *tokens, 100, requests, 1000)
    return Line(key, SERIES._replace(**series), sums)


LINES = [
    line(10, Tokens(MILLION, 2 * MILLION, 0, MILLION // 10, 0)),  # 1 + 1 + 1
    line(2, Tokens(MILLION, 0, 0, 0, 0), asked="gpt-5.4", route="mapped", client="key1", role="deep"),
    line(3, Tokens(MILLION, 0, 0, 0, 0), account="claude:anna@example.com"),
    line(1, NONE, outcome="upstream-error", metered=0),
    line(4, Tokens(MILLION, 0, 0, 0, 0), asked="gpt-5.4", served="", account="", route="amp"),
    line(1, NONE, asked="gpt-5.4", served="", account="", route="amp", outcome="refused", metered=0),
    line(5, Tokens(MILLION, 0, 0, 0, 0), asked="qwen", served="qwen", amp=False, account="box"),
    line(2, NONE, metered=0),
    line(
        1,
        Tokens(),
        asked="nope",
        served="",
        account="",
        route="none",
        outcome="refused",
        amp=False,
        metered=0,
    ),
    line(1, NONE, asked="", served="", account="", route="tunnel", role="", metered=0),
]


def by(what: str, lines=LINES, book=BOOK) -> Report:
    return report(lines, what, book)


def groups(found: Report) -> dict[str, tuple[int, int, str]]:
    return {group.name: (group.requests, group.errors, money(group.cost)) for group in found.groups}


def test_by_model():
    """What served, or else what was asked for; what costs most first; a price that is not known shows."""
    found = by("model")
    assert groups(found) == {
        "claude-opus-4-6": (18, 1, "$4.00+?"),
        "gpt-5.4": (5, 1, "$2.00"),
        "qwen": (5, 0, "?"),
        "nope": (1, 1, "-"),
        "-": (1, 0, "-"),
    }
    assert list(groups(found))[:3] == ["claude-opus-4-6", "gpt-5.4", "qwen"]


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("asked", {"claude-opus-4-6", "gpt-5.4", "qwen", "nope", "-"}),
        ("account", {"claude-api-key[0]", "claude:anna@example.com", "box", "Amp", "-"}),
        ("client", {"key0", "key1"}),
        ("role", {"smart", "deep", "-"}),
        ("route", {"local", "mapped", "amp", "none", "tunnel"}),
    ],
)
def test_by_other_things(what, names):
    """Each exchange is in exactly one group."""
    found = by(what)
    assert set(groups(found)) == names
    assert sum(group.requests for group in found.groups) == found.total.requests == 30


def test_by_day_and_thread():
    """Days in their order, threads by their names."""
    day = NOON // DAY
    lines = [line(key=day), line(3, key=day - 1), line(2, key=day)]
    assert list(groups(by("day", lines))) == ["2026-10-31", "2026-11-01"]
    assert groups(by("thread", [line(key="T-1"), line(key="")])).keys() == {"T-1", "-"}


def test_a_subscription_costs_nothing_by_the_token():
    """Nor does its silence about tokens make its costs unknown."""
    silent = line(1, metered=0, account="claude:anna@example.com")
    found = by("account", [LINES[2], silent])
    assert groups(found) == {"claude:anna@example.com": (4, 0, "-")}
    assert found.total.unmetered == 1


def test_credits():
    """Saved is what own accounts served Amp's clients, at the price of what was asked; spent what Amp did."""
    found = by("model")
    assert (found.saved.amount, found.saved_requests) == (3 + 2 + 1, 17)
    assert found.saved_cost.amount == 3 + 1
    assert (found.spent.amount, found.spent_requests) == (2, 4)
    assert found.saved.missing == 2
    assert dict(found.unpriced) == {"qwen": 5}
    dear = PriceBook(Prices(amp_factor=1.5), BOOK.shipped)
    assert by("model", book=dear).spent.amount == 3


def test_sameness_keeps_apart_what_matters():
    """Clients are one unless they are asked for; accounts are told apart by whether they cost anything."""
    same = sameness("model", BOOK)
    assert same(SERIES) == same(SERIES._replace(client="x", role="y", account="claude-api-key[1]"))
    for change in (
        {"asked": "x"}, {"served": "x"}, {"route": "mapped"}, {"outcome": "x"}, {"amp": False},
        {"account": "claude:anna@example.com"},
    ):  # fmt: skip
        assert same(SERIES) != same(SERIES._replace(**change))
    for what in ("client", "role", "account"):
        assert sameness(what, BOOK)(SERIES) != sameness(what, BOOK)(SERIES._replace(**{what: "x"}))
    assert {what for what in DIMENSIONS if DIMENSIONS[what].field} == {"client", "role", "account"}


def test_shortened():
    """The rest is one group, and nothing of it is lost; a single one is not worth hiding."""
    all_of_them = by("model").groups
    short = shortened(all_of_them, 2)
    assert [group.name for group in short] == ["claude-opus-4-6", "gpt-5.4", "(3 others)"]
    assert short[-1].requests == 7
    assert shortened(all_of_them, 4) is all_of_them
    assert shortened(all_of_them, 99) is all_of_them


def test_table_with_bars():
    """Wide: everything. The largest has the longest bar."""
    lines = list(table(by("model"), 110, most=40))
    assert lines == [
        "model            requests  errors  input  cached  cache write  output     cost  cost",
        "claude-opus-4-6        18       1  3.00M   2.00M            -    100k  $4.00+?  " + "█" * 30,
        "gpt-5.4                 5       1  1.00M       -            -       -    $2.00  " + "█" * 15,
        "qwen                    5       -  1.00M       -            -       -        ?",
        "-                       1       -      -       -            -       -        -",
        "nope                    1       1      -       -            -       -        -",
        "total                  30       3  5.00M   2.00M            -    100k  $6.00+?",
    ]


def test_narrow_table():
    """What matters least goes first; names are cut; no line is wider than the terminal."""
    for width in range(40, 120):
        for text in table(by("account"), width, most=40):
            assert len(text) <= width, (width, text)
    heading = next(table(by("account"), 62, most=40))
    assert heading.split() == ["account", "requests", "errors", "input", "output", "cost"]
    assert next(table(by("account"), 40, most=40)).split() == ["account", "requests", "cost"]


def test_table_without_prices():
    """Bars then show tokens, for there is nothing else to compare."""
    book = PriceBook(None, Prices())
    (heading, first, *_) = table(by("client", book=book), 93, most=40, unicode=False)
    assert heading.endswith("tokens")
    assert first.endswith("?  " + "#" * 25)


@pytest.mark.parametrize("what", DIMENSIONS)
def test_heading_is_whole(what):
    """However short the names below it are."""
    assert next(table(by(what), 120, most=40)).split()[0] == what


def test_reasoning_shows_where_there_is_any():
    """It is a part of the output, so it is not in the sum."""
    lines = list(table(by("model", [line(1, Tokens(1, 0, 0, 50, 30))]), 100, most=40))
    assert "reasoning" in lines[0]
    assert lines[1].split()[:9] == ["claude-opus-4-6", "1", "-", "1", "-", "-", "50", "30", "$0.0005"]


def test_nothing_at_all():
    """An empty report has a total of nothing."""
    assert [text.split()[0] for text in table(by("model", []), 80, most=40)] == ["model", "total"]
    assert list(remarks(by("model", []), 1)) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "-"), (7, "7"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (99_950, "100k"),
        (999_499, "999k"), (999_500, "1.00M"), (1_234_567_890, "1.23G"), (10**15, "1000T"),
    ],
)  # fmt: skip
def test_counts(number, text):
    """Three digits, never wider than five characters."""
    assert count(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0"), (0.00001, "<$0.0001"), (0.0012, "$0.0012"), (0.01, "$0.01"), (1234.567, "$1,234.57")],
)
def test_dollars(amount, text):
    """Cents do not vanish."""
    assert dollars(amount) == text


@pytest.mark.parametrize(
    ("share", "unicode", "bar"),
    [
        (0, True, ""), (1, True, "████"), (0.5, True, "██"), (0.53, True, "██▏"), (0.0001, True, "▏"),
        (0.0001, False, "#"), (1, False, "####"), (0, False, ""),
    ],
)  # fmt: skip
def test_bars(share, unicode, bar):
    """To an eighth of a character; what is not nothing is seen."""
    assert drawn(share, 4, unicode=unicode) == bar


def test_remarks():
    """Estimates say that they are some, and what they assume; what is missing is said."""
    told = " ".join(remarks(by("model"), 1))
    for part in (
        "Your accounts served 17 requests of Amp's clients. Estimate: Amp would have billed about $6.00 (2 of"
        " them not counted) in credits; they cost you about $4.00 (2 of them not counted).",
        "4 requests fell back to Amp. Estimate: about $2.00 in credits.",
        "The estimates assume that Amp bills its vendors' API prices",
        "No price is known for qwen: add them to a file of your own (setting: ledger.prices",
        "2 completed requests reported no token counts",
    ):
        assert part in told
    unpriced = " ".join(remarks(by("model", book=PriceBook(None, Prices())), 1))
    assert "Estimate: an unknown amount (4 of them not counted) in credits." in unpriced
    assert "$0" not in unpriced
    assert "assume that Amp bills 1.5 times its vendors'" in " ".join(remarks(by("model"), 1.5))


def test_json():
    """All figures, under names that stay."""
    told = to_json(by("model"))
    assert told["groups"][0] == {
        "name": "claude-opus-4-6",
        "requests": 18,
        "errors": 1,
        "outcomes": {"completed": 17, "upstream-error": 1},
        "tokens": {
            "input": 3_000_000, "cache_read": 2_000_000, "cache_write": 0, "output": 100_000, "reasoning": 0,
            "cache_write_1h": 0,
        },
        "requests_without_tokens": 2,
        "cost": {"usd": 4.0, "requests_not_counted": 2},
        "mean_first_ms": 28,
        "mean_total_ms": 278,
    }  # fmt: skip
    assert told["total"]["requests"] == 30
    assert told["amp_credits"] == {
        "estimate": True,
        "saved": {"requests": 17, "usd": 6.0, "requests_not_counted": 2},
        "saved_cost_to_you": {"usd": 4.0, "requests_not_counted": 2},
        "spent": {"requests": 4, "usd": 2.0, "requests_not_counted": 0},
    }
    assert told["unpriced_models"] == {"qwen": 5}


def test_csv():
    """The same figures; a name that a client made up is no formula."""
    lines = [*LINES, line(1, asked="=HYPERLINK(1)", served="", route="none", outcome="refused")]
    rows = list(csv.DictReader(io.StringIO(to_csv(by("model", lines)))))
    assert rows[0] == {
        "model": "claude-opus-4-6", "requests": "18", "errors": "1", "input_tokens": "3000000",
        "cache_read_tokens": "2000000", "cache_write_tokens": "0", "output_tokens": "100000",
        "reasoning_tokens": "0", "cache_write_1h_tokens": "0", "requests_without_tokens": "2",
        "cost_usd": "4.0", "cost_requests_not_counted": "2", "mean_first_ms": "28", "mean_total_ms": "278",
    }  # fmt: skip
    assert "'=HYPERLINK(1)" in [row["model"] for row in rows]
    assert to_csv(by("day", [])).startswith("day,requests,")


def test_names_cannot_move_the_cursor():
    """A client's model name is shown in one line, whatever is in it."""
    text = "\n".join(table(by("model", [line(asked="\x1b[2J\nx", served="")]), 100, most=40))
    assert "\x1b" not in text
    assert text.count("\n") == 2


def test_shipped_prices_price_what_amp_asks_for():
    """One million of each class of the model that most of Amp's calls go to."""
    tokens = Tokens(MILLION, MILLION, MILLION, MILLION, 0)
    found = report([line(1, tokens)], "model", PriceBook(None, read_prices(SHIPPED), published=Published()))
    assert found.total.cost == Money(36.75)
    assert Group("x").cost == Money()
