"""What a request that was let in tells beside what it asks for: whose client it comes from, a new route."""

from __future__ import annotations

from ampproxy.amp.clients import AmpClient, recognise
from ampproxy.amp.routes import UPGRADE, below_models, is_known, shape
from ampproxy.config.schema import ALLOW
from ampproxy.generation import Generation
from ampproxy.server.guard import ANYBODY
from ampproxy.server.site import GatewayRequest
from ampproxy.wire.redact import printable


def notice_client(generation: Generation, request: GatewayRequest) -> AmpClient | None:
    """Which of Amp's clients sent it, if that shows; a new one is told of."""
    client = recognise(request.path, request.query, request.requestHeaders.getRawHeaders)
    if client is not None:
        generation.runtime.seen_clients.see((request.client_key or ANYBODY).label, client)
    return client


def notice_route(generation: Generation, request: GatewayRequest, *, upgrade: bool) -> None:
    """Remember a route of Amp's that is not known."""
    client = notice_client(generation, request)
    method = UPGRADE if upgrade else request.method.decode("latin-1")
    path, query = request.path.decode("latin-1"), request.query.decode("latin-1")
    if not is_known(method, path, query):
        by = "" if client is None else str(client)
        then = "it is forwarded"
        if below_models(path) and generation.config.ampcode.fallback != ALLOW:
            then = "ampcode.fallback says whether it is forwarded"
        shown = printable(method[:20])[:20]
        generation.runtime.unknown_routes.see(shown, printable(shape(path, query)), by, then)
