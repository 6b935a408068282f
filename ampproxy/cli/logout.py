"""``ampproxy logout``: remove a login's file."""

from __future__ import annotations

from pathlib import Path

import click

from ampproxy.cli.configured import config_option
from ampproxy.cli.login import locked, settings
from ampproxy.credentials.oauth.credential import label_of
from ampproxy.credentials.oauth.failures import BadFile, LoginError
from ampproxy.credentials.oauth.store import Store


@click.command("logout")
@click.argument("label")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def command(label: str, yes: bool, file: Path | None) -> None:
    """Remove a login from auth-dir. LABEL is its label, its file's name, or its address if that is enough.

    The running service stops using it within 2 seconds. The vendor is not notified: end the session on its
    own pages, too, if someone else may have the file.
    """
    store = Store(settings(file).auth_dir)
    try:
        name, shown = choose(store, label)
        if not yes:
            click.confirm(f"Remove {shown} ({store.folder / name})?", abort=True)
        with locked(store, name):
            removed = store.remove(name)
    except LoginError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{store.folder} cannot be written: {error.strerror}") from None
    click.echo(f"{shown} is logged out." if removed else f"{shown} was gone already.")


def choose(store: Store, wanted: str) -> tuple[str, str]:
    """The file and the label that are meant.

    :raises LoginError: none is, or several are.
    """
    found: dict[str, str] = {}
    shown: dict[str, str] = {}
    for name in store.names():
        try:
            login = store.read(name)
        except BadFile:
            login = None
        label = label_of(login) if login is not None else name
        stem = name.removesuffix(".json")
        if login is not None:
            shown[name] = label
        if wanted in (name, stem, f"{label} ({stem})"):
            return name, label
        if login is not None and wanted in (label, login.email):
            found[name] = label
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        raise LoginError(f"{wanted} is ambiguous: name one of {', '.join(found)}")
    known = ", ".join(sorted(set(shown.values()))) or "none"
    raise LoginError(f"there is no login {wanted}; there are: {known}")
