"""``ampproxy check``: everything that is wrong with a configuration file, without starting anything."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click

from ampproxy.config.load import find, load, not_found
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def command(file: Path | None) -> None:
    """Say everything that is wrong with a configuration FILE.

    Without FILE it is the one that the service would find: config.yaml in ~/.config/ampproxy or in
    /etc/ampproxy. Exit status 0 if the service would start with it, perhaps with warnings, else 1.
    """
    home = Path.home()
    file = file or find(home)
    if file is None:
        raise click.ClickException(not_found(Path.cwd(), "ampproxy check config.yaml"))
    try:
        config = load(file, environ=os.environ, home=home)
    except ConfigError as error:
        for complaint in error.complaints:
            click.echo(complaint)
        _warn(error.warnings)
        raise SystemExit(1) from None
    _warn(config.warnings)
    click.echo(f"{file}: ready: {summary(config)}")


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning}")


def summary(config: Config) -> str:
    """What the service would be, in one line; shows no secret."""
    kinds = Counter(account.kind for account in config.accounts)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    accounts = _counted(len(config.accounts), "account") + (f" ({by_kind})" if by_kind else "")
    mappings = _counted(len(config.ampcode.mappings), "model mapping")
    clients = _counted(len(config.api_keys), "client key")
    return f"{accounts}, {mappings}, {clients}, listening on {address(config)}"


def address(config: Config) -> str:
    """Where the service listens, as a URL; ``*`` for every interface."""
    host = config.host or "*"
    scheme = "http" if config.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.port}"


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
