"""Request bodies that come compressed."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

from ampproxy.errors import ClientFault
from ampproxy.server.bodies import body_too_large
from ampproxy.server.site import GatewayRequest

#: The largest window of a zstd body is 8 MiB, which every decoder should have (RFC 8878, section
#: 3.1.1.1.2): a frame names its own, and its memory is taken for its first byte. Its logarithm.
_MAX_WINDOW_LOG = 23
#: Each costs a copy of what is left.
_MAX_FRAMES = 64
_GZIP = b"\x1f\x8b"
#: Names of no coding; clients write their charset there.
_PLAIN = (b"identity", b"", b"utf-8")
_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}

#: So many codings a body may have, one upon the other: a client's, and those of a proxy that does it again.
MAX_CODINGS = 2


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
    codings = request.requestHeaders.by_name.get(b"content-encoding")
    if not codings:
        return body
    names = [name.strip().lower() for value in codings for name in value.split(b",")]
    names = [name for name in names if name not in _PLAIN]
    if len(names) > MAX_CODINGS:
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
    if name == b"deflate" and not _is_zlib(body):
        # Without zlib's header, as many clients understand the word.
        window = -window
    return _inflated(body, name, limit, lambda: zlib.decompressobj(window), zlib.error)


def _inflated(
    body: bytes, name: bytes, limit: int, decoder: Callable[[], Any], broken: type[Exception]
) -> bytes:
    """One member of gzip (RFC 1952, 2.2), or frame of zstd (RFC 8878, 3.1), after another: a client that
    writes as it goes may end several.
    """
    out = bytearray()
    for _ in range(_MAX_FRAMES):
        one = decoder()
        try:
            out += one.decompress(body, limit + 1 - len(out))
        except broken as error:
            raise ClientFault.of("invalid_request", f"The {name.decode()} body is broken: {error}.") from None
        if len(out) > limit:
            raise _TooLarge
        if not one.eof:
            raise ClientFault.of("invalid_request", f"The {name.decode()} body is incomplete.")
        body = one.unused_data
        if not body or (name != b"zstd" and not (name.endswith(b"gzip") and body.startswith(_GZIP))):
            return bytes(out)
    raise ClientFault.of("invalid_request", f"The {name.decode()} body has more than {_MAX_FRAMES} frames.")


def _is_zlib(body: bytes) -> bool:
    """Whether a header of zlib's is there (RFC 1950, 2.2)."""
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0


def _zstd(body: bytes, limit: int) -> bytes:
    # Not at the top: hardly any client compresses its requests.
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    options = {int(zstd.DecompressionParameter.window_log_max): _MAX_WINDOW_LOG}
    return _inflated(body, b"zstd", limit, lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError)


def _too_many(count: int) -> Exception:
    return ClientFault.of(
        "invalid_request",
        f"The Content-Encoding names {count} nested codings; at most {MAX_CODINGS} are supported:"
        " compress the body once.",
        status=415,
    )


def _unknown(name: bytes) -> Exception:
    known = "gzip, deflate, zstd or none"
    shown = name[:40].decode("ascii", "replace")
    return ClientFault.of(
        "invalid_request",
        f"The Content-Encoding {shown!r} is not supported; send {known}.",
        status=415,
    )
