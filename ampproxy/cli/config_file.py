"""The configuration file as commands change it: what is meant, and no other byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from ampproxy.cli.configured import named, read_config
from ampproxy.config.edit import CannotEdit
from ampproxy.config.load import parse, read_file
from ampproxy.desktop.clients.undo import CannotUndo, Changes
from ampproxy.errors import ConfigError


class ConfigFile:
    """The configuration file, read once, and changed once.

    :param folder: the folder below ``state-dir`` in which copies are kept.
    :param command: what takes the change back, for people.
    :raises click.ClickException: it cannot be read, or is wrong.
    """

    def __init__(self, file: Path | None, folder: str, command: str) -> None:
        self.config = read_config(file)
        self.path = named(file).absolute()
        self._folder, self._command = folder, command
        try:
            self._before = read_file(self.path)
            self.text = self._before.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{self.path}: cannot be read: {error}") from None

    @property
    def changes(self) -> Changes:
        """The changes that can be taken back."""
        return Changes(self.config.state_dir / self._folder)

    def change(self, edit: Callable[[str], str], what: str) -> None:
        """Write the file anew.

        :param what: what is done, for people.
        :raises click.ClickException: it cannot be changed so, or would be wrong. Then it is as it was.
        """
        try:
            after = edit(self.text)
            self._check(after)
            self.changes.write(self.path, self._before, after.encode("utf-8"), what)
        except (CannotEdit, CannotUndo) as why:
            raise click.ClickException(f"{self.path} was not changed: {why}") from None
        except ConfigError as error:
            complaints = "\n".join(error.complaints)
            raise click.ClickException(f"{self.path} was not changed:\n{complaints}") from None
        except OSError as error:
            raise click.ClickException(f"{self.path} was not changed: {error}") from None
        click.echo(
            f"{self.path}: {what}. A running service has it in force within a second; {self._command}"
            " takes it back.",
            err=True,
        )

    def _check(self, text: str) -> None:
        parse(
            text.removeprefix("\ufeff"),
            name=str(self.path),
            environ=os.environ,
            home=Path.home(),
            read_secret=lambda path: read_file(path).decode("utf-8"),
            folder=self.path.parent,
            lenient=True,
            pems=False,
        )
