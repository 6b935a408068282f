"""``ampproxy neo``: have Amp's cloud call the gateway, for the models that Amp's present generation uses."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from ampproxy.amp.connections import Connection, leading_to
from ampproxy.cli.config_file import ConfigFile
from ampproxy.cli.configured import config_option, named, read_config
from ampproxy.cli.key_options import lifetime
from ampproxy.cli.neo_plan import (
    FOLDER,
    LISTEN,
    Plan,
    amp_account,
    key_file,
    known_key,
    make_plan,
    needed_key,
    new_key,
    public_url,
    stored_hash,
)
from ampproxy.cli.neo_status import last_request, names_sent
from ampproxy.cli.neo_steps import check_access, connect, connect_with_key, disconnect, put_in_force
from ampproxy.config.neo_edit import change_neo, remove_neo
from ampproxy.config.schema import Config
from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.undo import CannotUndo
from ampproxy.desktop.doctor.finding import Finding
from ampproxy.desktop.neo.account import AmpAccount, AmpRefused
from ampproxy.desktop.neo.judged import troubles
from ampproxy.desktop.neo.trial import PublicAddress
from ampproxy.wire.redact import Secret, printable

_UNDO = "ampproxy neo setup --undo"
_WRITTEN = "the section neo was written"
_NO_ACCOUNT = (
    "Amp's key is not to be had here (settings: ampcode.upstream-url, ampcode.upstream-api-key), without"
    " which your account at Amp cannot be asked"
)


thread_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--thread",
    metavar="THREAD",
    help="A thread of yours (amp threads new --visibility private): Amp is asked to make a short request in"
    " it to one model of each connection, which costs some tokens.",
)


@click.group("neo")
def command() -> None:
    """Let Amp's cloud call your accounts, for the models of Amp's present generation (Neo).

    Experimental: no real account of Amp's has tried it yet. The gateway needs a public address for it
    (docs/neo.md).
    """


@command.command("setup")
@click.option("--run", is_flag=True, help="Run the commands instead of printing them.")
@click.option("--local", is_flag=True, help="Create the key and the section neo, and change nothing at Amp.")
@click.option("--undo", is_flag=True, help="Remove the connections at Amp, the section and the key.")
@click.option("--url", help="The address at which Amp's cloud reaches the gateway: https://gw.example.org.")
@click.option(
    "--listen",
    default=LISTEN,
    show_default=True,
    help="The listener for a tunnel or a proxy; none: the gateway's own listener.",
)
@click.option("--no-stream", is_flag=True, help="Try the address without sending a request to a model.")
@thread_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
def setup(
    run: bool,
    local: bool,
    undo: bool,
    url: str | None,
    listen: str,
    no_stream: bool,
    thread: str | None,
    yes: bool,
    file: Path | None,
) -> None:
    """Find which of the models that Amp uses are served here, and print the commands that route them here.

    With --run: creates the key and the section neo, tries the public address, creates an inactive connection
    at Amp for each format that is needed, has Amp test it, and only then activates it. Models that are not
    served here stay with Amp.

    Exit status 0 if everything is set up, else 1.
    """
    if undo:
        _take_back(file, yes)
        return
    book = _book(file)
    address = public_url(book.config, url)
    account = amp_account(book.config)
    plan = make_plan(book.config, address, account)
    for line in plan.summary():
        click.echo(line)
    if not (run or local):
        for line in _commands(book.config, plan, url, listen):
            click.echo(line)
        return
    if run and account is None:
        raise click.ClickException(f"{_NO_ACCOUNT}: without --run the commands of Amp's CLI are printed")
    if not yes:
        click.confirm("Do this?", abort=True, err=True)
    _write_section(book, address, listen)
    if local or account is None:
        return
    _lead_here(file, plan, account, no_stream, thread)


def _lead_here(
    file: Path | None, plan: Plan, account: AmpAccount, no_stream: bool, thread: str | None
) -> None:
    """
    :raises SystemExit: with 1: not all of it is in force.
    """
    config = read_config(file)
    key = needed_key(config)
    put_in_force(plan.url, key)
    probe = None if no_stream else plan.probe()
    if not _shown(PublicAddress(plan.url, key).examine(probe, time.time())):
        click.echo("Nothing was changed at Amp: mend this, and start again.", err=True)
        raise SystemExit(1)
    try:
        done = connect(account, plan.wanted, key, click.echo)
        if done and thread:
            done = check_access(account, leading_to(plan.url, account.listing().keys), thread, click.echo)
    except AmpRefused as why:
        raise click.ClickException(f"{why}. {_UNDO} takes back what was done") from None
    click.echo("What comes here is billed to your accounts; what stays with Amp, from Amp's credits.")
    click.echo("If this machine sleeps, or its tunnel is down, these models are an error in Amp.")
    if not done:
        raise SystemExit(1)


@command.command("status")
@config_option
def status(file: Path | None) -> None:
    """Show the section, the connections at Amp that lead here, and the last request by each.

    Exit status 0 if there is an active one and nothing takes precedence over it, else 1.
    """
    config = _with_neo(file)
    assert config.neo is not None
    address = config.neo.public_url
    click.echo(f"Public address: {address or 'neo.public-url is not set'}")
    click.echo(f"Listener of its own: {config.neo.listen or 'none'}")
    click.echo(f"Key: {'to be had here' if known_key(config) else 'its hash alone is here'}")
    last = last_request(config)
    click.echo(f"Last request with it: {last(None)}")
    account = _account(config)
    try:
        there = account.listing().keys
    except AmpRefused as why:
        raise click.ClickException(str(why)) from None
    mine = leading_to(address, there)
    if not mine:
        click.echo("No connection at Amp leads here: ampproxy neo setup")
        raise SystemExit(1)
    here = {served.asked for served in make_plan(config, address, account).models.here}
    good = any(one.active for one in mine)
    for one in mine:
        for line in _connection(one):
            click.echo(line)
        click.echo(f"    last request: {last(names_sent(one))}")
        for trouble in troubles(one, there, here, address):
            good = False
            click.echo(f"    {trouble.text}{f' ({trouble.todo})' if trouble.todo else ''}")
    if not good:
        raise SystemExit(1)


def _connection(one: Connection) -> Iterator[str]:
    state = "active" if one.active else "inactive"
    if one.inactive is not None and one.inactive.text:
        state += f" ({printable(one.inactive.text)})"
    config = one.config
    name, url = printable(one.name or one.id), printable(config.baseURL)
    yield f"{name}: {state}, priority {one.priority}, {config.apiFormat}, {url}, id {one.id}"
    yield from (f"    {printable(line)}" for line in (config.modelMapping or "*/*").split("\n"))


@command.command("test")
@click.option("--no-stream", is_flag=True, help="Send no request to a model.")
@click.option("--no-amp", is_flag=True, help="Do not have Amp test the connections.")
@thread_option
@config_option
def test(no_stream: bool, no_amp: bool, thread: str | None, file: Path | None) -> None:
    """Try the public address as Amp's cloud would, and have Amp test its connections.

    This sends a streamed request of about a hundred tokens, for which an account of yours pays.

    Exit status 0 if nothing is wrong, else 1.
    """
    config = _with_neo(file)
    address = public_url(config, None)
    key = needed_key(config)
    account = None if no_amp else _account(config)
    probe = None if no_stream else make_plan(config, address, account).probe()
    good = _shown(PublicAddress(address, key).examine(probe, time.time()))
    if account is not None:
        try:
            for one in leading_to(address, account.listing().keys):
                why = account.test(one)
                good = good and not why
                click.echo(f"Amp's test of {printable(one.name or one.id)}: {why or 'ok'}")
            if thread:
                mine = leading_to(address, account.listing().keys)
                good = check_access(account, mine, thread, click.echo) and good
        except AmpRefused as why_not:
            raise click.ClickException(str(why_not)) from None
    if not good:
        raise SystemExit(1)


@command.command("rotate")
@click.option(
    "--keep",
    callback=lifetime,
    default="1d",
    show_default=True,
    help="How long the old key stays valid: 12h, 7d; 0 for not at all.",
)
@config_option
def rotate(keep: float, file: Path | None) -> None:
    """Create a new key, and give it to the connections at Amp that lead here.

    The old key stays valid for a while, so nothing fails in between.
    """
    book = _book(file)
    neo = book.config.neo
    if neo is None:
        raise click.ClickException("there is no section neo: ampproxy neo setup")
    account = amp_account(book.config)
    with new_key(book.config) as key:
        until = _exchange_keys(book, neo.client.current_hash, key, keep)
    by_hand = "amp config model-providers edit-router ID --api-key-file " + _quoted(key_file(book.config))
    if account is None:
        click.echo(f"{_NO_ACCOUNT}. Give each connection the new key:\n  {by_hand}")
        return
    if neo.public_url:
        put_in_force(neo.public_url, key)
    try:
        connect_with_key(account, leading_to(neo.public_url, account.listing().keys), key, click.echo)
    except AmpRefused as why:
        raise click.ClickException(
            f"{why}. The old key is valid until {until or 'now'}. Give each connection the new one: {by_hand}"
        ) from None


def _exchange_keys(book: ConfigFile, old: str | None, key: Secret, keep: float) -> str:
    """Have the configuration hold another key, and say until when the old one is valid; empty: it is not."""
    changes: dict[str, str | None] = {"key": None, "key-hash": stored_hash(key)}
    until = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + keep)) if keep and old else ""
    changes["old-key-hash"] = f"sha256:{old}" if until else None
    changes["old-until"] = until or None
    book.change(lambda text: change_neo(text, changes), "the key for Amp's cloud is another one")
    return until


def _write_section(book: ConfigFile, address: str, listen: str) -> None:
    neo = book.config.neo
    changes: dict[str, str | None] = {"public-url": address}
    if neo is None:
        if listen != "none":
            changes["listen"] = listen
        with new_key(book.config) as key:
            changes["key-hash"] = stored_hash(key)
            book.change(lambda text: change_neo(text, changes), _WRITTEN)
        click.echo(f"The key for Amp's cloud is in {key_file(book.config)}.", err=True)
    elif neo.public_url != address:
        book.change(lambda text: change_neo(text, changes), "the section neo was changed")


def _take_back(file: Path | None, yes: bool) -> None:
    book = _book(file)
    neo = book.config.neo
    account = amp_account(book.config)
    if neo is None:
        click.echo("There is no section neo: nothing to take back.")
        return
    if not yes:
        click.confirm("Remove the connections at Amp, the section neo and its key?", abort=True, err=True)
    if neo.public_url and account is not None:
        try:
            disconnect(account, leading_to(neo.public_url, account.listing().keys), click.echo)
        except AmpRefused as why:
            raise click.ClickException(f"{why}. The section is as it was") from None
    else:
        click.echo("Remove its connections by hand: amp config model-providers list, then delete ID.")
    _take_out(book)
    files.remove(key_file(book.config))


def _take_out(book: ConfigFile) -> None:
    """As it was, byte by byte, if nothing has changed since; else the section alone."""
    try:
        change = book.changes.last(book.path)
        if change.what == _WRITTEN:
            book.changes.take_back(change)
            click.echo(f"{book.path}: as it was.", err=True)
            return
    except (CannotUndo, OSError):
        pass
    book.change(remove_neo, "neo was taken out")


def _commands(config: Config, plan: Plan, url: str | None, listen: str) -> Iterator[str]:
    """What --run would do, as commands."""
    local = ["ampproxy", "neo", "setup", "--local"]
    if url is not None:
        local += ["--url", url]
    if listen != LISTEN:
        local += ["--listen", listen]
    yield ""
    yield "Nothing was changed. ampproxy neo setup --run does all of this:"
    yield f"  {shlex.join(local)}"
    yield "  ampproxy neo test --no-amp"
    for wanted in plan.wanted:
        yield f"  {wanted.add_command(str(key_file(config)))}"
    yield "and for each ID that these print:"
    yield "  amp config model-providers test ID && amp config model-providers activate ID"
    yield "  amp config model-providers set-priority ID 0"
    example = plan.wanted[0].rules[0].pattern if plan.wanted else "PROVIDER/MODEL"
    yield "To see a model served, in a thread of yours (it costs some tokens):"
    yield f"  amp config model-providers check-access --provider-model {example} --thread THREAD"


def _shown(findings: Iterable[Finding]) -> bool:
    """Print findings as they come; whether none is a problem."""
    good = True
    for finding in findings:
        good = good and finding.level != "problem"
        click.echo(f"  {finding.level:<8} {finding.text}")
        if finding.todo:
            click.echo(f"           To do: {finding.todo}")
    return good


def _book(file: Path | None) -> ConfigFile:
    return ConfigFile(named(file), FOLDER, _UNDO)


def _with_neo(file: Path | None) -> Config:
    config = read_config(file)
    if config.neo is None:
        raise click.ClickException("there is no section neo: ampproxy neo setup")
    return config


def _account(config: Config) -> AmpAccount:
    found = amp_account(config)
    if found is None:
        raise click.ClickException(_NO_ACCOUNT)
    return found


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
