"""Which account serves which model: the models that clients see, and what is behind each.

An account serves

1. the models that its configuration names, and no others;
2. else those that its vendor told us of (:mod:`ampproxy.relay.discovery`), without ``excluded-models``;
3. else, or beside those, any name of its vendor's family. A list can be an hour old, and vendors take
   names that they do not list; so what a list lacks is still tried, unless the same vendor lists it
   for another account: then this one does not have it. A mapping that is for such a name goes before
   (:mod:`ampproxy.routing.decide`).

What a vendor only lists (2), and what is of another vendor's family by its name, is served there only where
no account of that other vendor serves it: anybody may list ``claude-opus-4``.

Clients are shown the models of 1 and 2; of logins whose vendor has not told any, or cannot, those that are
known of the family (``login-models`` in the catalogue).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Account, Config
from ampproxy.model.base import Value
from ampproxy.routing.route import RouteTarget
from ampproxy.wire.wildcard import matches_wildcard

#: The patterns of each vendor's family, with the vendor.
_FAMILY_OWNERS: tuple[tuple[str, str], ...] = tuple(
    dict.fromkeys((pattern, kind.vendor) for kind in KINDS.values() for pattern in kind.patterns)
)


#: How it is known that an account serves a model: the three rules above.
Source: TypeAlias = Literal["config", "vendor", "pattern"]
_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class CatalogModel(Value, frozen=True):
    """A model as a list shows it."""

    id: str
    owned_by: str


def owner(account: Account) -> str:
    """Who is said to own an account's models: the vendor, or the name of a compatible provider."""
    named = account.label.partition("/")[2].rpartition("[")[0]
    return KINDS[account.kind].vendor or named or account.kind


class Catalog:
    """The models of a configuration, immutable.

    A model is known by its visible id only: the alias, or the name where there is none. An account with
    a prefix offers it as ``prefix/id``, and also as ``id`` unless ``force-model-prefix`` is set. Ids are
    case-sensitive. The offers of one id come by ``priority``, highest first, then in config order.

    :param discovered: the models of accounts' vendors, by the account's label; what an account that
        names models of its own has here does not count.
    :param gone: whether a model, by its vendor's name, is known to be no longer there.
    """

    def __init__(
        self,
        config: Config,
        discovered: Mapping[str, tuple[str, ...]] = _NOTHING,
        gone: Callable[[str], bool] = lambda model: False,
    ) -> None:
        self._gone = gone
        self._force_prefix = config.force_model_prefix
        self._discovered = {
            account.label: discovered[account.label]
            for account in config.serving
            if not account.models and account.label in discovered
        }
        # Accounts of one vendor mostly have the same list; at a thousand of them it is kept once.
        self._shared: dict[object, _Shelf] = {}
        shelves = [(account, self._shelf(account)) for account in config.serving]
        # A stable sort: config order stays within one priority.
        self._shelves = sorted(shelves, key=lambda shelf: -shelf[0].priority)
        self._elsewhere = self._names_elsewhere(config.serving)
        self._models = _listed((account, shelf or self._known(account)) for account, shelf in shelves)
        self._exact: dict[str, tuple[RouteTarget, ...] | None] = dict.fromkeys(
            model.id for model in self._models
        )

    def find(self, base: str) -> tuple[RouteTarget, ...]:
        """Who serves this id (without a thinking suffix); empty if nobody does."""
        offers = self._exact.get(base)
        if offers is None:
            offers = tuple(offer for offer, _ in self._offers(base))
            if base in self._exact:
                self._exact[base] = offers
        return offers

    def sourced(self, base: str) -> tuple[tuple[RouteTarget, Source], ...]:
        """As :meth:`find`, with how each is known."""
        return tuple(self._offers(base))

    def passed_over(self, base: str) -> tuple[RouteTarget, ...]:
        """Accounts whose vendor lists this id and which do not serve it: it is of another vendor's family,
        and that vendor's accounts do.
        """
        everything = tuple(self._everything(base))
        kept = set(_from_own_vendor(everything))
        return tuple(sourced[0] for sourced in everything if sourced not in kept)

    def models(self) -> tuple[CatalogModel, ...]:
        """The models whose names are known, each once, in config order."""
        return self._models

    def is_guess(self, base: str) -> bool:
        """Whether an id is served only because it is of a vendor's family by its name, though that vendor's
        own list, which is known, lacks it, or the model is known to be gone.
        """
        found = self.sourced(base)
        return bool(found) and all(
            source == "pattern"
            and (offer.account.label in self._discovered or self._gone(offer.upstream_model))
            for offer, source in found
        )

    def families(self, account: Account) -> tuple[str, ...]:
        """What stands for the names that an account is asked for though nobody has told that it has them."""
        return () if account.models else self._patterns(account)

    def patterns(self, account: Account) -> tuple[str, ...]:
        """What stands for an account's models as long as those are not known, as clients name them."""
        if account.models or account.label in self._discovered:
            return ()
        return self._patterns(account)

    def _patterns(self, account: Account) -> tuple[str, ...]:
        plain = KINDS[account.kind].patterns
        prefixed = tuple(f"{account.prefix}/{pattern}" for pattern in plain if account.prefix)
        return prefixed if account.prefix and self._force_prefix else plain + prefixed

    def _shelf(self, account: Account) -> _Shelf:
        """Ids that clients use -> the vendor's names; a repeated alias is a pool of several."""
        if account.models:
            return self._filled(account, [(model.visible, model.name) for model in account.models])
        names = self._discovered.get(account.label, ())
        key = (names, account.prefix, account.excluded_models, account.aliases)
        shelf = self._shared.get(key)
        if shelf is None:
            pairs = [(visible, name) for name in names for visible in _visible(account, name)]
            shelf = self._shared[key] = self._filled(account, pairs)
        return shelf

    def _known(self, account: Account) -> _Shelf:
        """What a list shows of an account about which nobody has told anything."""
        if account.models or account.label in self._discovered:
            return {}
        named = [alias.name for alias in account.aliases if _is_of_family(account, alias.name)]
        names = dict.fromkeys((*KINDS[account.kind].listed, *named))
        return self._filled(account, [(shown, name) for name in names for shown in _visible(account, name)])

    def _filled(self, account: Account, pairs: list[tuple[str, str]]) -> _Shelf:
        shelf: _Shelf = {}
        for visible, name in pairs:
            if _excluded(account, visible):
                continue
            for id_ in self._ids(account, visible):
                names = shelf.setdefault(id_, [])
                if name not in names:
                    names.append(name)
        return shelf

    def _ids(self, account: Account, visible: str) -> tuple[str, ...]:
        if not account.prefix:
            return (visible,)
        prefixed = f"{account.prefix}/{visible}"
        return (prefixed,) if self._force_prefix else (visible, prefixed)

    def _names_elsewhere(self, accounts: tuple[Account, ...]) -> dict[str, set[str]]:
        """What each vendor, known by its address, listed for any account."""
        names: dict[str, set[str]] = {}
        for account in accounts:
            names.setdefault(account.base_url, set()).update(self._discovered.get(account.label, ()))
        return names

    def _offers(self, id_: str) -> Iterable[tuple[RouteTarget, Source]]:
        return _from_own_vendor(tuple(self._everything(id_)))

    def _everything(self, id_: str) -> Iterator[tuple[RouteTarget, Source]]:
        for account, shelf in self._shelves:
            names = shelf.get(id_)
            if names is not None:
                source: Source = "config" if account.models else "vendor"
                for name in names:
                    yield RouteTarget(account, name), source
            elif not account.models:
                yield from self._by_family(account, id_)

    def _by_family(self, account: Account, id_: str) -> Iterator[tuple[RouteTarget, Source]]:
        name = id_
        if account.prefix:
            inner = id_.removeprefix(account.prefix + "/")
            if inner == id_ and self._force_prefix:
                return
            name = inner
        if _excluded(account, name):
            return
        real = [alias.name for alias in account.aliases if alias.alias == name]
        for model in real or [name] * (name in _visible(account, name)):
            if not _is_of_family(account, model):
                continue
            if account.label not in self._discovered or model not in self._elsewhere[account.base_url]:
                yield RouteTarget(account, model), "pattern"


def _from_own_vendor(found: tuple[tuple[RouteTarget, Source], ...]) -> tuple[tuple[RouteTarget, Source], ...]:
    """What is left where a family's own vendor serves a model that others only list."""
    vendors = {KINDS[offer.account.kind].vendor for offer, _ in found}
    if len(vendors) < 2:
        return found
    return tuple(sourced for sourced in found if not _is_foreign(*sourced, vendors))


def _is_foreign(offer: RouteTarget, source: Source, vendors: Container[str]) -> bool:
    if source != "vendor":
        return False
    family = _family_owner(offer.upstream_model)
    return family in vendors and family not in (None, KINDS[offer.account.kind].vendor)


def _family_owner(model: str) -> str | None:
    """The vendor of whose family a name is."""
    return next((owner for pattern, owner in _FAMILY_OWNERS if matches_wildcard(pattern, model)), None)


#: Ids that clients use -> the vendor's names of each.
_Shelf: TypeAlias = dict[str, list[str]]


def _listed(shelves: Iterable[tuple[Account, _Shelf]]) -> tuple[CatalogModel, ...]:
    models: dict[str, CatalogModel] = {}
    for account, shelf in shelves:
        for id_ in shelf:
            if id_ not in models:
                models[id_] = CatalogModel(id_, owner(account))
    return tuple(models.values())


def _visible(account: Account, name: str) -> list[str]:
    """The names under which clients see a model that the account does not name itself."""
    aliases = [alias for alias in account.aliases if alias.name == name]
    kept = not aliases or any(alias.fork for alias in aliases)
    return [name] * kept + [alias.alias for alias in aliases]


def _is_of_family(account: Account, name: str) -> bool:
    return any(matches_wildcard(pattern, name) for pattern in KINDS[account.kind].patterns)


def _excluded(account: Account, visible: str) -> bool:
    lowered = visible.lower()
    return any(matches_wildcard(pattern, lowered) for pattern in account.excluded_models)
