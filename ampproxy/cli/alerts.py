"""``ampproxy alerts``: what is wrong now; ``alerts test``: sends a test alert by the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ampproxy.cli.configured import config_option, read_config
from ampproxy.cli.service_client import NotAnswered, NotReachable, ServiceClient, at_option, not_running
from ampproxy.cli.terminal import sentence
from ampproxy.config.schema import Config
from ampproxy.status import Alert, AlertsReport, AlertsTested, Delivered
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted, local_time

#: Where a running service reports, and where it takes the order to test.
PATH = "/ampproxy/alerts"
TEST = "/ampproxy/test-alert"
_NONE = "No alerts are configured: add the section alerts (docs/alerts.md)."
_WITHOUT = "runs without alerts: the section may be new (ampproxy reload)"


@click.group("alerts", invoke_without_command=True)
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, file: Path | None, at: str, as_json: bool) -> None:
    """List what is wrong now, as the running service last saw it, and how the last alerts were delivered.

    Exit status 3 if no service runs.
    """
    if context.invoked_subcommand is not None:
        return
    config = read_config(file, at=at)
    try:
        report: AlertsReport = ServiceClient(config, at).reported(PATH, AlertsReport)
    except NotAnswered as error:
        raise not_running(error, f"what is wrong is not known: {error}") from None
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    for text, indent, hang in lines(report):
        sentence(text, indent, hang)


@command.command("test")
@config_option
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(context: click.Context, file: Path | None, at: str, as_json: bool) -> None:
    """Send a test alert to the webhook and to the command, and print what came back.

    The running service sends it; if none runs, this command does. Exit status 1 if one of them did not take
    it.
    """
    before = context.parent.params if context.parent is not None else {}
    file, at = file or before.get("file"), at or before.get("at", "")
    as_json = as_json or before.get("as_json", False)
    config = read_config(file, at=at)
    if config.alerts is None:
        raise click.ClickException(_NONE)
    try:
        tested: AlertsTested = ServiceClient(config, at).reported(
            TEST, AlertsTested, "POST", missing=_WITHOUT
        )
    except NotReachable:
        sentence("No service runs there: the test is sent by this command.", err=True)
        tested = _test_here(config)
    except NotAnswered as error:
        raise click.ClickException(f"the service could not be asked: {error}") from None
    if as_json:
        click.echo(msgspec.json.encode(tested).decode())
    else:
        for one in tested.deliveries:
            sentence(f"{printable(one.target)}: {_delivered(one)}.", hang="  ")
    if not all(one.ok for one in tested.deliveries):
        raise SystemExit(1)


def lines(report: AlertsReport) -> Iterator[tuple[str, str, str]]:
    """What is active, and how the last deliveries went: texts, with what stands before their first line and
    their others.
    """
    if not report.configured:
        yield _NONE, "", ""
        return
    if not report.checked_at:
        yield "The service has not looked yet (setting: alerts.interval).", "", ""
    elif not report.active:
        yield f"Nothing is wrong (looked at {local_time(report.checked_at)}).", "", ""
    else:
        yield f"{counted(len(report.active), 'alert')}, at {local_time(report.checked_at)}:", "", ""
    for alert in report.active:
        yield from _alert(alert)
    for one in report.deliveries:
        yield (
            f"Last sent to the {printable(one.target)} at {local_time(one.at)}: {_delivered(one)}.",
            "",
            "  ",
        )


def _alert(alert: Alert) -> Iterator[tuple[str, str, str]]:
    yield f"{alert.kind}, since {local_time(alert.since)}: {printable(alert.message)}", "  ", "    "
    for number, line in enumerate(alert.suggestion.splitlines()):
        yield f"{'' if number else 'To do: '}{printable(line)}", "    " + "  " * bool(number), "      "


def _delivered(one: Delivered) -> str:
    answer = printable(one.answer).rstrip(".")
    return f"delivered ({answer})" if one.ok else f"not delivered: {answer}"


def _test_here(config: Config) -> AlertsTested:
    """Send the test in this process, as the service would.

    :raises click.ClickException: the webhook's URL is not to be had here.
    """
    missing = [one for one in config.unseen if one.place.startswith("alerts.")]
    if missing:
        raise click.ClickException(f"{missing[0].place} is not to be had here: {missing[0].what}")
    return _run(config)


def _run(config: Config) -> AlertsTested:
    # Not at the top: the reactor is started for this alone.
    from twisted.internet import reactor

    from ampproxy.alerts.delivery import targets
    from ampproxy.alerts.service import send_test
    from ampproxy.upstream.client import UpstreamClient

    assert config.alerts is not None
    log = Logger(namespace="ampproxy")
    loop: Any = reactor
    client = UpstreamClient(loop, connect_timeout=config.timeouts.connect, log=log)
    places = targets(config.alerts, client, loop, os.environ, config.proxy_url)
    done: list[Any] = []

    def begin() -> None:
        testing = Deferred.fromCoroutine(send_test(places))
        testing.addBoth(done.append).addBoth(lambda _: loop.stop())

    loop.callWhenRunning(begin)
    loop.run()
    if not isinstance(done[0], AlertsTested):
        done[0].raiseException()
    tested: AlertsTested = done[0]
    return tested
