"""Paths in the one form in which they are decided on, sent, and logged.

Servers differ in how they read a path. The URL standard (https://url.spec.whatwg.org/#path-state) takes dot
segments out, written ``%2e``, too, and reads a backslash as a slash; others decode first, decode twice, merge
slashes, or cut a segment at its semicolon (RFC 3986, section 3.3). What could be two paths to two of them is
refused; all else is written anew (RFC 3986, section 6.2.2) before anybody looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from ampproxy.errors import ClientFault
from ampproxy.model.events import WireError
from ampproxy.wire.late import LatePattern

_UNRESERVED = rb"A-Za-z0-9._~-"
#: Matches a path that is already in that form: no escape, no empty or dot segment but an empty one at the
#: end, nothing to be quoted.
is_canonical = LatePattern(rb"(?:/(?!\.{0,2}(?:[/:]|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?").fullmatch
_ESCAPE = LatePattern(rb"%([0-9A-Fa-f]{2})")
#: What stays as it is of bytes that a path may hold (RFC 3986, section 3.3), escapes included.
_PATH_SAFE = "/!$&'()*+,=:@~%"
#: Likewise of a query (section 3.4), and what browsers leave there.
_QUERY_SAFE = "!$&'()*+,;=:@/?~%[]|\\^`{}"
#: Of a model's name. A plus sign is a space to some.
_NAME_SAFE = "/@,()~!*'$=&"
#: Up to a model's name. Such a name may hold slashes, and clients encode them.
_MODEL_STEM = LatePattern(
    rb"/(?:api/provider/[^/]+/)?(?:v1(?:alpha|beta1|beta)?/)?"
    rb"(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/)?models/(?=.)",
    re.DOTALL,
)
#: Where Amp's clients may encode a slash: in the names of branches and files at GitHub.
_ENCODES_SLASHES = b"/api/internal/github-proxy/"
#: So often an escape may be an escape's escape. Each round costs one pass, and no client needs a third.
_ROUNDS = 4


#: What Bedrock has before a model's name: a region, a vendor.
_VENDOR = LatePattern(r"(?<![a-z.-])(?:[a-z-]+\.)+(?=[a-z])")


class PathRefused(ClientFault):
    """Servers would read this path in different ways: 400."""


def canonical_path(path: bytes) -> bytes:
    """The path as it is decided on and sent.

    Escapes of unreserved characters are undone, all others have capitals; what may not stand in a path is
    escaped; a model's name is decoded and escaped anew. A path that does not begin with a slash comes back as
    it is: it is none.

    :param path: as the client sent it, without its query.
    :raises PathRefused: it has an empty segment before its end, a dot segment, a backslash, a semicolon, a
        control character, or a slash in a segment where none belongs, written in any way; or it is not UTF-8.
    """
    if is_canonical(path) or not path.startswith(b"/"):
        return path
    normal = quote_from_bytes(_ESCAPE.sub(_normal_escape, _STRAY.sub(b"%25", path)), safe=_PATH_SAFE)
    whole = normal.encode("ascii")
    stem = _MODEL_STEM.match(whole)
    if stem is None:
        _check(whole[1:].removesuffix(b"/"), slashes=whole.startswith(_ENCODES_SLASHES))
        return whole
    head, name = whole[: stem.end()], whole[stem.end() :]
    _check(head[1:-1], slashes=False)
    _check(name, slashes=True)
    model, colon, method = unquote_to_bytes(name).rpartition(b":")
    if colon:
        _check(model, slashes=True)
    # The name's own colons are escaped, so that Google's method is behind the only one.
    return head + _quote_name(model).encode("ascii") + colon + _quote_name(method).encode("ascii")


def canonical_query(query: bytes) -> bytes:
    """The query as it is sent: as it came, but for bytes that no URL holds, and what would end it."""
    return quote_from_bytes(query, safe=_QUERY_SAFE).encode("ascii")


def misleading(name: str) -> bool:
    """Whether a model's name would be another one, or another path, to who finds it in a URL."""
    if _PLAIN_NAME.fullmatch(name):
        return False
    try:
        _check(name.encode("utf-8"), slashes=True)
    except (PathRefused, UnicodeEncodeError):
        return True
    return False


#: Names as nearly all are, in which nothing needs a closer look.
_PLAIN_NAME = LatePattern(r"[A-Za-z0-9][A-Za-z0-9._:@-]*")


def readings(text: str) -> Iterator[str]:
    """A text, and what it is to who decodes it once more, until nothing is left to decode."""
    for _ in range(_ROUNDS):
        yield text
        decoded = unquote_to_bytes(text.encode("utf-8", "replace")).decode("utf-8", "replace")
        if decoded == text:
            return
        text = decoded


def _check(path: bytes, *, slashes: bool) -> None:
    """Look at segments in each way of reading them.

    :param slashes: whether a segment may hold slashes, encoded once.
    :raises PathRefused: one of these is not what it looks like.
    """
    try:
        first = path.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("bytes that are not UTF-8") from None
    for number, text in enumerate(readings(first)):
        if "\ufffd" in text:
            raise _refused("bytes that are not UTF-8")
        found = _FORBIDDEN.search(text)
        if found is not None:
            raise _refused(_WORDS.get(found[0], "a control character"))
        if _MISLEADING.search(text):
            raise _refused("an empty or a dot segment")
        if text.count("/") != first.count("/") and not (slashes and number == 1):
            raise _refused("an encoded slash")
        if number == _ROUNDS - 1 and _ESCAPE.search(text.encode()):
            raise _refused("escapes nested more than twice")
        if number == 1:
            first = text


_FORBIDDEN = LatePattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\;]")
_WORDS = {"\\": "a backslash", ";": "a semicolon"}
#: An empty or a dot segment. Some take blanks off before they look.
_MISLEADING = LatePattern(r"(?:\A|/)\s*(?:\.\.?\s*)?(?=/|\Z)")


def _refused(what: str) -> PathRefused:
    message = (
        f"The path, or the model's name in it, has {what}, plain or percent-encoded: servers interpret"
        " that differently, so it is not served. Write the path without it."
    )
    return PathRefused(WireError("invalid_request", message, 400, "ambiguous_path"))


#: A percent sign that begins no escape.
_STRAY = LatePattern(rb"%(?![0-9A-Fa-f]{2})")
_PLAIN = LatePattern(rb"[%b]" % _UNRESERVED)


def _normal_escape(match: re.Match[bytes]) -> bytes:
    byte = bytes.fromhex(match[1].decode("ascii"))
    return byte if _PLAIN.match(byte) else match[0].upper()


_quote_name = partial(quote, safe=_NAME_SAFE)


def without_vendor(name: str) -> str:
    """A model's name without the region and vendor that Bedrock has before it; lower case."""
    return _VENDOR.sub("", name, count=1)
