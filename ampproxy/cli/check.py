"""``ampproxy check``: everything that is wrong with a configuration file, without starting anything."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click

from ampproxy.catalog.lifecycle import day_of, ends_soon
from ampproxy.cli.configured import require_readable, unserved, with_logins
from ampproxy.cli.terminal import width, wrapped
from ampproxy.config.load import find, load, not_found
from ampproxy.config.schema import Config, Tls
from ampproxy.config.sections import UNSEEN_PEM
from ampproxy.desktop.doctor.idle import asks_amp, idle_mappings, nothing_served
from ampproxy.errors import ConfigError
from ampproxy.relay.knowledge import Knowledge, NewerData
from ampproxy.relay.model_cache import ModelCache, cache_folder
from ampproxy.relay.retiring import retiring
from ampproxy.routing.catalog import Catalog
from ampproxy.state.library import missing_library
from ampproxy.tenants.shown import expiring
from ampproxy.wire.redact import not_looked_at
from ampproxy.wire.words import counted

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan", "ready": "green"}


class Remark(NamedTuple):
    """What is to be said of a file.

    :ivar line: where; empty: of the file as a whole.
    :ivar level: ``error``, ``warning``, ``note``, or the verdict.
    """

    file: Path
    line: str
    level: str
    text: str

    def __str__(self) -> str:
        """In the form that editors know: ``FILE:LINE: LEVEL: ...``."""
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.level}: {self.text}"


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--secrets", is_flag=True, help="Also require every secret: variables must be set, files readable."
)
@click.option("--strict", is_flag=True, help="Exit status 1 also where there are warnings alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--config",
    "named",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="As FILE.",
)
def command(file: Path | None, secrets: bool, strict: bool, as_json: bool, named: Path | None) -> None:
    """Validate a configuration FILE.

    By default FILE is the one that the service would find: config.yaml in ~/.config/ampproxy or in
    /etc/ampproxy. Each line is FILE:LINE: error: or FILE:LINE: warning:, the setting, and what is wrong.
    Secrets that only the service can read, in its environment or files, are named but not checked.
    Exit status 0 if the service would start with it, perhaps with warnings, else 1; with --strict a warning
    is enough for that.
    """
    file = file or named or find(Path.home())
    if file is None:
        raise click.ClickException(not_found(Path.cwd(), "ampproxy check config.yaml"))
    require_readable(file)
    found = list(remarks(file, secrets=secrets))
    levels = {remark.level for remark in found}
    bad = "error" in levels or (strict and "warning" in levels)
    if as_json:
        _print_json(found, not bad)
    else:
        _print(found)
    if bad:
        raise SystemExit(1)


def remarks(file: Path, *, secrets: bool) -> Iterator[Remark]:
    """What is to be said of a file, the verdict last; none where there is an error."""
    home = Path.home()
    try:
        config = load(file, environ=os.environ, home=home, lenient=not secrets)
    except ConfigError as error:
        yield from _placed(file, "error", error.complaints)
        yield from _placed(file, "warning", error.warnings)
        return
    if config.tls is not None and UNSEEN_PEM not in (config.tls.chain, config.tls.secret):
        try:
            warnings = list(_of_certificate(config, config.tls))
        except ConfigError as error:
            yield from _placed(file, "error", error.complaints)
            yield from _placed(file, "warning", config.warnings)
            return
        yield from _placed(file, "warning", warnings)
    yield from _placed(file, "warning", config.warnings)
    if config.unseen:
        yield Remark(file, "", "note", f"{not_looked_at(config.unseen)} (--secrets demands them)")
    if os.path.isdir(config.auth_dir):
        # Not otherwise: what reads logins is slow to load, and most users have none.
        for sentence in unserved(config):
            yield Remark(file, "", "warning", f"auth-dir: {sentence}")
        config = with_logins(config)
    for client, sentence in expiring(config.clients, time.time()):
        yield Remark(file, str(client.line), "warning", f"api-keys: {sentence}")
    if config.ledger.url is not None and not all(map(find_spec, ("sqlalchemy", "psycopg"))):
        yield Remark(
            file, "", "warning", "ledger.url: needs two packages more: pip install 'ampproxy[postgres]'"
        )
    yield from _of_models(file, config, home)
    missing = missing_library(config)
    if missing:
        yield Remark(file, str(config.lines.get("state", "")), "warning", f"state: {missing}")
    nothing = nothing_served(config)
    if nothing:
        yield Remark(file, "", "warning", nothing)
    verdict = "ready" if not nothing or asks_amp(config) else "valid, but no model is served"
    yield Remark(file, "", verdict, summary(config))


def _of_certificate(config: Config, tls: Tls) -> Iterator[str]:
    """Whether the listener's certificate is valid.

    :raises ConfigError: it cannot be used at all.
    """
    # Not at the top: it loads OpenSSL, and most services have no certificate.
    from ampproxy.config.certificate import certificate_trouble
    from ampproxy.listen import tls_options

    tls_options(tls, config.place("tls"))
    trouble = certificate_trouble(tls, time.time())
    if trouble:
        yield f"{config.place('tls')}.cert: {trouble}"


def _of_models(file: Path, config: Config, home: Path) -> Iterator[Remark]:
    """What mappings and models cannot do, or soon no more."""
    if not config.serving:
        return
    folder, now = cache_folder(os.environ, home), time.time()
    book = ModelCache(folder).read(now)
    discovered = book.models(config.accounts)
    families, today = Knowledge(NewerData(folder), book.declared)(config), day_of(now)
    catalog = Catalog(config, discovered, families.gone(today))
    for mapping, why in idle_mappings(config, catalog, discovered, ends_soon(families, today)):
        text = f"ampcode.model-mappings: has no effect: {why}"
        yield Remark(file, str(mapping.line), "warning", text)
    for found in retiring(config, catalog, families, today, None):
        text = f"{found.clause(today)}: {found.todo.replace(chr(10), ' ')}"
        yield Remark(file, str(found.line or ""), "warning", text)


def _placed(file: Path, level: str, complaints: Iterable[str]) -> Iterator[Remark]:
    """What the file's reader said, each with its line."""
    for complaint in complaints:
        line, _, rest = complaint.removeprefix(f"{file}:").partition(": ")
        yield Remark(file, line, level, rest)


def _print(found: Iterable[Remark]) -> None:
    """Print remarks, a line each, or wrapped on a terminal."""
    for remark in found:
        painted = click.style(remark.level, fg=_COLOURS.get(remark.level))
        for line in wrapped(str(remark), width(), "", "    "):
            click.echo(line.replace(f": {remark.level}: ", f": {painted}: ", 1))


def _print_json(found: Iterable[Remark], ok: bool) -> None:
    """The same as an object."""
    by_level: dict[str, list[dict[str, Any]]] = {"error": [], "warning": [], "note": []}
    verdict = ""
    for remark in found:
        if remark.level in by_level:
            line = int(remark.line) if remark.line else None
            by_level[remark.level].append({"file": str(remark.file), "line": line, "text": remark.text})
        else:
            verdict = f"{remark.level}: {remark.text}"
    about = {"ok": ok, "summary": verdict}
    click.echo(json.dumps({**about, **{f"{level}s": rows for level, rows in by_level.items()}}, indent=2))


def summary(config: Config) -> str:
    """What the service would be, in one line; shows no secret."""
    kinds = Counter(account.kind for account in config.accounts)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    accounts = counted(len(config.accounts), "account", "no") + (f" ({by_kind})" if by_kind else "")
    mappings = counted(len(config.ampcode.mappings), "model mapping", "no")
    clients = counted(len(config.clients), "client key", "no")
    return f"{accounts}, {mappings}, {clients}, listening on {address(config)}"


def address(config: Config) -> str:
    """Where the service listens, as a URL; ``*`` for every interface."""
    host = config.host or "*"
    scheme = "http" if config.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.port}"
