"""What vendors' APIs have beside their models: files, batches, pictures, speech, what they store.

Such a call is not translated: it goes to an account of the vendor whose call it is. One table names them
all, a row for each path: to add a call, add its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES, Value
from ampproxy.routing.endpoints import WrongMethod

#: The vendors, as :class:`ampproxy.catalog.kinds.Kind` names them.
OPENAI, CLAUDE, GOOGLE = "openai", "anthropic", "google"


class VendorRoute(Value, frozen=True):
    """One path, and what holds for its calls.

    :param vendor: whose call it is.
    :param dialect: in which its errors are rendered.
    :param kind: how log and ledger name it.
    :param path: what stands behind the version; ``{}`` is an id.
    :param methods: those that it takes.
    :param runs: of these, those by which a model works, so that they cost what cannot be known in advance.
    :param stored: whether it shows, or deletes, what any client of the account stored: such calls have a
        class of routes of their own.
    :param upload: whether it lies below ``/upload``.
    :param thing: how the vendor refers to it elsewhere; each ``{}`` is one of the path's ids, in their order.
        Empty: the path has none.
    :param streams: methods whose bodies pass as they arrive, whatever their type.
    """

    vendor: str
    dialect: str
    kind: str
    path: str
    methods: tuple[bytes, ...]
    runs: tuple[bytes, ...] = ()
    stored: bool = False
    upload: bool = False
    thing: str = "{}"
    streams: tuple[bytes, ...] = ()


class VendorCall(Value, frozen=True):
    """A request for such a call.

    :param tail: what is asked behind the version, as the path had it.
    :param version: the version in the path, without slashes; empty: the path had none.
    :param thing: what the path names that an account keeps; empty: nothing.
    """

    route: VendorRoute
    tail: bytes
    version: bytes = b""
    thing: str = ""


def _rows(vendor: str, dialect: str, table: str, things: str = "{}") -> Iterable[VendorRoute]:
    """The rows of one vendor. In the table ``!`` marks a method by which a model works, ``>`` one whose body
    passes as it arrives, ``*`` a kind that is stored, ``^`` a path below ``/upload``.
    """
    for line in table.strip().splitlines():
        path, kind, *methods = line.split()
        names = tuple(name.rstrip("!>").encode() for name in methods)
        yield VendorRoute(
            vendor,
            dialect,
            kind.strip("*"),
            path.strip("^"),
            names,
            runs=tuple(name for name, text in zip(names, methods, strict=True) if "!" in text),
            stored=kind.startswith("*"),
            upload=path.startswith("^"),
            thing=things if "/{}" in path else "",
            streams=tuple(name for name, text in zip(names, methods, strict=True) if ">" in text),
        )


#: Source: the resources of openai 3.57.0.
_OPENAI = """
files                                   *files           GET POST>
files/{}                                *files           GET DELETE
files/{}/content                        *files           GET
uploads                                 *uploads         POST
uploads/{}/parts                        *uploads         POST>
uploads/{}/complete                     *uploads         POST
uploads/{}/cancel                       *uploads         POST
batches                                 *batches         GET POST!
batches/{}                              *batches         GET
batches/{}/cancel                       *batches         POST
vector_stores                           *vector_stores   GET POST
vector_stores/{}                        *vector_stores   GET POST DELETE
vector_stores/{}/search                 *vector_stores   POST
vector_stores/{}/files                  *vector_stores   GET POST
vector_stores/{}/files/{}               *vector_stores   GET POST DELETE
vector_stores/{}/files/{}/content       *vector_stores   GET
vector_stores/{}/file_batches           *vector_stores   POST
vector_stores/{}/file_batches/{}        *vector_stores   GET
vector_stores/{}/file_batches/{}/files  *vector_stores   GET
vector_stores/{}/file_batches/{}/cancel *vector_stores   POST
containers                              *containers      GET POST
containers/{}                           *containers      GET DELETE
containers/{}/files                     *containers      GET POST>
containers/{}/files/{}                  *containers      GET DELETE
containers/{}/files/{}/content          *containers      GET
images/generations                      images           POST!
images/edits                            images           POST!>
images/variations                       images           POST!>
audio/speech                            audio            POST!
audio/transcriptions                    audio            POST!>
audio/translations                      audio            POST!>
moderations                             moderations      POST!
videos                                  *videos          GET POST!>
videos/{}                               *videos          GET DELETE
videos/{}/content                       *videos          GET
videos/{}/remix                         *videos          POST!
"""
#: Ids of these are random, and no call lists them: whoever has one has been given it.
_RESPONSES = """
responses/{}                            responses        GET DELETE
responses/{}/cancel                     responses        POST
responses/{}/input_items                responses        GET
conversations                           conversations    POST
conversations/{}                        conversations    GET POST DELETE
conversations/{}/items                  conversations    GET POST
conversations/{}/items/{}               conversations    GET DELETE
"""
#: Source: the resources of anthropic 2.14.0.
_ANTHROPIC = """
messages/batches                        *batches         GET POST!
messages/batches/{}                     *batches         GET DELETE
messages/batches/{}/cancel              *batches         POST
messages/batches/{}/results             *batches         GET
files                                   *files           GET POST>
files/{}                                *files           GET DELETE
files/{}/content                        *files           GET
skills                                  *skills          GET POST>
skills/{}                               *skills          GET DELETE
skills/{}/versions                      *skills          GET POST>
skills/{}/versions/{}                   *skills          GET DELETE
"""
#: Source: google-genai 3.6.1, and https://ai.google.dev/api.
_FILES = """
^files                                  *files           POST> PUT>
files                                   *files           GET POST>
files:register                          *files           POST
files/{}:download                       *files           GET
files/{}                                *files           GET DELETE
"""
_CACHES = """
cachedContents                          *cachedContents  GET POST!
cachedContents/{}                       *cachedContents  GET PATCH DELETE
"""
_BATCHES = """
batches                                 *batches         GET
batches/{}:cancel                       *batches         POST
batches/{}:delete                       *batches         POST
batches/{}                              *batches         GET DELETE
"""
#: What a method of a model began that takes long, as a video does.
_OPERATIONS = """
models/{}/operations/{}                 operations       GET
models/{}/operations/{}:cancel          operations       POST
"""
_INTERACTIONS = """
interactions                            interactions     POST!
interactions/{}                         interactions     GET DELETE
interactions/{}/cancel                  interactions     POST
"""

ROUTES: tuple[VendorRoute, ...] = (
    *_rows(OPENAI, CHAT, _OPENAI),
    *_rows(OPENAI, RESPONSES, _RESPONSES),
    *_rows(CLAUDE, ANTHROPIC, _ANTHROPIC),
    *_rows(GOOGLE, GEMINI, _FILES, "files/{}"),
    *_rows(GOOGLE, GEMINI, _CACHES, "cachedContents/{}"),
    *_rows(GOOGLE, GEMINI, _BATCHES, "batches/{}"),
    *_rows(GOOGLE, GEMINI, _OPERATIONS, "models/{}/operations/{}"),
    *_rows(GOOGLE, GEMINI, _INTERACTIONS, "interactions/{}"),
)


@cache
def _compiled(path: str) -> re.Pattern[bytes]:
    """What a path matches: compiled when it is first asked for, as there are many."""
    return re.compile(re.escape(path).replace(r"\{\}", "([^/:]{1,512})").encode() + rb"/?")


#: By vendor and first segment, so that few patterns are tried.
_FOUND: dict[tuple[str, bytes], list[VendorRoute]] = {}
for _route in ROUTES:
    _first = _route.path.partition("/")[0].partition(":")[0].encode()
    _FOUND.setdefault((_route.vendor, _first), []).append(_route)

#: The first segments of paths that an OpenAI SDK asks at a base URL without a version.
BARE_CALLS = frozenset(first for vendor, first in _FOUND if vendor == OPENAI)
_PATH = re.compile(rb"/(?:(upload)/)?(?:(v1|v1beta|v1beta1|v1alpha)/)?(([^/:]+).*)", re.DOTALL)


def parse_vendor_call(
    method: bytes, path: bytes, *, anthropic: bool = False, google: bool = False
) -> VendorCall | None:
    """Read what a request asks of a vendor beside its models.

    :param path: without its query, in its canonical form, at the root.
    :param anthropic: whether an ``anthropic-version`` header came along: some paths are of several vendors.
    :param google: likewise an ``x-goog-api-key`` header.
    :return: ``None`` for a path of no such call.
    :raises WrongMethod: the path is of one, but not with this method.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    above, version, tail, first = match.groups()
    vendor = _vendor(version, anthropic=anthropic, google=google or above is not None, first=first)
    allowed: list[bytes] = []
    dialect = ""
    for route in _FOUND.get((vendor, first), ()):
        found = _compiled(route.path).fullmatch(tail)
        if found is None or route.upload != (above == b"upload"):
            continue
        if method in route.methods or (method == b"HEAD" and b"GET" in route.methods):
            return VendorCall(route, tail.rstrip(b"/"), version or b"", _filled(route.thing, found.groups()))
        allowed += route.methods
        dialect = route.dialect
    if allowed:
        raise WrongMethod(method, b", ".join(dict.fromkeys(allowed)), dialect)
    return None


def _filled(thing: str, ids: Iterable[bytes]) -> str:
    # No id has braces: they are escaped in a path.
    for id_ in ids:
        thing = thing.replace("{}", id_.decode("ascii", "replace"), 1)
    return thing


def _vendor(version: bytes | None, *, anthropic: bool, google: bool, first: bytes) -> str:
    """Whose path it is, as far as it and the client's headers show it."""
    if google or version not in (None, b"v1"):
        return GOOGLE
    if anthropic or first == b"messages":
        return CLAUDE
    return OPENAI if (OPENAI, first) in _FOUND else GOOGLE
