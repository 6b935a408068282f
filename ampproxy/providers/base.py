"""What every vendor needs: where a request goes at an account, and which headers go with it.

A provider is made once for an account and then says the call of each request. The origin comes from the
account's ``base-url`` alone; of what a client sent, only what a short list names goes further, and never
its credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, TypeAlias
from urllib.parse import quote, unquote_to_bytes

import msgspec

from ampproxy import __version__
from ampproxy.config.schema import Account
from ampproxy.credentials.names import account_name
from ampproxy.errors import ClientFault, GatewayFault
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES, Value
from ampproxy.model.loss import Loss
from ampproxy.providers.listing import Listing, Page
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.paths import misleading
from ampproxy.routing.vendor_calls import VendorCall

Header: TypeAlias = tuple[bytes, bytes]
#: The headers that a client sent: names in lower case.
ClientHeaders: TypeAlias = Mapping[bytes, Sequence[bytes]]
_NONE: ClientHeaders = {}
#: What a vendor serves: (dialect, operation) -> path below the version segment.
Paths: TypeAlias = Mapping[tuple[str, Operation], str]

#: What decides on the headers of a call: what the client may tell, whether a stream is awaited, and what the
#: body needs.
_Asked: TypeAlias = tuple[tuple[Header, ...], bool, tuple[tuple[str, str], ...]]

USER_AGENT = f"ampproxy/{__version__}".encode()

#: What a client may tell a vendor in any dialect.
_COMMON = frozenset((b"idempotency-key", b"x-request-id"))
#: On whose behalf an account's key is used, and in which of its workspaces; no login has such.
OF_KEYS = frozenset((b"anthropic-user-profile-id", b"anthropic-workspace-id"))
_OPENAI = _COMMON | {b"accept", b"openai-beta"}
#: What it may tell a vendor of its own dialect.
CLIENT_HEADERS: dict[str, frozenset[bytes]] = {
    ANTHROPIC: _COMMON | {b"accept", b"anthropic-beta", b"anthropic-version"} | OF_KEYS,
    CHAT: _OPENAI,
    COMPLETIONS: _OPENAI,
    RESPONSES: _OPENAI,
    GEMINI: _COMMON | {b"accept"},
}
#: Likewise of the query. Credentials travel there, too (``key``), so nothing else goes on.
CLIENT_QUERY: dict[str, frozenset[bytes]] = {
    ANTHROPIC: frozenset((b"beta",)),
    GEMINI: frozenset((b"alt", b"$alt", b"fields", b"$fields", b"prettyPrint", b"$prettyPrint")),
}
#: What a client may send with a call that is not one of models, by the beginning of the name.
_CALL_HEADERS = (
    *(b"accept", b"anthropic-", b"openai-beta", b"idempotency-key", b"x-request-id", b"content-type"),
    *(b"content-encoding", b"range", b"if-", b"x-goog-upload-"),
)
#: Where a client's key may be in the query of such a call, and what only Azure knows.
_QUERY_KEYS = frozenset((b"key", b"$key", b"access_token", b"auth_token", b"api-version"))
#: RFC 3986's ``query``, without the semicolon, which some servers take for a second kind of ``&``.
_QUERY_ITEM = re.compile(rb"[A-Za-z0-9._~!$'()*+,:@/?%=-]*")
_VERSION_SEGMENT = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")
#: Of a URL, all but what cannot stand there.
_URL_SAFE = "%/:@!$&'()*+,;=[]~"
_BREAKS = re.compile(rb"[\r\n\0]")
_ACCEPT_STREAM: Header = (b"accept", b"text/event-stream")
_ACCEPT_JSON: Header = (b"accept", b"application/json")
_TRANSLATED = (Operation.GENERATE, Operation.COUNT_TOKENS)
#: So many sets of headers are remembered, and how long each may be: clients may make up any.
_MAX_KNOWN = 64
_MAX_KNOWN_BYTES = 4096


class Call(Value, frozen=True):
    """A request to a vendor, without its body. Shown without its headers' values and its query.

    :param headers: names in lower case.
    """

    method: bytes
    url: bytes
    headers: tuple[Header, ...]

    def __repr__(self) -> str:
        names = b", ".join(name for name, _ in self.headers).decode("latin-1")
        target = self.url.partition(b"?")[0].decode("latin-1")
        return f"<Call {self.method.decode()} {target} ({names})>"


class Envelope(Protocol):
    """A request and its answer in a vendor's wrapping around the dialect.

    :ivar body: what the vendor is sent.
    :ivar losses: what it cannot be told.
    :ivar content_type: of a streamed answer once it is unwrapped; ``None``: the vendor's own.
    """

    body: bytes
    losses: tuple[Loss, ...]
    content_type: bytes | None

    def feed(self, data: bytes) -> bytes:
        """Bytes of a streamed answer, split anywhere; those of the dialect that are complete."""

    def end(self) -> bytes:
        """The rest of a streamed answer."""

    def whole(self, body: bytes) -> bytes:
        """A whole answer, in the dialect.

        :raises ampproxy.errors.UpstreamFault: it is no answer.
        """


class Provider:
    """A vendor, as one account reaches it.

    A vendor's file sets the class variables and, where its paths hold the model, overrides :meth:`_path`.

    :cvar PATHS: what it serves.
    :cvar BESIDE: likewise, at some hosts only: what models need that refuse its own.
    :cvar VERSION: the version segment of its paths, added unless ``base-url`` ends in one; may be empty.
    :cvar CREDENTIAL: the credential's header.
    :cvar SCHEME: what stands before the key there.
    :cvar DEFAULTS: headers that are sent unless the client, in the same dialect, sent them.
    :cvar LISTING: how it lists its models, if it does.
    :cvar VENDOR: whose calls beside the models it has (:mod:`ampproxy.routing.vendor_calls`); empty: none.
    :ivar name: what the ledger and the metrics keep the account by.
    """

    PATHS: ClassVar[Paths]
    BESIDE: ClassVar[Paths] = {}
    VERSION: ClassVar[str] = ""
    CREDENTIAL: ClassVar[bytes] = b"authorization"
    SCHEME: ClassVar[bytes] = b"Bearer "
    DEFAULTS: ClassVar[tuple[Header, ...]] = ()
    LISTING: ClassVar[Listing | None] = None
    VENDOR: ClassVar[str] = ""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.name = account_name(account)
        base, _, query = self._base_url().partition("#")[0].partition("?")
        self._base = _versioned(base.rstrip("/"), self.VERSION)
        self._query = quote(query, safe=_URL_SAFE + "?").encode()
        own_headers = tuple(
            (name.lower().encode("latin-1"), _one_line(value)) for name, value in account.headers
        )
        self._custom = frozenset(name for name, _ in own_headers)
        own = tuple(header for header in own_headers if not header[1].startswith(b"$"))
        #: What takes the value of a header of the client's: the vendor's name of it -> the client's.
        self._copied = {name: value[1:].lower() for name, value in own_headers if value.startswith(b"$")}
        key = _one_line(account.api_key.reveal())
        # A local server without a key gets no header, not an empty one.
        credential = (self._credential(key),) if key else ()
        fixed = ((b"content-type", b"application/json"), (b"user-agent", USER_AGENT), *credential)
        self._fixed = (*(header for header in fixed if header[0] not in self._custom), *own)
        self._forwarded = {
            dialect: tuple(sorted(names - self._custom - {self.CREDENTIAL}))
            for dialect, names in CLIENT_HEADERS.items()
        }
        self._anywhere = tuple(sorted(_COMMON - self._custom))
        #: (dialect, operation) of an endpoint -> the dialect in which it is asked here.
        self._spoken: dict[tuple[str, Operation], str] = {}
        self._defaults = tuple(header for header in self.DEFAULTS if header[0] not in self._custom)
        self._known: dict[_Asked, tuple[Header, ...]] = {}

    def _base_url(self) -> str:
        return self.account.base_url

    def _credential(self, key: bytes) -> Header:
        return self.CREDENTIAL, self.SCHEME + key

    def backend_dialect(self, endpoint: Endpoint) -> str:
        """The dialect in which the body must be said to serve ``endpoint``: the client's own where the
        vendor has that call, else the account's.

        :raises ampproxy.errors.GatewayFault: the vendor has no such call.
        """
        asked = endpoint.dialect, endpoint.operation
        spoken = self._spoken.get(asked) or self._backend_dialect(*asked)
        if spoken is not None:
            self._spoken[asked] = spoken
            return spoken
        name = endpoint.method or endpoint.operation.value
        raise GatewayFault.of(
            "not_implemented", f"{self.account.label} has no call for {name}; another account may have."
        )

    def compacts(self, endpoint: Endpoint) -> bool:
        """Whether the vendor has the call that compacts; else its model is asked for a summary."""
        return self._serves(endpoint.dialect, Operation.COMPACT)

    def call(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        stream: bool = False,
        query: bytes = b"",
        headers: ClientHeaders = _NONE,
        extra: Mapping[str, str] | None = None,
        spoken: str = "",
    ) -> Call:
        """The request that serves ``endpoint`` with the vendor's ``model``.

        :param stream: whether the answer is to be streamed.
        :param query: the client's query, as it came.
        :param headers: the client's headers, names in lower case.
        :param extra: what a rendered body needs beside itself.
        :param spoken: the dialect of the body; empty: the one that :meth:`speaks` gives.
        :raises ampproxy.errors.GatewayFault: the vendor has no such call.
        :raises ampproxy.errors.ClientFault: the model's name cannot stand in the vendor's path.
        """
        dialect = spoken or self.backend_dialect(endpoint)
        native = dialect == endpoint.dialect
        if endpoint.operation is Operation.COMPACT and not self.compacts(endpoint):
            endpoint = msgspec.structs.replace(endpoint, operation=Operation.GENERATE)
        url = self._base + self._path(endpoint, dialect, model, stream)
        items = _kept(query, CLIENT_QUERY.get(dialect)) if native and query else []
        if stream and not native and dialect == GEMINI:
            items.append(b"alt=sse")
        if self._query:
            items.insert(0, self._query)
        target = url.encode()
        if items:
            target += b"?" + b"&".join(items)
        return Call(b"POST", target, self._headers(dialect, native, stream, headers, extra))

    def vendor_call(
        self, call: VendorCall, method: bytes, *, query: bytes = b"", headers: Iterable[Header] = ()
    ) -> Call:
        """The request for what the vendor has beside its models, as the client made it.

        :param query: the client's query, as it came.
        :param headers: the client's headers, in any case.
        :raises ampproxy.errors.ExchangeError: there is no credential for it at the moment.
        """
        base = self._base.encode()
        if call.route.upload:
            origin, version = base.rstrip(b"/").rsplit(b"/", 1)
            base = origin + b"/upload/" + version + b"/"
        own = [self._query] if self._query else []
        target = b"?".join(filter(None, (base + call.tail, b"&".join(own + _without_keys(query)))))
        pairs = ((name.lower(), value) for name, value in headers if not _BREAKS.search(value))
        sent = [pair for pair in pairs if pair[0].startswith(_CALL_HEADERS) and pair[0] not in self._custom]
        given = {name for name, _ in sent} | self._custom
        fixed = [pair for pair in self._fixed if pair[0] != b"content-type" or pair[0] in self._custom]
        defaults = [pair for pair in self._defaults if pair[0] not in given]
        return Call(method, target, (*fixed, *sent, *defaults))

    def models_call(self, after: str = "") -> Call | None:
        """The request for the vendor's list of models, or for its next part; ``None``: it has none.

        :param after: what the part before it said.
        :raises ampproxy.errors.ExchangeError: there is no credential for it at the moment.
        """
        listing = self.LISTING
        if listing is None:
            return None
        items = [self._query.decode("ascii"), listing.query]
        if after:
            items.append(f"{listing.cursor}={quote(after, safe='')}")
        query = "&".join(item for item in items if item)
        url = f"{self._base}models" + (f"?{query}" if query else "")
        headers = self._headers(self.account.dialect, False, False, _NONE, None)
        kept = (header for header in headers if header[0] != b"content-type" or header[0] in self._custom)
        return Call(b"GET", url.encode(), tuple(kept))

    def models_page(self, body: bytes) -> Page:
        """The models that such a list names, as far as this account's calls can use them.

        :raises ValueError: the body is no list of models.
        """
        if self.LISTING is None:
            raise ValueError("it has no list of models")
        return self.LISTING.read(body)

    def packed(
        self, endpoint: Endpoint, model: str, body: bytes, *, stream: bool, query: bytes = b""
    ) -> Envelope | None:
        """What the vendor takes instead of a body in its dialect, and how its answers become such ones
        again; ``None``: the body as it is.

        :param body: in the dialect that :meth:`backend_dialect` gave.
        :param query: the client's query, as it came.
        :raises ampproxy.errors.ExchangeError: it cannot be said to this vendor.
        """
        return None

    def _backend_dialect(self, asked: str, operation: Operation) -> str | None:
        if self._serves(asked, operation):
            return asked
        own = self.account.dialect
        if operation is Operation.COMPACT:
            operation = Operation.GENERATE
        return own if operation in _TRANSLATED and self._serves(own, operation) else None

    def _serves(self, dialect: str, operation: Operation) -> bool:
        return (dialect, operation) in self.PATHS

    def _path(self, endpoint: Endpoint, dialect: str, model: str, stream: bool) -> str:
        asked = dialect, endpoint.operation
        return self.PATHS[asked] if asked in self.PATHS else self.BESIDE[asked]

    def _headers(
        self,
        dialect: str,
        native: bool,
        stream: bool,
        headers: ClientHeaders,
        extra: Mapping[str, str] | None,
    ) -> tuple[Header, ...]:
        names = self._forwarded[dialect] if native else self._anywhere
        shared = tuple([(name, value) for name in names if name in headers for value in headers[name]])
        if self._copied:
            return self._made(shared, stream, headers, extra)
        # Programs say the same again and again.
        asked = shared, stream, tuple(extra.items()) if extra else ()
        return self._known.get(asked) or self._remembered(asked)

    def _remembered(self, asked: _Asked) -> tuple[Header, ...]:
        shared, stream, extra = asked
        made = self._made(shared, stream, _NONE, dict(extra))
        if sum(len(value) for _, value in made) <= _MAX_KNOWN_BYTES:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[asked] = made
        return made

    def _made(
        self,
        shared: Iterable[Header],
        stream: bool,
        headers: ClientHeaders,
        extra: Mapping[str, str] | None,
    ) -> tuple[Header, ...]:
        """What is sent.

        :param shared: those of the client's headers that its vendor may hear.
        :param headers: all of them.
        """
        sent = [header for header in shared if not _BREAKS.search(header[1])]
        if self._copied:
            sent += self._from_client(headers)
        if extra:
            more = self._extra(extra)
            given = {name for name, _ in more}
            sent = [pair for pair in sent if pair[0] not in given] + [pair for pair in more if pair[1]]
        by_name = dict(sent)
        if b"accept" not in by_name and b"accept" not in self._custom:
            sent.append(_ACCEPT_STREAM if stream else _ACCEPT_JSON)
        for header in self._defaults:
            if header[0] not in by_name:
                sent.append(header)
        return (*self._fixed, *sent)

    def _from_client(self, headers: ClientHeaders) -> list[Header]:
        """The account's headers that take their values from the client, as far as it sent them."""
        found = ((name, headers.get(source, (b"",))[0]) for name, source in self._copied.items())
        return [(name, value) for name, value in found if value and not _BREAKS.search(value)]

    def _extra(self, extra: Mapping[str, str]) -> list[Header]:
        pairs = ((name.lower().encode(), value.encode()) for name, value in extra.items())
        return [pair for pair in pairs if pair[0] not in self._custom]


def _one_line(value: str) -> bytes:
    """A configured value as a header can have it."""
    return b" ".join(value.encode().splitlines())


def path_segment(text: str) -> str:
    """Text as one segment of a path: no slash, query, fragment or escape of it is left.

    :raises ampproxy.errors.ClientFault: status 400: a server that decodes the path before it reads it would
        be led to another one.
    """
    if misleading(text):
        raise ClientFault.of(
            "invalid_request",
            "The model's name becomes a part of the path of its vendor's URL, but contains an empty or "
            "a dot segment, a backslash, a semicolon or a control character, which would change that "
            "path.",
            param="model",
        )
    return quote(text, safe="", errors="replace")


def _versioned(base: str, version: str) -> str:
    """The base up to the slash before a path, its version segment added unless it has one."""
    last = base.rpartition("/")[2]
    quoted = quote(base, safe=_URL_SAFE)
    if not version or _VERSION_SEGMENT.fullmatch(last):
        return quoted + "/"
    return f"{quoted}/{version}/"


def _without_keys(query: bytes) -> list[bytes]:
    """The members of a client's query but for those that carry keys."""
    items = (item for item in query.split(b"&") if item and _QUERY_ITEM.fullmatch(item))
    return [item for item in items if unquote_to_bytes(item.partition(b"=")[0]) not in _QUERY_KEYS]


def _kept(query: bytes, names: frozenset[bytes] | None) -> list[bytes]:
    if not names:
        return []
    items = query.split(b"&")
    return [item for item in items if item.partition(b"=")[0] in names and _QUERY_ITEM.fullmatch(item)]
