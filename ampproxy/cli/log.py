"""``ampproxy log``: single exchanges out of the ledger, and those to come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from ampproxy.cli.configured import config_option, read_config, with_logins
from ampproxy.cli.kept import kept
from ampproxy.cli.terminal import Column, Table, sentence, width
from ampproxy.cli.usage import moment
from ampproxy.ledger import LedgerError
from ampproxy.ledger.book import price_book
from ampproxy.ledger.entry import Entry, Series
from ampproxy.ledger.place import Place, place_of
from ampproxy.ledger.prices import PriceBook
from ampproxy.ledger.report import cost_of
from ampproxy.ledger.rows import Rows, Wanted
from ampproxy.ledger.text import count, money
from ampproxy.wire.redact import printable

#: Seconds between two looks into the ledger, which the service writes each second.
_PAUSE = 1.0
#: So many rows are taken at once.
_BATCH = 500
_COLUMNS = (
    Column("TIME", room=8),
    Column("CLIENT", rank=6, least=8, room=8),
    Column("ROLE", rank=5, least=7, room=7),
    Column("MODEL", least=18, room=24),
    Column("ROUTE", room=6),
    Column("ACCOUNT", rank=2, least=14, room=18),
    Column("IN", right=True, rank=3, room=5),
    Column("OUT", right=True, rank=3, room=5),
    Column("FIRST", right=True, rank=7, room=7),
    Column("TOTAL", right=True, rank=4, room=7),
    Column("COST", right=True, rank=1, room=8),
    Column("", least=4, room=3, colour=lambda text: "green" if text.isdecimal() and text < "400" else "red"),
)


@click.command("log")
@click.option("-f", "--follow", is_flag=True, help="Go on with those to come, until Ctrl-C.")
@click.option("--errors", is_flag=True, help="Only those that did not go well.")
@click.option("--thread", default="", metavar="ID", help="Only those of this thread of Amp's.")
@click.option("--client", default="", metavar="NAME", help="Only those of this client key.")
@click.option(
    "--model",
    default="",
    metavar="PATTERN",
    help="Only those of such a model, asked for or served: gpt-*.",
)
@click.option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="Only those from then on: 2h, 7d, 2026-11-01.",
)
@click.option("-n", "most", type=click.IntRange(0), default=20, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each.")
@config_option
def command(
    follow: bool,
    errors: bool,
    thread: str,
    client: str,
    model: str,
    since: int | None,
    most: int,
    as_json: bool,
    file: Path | None,
) -> None:
    """Show the last exchanges out of the ledger, the latest at the end.

    Each line has when it ended, who asked for what, how it was served, tokens, times and cost; an error its
    status or how it ended. Times are those of this machine's zone.
    """
    config = read_config(file)
    place = kept(config)
    ledger = place_of(place.config, place.folder)
    wanted = Wanted(_series(client, model), errors, thread, since or 0)
    try:
        prices = price_book(with_logins(place.config))
        log = _Log(ledger, wanted)
        found = log.newest(most)
    except LedgerError as error:
        off = "" if place.config.ledger.enable else " (ledger: false)"
        raise click.ClickException(f"{error}{off} ({place.whose.rstrip('.')})") from None
    show = _json_lines(prices) if as_json else _Lines(prices, found)
    show(found)
    if not found and not follow:
        sentence(f"There are no such exchanges in {ledger.name}.", err=True)
    if follow:
        for entries in log.follow():
            show(entries)


def _series(client: str, model: str) -> Callable[[Series], bool]:
    """Which series have this client and such a model."""
    client, model = client.lower(), model.lower()

    def wanted(series: Series) -> bool:
        names = (series.asked.lower(), series.served.lower())
        return (not client or series.client.lower() == client) and (
            not model or any(fnmatchcase(name, model) for name in names if name)
        )

    return wanted


class _Log:
    """The ledger, which may be moved away and begun anew while it is followed.

    :raises LedgerError: it cannot be read.
    """

    def __init__(self, place: Place, wanted: Wanted) -> None:
        self._place, self._wanted = place, wanted
        self._identity = place.identity()
        self._ledger = place.open()
        self._rows = Rows(self._ledger, wanted)

    def newest(self, most: int) -> list[Entry]:
        """The last ones."""
        return self._rows.newest(most)

    def follow(self, pause: Callable[[float], None] = time.sleep) -> Iterator[list[Entry]]:
        """Those to come, as they come, for ever."""
        while True:
            pause(_PAUSE)
            try:
                self._look_again()
                while found := self._rows.new(_BATCH):
                    yield found
            except LedgerError as error:
                sentence(f"{error}: trying again", err=True)
                self._identity = None

    def _look_again(self) -> None:
        identity = self._place.identity()
        if identity is not None and identity == self._identity:
            return
        self._ledger.close()
        self._ledger = self._place.open()
        # One that was begun anew has only rows of later.
        self._rows = Rows(self._ledger, self._wanted, self._rows.position)
        self._identity = identity


class _Lines:
    """Prints entries as lines of a table, as wide as the first ones need it."""

    def __init__(self, prices: PriceBook, first: Sequence[Entry]) -> None:
        self._prices = prices
        self._table = Table(_COLUMNS, [cells(entry, prices) for entry in first], width())
        self._headed = False

    def __call__(self, entries: Iterable[Entry]) -> None:
        """Print them."""
        for entry in entries:
            if not self._headed:
                click.echo(self._table.heading())
                self._headed = True
            for line in self._table.row(cells(entry, self._prices)):
                click.echo(line)


def cells(entry: Entry, prices: PriceBook) -> tuple[str, ...]:
    """An exchange as a row of the table."""
    series, tokens = entry.series, entry.tokens
    model = series.asked or "-"
    if series.served and series.served != series.asked:
        model = f"{model} -> {series.served}"
    return (
        _shown(entry.at),
        printable(series.client) or "-",
        series.role or "-",
        printable(model),
        series.route,
        printable(prices.label(series.account)) if series.account else "-",
        "-" if tokens is None else count(tokens.input + tokens.cache_read + tokens.cache_write),
        "-" if tokens is None else count(tokens.output),
        "-" if entry.first_ms is None else _seconds(entry.first_ms),
        _seconds(entry.total_ms),
        money(cost_of(entry, prices)),
        _ended(entry),
    )


def _ended(entry: Entry) -> str:
    """Its status, and how it ended where that is worth a word."""
    outcome = "" if entry.series.outcome == "completed" else entry.series.outcome
    return " ".join(filter(None, (str(entry.status) if entry.status else "", outcome)))


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _shown(at: int) -> str:
    """When it was: the time alone where it was today."""
    then = datetime.fromtimestamp(at / 1_000_000).astimezone()
    now = datetime.fromtimestamp(time.time()).astimezone()
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%m-%d %H:%M:%S")


def _json_lines(prices: PriceBook) -> Callable[[Iterable[Entry]], None]:
    def show(entries: Iterable[Entry]) -> None:
        for entry in entries:
            click.echo(json.dumps(members(entry, prices)))

    return show


def members(entry: Entry, prices: PriceBook) -> dict[str, Any]:
    """An exchange for programs. ``cost_usd`` is ``None`` where it is not known."""
    series, cost = entry.series, cost_of(entry, prices)
    ended = datetime.fromtimestamp(entry.at / 1_000_000, timezone.utc).isoformat(timespec="milliseconds")
    return {
        "ended": ended.replace("+00:00", "Z"),
        "client": series.client,
        "role": series.role,
        "asked": series.asked,
        "served": series.served,
        "account": prices.label(series.account) if series.account else "",
        "route": series.route,
        "outcome": series.outcome,
        "status": entry.status,
        "thread": entry.thread,
        "tokens": None if entry.tokens is None else entry.tokens._asdict(),
        "first_ms": entry.first_ms,
        "total_ms": entry.total_ms,
        "cost_usd": None if cost.missing else round(cost.amount, 6),
    }
