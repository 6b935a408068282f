"""``ampproxy doctor``: look at everything between Amp's clients and the models, and judge it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from ampproxy.amp.connections import leading_to
from ampproxy.cli.accounts import ask
from ampproxy.cli.configured import as_running, beside, config_option, demand
from ampproxy.cli.findings import finding_lines
from ampproxy.cli.service_client import NotAnswered, ServiceClient
from ampproxy.cli.terminal import Column, Progress, Table, reading_width, width
from ampproxy.config.load import load
from ampproxy.config.schema import Config
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.doctor.checks import CHECKS, examine
from ampproxy.desktop.doctor.context import Context, NeoSeen, Probe, gather, targets
from ampproxy.desktop.doctor.finding import Examination, Finding, LiveRow, totals
from ampproxy.status import CLOUD_TRAFFIC, CloudTraffic
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted

#: Where Amp's own CLI looks for a thread.
_THREAD = "AMP_THREAD_ID"
#: Seconds that a client may take to say its version.
_TIMEOUT = 20.0
_LIVE = (
    Column("ROLE"),
    Column("ASKED MODEL", rank=1, least=16),
    Column("ACCOUNT", least=16),
    Column("MODEL THERE", rank=2, least=16),
    Column("DIALECT", rank=4),
    Column("PAID BY", rank=3),
    Column("RESULT", least=24, wraps=True),
)


@click.command("doctor")
@click.option(
    "--live",
    is_flag=True,
    help="Send the smallest possible request for each role and account to your accounts; never to Amp.",
)
@click.option("--problems", is_flag=True, help="Show problems and warnings only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
@config_option
def command(live: bool, problems: bool, as_json: bool, file: Path | None) -> None:
    """Diagnose the path from Amp's clients on this machine to the models.

    Each finding is ok, a note, a warning or a problem: one sentence, with advice. Nothing is changed,
    and no secret is shown. Exit status 0 if there is no problem, else 1.
    """
    from twisted.internet.task import react

    machine = Machine(Path.home(), os.environ, sys.platform)
    report = Progress(quiet=as_json)
    report("Looking at this machine, its clients and the service ...")
    context = gather(machine, Path.cwd(), file, read=read, run=version_of, ask=ask, now=time.time())
    if live and context.config is not None:
        demand(context.config.unseen, "--live")
    if context.config is not None and context.config.neo is not None:
        report("Asking Amp for your connections, and trying the public address ...")
        context = replace(context, neo_seen=look_outside(context.config, live=live, now=context.now))

    if context.config is not None and context.config.ledger.url is not None:
        # Not at the top: it loads SQLAlchemy.
        from ampproxy.ledger.visit import database_state

        report("Asking the ledger's database ...")
        context = replace(context, database=database_state(context.config, context.config.state_dir))

    async def main(reactor: Any) -> None:
        with report:
            found = await examination(reactor, context, live=live, report=report)
        shown = found.pressing() if problems else found
        end = f"{totals(found)}."
        click.echo(
            msgspec.json.encode(shown).decode() if as_json else "\n".join([*lines(shown, width()), end])
        )
        raise SystemExit(1 if found.worst == "problem" else 0)

    react(main)


def look_outside(config: Config, *, live: bool, now: float) -> NeoSeen:
    """What concerns Amp's cloud and is not on this machine: the public address, and the connections at Amp.

    :param live: have Amp test its connections, too, and with a thread of the user's make a short request to a
        model of each.
    """
    from ampproxy.cli.neo_plan import amp_account, known_key
    from ampproxy.cli.neo_steps import accesses
    from ampproxy.desktop.neo.account import AmpRefused
    from ampproxy.desktop.neo.machine import machine_findings
    from ampproxy.desktop.neo.trial import PublicAddress

    assert config.neo is not None
    url = config.neo.public_url
    near = NeoSeen(traffic=_cloud_traffic(config), machine=tuple(machine_findings()))
    address: tuple[Finding, ...] = ()
    try:
        key = known_key(config)
        if url and key is not None:
            address = tuple(PublicAddress(url, key).examine(None, now))
        account = amp_account(config)
        if account is None:
            return replace(near, address=address, why="Amp's key is not to be had here")
        listing = account.listing()
        mine = leading_to(url, listing.keys) if live and url else ()
        tested = tuple((one.name or one.id, account.test(one)) for one in mine)
        thread = os.environ.get(_THREAD, "")
        served = tuple((model, why) for _, model, why in accesses(account, mine, thread)) if thread else ()
    except AmpRefused as why:
        return replace(near, address=address, why=str(why))
    except click.ClickException as error:
        return replace(near, address=address, why=error.message)
    return replace(near, address=address, listing=listing, tested=tested, served=served)


def _cloud_traffic(config: Config) -> CloudTraffic | None:
    """What the running service has seen of requests of Amp's cloud; ``None``: it does not answer."""
    try:
        found: CloudTraffic = ServiceClient(config).ask(CLOUD_TRAFFIC).read(CloudTraffic)
    except NotAnswered:
        return None
    return found


def read(file: Path) -> Config:
    """The configuration of a file that may not be there.

    :raises ConfigError: it is wrong.
    """
    return (
        as_running(beside(file))
        if os.access(file, os.R_OK)
        else load(file, environ=os.environ, home=Path.home())
    )


def version_of(program: Path) -> str:
    """What a program prints with ``--version``; empty if it does not in time."""
    try:
        done = subprocess.run(  # noqa: S603  a program that the user has in PATH as amp
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:4096].decode("utf-8", "replace")


async def examination(
    reactor: Any,
    context: Context,
    *,
    live: bool,
    report: Callable[[str], object] = lambda line: None,
    client: Any = None,
) -> Examination:
    """Reach the upstreams, judge everything, and try the models if that is wanted.

    :param report: called with a line for each upstream that is reached and each model that was tried, as soon
        as that is done: it may take a while.
    :param client: sends requests; by default one that trusts the system's authorities.
    """
    from ampproxy.desktop.doctor.probe import PROBE_TIMEOUT as LONGEST
    from ampproxy.desktop.doctor.probe import knock
    from ampproxy.upstream.client import UpstreamClient

    config = context.config
    if config is None:
        return Examination(examine(context), () if live else None)
    if client is None:
        client = UpstreamClient(reactor, connect_timeout=config.timeouts.connect)
    try:
        wanted = targets(config)
        if wanted:
            report(f"Reaching {counted(len(wanted), 'upstream')}, for up to {LONGEST:g} s ...")
        probes = await knock(client, reactor, wanted, lambda probe: report(_reached(probe)))
        context = replace(context, probes=probes)
        rows = await _tried(reactor, context, client, report) if live else None
    finally:
        await client.close()
    return Examination(examine(context), rows)


async def _tried(
    reactor: Any, context: Context, client: Any, report: Callable[[str], object]
) -> tuple[LiveRow, ...]:
    from ampproxy.credentials.secrets import secrets_of
    from ampproxy.desktop.doctor.about_models import live_asks
    from ampproxy.desktop.doctor.live import Trial
    from ampproxy.wire.redact import Redactor

    assert context.config is not None
    assert context.router is not None
    redactor = Redactor(secrets_of(context.config))
    trial = Trial(
        context.config,
        context.router,
        client,
        reactor,
        redactor=redactor,
        wall=time.time,
        report=lambda row: report(f"tried {row.role or 'account'} {row.account or '-'}: {row.result}"),
    )
    return await trial.run(live_asks(context))


def _reached(probe: Probe) -> str:
    came = "not reached" if probe.error else "reached"
    return f"{probe.target.url}: {came} after {probe.seconds:.1f} s"


def lines(found: Examination, room: int | None = None) -> Iterator[str]:
    """The findings below the titles of their checks, then what was tried.

    :param room: columns of the terminal; ``None``: as many as it takes.
    """
    most = reading_width(room)
    for check in CHECKS:
        mine = [finding for finding in found.findings if finding.check == check.name]
        if not mine:
            continue
        yield click.style(check.title, bold=True)
        for finding in mine:
            yield from finding_lines(finding, most)
        yield ""
    if found.live is not None:
        yield "Tried with real requests"
        yield from _live(found.live, room)
        yield ""


def _live(rows: Iterable[LiveRow], room: int | None) -> Iterator[str]:
    cells = [_cells(row) for row in rows]
    return Table(_LIVE, cells, room, "  ").lines(cells)


def _cells(row: LiveRow) -> tuple[str, ...]:
    result = f"ok, {row.ms} ms" if row.result == "ok" else row.result
    return (
        row.role or "-",
        printable(row.asked) or "-",
        printable(row.account) or "-",
        printable(row.model) or "-",
        row.dialect,
        row.pays,
        f"{result}: {row.text}" if row.text else result,
    )
