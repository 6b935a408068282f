"""Models of a configuration that their vendors take away, or soon will, with the lines that mend it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ampproxy.amp.asks import Ask, asks
from ampproxy.catalog.families import Families
from ampproxy.catalog.kinds import KINDS
from ampproxy.catalog.lifecycle import Ending, alias_line, ending, mapping_line, target_line
from ampproxy.config.fields import is_loopback
from ampproxy.config.schema import Account, Config, ModelMapping, ModelName
from ampproxy.desktop.clients.installed import NEWEST_CLASSIC, parse_version
from ampproxy.model.base import Value
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.mappings import Mappings, SlowPattern
from ampproxy.routing.suffix import join_suffix, split_suffix
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted


class Retiring(Value, frozen=True):
    """A place of the configuration, or a model that Amp asks for, that a model's end concerns.

    :param who: what needs the model, for people.
    :param line: of the file; 0: none.
    :param todo: what to do, with the line of YAML that does it.
    :param needed: whether requests are known to be made for it.
    """

    ending: Ending
    who: str
    line: int
    todo: str
    needed: bool = True

    def clause(self, today: datetime.date) -> str:
        """One sentence: who needs what, and when it ends."""
        return f"{self.who}: {printable(self.ending.model)} {self.ending.clause(today)}"


def retiring(
    config: Config, catalog: Catalog, families: Families, today: datetime.date, asked: Iterable[Ask] | None
) -> Iterator[Retiring]:
    """All of a configuration, each model once for each place that needs it.

    :param asked: what Amp's clients here ask for; ``None``: what the newest classic one does, if the
        configuration is made for Amp.
    """
    yield from _mappings(config, catalog, families, today)
    yield from _named(config, families, today)
    mappings = Mappings(config.ampcode.mappings)
    unmapped = (ask.model for ask in (_asked(config) if asked is None else asked) if not _maps(mappings, ask))
    for model in dict.fromkeys(unmapped):
        yield from _served(model, catalog, families, today)


def _asked(config: Config) -> Iterable[Ask]:
    newest = parse_version(NEWEST_CLASSIC)
    if newest is None or not (config.ampcode.upstream_url or config.ampcode.mappings):
        return ()
    return asks(newest.built)


def _maps(mappings: Mappings, ask: Ask) -> bool:
    """Whether a mapping takes over where the model is no longer there."""
    try:
        return mappings.find(ask.model, ask.role) is not None
    except SlowPattern:
        return False


def _mappings(
    config: Config, catalog: Catalog, families: Families, today: datetime.date
) -> Iterator[Retiring]:
    for mapping in config.ampcode.mappings:
        base, suffix = split_suffix(mapping.target)
        for model in dict.fromkeys(offer.upstream_model for offer in catalog.find(base)) or [base]:
            end = ending(model, families, today)
            if end is not None:
                who = f"The mapping of {printable(_source(mapping))} to {printable(mapping.target)}"
                line = target_line(join_suffix(end.successor, suffix))
                yield Retiring(end, who, mapping.line, _todo(end, "in this mapping", line))


def _source(mapping: ModelMapping) -> str:
    return mapping.source or "/".join(mapping.roles) or "everything"


def _named(config: Config, families: Families, today: datetime.date) -> Iterator[Retiring]:
    """Models that accounts name, those that end alike together; of the same in several lists the first."""
    seen: set[tuple[str, str]] = set()
    for account in config.serving:
        alike: dict[tuple[datetime.date | None, str], list[tuple[Ending, ModelName]]] = {}
        for model in account.models:
            end = ending(model.name, families, today) if _is_the_vendors(account, model, families) else None
            if end is not None and (model.name, model.visible) not in seen:
                seen.add((model.name, model.visible))
                alike.setdefault((end.day, end.successor), []).append((end, model))
        for (end, model), *others in alike.values():
            more = f" (and {counted(len(others), 'other')})" if others else ""
            line = alias_line(end.successor, model.visible)
            todo = _todo(end, "in the account's models, in its place", line)
            yield Retiring(end, f"{account.label}'s models{more}", 0, todo, needed=False)


def _is_the_vendors(account: Account, model: ModelName, families: Families) -> bool:
    """Whether what a vendor takes away is gone for an account: another host, or a server of one's own, keeps
    models as it likes.
    """
    return families.find(model.name).vendor in ("", KINDS[account.kind].vendor) and not is_loopback(
        urlsplit(account.base_url).hostname or ""
    )


def _served(model: str, catalog: Catalog, families: Families, today: datetime.date) -> Iterator[Retiring]:
    """A model that Amp asks for and that an account serves by that name."""
    offers = catalog.find(split_suffix(model)[0])
    if not offers or offers[0].account.models:
        return
    end = ending(offers[0].upstream_model, families, today)
    if end is not None:
        todo = _todo(end, "under ampcode.model-mappings", mapping_line(model, end.successor))
        yield Retiring(end, f"Amp asks for {printable(model)}", 0, todo)


def _todo(end: Ending, where: str, line: str) -> str:
    if not end.successor:
        return "have another model serve in its place"
    return f"write {where}:\n{line}"
