"""``ampproxy key``: make, list, change, rotate and revoke client keys, in the configuration file."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ampproxy.cli.as_json import reports_json
from ampproxy.cli.config_file import ConfigFile
from ampproxy.cli.configured import config_option, named, read_config
from ampproxy.cli.credits import client_names
from ampproxy.cli.kept import Kept, kept
from ampproxy.cli.key_options import (
    COLLECTED,
    entry_options,
    lifetime,
    merged_limits,
    settings_of,
    unset_option,
)
from ampproxy.cli.terminal import Column, Table, sentence, width
from ampproxy.config.clients import NAME_RULE, is_name
from ampproxy.config.edit import CannotEdit
from ampproxy.config.entries import add_entry, change_entry, entries, remove_entry
from ampproxy.config.schema import Config
from ampproxy.credentials.names import read_salt
from ampproxy.desktop.clients.undo import CannotUndo, Changes
from ampproxy.model.clients import ClientKey, Period, hash_of
from ampproxy.model.sharing import StateSettings
from ampproxy.tenants.counting import Amounts, windows_of
from ampproxy.tenants.shown import in_short, limits_of, rights_of, state_of
from ampproxy.tenants.store import NAME as COUNTS
from ampproxy.tenants.store import CountsFailed
from ampproxy.tenants.tenant import tenant_id

#: Bytes of a new key: 256 bits, which is why a plain SHA-256 of it may be stored.
_KEY_BYTES = 32
_FOLDER = "keys"
_COLUMNS = (Column("name"), Column("what", least=30, wraps=True))


@dataclass(frozen=True, slots=True)
class _Found:
    """An entry of the file.

    :param index: its place in the list of the text.
    :param value: as YAML reads it.
    """

    index: int
    value: Any
    client: ClientKey
    label: str


class _Book(ConfigFile):
    """The configuration file, read once, and changed once.

    :raises click.ClickException: it cannot be read, or is wrong.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__(file, _FOLDER, "ampproxy key undo")

    def labels(self) -> dict[int, str]:
        """How the log names each client, by the place of its entry in the list."""
        names = client_names(self.config.state_dir, self.config.clients)
        return {
            client.index: client.name or names.get(client.identity, "a key that is not here")
            for client in self.config.clients
        }

    def find(self, name: str) -> _Found:
        """An entry by its name, or by the name that the log has for it.

        :raises click.ClickException: there is none.
        """
        labels = self.labels()
        values = self._entries()
        for client in self.config.clients:
            if labels[client.index].lower() == name.lower():
                return _Found(client.index, values[client.index], client, labels[client.index])
        known = ", ".join(labels.values()) or "there is none at all"
        raise click.ClickException(f"there is no client key named {name!r}: {known}")

    def _entries(self) -> list[Any]:
        try:
            return entries(self.text)
        except CannotEdit as why:
            raise click.ClickException(f"{self.path} cannot be changed: {why}") from None


@click.group("key")
def command() -> None:
    """Create, list, change, rotate and revoke client keys.

    They are entries of api-keys in the configuration file. Only what you ask for is changed there: comments,
    order and everything else stay. A new key is printed once, and only its hash is stored.
    """


@command.command("new")
@click.argument("name")
@entry_options
@config_option
@reports_json
def new(name: str, file: Path | None, **options: Any) -> None:
    """Create a key for a client called NAME, and print it once.

    Without --route it opens only requests to models.
    """
    if not is_name(name):
        raise click.BadParameter(f"expected {NAME_RULE}", param_hint="NAME")
    book = _Book(file)
    if any(client.name.lower() == name.lower() for client in book.config.clients):
        raise click.ClickException(
            f"there is a client key named {name!r} already: ampproxy key rotate {name}"
        )
    key = secrets.token_urlsafe(_KEY_BYTES)
    given = {"routes": ["models"], **settings_of(options)}
    settings = {setting: given[setting] for setting in COLLECTED if setting in given}
    book.change(
        lambda text: add_entry(text, {"name": name, "key-hash": _stored(key), **settings}),
        f"a client key for {name} was added",
    )
    if not book.config.clients:
        click.echo("It is the first client key: from now on requests without a key are rejected.", err=True)
    _print_once(key)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def list_keys(as_json: bool, file: Path | None) -> None:
    """List the client keys: names, expiry, rights and limits."""
    book = _Book(file)
    labels, now = book.labels(), time.time()
    rows = [
        (labels[client.index], state_of(client, now), _kind(client), in_short(client))
        for client in book.config.clients
    ]
    if as_json:
        names = ("name", "state", "stored", "may")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    if not rows:
        sentence("There are no client keys: all local requests are accepted.")
    shown = [(name, f"{state}; {kind}; may: {may}") for name, state, kind, may in rows]
    table = Table(_COLUMNS, shown, width(), headed=False)
    for row in shown:
        for line in table.row(row):
            click.echo(line)


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def show(name: str, as_json: bool, file: Path | None) -> None:
    """Show one client key, and the use of its limits."""
    book = _Book(file)
    found = book.find(name)
    client, now = found.client, time.time()
    place = kept(book.config) if client.limits else None
    used = {} if place is None else _used(place, client, now)
    lines = [*rights_of(client), *limits_of(client, used, now)]
    if as_json:
        about = {"name": found.label, "state": state_of(client, now), "stored": _kind(client), **dict(lines)}
        click.echo(json.dumps(about, indent=2))
        return
    sentence(f"{found.label}: {state_of(client, now)} ({_kind(client)}; line {client.line} of {book.path})")
    table = Table(_COLUMNS, lines, width(), "  ", headed=False)
    for row in lines:
        for line in table.row(row):
            click.echo(line)
    if place is not None and place.config.state is not None:
        sentence(f"Counted in {place.config.state.url}, for all gateways that share their state by it.")
    elif place is not None:
        sentence(f"Counted in {place.folder / COUNTS}, {place.whose}")


@command.command("edit")
@click.argument("name")
@click.option("--name", "renamed", metavar="NAME", help="A new name. Its limits then count from zero.")
@entry_options
@unset_option
@config_option
@reports_json
def edit(name: str, renamed: str | None, unset: tuple[str, ...], file: Path | None, **options: Any) -> None:
    """Change a client key's rights and limits. Settings that are not named stay.

    --limit changes single limits: --limit requests-per-day=100, --limit requests-per-day=none.
    """
    if renamed is not None and not is_name(renamed):
        raise click.BadParameter(f"expected {NAME_RULE}", param_hint="--name")
    book = _Book(file)
    found = book.find(name)
    changes: dict[str, Any] = dict.fromkeys(unset)
    changes |= settings_of(options)
    if options["limits"]:
        before = found.value.get("limits") if isinstance(found.value, dict) else None
        changes["limits"] = merged_limits(before or {}, options["limits"])
    if renamed is not None:
        changes["name"] = renamed
    if not changes:
        raise click.UsageError("nothing is to be changed: see ampproxy key edit --help")
    order = sorted(changes, key=lambda setting: COLLECTED.index(setting) if setting in COLLECTED else -1)
    book.change(
        lambda text: change_entry(text, found.index, {setting: changes[setting] for setting in order}),
        f"the client key of {found.label} was changed ({', '.join(order)})",
    )


@command.command("rotate")
@click.argument("name")
@click.option(
    "--keep",
    callback=lifetime,
    default="1d",
    show_default=True,
    help="How long the old key stays valid: 12h, 7d; 0 for not at all.",
)
@config_option
@reports_json
def rotate(name: str, keep: float, file: Path | None) -> None:
    """Replace a client's key, and print the new one once. Both keys are valid for a while.

    The client's name, rights and recorded use stay.
    """
    book = _Book(file)
    found = book.find(name)
    client = found.client
    if not client.name:
        raise click.ClickException(
            f"{found.label} has no name, by which its hash would be known: ampproxy key edit {found.label}"
            " --name NAME"
        )
    if keep and not client.current_hash:
        raise click.ClickException(
            f"the key of {found.label} is not to be had here ({client.secret}), so that it cannot be kept:"
            " --keep 0 replaces it at once"
        )
    key = secrets.token_urlsafe(_KEY_BYTES)
    changes: dict[str, Any] = {"key": None, "key-hash": _stored(key)}
    if keep:
        changes["old-key-hash"] = f"sha256:{client.current_hash}"
        changes["old-until"] = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + keep))
    else:
        changes |= {"old-key-hash": None, "old-until": None}
    valid = f", the old one is valid until {changes['old-until']}" if keep else ", the old one ends now"
    book.change(
        lambda text: change_entry(text, found.index, changes),
        f"the client {found.label} has another key{valid}",
    )
    _print_once(key)


@command.command("revoke")
@click.argument("name")
@click.option("--old", is_flag=True, help="Only the key before the last rotation.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
@reports_json
def revoke(name: str, old: bool, yes: bool, file: Path | None) -> None:
    """Remove a client key from the file. Its running requests end within a second."""
    book = _Book(file)
    found = book.find(name)
    if old and not found.client.old_hash:
        raise click.ClickException(f"{found.label} has no key before a rotation")
    if not old and len(book.config.clients) == 1:
        raise click.ClickException(
            f"{found.label} is the only client key: without any, all local requests would be accepted."
            " Make another one first (ampproxy key new)"
        )
    if not yes:
        click.confirm(f"Revoke {'the old key' if old else 'the key'} of {found.label}?", abort=True, err=True)
    if old:
        gone: dict[str, Any] = {"old-key-hash": None, "old-until": None}
        book.change(
            lambda text: change_entry(text, found.index, gone), f"the old key of {found.label} was revoked"
        )
    else:
        book.change(
            lambda text: remove_entry(text, found.index), f"the client key of {found.label} was revoked"
        )


@command.command("undo")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
@reports_json
def undo(yes: bool, file: Path | None) -> None:
    """Revert the last change by this command, byte by byte."""
    path = named(file).absolute()
    changes = Changes(_state_dir(file) / _FOLDER)
    try:
        change = changes.last(path)
        if not yes:
            click.confirm(f"{path}: {change.what}. Take this back?", abort=True, err=True)
        changes.take_back(change)
    except CannotUndo as why:
        raise click.ClickException(str(why)) from None
    except OSError as error:
        raise click.ClickException(f"{path} was not changed: {error}") from None
    click.echo(f"{path}: taken back: {change.what}.", err=True)


def _state_dir(file: Path | None) -> Path:
    config: Config = read_config(file)
    return config.state_dir


def _stored(key: str) -> str:
    return f"sha256:{hash_of(key)}"


def _print_once(key: str) -> None:
    """The key alone goes to standard output: ``KEY=$(ampproxy key new ci)``."""
    click.echo("The key, which is shown this once and stored nowhere:", err=True)
    click.echo(key)


def _kind(client: ClientKey) -> str:
    if client.hash:
        return "stored as a hash"
    return "stored as a text"


def _used(place: Kept, client: ClientKey, now: float) -> dict[Period, Amounts]:
    """What a client has used of its limits; nothing where nothing is kept.

    :raises click.ClickException: it cannot be read.
    """
    path, shared = place.folder / COUNTS, place.config.state
    if shared is not None:
        return _used_of_all(shared, tenant_id(client, read_salt(place.folder) or b""), client, now)
    if not path.exists():
        return {}
    try:
        identity = tenant_id(client, read_salt(place.folder) or b"")
        return dict(_rows(path, identity, client, now))
    except (sqlite3.Error, OSError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _used_of_all(
    shared: StateSettings, identity: str, client: ClientKey, now: float
) -> dict[Period, Amounts]:
    """What a client has used at all gateways that share their state.

    :raises click.ClickException: it cannot be read.
    """
    # Not at the top: most gateways have no Redis, and not its client library.
    from ampproxy.tenants.reading import counts_to_read

    try:
        with counts_to_read(Path(), shared, now) as counts:
            return counts.used(identity, client.limits)
    except (CountsFailed, ImportError) as error:
        raise click.ClickException(f"What is used cannot be read: {error}") from None


def _rows(path: Path, identity: str, client: ClientKey, now: float) -> Iterator[tuple[Period, Amounts]]:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        for period, start in windows_of(client.limits, now):
            row = database.execute(
                "SELECT requests, tokens, usd FROM used WHERE tenant = ? AND period = ? AND start = ?",
                (identity, period, start),
            ).fetchone()
            if row is not None:
                yield period, Amounts(*row)
    finally:
        database.close()
