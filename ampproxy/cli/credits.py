"""``ampproxy credits``: what may go to Amp, and what has gone there today under the daily limits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from ampproxy.cli.configured import config_option, read_config
from ampproxy.cli.kept import kept
from ampproxy.config.schema import FallbackRule
from ampproxy.credentials.names import client_name, read_salt
from ampproxy.credits.allowance import NAME, digest_of, name_of
from ampproxy.ledger import LedgerError
from ampproxy.ledger.file import exists
from ampproxy.model.clients import ClientKey
from ampproxy.routing.fallback import limits_of
from ampproxy.wire.redact import Secret, Unseen
from ampproxy.wire.words import counted


class _Used(NamedTuple):
    """What a client has used today, by the name that the log has for it."""

    who: str
    requests: int
    tokens: int


@click.command("credits")
@config_option
def command(file: Path | None) -> None:
    """List the rules of ampcode.fallback, with today's use of each daily limit.

    The counts come from the state directory of the service or, if none runs, of the configuration.
    """
    config = read_config(file)
    if not config.ampcode.upstream_url:
        click.echo("Nothing goes to Amp: ampcode.upstream-url is not set.")
        return
    rules = config.ampcode.fallback
    if not any(rule.action == "limit" for rule in rules):
        place, used = None, {}
    else:
        place = kept(config)
        used = _used(place.folder, config.clients)
    for line in lines(rules, used):
        click.echo(line)
    if place is not None:
        click.echo(f"Counted in {place.folder / NAME}, {place.whose}")


def lines(rules: Iterable[FallbackRule], used: dict[str, list[_Used]]) -> Iterator[str]:
    """One line for each rule, and below it what has been used.

    :param used: by the rule's name: what each client has, or all together.
    """
    number, everything = 0, False
    for number, rule in enumerate(rules, 1):
        models = ", ".join(rule.models) or "all models"
        roles = f" for {', '.join(rule.roles)}" if rule.roles else ""
        yield f"{number}. {models}{roles}: {_action(rule)}"
        everything = everything or not (rule.models or rule.roles)
        if rule.action != "limit":
            continue
        counts = used.get(name_of(rule), [])
        for who, requests, tokens in counts:
            whose = who if rule.per_client else "today"
            yield f"   {whose}: {counted(requests, 'request')}, {counted(tokens, 'token')}"
        if not counts:
            yield "   today: nothing"
    if not everything:
        yield f"{number + 1}. anything else: never sent to Amp"


def _action(rule: FallbackRule) -> str:
    if rule.action == "limit":
        return f"up to {limits_of(rule)}"
    return "goes to Amp" if rule.action == "allow" else "never sent to Amp"


def client_names(folder: Path, clients: Sequence[ClientKey]) -> dict[Secret, str]:
    """The clients' names in log and ledger, by what each is known by; where no salt is kept, of those without
    a name their places among ``api-keys``.
    """
    try:
        salt = read_salt(folder)
    except OSError:
        salt = None
    found: dict[Secret, str] = {}
    for at, client in enumerate(clients):
        if client.name or not isinstance(client.secret, Unseen):
            place = f"api-keys[{at}]" if salt is None else client_name(client.identity, salt)
            found[client.identity] = client.name or place
    return found


def _used(folder: Path, clients: Sequence[ClientKey]) -> dict[str, list[_Used]]:
    """What today has used, the most first.

    :param folder: of the service's state.
    """
    found: dict[str, list[_Used]] = {}
    path = folder / NAME
    try:
        if not exists(path):
            return found
    except LedgerError as error:
        raise click.ClickException(str(error)) from None
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            salts = [salt for (salt,) in database.execute("SELECT value FROM salt")]
            shown = client_names(folder, clients)
            names = {digest_of(key, salt): name for salt in salts for key, name in shown.items()}
            names[""] = "clients without a key"
            rows = database.execute(
                "SELECT rule, client, requests, tokens FROM used WHERE day = ?"
                " ORDER BY requests DESC, tokens DESC, client",
                (time.strftime("%Y-%m-%d"),),
            )
            for rule, client, requests, tokens in rows:
                # Amp's users are known by their keys, which nobody but the service has.
                who = names.get(client, "another client")
                found.setdefault(rule, []).append(_Used(who, requests, tokens))
        finally:
            database.close()
    except sqlite3.Error as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from None
    return found
