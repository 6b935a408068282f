"""What the doctor looks at: everything is gathered once, and the checks only judge."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import structs

from ampproxy.amp.connections import Listing
from ampproxy.catalog.families import Families
from ampproxy.catalog.kinds import KINDS
from ampproxy.catalog.lifecycle import day_of
from ampproxy.config.fields import UNSEEN_HOST
from ampproxy.config.load import find
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.report import Report
from ampproxy.desktop.clients.agents import Found, look_for
from ampproxy.desktop.clients.gateway import COMMANDS_KEY, Seen, look, loopback_url
from ampproxy.desktop.clients.installed import Installed, installed_clis, installed_editors
from ampproxy.desktop.clients.owners import trusted_uids
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.clients.scan import Kept, Setting, Unread, scan, secrets
from ampproxy.desktop.doctor.finding import Finding
from ampproxy.errors import ConfigError
from ampproxy.model.clients import MODELS, KnownKeys, keys_for
from ampproxy.model.ledger import DatabaseState
from ampproxy.relay.knowledge import Knowledge, NewerData
from ampproxy.relay.model_cache import ModelCache, cache_folder
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.decide import Router
from ampproxy.state.library import missing_library
from ampproxy.status import CloudTraffic
from ampproxy.wire.jsonc import BadJsonc
from ampproxy.wire.redact import Secret, Unseen


@dataclass(frozen=True, slots=True)
class Target:
    """An origin that is to be reached, and the proxy on the way.

    :param url: scheme, host and port only.
    :param who: the labels of the accounts that need it, or what else does.
    """

    url: str
    proxy: str | None = field(repr=False)
    who: tuple[str, ...]
    amp: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of reaching it. ``error``: empty if name, connection and certificate are good."""

    target: Target
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class NeoSeen:
    """What was found outside of this machine.

    :param address: of trying the public address.
    :param listing: the connections at Amp; ``None``: they are not known, and ``why`` says why.
    :param tested: with ``--live``: the name of each connection that leads here, and what Amp's test of it
        found wrong; empty: nothing.
    :param served: likewise with a thread: each model that Amp was asked to ask for, and what was wrong.
    :param traffic: what the service has seen of such requests; ``None``: it does not answer.
    :param machine: what of this machine would end the way.
    """

    address: tuple[Finding, ...] = ()
    listing: Listing | None = None
    why: str = ""
    tested: tuple[tuple[str, str], ...] = ()
    served: tuple[tuple[str, str], ...] = ()
    traffic: CloudTraffic | None = None
    machine: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything that is judged.

    :param source: the configuration file; ``None``: there is none.
    :param config: with the logins' accounts; ``None``: it does not load, and ``complaints`` says why.
    :param logins_why: why the folder of logins could not be read.
    :param unserved: a sentence on each login there whose kind is not served.
    :param agents: other coding agents that are here.
    :param keys: what the CLI's secrets file holds; ``keys_why``: why it cannot be read.
    :param url: the gateway's own address on this machine; empty: it has none that is fixed.
    :param seen: what answers there.
    :param neo_seen: what concerns Amp's cloud and was found outside.
    :param shared_why: why the state cannot be shared; empty: it can; ``None``: it is not to be.
    :param database: how the ledger's database is; ``None``: it has none.
    :param report: how the running service says its accounts are; ``report_why``: why it does not.
    """

    machine: Machine
    cwd: Path
    source: Path | None
    config: Config | None
    complaints: tuple[str, ...]
    logins_why: str
    router: Router | None
    clis: tuple[Installed, ...]
    editors: tuple[Installed, ...]
    settings: tuple[Setting, ...]
    unread: tuple[Unread, ...]
    keys: tuple[Kept, ...]
    keys_why: str
    url: str
    seen: Seen | None
    report: Report | None
    report_why: str
    now: float
    families: Families | None = None
    unserved: tuple[str, ...] = ()
    agents: tuple[Found, ...] = ()
    probes: tuple[Probe, ...] = ()
    neo_seen: NeoSeen = NeoSeen()
    shared_why: str | None = None
    database: DatabaseState | None = None


def gather(
    machine: Machine,
    cwd: Path,
    file: Path | None,
    *,
    read: Callable[[Path], Config],
    run: Callable[[Path], str],
    ask: Callable[[Config], tuple[Report | None, str]],
    now: float,
) -> Context:
    """Look at everything but the way to the upstreams. Blocks.

    :param file: the configuration; without it the one that the service would find.
    :param read: reads it; raises ``ConfigError``.
    :param run: runs a program with ``--version``, and gives what it prints.
    :param ask: asks the running service how its accounts are.
    :param now: seconds since the epoch.
    """
    source = file or find(machine.home)
    config, complaints = _config(source, read)
    logins_why = ""
    unserved: tuple[str, ...] = ()
    if config is not None:
        config, logins_why, unserved = _with_logins(config, now)
    settings, unread = scan(machine, cwd)
    keys, keys_why = _keys(machine)
    url, seen, report, report_why = "", None, None, ""
    if config is not None:
        url = loopback_url(config.host, config.port, config.tls is not None)
        if url:
            key = _presented(config, machine.environ)
            seen = look(url, key, None if config.tls is None else config.tls.cert, trusted_uids(config))
        report, report_why = ask(config)
    return Context(
        shared_why=None if config is None else _sharing(config),
        machine=machine,
        cwd=cwd,
        source=source,
        config=config,
        complaints=complaints,
        logins_why=logins_why,
        router=None if config is None else _router(config, machine, now),
        families=None if config is None else _families(config, machine, now),
        clis=tuple(installed_clis(machine, run)),
        editors=tuple(installed_editors(machine)),
        settings=tuple(settings),
        unread=tuple(unread),
        keys=keys,
        keys_why=keys_why,
        url=url,
        seen=seen,
        report=report,
        report_why=report_why,
        now=now,
        unserved=unserved,
        agents=tuple(look_for(machine)),
    )


def _config(source: Path | None, read: Callable[[Path], Config]) -> tuple[Config | None, tuple[str, ...]]:
    if source is None:
        return None, ()
    try:
        return read(source), ()
    except ConfigError as error:
        return None, error.complaints


def _presented(config: Config, environ: Mapping[str, str]) -> Secret | None:
    """The client key with which the gateway is asked; ``None``: it takes none."""
    opening = keys_for(config.clients, MODELS)
    here = [key for key in opening if not isinstance(key, Unseen)]
    key = next(iter((*here, *opening)), None)
    if key is not None or not config.clients:
        return key
    given = Secret(environ.get(COMMANDS_KEY, "").strip())
    if given in KnownKeys(config.clients):
        return given
    there = "another" if given else "none"
    return Unseen("", "api-keys", f"all are stored as hashes, and {there} is in {COMMANDS_KEY}")


def _sharing(config: Config) -> str | None:
    """Why the state cannot be shared; ``None``: it is not to be."""
    if config.state is None:
        return None
    missing = missing_library(config)
    if missing:
        return missing
    # Not at the top: most gateways have no Redis, and not its client library.
    from ampproxy.state.redis.trial import trouble

    return trouble(config.state)


def _with_logins(config: Config, now: float) -> tuple[Config, str, tuple[str, ...]]:
    """With the accounts of the logins; why there are none, and which of them are not served."""
    # Not at the top: most users have no login, and its libraries are slow to load.
    if not os.path.isdir(config.auth_dir):
        return config, "", ()
    from ampproxy.credentials.oauth.accounts import accounts_in, unserved_in

    try:
        logins = accounts_in(config.auth_dir, config.oauth, now)
        unserved = unserved_in(config.auth_dir)
    except OSError as error:
        return config, error.strerror or type(error).__name__, ()
    return structs.replace(config, accounts=(*config.accounts, *logins)), "", unserved


def _router(config: Config, machine: Machine, now: float) -> Router:
    book = ModelCache(cache_folder(machine.environ, machine.home)).read(now)
    gone = _families(config, machine, now).gone(day_of(now))
    return Router(config, Catalog(config, book.models(config.accounts), gone))


def _families(config: Config, machine: Machine, now: float) -> Families:
    folder = cache_folder(machine.environ, machine.home)
    return Knowledge(NewerData(folder), ModelCache(folder).read(now).declared)(config)


def _keys(machine: Machine) -> tuple[tuple[Kept, ...], str]:
    try:
        return tuple(secrets(machine)), ""
    except OSError as error:
        return (), error.strerror or type(error).__name__
    except BadJsonc as error:
        return (), str(error)


def targets(config: Config) -> list[Target]:
    """What must be reached for a configuration: each origin once for each proxy that leads to it."""
    found: dict[tuple[str, str | None], list[str]] = {}
    for account in config.accounts:
        proxy = account.proxy_url or config.proxy_url
        for url in (account.base_url, *_token_urls(account, config)):
            found.setdefault((_origin(url), proxy), []).append(account.label)
    result = [Target(url, proxy, tuple(dict.fromkeys(who))) for (url, proxy), who in found.items()]
    if config.ampcode.upstream_url:
        result.append(Target(_origin(config.ampcode.upstream_url), config.proxy_url, ("Amp",), amp=True))
    # Where a variable that is not set here says the address, nobody knows what to reach.
    return [target for target in result if UNSEEN_HOST not in f"{target.url} {target.proxy}"]


def _token_urls(account: Account, config: Config) -> list[str]:
    """Where a login's token is renewed."""
    if account.token is None:
        return []
    from ampproxy.credentials.oauth.vendors import VENDORS

    login = KINDS[account.kind].login
    return [vendor.client(config.oauth).token_url for kind, vendor in VENDORS.items() if kind == login]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
