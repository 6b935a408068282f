"""``ampcode.fallback``: the rule that a request for the Amp upstream's models falls under.

Rules name models as people write them; servers take more spellings for the same model. So a rule is compared
with each way of reading a name, and of all that are found the strictest counts: what one spelling is kept
from no other is let through to.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from ampproxy.config.schema import FallbackRule
from ampproxy.routing.paths import readings, without_vendor
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.wildcard import matches_wildcard

#: What no rule is for is not sent: a wall with a gap for everything unforeseen is none.
NO_RULE = FallbackRule(action="never")

_STRICTNESS = {"never": 0, "limit": 1, "allow": 2}
#: Names as nearly all are: they have no other form.
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[0-9][a-z0-9_-]*)*")
#: Hyphens and dashes but the one of ASCII, and the minus sign. What NFKC makes of some is among them.
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"), "-")
_VERSION = re.compile(r"[:@]")


def rule_for(rules: Sequence[FallbackRule], base: str, role: str) -> FallbackRule:
    """The rule that a request falls under: the first that is for it, by the strictest way of reading its
    model's name.

    :param base: the model's name without thinking suffix; empty: it has no model.
    :param role: empty if nothing tells.
    """
    name = base.lower()
    exact = _first(rules, name, role)
    if not name or _PLAIN.fullmatch(name):
        return exact
    whole, last, loose = _forms(name)
    found = [exact, *(_first(rules, form, role) for form in whole)]
    parts = [_first(rules, form, role) for form in (last, *loose)]
    if not any(_matches(rule, name, slashes=True) for rule in found):
        # A pattern without a slash has taken a name with one for a plain name.
        found.append(parts[0])
    return strictest([*found, *(rule for rule in parts if rule is not NO_RULE)])


def rule_for_unknown(rules: Sequence[FallbackRule], role: str) -> FallbackRule:
    """The rule that a request falls under whose model nobody can tell: the strictest that could be for it."""
    possible = []
    for rule in rules:
        if rule.roles and role not in rule.roles:
            continue
        possible.append(rule)
        if not rule.models:
            return strictest(possible)
    return strictest([*possible, NO_RULE])


def strictest(rules: Iterable[FallbackRule]) -> FallbackRule:
    """The rule that lets least through; of several the first."""
    return min(rules, key=_strictness)


def _strictness(rule: FallbackRule) -> tuple[float, ...]:
    limits = (rule.requests, rule.tokens)
    return _STRICTNESS[rule.action], *(math.inf if limit is None else limit for limit in limits)


def _first(rules: Iterable[FallbackRule], name: str, role: str) -> FallbackRule:
    for rule in rules:
        if rule.roles and role not in rule.roles:
            continue
        if not rule.models or _matches(rule, name):
            return rule
    return NO_RULE


def _matches(rule: FallbackRule, name: str, *, slashes: bool = False) -> bool:
    return any(matches_wildcard(pattern, name) for pattern in rule.models if not slashes or "/" in pattern)


def _forms(name: str) -> tuple[list[str], str, list[str]]:
    """Other forms of a name: as a whole; its last segment; and what might be the model in that."""
    whole = list(dict.fromkeys(_plain(reading) for reading in readings(name)))
    last = whole[-1].rpartition("/")[2].strip()
    bare = without_vendor(last)
    return whole, last, [bare, _VERSION.split(last)[0], _VERSION.split(bare)[0]]


def _plain(name: str) -> str:
    """A name as a server may clean it: letters in one form, hyphens in one, nothing that nobody sees."""
    text = unicodedata.normalize("NFKC", name.translate(_DASHES)).translate(_DASHES).casefold()
    shown = "".join(character for character in text if unicodedata.category(character)[0] != "C")
    return split_suffix(shown.strip().strip("/"))[0].strip()


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
