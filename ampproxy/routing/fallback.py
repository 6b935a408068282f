"""``ampcode.fallback``: the rule that a request for the Amp upstream's models falls under."""

from __future__ import annotations

from collections.abc import Iterable

from ampproxy.config.schema import FallbackRule
from ampproxy.routing.catalog import matches_wildcard

#: What no rule is for is not sent: a wall with a gap for everything unforeseen is none.
NOTHING_SAID = FallbackRule(action="never")


def rule_for(rules: Iterable[FallbackRule], base: str, role: str) -> FallbackRule:
    """The first rule that is for a request.

    :param base: the model's name without thinking suffix; empty where the request's path tells none.
    :param role: empty if nothing tells.
    """
    name = base.lower()
    for rule in rules:
        if rule.roles and role not in rule.roles:
            continue
        if rule.models and not any(matches_wildcard(pattern, name) for pattern in rule.models):
            continue
        return rule
    return NOTHING_SAID


def place_of(rule: FallbackRule) -> str:
    """Where it stands, for people."""
    if not rule.line:
        return "ampcode.fallback has no rule for it"
    return f"ampcode.fallback, line {rule.line}"


def limits_of(rule: FallbackRule) -> str:
    """Its limits, for people: ``50 requests and 100000 tokens a day for each client``."""
    parts = []
    if rule.requests is not None:
        parts.append(f"{rule.requests} requests")
    if rule.tokens is not None:
        parts.append(f"{rule.tokens} tokens")
    return " and ".join(parts) + " a day" + (" for each client" if rule.per_client else "")
