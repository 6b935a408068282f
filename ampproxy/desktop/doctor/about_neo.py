"""Checks of what Amp's cloud needs to call the gateway: the section, the address, the connections at Amp."""

from __future__ import annotations

from collections.abc import Iterator

from ampproxy.amp.clients import Generation
from ampproxy.amp.connections import leading_to
from ampproxy.amp.keys import is_jwt
from ampproxy.amp.modes import AS_OF, asked_models
from ampproxy.config.schema import Config
from ampproxy.desktop.doctor.capabilities import gaps
from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.desktop.neo.judged import troubles
from ampproxy.desktop.neo.served import Split, cloud_route, split
from ampproxy.model.neo import Neo
from ampproxy.routing.decide import Router
from ampproxy.status import CloudTraffic
from ampproxy.wire.redact import Unseen, printable
from ampproxy.wire.words import counted, local_time

_SETUP = "ampproxy neo setup"
#: A key that ends within so many seconds is worth a word.
_SOON = 14 * 86_400.0


def neo(context: Context) -> Iterator[Finding]:
    """Everything, where there is a section; without one a word to who has a client that needs it."""
    config = context.config
    if config is None:
        return
    if config.neo is None:
        clients = (*context.clis, *context.editors)
        if any(one.version is not None and one.version.generation is Generation.NEO for one in clients):
            yield note("Amp's cloud cannot call your accounts: there is no section neo.", _SETUP)
        else:
            yield ok("Amp's cloud may call nothing here: there is no section neo.")
        return
    yield from _section(config, config.neo, context.now)
    yield from context.neo_seen.address
    yield from _traffic(config.neo, context.neo_seen.traffic)
    yield from context.neo_seen.machine
    assert context.router is not None
    models = split(context.router, config.neo.client, asked_models())
    yield from _connections(context, config.neo, models)
    yield from _left(models)
    yield from _unfit(context.router, models, context)


def _section(config: Config, section: Neo, now: float) -> Iterator[Finding]:
    if not section.public_url:
        yield warning("neo.public-url is not set, so its connections at Amp are not known.", _SETUP)
    if not section.listen:
        yield note(
            "There is no listener for Amp's cloud alone: a tunnel to the gateway's own address brings all of"
            " it to the internet.",
            "set neo.listen, and point the tunnel at it",
        )
    if not config.ampcode.restrict_management_to_localhost:
        yield problem(
            "ampcode.restrict-management-to-localhost is false, and the gateway has a public address: whoever"
            " has a client key has your account at Amp, from anywhere.",
            "set it to true",
        )
    expires = section.client.expires
    if expires is not None and expires - now < _SOON:
        state = "has expired" if expires <= now else "ends within 14 days"
        yield warning(
            f"The key for Amp's cloud {state} (neo.expires).", "ampproxy neo rotate, and neo.expires"
        )
    amp = config.ampcode.upstream_api_key
    if amp is not None and not isinstance(amp, Unseen) and is_jwt(amp.reveal()):
        yield warning(
            "ampcode.upstream-api-key is what a sign-in with OAuth leaves: it ends within hours, and nothing"
            " here renews it.",
            "make an access token on Amp's settings page",
        )


def _connections(context: Context, section: Neo, models: Split) -> Iterator[Finding]:
    seen = context.neo_seen
    if seen.listing is None:
        if seen.why:
            yield note(f"The connections at Amp are not known: {printable(seen.why)}.")
        return
    if not section.public_url:
        return
    there = seen.listing.keys
    mine = leading_to(section.public_url, there)
    if not mine:
        yield warning("No connection at Amp leads here.", f"{_SETUP} --run")
    here = {one.asked for one in models.here}
    for one in mine:
        name = printable(one.name or one.id)
        found = list(troubles(one, there, here, section.public_url))
        for trouble in found:
            yield warning(f"The connection {name}: {trouble.text}.", trouble.todo or f"{_SETUP} --run")
        if not one.active:
            yield warning(
                f"The connection {name} is not active.", f"amp config model-providers activate {one.id}"
            )
        elif not found:
            yield ok(f"The connection {name} is active, and nothing goes before it.")
    for name, why in seen.tested:
        if why:
            yield problem(
                f"Amp's test of the connection {printable(name)} failed: {why}.", "ampproxy neo test"
            )
        else:
            yield ok(f"Amp's test of the connection {printable(name)} succeeded.")

    for model, why in seen.served:
        if why:
            yield problem(f"Amp's own request for {printable(model)} failed: {why}.", "ampproxy neo test")
        else:
            yield ok(f"Amp's own request for {printable(model)} was served.")


def _traffic(section: Neo, traffic: CloudTraffic | None) -> Iterator[Finding]:
    """What the requests themselves have shown."""
    if traffic is None:
        return
    if traffic.wide_at:
        yield warning(
            f"The client key of {printable(traffic.wide_client)} was used at the public address"
            f" ({local_time(traffic.wide_at)}): one of api-keys opens more than Amp's cloud needs.",
            "ampproxy neo rotate gives the connections the key of the section neo; revoke the other one if"
            " Amp has it",
        )
    if traffic.unmarked_at and not section.listen:
        yield warning(
            f"A request of Amp's cloud ({local_time(traffic.unmarked_at)}) looked like one of this machine:"
            " the tunnel adds no X-Forwarded-For, so that with a client key it could manage the gateway.",
            "set neo.listen, and point the tunnel at it",
        )


def _left(models: Split) -> Iterator[Finding]:
    modes = asked_models()
    left = [f"{model} ({', '.join(modes[model])})" for model in models.elsewhere if modes.get(model)]
    if left:
        yield note(
            f"{counted(len(left), 'model')} of Amp's modes (as of {AS_OF}) stay with Amp, for credits:"
            f" {', '.join(left)}.",
            "an account that has them, or model-mappings, brings them here",
        )


def _unfit(router: Router, models: Split, context: Context) -> Iterator[Finding]:
    """Models that serve here in place of others, and cannot do what a conversation needs."""
    for one in models.here:
        offer = cloud_route(router, one.asked).offers[0]
        lacking = [
            gap.what for gap in gaps("main", offer.upstream_model, context.families) if _known(gap.verdict)
        ]
        if lacking:
            yield warning(
                f"{one.asked} is served by {printable(offer.upstream_model)}, which lacks"
                f" {', '.join(lacking)}.",
                "map it to another model (ampcode.model-mappings)",
            )


def _known(verdict: str) -> bool:
    return verdict != "unknown"
