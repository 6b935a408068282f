"""``ampproxy accounts``: the accounts, and how they are if the service runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec

from ampproxy.catalog.kinds import KINDS
from ampproxy.cli.asking import Asker, NotAnswered, at_option
from ampproxy.cli.configured import config_option, read_config, unserved, with_logins
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.report import AccountReport, Report, RestReport, WindowReport, at_rest
from ampproxy.wire.redact import printable
from ampproxy.wire.words import local_time, span

#: Where a running service tells.
PATH = "/ampproxy/accounts"


@click.command("accounts")
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(file: Path | None, at: str, as_json: bool) -> None:
    """List the accounts: label, kind, state, models; below each, who rests and why, and what is left.

    The state is asked of the service at its configured address. If it does not run, the list is the
    configuration's.
    """
    config = with_logins(read_config(file, at=at))
    told, why = ask(config, at)
    if told is None:
        click.echo(f"The state of the accounts is not known: {why}", err=True)
        told = Report(tuple(at_rest(account) for account in config.accounts))
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
        return
    if not told.accounts:
        click.echo("There are no accounts: add one to the configuration.")
    for line in lines(told.accounts, config.accounts):
        click.echo(line)
    for line in unserved(config):
        click.echo(f"{line}.")


def ask(config: Config, at: str = "") -> tuple[Report | None, str]:
    """What the running service tells, or ``None`` and why it does not."""
    try:
        return fetch(config, at), ""
    except NotAnswered as error:
        return None, str(error)


def fetch(config: Config, at: str = "") -> Report:
    """What the running service tells.

    :raises NotAnswered: it does not; says why.
    """
    asker = Asker(config, at)
    asker.mine()
    answer = asker.ask(PATH)
    if answer.status != 200:
        raise NotAnswered(
            f"{asker.where} answered with status {answer.status}: does another program or version run there?"
        )
    told: Report = answer.read(Report)
    return told


def lines(reports: Iterable[AccountReport], accounts: Iterable[Account]) -> Iterator[str]:
    """The table, with indented lines below an account that has more to tell."""
    known = {account.label: account for account in accounts}
    rows = [(told, _models(told, known.get(told.label))) for told in reports]
    label = max((len(told.label) for told, _ in rows), default=0)
    kind = max((len(told.kind) for told, _ in rows), default=0)
    for told, models in rows:
        yield f"{told.label:<{label}}  {told.kind:<{kind}}  {told.state or '?':<11}  {models}"
        if told.expires_at is not None:
            yield f"    its token ends at {local_time(told.expires_at)}; it is renewed before."
        if told.error:
            yield f"    {printable(told.error)}{f' To do: {told.remedy}.' if told.remedy else ''}"
        for rest in told.rests:
            yield f"    {_rest(rest)}"
        for window in told.windows:
            yield f"    {_window(window)}"


def _models(told: AccountReport, account: Account | None) -> str:
    if told.models or account is None:
        return ", ".join(told.models)
    return ", ".join(KINDS[account.kind].patterns)


def _rest(rest: RestReport) -> str:
    scope = f"for {rest.model}{f' ({rest.call})' if rest.call else ''} it" if rest.model else "it"
    line = f"{scope} {rest.reason}" + (f" ({printable(rest.said)})" if rest.said else "")
    if rest.probing:
        line += "; one request is trying it now"
    elif rest.seconds > 0:
        line += f"; it is tried again at {local_time(rest.until)} (in {span(rest.seconds)})"
    else:
        line += "; the next request tries it"
    if rest.vendor_says is not None:
        line += f"; the vendor asked for {span(rest.vendor_says)}"
    return f"{line}. To do: {rest.remedy}." if rest.remedy else f"{line}."


def _window(window: WindowReport) -> str:
    left = "?" if window.remaining is None else f"{window.remaining:g}"
    limit = "" if window.limit is None else f" of {window.limit:g}"
    resets = "" if window.resets_at is None else f", resets at {local_time(window.resets_at)}"
    return f"{window.name}: {left}{limit} left{resets}."
