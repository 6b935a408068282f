"""The ``ampcode`` section: the Amp upstream, whose key goes there, and model mappings."""

from __future__ import annotations

import re

from ampproxy.config import fields
from ampproxy.config.fallback import ROLE, Fallback
from ampproxy.config.parsing import AlreadyReported, ListOf, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.schema import AmpCode, ModelMapping
from ampproxy.model.base import Value
from ampproxy.wire.patterns import slow_text
from ampproxy.wire.redact import Secret

#: The longest name that is compared with patterns; see :mod:`ampproxy.routing.decide`.
MAX_NAME = 512

#: Keys of older files, with the section and the key that replace them.
MOVED = {
    "amp-upstream-url": ("ampcode", "upstream-url"),
    "amp-upstream-api-key": ("ampcode", "upstream-api-key"),
    "amp-restrict-management-to-localhost": ("ampcode", "restrict-management-to-localhost"),
    "amp-model-mappings": ("ampcode", "model-mappings"),
}


def _mapping(found: ParsedSection) -> ModelMapping:
    source, pattern = found.values.get("source", ""), None
    if not source:
        if not (found.values.get("roles") or found.broken("source") or found.broken("roles")):
            found.place.complain("needs from, role, or both")
        if found.broken("source") or not found.values.get("roles"):
            raise AlreadyReported
        if found.values.get("regex", False):
            found.at("regex").warn("has no effect without from")
    elif found.values.get("regex", False):
        if "[[:" in source:
            found.at("source").complain("has a POSIX class such as [[:alpha:]]: write it out, as in [A-Za-z]")
            raise AlreadyReported
        try:
            pattern = re.compile(source, re.IGNORECASE)
            slow = slow_text(source, MAX_NAME)
        except (re.error, ValueError, OverflowError, RecursionError) as error:
            found.at("source").complain(
                f"is not a regular expression: {error}: correct it, or leave out regex"
            )
            raise AlreadyReported from None
        if slow:
            found.at("source").warn(
                "takes too long to match some names, because it has nested repeats: a request for"
                f" such a name ({slow[:20]}...) is refused; write it so that no part of a name can match in"
                " two ways"
            )
    return ModelMapping(
        source=source,
        target=found.values["target"],
        pattern=pattern,
        roles=found.values.get("roles", ()),
        line=found.place.line,
    )


_MAPPING = Section(
    _mapping,
    (
        Setting(
            "from",
            fields.NAME,
            "The requested model, or a pattern of names.",
            "all",
            blank=True,
            field="source",
        ),
        Setting(
            "role",
            ROLE,
            "What Amp uses the model for, instead of `from` or in addition: `oracle`, `[finder, title]`.",
            "all",
            field="roles",
        ),
        Setting(
            "to",
            fields.NAME,
            "The model that serves instead, optionally with a thinking suffix: `gpt-5.2(high)`.",
            required=True,
            field="target",
        ),
        Setting(
            "regex",
            fields.FLAG,
            "Whether `from` is a regular expression, searched anywhere in the name, in any case.",
            "false",
        ),
    ),
)


def _mappings(place: Location) -> tuple[ModelMapping, ...]:
    """The mappings in order, without those that can never apply."""
    mappings: tuple[ModelMapping, ...] = ListOf(_MAPPING, "a list of mappings")(place)
    last = {(m.source.lower(), m.roles): m for m in mappings if m.source and m.pattern is None}
    first: dict[tuple[str, tuple[str, ...]], ModelMapping] = {}
    kept = []
    for index, mapping in enumerate(mappings):
        key, name = f"{place.key}[{index}].from", mapping.source
        same = name.lower(), mapping.roles
        if name and mapping.pattern is None:
            winner = last[same]
            if winner is not mapping:
                place.reading.warn(
                    mapping.line, key, f"{name!r} is mapped again in line {winner.line}, which wins"
                )
                continue
        else:
            winner = first.setdefault(same, mapping)
            if winner is not mapping:
                what = f"the pattern {name!r}" if name else f"the role {', '.join(mapping.roles)}"
                message = f"{what} repeats the one in line {winner.line}"
                place.reading.warn(mapping.line, key, f"{message} and never applies")
                continue
        kept.append(mapping)
    return tuple(kept)


class _Mappings(Value, frozen=True):
    """``model-mappings``; ``item`` is what the documentation walks into."""

    item: Section = _MAPPING
    type: str = "a list of mappings"

    def __call__(self, place: Location) -> tuple[ModelMapping, ...]:
        return _mappings(place)


def _client_keys(found: ParsedSection) -> tuple[Location, tuple[Secret, ...], Secret]:
    return found.at("clients"), found.values["clients"], found.values["upstream"]


_CLIENT_KEYS = Section(
    _client_keys,
    (
        Setting(
            "upstream-api-key",
            fields.GIVEN_SECRET,
            "The Amp key sent upstream with these clients' requests.",
            required=True,
            field="upstream",
        ),
        Setting(
            "api-keys",
            fields.SECRETS,
            "The clients, by their keys from the top level's `api-keys`.",
            required=True,
            field="clients",
        ),
    ),
)


class _PerClient(Value, frozen=True):
    """``upstream-api-keys`` as pairs of client key and upstream key; the first of two wins."""

    item: Section = _CLIENT_KEYS
    type: str = "a list of upstream keys and their clients"

    def __call__(self, place: Location) -> tuple[tuple[Secret, Secret], ...]:
        owner: dict[Secret, tuple[Location, Secret]] = {}
        for at, clients, upstream in ListOf(self.item, self.type)(place):
            for number, client in enumerate(clients, 1):
                if not client:
                    at.warn(f"key number {number} is empty and ignored")
                elif client in owner:
                    at.warn(f"key number {number} is also listed in {owner[client][0].key}: the first wins")
                else:
                    owner[client] = at, upstream
        return tuple((client, upstream) for client, (_, upstream) in owner.items())


def _secret_or_none(place: Location) -> Secret | None:
    return fields.SECRET(place) or None


def _users(place: Location) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in _NAMES(place)))


_NAMES = ListOf(fields.NAME, "a list of addresses or ids")


def _ampcode(found: ParsedSection) -> AmpCode:
    if found.values.get("upstream_api_key") and "upstream_url" not in found.places:
        found.at("upstream_api_key").warn(
            "has no effect without upstream-url: add it, for example https://ampcode.com"
        )
    if found.values.get("accept_amp_keys") and "upstream_url" not in found.places:
        found.at("accept_amp_keys").warn("has no effect without upstream-url, where keys are checked")
    if found.values.get("allowed_amp_users") and not found.values.get("accept_amp_keys"):
        found.at("allowed_amp_users").warn("has no effect without accept-amp-keys: true")
    return AmpCode(**found.values)


AMPCODE = Section(
    _ampcode,
    (
        Setting(
            "upstream-url",
            fields.UPSTREAM_URL,
            "Where Amp's own requests are forwarded: `https://ampcode.com`. Without it they are "
            "answered 503.",
        ),
        Setting(
            "upstream-api-key",
            Reader("secret", _secret_or_none),
            "The Amp key for all clients that have no other.",
            "`AMP_API_KEY`, else what the Amp CLI has stored",
        ),
        Setting(
            "upstream-api-keys",
            _PerClient(),
            "Separate Amp keys per client, for several people.",
            field="per_client_keys",
        ),
        Setting(
            "restrict-management-to-localhost",
            fields.FLAG,
            "Serve Amp's management routes to this machine only.",
            "true",
        ),
        Setting(
            "model-mappings",
            _Mappings(),
            "Which models serve in place of those that Amp requests.",
            field="mappings",
        ),
        Setting(
            "force-model-mappings",
            fields.FLAG,
            "Apply mappings even if an account serves the requested model.",
            "false",
            field="force_mappings",
        ),
        Setting(
            "fallback-when-exhausted",
            fields.FLAG,
            "Serve a model whose accounts are all cooling down by its mapping, else from Amp, which"
            " spends Amp credits.",
            "false",
        ),
        Setting(
            "fallback",
            Fallback(),
            "Whether requests for models that are neither local nor mapped may go to Amp, which spends "
            "Amp credits.",
            "allow",
            hollow=False,
        ),
        Setting(
            "browser-pages",
            fields.choice("proxy", "redirect"),
            "What a browser gets when it opens one of Amp's pages: the page, or a redirect to the real site.",
            "proxy",
        ),
        Setting(
            "rewrite-client-endpoint",
            fields.FLAG,
            "Keep Amp's newer clients at the gateway if the upstream would direct them past it.",
            "true",
        ),
        Setting(
            "actor-token",
            Reader("secret", _secret_or_none),
            "The public token to add to requests to `/actors` that have none.",
        ),
        Setting(
            "accept-amp-keys",
            fields.FLAG,
            "Accept clients with a key of Amp's own, such as its login gives, and use that key upstream.",
            "false",
        ),
        Setting(
            "allowed-amp-users",
            Reader("a list of addresses or ids", _users),
            "Whose Amp keys are accepted: e-mail addresses or Amp's user ids.",
            "any, on this machine; none from elsewhere",
        ),
    ),
)
