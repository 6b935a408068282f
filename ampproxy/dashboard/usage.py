"""Usage by day and by one dimension, out of the ledger's daily sums. Called in threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from operator import add
from pathlib import Path

from ampproxy.config.schema import Config
from ampproxy.dashboard.desk import Books
from ampproxy.dashboard.shapes import Day, Group, Money, Usage
from ampproxy.ledger import report
from ampproxy.ledger.entry import Series, Sums
from ampproxy.ledger.file import DAY
from ampproxy.ledger.place import place_of
from ampproxy.ledger.prices import PriceBook
from ampproxy.ledger.query import BY_DAY, Line, Span, read
from ampproxy.ledger.text import remarks

#: What usage can be shown by.
DIMENSIONS = ("model", "client", "role", "account", "route", "asked")
#: Groups that a plot tells apart; the rest are one.
PLOTTED = 8
#: Groups that are listed one by one.
_LISTED = 100
OTHERS = "(others)"


def usage(folder: Path | None, config: Config, books: Books, by: str, days: int, today: int) -> Usage:
    """What was used on the last days.

    :param folder: of the state; ``None``: nothing is kept.
    :param by: one of :data:`DIMENSIONS`.
    :param days: how many, today included.
    :param today: the last, in days since the epoch.
    :raises LedgerError: the ledger or the prices cannot be read.
    """
    first = max(0, today - days + 1)
    since, until = report.day_name(first), report.day_name(today)
    prices = books.of(config)
    place = None if folder is None else place_of(config, folder)
    if place is None or not place.exists():
        return _nothing(by, since, until, config)
    with closing(place.open()) as ledger:
        same, changes = report.sameness(by, prices), report.changing(prices)
        reading = read(ledger, Span(first * DAY), BY_DAY, same, changes)
    terms: report.KnownTerms = {}
    found = report.report(_of_all_days(reading.lines), by, prices, terms)
    listed = report.shortened(found.groups, _LISTED)
    names = {group.name for group in found.groups[:PLOTTED]}
    return Usage(
        ledger=True,
        by=by,
        since=since,
        until=until,
        groups=tuple(map(_group, listed)),
        days=tuple(_days(reading.lines, by, prices, names, terms)),
        total=_group(found.total),
        amp_saved=_money(found.saved),
        amp_spent=_money(found.spent),
        notes=tuple(remarks(found, prices.amp_factor)),
    )


def _nothing(by: str, since: str, until: str, config: Config) -> Usage:
    why = "Nothing has been kept yet." if config.ledger.enable else "Nothing is kept (ledger: false)."
    none = Money(0.0, 0)
    return Usage(False, by, since, until, (), (), _group(report.Group("total")), none, none, (why,))


def _of_all_days(lines: list[Line]) -> Iterator[Line]:
    """The sums of all days, as far as they are priced alike: to price each day's is dear."""
    sums: dict[tuple[Series, int], list[int]] = {}
    for line in lines:
        key = line.series, line.day
        known = sums.get(key)
        sums[key] = list(line.sums) if known is None else list(map(add, known, line.sums))
    for (series, day), numbers in sums.items():
        yield Line(0, series, Sums._make(numbers), day)


def _days(
    lines: list[Line], by: str, prices: PriceBook, names: set[str], terms: report.KnownTerms
) -> Iterator[Day]:
    """Each day's groups, those that are not plotted as one."""
    by_day: dict[int, list[Line]] = {}
    for line in lines:
        by_day.setdefault(int(line.key), []).append(line)
    for day, of_day in sorted(by_day.items()):
        others = report.Group(OTHERS)
        for group in report.report(of_day, by, prices, terms).groups:
            if group.name in names:
                yield _day(day, group)
            else:
                others.merge(group)
        if others.requests:
            yield _day(day, others)


def _day(day: int, group: report.Group) -> Day:
    tokens = sum(group.tokens[:4])
    cost, spent = round(group.cost.amount, 6), round(group.spent, 6)
    return Day(report.day_name(day), group.name, group.requests, group.errors, tokens, cost, spent)


def _group(group: report.Group) -> Group:
    tokens = group.tokens
    return Group(
        group.name,
        group.requests,
        group.errors,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write,
        tokens.output,
        _money(group.cost),
    )


def _money(money: report.Money) -> Money:
    return Money(round(money.amount, 6), money.missing)


def day_of_wall(wall: float) -> int:
    """The day of a time, in days since the epoch.

    :param wall: seconds since the epoch.
    """
    return int(wall // 86400)
