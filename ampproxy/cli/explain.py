"""``ampproxy explain``: where a request for a model would go, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from ampproxy.amp.roles import role_of, signs_of
from ampproxy.catalog.families import Families
from ampproxy.cli.configured import config_option, read_config, with_logins, without_keys
from ampproxy.cli.models import kept_families, kept_models, known_catalog
from ampproxy.cli.terminal import width, wrapped
from ampproxy.config.schema import Account, Config
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.facts import BodyFacts, facts_of
from ampproxy.dialects.registry import DIALECTS, shown_in
from ampproxy.errors import ClientFault, ExchangeError, GatewayFault
from ampproxy.model.roles import ROLES
from ampproxy.providers import PROVIDERS
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.losses import counted, listed, refusing
from ampproxy.relay.shapes import Origin
from ampproxy.routing.decide import Router, shown
from ampproxy.routing.endpoints import Endpoint, Operation, WrongMethod, parse_endpoint
from ampproxy.routing.paths import PathRefused, canonical_path
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.routing.suffix import parse_suffix, split_suffix
from ampproxy.wire.json import Peek, peek

_VERDICTS = {
    RouteKind.LOCAL: "served by your own accounts",
    RouteKind.MAPPED: "served by your own accounts, as another model",
    RouteKind.AMP: "forwarded to the Amp upstream (uses amp credits)",
    RouteKind.NONE: "not served: 404 model_not_found",
}


@click.command("explain")
@click.argument("model")
@click.option(
    "--path",
    help="The path of the request; by default any that Amp's clients use. "
    "Mappings and Amp apply below /api/provider/ only.",
)
@click.option("--role", type=click.Choice(list(ROLES)), help="What Amp uses the model for.")
@click.option(
    "--header",
    "headers",
    metavar="NAME:VALUE",
    multiple=True,
    help="A header of the request, such as x-amp-mode:smart, to derive the role from; repeatable.",
)
@click.option(
    "--body",
    metavar="FILE",
    type=click.File("rb"),
    help="A request's body (- for standard input): list what the first account's dialect cannot"
    " express; also used to derive the role. Needs --path.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def command(
    model: str,
    path: str | None,
    role: str | None,
    headers: tuple[str, ...],
    body: BinaryIO | None,
    as_json: bool,
    file: Path | None,
) -> None:
    """Explain how a request for MODEL would be routed, without sending anything.

    Exit status 0 if the request would be served, by an account or by the Amp upstream, else 1.
    """
    endpoint = None if path is None else _endpoint(path)
    if body is not None and endpoint is None:
        raise click.BadParameter("needs --path: the path decides how a body is read", param_hint="--body")
    config = with_logins(read_config(file))
    known = kept_models(config)
    config = without_keys(config)
    router = Router(config, known_catalog(config, known))
    body_text = b"" if body is None else body.read()
    amp = endpoint is None or endpoint.amp
    if role is None and amp:
        role = _inferred(endpoint, model, headers, body_text)
    route = router.route(model, amp=amp, role=role or "")
    lost = (
        translation(route, endpoint, body_text, config) if body is not None and endpoint is not None else []
    )
    if as_json:
        click.echo(json.dumps({**_members(route, endpoint), "body": lost}, indent=2))
    else:
        for line in fitting(explanation(route, endpoint) + lost, width()):
            click.echo(line)
    if route.kind is RouteKind.NONE:
        raise SystemExit(1)


def _members(route: Route, endpoint: Endpoint | None) -> dict[str, Any]:
    """A route for programs."""
    return {
        "asked": shown(route.requested_model),
        "route": route.kind.value,
        "served": route.kind is not RouteKind.NONE,
        "role": route.role,
        "reasons": list(route.reasons),
        "accounts": [
            {
                "account": offer.account.label,
                "model": offer.upstream_model,
                "speaks": offer.account.dialect if endpoint is None else _spoken(offer.account, endpoint),
                "priority": offer.account.priority,
            }
            for offer in route.offers
        ],
        "suggested_config": route.suggested_config,
    }


def fitting(lines: Iterable[str], room: int | None) -> Iterator[str]:
    """The lines, wrapped; what is to be copied into the configuration as it is."""
    quoted = False
    for line in lines:
        quoted = quoted or not line
        if quoted:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip()))
        yield from wrapped(line.lstrip(), room, indent, f"{indent}    ")


def explanation(route: Route, endpoint: Endpoint | None) -> list[str]:
    """A route, told in lines; with what each account does for ``endpoint``, if that is known."""
    lines = [f"{shown(route.requested_model) or '(no model)'}: {route.kind.value}: {_VERDICTS[route.kind]}"]
    lines += [f"  {number}. {reason}" for number, reason in enumerate(route.reasons, 1)]
    if route.role:
        lines.append(f"role: {route.role}: {ROLES[route.role]}")
    if route.suffix:
        lines.append(f"thinking: {_thinking(route.suffix)}")
    if route.offers:
        lines.append("accounts, in the order of priority:")
        lines += [f"  {_offer(offer, endpoint)}" for offer in route.offers]
    if route.suggested_config:
        lines += ["to serve it from an account of yours, add to the configuration:", ""]
        lines += [f"  {line}" for line in route.suggested_config.rstrip("\n").split("\n")]
    return lines


def translation(route: Route, endpoint: Endpoint, body: bytes, config: Config) -> list[str]:
    """What of a request the first account of its route could not be told, in lines."""
    if not route.offers:
        return ["the body: nothing is translated, since no account of yours serves it"]
    offer = route.offers[0]
    label = offer.account.label
    try:
        bridge = _bridge(route, endpoint, offer, body, kept_families(config))
    except ExchangeError as refusal:
        return [f"the body: {label} would not be asked: {shown(refusal.error.message)}"]
    spoken, losses = bridge.spoken, bridge.losses
    if not losses:
        same = spoken == endpoint.dialect
        return [f"the body: {label} receives it " + ("unchanged" if same else "whole")]
    lost = [f"the body: dropped in translation to {label} ({spoken}):"]
    lost += [f"  {line}" for line in listed(losses)]
    if config.translation == "strict" and (counting := refusing(losses)):
        lost.append(f"translation: strict refuses it for {', '.join(counted(counting))}")
    return lost


def _bridge(route: Route, endpoint: Endpoint, offer: RouteTarget, body: bytes, families: Families) -> Bridge:
    """As the service would translate it for this account.

    :raises ExchangeError: the request is not valid, or the account has no call for it.
    """
    provider = PROVIDERS[offer.account.kind](offer.account)
    dialect = DIALECTS[endpoint.dialect]
    question = ModelRequest(
        endpoint=endpoint,
        body=dialect.passthrough.clean(body) if endpoint.amp else body,
        requested_model=route.requested_model,
        stream=bool(endpoint.stream),
        headers={},
        query=b"",
        route=route,
        facts=_facts(dialect, body),
    )
    origin = Origin(wall=lambda: 0.0, new_id=lambda prefix: prefix)
    maker = BridgeMaker({offer.account.label: provider}, origin, strict=False, families=families)
    return maker(question, offer)


def _facts(dialect: Dialect, body: bytes) -> BodyFacts:
    try:
        return facts_of(dialect, body)
    except ValueError as error:
        raise ClientFault.of("invalid_request", str(error)) from None


def _inferred(endpoint: Endpoint | None, model: str, headers: tuple[str, ...], body: bytes) -> str:
    """The role that a request shows by its headers and its body."""
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.BadParameter(f"{header!r} is not NAME:VALUE", param_hint="--header")
        pairs.append((name.strip().lower(), value.strip()))
    try:
        found = peek(body) if body else Peek()
    except ValueError:
        found = Peek()
    dialect = "" if endpoint is None else endpoint.dialect
    return role_of(signs_of(dialect, split_suffix(model)[0], pairs, shown_in(dialect, found, body)))


def _endpoint(path: str) -> Endpoint:
    try:
        asked = canonical_path(path.partition("?")[0].encode("utf-8", "surrogateescape"))
        endpoint = parse_endpoint(b"POST", asked)
    except PathRefused as refusal:
        raise click.BadParameter(refusal.error.message, param_hint="--path") from None
    except WrongMethod:
        endpoint = None
    if endpoint is None or endpoint.operation is Operation.OTHER:
        raise click.BadParameter(
            f"{shown(path)} takes no request for a model; one that does is /v1/messages", param_hint="--path"
        )
    return endpoint


def _thinking(suffix: str) -> str:
    wish = parse_suffix(suffix)
    if wish is None:
        return f"({shown(suffix)}) is no level, no number of tokens, none or auto: it is ignored"
    if wish.mode == "budget":
        return f"{wish.budget} tokens"
    return str(wish.level or wish.mode)


def _offer(offer: RouteTarget, endpoint: Endpoint | None) -> str:
    account = offer.account
    spoken = account.dialect if endpoint is None else _spoken(account, endpoint)
    return f"{account.label}: model {offer.upstream_model}, {spoken}, priority {account.priority}"


def _spoken(account: Account, endpoint: Endpoint) -> str:
    try:
        dialect = PROVIDERS[account.kind](account).backend_dialect(endpoint)
    except GatewayFault:
        return f"{account.dialect}, which has no call for {endpoint.operation.value}"
    return dialect if dialect == endpoint.dialect else f"{dialect}, translated from {endpoint.dialect}"
