"""Checks of what the service has remembered in its state folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from ampproxy.amp.routes import below_models
from ampproxy.config.schema import ALLOW
from ampproxy.desktop.clients import files
from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding, note, ok
from ampproxy.relay.unknown import NAME, UnknownRoute, read
from ampproxy.wire.redact import printable

#: So many routes are named one by one.
_NAMED = 10


def unknown_routes(context: Context) -> Iterator[Finding]:
    """Routes of Amp's that were asked for and that this version does not know."""
    if context.config is None:
        return
    kept = context.config.state_dir / NAME
    try:
        exists = files.content(kept) is not None
    except OSError as error:
        yield note(
            f"Which new routes clients asked for cannot be read: {kept}: {error.strerror}.",
            "run the doctor as the user that the service runs as",
        )
        return
    routes = read(context.config.state_dir).routes if exists else ()
    if not routes:
        yield ok("No client has asked for a route of Amp's that is not known here.")
    for route in routes[:_NAMED]:
        may_cost = below_models(route.path) and context.config.ampcode.fallback != ALLOW
        then = "ampcode.fallback says whether it is forwarded" if may_cost else "it is forwarded"
        yield note(_sentence(route), f"nothing: {then}; a newer ampproxy may know it")
    if len(routes) > _NAMED:
        yield note(f"{len(routes) - _NAMED} more routes were asked for that are not known here.")


def _sentence(route: UnknownRoute) -> str:
    times = "once" if route.count == 1 else f"{route.count} times"
    day = datetime.fromtimestamp(route.last_seen, timezone.utc).strftime("%Y-%m-%d")
    clients = f" by {', '.join(route.clients[:3])}" if route.clients else ""
    what = f"{route.method} {route.path}"
    return printable(f"{what} was asked for {times}{clients}, last on {day}, and is not known here.")
