"""Who may come in: Host, Origin and Sec-Fetch-Site, the client keys, and where a client is. Pure."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace
from twisted.internet.address import UNIXAddress
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol

from ampproxy.config.schema import Config
from ampproxy.credentials.names import client_name
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.http.headers import HasHeaders, has_any
from ampproxy.model.base import Value
from ampproxy.model.clients import NEO_ROUTE, ClientKey
from ampproxy.server.reported import ReportedTransport
from ampproxy.tenants.tenant import Tenant, tenant_id
from ampproxy.wire.authority import (
    Authority,
    listed_authority,
    parse_authority,
    parse_origin,
    shown_authority,
    with_port,
)
from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import Secret, printable

if TYPE_CHECKING:
    from ampproxy.relay.amp_users import AmpUser


class Client(Value, frozen=True):
    """Who sent a request.

    :param label: how the log names it; tells keys apart without showing any.
    :param key: what it is known by: its name, else the key that let it in; ``None`` where none is asked for.
    :param own: the key of Amp's with which it came, and with which its requests go to the Amp upstream.
        ``None``: they go with the one that the configuration has for it.
    :param user: whose key of Amp's that is.
    :param tenant: its rights and limits; ``None``: it may do everything.
    :param expires: seconds since the epoch from which on its key lets nobody in.
    :param proof: the hash of the key that let it in: of one client two may be valid at a time.
    :param named: whether its entry has a name.
    """

    label: str
    key: Secret | None = None
    own: Secret | None = None
    user: AmpUser | None = None
    tenant: Tenant | None = None
    expires: float | None = None
    proof: Secret | None = None
    named: bool = False


#: A client where no key is configured, or on a path that asks for none.
ANONYMOUS = Client("-")


class _Keys:
    """The keys of some clients, found by a credential.

    Looked up by keyed digest: how long a comparison takes tells nothing about any key, and costs the same
    for one key and for a thousand.

    :ivar proofs: the clients, by the hash of each of their keys.
    """

    def __init__(self, keys: Iterable[ClientKey], salt: bytes) -> None:
        self._salt = os.urandom(32)
        self._clients: dict[bytes, Client] = {}
        # By the hash of the key. Empty in most configurations, whose requests then cost no SHA-256.
        self._hashed: dict[bytes, Client] = {}
        self.proofs: dict[Secret, Client] = {}
        for key in keys:
            self._add(key, salt)

    def find(self, credential: bytes) -> Client | None:
        """The client whose key this is, be it an expired one."""
        found = self._clients.get(self._digest(credential))
        if found is None and self._hashed:
            found = self._hashed.get(self._digest(hashlib.sha256(credential).hexdigest().encode()))
        return found

    def _add(self, key: ClientKey, salt: bytes) -> None:
        """Let an entry's key in, and the one before a rotation."""
        label = key.name or client_name(key.identity, salt)
        tenant = Tenant(tenant_id(key, salt), label, key) if key.is_restricted else None
        identity, current = key.identity, key.current_hash
        proof = Secret(current)
        client = Client(
            label, identity, tenant=tenant, expires=key.expires, proof=proof, named=bool(key.name)
        )
        self.proofs[proof] = client
        if key.secret is not None:
            self._clients[self._digest(key.secret.reveal().encode())] = client
        else:
            self._hashed[self._digest(current.encode())] = client
        if key.old_hash:
            end = min(filter(None, (key.expires, key.old_until)))
            old = replace(client, expires=end, proof=Secret(key.old_hash))
            self._hashed[self._digest(key.old_hash.encode())] = self.proofs[Secret(key.old_hash)] = old

    def _digest(self, value: bytes) -> bytes:
        return hashlib.blake2b(value, key=self._salt, digest_size=16).digest()


#: What shows that a browser asks for a page.
_OF_BROWSERS = frozenset((b"origin", b"sec-fetch-site"))


class Guard:
    """Lets requests in, or says why not.

    :param config: its ``api-keys``, ``allowed-hosts`` and ``host``.
    :param salt: of the clients' names (see :mod:`ampproxy.credentials.names`).
    :param wall: seconds since the epoch, by which keys expire.
    """

    def __init__(self, config: Config, salt: bytes = b"", wall: Callable[[], float] = time.time) -> None:
        # Looked up by keyed digest: how long a comparison takes tells nothing about any key, and
        # costs the same for one key and for a thousand.
        self._wall = wall
        self._keys = _Keys(config.clients, salt)
        # Apart from the others, so that what asks for a client's key never takes this one.
        self._cloud = None if config.neo is None else _Keys((config.neo.client,), salt)
        hosts = [*config.allowed_hosts, *filter(None, [config.neo.public_host if config.neo else ""])]
        listed = [found for host in hosts if (found := listed_authority(host)) is not None]
        self._names = frozenset(("localhost", config.host.lower(), *(one.host for one in listed)))
        self._origins = frozenset(one for one in listed if one.port is not None)
        self._seen_hosts: dict[bytes, Authority] = {}

    @property
    def open(self) -> bool:
        """Whether no key is configured, so that everybody is let in."""
        return not self._keys.proofs

    def check_browser(self, headers: HasHeaders, *, secure: bool, page: bool = False) -> None:
        """Refuse what only a foreign web page would send.

        ``Host`` must be an address, ``localhost`` or a listed name: a page that has its own name
        point at this machine (DNS rebinding) sends that name. ``Origin``, where there is one, must be
        the address that the client used, scheme and port included, or a listed host with its port.
        ``Sec-Fetch-Site`` (https://www.w3.org/TR/fetch-metadata/) is in what a page loads without an
        ``Origin``, too: pictures, scripts, frames.

        :param secure: whether the connection is TLS.
        :param page: whether this is a request for a page that links of other sites may lead to.
        :raises ClientFault: status 403; the message names the setting. Status 400: ``Host`` is no host.
        """
        hosts = headers.getRawHeaders(b"host")
        host = hosts[0] if hosts and len(hosts) == 1 else b""
        own = self._seen_hosts.get(host) or self._own(host)
        if not has_any(headers, _OF_BROWSERS):
            return
        origins = headers.getRawHeaders(b"origin")
        if origins:
            scheme = "https" if secure or _speaks_tls(headers) else "http"
            for origin in origins:
                self._check_origin(origin, scheme, own)
        sites = headers.getRawHeaders(b"sec-fetch-site")
        if sites:
            _check_fetch(sites, headers, page)

    def identify(self, headers: HasHeaders, query: bytes) -> Client | None:
        """The client whose key any of the request's credentials is; ``None`` if none of them is one.

        Amp's Google client sends a placeholder beside its key, so one good credential is enough.
        """
        for credential in credentials(headers, query):
            client = self._keys.find(credential)
            if client is not None and (client.expires is None or self._wall() < client.expires):
                return client
        return None

    def knows(self, credential: bytes) -> bool:
        """Whether this is a client's key, be it an expired one, or that of Amp's cloud."""
        return any(keys is not None and keys.find(credential) for keys in (self._keys, self._cloud))

    def current(self, client: Client) -> Client | None:
        """Who the key that let a client in lets in under this configuration and at this time; ``None``: it
        no longer does.
        """
        of_cloud = client.tenant is not None and NEO_ROUTE in client.tenant.key.routes
        if self.open and not of_cloud:
            return replace(client, tenant=None, expires=None)
        keys = self._cloud if of_cloud else self._keys
        now = None if client.proof is None or keys is None else keys.proofs.get(client.proof)
        return None if now is None or (now.expires is not None and now.expires <= self._wall()) else now

    @property
    def next_expiry(self) -> float | None:
        """When the next key expires, in seconds since the epoch; ``None``: none does."""
        wall = self._wall()
        known = [*self._keys.proofs.values(), *(self._cloud.proofs.values() if self._cloud else ())]
        times = [client.expires for client in known if client.expires is not None]
        return min((time for time in times if time > wall), default=None)

    def cloud(self, headers: HasHeaders, query: bytes) -> Client | None:
        """The client of the section ``neo`` if any of the request's credentials is its key, be it an expired
        one; ``None``: none is, or there is no such section.
        """
        if self._cloud is None:
            return None
        found = (self._cloud.find(credential) for credential in credentials(headers, query))
        return next(filter(None, found), None)

    def check_current(self, client: Client) -> None:
        """See that a client's key has not expired.

        :raises ClientFault: status 401: it has.
        """
        if client.expires is not None and self._wall() >= client.expires:
            raise _expired(client)

    def authorize(self, headers: HasHeaders, query: bytes) -> Client:
        """The client, or a refusal.

        :raises ClientFault: status 401: no key came along, or none that is configured.
        """
        if self.open:
            return ANONYMOUS
        client = self.identify(headers, query)
        if client is None:
            came = credentials(headers, query)
            expired = next((found for one in came if (found := self._keys.find(one)) is not None), None)
            raise _refusal(bool(came)) if expired is None else _expired(expired)
        return client

    def _own(self, host: bytes) -> Authority:
        """The authority that a client used, if it is one of ours."""
        own = parse_authority(host)
        if own is None:
            raise ClientFault.of(
                "invalid_request",
                f"The Host {_shown(host)} is not valid: a request needs a name or an address, with or"
                " without a port.",
            )
        if not (own.host in self._names or own.host.endswith(".localhost") or own.is_address):
            raise ClientFault.of(
                "permission",
                f"The Host {_shown(host)} is not one of this gateway's names (setting: allowed-hosts).",
            )
        if len(self._seen_hosts) < 64:
            self._seen_hosts[host] = own
        return own

    def _check_origin(self, origin: bytes, scheme: str, own: Authority) -> None:
        found = parse_origin(origin)
        if found == (scheme, with_port(own, scheme)) or (found and found[1] in self._origins):
            return
        raise ClientFault.of(
            "permission",
            f"Requests from web pages of other sites are refused: {_shown(origin)} is not the gateway's own"
            f" address, which is {scheme}://{shown_authority(own)} to this client. A page's host can be"
            " allowed with its port (setting: allowed-hosts); a proxy that speaks HTTPS reports it in"
            " X-Forwarded-Proto.",
        )


def _shown(value: bytes) -> str:
    return repr(printable(value[:200].decode("ascii", "replace")))


def _speaks_tls(headers: HasHeaders) -> bool:
    """Whether a proxy in front of us says that it speaks HTTPS with the client.

    Believed whoever says it, for it opens nothing to a page: a page that adds a header to a request has the
    browser ask first (a preflight, with its ``Origin``), and that is refused.
    """
    values = headers.getRawHeaders(b"x-forwarded-proto") or ()
    return len(values) == 1 and values[0].strip().lower() == b"https"


#: Who asked the browser, where that is neither another site nor another origin of this one.
_FETCHED_BY = frozenset((b"same-origin", b"none"))


def _check_fetch(sites: Sequence[bytes], headers: HasHeaders, page: bool) -> None:
    """Refuse what a page of another origin loads; that its user follows a link from there is fine.

    :raises ClientFault: status 403.
    """
    if all(site.strip().lower() in _FETCHED_BY for site in sites):
        return
    followed = page and all(
        headers.getRawHeaders(name) == [value]
        for name, value in ((b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"))
    )
    if not followed:
        raise ClientFault.of(
            "permission",
            "Requests made by web pages of other sites are refused (Sec-Fetch-Site): such a page may "
            "only link to one of Amp's pages.",
        )


#: So many are looked up of a query, each in several places. No client sends more than two.
_MAX_CREDENTIALS = 16


def credentials(headers: HasHeaders, query: bytes) -> list[bytes]:
    """Every credential that a request carries, in the places that Amp's clients and the vendors' SDKs
    use: ``Authorization`` (with or without ``Bearer``), ``X-Api-Key``, ``X-Goog-Api-Key``, Azure's
    ``Api-Key``, and ``key`` or ``auth_token`` in the query.
    """
    found = []
    for value in headers.getRawHeaders(b"authorization") or ():
        scheme, _, rest = value.partition(b" ")
        found.append(rest.strip() if scheme.lower() == b"bearer" else value)
    for name in (b"x-api-key", b"x-goog-api-key", b"api-key"):
        found.extend(headers.getRawHeaders(name) or ())
    if query:
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if name in (b"key", b"auth_token"):
                found.append(unquote_to_bytes(value.replace(b"+", b" ")))
                if len(found) >= _MAX_CREDENTIALS:
                    break
    return [credential for credential in found if credential]


#: In which headers a proxy says for whom it asks.
_FORWARDED_FOR = (b"x-forwarded-for", b"x-real-ip")
#: What a proxy says beside that. One that says only this asks for nobody knows whom.
_FORWARDED = (b"forwarded", b"via", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto")

#: A longer chain of proxies is not looked through: such a client is from elsewhere.
_MAX_HOPS = 32

_ALL_FORWARDED = frozenset((*_FORWARDED_FOR, *_FORWARDED))


def forwarded_from_elsewhere(headers: HasHeaders) -> bool:
    """Whether a proxy asks for a client that is not on this machine, or does not say for which.

    Anybody can send such headers, so they can only take a privilege away, never give one: a proxy adds the
    true address behind what its client sent.
    """
    if not has_any(headers, _ALL_FORWARDED):
        return False
    addresses = [
        part.decode("ascii", "replace").strip()
        for name in _FORWARDED_FOR
        for value in headers.getRawHeaders(name) or ()
        for part in value.split(b",", _MAX_HOPS)
    ]
    for value in headers.getRawHeaders(b"forwarded") or ():
        found = _FOR.findall(value.decode("ascii", "replace"))
        addresses += found or ["unknown"]
    if addresses:
        return len(addresses) > _MAX_HOPS or not all(map(_is_loopback, addresses))
    return any(headers.getRawHeaders(name) for name in _FORWARDED)


def is_here(peer: Any) -> bool:
    """Whether an address is one of this machine's own."""
    host: str = getattr(peer, "host", "")
    return isinstance(peer, UNIXAddress) or host == "::1" or host.startswith(("127.", "::ffff:127."))


def is_introduced(transport: Any) -> bool:
    """Whether a PROXY line stands for the client's address: it may name a connection of another client's."""
    return introducer(transport) is not None


def introducer(transport: Any) -> Any:
    """The address of the proxy whose PROXY line stands for the client's address; ``None``: there was none."""
    if isinstance(transport, ReportedTransport):
        return transport.introduced_by
    # What lies between, and is not TLS, has read such a line.
    if isinstance(transport, ProtocolWrapper) and not isinstance(transport, TLSMemoryBIOProtocol):
        below: Any = transport.transport
        return below.getPeer()
    return None


def is_introduced_from_elsewhere(transport: Any) -> bool:
    """Whether a PROXY line (``--listen haproxy:...``) came from another machine, or names nobody: anybody can
    write one, so that only a proxy on this machine is believed that its client is here.
    """
    proxy = introducer(transport)
    return proxy is not None and (not is_here(proxy) or transport.getPeer() == proxy)


def is_forwarded(headers: HasHeaders) -> bool:
    """Whether a proxy asks, on whatever machine its client is: whose the connection is does not show whose
    the request is.
    """
    return any(headers.getRawHeaders(name) for name in (*_FORWARDED_FOR, *_FORWARDED))


def last_forwarded(headers: HasHeaders) -> str:
    """The address that the proxy next to us saw: the last that it names; empty if it names none. What stands
    before it may be made up by the client.
    """
    for name in _FORWARDED_FOR:
        values = headers.getRawHeaders(name)
        if values:
            return _bare(values[-1].rpartition(b",")[2].decode("ascii", "replace").strip())
    return ""


def _bare(address: str) -> str:
    """An address without brackets and port."""
    bare = address[1:].partition("]")[0] if address.startswith("[") else address
    return bare.partition(":")[0] if bare.count(":") == 1 else bare


#: The client of one hop (RFC 7239, section 5.2).
_FOR = LatePattern(r"""(?i)(?:^|[;,\s])for\s*=\s*"?([^";,]*)""")


def _is_loopback(address: str) -> bool:
    """Whether this is an address of this machine, with or without a port; nginx calls a local socket
    ``unix:``.
    """
    if address == "unix:":
        return True
    try:
        ip = ip_address(_bare(address))
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return ip.is_loopback if mapped is None else bool(mapped.is_loopback)


def _expired(client: Client) -> ExchangeError:
    assert client.expires is not None
    end = datetime.fromtimestamp(client.expires, timezone.utc).strftime("%Y-%m-%d %H:%M")
    section = "api-keys[]" if client.tenant is None else client.tenant.key.section
    return ClientFault.of(
        "authentication",
        f"The API key of {client.label} has expired ({end} UTC): ask the gateway's owner for another one, or"
        f" extend it there (setting: {section}.expires; after a rotation, old-until).",
        code="expired_api_key",
    )


def _refusal(came_along: bool) -> ExchangeError:
    if came_along:
        message = "Invalid API key: it is not one of the gateway's api-keys."
    else:
        message = "Missing API key. Send one of the gateway's api-keys, such as 'Authorization: Bearer KEY'."
    return ClientFault.of("authentication", message, code="invalid_api_key")
