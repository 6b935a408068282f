"""``ampproxy check``: everything that is wrong with a configuration file, without starting anything."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from ampproxy.catalog.lifecycle import day_of, ends_soon
from ampproxy.cli.configured import require_readable, unserved, with_logins
from ampproxy.config.load import find, load, not_found
from ampproxy.config.schema import Config
from ampproxy.desktop.doctor.idle import asks_amp, idle_mappings, nothing_served
from ampproxy.desktop.doctor.retiring import retiring
from ampproxy.errors import ConfigError
from ampproxy.relay.knowledge import Knowledge, NewerData
from ampproxy.relay.model_cache import ModelCache, cache_folder
from ampproxy.routing.catalog import Catalog
from ampproxy.tenants.shown import expiring
from ampproxy.wire.redact import not_looked_at


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--secrets", is_flag=True, help="Also require every secret: variables must be set, files readable."
)
def command(file: Path | None, secrets: bool) -> None:
    """Validate a configuration FILE.

    By default FILE is the one that the service would find: config.yaml in ~/.config/ampproxy or in
    /etc/ampproxy. Each line is FILE:LINE: error: or FILE:LINE: warning:, the setting, and what is wrong.
    Secrets that only the service can read, in its environment or files, are named but not checked.
    Exit status 0 if the service would start with it, perhaps with warnings, else 1.
    """
    home = Path.home()
    file = file or find(home)
    if file is None:
        raise click.ClickException(not_found(Path.cwd(), "ampproxy check config.yaml"))
    require_readable(file)
    try:
        config = load(file, environ=os.environ, home=home, lenient=not secrets)
    except ConfigError as error:
        _echo(file, "error", error.complaints)
        _echo(file, "warning", error.warnings)
        raise SystemExit(1) from None
    _echo(file, "warning", config.warnings)
    if config.unseen:
        click.echo(f"{file}: note: {not_looked_at(config.unseen)} (--secrets demands them)")
    _conclude(file, config, home)


def _conclude(file: Path, config: Config, home: Path) -> None:
    """What only all of it together says, and what the service would be."""
    if os.path.isdir(config.auth_dir):
        # Not otherwise: what reads logins is slow to load, and most users have none.
        for sentence in unserved(config):
            click.echo(f"{file}: warning: auth-dir: {sentence}")
        config = with_logins(config)
    for client, sentence in expiring(config.clients, time.time()):
        click.echo(f"{file}:{client.line}: warning: api-keys: {sentence}")
    for line in _remarks(file, config, home):
        click.echo(line)
    nothing = nothing_served(config)
    if nothing:
        click.echo(f"{file}: warning: {nothing}")
    verdict = "ready" if not nothing or asks_amp(config) else "valid, but no model is served"
    click.echo(f"{file}: {verdict}: {summary(config)}")


def _remarks(file: Path, config: Config, home: Path) -> Iterator[str]:
    """What mappings and models cannot do, or soon no more."""
    if not config.serving:
        return
    folder, now = cache_folder(os.environ, home), time.time()
    book = ModelCache(folder).read(now)
    discovered = book.models(config.accounts)
    families, today = Knowledge(NewerData(folder), book.declared)(config), day_of(now)
    catalog = Catalog(config, discovered, families.gone(today))
    for mapping, why in idle_mappings(config, catalog, discovered, ends_soon(families, today)):
        yield f"{file}:{mapping.line}: warning: ampcode.model-mappings: has no effect: {why}"
    for found in retiring(config, catalog, families, today, None):
        place = f"{file}:{found.line}" if found.line else f"{file}"
        yield f"{place}: warning: {found.clause(today)}: {found.todo.replace(chr(10), ' ')}"


def _echo(file: Path, level: str, remarks: tuple[str, ...]) -> None:
    """Remarks in the form that editors know: ``FILE:LINE: LEVEL: ...``."""
    for remark in remarks:
        line, _, rest = remark.removeprefix(f"{file}:").partition(": ")
        click.echo(f"{file}:{line}: {level}: {rest}")


def summary(config: Config) -> str:
    """What the service would be, in one line; shows no secret."""
    kinds = Counter(account.kind for account in config.accounts)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    accounts = _counted(len(config.accounts), "account") + (f" ({by_kind})" if by_kind else "")
    mappings = _counted(len(config.ampcode.mappings), "model mapping")
    clients = _counted(len(config.clients), "client key")
    return f"{accounts}, {mappings}, {clients}, listening on {address(config)}"


def address(config: Config) -> str:
    """Where the service listens, as a URL; ``*`` for every interface."""
    host = config.host or "*"
    scheme = "http" if config.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.port}"


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
