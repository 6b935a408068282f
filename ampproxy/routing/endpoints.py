"""What a request asks for, told from its method and path alone.

Two families of paths lead to a model: those that Amp's clients use, below ``/api/provider/NAME``, and
those that any SDK uses, at the root. The provider's NAME chooses nothing but the format of a list of
models; the account follows from the model.
"""

from __future__ import annotations

import enum
import re
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES, Value
from ampproxy.model.events import WireError
from ampproxy.routing.base_urls import deployment, without_base


class Operation(enum.Enum):
    """What is to be done. ``COMPACT``: a summary that stands for a conversation of Responses. ``OTHER``: a
    Gemini ``:method`` that is none of ours.
    """

    # Each is there once; the enum's own hash is a call in Python, for every look into a table.
    __hash__ = object.__hash__

    GENERATE = "generate"
    COUNT_TOKENS = "count_tokens"
    COMPACT = "compact"
    EMBED = "embed"
    LIST_MODELS = "list_models"
    GET_MODEL = "get_model"
    OTHER = "other"


class Endpoint(Value, frozen=True):
    """A path that we serve.

    :param dialect: what the client speaks (see :mod:`ampproxy.model.base`).
    :param model: the model named in the path, decoded, thinking suffix included. A body that has a place for
        one then has this one.
    :param method: Gemini's method: ``generateContent``.
    :param stream: whether the path asks for a stream; ``None`` where only the body says it.
    :param provider: the alias below ``/api/provider/``, decoded.
    :param amp: whether it is one of Amp's paths, where mappings and the Amp upstream apply.
    :param neo: whether Amp's cloud asks: mappings apply, and the Amp upstream never does.
    """

    dialect: str
    operation: Operation
    model: str | None = None
    method: str | None = None
    stream: bool | None = None
    provider: str | None = None
    amp: bool = False
    neo: bool = False


class WrongMethod(ClientFault):
    """The path exists, the HTTP method does not: 405.

    :ivar allow: the value of the ``Allow`` header.
    :ivar dialect: the dialect to say it in.
    """

    def __init__(self, method: bytes, allow: bytes, dialect: str) -> None:
        message = f"{method.decode('ascii', 'backslashreplace')} is not allowed here; use {allow.decode()}."
        super().__init__(WireError("invalid_request", message, 405, "method_not_allowed"))
        self.allow = allow
        self.dialect = dialect


AMP_PREFIX = b"/api/provider/"
_READ = (b"GET", b"HEAD")


def _endpoint(
    dialect: str, operation: Operation, *, provider: str | None = None, amp: bool = False
) -> Endpoint:
    """One whose body names the model; a compaction is never streamed."""
    stream = False if operation is Operation.COMPACT else None
    return Endpoint(dialect, operation, None, None, stream, provider, amp)


_BODIES: dict[bytes, tuple[str, Operation]] = {
    b"chat/completions": (CHAT, Operation.GENERATE),
    b"completions": (COMPLETIONS, Operation.GENERATE),
    b"embeddings": (CHAT, Operation.EMBED),
    b"messages": (ANTHROPIC, Operation.GENERATE),
    b"messages/count_tokens": (ANTHROPIC, Operation.COUNT_TOKENS),
    b"responses": (RESPONSES, Operation.GENERATE),
    b"responses/input_tokens": (RESPONSES, Operation.COUNT_TOKENS),
    b"responses/compact": (RESPONSES, Operation.COMPACT),
}
#: Groq's and Kimi's clients leave the ``/v1`` out.
_AMP_BODIES = {version + tail: row for tail, row in _BODIES.items() for version in (b"v1/", b"")}
#: At the root, as SDKs ask. OpenAI's, given a base URL without ``/v1``, leaves it out.
_ROOT_BODIES = {stem + tail: _endpoint(*row) for tail, row in _BODIES.items() for stem in (b"/v1/", b"/")} | {
    b"/backend-api/codex/responses": Endpoint(RESPONSES, Operation.GENERATE),
    b"/backend-api/codex/responses/compact": _endpoint(RESPONSES, Operation.COMPACT),
}

#: A method of Gemini -> the operation, and whether it streams.
_GEMINI: dict[str, tuple[Operation, bool]] = {
    "generateContent": (Operation.GENERATE, False),
    "streamGenerateContent": (Operation.GENERATE, True),
    "countTokens": (Operation.COUNT_TOKENS, False),
    "embedContent": (Operation.EMBED, False),
    "batchEmbedContents": (Operation.EMBED, False),
}
#: Vertex has its models below a publisher, which may be below a project and its location.
_MODELS = re.compile(
    rb"(?:(v1beta1|v1beta|v1alpha|v1)/)?((?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?models(?:/(.+))?",
    re.DOTALL,
)
#: How Google's paths begin where the base URL has no version.
_UNVERSIONED = (b"/models/", b"/projects/", b"/publishers/google/")
#: Where Codex looks for all that its vendor's backend has.
_CODEX = b"/backend-api/codex"
_CODEX_MODELS = _CODEX + b"/models"
#: The list's format on Amp's paths, by lower-case provider.
_LIST_DIALECTS = {"anthropic": ANTHROPIC, "google": GEMINI}


def parse_endpoint(
    method: bytes, path: bytes, *, anthropic: bool = False, google: bool = False, codex: bool = False
) -> Endpoint | None:
    """Tell what a request asks for.

    :param path: without its query, in its canonical form (:func:`ampproxy.routing.paths.canonical_path`).
    :param anthropic: whether an ``anthropic-version`` header came along: then a list of models at the
        root is in Anthropic's format.
    :param google: likewise an ``x-goog-api-key`` header, for Google's format: its SDK asks below ``/v1``.
    :param codex: likewise a ``client_version`` in the query, by which Codex asks.
    :return: ``None`` for a path that is not ours (below ``/api/provider/``: the Amp upstream's).
    :raises WrongMethod: the path is ours, but not with this method.
    """
    listed = ANTHROPIC if anthropic else GEMINI if google else RESPONSES if codex else CHAT
    endpoint = _ROOT_BODIES.get(path)
    if endpoint is not None:
        if method != b"POST":
            raise WrongMethod(method, b"POST", endpoint.dialect)
        return endpoint
    if not path.startswith(AMP_PREFIX):
        meant = without_base(path)
        if meant != path:
            found = parse_endpoint(method, meant, anthropic=anthropic, google=google, codex=codex)
            named = deployment(path)
            return replace(found, model=_text(named)) if found is not None and named else found
        if path.startswith(_CODEX_MODELS):
            return _models_endpoint(method, b"v1" + path[len(_CODEX) :], None, RESPONSES)
        if path == b"/models" or path.startswith(_UNVERSIONED):
            path = b"/v1" + path
        return _models_endpoint(method, path[1:], None, listed)
    name, _, tail = path[len(AMP_PREFIX) :].partition(b"/")
    if not name:
        return None
    provider = _text(name)
    row = _AMP_BODIES.get(tail)
    if row is None:
        return _models_endpoint(method, tail, provider, listed)
    if method != b"POST":
        raise WrongMethod(method, b"POST", row[0])
    return _endpoint(*row, provider=provider, amp=True)


def _models_endpoint(method: bytes, tail: bytes, provider: str | None, listed: str) -> Endpoint | None:
    match = _MODELS.fullmatch(tail)
    if match is None:
        return None
    version, publisher, name = match.groups()
    amp = provider is not None
    if version is None and not amp:
        return None
    if publisher or version in (b"v1beta", b"v1beta1", b"v1alpha"):
        listed = GEMINI
    elif provider is not None:
        listed = _LIST_DIALECTS.get(provider.lower(), CHAT)
    if name is None:
        if method not in _READ:
            raise WrongMethod(method, b"GET, HEAD", listed)
        return Endpoint(listed, Operation.LIST_MODELS, None, None, None, provider, amp)
    return _model_endpoint(method, _text(name), listed, provider, amp)


def _model_endpoint(
    method: bytes, name: str, dialect: str, provider: str | None, amp: bool
) -> Endpoint | None:
    if dialect == GEMINI and "/operations/" in name:
        # None of a model's: what its method began (see ampproxy.routing.vendor_calls).
        return None
    # Decoded first, cut at the last colon: ids hold colons (llama3:8b), and some clients encode this one.
    model, _, verb = name.rpartition(":")
    known = _GEMINI.get(verb) if model else None
    if method == b"POST" and verb and model:
        operation, stream = known or (Operation.OTHER, False)
        return Endpoint(GEMINI, operation, model, verb, stream, provider, amp)
    if known:
        raise WrongMethod(method, b"POST", GEMINI)
    if method not in _READ:
        raise WrongMethod(method, b"GET, HEAD", dialect)
    return Endpoint(dialect, Operation.GET_MODEL, name, None, None, provider, amp)


def normal_path(path: bytes) -> bytes:
    """A path as a lenient server may read it: percent-encodings undone (twice over, too), backslashes as
    slashes, dot segments, empty ones and ``;parameters`` taken out (RFC 3986, section 5.2.4), lower case.
    """
    for _ in range(3):
        decoded = unquote_to_bytes(path)
        if decoded == path:
            break
        path = decoded
    kept: list[bytes] = []
    for segment in path.replace(b"\\", b"/").lower().split(b"/"):
        segment = segment.partition(b";")[0].strip()
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept)


def disguises_models(path: bytes) -> bool:
    """Whether a path that is none of the model routes could be read as one of them by a lenient server."""
    normal = normal_path(path)
    if not (normal + b"/").startswith(AMP_PREFIX):
        return False
    if not (path + b"/").startswith(AMP_PREFIX):
        return True
    if normal == path.lower().rstrip(b"/"):
        return False
    for method in (b"POST", b"GET"):
        try:
            if parse_endpoint(method, normal) is not None:
                return True
        except WrongMethod:
            return True
    return False


def _text(raw: bytes) -> str:
    """A piece of a path; what is not UTF-8 becomes U+FFFD, which no model's name holds."""
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8", "replace")
