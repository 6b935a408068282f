"""``ampproxy accounts``: the accounts, and how they are if the service runs; ``accounts forget``: what they
taught is forgotten.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from ampproxy.catalog.kinds import KINDS
from ampproxy.cli.as_json import reports_json
from ampproxy.cli.configured import config_option, read_config, unserved, with_logins
from ampproxy.cli.service_client import NotAnswered, NotReachable, ServiceClient, at_option
from ampproxy.cli.terminal import Column, Table, reading_width, sentence, width, wrapped
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.lessons import Lessons
from ampproxy.credentials.names import account_name
from ampproxy.credentials.report import (
    STATE_WORDS,
    AccountReport,
    CooldownReport,
    Forgotten,
    LessonReport,
    Report,
    WindowReport,
    untouched,
)
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted, local_time, span

#: Where a running service tells, and where it takes the order to forget.
PATH = "/ampproxy/accounts"
FORGET = "/ampproxy/forget"
STATE_COLOURS = {"ready": "green", "cooling down": "yellow", "needs login": "red", "key refused": "red"}
_COLUMNS = (
    Column("account", least=24, wraps=True),
    Column("kind", rank=1),
    Column("state", room=12, colour=STATE_COLOURS.get),
    Column("models", least=20, wraps=True),
)


@click.group("accounts", invoke_without_command=True)
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(context: click.Context, file: Path | None, at: str, as_json: bool) -> None:
    """List the accounts: label, kind, state and models; below each, its cooldowns, its remaining limits, and
    what it refuses.

    The state comes from the running service. If none runs, the list comes from the configuration.
    """
    if context.invoked_subcommand is not None:
        return
    config = with_logins(read_config(file, at=at))
    answer, why = ask(config, at)
    if answer is None:
        sentence(f"The state of the accounts is not known: {why}", err=True)
        answer = Report(tuple(untouched(account) for account in config.accounts))
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
        return
    if not answer.accounts:
        sentence("There are no accounts: add one to the configuration.")
    for line in lines(answer.accounts, config.accounts, width()):
        click.echo(line)
    for line in unserved(config):
        sentence(f"{line}.")


@command.command("forget")
@config_option
@at_option
@click.argument("labels", metavar="[ACCOUNT]...", nargs=-1)
@click.option("--model", default="", help="Only what was learned for this model, by its vendor's name.")
@click.pass_context
@reports_json
def forget(context: click.Context, file: Path | None, at: str, labels: tuple[str, ...], model: str) -> None:
    """Forget which members of requests these accounts, or all, have refused.

    The next request is sent unchanged, and what is then refused is learned again. The running service does
    this; if none runs, the file in state-dir is changed.
    """
    before = context.parent.params if context.parent is not None else {}
    file, at = file or before.get("file"), at or before.get("at", "")
    config = with_logins(read_config(file, at=at))
    try:
        count = order(config, at, labels, model)
    except NotReachable:
        count = _without_service(config, labels, model)
    except NotAnswered as error:
        raise click.ClickException(f"the service could not be asked: {error}") from None
    click.echo(f"Forgotten: {counted(count, 'lesson')}.")


def order(config: Config, at: str, labels: Iterable[str], model: str) -> int:
    """Have the running service forget; gives how many lessons that were.

    :raises NotAnswered: it was not to be reached, or does not know an account.
    """
    query = urlencode([*(("account", label) for label in labels), *([("model", model)] if model else [])])
    done: Forgotten = ServiceClient(config, at).reported(f"{FORGET}?{query}", Forgotten, "POST")
    return done.forgotten


def _without_service(config: Config, labels: tuple[str, ...], model: str) -> int:
    """The file alone."""
    names = {account.label: account_name(account) for account in config.accounts}
    for label in labels:
        if label not in names:
            raise click.ClickException(f"there is no account {printable(label)}.")
    _check_folder(config.state_dir)
    lessons = Lessons(config.state_dir, time.time)
    lessons.configure(config.learning)
    count = lessons.forget([names[label] for label in labels] if labels else None, model)
    if lessons.trouble:
        raise click.ClickException(f"{config.state_dir} cannot be written: {lessons.trouble}.")
    return count


def _check_folder(folder: Path) -> None:
    """A file that another user's service cannot read any more would teach it nothing."""
    try:
        owner = folder.stat().st_uid
    except OSError:
        return
    if owner != os.geteuid():
        raise click.ClickException(
            f"{folder} belongs to another user (uid {owner}), and no service answers: run this as that user."
        )


def ask(config: Config, at: str = "") -> tuple[Report | None, str]:
    """What the running service tells, or ``None`` and why it does not."""
    try:
        return fetch(config, at), ""
    except NotAnswered as error:
        return None, str(error)


def fetch(config: Config, at: str = "") -> Report:
    """What the running service reports.

    :raises NotAnswered: it does not; says why.
    """
    reported: Report = ServiceClient(config, at).reported(PATH, Report)
    return reported


def lines(
    reports: Iterable[AccountReport], accounts: Iterable[Account], room: int | None = None
) -> Iterator[str]:
    """The table, with indented lines below an account of which there is more to show.

    :param room: columns of the terminal; ``None``: as many as it takes.
    """
    known = {account.label: account for account in accounts}
    rows = [(report, _cells(report, known.get(report.label))) for report in reports]
    table = Table(_COLUMNS, [row for _, row in rows], room, headed=False)
    most = reading_width(room)
    for report, row in rows:
        yield from table.row(row)
        for text in _below(report):
            yield from wrapped(text, most, "    ", "      ")


def _below(report: AccountReport) -> Iterator[str]:
    """What more there is to show of an account; sentences."""
    if report.expires_at is not None:
        yield f"its token ends at {local_time(report.expires_at)}; it is renewed before."
    if report.error:
        todo = f" To do: {report.suggestion}." if report.suggestion else ""
        yield f"{printable(report.error)}{todo}"
    yield from map(_cooldown, report.cooldowns)
    yield from map(_window, report.windows)
    yield from map(_lesson, report.lessons)


def _cells(report: AccountReport, account: Account | None) -> tuple[str, ...]:
    state = STATE_WORDS.get(report.state, report.state or "?")
    return report.label, report.kind, state, _models(report, account)


def _models(report: AccountReport, account: Account | None) -> str:
    if report.models or account is None:
        return ", ".join(report.models)
    return ", ".join(KINDS[account.kind].patterns)


def _cooldown(cooldown: CooldownReport) -> str:
    scope = (
        f"for {cooldown.model}{f' ({cooldown.call})' if cooldown.call else ''} it" if cooldown.model else "it"
    )
    line = f"{scope} {cooldown.reason}" + (
        f" ({printable(cooldown.vendor_message)})" if cooldown.vendor_message else ""
    )
    if cooldown.half_open:
        line += "; one request is trying it now"
    elif cooldown.seconds > 0:
        line += f"; it is tried again at {local_time(cooldown.until)} (in {span(cooldown.seconds)})"
    else:
        line += "; the next request tries it"
    if cooldown.vendor_seconds is not None:
        line += f"; the vendor asked for {span(cooldown.vendor_seconds)}"
    return f"{line}. To do: {cooldown.suggestion}." if cooldown.suggestion else f"{line}."


def _lesson(lesson: LessonReport) -> str:
    return (
        f"for {printable(lesson.model)} ({printable(lesson.call)}) {printable(lesson.member)}"
        f" {printable(lesson.about)}; learned at {local_time(lesson.learned_at)}, used"
        f" {counted(lesson.used, 'time')}, until {local_time(lesson.ends_at)}."
    )


def _window(window: WindowReport) -> str:
    left = "?" if window.remaining is None else f"{window.remaining:g}"
    limit = "" if window.limit is None else f" of {window.limit:g}"
    resets = "" if window.resets_at is None else f", resets at {local_time(window.resets_at)}"
    return f"{window.name}: {left}{limit} left{resets}."
