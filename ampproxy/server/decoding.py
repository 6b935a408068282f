"""Request bodies that come compressed."""

from __future__ import annotations

import zlib

from ampproxy.errors import ClientFault
from ampproxy.server.bodies import body_too_large
from ampproxy.server.site import GatewayRequest

_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}

#: So many codings a body may have, one upon the other: a client's, and those of a proxy that does it again.
MOST_CODINGS = 2


class _TooLarge(Exception):
    """A body inflates to more than is left."""


def decoded_body(request: GatewayRequest, limit: int) -> bytes:
    """The gathered body of a request, its ``Content-Encoding`` undone.

    :param limit: the most that it may inflate to, in bytes, all codings together.
    :raises GatewayFault: it is larger than what there is room for.
    :raises ClientFault: an encoding that is not known here or too many of them (415), a broken body (400),
        or a too large one (413).
    """
    body = request.body.take()  # type: ignore[union-attr]  # this resource gathers its bodies
    codings = request.requestHeaders.getRawHeaders(b"content-encoding")
    if not codings:
        return body
    names = [name.strip().lower() for value in codings for name in value.split(b",")]
    names = [name for name in names if name not in (b"identity", b"")]
    if len(names) > MOST_CODINGS:
        raise _too_many(len(names))
    left = limit
    for name in reversed(names):
        try:
            body = _decode(body, name, left)
        except _TooLarge:
            raise body_too_large(limit) from None
        left -= len(body)
    request.holds(len(body))
    # Whoever is handed this body gets it plain.
    request.requestHeaders.removeHeader(b"content-encoding")
    return body


def _decode(body: bytes, name: bytes, limit: int) -> bytes:
    if name == b"zstd":
        return _zstd(body, limit)
    window = _WINDOWS.get(name)
    if window is None:
        raise _unknown(name)
    inflate = zlib.decompressobj(window)
    try:
        out = inflate.decompress(body, limit + 1)
    except zlib.error as error:
        raise ClientFault.of("invalid_request", f"The {name.decode()} body is broken: {error}.") from None
    if len(out) > limit:
        raise _TooLarge
    if not inflate.eof:
        raise ClientFault.of("invalid_request", f"The {name.decode()} body is not whole.")
    return out


def _zstd(body: bytes, limit: int) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
    except ImportError:
        raise _unknown(b"zstd") from None
    decompress = zstd.ZstdDecompressor()
    try:
        out: bytes = decompress.decompress(body, limit + 1)
    except zstd.ZstdError as error:
        raise ClientFault.of("invalid_request", f"The zstd body is broken: {error}.") from None
    if len(out) > limit:
        raise _TooLarge
    if not decompress.eof:
        raise ClientFault.of("invalid_request", "The zstd body is not whole.")
    return out


def _too_many(count: int) -> Exception:
    return ClientFault.of(
        "invalid_request",
        f"The Content-Encoding names {count} codings, one upon the other; at most {MOST_CODINGS} are undone"
        " here: compress the body once.",
        status=415,
    )


def _unknown(name: bytes) -> Exception:
    known = "gzip, deflate or none (zstd with Python 3.14)"
    shown = name[:40].decode("ascii", "replace")
    return ClientFault.of(
        "invalid_request",
        f"The Content-Encoding {shown!r} is not understood here; send {known}.",
        status=415,
    )
