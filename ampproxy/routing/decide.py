"""Where a request for a model goes, and why.

The rules are CLIProxyAPI 7.1's, as its users' configurations expect them:

1. The name is split at its thinking suffix; all that follows looks at the base.
2. *Local*: some account offers exactly this id, resting or not.
3. *Mapped*: the first mapping that matches, if an account offers its target; there is no second try
   with a later pattern, and a target is not mapped again. The target's own suffix counts, else the
   request's goes with it.
4. Local comes before mapped; with ``force-model-mappings`` mapped comes before local. So it does for a name
   that the vendor's own list lacks, and that is tried there only because it is of the vendor's family.
5. Else the Amp upstream, if ``upstream-url`` is set and ``fallback`` lets it; else nobody.

Mappings and the Amp upstream serve Amp's paths only; at the root a model is local or unknown. Amp's cloud
(``neo``) has mappings, and never the Amp upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from msgspec.structs import replace

from ampproxy.config.schema import Config, FallbackRule, ModelMapping
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.fallback import limits_of, place_of, rule_for, rule_for_unknown, strictest
from ampproxy.routing.mappings import Mappings, SlowPattern
from ampproxy.routing.neo import names_of
from ampproxy.routing.paths import misleading
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.routing.suffix import join_suffix, split_suffix
from ampproxy.routing.suggestion import account_for, config_for, nearest

#: No model's name comes near this. A longer one is refused before any pattern of the user's sees it.
MAX_NAME = 512
_CACHED_ROUTES = 1024
_NONE_EXHAUSTED: frozenset[str] = frozenset()


class Router:
    """Decisions over one configuration, remembered: the same name gives the same :class:`Route` object.

    Immutable but for its memory, which is bounded in number and in the length of names. A reload makes
    a new one.
    """

    def __init__(self, config: Config, catalog: Catalog | None = None) -> None:
        self.catalog = Catalog(config) if catalog is None else catalog
        self._config = config
        self._begin = partial(_Decision, config, self.catalog, Mappings(config.ampcode.mappings))
        self._decide = lru_cache(_CACHED_ROUTES)(partial(_decide, self._begin))
        self._cloud = lru_cache(_CACHED_ROUTES)(partial(_of_cloud, self._begin))

    def route(
        self,
        asked: str | None,
        *,
        amp: bool,
        role: str = "",
        exhausted: frozenset[str] = _NONE_EXHAUSTED,
        neo: bool = False,
    ) -> Route:
        """Where a request for ``asked`` goes; see :func:`decide`.

        :param role: what Amp uses it for, one of :data:`ampproxy.model.roles.ROLES`; empty if nothing tells.
        :param exhausted: models, without suffix, that count as not available although accounts offer
            them: all of those rest.
        :param neo: Amp's cloud asks, with the provider before the name (see :func:`_of_cloud`).
        """
        if asked is None or len(asked) > MAX_NAME:
            return _unnamed(asked)
        if neo and asked:
            return self._cloud(asked)
        return self._decide(asked, amp, role, exhausted)

    def suggested_config(self, asked: str, roles: tuple[str, ...]) -> str:
        """YAML that would serve a model in all these roles, in which nobody serves it."""
        decision = self._begin(asked, role=roles[0])
        decision.route()
        return decision.suggested_config([model.id for model in self.catalog.models()], roles)

    def unknown(self, models: Sequence[str], role: str, *, sure: bool = True) -> Route:
        """Where a request on a path below ``/api/provider/`` goes that only the Amp upstream may know: as the
        strictest rule says that is for any of the models that it names.

        :param models: all that it names; if there is none, it has no model.
        :param sure: whether it names all that it has; else the strictest rule counts that could be for it.
        """
        rules = self._config.ampcode.fallback
        names = [split_suffix(model)[0] for model in models] or [""]
        found = [rule_for(rules, name, role) for name in names] if sure or models else []
        if not sure:
            found.append(rule_for_unknown(rules, role))
        rule = strictest(found)
        model = next(iter(models), "")
        decision = self._begin(model, role=role)
        if not sure:
            decision.reasons.append(
                "The model cannot be determined: the strictest rule that could apply decides."
            )
        kind = decision.fallback(rule)
        return Route(
            kind=kind, requested_model=shown(model), reasons=tuple(decision.reasons), role=role, fallback=rule
        )


def shown(name: str) -> str:
    """A name as logs and reasons show it: no control characters, no novel."""
    short = name if len(name) <= 80 else name[:80] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]


def _decide(
    begin: Callable[..., _Decision], asked: str, amp: bool, role: str, exhausted: frozenset[str]
) -> Route:
    return begin(asked, amp, role, exhausted).route() if asked else _unnamed(asked)


def _of_cloud(begin: Callable[..., _Decision], asked: str) -> Route:
    """Where a request of Amp's cloud goes: each of its names is tried at each step, in the order of steps
    that holds for Amp's paths. The Amp upstream is none of them: it would be asked for what it asks for, and
    bill it.
    """
    reasons: list[str] = []
    tried = [begin(name) for name in names_of(asked)]
    for each in tried:
        each.reasons = reasons
    catalog = tried[-1].catalog
    sure = [each for each in tried if not catalog.is_guess(each.base)]
    local = [each._local for each in sure]
    mapped = [each._mapped for each in tried]
    guessed = [each._local for each in tried if each not in sure]
    order = [*mapped, *local] if tried[-1].config.ampcode.force_mappings else [*local, *mapped]
    for step in (*order, *guessed):
        route = step()
        if route is not None:
            return replace(route, requested_model=asked)
    reasons.append("Requests from Amp's cloud are never forwarded to Amp.")
    served = [model.id for model in catalog.models()]
    return Route(
        kind=RouteKind.NONE,
        requested_model=asked,
        reasons=tuple(reasons),
        suggested_config=tried[-1].suggested_config(served, ()),
        nearest=nearest(tried[-1].base, served),
        served_here=len(served),
    )


def _unnamed(asked: str | None) -> Route:
    if not asked:
        return Route(kind=RouteKind.NONE, requested_model="", reasons=("The request names no model.",))
    reason = f"The model's name is {len(asked)} characters long; {MAX_NAME} is the most that is looked at."
    return Route(kind=RouteKind.NONE, requested_model=shown(asked), reasons=(reason,))


class _Decision:
    """One decision on its way: each step gives a route or leaves a reason why it does not."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        mappings: Mappings,
        asked: str,
        amp: bool = True,
        role: str = "",
        exhausted: frozenset[str] = _NONE_EXHAUSTED,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.mappings = mappings
        self.asked = asked
        self.amp = amp
        self.role = role
        self.exhausted = exhausted
        self.base, self.suffix = split_suffix(asked)
        self.reasons: list[str] = []
        #: The target of a mapping that matched and that no account offers.
        self.dead: str | None = None

    def route(self) -> Route:
        for step in self._steps():
            route = step()
            if route is not None:
                return route
        return self._unserved()

    def _steps(self) -> tuple[Callable[[], Route | None], ...]:
        if not self.amp:
            return (self._local,)
        if self.config.ampcode.force_mappings:
            self.reasons.append("ampcode.force-model-mappings is set: mappings come first.")
            return self._mapped, self._local
        if self.catalog.is_guess(self.base):
            return self._mapped, self._local
        return self._local, self._mapped

    def _local(self) -> Route | None:
        offers = self.catalog.find(self.base)
        if not offers:
            self.reasons.append(f"No account offers {shown(self.base)}.")
            return None
        if self._is_cooling(self.base):
            return None
        self.reasons.append(f"{shown(self.base)} is offered by {_accounts(offers)}.{self._passed_over()}")
        return self._served(RouteKind.LOCAL, self.base, self.suffix, offers)

    def _passed_over(self) -> str:
        others = self.catalog.passed_over(self.base)
        if not others:
            return ""
        return (
            f" {_accounts(others)} lists it, too, but is not used: by its name it is another vendor's model."
            " To use it there as well, list it in the account's models."
        )

    def _mapped(self) -> Route | None:
        try:
            mapping = self.mappings.find(self.base, self.role)
        except SlowPattern as slow:
            return self._undecided(slow.mapping)
        if mapping is None:
            role = f" or its role {self.role}" if self.role else ""
            self.reasons.append(f"No model mapping matches {shown(self.base)}{role}.")
            return None
        base, suffix = split_suffix(mapping.target)
        if suffix is None:
            suffix = self.suffix
        offers = self.catalog.find(base)
        if not offers:
            self.dead = base
            self.reasons.append(
                f"{_describe(mapping)} matches, but no account offers {base}: the mapping is not used, "
                "and no later one is tried."
            )
            return None
        if self._is_cooling(base):
            return None
        target = join_suffix(base, suffix)
        self.reasons.append(
            f"amp model mapping: request {shown(self.asked)} -> {shown(target)} "
            f"({_describe(mapping)}); {base} is offered by {_accounts(offers)}."
        )
        return self._served(RouteKind.MAPPED, base, suffix, offers)

    def _undecided(self, mapping: ModelMapping) -> Route:
        """Nobody knows whether a mapping is for the name: it goes nowhere, and above all not to Amp."""
        self.reasons.append(
            f"Whether {_describe(mapping)} applies to this name takes too long to decide, so the"
            " request is refused: correct the pattern, which has nested repeats (ampproxy check)."
        )
        return Route(
            kind=RouteKind.NONE,
            requested_model=self.asked,
            suffix=self.suffix or None,
            reasons=tuple(self.reasons),
            role=self.role,
            slow=mapping,
        )

    def _is_cooling(self, base: str) -> bool:
        if base in self.exhausted:
            self.reasons.append(
                f"All accounts that offer {shown(base)} are cooling down;"
                " ampcode.fallback-when-exhausted is set."
            )
        return base in self.exhausted

    def _served(
        self, kind: RouteKind, base: str, suffix: str | None, offers: tuple[RouteTarget, ...]
    ) -> Route:
        return Route(
            kind=kind,
            requested_model=self.asked,
            resolved_model=join_suffix(base, suffix),
            suffix=suffix or None,
            offers=offers,
            reasons=tuple(self.reasons),
            role=self.role,
        )

    def _unserved(self) -> Route:
        kind, rule = RouteKind.NONE, None
        if not self.amp:
            self.reasons.append(
                "Model mappings and the Amp upstream apply only to paths below /api/provider/."
            )
        elif self.config.ampcode.upstream_url and misleading(self.asked):
            self.reasons.append(
                "It is not sent to Amp: the name contains an empty or a dot segment, a backslash, a "
                "semicolon or a control character, and could be read as another name in a path."
            )
        elif self.config.ampcode.upstream_url:
            rule = rule_for(self.config.ampcode.fallback, self.base, self.role)
            kind = self.fallback(rule)
        else:
            self.reasons.append("ampcode.upstream-url is not set: there is nothing to fall back to.")
        served = [model.id for model in self.catalog.models()]
        return Route(
            kind=kind,
            requested_model=self.asked,
            suffix=self.suffix or None,
            reasons=tuple(self.reasons),
            suggested_config=self.suggested_config(served, (self.role,) if self.role else ()),
            role=self.role,
            fallback=rule,
            nearest=nearest(self.base, served),
            served_here=len(served),
        )

    def fallback(self, rule: FallbackRule) -> RouteKind:
        """Whether this rule lets it go to Amp."""
        if rule.action == "never":
            self.reasons.append(f"It is not sent to Amp, where it would cost credits: {place_of(rule)}.")
            return RouteKind.NONE
        why = "neither local nor mapped"
        if self.exhausted:
            why = "served by no account or mapping at the moment"
        limit = f", up to {limits_of(rule)} ({place_of(rule)})" if rule.action == "limit" else ""
        self.reasons.append(
            f"forwarding to ampcode.com (uses amp credits{limit}): {shown(self.base) or 'it'} is {why}."
        )
        return RouteKind.AMP

    def suggested_config(self, served: list[str], roles: tuple[str, ...]) -> str:
        """What would serve it in these roles, once :meth:`route` has found nobody who does."""
        if self.dead is not None:
            return account_for(self.dead)
        if self.exhausted:
            return account_for(self.base)
        return config_for(self.base, served, mappable=self.amp, roles=roles)


def _accounts(offers: tuple[RouteTarget, ...]) -> str:
    return ", ".join(dict.fromkeys(offer.account.label for offer in offers))


def _describe(mapping: ModelMapping) -> str:
    kind = "model mapping" if mapping.pattern is None else "regex model mapping"
    place = f", line {mapping.line}" if mapping.line else ""
    role = f"role {'/'.join(mapping.roles)}" if mapping.roles else ""
    return f"{kind} {' '.join(filter(None, (mapping.source, role)))} -> {mapping.target}{place}"
