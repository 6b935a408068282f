"""Which account serves which model: the models that clients see, and what is behind each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ampproxy.config.schema import Account, AccountKind, Config
from ampproxy.routing.route import Offer

#: What an account whose models nobody named is trusted to serve.
FAMILIES: dict[AccountKind, tuple[str, ...]] = {
    "claude": ("claude-*",),
    "codex": ("gpt-*", "o1*", "o3*", "o4*", "codex-*", "chatgpt-*"),
    "gemini": ("gemini-*",),
    "vertex": ("gemini-*",),
    "openai-compatibility": (),
    "claude-login": ("claude-*",),
    "codex-login": ("gpt-*", "codex-*"),
    "gemini-login": ("gemini-*",),
    "gemini-api-login": ("gemini-*",),
}
_OWNERS: dict[AccountKind, str] = {
    "claude": "anthropic",
    "codex": "openai",
    "gemini": "google",
    "vertex": "google",
    "claude-login": "anthropic",
    "codex-login": "openai",
    "gemini-login": "google",
    "gemini-api-login": "google",
}


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model as a list shows it."""

    id: str
    owned_by: str


def matches_wildcard(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, whose every ``*`` stands for any text. Takes time linear in both."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    last = others.pop()
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in others:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def owner(account: Account) -> str:
    """Who is said to own an account's models: the vendor, or the name of a compatible provider."""
    named = account.label.partition("/")[2].rpartition("[")[0]
    return _OWNERS.get(account.kind) or named or account.kind


class Catalog:
    """The models of a configuration, immutable.

    A model is known by its visible id only: the alias, or the name where there is none. An account with
    a prefix offers it as ``prefix/id``, and also as ``id`` unless ``force-model-prefix`` is set. Ids are
    case-sensitive. The offers of one id come by ``priority``, highest first, then in config order.
    """

    def __init__(self, config: Config) -> None:
        self._force_prefix = config.force_model_prefix
        # A stable sort: config order stays within one priority.
        ranked = sorted(config.accounts, key=lambda account: -account.priority)
        self._shelves = tuple((account, self._shelf(account)) for account in ranked)
        self._exact = {id_: tuple(self._offers(id_)) for _, shelf in self._shelves for id_ in shelf}
        self._models = self._listed(config.accounts)

    def find(self, base: str) -> tuple[Offer, ...]:
        """Who serves this id (without a thinking suffix); empty if nobody does."""
        offers = self._exact.get(base)
        return tuple(self._offers(base)) if offers is None else offers

    def models(self) -> tuple[CatalogModel, ...]:
        """The models whose names are known, each once, in config order."""
        return self._models

    def _shelf(self, account: Account) -> dict[str, list[str]]:
        """Ids that clients use -> the vendor's names; a repeated alias is a pool of several."""
        shelf: dict[str, list[str]] = {}
        for model in account.models:
            if _excluded(account, model.visible):
                continue
            for id_ in self._ids(account, model.visible):
                names = shelf.setdefault(id_, [])
                if model.name not in names:
                    names.append(model.name)
        return shelf

    def _ids(self, account: Account, visible: str) -> tuple[str, ...]:
        if not account.prefix:
            return (visible,)
        prefixed = f"{account.prefix}/{visible}"
        return (prefixed,) if self._force_prefix else (visible, prefixed)

    def _listed(self, accounts: tuple[Account, ...]) -> tuple[CatalogModel, ...]:
        models: dict[str, CatalogModel] = {}
        for account in accounts:
            for id_ in self._shelf(account):
                models.setdefault(id_, CatalogModel(id_, owner(account)))
        return tuple(models.values())

    def _offers(self, id_: str) -> Iterator[Offer]:
        for account, shelf in self._shelves:
            if account.models:
                for name in shelf.get(id_, ()):
                    yield Offer(account, name)
            else:
                yield from self._by_family(account, id_)

    def _by_family(self, account: Account, id_: str) -> Iterator[Offer]:
        name = id_
        if account.prefix:
            inner = id_.removeprefix(account.prefix + "/")
            if inner == id_ and self._force_prefix:
                return
            name = inner
        named = any(matches_wildcard(pattern, name) for pattern in FAMILIES[account.kind])
        if named and not _excluded(account, name):
            yield Offer(account, name)


def _excluded(account: Account, visible: str) -> bool:
    lowered = visible.lower()
    return any(matches_wildcard(pattern, lowered) for pattern in account.excluded_models)
