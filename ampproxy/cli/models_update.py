"""``ampproxy models update``: newer data about models than the release has, when the user asks for it."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ampproxy.catalog import newer
from ampproxy.catalog.newer import DataSet, DataSetError
from ampproxy.cli.configured import beside, config_option
from ampproxy.config import files
from ampproxy.config.fields import is_loopback
from ampproxy.errors import ConfigError
from ampproxy.relay.knowledge import NewerData
from ampproxy.relay.model_cache import cache_folder
from ampproxy.wire.redact import printable

#: Where it is read from where nothing else is named.
MODELS_DEV = "https://models.dev/api.json"
#: Seconds for the whole of it.
TIMEOUT = 60.0
_IN_FORCE = "A running service reads it at its next reload: ampproxy reload."


@click.command("update")
@click.argument("source", required=False, default=MODELS_DEV, metavar="[FILE|URL]")
@click.option("--undo", is_flag=True, help="Remove what was read, and go by the release's own data again.")
@click.option(
    "--max-size",
    type=click.IntRange(1024, newer.MAX_SIZE),
    default=newer.MAX_SIZE,
    show_default=True,
    metavar="BYTES",
    help="How large it may be.",
)
@config_option
def command(source: str, undo: bool, max_size: int, file: Path | None) -> None:
    """Read newer data about models than this release has, and keep it.

    FILE or URL is a table of families such as ampproxy ships (families.yaml, or its compiled form), or a list
    of models in the format of models.dev's api.json, which is what is read without an argument. A table takes
    the place of the shipped one; a list adds what it says of each model. Nothing is read by itself, neither
    now and then nor by the service. What is kept counts until a release has later data.
    """
    kept = NewerData(cache_folder(os.environ, Path.home()))
    if undo:
        _undo(kept)
        return
    today = datetime.now(timezone.utc).date()
    where = source if _is_url(source) else str(Path(source).absolute())
    data = _fetched(source, max_size, file) if _is_url(source) else _read(Path(source), max_size)
    from ampproxy.catalog.compile import read as read_yaml

    try:
        found = newer.read(data, printable(where), today, read_yaml)
    except DataSetError as error:
        raise click.ClickException(f"{printable(where)}: {printable(str(error))}") from None
    try:
        kept.write(found)
    except OSError as error:
        raise click.ClickException(f"{kept.path}: {error.strerror or error}") from None
    click.echo(f"{described(found)}: kept in {kept.path}")
    click.echo(f"{_IN_FORCE} To take it back: ampproxy models update --undo")


def described(found: DataSet) -> str:
    """A data set in a clause: what it is about, of which day, and from where."""
    if found.table is None:
        what = f"Facts about {newer.names(found.families):,} models, read on {found.read}"
    else:
        what = f"{len(found.table.families):,} families of models, as of {found.as_of}"
    return f"{what}, from {found.source}"


def remark(kept: NewerData) -> str:
    """What ``ampproxy models --verbose`` says of a data set that is kept; empty where none is."""
    found = kept.read()
    if found is None:
        return ""
    if found.in_force() is None:
        return f"{described(found)}: not used, for this release has later data ({kept.path})."
    return f"{described(found)}: in use ({kept.path}; ampproxy models update --undo removes it)."


def _undo(kept: NewerData) -> None:
    try:
        removed = kept.remove()
    except OSError as error:
        raise click.ClickException(f"{kept.path}: {error.strerror or error}") from None
    click.echo(f"{kept.path} is removed. {_IN_FORCE}" if removed else f"There is no {kept.path}.")


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _read(path: Path, max_size: int) -> bytes:
    try:
        return files.read(path, max_size)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from None


def _proxy(file: Path | None) -> str | None:
    """The proxy of the configuration, if there is one; none is needed to read data."""
    try:
        return beside(file).proxy_url
    except ConfigError as error:
        raise click.ClickException("\n".join(error.complaints)) from None
    except click.ClickException:
        if file is not None:
            raise
        return None


def _fetched(url: str, max_size: int, file: Path | None) -> bytes:
    """What a URL gives.

    :raises click.ClickException: nothing that can be used; says why.
    """
    host = urlsplit(url).hostname or ""
    if url.startswith("http://") and not is_loopback(host):
        raise click.ClickException(f"{printable(url)}: whoever is on the way could change it: use https://")
    proxy = _proxy(file)
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    results: list[Any] = []

    def begin() -> None:
        asking = Deferred.fromCoroutine(_get(url, max_size, proxy, reactor)).addTimeout(TIMEOUT, reactor)
        asking.addBoth(results.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not results:
        raise click.Abort()
    if isinstance(results[0], bytes):
        return results[0]
    raise click.ClickException(f"{printable(url)}: {_why(results[0].value, host)}")


def _why(error: BaseException, host: str) -> str:
    from ampproxy.upstream.failures import explain

    if isinstance(error, DataSetError):
        return str(error)
    return printable(str(explain(error, host)))


async def _get(url: str, max_size: int, proxy: str | None, reactor: Any) -> bytes:
    from twisted.web.http_headers import Headers

    from ampproxy.upstream.body import collect
    from ampproxy.upstream.client import UpstreamClient

    client = UpstreamClient(reactor, connect_timeout=10.0)
    try:
        headers = Headers({"Accept": ["application/json, */*"], "User-Agent": ["ampproxy"]})
        response = await client.send("GET", url, headers, None, proxy)
        body: bytes = await collect(response, limit=max_size, clock=reactor, idle=TIMEOUT, inflate=True)
        if response.code != 200:
            raise DataSetError(f"it is answered with status {response.code}{_elsewhere(response)}")
        return body
    finally:
        await client.close()


def _elsewhere(response: Any) -> str:
    """Redirects are not followed: which address is trusted is the user's to say."""
    found = response.headers.getRawHeaders("location")
    return f", and is at {printable(found[0][:500])}" if found else ""
