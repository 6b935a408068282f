"""The configuration as a verb of the command line gets it: beside a service that may keep its secrets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from ampproxy.config.load import find, load, not_found, read_file
from ampproxy.config.run_file import RunNote, read_note, run_file
from ampproxy.config.schema import Config
from ampproxy.desktop.clients.owners import trusted_uids
from ampproxy.desktop.clients.running import HELP, Running, find_running
from ampproxy.errors import ConfigError
from ampproxy.model.clients import hash_of
from ampproxy.wire.redact import Secret, Unseen, listed

#: ``--config FILE``, as the parameter ``file``.
config_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="The configuration file; by default the one that the service would find.",
)
#: In ``state-dir``: the client key that ``ampproxy init`` made.
OWNER_KEY = "owner.key"
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}  # noqa: S104


def read_config(file: Path | None, *, at: str = "") -> Config:
    """The configuration of ``file``, or of the file that the service would find.

    Secrets that are not to be had here are looked for where the running service has them; where that is not
    allowed, ``Config.unseen`` names them.

    :param at: where the service listens, if not where the file says.
    :raises click.ClickException: there is none, or it is wrong: says every complaint.
    """
    try:
        return beside(file, at)
    except ConfigError as error:
        raise click.ClickException("\n".join(error.complaints)) from None


def beside(file: Path | None, at: str = "") -> Config:
    """The same, for who has words of his own for what is wrong.

    :raises ConfigError: the file is wrong.
    :raises click.ClickException: there is none.
    """
    path, home = named(file), Path.home()
    config = with_owner_key(load(path, environ=os.environ, home=home, lenient=True, pems=False))
    if not config.unseen:
        return config
    running = _running(config, at)
    if running is None:
        return config
    found = load(
        path,
        environ=os.environ,
        home=home,
        lenient=True,
        pems=False,
        elsewhere=running.environ,
        read=lambda one: _read(one, path, running),
    )
    return with_owner_key(found)


def with_owner_key(config: Config) -> Config:
    """The same with the key that ``ampproxy init`` keeps for the commands of its owner, where the file holds
    its hash. The service itself does without.
    """
    hashed = [client for client in config.clients if client.secret is None]
    if not hashed:
        return config
    try:
        key = read_file(config.state_dir / OWNER_KEY).decode("utf-8", "replace").strip()
    except OSError:
        return config
    digest = hash_of(key)
    clients = (
        replace(client, secret=Secret(key)) if client in hashed and client.hash == digest else client
        for client in config.clients
    )
    return replace(config, clients=tuple(clients))


def named(file: Path | None) -> Path:
    """The file that is meant.

    :raises click.ClickException: there is none.
    """
    found = file or find(Path.home())
    if found is None:
        raise click.ClickException(not_found(Path.cwd()))
    require_readable(found)
    return found


def note_of(config: Config) -> RunNote | None:
    """What ``ampproxy serve`` left that runs by a configuration's file; ``None``: none runs so."""
    return None if config.source is None else read_note(run_file(config.state_dir, config.source))


def where(config: Config, at: str) -> tuple[str, int, str]:
    """Where the service listens: host and port, or the path of a Unix socket. That is what the user
    says, else what ``ampproxy serve`` left, else what the file says.

    :raises click.BadParameter: what the user says is none of these.
    """
    note = None if at else note_of(config)
    listening = note.listening[0] if note is not None and note.listening else ""
    return address(config.host, config.port, at or listening)


def as_running(config: Config) -> Config:
    """The same with the address at which ``ampproxy serve`` runs by its file, if that is another one."""
    host, port, path = where(config, "")
    anywhere = _ANYWHERE.get(config.host, config.host)
    return (
        config if path or (host, port) == (anywhere, config.port) else replace(config, host=host, port=port)
    )


def address(host: str, port: int, at: str) -> tuple[str, int, str]:
    """Where the service listens: host and port, or the path of a Unix socket.

    :param at: what the user says of it.
    :raises click.BadParameter: that is neither.
    """
    at = at.removeprefix("http://").rstrip("/")
    if at.startswith(("/", ".", "unix:")):
        return "", 0, at.removeprefix("unix:")
    if at:
        host, _, number = at.rpartition(":")
        if not number.isdecimal():
            raise click.BadParameter(
                "expected HOST:PORT, http://HOST:PORT or the path of a Unix socket", param_hint="--at"
            )
        host, port = host.strip("[]"), int(number)
    return _ANYWHERE.get(host, host), port, ""


def _running(config: Config, at: str) -> Running | None:
    """The service's process, if we may look into it."""
    host, port, path = where(config, at)
    try:
        return find_running(host, port, trusted_uids(config), path=path)
    except ValueError:
        return None  # a name, which is another machine's or this one's under --at


def _read(path: Path, config: Path, running: Running) -> bytes:
    """A file as we see it, else as the service does."""
    try:
        return read_file(path)
    except OSError:
        if path == config:
            raise
        try:
            return running.read(path)
        except OSError:
            pass
        raise


def demand(unseen: Iterable[Unseen], purpose: str) -> None:
    """Have all secrets that something needs.

    :param unseen: those of them that are not here.
    :param purpose: what needs them, the beginning of a sentence: ``--refresh``.
    :raises click.ClickException: one is not here; says which, and what would help.
    """
    missing = tuple(unseen)
    if missing:
        raise click.ClickException(f"{purpose} needs {listed(missing)}: {HELP}")


def below(config: Config, *settings: str) -> tuple[Unseen, ...]:
    """What was not looked at of some settings of the top level."""
    return tuple(one for one in config.unseen if one.place.replace("[", ".").split(".")[0] in settings)


def without_keys(config: Config) -> Config:
    """The same for what sends nothing, and must not stumble over a key that is not here."""
    bare = (
        replace(account, api_key=Secret("")) if isinstance(account.api_key, Unseen) else account
        for account in config.accounts
    )
    return replace(config, accounts=tuple(bare))


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
