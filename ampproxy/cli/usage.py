"""``ampproxy usage``: what exchanges used and cost, out of the ledger."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click

from ampproxy.cli.configured import config_option, read_config, with_logins
from ampproxy.cli.kept import kept
from ampproxy.cli.terminal import MOST_COLUMNS, width, wrapped
from ampproxy.ledger import LedgerError
from ampproxy.ledger.book import price_book
from ampproxy.ledger.file import DAY
from ampproxy.ledger.place import place_of
from ampproxy.ledger.prices import SHIPPED, PriceBook
from ampproxy.ledger.query import BY_THREAD, Reading, Span, read
from ampproxy.ledger.report import DIMENSIONS, Report, changing, day_name, report, sameness, shortened
from ampproxy.ledger.text import remarks, table, to_csv, to_json
from ampproxy.wire.words import local_time

_AGO = re.compile(r"([0-9]{1,6})([MHDW])\Z")
_SECONDS = {"M": 60, "H": 3600, "D": 86400, "W": 7 * 86400}
#: Lines of a table, unless more are asked for.
_MOST_LINES = 40
#: Of a table that goes to no terminal.
_COLUMNS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A time as microseconds since the epoch; ``None`` for no limit.

    :raises click.BadParameter: it is none.
    """
    text = (value or "all").strip().upper()
    if text == "ALL":
        return None
    ago = _AGO.match(text)
    if ago:
        seconds = time.time() - int(ago[1]) * _SECONDS[ago[2]]
        return max(0, int(seconds * 1_000_000))
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a time: expected such as 7d, 12h, 2026-11-01, 2026-11-01T08:00+01:00, or all"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=timezone.utc)
    return max(0, (found - _EPOCH) // _MICROSECOND)


@click.command("usage")
@click.option(
    "--by",
    type=click.Choice(list(DIMENSIONS)),
    default="model",
    show_default=True,
    help="The dimension to group by.",
)
@click.option(
    "--since",
    callback=moment,
    metavar="TIME",
    default="30d",
    show_default=True,
    help="The start: 7d, 12h, 2026-11-01, 2026-11-01T08:00+01:00, or all.",
)
@click.option("--until", callback=moment, metavar="TIME", help="The end, which is not included.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="Show the top N groups and fold the rest into one line. [default: 40 in a table, except by day;"
    " else all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@click.option("--prices", "show_prices", is_flag=True, help="Print the shipped prices: a file to begin with.")
@config_option
def command(
    by: str,
    since: int | None,
    until: int | None,
    top: int | None,
    as_json: bool,
    as_csv: bool,
    show_prices: bool,
    file: Path | None,
) -> None:
    """Show usage and cost: requests, tokens by class, US dollars.

    Days, and times without a zone, are UTC. Costs are calculated from a table of prices that you can correct
    (setting: ledger.prices). What Amp would bill is an estimate.
    """
    if show_prices:
        click.echo(SHIPPED.read_text(encoding="utf-8"), nl=False)
        return
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if since is not None and until is not None and until <= since:
        raise click.UsageError("--until is no later than --since")
    place = kept(read_config(file))
    config = place.config
    ledger = place_of(config, place.folder)
    span = Span(since, until)
    try:
        prices = price_book(with_logins(config))
        with closing(ledger.open()) as opened:
            read_by = DIMENSIONS[by].read
            reading = read(opened, span, read_by, sameness(by, prices), changing(prices))
    except LedgerError as error:
        off = "" if config.ledger.enable else " (ledger: false)"
        raise click.ClickException(f"{error}{off} ({place.whose.rstrip('.')})") from None
    found = report(reading.lines, by, prices)
    if top is not None:
        found.groups = shortened(found.groups, top)
    remarked = notes(reading, span, by)
    if not config.ledger.enable:
        remarked.append("Nothing new is kept (ledger: false): these are exchanges of before.")
    if as_json:
        about = {"ledger": ledger.name, "since": _iso(since), "until": _iso(until), "notes": remarked}
        click.echo(json.dumps({**about, **to_json(found)}, indent=2))
    elif as_csv:
        click.echo(to_csv(found), nl=False)
        for note in (f"From {ledger.name}, {place.whose}", *remarked):
            click.echo(note, err=True)
    else:
        _show(found, remarked, span, prices, top)
        click.echo()
        for line in wrapped(f"From {ledger.name}, {place.whose}", min(_room(), MOST_COLUMNS)):
            click.echo(line)


def notes(reading: Reading, span: Span, by: str) -> list[str]:
    """What the reader must know of a span: where rows were gone already."""
    found = [
        f"{day_name(day)} is in as a whole: its single exchanges are no longer kept."
        for day in reading.rounded
    ]
    if DIMENSIONS[by].read == BY_THREAD and reading.rows_since > (span.since or 0):
        known = _shown(reading.rows_since)
        found.append(f"Threads are known from {known} on: older exchanges are no longer kept one by one.")
    return found


def _show(found: Report, remarked: list[str], span: Span, prices: PriceBook, top: int | None) -> None:
    since, until = _shown(span.since), _shown(span.until)
    click.echo(f"Usage {f'since {since}' if since else 'of all time'}{f' until {until}' if until else ''}\n")
    if not found.groups:
        click.echo("There were no exchanges in that time.")
    else:
        encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
        most = len(found.groups) if DIMENSIONS[found.by].in_time else max(top or 0, _MOST_LINES)
        first, *lines, last = table(found, _room(), most=most, unicode=encoding.startswith("utf"))
        click.secho(first, bold=True)
        for line in lines:
            click.echo(line)
        click.secho(last, bold=True)
    sentences = [*remarks(found, prices.amp_factor), *remarked]
    if found.groups:
        own = f", after {len(prices.own.models)} of your own" if prices.own else ""
        release = "" if prices.published is None else f"genai-prices {prices.published.version}, then "
        sentences.append(f"Prices: {release}the shipped table of {prices.shipped.as_of}{own}.")
    for sentence in sentences:
        click.echo("\n" + "\n".join(wrapped(sentence, min(_room(), MOST_COLUMNS))))


def _room() -> int:
    """Columns: a bar has to end somewhere, whoever reads it."""
    return width() or _COLUMNS


def _iso(moment: int | None) -> str | None:
    """A time for programs: the day alone where it is its beginning."""
    if moment is None:
        return None
    if moment % DAY == 0:
        return day_name(moment // DAY)
    return datetime.fromtimestamp(moment // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(moment: int | None) -> str | None:
    """The same on the user's own clock; a day is one of UTC, as all days here are."""
    if moment is None or moment % DAY == 0:
        return _iso(moment)
    return local_time(moment / 1_000_000)
