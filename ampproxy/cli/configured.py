"""The configuration as a verb of the command line gets it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ampproxy.config.load import find, load
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError

#: ``--config FILE``, as the parameter ``file``.
config_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The configuration file; without it, the one that the service would find.",
)


def read_config(file: Path | None) -> Config:
    """The configuration of ``file``, or of the file that the service would find.

    :raises click.ClickException: there is none, or it is wrong: says every complaint.
    """
    home = Path.home()
    found = file or find(Path.cwd(), home)
    if found is None:
        raise click.ClickException(
            "there is no config.yaml here, in ~/.config/ampproxy or in /etc/ampproxy: name one with --config"
        )
    try:
        return load(found, environ=os.environ, home=home)
    except ConfigError as error:
        raise click.ClickException("\n".join(error.complaints)) from None
