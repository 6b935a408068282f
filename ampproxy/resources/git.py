"""Amp's git repositories: git asks for them with credentials of its own, which Amp has made for it."""

from __future__ import annotations

import binascii
from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred

from ampproxy.errors import ClientFault
from ampproxy.resources.amp import AmpResource
from ampproxy.server.authentication import authenticate_client
from ampproxy.server.guard import Client, credentials
from ampproxy.server.site import GatewayRequest


class GitResource(AmpResource):
    """Below ``/git``: git's HTTP as it is, with what git itself presents (Basic: a user, and a token that
    Amp's CLI got from Amp). So the owner's Amp key does not go along, unless a client key does come.
    """

    def _identify(self, request: GatewayRequest) -> Client | Deferred[Any] | None:
        knows = self.generation.guard.knows
        if any(map(knows, _basic(request))):
            raise ClientFault.of(
                "permission",
                "A client key of this gateway stands in the credentials for git, which go on to Amp as they"
                " are. Amp does not know that key, and must not see it.",
            )
        if any(map(knows, credentials(request.requestHeaders, request.query))):
            return authenticate_client(self.generation, request)
        return None

    def _kept(self, request: GatewayRequest, upgrade: bool) -> Collection[bytes]:
        return (b"authorization",) if request.client_key is None and _basic(request) else ()


def _basic(request: GatewayRequest) -> list[bytes]:
    """The user and the password of Basic credentials; empty: there are none."""
    found: list[bytes] = []
    for value in request.requestHeaders.getRawHeaders(b"authorization") or ():
        scheme, _, encoded = value.partition(b" ")
        if scheme.lower() != b"basic":
            continue
        try:
            user, _, password = binascii.a2b_base64(encoded.strip()).partition(b":")
        except binascii.Error:
            continue
        found += [user, password]
    return found
