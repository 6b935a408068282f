"""``ampcode.fallback``: which requests may go to the Amp upstream's models, where they cost credits."""

from __future__ import annotations

from typing import Any

from ampproxy.config import fields
from ampproxy.config.document import Scalar, Sequence
from ampproxy.config.parsing import (
    AlreadyReported,
    InvalidValue,
    ListOf,
    Location,
    ParsedSection,
    Reader,
    Section,
    Setting,
    suggest,
)
from ampproxy.config.schema import ALLOW, FallbackRule
from ampproxy.model.base import Value
from ampproxy.model.roles import ROLES

_ACTION = fields.choice("allow", "never")


def _one_or_several(place: Location) -> tuple[str, ...]:
    """A name, or a list of names, which is not empty: that would be for all, and opened a wall."""
    if isinstance(place.node, Sequence):
        names: tuple[str, ...] = ListOf(fields.NAME, "a name or a list of names")(place)
        if not names:
            raise InvalidValue("is an empty list: expected at least one name, or leave it out for all")
        return names
    return (fields.NAME(place),)


def _models(place: Location) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in _one_or_several(place)))


def _roles(place: Location) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.lower() for name in _one_or_several(place)))
    for name in names:
        if name not in ROLES:
            near = suggest(name, list(ROLES)) or f": expected one of {', '.join(ROLES)}"
            raise InvalidValue(f"{name!r} is not a role of Amp's{near}")
    return names


#: Roles of Amp's, by name.
ROLE = Reader("a role, or a list of roles", _roles)


def _rule(found: ParsedSection) -> FallbackRule:
    values = found.values
    requests, tokens = values.get("requests"), values.get("tokens")
    limited = requests is not None or tokens is not None
    if "action" in values and limited:
        found.at("action").complain("is set together with a daily limit: expected one of the two")
        raise AlreadyReported
    if not limited and "action" not in values:
        if not any(map(found.broken, ("action", "requests", "tokens"))):
            found.place.complain("needs action, daily-requests or daily-tokens")
        raise AlreadyReported
    if "per_client" in values and not limited:
        found.at("per_client").warn("has no effect without a daily limit")
    return FallbackRule(
        action="limit" if limited else values["action"],
        models=values.get("models", ()),
        roles=values.get("roles", ()),
        requests=requests,
        tokens=tokens,
        per_client=values.get("per_client", "all") == "client",
        line=found.place.line,
    )


_RULE = Section(
    _rule,
    (
        Setting(
            "model",
            Reader("a pattern, or a list of patterns", _models),
            "The models to which it applies, in any case: `gpt-*`.",
            "all",
            hollow=False,
            field="models",
        ),
        Setting(
            "role",
            ROLE,
            "The roles to which it applies (docs/credits.md lists them).",
            "all",
            hollow=False,
            field="roles",
        ),
        Setting("action", _ACTION, "Whether a matching request may go to Amp."),
        Setting(
            "daily-requests",
            fields.COUNT,
            "Instead of `action`: the number of requests a day that may go to Amp.",
            field="requests",
        ),
        Setting(
            "daily-tokens",
            fields.COUNT,
            "Instead of `action`: the number of tokens a day, input and output, that may go to Amp.",
            field="tokens",
        ),
        Setting(
            "per",
            fields.choice("client", "all"),
            "Whether the limit applies to each client key, or to all together.",
            "all",
            field="per_client",
        ),
    ),
)


class Fallback(Value, frozen=True):
    """``allow``, ``never``, or rules; ``item`` is what the documentation walks into."""

    item: Section = _RULE
    type: str = "allow, never, or a list of rules"

    def __call__(self, place: Location) -> tuple[FallbackRule, ...]:
        """The rules; what none of them names is never sent.

        :raises Wrong: it is none of these.
        """
        if isinstance(place.node, Scalar):
            word: Any = _ACTION(place)
            return ALLOW if word == "allow" else (FallbackRule(action="never", line=place.line),)
        rules: tuple[FallbackRule, ...] = ListOf(self.item, self.type)(place)
        for number, rule in enumerate(rules[:-1]):
            if not (rule.models or rule.roles or rule.action == "limit"):
                place.reading.warn(
                    rules[number + 1].line,
                    f"{place.key}[{number + 1}]",
                    f"never applies: the rule in line {rule.line} matches everything",
                )
                break
        return rules
