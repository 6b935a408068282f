"""What exchanges used and cost, in groups: pure, over what was read and a table of prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from datetime import date, timedelta

import msgspec

from ampproxy.ledger.entry import Entry, Series, Sums, Tokens
from ampproxy.ledger.file import DAY
from ampproxy.ledger.price import Case, Price
from ampproxy.ledger.prices import PriceBook
from ampproxy.ledger.query import BY_DAY, BY_THREAD, NOTHING, Line
from ampproxy.model.base import Value

#: Outcomes that are nobody's error.
_WELL = ("completed", "client-left")
_LOCAL = ("local", "mapped")
_EPOCH = date(1970, 1, 1)


class Money(msgspec.Struct):
    """An amount in US dollars that may not be whole.

    :ivar amount: what is known of it.
    :ivar missing: exchanges that are not in it: their price or their tokens are not known.
    """

    amount: float = 0.0
    missing: int = 0

    def add(self, other: Money) -> None:
        """Add another amount."""
        self.amount += other.amount
        self.missing += other.missing


class Group(msgspec.Struct):
    """Exchanges that are shown in one line.

    :ivar name: what they have in common.
    :ivar outcomes: how many ended how.
    :ivar unmetered: how many were completed without reporting tokens.
    :ivar cost: what they cost, wherever they were served: own accounts at their prices, Amp in credits.
    :ivar spent: what of it Amp billed.
    """

    name: str
    requests: int = 0
    tokens: Tokens = msgspec.field(default_factory=Tokens)
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    unmetered: int = 0
    cost: Money = msgspec.field(default_factory=Money)
    spent: float = 0.0
    first_ms: int = 0
    firsts: int = 0
    total_ms: int = 0

    @property
    def errors(self) -> int:
        """How many ended otherwise than well; a client that left is no error."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in _WELL)

    def add(self, outcome: str, sums: Sums, tokens: Tokens, unmetered: int, cost: Money) -> None:
        """Count some more exchanges in.

        :param tokens: those of the sums, which take a while to put together.
        """
        self.outcomes[outcome] += sums.requests
        self._count(sums, tokens, unmetered, cost)

    def merge(self, other: Group) -> None:
        """Count another group in."""
        self.outcomes.update(other.outcomes)
        self._count(other, other.tokens, other.unmetered, other.cost)
        self.spent += other.spent

    def _count(self, other: Group | Sums, tokens: Tokens, unmetered: int, cost: Money) -> None:
        self.requests += other.requests
        self.tokens = self.tokens.plus(tokens)
        self.unmetered += unmetered
        self.cost.add(cost)
        self.first_ms += other.first_ms
        self.firsts += other.firsts
        self.total_ms += other.total_ms


class Report(msgspec.Struct):
    """Everything that ``ampproxy usage`` tells.

    :ivar groups: in the order in which they are shown.
    :ivar saved: what Amp would have billed for what own accounts served its clients: an estimate.
    :ivar saved_requests: how many exchanges those are; ``saved_cost``: what they cost instead.
    :ivar spent: what Amp billed for exchanges that fell back to it: an estimate, too.
    :ivar unpriced: models whose price is not known, and how many exchanges they had.
    """

    by: str
    groups: list[Group] = msgspec.field(default_factory=list)
    total: Group = msgspec.field(default_factory=lambda: Group("total"))
    saved: Money = msgspec.field(default_factory=Money)
    saved_requests: int = 0
    saved_cost: Money = msgspec.field(default_factory=Money)
    spent: Money = msgspec.field(default_factory=Money)
    spent_requests: int = 0
    unpriced: Counter[str] = msgspec.field(default_factory=Counter)


class Dimension(Value, frozen=True):
    """What exchanges can be grouped by.

    :param read: what must be read for it.
    :param name: the group of a line.
    :param field: what of a series it looks at, besides what prices look at, too.
    :param in_time: whether the order is that of the names, and not the largest first.
    """

    read: str
    name: Callable[[Line], str]
    field: str = ""
    in_time: bool = False


def _model(line: Line) -> str:
    """What served; where no account did, what was asked for."""
    return line.series.served or line.series.asked


def _account(line: Line) -> str:
    """The account that served; of what Amp served, Amp."""
    return line.series.account or ("" if line.series.route == "none" else "Amp")


#: What ``--by`` takes.
DIMENSIONS: dict[str, Dimension] = {
    "model": Dimension(NOTHING, _model),
    "asked": Dimension(NOTHING, lambda line: line.series.asked),
    "account": Dimension(NOTHING, _account, "account"),
    "client": Dimension(NOTHING, lambda line: line.series.client, "client"),
    "thread": Dimension(BY_THREAD, lambda line: str(line.key)),
    "role": Dimension(NOTHING, lambda line: line.series.role, "role"),
    "day": Dimension(BY_DAY, lambda line: day_name(int(line.key)), in_time=True),
    "route": Dimension(NOTHING, lambda line: line.series.route),
}


def day_name(day: int) -> str:
    """A day by its number since the epoch, as ``2026-11-01``."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def sameness(by: str, prices: PriceBook) -> Callable[[Series], Hashable]:
    """Tells which series need not be told apart: they are of one group, and priced alike."""
    field = DIMENSIONS[by].field

    def same(series: Series) -> Hashable:
        group_value = getattr(series, field) if field else ""
        priced_by = (series.asked, series.served, prices.is_flat(series.account), prices.url(series.account))
        case = series.tier, series.prompt_over
        return (group_value, *priced_by, *case, series.route, series.outcome, series.amp)

    return same


def changing(prices: PriceBook) -> Callable[[Series], frozenset[int]]:
    """Tells on which days, since the epoch, the prices of a series are others than before."""

    def changes(series: Series) -> frozenset[int]:
        served = prices.changes(series.served, prices.url(series.account)) if series.served else frozenset()
        return served | prices.changes(series.asked)

    return changes


def report(lines: Iterable[Line], by: str, prices: PriceBook, terms: KnownTerms | None = None) -> Report:
    """Group lines, and price them.

    :param by: one of :data:`DIMENSIONS`; the lines must be read for it.
    :param terms: what former calls found by the same prices: looking them up is most of the work.
    """
    dimension = DIMENSIONS[by]
    groups: dict[str, Group] = {}
    terms = {} if terms is None else terms
    found = Report(by)
    for line in lines:
        series = line.series
        known = terms.get((series, line.day))
        if known is None:
            known = terms[series, line.day] = Terms.of(series, line.day, prices)
        name = dimension.name(line) or "-"
        if by == "account":
            name = prices.label(name)
        group = groups.get(name)
        if group is None:
            group = groups[name] = Group(name)
        _count(found, group, line, known)
    found.groups = sorted(groups.values(), key=_by_name if dimension.in_time else _by_size)
    for group in found.groups:
        found.total.merge(group)
    return found


def cost_of(entry: Entry, prices: PriceBook) -> Money:
    """What one exchange cost."""
    metered = entry.tokens is not None
    first = entry.first_ms is not None
    sums = Sums(1, metered, *(entry.tokens or Tokens()), entry.first_ms or 0, first, entry.total_ms)
    return report([Line("", entry.series, sums, entry.at // DAY)], "model", prices).total.cost


def shortened(groups: list[Group], most: int) -> list[Group]:
    """The first of some groups; the rest as one, at the end.

    :param most: how many are left as they are.
    """
    rest = groups[most:]
    if len(rest) < 2:
        return groups
    others = Group(f"({len(rest):,} others)")
    for group in rest:
        others.merge(group)
    return [*groups[:most], others]


def _by_name(group: Group) -> str:
    return group.name


def _by_size(group: Group) -> tuple[float, int, int, str]:
    return -group.cost.amount, -sum(group.tokens[:4]), -group.requests, group.name


class Terms(Value, frozen=True):
    """How the exchanges of a series are priced.

    :param flat: they cost nothing, whatever they used.
    :param complete: they should have told their tokens: a model answered them to the end.
    :param price: at which they were served; ``None``: not known.
    :param credit: at which Amp would have served them.
    :param factor: what Amp bills in terms of prices; 1 for what it did not serve.
    """

    flat: bool
    complete: bool
    price: Price | None
    credit: Price | None
    factor: float

    @classmethod
    def of(cls, series: Series, day: int, prices: PriceBook) -> Terms:
        """Look up by which prices the exchanges of a series are billed from a day on."""
        local, amp = series.route in _LOCAL, series.route == "amp"
        case = Case(series.tier, series.prompt_over, day)
        credit = prices.find(series.asked, case)
        return cls(
            flat=local and prices.is_flat(series.account),
            complete=series.outcome == "completed" and (local or amp),
            price=prices.find(series.served, case, prices.url(series.account)) if local else credit,
            credit=credit,
            factor=prices.amp_factor,
        )


#: The terms of a series from a day on (:attr:`Line.day`), as far as they were looked up.
KnownTerms = dict[tuple[Series, int], Terms]


def _amount(price: Price | None, tokens: Tokens, sums: Sums, unmetered: int, factor: float = 1.0) -> Money:
    if not any(tokens):
        return Money(0.0, unmetered)
    if price is None:
        return Money(0.0, unmetered + sums.metered)
    return Money(price.of(tokens) * factor, unmetered)


def _count(found: Report, group: Group, line: Line, terms: Terms) -> None:
    """Count a line in its group, in what Amp's credits were saved or spent, in models without a price."""
    series, sums = line.series, line.sums
    tokens, unmetered = sums.tokens, sums.requests - sums.metered if terms.complete else 0
    amp, local = series.route == "amp", series.route in _LOCAL
    cost = (
        Money() if terms.flat else _amount(terms.price, tokens, sums, unmetered, terms.factor if amp else 1.0)
    )
    group.add(series.outcome, sums, tokens, unmetered, cost)
    if cost.missing > unmetered:
        found.unpriced[_model(line)] += sums.metered
    if amp and series.outcome != "refused":
        # A refused one was not sent.
        found.spent.add(cost)
        group.spent += cost.amount
        found.spent_requests += sums.requests
    elif local and series.amp:
        credit = _amount(terms.credit, tokens, sums, unmetered, terms.factor)
        if credit.missing > unmetered and series.asked != _model(line):
            found.unpriced[series.asked] += sums.metered
        found.saved.add(credit)
        found.saved_cost.add(cost)
        if series.outcome in _WELL:
            found.saved_requests += sums.requests
