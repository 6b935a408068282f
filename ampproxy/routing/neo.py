"""What Amp's cloud may ask for: the paths, and the names of models as it sends them."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ampproxy.model.base import ANTHROPIC, CHAT, RESPONSES
from ampproxy.routing.endpoints import Endpoint, Operation

#: The formats of connections. Amp appends these to the base URL, which the user may have given with ``/v1``
#: or without.
_BODIES = {
    b"messages": Endpoint(ANTHROPIC, Operation.GENERATE, neo=True),
    b"messages/count_tokens": Endpoint(ANTHROPIC, Operation.COUNT_TOKENS, neo=True),
    b"chat/completions": Endpoint(CHAT, Operation.GENERATE, neo=True),
    b"responses": Endpoint(RESPONSES, Operation.GENERATE, neo=True),
}
_STEM = re.compile(rb"/(?:v1/){0,2}")
_READ = (b"GET", b"HEAD")


def neo_endpoint(method: bytes, path: bytes, *, anthropic: bool = False) -> Endpoint | None:
    """What a request of Amp's cloud asks for; ``None``: nothing that it may.

    :param path: without its query, in its canonical form (:func:`ampproxy.routing.paths.canonical_path`).
    :param anthropic: whether an ``anthropic-version`` header came along: then models are listed in
        Anthropic's format.
    """
    stem = _STEM.match(path)
    tail = path[stem.end() :] if stem else b""
    found = _BODIES.get(tail)
    if found is not None:
        return found if method == b"POST" else None
    first, _, name = tail.partition(b"/")
    if first != b"models" or method not in _READ:
        return None
    dialect = ANTHROPIC if anthropic else CHAT
    if not name:
        return None if tail != b"models" else Endpoint(dialect, Operation.LIST_MODELS, neo=True)
    model = (unquote_to_bytes(name) if b"%" in name else name).decode("utf-8", "replace")
    return Endpoint(dialect, Operation.GET_MODEL, model, neo=True)


def names_of(asked: str) -> tuple[str, ...]:
    """The names under which a model of Amp's cloud may be known here, the first that is there counts: as it
    came, then without the provider's word (``anthropic/claude-opus-5-5``; of several slashes the first).

    A plugin's agent can have any word of its own before the slash, so none is asked for in particular.
    """
    _, slash, rest = asked.partition("/")
    return (asked, rest) if slash and rest else (asked,)
