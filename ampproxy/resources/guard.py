"""Who may come in: the Host and Origin rules and the client keys. Pure, over headers."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes

from ampproxy.config.schema import Config
from ampproxy.credentials.names import client_name
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.wire.redact import Secret

if TYPE_CHECKING:
    from ampproxy.relay.amp_users import AmpUser


class HasHeaders(Protocol):
    """What is looked at: ``twisted.web.http_headers.Headers``."""

    def getRawHeaders(self, name: bytes) -> Sequence[bytes] | None:
        """All values of a header."""
        ...


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request.

    :param label: how the log names it; tells keys apart without showing any.
    :param key: what it is known by: the key that let it in; ``None`` where none is asked for.
    :param own: the key of Amp's with which it came, and with which its requests go to the Amp upstream.
        ``None``: they go with the one that the configuration has for it.
    :param user: whose key of Amp's that is.
    """

    label: str
    key: Secret | None = None
    own: Secret | None = None
    user: AmpUser | None = None


#: A client where no key is configured, or on a path that asks for none.
ANYBODY = Client("-")


class Guard:
    """Lets requests in, or says why not.

    :param config: its ``api-keys``, ``allowed-hosts`` and ``host``.
    :param salt: of the clients' names (see :mod:`ampproxy.credentials.names`).
    """

    def __init__(self, config: Config, salt: bytes = b"") -> None:
        # Looked up by keyed digest: how long a comparison takes tells nothing about any key, and
        # costs the same for one key and for a thousand.
        self._salt = os.urandom(32)
        self._clients = {
            self._digest(key.reveal().encode()): Client(client_name(key, salt), key)
            for key in config.api_keys
        }
        self._listed = frozenset(host.lower() for host in config.allowed_hosts)
        self._own = config.host.lower()
        self._seen_hosts: set[bytes] = set()

    @property
    def open(self) -> bool:
        """Whether no key is configured, so that everybody is let in."""
        return not self._clients

    def check_browser(self, headers: HasHeaders) -> None:
        """Refuse what only a foreign web page would send.

        ``Host`` must be an address, ``localhost`` or a listed name: a page that has its own name
        point at this machine (DNS rebinding) sends that name. ``Origin``, where there is one, must be
        the same host.

        :raises ClientFault: status 403; the message names the setting.
        """
        hosts = headers.getRawHeaders(b"host")
        host = hosts[0] if hosts and len(hosts) == 1 else b""
        if host not in self._seen_hosts:
            if not self._is_own(host):
                raise ClientFault.of(
                    "permission",
                    f"The Host {host.decode('ascii', 'replace')!r} is not one of this gateway's names"
                    " (setting: allowed-hosts).",
                )
            if len(self._seen_hosts) < 64:
                self._seen_hosts.add(host)
        origins = headers.getRawHeaders(b"origin")
        if origins and any(not self._same_site(origin, host) for origin in origins):
            raise ClientFault.of(
                "permission",
                "Requests from web pages of other sites are refused; a page's host can be allowed"
                " (setting: allowed-hosts).",
            )

    def identify(self, headers: HasHeaders, query: bytes) -> Client | None:
        """The client whose key any of the request's credentials is; ``None`` if none of them is one.

        Amp's Google client sends a placeholder beside its key, so one good credential is enough.
        """
        for credential in credentials(headers, query):
            client = self._clients.get(self._digest(credential))
            if client is not None:
                return client
        return None

    def knows(self, credential: bytes) -> bool:
        """Whether this is a client's key."""
        return self._digest(credential) in self._clients

    def admit(self, headers: HasHeaders, query: bytes) -> Client:
        """The client, or a refusal.

        :raises ClientFault: status 401: no key came along, or none that is configured.
        """
        if not self._clients:
            return ANYBODY
        client = self.identify(headers, query)
        if client is None:
            raise _refusal(any(credentials(headers, query)))
        return client

    def _digest(self, value: bytes) -> bytes:
        return hashlib.blake2b(value, key=self._salt, digest_size=16).digest()

    def _is_own(self, host: bytes) -> bool:
        name = _name(host)
        return bool(name) and (
            name in self._listed
            or name in ("localhost", self._own)
            or name.endswith(".localhost")
            or _is_address(name)
        )

    def _same_site(self, origin: bytes, host: bytes) -> bool:
        _, _, authority = origin.partition(b"://")
        if not authority:
            return False
        return authority.lower() == host.lower() or _name(authority) in self._listed


def credentials(headers: HasHeaders, query: bytes) -> list[bytes]:
    """Every credential that a request carries, in the places that Amp's clients and the vendors' SDKs
    use: ``Authorization`` (with or without ``Bearer``), ``X-Api-Key``, ``X-Goog-Api-Key``, and ``key``
    or ``auth_token`` in the query.
    """
    found = []
    for value in headers.getRawHeaders(b"authorization") or ():
        scheme, _, rest = value.partition(b" ")
        found.append(rest.strip() if scheme.lower() == b"bearer" else value)
    found.extend(headers.getRawHeaders(b"x-api-key") or ())
    found.extend(headers.getRawHeaders(b"x-goog-api-key") or ())
    if query:
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if name in (b"key", b"auth_token"):
                found.append(unquote_to_bytes(value.replace(b"+", b" ")))
    return [credential for credential in found if credential]


#: In which headers a proxy says for whom it asks.
_FORWARDED_FOR = (b"x-forwarded-for", b"x-real-ip")
#: What a proxy says beside that. One that says only this asks for nobody knows whom.
_FORWARDED = (b"forwarded", b"via", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto")


def forwarded_from_elsewhere(headers: HasHeaders) -> bool:
    """Whether a proxy asks for a client that is not on this machine, or does not say for which.

    Anybody can send such headers, so they can only take a privilege away, never give one: a proxy adds the
    true address behind what its client sent.
    """
    addresses = [
        part.decode("ascii", "replace").strip()
        for name in _FORWARDED_FOR
        for value in headers.getRawHeaders(name) or ()
        for part in value.split(b",")
    ]
    for value in headers.getRawHeaders(b"forwarded") or ():
        found = _FOR.findall(value.decode("ascii", "replace"))
        addresses += found or ["unknown"]
    if addresses:
        return not all(map(_is_loopback, addresses))
    return any(headers.getRawHeaders(name) for name in _FORWARDED)


#: The client of one hop (RFC 7239, section 5.2).
_FOR = re.compile(r"""(?i)(?:^|[;,\s])for\s*=\s*"?([^";,]*)""")


def _is_loopback(address: str) -> bool:
    """Whether this is an address of this machine, with or without a port; nginx calls a local socket
    ``unix:``.
    """
    if address == "unix:":
        return True
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        ip = ip_address(bare)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return ip.is_loopback if mapped is None else bool(mapped.is_loopback)


def _refusal(came_along: bool) -> ExchangeError:
    if came_along:
        message = "Invalid API key: it is not one of the gateway's api-keys."
    else:
        message = "Missing API key: send one of the gateway's api-keys, such as in the header Authorization."
    return ClientFault.of("authentication", message, code="invalid_api_key")


def _name(authority: bytes) -> str:
    """The host of ``host[:port]``, lower case."""
    text = authority.decode("ascii", "replace").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
