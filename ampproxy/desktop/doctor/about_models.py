"""Checks of the way to models: upstreams, mappings, and each model that Amp asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ampproxy.amp.asks import Ask, asks
from ampproxy.amp.clients import Generation
from ampproxy.catalog.lifecycle import day_of, ends_soon
from ampproxy.config.schema import ModelMapping
from ampproxy.credentials.amp import AmpKeys
from ampproxy.desktop.clients.installed import NEWEST_CLASSIC, Version, parse_version
from ampproxy.desktop.doctor.capabilities import Gap, gaps
from ampproxy.desktop.doctor.context import Context, Probe
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.desktop.doctor.idle import idle_mappings
from ampproxy.relay.retiring import retiring
from ampproxy.routing.decide import Router
from ampproxy.routing.mappings import Mappings, SlowPattern
from ampproxy.routing.route import Route, RouteKind
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable


def _never(model: str) -> bool:
    return False


def upstreams(context: Context) -> Iterator[Finding]:
    """Whether each upstream can be reached: name, connection, certificate."""
    for probe in context.probes:
        yield _reached(probe)
    config = context.config
    if config is None:
        return
    if not config.ampcode.upstream_url:
        yield note(
            "ampcode.upstream-url is not set: nothing costs Amp credits, and Amp's own requests (login,"
            " threads) are answered 503.",
            "set it to https://ampcode.com if those are wanted",
        )
        return
    found = AmpKeys(config, environ=context.machine.environ, home=context.machine.home)
    if found.find(None, 0.0) is None and not config.ampcode.per_client_keys:
        why = f" ({printable(found.complaint)})" if found.complaint else ""
        yield warning(
            f"There is no key for the Amp upstream{why}: Amp will see unauthenticated requests.",
            "set ampcode.upstream-api-key, or log in with Amp's CLI",
        )


def _reached(probe: Probe) -> Finding:
    target = probe.target
    who = f"{', '.join(map(printable, target.who[:3]))}{' ...' if len(target.who) > 3 else ''}"
    way = " through the proxy" if target.proxy not in (None, "direct", "none") else ""
    if not probe.error:
        return ok(f"{target.url} is reached{way} in {probe.seconds * 1000:.0f} ms ({who}).")
    text = f"{target.url} cannot be reached{way}; needed by {who}: {printable(probe.error)}"
    todo = "check the network, the proxy (proxy-url) and the address"
    return warning(text, todo) if target.amp else problem(text, todo)


def mappings(context: Context) -> Iterator[Finding]:
    """Each mapping: whether its target is served, and whether that can do what the roles need."""
    config, router = context.config, context.router
    if config is None or router is None:
        return
    ends = _never if context.families is None else ends_soon(context.families, day_of(context.now))
    idle = {id(mapping): why for mapping, why in idle_mappings(config, router.catalog, {}, ends)}
    for mapping in config.ampcode.mappings:
        why = idle.get(id(mapping))
        if why is not None and router.catalog.find(split_suffix(mapping.target)[0]):
            yield warning(
                f"The mapping {_as_mapping(mapping)} has no effect: {why}.",
                "remove it, or set ampcode.force-model-mappings: true",
            )
        else:
            yield from _mapping(context, router, mapping, ends)


def _mapping(
    context: Context, router: Router, mapping: ModelMapping, ends: Callable[[str], bool]
) -> Iterator[Finding]:
    base, _ = split_suffix(mapping.target)
    offers = router.catalog.find(base)
    shown = _as_mapping(mapping)
    if not offers:
        yield warning(
            f"The mapping {shown} has no effect: no account offers {printable(base)}.",
            "correct its target, or add an account that has it",
        )
        return
    uses = _uses(context, router, mapping)
    lacking: dict[tuple[str, str], list[tuple[str, Gap]]] = {}
    models = dict.fromkeys(offer.upstream_model for offer in offers)
    families = context.families
    for model in models:
        for role in uses:
            for gap in gaps(role, model, families):
                lacking.setdefault((model, gap.what), []).append((role, gap))
    for (model, _), found in lacking.items():
        yield _gap(shown, model, [role for role, _ in found], found[0][1])
    if not lacking and router.catalog.is_guess(base) and not ends(base):
        yield warning(
            f"The mapping {shown} leads to a model that is on no vendor's list: {_accounts(offers)} is"
            " asked for it because of its name alone.",
            "correct its target, unless the vendor has it all the same; ampproxy models shows the lists",
        )
    elif not lacking:
        roles = f" for {_list(uses)}" if uses else " (no Amp role currently uses this model)"
        yield ok(f"The mapping {shown} is served by {_accounts(offers)}{roles}.")


def _uses(context: Context, router: Router, mapping: ModelMapping) -> list[str]:
    """The roles in which a version that is looked at comes to this mapping."""
    assert context.config is not None
    table = Mappings(context.config.ampcode.mappings)

    def found_for(ask: Ask) -> ModelMapping | None:
        try:
            return table.find(ask.model, ask.role)
        except SlowPattern:
            return None

    found = [
        ask.role
        for version in versions(context)
        for ask in asks(version.built)
        if found_for(ask) is mapping
        and router.route(ask.model, amp=True, role=ask.role).kind is RouteKind.MAPPED
    ]
    return list(dict.fromkeys((*mapping.roles, *found)))


def _gap(shown: str, model: str, roles: Iterable[str], gap: Gap) -> Finding:
    needs = f"which {_list(roles)} needs"
    model = printable(model)
    if gap.verdict == "unknown":
        return note(
            f"The mapping {shown}: whether {model} has {gap.what}, {needs}, is not known here.",
            "try it: ampproxy doctor --live",
        )
    text = f"The mapping {shown}: {model} has no {gap.what}, {needs}."
    if gap.verdict == "short":
        text = f"The mapping {shown}: {model} is short of {gap.what}, {needs}: long threads will fail."
    return (warning if gap.grave else note)(text, "map these roles to a model that has it")


def asked(context: Context) -> Iterator[Finding]:
    """Each model that the installed version asks for, and where it goes."""
    router = context.router
    if router is None:
        return
    for version in versions(context):
        by_route: dict[tuple[str, RouteKind], tuple[Route, list[str]]] = {}
        for ask in asks(version.built):
            route = router.route(ask.model, amp=True, role=ask.role)
            by_route.setdefault((ask.model, route.kind), (route, []))[1].append(ask.role)
        for route, roles in by_route.values():
            suggested_config = (
                router.suggested_config(route.requested_model, tuple(roles)) if route.suggested_config else ""
            )
            yield _asked(version, route, roles, suggested_config)


def ends(context: Context) -> Iterator[Finding]:
    """Each model that is needed here and that its vendor takes away."""
    config, router, families = context.config, context.router, context.families
    if config is None or router is None or families is None:
        return
    today = day_of(context.now)
    asked = [ask for version in versions(context) for ask in asks(version.built)]
    found = list(retiring(config, router.catalog, families, today, asked))
    for one in found:
        judge = problem if one.ending.gone and one.needed else warning
        yield judge(f"{one.clause(today)}.", one.todo)
    if not found:
        yield ok("No model that is mapped, named or asked for is taken away by its vendor soon.")


def versions(context: Context) -> list[Version]:
    """The classic versions that are installed; else the newest one, which one would install."""
    found = [client.version for client in (*context.clis[:1], *context.editors) if client.version is not None]
    classic = list(dict.fromkeys(version for version in found if version.generation is not Generation.NEO))
    newest = parse_version(NEWEST_CLASSIC)
    return classic or ([] if newest is None else [newest])


def live_asks(context: Context) -> list[Ask]:
    """What is tried with real requests: each role once, as the newest of the versions asks."""
    known = versions(context)
    return list(asks(max(version.built for version in known))) if known else []


def _asked(version: Version, route: Route, roles: list[str], suggested_config: str) -> Finding:
    """:param suggested_config: YAML that would serve it in these roles."""
    what = f"{route.requested_model} ({_list(roles)}; Amp of {version.day})"
    if route.kind in (RouteKind.LOCAL, RouteKind.MAPPED):
        other = f" as {printable(route.resolved_model)}" if route.kind is RouteKind.MAPPED else ""
        served = f"{what} is served by {_accounts(route.offers)}{other}"
        lacking = _lacking(route, roles)
        if not lacking:
            return ok(f"{served}.")
        todo = f"map {_list(roles)} to a model that has it (from: {route.requested_model})"
        return warning(f"{served}, which cannot do it: it has no {_list(lacking)}.", todo)
    yaml = suggested_config.rstrip()
    if route.kind is RouteKind.AMP:
        return warning(f"{what} goes to Amp and costs credits.", f"to serve it yourself:\n{yaml}")
    return warning(f"{what} has no account that serves it: {route.reasons[-1]}", f"to serve it:\n{yaml}")


def _lacking(route: Route, roles: Iterable[str]) -> list[str]:
    """What the roles cannot do their work without, and the first model that would be asked has not."""
    model = route.offers[0].upstream_model
    return [gap.what for role in roles for gap in gaps(role, model) if gap.grave and gap.verdict == "lacks"]


def _as_mapping(mapping: ModelMapping) -> str:
    source = " ".join(filter(None, (mapping.source, "/".join(mapping.roles))))
    line = f", line {mapping.line}" if mapping.line else ""
    return printable(f"{source or 'of everything'} -> {mapping.target}{line}")


def _accounts(offers: Iterable[object]) -> str:
    labels = dict.fromkeys(offer.account.label for offer in offers)  # type: ignore[attr-defined]
    return printable(", ".join(labels))


def _list(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
