"""The configuration as a verb of the command line gets it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ampproxy.config.load import find, load, not_found
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError

#: ``--config FILE``, as the parameter ``file``.
config_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="The configuration file; without it, the one that the service would find.",
)


def read_config(file: Path | None) -> Config:
    """The configuration of ``file``, or of the file that the service would find.

    :raises click.ClickException: there is none, or it is wrong: says every complaint.
    """
    home = Path.home()
    found = file or find(home)
    if found is None:
        raise click.ClickException(not_found(Path.cwd()))
    require_readable(found)
    try:
        return load(found, environ=os.environ, home=home)
    except ConfigError as error:
        raise click.ClickException("\n".join(error.complaints)) from None


def require_readable(file: Path) -> None:
    """
    :raises click.ClickException: there is no such file, or it cannot be read.
    """
    try:
        file.open("rb").close()
    except FileNotFoundError:
        raise click.ClickException(f"{file}: no such file") from None
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from None


def unserved(config: Config) -> tuple[str, ...]:
    """A sentence on each login in ``auth-dir`` whose kind is not served; none if it cannot be read."""
    if not os.path.isdir(config.auth_dir):
        return ()
    from ampproxy.credentials.oauth.accounts import unserved_in

    try:
        return unserved_in(config.auth_dir)
    except OSError:
        return ()


def with_logins(config: Config) -> Config:
    """The same with the accounts of the logins in ``auth-dir``, as the service has them."""
    from ampproxy.credentials.oauth.accounts import accounts_in

    try:
        logins = accounts_in(config.auth_dir, config.oauth, time.time())
    except OSError as error:
        click.echo(f"The logins in {config.auth_dir} cannot be read: {error.strerror}", err=True)
        return config
    return replace(config, accounts=(*config.accounts, *logins))
