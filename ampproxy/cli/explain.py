"""``ampproxy explain``: where a request for a model would go, and why."""

from __future__ import annotations

from pathlib import Path

import click

from ampproxy.cli.configured import config_option, read_config
from ampproxy.config.schema import Account
from ampproxy.errors import GatewayFault
from ampproxy.providers import PROVIDERS
from ampproxy.routing.decide import Router, shown
from ampproxy.routing.endpoints import Endpoint, Operation, WrongMethod, parse_endpoint
from ampproxy.routing.route import Offer, Route, RouteKind
from ampproxy.routing.suffix import parse_suffix

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
    help="The path that the request comes on; without it, any that Amp's clients use. "
    "Mappings and Amp apply below /api/provider/ only.",
)
@config_option
def command(model: str, path: str | None, file: Path | None) -> None:
    """Say where a request for MODEL would go, and why, without sending anything.

    Exit status 0 if the request would be served, by an account or by the Amp upstream, else 1.
    """
    endpoint = None if path is None else _endpoint(path)
    route = Router(read_config(file)).route(model, amp=endpoint is None or endpoint.amp)
    for line in explanation(route, endpoint):
        click.echo(line)
    if route.kind is RouteKind.NONE:
        raise SystemExit(1)


def explanation(route: Route, endpoint: Endpoint | None) -> list[str]:
    """A route, told in lines; with what each account does for ``endpoint``, if that is known."""
    lines = [f"{shown(route.asked) or '(no model)'}: {route.kind.value}: {_VERDICTS[route.kind]}"]
    lines += [f"  {number}. {reason}" for number, reason in enumerate(route.reasons, 1)]
    if route.suffix:
        lines.append(f"thinking: {_thinking(route.suffix)}")
    if route.offers:
        lines.append("accounts, in the order of priority:")
        lines += [f"  {_offer(offer, endpoint)}" for offer in route.offers]
    if route.remedy:
        lines += ["to serve it from an account of yours, add to the configuration:", ""]
        lines += [f"  {line}" for line in route.remedy.rstrip("\n").split("\n")]
    return lines


def _endpoint(path: str) -> Endpoint:
    try:
        endpoint = parse_endpoint(b"POST", path.partition("?")[0].encode("utf-8", "surrogateescape"))
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


def _offer(offer: Offer, endpoint: Endpoint | None) -> str:
    account = offer.account
    spoken = account.dialect if endpoint is None else _spoken(account, endpoint)
    return f"{account.label}: model {offer.upstream_model}, {spoken}, priority {account.priority}"


def _spoken(account: Account, endpoint: Endpoint) -> str:
    try:
        dialect = PROVIDERS[account.kind](account).speaks(endpoint)
    except GatewayFault:
        return f"{account.dialect}, which has no call for {endpoint.operation.value}"
    return dialect if dialect == endpoint.dialect else f"{dialect}, translated from {endpoint.dialect}"
