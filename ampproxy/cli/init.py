"""``ampproxy init``: a first configuration, of what is found on this machine."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
from msgspec.structs import replace

from ampproxy.cli.check import summary
from ampproxy.cli.configured import OWNER_KEY
from ampproxy.cli.terminal import Progress, sentence
from ampproxy.config.initial import COMPATIBLE, VARIABLES, AmpUse, Found, configuration
from ampproxy.config.load import NAME, parse, read_file
from ampproxy.config.schema import Config
from ampproxy.credentials.oauth.formats import FOREIGN, KINDS
from ampproxy.desktop.clients import files
from ampproxy.desktop.machine import other_gateway, servers, text_of
from ampproxy.errors import ConfigError
from ampproxy.model.clients import hash_of
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted

#: Bytes of a new key: 256 bits.
_KEY_BYTES = 32
_PROGRAMS = {"claude": "Claude Code", "codex": "Codex", "gemini": "Gemini CLI"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found, and where.

    :param variables: those that hold keys.
    :param foreign: kinds of which another program has a login that could be copied.
    :param gateway: another gateway's configuration.
    """

    found: Found
    variables: tuple[str, ...]
    foreign: tuple[str, ...]
    gateway: Path | None


@click.command("init")
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file to write. [~/.config/ampproxy/config.yaml]",
)
@click.option(
    "--from",
    "gateway",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CLIProxyAPI's configuration to begin with; without it, one in the usual places.",
)
@click.option(
    "--amp",
    type=click.Choice(["never", "allow", "off"]),
    help="Which models may be asked of Amp for credits: never any, or those that no account has; off: Amp is"
    " not reached at all. [never]",
)
@click.option("--store-keys", is_flag=True, help="Write the keys into the file, not their variables' names.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--force", is_flag=True, help="Replace a file that is there; a copy of it is kept.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask: what is in brackets, no login, no service.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; does not ask.")
def command(
    file: Path | None,
    gateway: Path | None,
    amp: str | None,
    store_keys: bool,
    dry_run: bool,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a first configuration from what is found on this machine.

    That is: keys in the environment, Ollama, LM Studio, llama.cpp and vLLM, the logins of Claude Code, Codex
    and Gemini CLI, and CLIProxyAPI's configuration and logins. The file gets the mode 0600 and a client key,
    of which it holds the hash; the key itself is kept in state-dir for your own commands. No key is sent
    anywhere.
    """
    asks = not (yes or as_json)
    path = (file or Path.home() / ".config" / "ampproxy" / NAME).expanduser().absolute()
    if path.exists() and not dry_run and not force:
        _may_replace(path, asks)
    with Progress(quiet=as_json) as progress:
        progress("Looking for keys, servers, logins and other gateways ...")
        seen = look(os.environ, Path.home(), gateway, store_keys=store_keys)
    if not as_json:
        for line in described(seen):
            sentence(line, "", "  ")
    if asks and amp is None:
        amp = _ask_about_amp()
    key = secrets.token_urlsafe(_KEY_BYTES)
    text, config = compose(seen, path, key, cast(AmpUse, amp or "never"))
    if dry_run:
        click.echo(json.dumps({"file": str(path), "text": text}) if as_json else f"\n{text}", nl=as_json)
        return
    _write(path, text, key, config)
    if as_json:
        about = {"file": str(path), "accounts": len(config.accounts), "warnings": list(config.warnings)}
        click.echo(json.dumps(about, indent=2))
        return
    sentence(f"{path}: written (mode 0600): {summary(config)}")
    if config.warnings:
        sentence(f"{counted(len(config.warnings), 'warning')}: ampproxy check {path} lists them.")
    _go_on(seen, path, file is not None, asks)


def _may_replace(path: Path, asks: bool) -> None:
    """
    :raises click.ClickException: the file is there, and nobody can be asked.
    """
    if not asks:
        raise click.ClickException(f"{path} is there already: --force replaces it, and keeps a copy")
    if not _confirmed(f"{path} is there already. Replace it (a copy is kept)?"):
        raise click.Abort


def _confirmed(question: str) -> bool:
    """Ask, and return whether the answer is yes.

    :raises click.ClickException: nobody can answer.
    """
    try:
        return click.confirm(question, default=False)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.ClickException(
            "there is no terminal to ask on: with --yes it does not ask, and takes the default answers"
        ) from None


def look(environ: Mapping[str, str], home: Path, gateway: Path | None, *, store_keys: bool = False) -> Seen:
    """What is found on this machine.

    :raises click.ClickException: the other gateway's file cannot be read.
    """
    gateway = gateway or other_gateway(home)
    keys, variables = {}, []
    for section, names in VARIABLES.items():
        name = next((name for name in names if environ.get(name, "").strip()), None)
        if name is not None:
            variables.append(name)
            keys[section] = environ[name].strip() if store_keys else f"${{{name}}}"
    compatible = []
    for name, (server, url) in COMPATIBLE.items():
        if environ.get(name, "").strip():
            variables.append(name)
            compatible.append((server, url, environ[name].strip() if store_keys else f"${{{name}}}"))
    try:
        other = "" if gateway is None else text_of(gateway)
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{gateway}: cannot be read: {error}") from None
    found = Found(keys, tuple(compatible), tuple(servers(environ)), tuple(_logins(home)), other)
    foreign = tuple(kind for kind in KINDS if (home / FOREIGN[kind]).is_file())
    return Seen(found, tuple(variables), foreign, gateway)


def _logins(home: Path) -> Iterator[str]:
    """The kinds of which there are logins in the usual auth-dir."""
    folder = home / ".cli-proxy-api"
    if not any(folder.glob("*.json")):
        return
    from ampproxy.config.schema import OAuth
    from ampproxy.credentials.oauth.accounts import accounts_in

    yield from dict.fromkeys(account.kind for account in accounts_in(folder, OAuth(), time.time()))


def described(seen: Seen) -> Iterator[str]:
    """What was found, in sentences."""
    found = seen.found
    if seen.gateway is not None:
        yield f"CLIProxyAPI's configuration: {seen.gateway} (the new file begins with it)"
    for name in seen.variables:
        yield f"A key in the environment: {name}"
    for server in found.servers:
        models = ", ".join(map(printable, server.models[:3])) + (", ..." if len(server.models) > 3 else "")
        yield f"A server on this machine: {server.name} at {server.url} ({models or 'no model yet'})"
    for kind in found.logins:
        yield f"A login in ~/.cli-proxy-api: {kind}"
    for kind in seen.foreign:
        yield f"A login of {_PROGRAMS[kind]}: ampproxy login {kind} makes one of your own beside it"
    if not (seen.gateway or seen.variables or found.servers or found.logins):
        yield "Neither a key, a server nor a login was found: add an account to the file, or ampproxy login."


def _ask_about_amp() -> str:
    sentence(
        "\nAmp itself (threads, settings, sign-in) is reached through the gateway. A model that none of your"
        " accounts has could be asked of Amp, where each request costs credits."
    )
    return "allow" if _confirmed("May such models go to Amp, for credits?") else "never"


def compose(seen: Seen, path: Path, key: str, amp: AmpUse) -> tuple[str, Config]:
    """The text of the file, and what it means.

    :raises click.ClickException: the other gateway's file is wrong.
    """

    def read(text: str, file: Path = path) -> Config:
        config = parse(
            text,
            name=str(file),
            environ=os.environ,
            home=Path.home(),
            read_secret=lambda secret: read_file(secret).decode("utf-8"),
            folder=path.parent,
            lenient=True,
            pems=False,
        )
        return replace(config, source=path)

    header = f"Written by ampproxy init; every setting: docs/settings.md. Try it: ampproxy check {path}"
    try:
        if seen.gateway is not None:
            # What is wrong there is told with its own name and lines.
            read(seen.found.other, seen.gateway)
        text, left = configuration(seen.found, hash_of(key), amp, read, header)
        if left:
            sentence(f"Not added, for {seen.gateway} has no place for it: {', '.join(left)}", err=True)
        return text, read(text)
    except ConfigError as error:
        complaints = "\n".join(error.complaints)
        raise click.ClickException(f"{seen.gateway or 'this'} cannot be used:\n{complaints}") from None


def _write(path: Path, text: str, key: str, config: Config) -> None:
    """Write the file and the key, for their owner alone.

    :raises click.ClickException: one cannot be written.
    """
    try:
        before = files.content(path)
        if before is not None:
            files.write(path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%S')}"), before)
            # What is new is for the owner alone, whatever the old one was.
            path.chmod(0o600)
        files.write(config.state_dir / OWNER_KEY, f"{key}\n".encode())
        files.write(path, text.encode())
    except OSError as error:
        raise click.ClickException(f"{error.filename or path} cannot be written: {error.strerror}") from None


def _go_on(seen: Seen, path: Path, named: bool, asks: bool) -> None:
    """Offer what comes next, or name it."""
    option = [f"--config={path}"] if named else []
    for kind in seen.foreign:
        if kind not in seen.found.logins:
            _offer(f"Log in at {_PROGRAMS[kind]}'s vendor now?", ["login", kind, *option], asks)
    _offer("Start the service in the background now?", ["serve", "--background", *option], asks)
    _offer("Point Amp's clients on this machine at it?", ["setup", *option], asks)
    sentence(f"Then: ampproxy doctor, ampproxy status{'' if not named else f' (--config {path})'}")
    if any("${" in key for key in seen.found.keys.values()):
        sentence(
            f"The file names {counted(len(seen.variables), 'variable')} ({', '.join(seen.variables)}): the"
            f" service needs {'it' if len(seen.variables) == 1 else 'them'} in its environment, also where a"
            " service manager starts it (docs/quickstart.md)."
        )


def _offer(question: str, arguments: list[str], asks: bool) -> None:
    shown = f"ampproxy {' '.join(arguments)}"
    if not asks:
        sentence(f"Next: {shown}")
    elif _confirmed(f"{question} ({shown})"):
        # In a folder of nobody's: Python would look for modules in the working folder.
        subprocess.run([sys.executable, "-m", "ampproxy", *arguments], check=False, cwd="/")  # noqa: S603
