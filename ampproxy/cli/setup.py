"""``ampproxy setup``: have Amp's clients on this machine use the gateway, and take that back."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from ampproxy.cli.as_json import reports_json
from ampproxy.cli.configured import as_running, below, config_option, demand, read_config
from ampproxy.config.edit import keys_place
from ampproxy.config.folders import default_state_dir
from ampproxy.config.load import find, load
from ampproxy.config.schema import Config
from ampproxy.desktop.clients.agents import AGENTS, BY_NAME
from ampproxy.desktop.clients.forms import CLIENT_KEYS
from ampproxy.desktop.clients.gateway import Seen, look, loopback_url
from ampproxy.desktop.clients.journal import Journal
from ampproxy.desktop.clients.owners import trusted_uids
from ampproxy.desktop.clients.places import (
    KEY_VARIABLE,
    URL,
    URL_VARIABLE,
    Editor,
    Machine,
    cli_secrets,
    cli_settings,
    editors,
    secret_member,
)
from ampproxy.desktop.clients.scan import same_address, shown_url
from ampproxy.desktop.clients.setup import (
    Change,
    Refused,
    Text,
    Undone,
    Wanted,
    apply,
    look_back,
    new_key,
    plan,
    take_back,
)
from ampproxy.errors import ConfigError
from ampproxy.wire.redact import Secret, Unseen, printable

#: A line for a text of a change, with what it was before; ``None``: it was not there.
Described = Callable[[Text, "str | None"], str]

#: Seconds within which a running service has read its changed configuration, with room to spare.
_RELOADED = 10.0
_FOLDER = "setup"


@dataclass(frozen=True, slots=True)
class Target:
    """Which clients are set up, for which gateway.

    :param fresh: whether the key is a new one, which the configuration is still to hold.
    """

    url: str
    key: str
    fresh: bool
    cli: bool
    editors: tuple[Editor, ...]


@click.command("setup")
@click.argument("client", required=False, type=click.Choice([agent.name for agent in AGENTS]))
@click.option("--model", help="The model that another agent than Amp is to ask for.")
@click.option("--cli", is_flag=True, help="Set up Amp's command line.")
@click.option("--vscode", is_flag=True, help="Set up VS Code and its derivatives that have Amp's extension.")
@click.option("--undo", is_flag=True, help="Revert everything that setup has changed.")
@click.option("--url", help="The gateway's address, if it is not the configured one on this machine.")
@click.option("--dry-run", is_flag=True, help="Show the changes without making them.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--no-check", is_flag=True, help="Do not check that the gateway accepts the key.")
@config_option
@reports_json
def command(
    client: str | None,
    model: str | None,
    cli: bool,
    vscode: bool,
    undo: bool,
    url: str | None,
    dry_run: bool,
    yes: bool,
    no_check: bool,
    file: Path | None,
) -> None:
    """Point Amp's clients on this machine, or another coding agent, CLIENT, at the gateway: write its address
    and a client key into their settings.

    Without CLIENT, --cli and --vscode this sets up the command line and each editor that has Amp's extension.
    If the configuration has no client key, one is created and written into it. All other content of the files
    is kept, including comments. --undo reverts everything; with CLIENT, what was set for that one.

    Exit status 0 if everything is set up and the gateway accepts the key, else 1.
    """
    machine = Machine(Path.home(), os.environ, sys.platform)
    if client is not None:
        if cli or vscode:
            raise click.UsageError("--cli and --vscode are Amp's: leave them out with another client")
        from ampproxy.cli import setup_agents

        asked = setup_agents.Asked(BY_NAME[client], model or "", url, dry_run, yes, no_check)
        setup_agents.run(machine, file, asked, undo=undo)
        return
    if model:
        raise click.UsageError("--model is for another client than Amp: name one")
    if undo:
        if cli or vscode or url:
            raise click.UsageError("--undo takes everything back: leave out --cli, --vscode and --url")
        main = journal_of(machine, file)
        undo_all([main, *(main.beside(agent.name) for agent in AGENTS)], dry_run, yes)
        return
    config = as_running(read_config(file))
    demand(below(config, "state-dir"), "setup")
    target = _target(config, machine, cli, vscode, url)
    _set_up(config, machine, target, dry_run, yes)
    if dry_run:
        return
    for line in _overridden(machine, target):
        click.echo(line)
    for line in (*_exposed(config, target), *_by_hand(target)):
        click.echo(line)
    if not no_check:
        check_served(config, target, own=url is None)


def _target(config: Config, machine: Machine, cli: bool, vscode: bool, url: str | None) -> Target:
    found = tuple(editors(machine))
    if vscode and not found:
        raise click.ClickException(
            "no editor with Amp's extension was found: install it (sourcegraph.amp), then try again"
        )
    key, fresh = client_key(config)
    neither = not cli and not vscode
    return Target(
        gateway_address(config, url),
        key,
        fresh,
        cli or neither,
        found if vscode or neither else (),
    )


def client_key(config: Config) -> tuple[str, bool]:
    """A key that opens all, and whether it is a new one, which the configuration is still to hold.

    :raises click.ClickException: there are keys, and none of them is to be had here.
    """
    # One that ends, or does not open all that clients ask for, is somebody else's.
    full = [key for key in config.clients if not key.is_restricted and key.expires is None]
    secrets = [key.secret for key in full if key.secret is not None]
    here = [key.reveal() for key in secrets if not isinstance(key, Unseen)]
    if secrets and not here:
        demand(below(config, "api-keys", "access"), "setup writes a client key, and")
    return (here[0], False) if here else (new_key(), True)


def gateway_address(config: Config, url: str | None) -> str:
    """The address that clients are told: the configured one on this machine, or the one that is given.

    :raises click.UsageError: there is none, or it is none.
    """
    if url is None:
        own = loopback_url(config.host, config.port, config.tls is not None)
        if not own:
            raise click.UsageError("with port: 0 the gateway has no fixed address: give one with --url")
        return own
    try:
        parts = urlsplit(url)
        good = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        good = False
    if (
        not good
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or parts.username
        or not url.isascii()
    ):
        raise click.BadParameter(
            "expected http:// or https:// with a host, perhaps a port, and nothing behind it",
            param_hint="--url",
        )
    return url.rstrip("/")


def _wanted(config: Config, machine: Machine, target: Target) -> Iterator[Wanted]:
    # The key goes into the configuration last: a service that reads it at once then asks for a key
    # that the clients have already.
    address = Text(URL, target.url)
    if target.cli:
        yield Wanted(cli_settings(machine), "the CLI's settings", (address,))
        key = Text(secret_member(target.url), target.key, secret=True)
        yield Wanted(cli_secrets(machine), "the CLI's keys", (key,), "secrets")
    for editor in target.editors:
        for path in (editor.settings(machine), *editor.profiles(machine)):
            yield Wanted(path, f"the settings of {editor.name}", (address,), "editor")
    if target.fresh:
        yield from key_wanted(config, target.key)


def key_wanted(config: Config, key: str) -> Iterator[Wanted]:
    """A new client key, in the configuration."""
    if config.source is not None:
        text = Text(CLIENT_KEYS, key, secret=True)
        yield Wanted(config.source.absolute(), "the gateway's configuration", (text,), "config")


def _set_up(config: Config, machine: Machine, target: Target, dry_run: bool, yes: bool) -> None:
    journal = Journal(config.state_dir / _FOLDER)
    planned = [(_wanted(config, machine, target), journal)]
    if write(planned, _described, dry_run, yes) is None:
        click.echo("Nothing has to be changed: all is set up.")


def write(
    planned: Sequence[tuple[Iterable[Wanted], Journal]],
    described: Described,
    dry_run: bool,
    yes: bool,
    undo: str = "",
) -> bool | None:
    """Show what has to be written, ask, and write it; ``None``: nothing has to be.

    :param planned: in the order of writing, each with the journal that remembers it; the first one's folder
        is shown.
    :param described: a line for a text of a change, with what it was before.
    :param undo: whose settings are taken back; empty: all.
    :raises click.ClickException: nothing was changed.
    """
    try:
        found = [(plan(wanted, journal), journal) for wanted, journal in planned]
        changes = [change for some, _ in found for change in some]
        if not changes:
            return None
        for line in _shown(changes, described):
            click.echo(line)
        if dry_run:
            click.echo("Nothing was changed.")
            return False
        if not yes:
            click.confirm("Change these files?", abort=True)
        for some, journal in found:
            if some:
                apply(some, journal)
    except Refused as refused:
        raise click.ClickException(refusal(refused)) from None
    click.echo(f"Done; ampproxy setup {undo}--undo takes it back (copies: {planned[0][1].folder}).")
    return True


def refusal(refused: Refused) -> str:
    """Why nothing was changed, for people."""
    return f"{printable(str(refused))}. Nothing was changed."


def _shown(changes: list[Change], described: Described) -> Iterator[str]:
    for change in changes:
        made = " (will be made)" if change.now is None else ""
        yield f"{printable(str(change.wanted.path))}{made}: {change.wanted.what}"
        for text in change.wanted.texts:
            was = change.was(text)
            if text.name == CLIENT_KEYS:
                place = keys_place((change.now or b"").decode())
                yield f"    {place}: adds a client key; requests without one will be rejected"
            elif was != text.text:
                yield f"    {described(text, was)}"


def _described(text: Text, was: str | None) -> str:
    if text.secret:
        return f"{text.name}: a client key of the gateway ({'new' if was is None else 'will be replaced'})"
    return f"{text.name}: {text.text} ({'is not set' if was is None else f'is {shown_url(was)}'})"


def _overridden(machine: Machine, target: Target) -> Iterator[str]:
    """What goes before the files in this environment."""
    url, key = machine.environ.get(URL_VARIABLE, ""), machine.environ.get(KEY_VARIABLE, "")
    before = "in this environment, which goes before the file: unset it."
    if url and not same_address(url, target.url):
        yield f"Note: {URL_VARIABLE} is set to {shown_url(url)} {before}"
    if key and key != target.key:
        yield f"Note: {KEY_VARIABLE} is set to another key {before}"


def _exposed(config: Config, target: Target) -> Iterator[str]:
    """A new key is no secret in a file that others can read."""
    path = config.source
    if target.fresh and path is not None and path.exists() and path.stat().st_mode & 0o077:
        yield f"Note: {path} can be read by others, and the new key with it: chmod 600 {path}"


def _by_hand(target: Target) -> Iterator[str]:
    """What no program can do for the user."""
    if not target.editors:
        return
    names = ", ".join(editor.name for editor in target.editors)
    yield (
        f"{names}: the editor keeps Amp's key in its own encrypted storage, where no other program can put"
        " one. Open Amp there, sign in, and where it asks for an access token or API key, paste this:"
    )
    yield f"\n    {target.key}\n"


def check_served(config: Config, target: Target, own: bool) -> None:
    """Ask the gateway as a client would.

    :raises SystemExit: with 1: it does not serve this key.
    """
    key = Secret(target.key)
    trusted = trusted_uids(config) if own else None
    seen = look(target.url, key, trusted=trusted)
    until = time.monotonic() + _RELOADED
    while seen.state == "refused" and target.fresh and time.monotonic() < until:
        time.sleep(0.2)
        seen = look(target.url, key, trusted=trusted)
    if seen.state == "ready":
        models = f"{seen.models or 'no'} model{'' if seen.models == 1 else 's'}"
        click.echo(f"The gateway at {target.url} takes the key and lists {models}.")
        return
    click.echo(f"Error: {_trouble(config, target, own, seen)}", err=True)
    raise SystemExit(1)


def _trouble(config: Config, target: Target, own: bool, seen: Seen) -> str:
    """What is wrong, and what helps."""
    url = target.url
    if seen.state == "down":
        start = f"start it: ampproxy serve --config {config.source}" if own else "start it there"
        return f"The clients are set up, but no answer at {url} ({seen.why}): {start}"
    if seen.state == "refused":
        return (
            f"The gateway at {url} does not take the key ({seen.why}): was it started with another"
            f" configuration than {config.source}?"
        )
    if seen.state == "stranger":
        return f"The clients are set up, but no key was sent to {url}: {seen.why}. Find out who has the port"
    if seen.state == "untrusted":
        return (
            f"The certificate at {url} is not trusted ({seen.why}), and Amp's clients will not trust it:"
            " name the gateway as its certificate does (--url), and if that is your own, set"
            " NODE_EXTRA_CA_CERTS for the clients"
        )
    return f"Something else than ampproxy answers at {url} ({seen.why}): stop it, or set another port"


def undo_all(journals: Sequence[Journal], dry_run: bool, yes: bool) -> None:
    """Take back what some journals remember.

    :raises SystemExit: with 1: not all of it could be.
    """
    try:
        seen = [look_back(journal) for journal in journals]
        if not any(one.files or one.failed for one in seen):
            click.echo(f"There is nothing to take back ({journals[0].folder}).")
            return
        for one in seen:
            _echo(one)
        if dry_run:
            click.echo("Nothing was changed.")
            return
        if not yes:
            click.confirm("Take this back?", abort=True)
        done = [take_back(journal) for journal in reversed(journals)]
    except Refused as refused:
        raise click.ClickException(refusal(refused)) from None
    if failed := [failure for one in done for failure in one.failed]:
        for failure in failed:
            click.echo(f"Error: {printable(str(failure))}", err=True)
        click.echo("Some changes could not be reverted; fix these and try again.", err=True)
        raise SystemExit(1)
    click.echo("Reverted.")


def _echo(seen: Undone) -> None:
    for back in seen.files:
        click.echo(f"{printable(str(back.path))}: {back.how}")
        for name in back.left:
            click.echo(f"    {printable(name)} has been changed since, and stays")
    for refused in seen.failed:
        click.echo(f"{printable(str(refused.path))}: left as it is: {printable(refused.why)}")


def journal_of(machine: Machine, file: Path | None) -> Journal:
    """Where the changes are remembered, also if the configuration is broken or gone by now."""
    usual = Journal(default_state_dir(machine.environ, machine.home) / _FOLDER)
    found = file or find(machine.home)
    if found is None:
        return usual
    try:
        config = load(found, environ=machine.environ, home=machine.home, lenient=True)
        own = Journal(config.state_dir / _FOLDER)
    except ConfigError:
        return usual
    return own if own.folder.is_dir() or not usual.folder.is_dir() else usual
