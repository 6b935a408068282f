"""``ampproxy models``: the models that clients see, and who serves them."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from ampproxy.catalog.families import Families
from ampproxy.catalog.lifecycle import day_of
from ampproxy.cli.accounts import STATE_COLOURS, fetch
from ampproxy.cli.configured import config_option, demand, read_config, with_logins
from ampproxy.cli.models_update import command as update
from ampproxy.cli.models_update import remark
from ampproxy.cli.service_client import NoKey, NotAnswered, OtherConfiguration
from ampproxy.cli.terminal import Column, Progress, Table, sentence, width, wrapped
from ampproxy.config.schema import Config
from ampproxy.credentials.report import STATE_WORDS, AccountReport
from ampproxy.relay.knowledge import Knowledge, NewerData
from ampproxy.relay.model_cache import ModelCache, cache_folder
from ampproxy.routing.catalog import Catalog, Source
from ampproxy.routing.route import RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted

Known = Mapping[str, tuple[str, ...]]
_COLUMNS = (
    Column("MODEL", least=24),
    Column("DIALECT", rank=1, least=14),
    Column("SOURCE", rank=2),
    Column("STATE", colour=STATE_COLOURS.get),
    Column("ACCOUNTS", least=18, wraps=True),
)


class Server(msgspec.Struct, frozen=True):
    """An account that serves a model.

    :param name: the vendor's name of the model.
    :param source: how that is known: ``config``, ``vendor`` (its list) or ``pattern`` (its family of names).
    :param state: ``untried``, ``ready``, ``resting``, ``needs login``, ``key refused``; empty: the service
        does not run.
    """

    account: str
    dialect: str
    name: str
    source: Source
    state: str = ""


class Fact(msgspec.Struct, frozen=True):
    """Something that is known of a model.

    :param name: the vendor's name of the model.
    :param member: what: ``context``, ``max-output``, ...
    :param origin: where it is from: the table that is shipped, with its date and source, or a line of the
        file.
    """

    name: str
    member: str
    value: Any
    origin: str


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model, or a pattern of names, and who serves it, in the order in which they are tried.

    :param facts: what is known of it, where that was asked for.
    """

    model: str
    servers: tuple[Server, ...]
    facts: tuple[Fact, ...] = ()


@click.group("models", invoke_without_command=True)
@config_option
@click.option("--refresh", is_flag=True, help="Fetch the vendors' lists now, and store them for the service.")
@click.option("--verbose", is_flag=True, help="Show what is known about each model, and the source.")
@click.option("--prices", "priced", is_flag=True, help="Show limits and prices instead of accounts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(
    ctx: click.Context, file: Path | None, refresh: bool, verbose: bool, priced: bool, as_json: bool
) -> None:
    """List the models that clients see, each with the accounts that serve it and their dialects.

    SOURCE shows how this is known: config (the account's entry names its models), vendor (the vendor's own
    list, which the running service fetches every hour and at a reload) or pattern (any other name of the
    vendor's family, which is tried although no list has it, unless a mapping applies).
    """
    if ctx.invoked_subcommand is not None:
        return
    config = with_logins(read_config(file))
    if refresh:
        demand(config.unseen, "--refresh")
    known = _refreshed(config) if refresh else kept_models(config)
    if priced:
        _show_prices(config, known, as_json=as_json)
        return
    report = None
    try:
        report = fetch(config)
    except (NoKey, OtherConfiguration) as error:
        sentence(f"The state of the accounts is not known: {error}", err=True)
    except NotAnswered:
        pass
    found = rows(config, known, () if report is None else report.accounts)
    data = newer_data()
    if verbose:
        families = kept_families(config)
        found = [with_facts(row, families) for row in found]
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in table(found, width()):
        click.echo(line)
    for label in silent(config, known):
        sentence(
            f"{label}: serves nothing yet, for its vendor's list is not known: start the service, use"
            " --refresh, or name its models.",
            err=True,
        )
    for label, models in foreign(config, known).items():
        sentence(
            f"{label}: lists {', '.join(models[:3])}{' and others' if len(models) > 3 else ''}, which the own"
            " accounts of their vendor serve: name them in its models to have them served there as well.",
            err=True,
        )
    if not found:
        sentence("No account serves any model: add one to the configuration.")
    if verbose and (about := remark(data)):
        sentence(about, err=True)


command.add_command(update)


def _show_prices(config: Config, known: Known, *, as_json: bool) -> None:
    """Show what each model takes and costs at the account that is tried first."""
    from ampproxy.cli.model_prices import price_notes, price_table, terms
    from ampproxy.ledger.book import price_book

    prices, families = price_book(config), kept_families(config)
    accounts = {account.label: account for account in config.accounts}
    first = [(row.model, row.servers[0]) for row in rows(config, known)]
    found = [
        terms(model, server.name, accounts[server.account], families, prices)
        for model, server in first
        if server.source != "pattern"
    ]
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found]))
        return
    for line in price_table(found, width()):
        click.echo(line)
    for note in price_notes(found):
        sentence(note)


def kept_models(config: Config) -> dict[str, tuple[str, ...]]:
    """What the vendors of a configuration's accounts listed when they were asked last."""
    cache = ModelCache(cache_folder(os.environ, Path.home()))
    return cache.read(time.time()).models(config.accounts)


def kept_families(config: Config) -> Families:
    """What is known of models under a configuration, as the service knew it last."""
    book = ModelCache(cache_folder(os.environ, Path.home())).read(time.time())
    return Knowledge(newer_data(), book.declared)(config)


def known_catalog(config: Config, known: Known) -> Catalog:
    """Who serves which model, as the service decides it.

    :param known: what vendors listed, by account label.
    """
    return Catalog(config, known, kept_families(config).gone(day_of(time.time())))


def newer_data() -> NewerData:
    """Where ``ampproxy models update`` keeps what it reads."""
    return NewerData(cache_folder(os.environ, Path.home()))


def rows(config: Config, known: Known, reports: Iterable[AccountReport] = ()) -> list[Row]:
    """Models in config order, then the patterns of accounts whose models are not known.

    :param known: what vendors listed, by account label.
    :param reports: what the running service tells of its accounts.
    """
    catalog = known_catalog(config, known)
    states = {report.label: report for report in reports}

    def server(offer: RouteTarget, source: Source) -> Server:
        account = offer.account
        state = _state(states.get(account.label), offer.upstream_model)
        return Server(account.label, account.dialect, offer.upstream_model, source, state)

    found = [
        Row(model.id, tuple(server(*sourced) for sourced in catalog.sourced(model.id)))
        for model in catalog.models()
    ]
    families: dict[str, list[Server]] = {}
    for account in sorted(config.accounts, key=lambda account: -account.priority):
        for pattern in catalog.families(account):
            families.setdefault(pattern, []).append(server(RouteTarget(account, pattern), "pattern"))
    return found + [Row(pattern, tuple(servers)) for pattern, servers in families.items()]


def with_facts(row: Row, families: Families) -> Row:
    """A row with what is known of the model behind it, under each name that a vendor has for it."""
    names = dict.fromkeys(split_suffix(server.name)[0] for server in row.servers)
    return msgspec.structs.replace(
        row, facts=tuple(fact for name in names for fact in _facts(name, families))
    )


def _facts(name: str, families: Families) -> list[Fact]:
    """What is known of one name, by where it is from."""
    found = [
        Fact(printable(name), member.replace("_", "-"), msgspec.to_builtins(value), origin)
        for member, value, origin in families.described(name)
    ]
    origins = list(dict.fromkeys(fact.origin for fact in found))
    return sorted(found, key=lambda fact: origins.index(fact.origin))


def silent(config: Config, known: Known) -> list[str]:
    """The accounts that serve nothing until their vendors' lists are known."""
    catalog = known_catalog(config, known)
    return [
        account.label
        for account in config.accounts
        if not account.models and account.label not in known and not catalog.patterns(account)
    ]


def foreign(config: Config, known: Known) -> dict[str, list[str]]:
    """The accounts that list models of another vendor's family, which they do not serve, and these models."""
    catalog = known_catalog(config, known)
    found: dict[str, list[str]] = {}
    for model in catalog.models():
        for offer in catalog.passed_over(model.id):
            found.setdefault(offer.account.label, []).append(printable(model.id))
    return found


def _state(report: AccountReport | None, model: str) -> str:
    if report is None:
        return ""
    if report.state in ("needs login", "key refused"):
        return report.state
    # A cooldown for one kind of call leaves the others.
    model, _ = split_suffix(model)
    cooling = any(
        cooldown.model in (None, model)
        and cooldown.call is None
        and (cooldown.seconds > 0 or cooldown.half_open)
        for cooldown in report.cooldowns
    )
    if cooling:
        return "resting"
    return report.state if report.state == "untried" else "ready"


def table(rows: Iterable[Row], room: int | None = None) -> Iterator[str]:
    """The rows below a line of headings; what is known of a model below its line.

    :param room: columns of the terminal; ``None``: as many as it takes.
    """
    found = list(rows)
    cells = [_cells(row) for row in found]
    if not cells:
        return
    made = Table(_COLUMNS, cells, room)
    yield made.heading()
    for row, shown in zip(found, cells, strict=True):
        yield from made.row(shown)
        yield from _fact_lines(row.facts, room)


def _fact_lines(facts: tuple[Fact, ...], room: int | None) -> Iterator[str]:
    """What is known of a model, a line each, with where it is from; sources that repeat are named once."""
    before = ("", "")
    for fact in facts:
        if (fact.name, fact.origin) != before:
            yield from wrapped(f"{fact.name}, from {printable(fact.origin)}:", room, "    ", "      ")
        before = fact.name, fact.origin
        yield from wrapped(f"{fact.member}: {_value(fact.value)}", room, "      ", "        ")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else printable(str(value))


def _cells(row: Row) -> tuple[str, ...]:
    def each(member: Callable[[Server], str]) -> str:
        return ", ".join(dict.fromkeys(map(member, row.servers)))

    return (
        printable(row.model),
        each(lambda server: server.dialect),
        each(lambda server: server.source),
        _joined([server.state for server in row.servers]),
        each(lambda server: server.account),
    )


def _joined(states: list[str]) -> str:
    """One word for all, or how many are well."""
    known = [state for state in states if state]
    if not known:
        return "-"
    if len(set(known)) == 1:
        return STATE_WORDS.get(known[0], known[0])
    return f"{sum(state in ('ready', 'untried') for state in known)} of {len(known)} ready"


def _refreshed(config: Config) -> dict[str, tuple[str, ...]]:
    """Ask all vendors; those that do not answer are named on the standard error."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    results: list[Any] = []

    def begin() -> None:
        asking = Deferred.fromCoroutine(_ask_vendors(config, reactor))
        asking.addBoth(results.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not results:
        raise click.Abort()
    if not isinstance(results[0], dict):
        results[0].raiseException()
    known: dict[str, tuple[str, ...]] = results[0]
    return known


async def _ask_vendors(config: Config, reactor: Any) -> dict[str, tuple[str, ...]]:
    from twisted.logger import Logger, LogPublisher

    from ampproxy.providers import PROVIDERS
    from ampproxy.relay.discovery import Discovery
    from ampproxy.upstream.client import UpstreamClient

    client = UpstreamClient(reactor, connect_timeout=config.timeouts.connect)
    cache = ModelCache(cache_folder(os.environ, Path.home()))
    log = Logger(namespace="ampproxy", observer=LogPublisher())
    discovery = Discovery(client, reactor, cache, log, wall=time.time, random=random.random)
    providers = {account.label: PROVIDERS[account.kind](account) for account in config.accounts}
    with Progress() as progress:
        progress(f"Asking the vendors of {counted(len(providers), 'account')} for their models ...")
        discovery.watch(config, providers, lambda: None, again=True)
        await discovery.settled()
    for label, reason in discovery.failures():
        sentence(f"{label}: could not fetch the model list: {reason}", err=True)
    discovery.stop()
    await client.close()
    return discovery.models(config.accounts)
