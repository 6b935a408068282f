"""``ampproxy status``: how the service is, in a few lines, and what needs attention."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import click
import msgspec

from ampproxy.cli.accounts import fetch
from ampproxy.cli.configured import config_option, note_of, read_config, with_logins
from ampproxy.cli.service_client import NotAnswered, NotReachable, ServiceClient, at_option, not_running
from ampproxy.cli.terminal import Column, Table, width
from ampproxy.config.run_file import RunNote
from ampproxy.config.schema import Config
from ampproxy.credentials.report import STATE_WORDS, AccountReport
from ampproxy.ledger import LedgerError
from ampproxy.ledger.book import price_book
from ampproxy.ledger.file import DAY
from ampproxy.ledger.place import Place, place_of
from ampproxy.ledger.query import Span, read
from ampproxy.ledger.report import changing, report, sameness
from ampproxy.ledger.text import count, money
from ampproxy.status import SharedReport, Status, WorkerStatus
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted, local_time, span

_COLUMNS = (Column("", colour={"attention": "yellow"}.get), Column("", least=30, wraps=True))


class Today(msgspec.Struct, frozen=True):
    """What was used on this day of UTC.

    :param tokens: those of prompts, cached ones included; ``output`` those of answers.
    :param cost: US dollars, as text.
    """

    requests: int
    errors: int
    tokens: int
    output: int
    cost: str


class Seen(msgspec.Struct, frozen=True):
    """How the service is.

    :param running: whether it is there.
    :param why: why nothing more is known.
    :param status: what it reports of itself.
    :param log: its log's file, as far as that is known.
    :param accounts: how many there are of each state.
    :param attention: what somebody should see to; sentences.
    """

    running: bool
    why: str = ""
    status: Status | None = None
    log: str = ""
    accounts: dict[str, int] = {}
    today: Today | None = None
    attention: tuple[str, ...] = ()


@click.command("status")
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path | None, at: str, as_json: bool) -> None:
    """Show the state of the service: its process, configuration, addresses, accounts and today's use.

    Exit status 0 if it serves and nothing needs attention, 1 if something does, 3 if it does not run.
    """
    config = read_config(file, at=at)
    note = None if at else note_of(config)
    try:
        status = ServiceClient(config, at).mine()
    except NotReachable as error:
        if note is None:
            _not_running(config, error, as_json)
            raise
        seen = Seen(True, f"Process {note.pid} does not answer: {error}", log=note.log)
    except NotAnswered as error:
        seen = Seen(True, str(error), log="" if note is None else note.log)
    else:
        seen = look(config, at, status, note)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(seen), indent=2).decode())
    else:
        for line in lines(seen, time.time(), width()):
            click.echo(line)
    if seen.attention or seen.why:
        raise SystemExit(1)


def _not_running(config: Config, error: NotReachable, as_json: bool) -> None:
    """
    :raises click.ClickException: always, but with JSON.
    """
    if as_json:
        click.echo(msgspec.json.encode(Seen(False, str(error))).decode())
        raise SystemExit(not_running(error, "").exit_code)
    raise not_running(error, f"the service of {config.source} does not run: {error}")


def look(config: Config, at: str, status: Status, note: RunNote | None) -> Seen:
    """Ask a service that runs for the rest."""
    config = with_logins(config)
    attention: list[str] = []
    reports: tuple[AccountReport, ...] = ()
    try:
        reports = fetch(config, at).accounts
    except NotAnswered as error:
        attention.append(f"The state of the accounts is not known: {error}")
    attention += needs_attention(status, reports)
    today: Today | None = None
    if status.state_dir:
        try:
            today = used_today(config, place_of(config, Path(status.state_dir)), time.time())
        except LedgerError:
            pass  # nothing was asked yet, or it is kept off
    states = Counter(report.state for report in reports)
    return Seen(
        True,
        status=status,
        log="" if note is None else note.log,
        accounts={word: states[word] for word in (*STATE_WORDS, *states) if states[word]},
        today=today,
        attention=tuple(attention),
    )


def needs_attention(status: Status, reports: Iterable[AccountReport]) -> Iterator[str]:
    """What the service cannot mend by itself."""
    if status.status == "idle":
        yield "It has no account and no Amp upstream: nothing can be served."
    if status.status == "draining":
        yield "It ends, and accepts nothing more."
    if status.reload is not None and not status.reload.ok:
        first = status.reload.complaints[0] if status.reload.complaints else "see the log"
        yield f"The configuration's file was rejected: {first}"
    if status.shared is not None and not status.shared.connected:
        yield f"The state cannot be shared by {status.shared.by}: {status.shared.why}"
    if status.ledger:
        yield f"The ledger cannot be written: {status.ledger}"
    if status.restart is not None and status.restart.why:
        yield f"The last restart failed: {status.restart.why}"
    for worker in status.workers:
        if worker.state == "hung":
            yield f"Worker {worker.number} does not answer: it is replaced after timeouts.worker."
        elif worker.state == "waiting":
            yield f"Worker {worker.number} has ended repeatedly and restarts soon: see the log."
    found = list(reports)
    for one in found:
        if one.state in ("needs login", "key refused"):
            yield f"{one.label}: {one.state}{f' ({one.to_do})' if one.to_do else ''}"
    if found and all(one.state == "resting" and _cools_for_all(one) for one in found):
        yield "Every account is cooling down: ampproxy accounts shows until when."


def _cools_for_all(account: AccountReport) -> bool:
    """Whether an account cools down for all of its models, and not for some alone."""
    return not account.cooldowns or any(one.model is None for one in account.cooldowns)


def used_today(config: Config, ledger: Place, now: float) -> Today:
    """What the ledger has of this day of UTC.

    :raises LedgerError: there is none.
    """
    prices = price_book(config)
    since = int(now * 1_000_000) // DAY * DAY
    with closing(ledger.open()) as opened:
        reading = read(opened, Span(since), same=sameness("model", prices), changes=changing(prices))
    total = report(reading.lines, "model", prices).total
    tokens = total.tokens
    prompt = tokens.input + tokens.cache_read + tokens.cache_write
    return Today(total.requests, total.errors, prompt, tokens.output, money(total.cost))


def _sharing(shared: SharedReport, now: float) -> str:
    if shared.connected:
        return shared.by
    return f"{shared.by}; away for {span(max(0.0, now - shared.away_since))}"


def lines(seen: Seen, now: float, room: int | None = None) -> Iterator[str]:
    """The state in lines.

    :param room: columns of the terminal; ``None``: as many as it takes.
    """
    rows = list(_rows(seen, now))
    table = Table(_COLUMNS, rows, room, headed=False)
    for row in rows:
        yield from table.row(row)


def _worker(worker: WorkerStatus, now: float) -> str:
    if not worker.pid:
        return f"{worker.state}; it has ended {counted(worker.deaths, 'time')}"
    deaths = f", ended {counted(worker.deaths, 'time')} before" if worker.deaths else ""
    age = span(now - worker.started) if worker.started else ""
    since = f" for {age}" if worker.state == "ready" else f" (started {age} ago)"
    return (
        f"{worker.state}{since if age else ''}: process {worker.pid}, {counted(worker.running, 'exchange')}, "
        f"{worker.memory / 2**20:.0f} MiB{deaths}"
    )


def _rows(seen: Seen, now: float) -> Iterator[tuple[str, str]]:
    status = seen.status
    if status is None:
        yield "service", f"running; {printable(seen.why)}"
        if seen.log:
            yield "log", seen.log
        return
    since = f" since {local_time(status.started)} ({span(now - status.started)})" if status.started else ""
    yield (
        "service",
        f"{status.status}{since}: process {status.pid}, version {status.version}, user {status.user}",
    )
    yield "addresses", ", ".join(status.listening)
    age = span(now - status.since)
    yield (
        "configuration",
        f"{status.config or 'from no file'}, number {status.generation}, in force for {age}",
    )
    yield "state", status.state_dir or "kept nowhere"
    if status.shared is not None:
        yield "shared by", _sharing(status.shared, now)
    if seen.log:
        yield "log", seen.log
    yield "under way", counted(status.running, "exchange")
    for worker in status.workers:
        yield f"worker {worker.number}", _worker(worker, now)
    if seen.accounts:
        total = sum(seen.accounts.values())
        each = ", ".join(
            f"{number} {STATE_WORDS.get(state, state)}" for state, number in seen.accounts.items()
        )
        yield "accounts", f"{total}: {each}"
    if seen.today is not None:
        used = seen.today
        errors = f" ({counted(used.errors, 'error')})" if used.errors else ""
        tokens = f", {count(used.tokens)} tokens in, {count(used.output)} out" if used.tokens else ""
        cost = f", cost {used.cost}" if used.cost != "-" else ""
        yield "today (UTC)", f"{counted(used.requests, 'request')}{errors}{tokens}{cost}"
    for text in seen.attention:
        yield "attention", printable(text)
