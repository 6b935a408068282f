"""``ampproxy reload``: the running service reads its configuration anew, and says what that changed."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import click
import msgspec

from ampproxy.cli.configured import beside, config_option
from ampproxy.cli.service_client import (
    NotAnswered,
    ServiceClient,
    at_option,
    complain,
    not_running,
    retry,
)
from ampproxy.errors import ConfigError
from ampproxy.status import ReloadReport, Status
from ampproxy.wire.words import span

#: Where a running service takes the order.
PATH = "/ampproxy/reload"
#: Seconds for which a reading that the service did by itself is told of.
_NEWS = 60.0
_ELSEWHERE = (
    " If you just changed host, port or tls, the service may have rejected the file (see its log); use --at"
    " with the old address."
)


@click.command("reload")
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what the service reports of it.")
def command(file: Path | None, at: str, as_json: bool) -> None:
    """Reload the running service's configuration now, and print what changed.

    The service also does so by itself within two seconds of a change; this command waits for the result. Exit
    status 1 if the file is invalid: then every error is printed, and the previous configuration stays active.
    """
    try:
        asker = ServiceClient(beside(file, at), at)
    except ConfigError as error:
        complain(error)
        click.echo("The file was rejected.", err=True)
        raise SystemExit(1) from None
    try:
        before, report = retry(partial(ask, asker), time.sleep)
    except NotAnswered as error:
        raise not_running(error, f"cannot reach the service: {error}{_ELSEWHERE}") from None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        raise SystemExit(not report.ok)
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not report.ok:
        for complaint in report.complaints:
            click.echo(complaint, err=True)
        click.echo(f"The file was rejected; configuration {report.generation} stays active.", err=True)
        raise SystemExit(1)
    changed = report.changes or _by_itself(before, time.time())
    if not changed:
        click.echo(f"Nothing has changed (configuration {report.generation}).")
        return
    click.echo(f"Configuration {report.generation} is in force.")
    for line in changed:
        click.echo(f"  {line}")


def ask(asker: ServiceClient) -> tuple[Status, ReloadReport]:
    """How the service was before, and how its reading went.

    :raises NotAnswered: it was not to be reached.
    """
    before = asker.mine()
    answer = asker.ask(PATH, "POST")
    if answer.status not in (200, 409):
        raise NotAnswered(f"{asker.where} answered with status {answer.status}.")
    return before, answer.read(ReloadReport)


def _by_itself(before: Status, now: float) -> tuple[str, ...]:
    """What the service has just put in force already, by itself or by another command."""
    last = before.reload
    if last is None or last.asked or not last.ok or not last.changes or now - last.at > _NEWS:
        return ()
    ago = max(0.0, now - last.at)
    return (*last.changes, f"(in force for {span(ago)} already, as configuration {last.generation})")
