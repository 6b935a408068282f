"""What of a configuration can do nothing, as far as that is known without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ampproxy.amp.asks import HISTORY
from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Config
from ampproxy.config.schema import Mapping as ModelMapping
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
    config: Config, catalog: Catalog, discovered: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[ModelMapping, str]]:
    """The mappings that never act, and why.

    :param discovered: the models of the vendors that have listed theirs, by the account's label.
    """
    listed = all(
        account.models or KINDS[account.kind].patterns or account.label in discovered
        for account in config.serving
    )
    for mapping in config.ampcode.mappings:
        why = _why(mapping, catalog, listed=listed, forced=config.ampcode.force_mappings)
        if why:
            yield mapping, why


def _why(mapping: ModelMapping, catalog: Catalog, *, listed: bool, forced: bool) -> str:
    target = split_suffix(mapping.target)[0]
    if not catalog.find(target):
        return f"no account serves {printable(target)}" if listed else ""
    names = _names(mapping, catalog)
    if forced or not names or not all(catalog.find(name) and not catalog.is_guess(name) for name in names):
        return ""
    first = catalog.find(names[0])[0].account.label
    served = f"{printable(names[0])} is served by {first}"
    if len(names) > 1:
        served = f"all {len(names)} models that it is known to be for are served by accounts: {served}"
    return f"{served}, and force-model-mappings is not set"


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
