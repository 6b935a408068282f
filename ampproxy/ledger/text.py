"""A report as a person reads it (with bars), as JSON, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from ampproxy.ledger.report import Group, Money, Report, shortened
from ampproxy.model.base import Value
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted

#: Eighths of a character cell, from the thinnest bar to the full one.
_EIGHTHS = "▏▎▍▌▋▊▉█"
_MOST_BAR, _LEAST_BAR = 40, 8
_LEAST_NAME, _MOST_NAME = 20, 44


class _Column(Value, frozen=True):
    """A column of numbers.

    :param rank: which goes first where the terminal is narrow: the highest.
    """

    title: str
    cell: Callable[[Group], str]
    rank: int = 0


_COLUMNS = (
    _Column("requests", lambda group: f"{group.requests:,}"),
    _Column("errors", lambda group: f"{group.errors:,}" if group.errors else "-", 2),
    _Column("input", lambda group: count(group.tokens.input), 1),
    _Column("cached", lambda group: count(group.tokens.cache_read), 3),
    _Column("cache write", lambda group: count(group.tokens.cache_write), 4),
    _Column("output", lambda group: count(group.tokens.output), 1),
    _Column("reasoning", lambda group: count(group.tokens.reasoning), 5),
    _Column("cost", lambda group: money(group.cost)),
)


def count(number: int) -> str:
    """A number of tokens in three or four digits: ``950``, ``12.3k``, ``4.56M``."""
    if number < 1000:
        return str(number) if number else "-"
    value = float(number)
    for unit in "kMGT":
        value /= 1000
        if value < 999.5 or unit == "T":
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{unit}"


def dollars(amount: float) -> str:
    """An amount: to the cent, and below one to three places that say something."""
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "<$0.0001"
    return f"${amount:,.2f}" if amount >= 0.01 else f"${amount:.4f}"


def money(what: Money) -> str:
    """An amount; with ``?`` where a part of it is not known."""
    known = dollars(what.amount) if what.amount else ""
    if what.missing:
        return f"{known}+?" if known else "?"
    return known or "-"


def table(report: Report, width: int, *, most: int, unicode: bool = True) -> Iterator[str]:
    """The groups, each a line, below a line of headings and above their sum.

    :param width: columns of the terminal.
    :param most: how many groups are shown one by one.
    :param unicode: whether bars may be drawn with more than ``#``.
    """
    shown = shortened(report.groups, most)
    groups = [*shown, report.total]
    names = [printable(group.name) for group in groups]
    longest = max(map(len, (report.by, *names)))
    columns = [column for column in _COLUMNS if column.title != "reasoning" or report.total.tokens.reasoning]
    cells = {column.title: [column.title, *map(column.cell, groups)] for column in columns}
    widths = {title: max(map(len, column)) for title, column in cells.items()}
    # Half of a thread's id says nothing.
    least = min(longest, _MOST_NAME if report.by == "thread" else _LEAST_NAME)
    while columns and least + _width(widths) > width:
        dropped = max(columns, key=lambda column: column.rank)
        if not dropped.rank:
            break
        columns.remove(dropped)
        del cells[dropped.title], widths[dropped.title]
    name = max(least, min(longest, _MOST_NAME, width - _width(widths)))
    bar = min(_MOST_BAR, width - _width(widths) - name - 2)
    by_cost = report.total.cost.amount > 0
    weights = [group.cost.amount if by_cost else float(sum(group.tokens[:4])) for group in shown]
    bars = bar >= _LEAST_BAR and any(weights)
    ends = [("cost" if by_cost else "tokens") if bars else ""]
    ends += [drawn(weight / max(weights), bar, unicode=unicode) if bars else "" for weight in weights]
    for number, (title, end) in enumerate(zip([report.by, *names], [*ends, ""], strict=True)):
        numbers = [cells[column][number].rjust(size) for column, size in widths.items()]
        yield "  ".join([_fitted(title, name), *numbers, end]).rstrip()


def _width(widths: dict[str, int]) -> int:
    """Of all columns of numbers, with the space before each."""
    return sum(width + 2 for width in widths.values())


def _fitted(name: str, width: int) -> str:
    return name.ljust(width) if len(name) <= width else f"{name[: width - 2]}.."


def drawn(share: float, width: int, *, unicode: bool = True) -> str:
    """A bar; what is not nothing is at least the thinnest.

    :param share: of the width, from 0 to 1.
    """
    if not unicode:
        return "#" * (max(1, round(share * width)) if share > 0 else 0)
    eighths = max(1, round(share * width * 8)) if share > 0 else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest - 1] if rest else "")


def remarks(report: Report, amp_factor: float) -> Iterator[str]:
    """What the figures mean in Amp credits, and what is missing from them; sentences."""
    if report.saved_requests:
        served = counted(report.saved_requests, "request")
        yield (
            f"Your accounts served {served} of Amp's clients. Estimate: Amp would have billed"
            f" {_about(report.saved)} in credits; they cost you {_about(report.saved_cost)}."
        )
    if report.spent_requests:
        yield (
            f"{counted(report.spent_requests, 'request')} fell back to Amp."
            f" Estimate: {_about(report.spent)} in credits."
        )
    if report.saved_requests or report.spent_requests:
        times = "" if amp_factor == 1 else f"{amp_factor:g} times "
        yield (
            f"The estimates assume that Amp bills {times}its vendors' API prices, for as many tokens of the"
            " model that was asked for; subscriptions, free quotas and tools are not in them. What counts is"
            " Amp's own bill."
        )
    if report.unpriced:
        models = ", ".join(printable(name) for name, _ in report.unpriced.most_common(5))
        more = f" and {len(report.unpriced) - 5} more" if len(report.unpriced) > 5 else ""
        yield (
            f"No price is known for {models}{more}: add them to a file of your own (setting: ledger.prices;"
            " its format: ampproxy usage --prices)."
        )
    if report.total.unmetered:
        yield (
            f"{counted(report.total.unmetered, 'completed request')} reported no token counts and are not"
            " included."
        )


def _about(what: Money) -> str:
    if not what.missing:
        return f"about {dollars(what.amount)}" if what.amount else "$0"
    if not what.amount:
        return f"an unknown amount ({what.missing:,} of them not counted)"
    return f"about {dollars(what.amount)} ({what.missing:,} of them not counted)"


def to_json(report: Report) -> dict[str, Any]:
    """The report for another program. Amounts are US dollars."""
    return {
        "by": report.by,
        "groups": [_group(group) for group in report.groups],
        "total": _group(report.total),
        "amp_credits": {
            "estimate": True,
            "saved": {"requests": report.saved_requests, **_money(report.saved)},
            "saved_cost_to_you": _money(report.saved_cost),
            "spent": {"requests": report.spent_requests, **_money(report.spent)},
        },
        "unpriced_models": dict(report.unpriced.most_common()),
    }


def _money(what: Money) -> dict[str, Any]:
    return {"usd": round(what.amount, 6), "requests_not_counted": what.missing}


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "requests": group.requests,
        "errors": group.errors,
        "outcomes": dict(sorted(group.outcomes.items())),
        "tokens": group.tokens._asdict(),
        "requests_without_tokens": group.unmetered,
        "cost": _money(group.cost),
        "mean_first_ms": round(group.first_ms / group.firsts) if group.firsts else None,
        "mean_total_ms": round(group.total_ms / group.requests) if group.requests else None,
    }


def to_csv(report: Report) -> str:
    """The groups, each a line, below a line of names. The first column has the name of the group."""
    out = io.StringIO()
    rows = [_flat(group) for group in report.groups]
    writer = csv.DictWriter(out, list(_flat(report.total)), lineterminator="\n")
    writer.writerow({name: name for name in writer.fieldnames} | {"name": report.by})
    writer.writerows(rows)
    return out.getvalue()


def _flat(group: Group) -> dict[str, Any]:
    row = _group(group)
    cost = row["cost"]
    return {
        "name": _for_spreadsheets(row["name"]),
        "requests": row["requests"],
        "errors": row["errors"],
        **{f"{name}_tokens": value for name, value in row["tokens"].items()},
        "requests_without_tokens": row["requests_without_tokens"],
        "cost_usd": cost["usd"],
        "cost_requests_not_counted": cost["requests_not_counted"],
        "mean_first_ms": row["mean_first_ms"],
        "mean_total_ms": row["mean_total_ms"],
    }


def _for_spreadsheets(name: str) -> str:
    """A name that a spreadsheet does not take for a formula: clients choose some of them."""
    return f"'{name}" if name.startswith(("=", "+", "@", "\t", "\r")) else name
