"""``ampproxy setup CLIENT``: have another coding agent than Amp use the gateway, and take that back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from ampproxy.cli.configured import below, demand, read_config
from ampproxy.cli.setup import (
    Target,
    check_served,
    client_key,
    gateway_address,
    journal_of,
    key_wanted,
    undo_all,
    write,
)
from ampproxy.config.schema import Config
from ampproxy.desktop.clients.agents import Agent, Gateway
from ampproxy.desktop.clients.gateway import look
from ampproxy.desktop.clients.owners import trusted_uids
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.clients.scan import same_address, shown_url
from ampproxy.desktop.clients.setup import Text
from ampproxy.wire.redact import Secret, printable


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked for.

    :param model: empty: none was named.
    :param url: the gateway's address, where it is not the configured one.
    """

    agent: Agent
    model: str
    url: str | None
    dry_run: bool
    yes: bool
    no_check: bool


def run(machine: Machine, file: Path | None, asked: Asked, *, undo: bool) -> None:
    """Set the agent up, or take that back.

    :raises click.ClickException: nothing was changed.
    :raises SystemExit: with 1: the gateway does not serve the key, or not all could be taken back.
    """
    if undo:
        if asked.url or asked.model:
            raise click.UsageError("--undo takes everything of a client back: leave out --url and --model")
        undo_all([journal_of(machine, file).beside(asked.agent.name)], asked.dry_run, asked.yes)
        return
    config = read_config(file)
    demand(below(config, "state-dir"), "setup")
    key, fresh = client_key(config)
    target = Target(gateway_address(config, asked.url), key, fresh, False, ())
    gateway = _gateway(config, asked, target)
    _write(config, machine, file, asked, gateway, fresh)
    if asked.dry_run:
        return
    for line in (*_by_hand(asked.agent, gateway), *_overridden(asked.agent, machine, gateway)):
        click.echo(line)
    if not asked.no_check:
        check_served(config, target, own=asked.url is None)


def _gateway(config: Config, asked: Asked, target: Target) -> Gateway:
    """What the agent is to be told; its models are asked for where the agent has none of its own."""
    if not asked.agent.wants_model or asked.model:
        return Gateway(target.url, target.key, asked.model, (asked.model,) if asked.model else ())
    trusted = trusted_uids(config) if asked.url is None else None
    names = look(target.url, Secret(target.key), trusted=trusted).names
    if not names:
        raise click.ClickException(
            f"{asked.agent.title} has to be given a model: name one with --model, or start the gateway, whose"
            " first one is taken then"
        )
    return Gateway(target.url, target.key, names[0], names)


def _write(
    config: Config, machine: Machine, file: Path | None, asked: Asked, gateway: Gateway, fresh: bool
) -> None:
    main = journal_of(machine, file)
    # The gateway's key is not the agent's: it stays until all is taken back. It goes into the configuration
    # last, as with Amp's clients.
    planned = [(asked.agent.wanted(machine, gateway), main.beside(asked.agent.name))]
    keys = list(key_wanted(config, gateway.key)) if fresh else []
    done = write([*planned, (keys, main)], _described, asked.dry_run, asked.yes, f"{asked.agent.name} ")
    if done is None and asked.agent.places:
        click.echo("Nothing has to be changed: all is set up.")


def _described(text: Text, was: str | None) -> str:
    value = "a client key of the gateway" if text.secret else printable(text.text[:100])
    return f"{text.name.replace('/', '.')}: {value} ({'new' if was is None else 'will be replaced'})"


def _by_hand(agent: Agent, gateway: Gateway) -> Iterator[str]:
    """An agent that has no file for it."""
    if agent.places:
        return
    yield f"{agent.title} takes an address and a key from the environment alone. For this shell:\n"
    for name, value in agent.exports(gateway).items():
        yield f"    export {name}={shlex.quote(value)}"
    yield ""


def _overridden(agent: Agent, machine: Machine, gateway: Gateway) -> Iterator[str]:
    """What goes before the files in this environment."""
    address, key = agent.variables
    url = machine.environ.get(address, "") if address else ""
    before = "in this environment, which goes before the file: unset it."
    if url and agent.places and not same_address(url, agent.address(gateway.url)):
        yield f"Note: {address} is set to {shown_url(url)} {before}"
    if key and agent.places and machine.environ.get(key, gateway.key) != gateway.key:
        yield f"Note: {key} is set to another key {before}"
