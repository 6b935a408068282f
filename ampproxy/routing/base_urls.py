"""The commonest mistakes in a base URL, where what is meant is plain: they are served.

An SDK adds its paths to the base URL that its user wrote, who may have left out the version, written it
twice, ended in a slash, written the whole path, or kept what another gateway has before it.
"""

from __future__ import annotations

from ampproxy.wire.late import LatePattern

_VERSION = rb"v1(?:alpha|beta1|beta)?"
_FIRST = (
    rb"(?:chat|completions|messages|responses|embeddings|models|files|uploads|batches|images|audio|moderations"
    rb"|videos|conversations|vector_stores|containers|interactions|cachedContents|projects|publishers)"
)
#: Slashes between the parts of a base URL and a path, as joining the two may double them.
_SLASHES = LatePattern(
    rb"/{1,2}(?:(?:openai|anthropic|google|gemini)/{1,2})?(?:"
    + _VERSION
    + rb"/{1,2}){0,2}(?="
    + _FIRST
    + rb"(?:[/:]|\Z))"
)
#: What other gateways, Azure, and Google for OpenAI's SDKs, have before a path.
_PREFIX = LatePattern(
    rb"/(?:" + _VERSION + rb"/)?(?:openai(?:/deployments/([^/]+))?|anthropic|google|gemini)(?=/)"
)
#: Where a prefix stands, the first segments of such paths.
PREFIXES = frozenset((b"openai", b"anthropic", b"google", b"gemini"))
#: The SDKs of Anthropic and Google add a version to a base URL that ends in one already.
_TWO_VERSIONS = LatePattern(rb"/" + _VERSION + rb"(?=/" + _VERSION + rb"/)")
#: A base URL that is the whole path of a call, to which an SDK adds the path once more.
_TWICE = LatePattern(
    rb"(/chat/completions|/completions|/responses|/messages|/embeddings)(?:/" + _VERSION + rb")?\1"
)


def joined(path: bytes) -> bytes:
    """A path without doubled slashes between a base URL and the path of an SDK; any other path as it is.

    :param path: as the client sent it, without its query.
    """
    if b"//" not in path:
        return path
    match = _SLASHES.match(path)
    if match is None:
        return path
    return match[0].replace(b"//", b"/") + path[match.end() :]


def deployment(path: bytes) -> bytes:
    """The model that a path names as clients of Azure do, ``/openai/deployments/NAME/...``; empty: none."""
    prefix = _PREFIX.match(path)
    return b"" if prefix is None else prefix[1] or b""


def without_base(path: bytes) -> bytes:
    """The path that is meant, without what belongs to no path of a vendor's.

    :param path: in its canonical form, at the root.
    """
    prefix = _PREFIX.match(path)
    if prefix is not None:
        path = path[prefix.end() :]
    two = _TWO_VERSIONS.match(path)
    if two is not None and not _TWO_VERSIONS.match(path, two.end()):
        path = path[two.end() :]
    if len(path) > 1 and path.endswith(b"/"):
        path = path[:-1]
    twice = _TWICE.search(path)
    if twice is not None and twice.end() == len(path):
        path = path[: twice.start()] + twice[1]
    return path
