"""Periods and reservations: pure numbers."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ampproxy.model.clients import KeyLimit
from ampproxy.tenants.counting import Amounts, Demand, LimitReached, reserve
from ampproxy.tenants.periods import began, ends


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("period", "time", "start", "end"),
    [
        ("minute", "2026-11-29T10:20:59", "2026-11-29T10:20:00", "2026-11-29T10:21:00"),
        ("day", "2026-11-29T00:00:00", "2026-11-29T00:00:00", "2026-11-30T00:00:00"),
        ("week", "2026-11-29T23:59:59", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("week", "2026-11-30T00:00:00", "2026-11-30T00:00:00", "2026-12-07T00:00:00"),
        ("week", "1970-01-01T00:00:00", "1969-12-29T00:00:00", "1970-01-05T00:00:00"),
        ("month", "2026-12-31T23:00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("month", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_periods(period, time, start, end):
    """They begin at times that a person can read, whoever came when."""
    assert began(period, at(time) + 0.5) == at(start)
    assert ends(period, began(period, at(time))) == at(end)


NOW = at("2026-11-29T10:20:30")
REQUESTS = KeyLimit("requests", "day", 3)
TOKENS = KeyLimit("tokens", "day", 100)
DOLLARS = KeyLimit("usd", "month", 1_000_000)


def test_tokens_are_never_exceeded():
    """A request that might is refused, one that fits is not, to the last token."""
    used = {"day": Amounts(1, 60, 0)}
    taken = reserve("a", (REQUESTS, TOKENS), used, Demand(40), NOW)
    assert taken.amounts == Amounts(1, 40, 0)
    assert [standing.left for standing in taken.standings] == [1, 0]
    with pytest.raises(LimitReached) as reached:
        reserve("a", (REQUESTS, TOKENS), used, Demand(41), NOW)
    assert reached.value.standing.limit == TOKENS
    assert (reached.value.standing.left, reached.value.wanted) == (40, 41)


def test_money_stops_one_request_late():
    """As long as a millionth of a dollar is left the next is let in, whatever it may cost; then none."""
    taken = reserve("a", (DOLLARS,), {"month": Amounts(9, 0, 999_999)}, Demand(5, 700_000), NOW)
    assert taken.amounts == Amounts(1, 5, 700_000)
    with pytest.raises(LimitReached):
        reserve("a", (DOLLARS,), {"month": Amounts(9, 0, 1_000_000)}, Demand(0, 0), NOW)


def test_what_nobody_can_tell_takes_all():
    """Beside a request whose price nobody can bound no other is let in."""
    taken = reserve("a", (DOLLARS,), {"month": Amounts(1, 0, 400_000)}, Demand(usd=None), NOW)
    assert taken.amounts.usd == 600_000
    with pytest.raises(LimitReached):
        reserve("a", (DOLLARS,), {"month": Amounts(2, 0, 1_000_000)}, Demand(usd=None), NOW)


def test_the_limit_that_renews_last_is_told():
    """A client that waits for the first of two would be refused again."""
    minute = KeyLimit("requests", "minute", 1)
    used = {"minute": Amounts(1), "day": Amounts(3)}
    with pytest.raises(LimitReached) as reached:
        reserve("a", (minute, REQUESTS), used, Demand(), NOW)
    assert reached.value.standing.limit == REQUESTS
    assert reached.value.standing.renews == at("2026-11-30T00:00:00")
