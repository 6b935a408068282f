"""What of a configuration can do nothing, as far as that is known without asking anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ampproxy.amp.asks import HISTORY
from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Config
from ampproxy.config.schema import ModelMapping as ModelMapping
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable


def nothing_served(config: Config) -> str:
    """What is wrong where no account serves anything; empty: one does.

    :param config: with the accounts of the logins.
    """
    if config.serving:
        return ""
    why = "every account has a weight of 0 or less" if config.accounts else "there is no account"
    if asks_amp(config):
        return f"{why}: all models are asked of Amp, which spends Amp credits; add an account, or a login"
    return f"{why}, so that nothing can be served: add one, or ampproxy login"


def asks_amp(config: Config) -> bool:
    """Whether models that no account serves may be asked of Amp."""
    amp = config.ampcode
    return bool(amp.upstream_url) and any(rule.action != "never" for rule in amp.fallback)


def idle_mappings(
    config: Config,
    catalog: Catalog,
    discovered: Mapping[str, tuple[str, ...]],
    ends: Callable[[str], bool] = lambda model: False,
) -> Iterator[tuple[ModelMapping, str]]:
    """The mappings that never act, and why.

    :param discovered: the models of the vendors that have listed theirs, by the account's label.
    :param ends: whether a vendor takes a model away: a mapping of it acts from then on.
    """
    listed = all(
        account.models or KINDS[account.kind].patterns or account.label in discovered
        for account in config.serving
    )
    for mapping in config.ampcode.mappings:
        why = _why(mapping, catalog, ends, listed=listed, forced=config.ampcode.force_mappings)
        if why:
            yield mapping, why


def _why(
    mapping: ModelMapping, catalog: Catalog, ends: Callable[[str], bool], *, listed: bool, forced: bool
) -> str:
    target = split_suffix(mapping.target)[0]
    if not catalog.find(target):
        return f"no account serves {printable(target)}" if listed else ""
    names = [name for name in _names(mapping, catalog) if not _ends(name, catalog, ends)]
    if forced or not names or not all(catalog.find(name) and not catalog.is_guess(name) for name in names):
        return ""
    first = catalog.find(names[0])[0].account.label
    served = f"{printable(names[0])} is served by {first}"
    if len(names) > 1:
        served = f"all {len(names)} models that it is known to be for are served by accounts: {served}"
    return f"{served}, and force-model-mappings is not set"


def _ends(name: str, catalog: Catalog, ends: Callable[[str], bool]) -> bool:
    """Whether all that serves a name is taken away."""
    offers = catalog.find(name)
    return bool(offers) and all(ends(offer.upstream_model) for offer in offers)


def _names(mapping: ModelMapping, catalog: Catalog) -> list[str]:
    """The models that are known to be asked for and that it is for."""
    if mapping.source and mapping.pattern is None:
        return [split_suffix(mapping.source)[0]]
    asked = [
        since.model
        for role, steps in HISTORY.items()
        for since in steps
        if since.model and (not mapping.roles or role in mapping.roles)
    ]
    if mapping.roles:
        known = dict.fromkeys(asked)
    else:
        known = dict.fromkeys((*asked, *(model.id for model in catalog.models())))
    pattern = mapping.pattern
    return [name for name in known if pattern is None or pattern.search(name)]
