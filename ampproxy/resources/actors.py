"""Amp's actors: what their paths need that no other path does.

Amp's newer clients send no key to the actors' description and sockets. Where the gateway's address is not
loopback they send a public token there; where it is, they leave that out, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec
from twisted.web.http_headers import Headers

from ampproxy.amp import metadata
from ampproxy.amp.site import Site
from ampproxy.generation import Generation
from ampproxy.relay.filters import Filter, WholeFilter
from ampproxy.resources.browser import SiteChange
from ampproxy.server.site import GatewayRequest
from ampproxy.wire.json import BAD_JSON
from ampproxy.wire.redact import Secret

_METADATA = b"/actors/metadata"
_SOCKET = re.compile(rb"/actors/gateway/[^/]+/websocket(?:/|\Z)")
_REQUEST = re.compile(rb"/actors/gateway/[^/]+/request(?:/|\Z)")
#: Where a public token may stand: a query's member, a header.
_MEMBER, _HEADER = "rvt-token", b"X-Rivet-Token"
#: Where the parameters of a connection stand: a header, or a part of what a socket offers to speak.
_CONNECTION, _OFFERED = b"X-Rivet-Conn-Params", b"rivet_conn_params."


def is_metadata(request: GatewayRequest) -> bool:
    """Whether the actors' description is asked for."""
    return request.path == _METADATA


def needs_no_key(request: GatewayRequest, *, upgrade: bool) -> bool:
    """Whether this is a path that the CLI sends no key to.

    :param upgrade: whether the request asks for one.
    """
    return is_metadata(request) or (upgrade and _SOCKET.match(request.path) is not None)


def with_token(request: GatewayRequest, url: str, headers: Headers, token: Secret, *, upgrade: bool) -> str:
    """Add the public token to a request for an actor that brings none.

    :param url: where the request goes; the token of a socket stands in its query.
    :param headers: that go with it; other tokens stand there.
    :return: the URL.
    """
    if is_metadata(request):
        if not headers.hasHeader(b"authorization"):
            headers.setRawHeaders(b"Authorization", [b"Bearer " + token.reveal().encode()])
        return url
    if headers.hasHeader(_HEADER) or _brings_member(request.query):
        return url
    if upgrade and _SOCKET.match(request.path):
        return f"{url}{'&' if '?' in url else '?'}{_MEMBER}={quote(token.reveal(), safe='')}"
    if _REQUEST.match(request.path):
        headers.setRawHeaders(_HEADER, [token.reveal().encode()])
    return url


def _brings_member(query: bytes) -> bool:
    name = _MEMBER.encode() + b"="
    return any(pair.startswith(name) and pair != name for pair in query.split(b"&"))


def bears_key(request: GatewayRequest, knows: Callable[[bytes], bool]) -> bool:
    """Whether a client's key stands where it would travel on with a connection to an actor: as the public
    token, or among the parameters, which stay as they are.

    :param knows: whether something is a client's key.
    """
    get = request.requestHeaders.getRawHeaders
    members = (pair.partition(b"=") for pair in request.query.split(b"&"))
    tokens = [unquote_to_bytes(value) for name, _, value in members if name == _MEMBER.encode()]
    parameters = list(get(_CONNECTION) or ())
    for offer in b",".join(get(b"sec-websocket-protocol") or ()).split(b","):
        name, _, value = offer.strip().partition(_OFFERED)
        if value and not name:
            parameters.append(value)
    held = (text for value in parameters for text in _texts(value))
    return any(map(knows, (*(get(_HEADER) or ()), *tokens, *held)))


def _texts(parameters: bytes) -> Iterator[bytes]:
    """Every text in a connection's parameters: percent-encoded JSON."""
    try:
        waiting: list[Any] = [msgspec.json.decode(unquote_to_bytes(parameters))]
    except BAD_JSON:
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value.encode("utf-8", "surrogatepass")
        elif isinstance(value, (dict, list)):
            waiting.extend(value.values() if isinstance(value, dict) else value)


class MetadataChange(SiteChange):
    """Keeps the clients here that the actors' description would lead elsewhere."""

    def __init__(self, generation: Generation, site: Site) -> None:
        super().__init__(site, page=False)
        self._generation = generation
        self._here = site.here.decode()

    def body(self, status: int, headers: Headers) -> Filter | None:
        """The description, with its endpoint at the client's address."""
        if status != 200:
            return None
        return WholeFilter(partial(metadata.keep_here, here=self._here), metadata.MAX_BYTES, self._complain)

    def _complain(self) -> None:
        self._generation.runtime.log.warn(
            "The actors' metadata is larger than {largest} bytes and passes unchanged: a clientEndpoint "
            "in it may lead the client past the gateway (setting: ampcode.rewrite-client-endpoint)",
            largest=metadata.MAX_BYTES,
        )
