"""Parts that only another dialect has, told by their words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ampproxy.model.base import Json
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Opaque, Part, Text
from ampproxy.model.request import ChatRequest
from ampproxy.wire.json import BAD_JSON

#: Kinds with words that the conversation goes on from: summaries, documents found, what tools of the client's
#: vendor, or its own machine, did. Of those that are calls or results, the kind itself is told as well.
_READ: Final = frozenset(("compaction", "search_result"))
_DONE: Final = frozenset(
    f"{tool}_{what}"
    for tool in ("shell", "local_shell", "apply_patch", "mcp", "mcp_tool")
    for what in ("call", "call_output", "use", "result")
)
_NAMED: Final = ("title", "source", "name", "command", "commands", "arguments", "operation", "path", "action")
#: Members with words; what is a list or an object is looked into.
_WORDS: Final = frozenset(
    (*_NAMED, "text", "content", "summary", "input", "diff", "output", "stdout", "stderr", "error", "message")
)
_DEEPEST: Final = 8
_LOADS: Final = msgspec.json.Decoder()


def parts_to_text(request: ChatRequest, own: str, losses: Losses) -> ChatRequest:
    """Such parts as text, where they have words that the conversation goes on from.

    :param own: the dialect that the request goes out in.
    """
    if request.dialect == own:
        return request
    # Loops without calls: most requests have no such part, and all are looked at.
    for turn in request.turns:
        for part in turn.parts:
            if type(part) is Opaque:
                return _all_as_text(request, own, losses)
    return request


def _all_as_text(request: ChatRequest, own: str, losses: Losses) -> ChatRequest:
    turns = []
    for number, turn in enumerate(request.turns):
        parts = tuple(
            _text_of(part, own, f"turns[{number}].parts[{index}]", losses)
            for index, part in enumerate(turn.parts)
        )
        turns.append(msgspec.structs.replace(turn, parts=parts))
    return msgspec.structs.replace(request, turns=tuple(turns))


def _becomes_text(part: Part, own: str) -> bool:
    return isinstance(part, Opaque) and part.dialect != own and part.kind in _READ | _DONE


def _text_of(part: Part, own: str, path: str, losses: Losses) -> Part:
    if not isinstance(part, Opaque) or not _becomes_text(part, own):
        return part
    words = "\n".join(words_of(part.raw))
    if not words:
        return part
    losses("opaque", path, f"Only {part.dialect} has '{part.kind}': its words became text.")
    return Text(words if part.kind in _READ else f"[{part.kind}]\n{words}")


def words_of(raw: Json) -> Iterator[str]:
    """The words in a part's JSON text, in their order."""
    try:
        value = _LOADS.decode(raw)
    except BAD_JSON:
        return
    yield from _words(value, 0)


def _words(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield from [value] if value.strip() else []
    elif isinstance(value, list) and depth < _DEEPEST:
        for item in value:
            yield from _words(item, depth + 1)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, inner in value.items():
            if name in _WORDS:
                yield from _words(inner, depth + 1)
