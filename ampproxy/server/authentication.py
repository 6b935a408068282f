"""Whose request it is: a configured client's, or, where that is allowed, that of one of Amp's own users."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ampproxy.amp.keys import find_key
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.server.guard import Client, Guard, credentials, last_forwarded
from ampproxy.server.site import GatewayRequest
from ampproxy.wire.redact import Secret

if TYPE_CHECKING:
    from ampproxy.relay.amp_users import AmpUser, AmpUsers

#: A client; or, where Amp has to be asked first, the promise of one.
Found = Client | Deferred[Client]


class Keys(Protocol):
    """Whose keys let somebody in: :class:`~ampproxy.generation.Generation`."""

    @property
    def guard(self) -> Guard:
        """Knows the client keys."""

    @property
    def amp_users(self) -> AmpUsers | None:
        """Knows Amp's own users; ``None``: they are not let in."""


def authenticate_client(keys: Keys, request: GatewayRequest) -> Found:
    """The client whose key came along.

    Where ``ampcode.accept-amp-keys`` is on, that may be a key of Amp's. Amp is asked about one that is new,
    and until it has answered the request is not let in.

    :raises ExchangeError: none that counts came along. Comes by the Deferred if there is one.
    """
    guard = keys.guard
    found = guard.identify(request.requestHeaders, request.query)
    if found is not None:
        return found
    came = credentials(request.requestHeaders, request.query)
    by_amp = _by_amp(keys, request, came)
    if by_amp is not None:
        return by_amp
    if keys.amp_users is None and not guard.open and find_key(came) is not None:
        raise ClientFault.of(
            "authentication",
            "Invalid API key: it looks like one of Amp's own, from signing in to Amp. Such keys are "
            "accepted only with ampcode.accept-amp-keys: true.",
            code="invalid_api_key",
        )
    return guard.authorize(request.requestHeaders, request.query)


def client_of_page(keys: Keys, request: GatewayRequest) -> Client | Deferred[Client | None] | None:
    """The client that opens a page, where nobody needs to be one: ``None`` without a key that counts."""
    found = keys.guard.identify(request.requestHeaders, request.query)
    if found is not None:
        return found
    try:
        by_amp = _by_amp(keys, request, credentials(request.requestHeaders, b""))
    except ExchangeError:
        return None
    return by_amp.addErrback(_ignore) if isinstance(by_amp, Deferred) else by_amp


def _ignore(failure: Failure) -> None:
    failure.trap(ExchangeError)


def _by_amp(keys: Keys, request: GatewayRequest, came: list[bytes]) -> Found | None:
    users = keys.amp_users
    key = None if users is None else find_key(came)
    if users is None or key is None:
        return None
    local = request.is_local()
    users.may(local=local)
    own = Secret(key.decode("ascii"))
    user = users.find(key, "" if local else peer_of(request))
    if isinstance(user, Deferred):
        return user.addCallback(lambda found: _client(found, own))
    return _client(user, own)


def peer_of(request: GatewayRequest) -> str:
    """Who asks that is not on this machine: the peer, or whom a proxy on this machine names as its own. Of
    IPv6 the network counts, for one client has all of its addresses.
    """
    address = str(getattr(request.client, "host", ""))
    if request.has_local_peer():
        address = last_forwarded(request.requestHeaders)
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip) if ip.version == 4 else str(ip_network((ip.packed, 64), strict=False))


def _client(user: AmpUser, own: Secret) -> Client:
    # Known by the user, not by the key: limits are for people, who may log in again.
    return Client(user.label, Secret(f"amp user {user.id}"), own, user)
