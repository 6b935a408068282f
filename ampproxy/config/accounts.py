"""The sections that name accounts: those of vendors' API keys, and one of compatible servers.

Which there are say the rows of :mod:`ampproxy.catalog.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ampproxy.catalog.hosts import shipped_hosts
from ampproxy.catalog.kinds import COMPATIBLE, KEYED, Kind
from ampproxy.config import fields
from ampproxy.config.document import Scalar
from ampproxy.config.parsing import ListOf, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.schema import Account, ModelName
from ampproxy.model.base import Value
from ampproxy.wire.redact import Secret

_NO_REWRITING = "requests are never rewritten or disguised"
_UNSUPPORTED = {
    "cloak": _NO_REWRITING,
    "experimental-cch-signing": _NO_REWRITING,
    "fingerprint-profile": _NO_REWRITING,
    "rebuild-mid-system-message": _NO_REWRITING,
    "websockets": "requests to the provider always use plain HTTP",
    "alpha-search": "searches are not served",
    "request-scoped-errors": "how failures are handled cannot be configured",
    "request-retry": "there is one setting for all accounts, at the top level",
}
_UNSUPPORTED_COMPATIBLE = {
    **_UNSUPPORTED,
    "api-key": "list it under api-key-entries, as api-key",
    "support-prompt-cache-key": "a client's own prompt_cache_key is passed on",
}
_KNOWN = "what a model takes and gives is known from the catalogue"
_UNSUPPORTED_MODEL = {
    "input-modalities": _KNOWN,
    "output-modalities": _KNOWN,
    "display-name": "models are listed by their names",
    "is-compat": _NO_REWRITING,
    "max-context-length": "the vendor sets these limits",
    "image": "images are passed on to every model",
    "thinking": "a client's thinking settings are passed on unchanged",
    "fork": "it belongs to oauth-model-alias",
    "force-mapping": "model-mappings in ampcode do this",
}


_MODEL = Section(
    lambda found: ModelName(name=found.values["name"], alias=found.values.get("alias", "")),
    (
        Setting("name", fields.NAME, "The model's name at the vendor.", required=True),
        Setting("alias", fields.TEXT, "The name that clients see and request.", "the name"),
    ),
    _UNSUPPORTED_MODEL,
)


class _ModelItem(Value, frozen=True):
    """A model as ``{name, alias}``, or as its name alone."""

    item: Section
    type: str = "model"

    def __call__(self, place: Location) -> ModelName:
        """Read either form."""
        if isinstance(place.node, Scalar):
            return ModelName(name=fields.NAME(place), alias="")
        model: ModelName = self.item(place)
        return model


class _Models(Value, frozen=True):
    """The models of an account; ``item`` is what the documentation walks into.

    :ivar shorthand: an item may be the name alone.
    """

    item: Section = _MODEL
    type: str = "a list of models"
    shorthand: bool = True

    def __call__(self, place: Location) -> tuple[ModelName, ...]:
        return ListOf(_ModelItem(self.item), self.type)(place)


#: What every account may have, wherever it is named.
_COMMON = (
    Setting(
        "priority",
        fields.INTEGER,
        "Accounts with a higher number are used first; others only while no such account can serve.",
        "0",
    ),
    Setting(
        "prefix",
        fields.PREFIX,
        "Clients can also request this account's models as `PREFIX/model`; only this account then "
        "serves them.",
    ),
    Setting(
        "proxy-url",
        fields.PROXY,
        "HTTP, HTTPS or SOCKS5 proxy for this account; `direct` for none at all.",
        "the global one",
    ),
    Setting(
        "headers",
        fields.HEADERS,
        "Headers for each request to the vendor; set last, so they override others.",
    ),
    Setting(
        "models", _Models(), "The models that the account serves, and no others.", "what the vendor offers"
    ),
    Setting(
        "excluded-models",
        fields.WILDCARDS,
        "Models not to serve, by the names that clients see; `*` stands for anything.",
    ),
    Setting("disable-cooling", fields.FLAG, "Never put this account into cooldown.", "false"),
    Setting(
        "learning",
        fields.FLAG,
        "Learn what this account refuses, if the section `learning` enables it.",
        "true",
    ),
    Setting(
        "answers-without-end",
        fields.FLAG,
        "Accept a streamed answer as complete even if the server sent no finish reason; otherwise such "
        "an answer is an error, because it may be cut off.",
        "false",
        field="unended",
    ),
    Setting("disabled", fields.FLAG, "Leave the entry out without removing it.", "false"),
)

_WEIGHT = Setting(
    "weight",
    fields.WEIGHT,
    "Its share of requests under `routing.strategy: weighted-round-robin`; 0 or less: it gets none.",
    "1",
)

#: The kinds of servers that are known by name.
_PROFILES = tuple(shipped_hosts().profiles)
_PROFILE = Setting(
    "profile",
    Reader("a host profile", fields.choice(*_PROFILES).read),
    "The kind of server, which decides what requests it accepts. The names are below.",
    "by its address",
)

_OF_KEYS = (
    Setting("api-key", fields.GIVEN_SECRET, "The vendor's key.", required=True),
    Setting(
        "base-url",
        fields.BASE_URL,
        "The address of the vendor's API, without the path of a method.",
        "the vendor's own",
    ),
    _WEIGHT,
    *_COMMON,
)
_KEYED = Section(lambda found: found, _OF_KEYS, _UNSUPPORTED)

#: Likewise of those that speak Messages, too.
_MESSAGES_PROFILES = tuple(shipped_hosts().of_messages)
#: Messages is spoken by other servers than Anthropic's.
_KEYED_MESSAGES = Section(
    lambda found: found,
    (
        *_OF_KEYS,
        Setting(
            "profile",
            Reader("a host profile", fields.choice(*_MESSAGES_PROFILES).read),
            "Only for `claude-api-key`: the kind of server, if it is not Anthropic's own; it decides what of"
            " a request is sent.",
            "by its address",
        ),
    ),
    _UNSUPPORTED,
)

_KEY_ENTRY = Section(
    lambda found: found,
    (
        Setting("api-key", fields.SECRET, "The server's key.", "none is sent"),
        Setting("proxy-url", fields.PROXY, "Proxy for this key only.", "the entry's"),
        _WEIGHT,
    ),
    _UNSUPPORTED,
)

_SERVER = Section(
    lambda found: found,
    (
        Setting("name", fields.NAME, "The server's name in logs and errors.", required=True),
        Setting(
            "base-url", fields.BASE_URL, "The address of its API, without `/chat/completions`.", required=True
        ),
        Setting(
            "api-key-entries",
            ListOf(_KEY_ENTRY, "a list of keys"),
            "Its keys, each an account. Without any, requests carry no key, which suits local servers.",
            field="keys",
        ),
        _PROFILE,
        *_COMMON,
    ),
    _UNSUPPORTED_COMPATIBLE,
)


def _keyed(vendor: Kind, entries: tuple[ParsedSection, ...]) -> Iterator[Account]:
    """One account an entry; an entry that only repeats another is left out."""
    seen: set[object] = set()
    for index, found in enumerate(entries):
        base_url = _checked_base(found, vendor)
        if found.values.get("disabled", False):
            continue
        # The same in both layouts of the file, for the ledger and metrics know accounts by it.
        label = f"{vendor.section}[{index}]"
        account = _account(vendor, found, label, base_url, found.values["api_key"], found.place.line)
        same = (account.api_key, base_url, account.prefix, account.models)
        if same in seen:
            found.place.warn("repeats an earlier entry and is ignored")
            continue
        seen.add(same)
        yield account


def _servers(vendor: Kind, entries: tuple[ParsedSection, ...]) -> Iterator[Account]:
    counts: dict[str, int] = {}
    for found in entries:
        name, base_url = found.values["name"], _checked_base(found, vendor)
        if name in counts:
            found.at("name").warn("names two entries: give each its own, so that logs can distinguish them")
        if found.values.get("disabled", False):
            continue
        for key in found.values.get("keys") or (None,):
            index = counts.setdefault(name, 0)
            counts[name] += 1
            secret = Secret("") if key is None else key.values.get("api_key", Secret(""))
            line = found.place.line if key is None else key.place.line
            own = {} if key is None else key.values
            yield _account(vendor, found, f"{vendor.section}/{name}[{index}]", base_url, secret, line, own)


def _account(
    vendor: Kind,
    found: ParsedSection,
    label: str,
    base_url: str,
    key: Secret,
    line: int,
    closer: dict[str, Any] | None = None,
) -> Account:
    rows = (_WEIGHT, _PROFILE, *_COMMON)
    values = {row.field: found.values[row.field] for row in rows if row.field in found.values}
    values.pop("disabled", None)
    for field in ("proxy_url", "weight"):
        if closer and closer.get(field) is not None:
            values[field] = closer[field]
    return Account(
        label=label,
        kind=vendor.name,
        dialect=vendor.dialect,
        base_url=base_url,
        api_key=key,
        line=line,
        **values,
    )


def _checked_base(found: ParsedSection, vendor: Kind) -> str:
    """The entry's base URL, or the vendor's; says so if the path of a method stands in it."""
    base_url: str = found.values.get("base_url", vendor.base_url)
    first = "/" + vendor.adds.split("/")[1]
    if base_url.endswith(vendor.adds):
        found.at("base_url").complain(
            f"ends in {vendor.adds}, which is added to it for each request: leave it out"
        )
    elif first != vendor.adds and base_url.endswith(first):
        found.at("base_url").warn(f"ends in {first}, and {vendor.adds} is added to it: leave {first} out")
    return base_url


class Accounts(Value, frozen=True):
    """The accounts of one section. ``expand`` makes them of its entries."""

    vendor: Kind
    item: Section
    expand: Callable[[Kind, tuple[ParsedSection, ...]], Iterator[Account]]
    type: str = "a list of accounts"

    def __call__(self, place: Location) -> tuple[Account, ...]:
        """Read the list; one entry may be several accounts, or none if it is disabled."""
        entries: tuple[ParsedSection, ...] = ListOf(self.item, self.type)(place)
        return tuple(self.expand(self.vendor, entries))


#: The rows of all account sections, for the table of the whole file.
ACCOUNT_SETTINGS = (
    *(
        Setting(
            vendor.section,
            Accounts(vendor, _KEYED_MESSAGES if vendor.others else _KEYED, _keyed),
            f"Accounts at `{vendor.base_url}`, or the address in an entry's `base-url`.",
            field=vendor.name,
        )
        for vendor in KEYED
    ),
    Setting(
        COMPATIBLE.section,
        Accounts(COMPATIBLE, _SERVER, _servers),
        "Servers that speak OpenAI's Chat Completions: other vendors, or local servers.",
        field=COMPATIBLE.name,
    ),
)
