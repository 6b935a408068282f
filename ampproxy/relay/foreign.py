"""What a client is given of a part that only its vendor's dialect has: the words in it.

Results of tools that a vendor runs itself (search, shell, code, MCP) and summaries of compacted conversations
have words that a person wants to read; calls of such tools, proofs and lists of tools have not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ampproxy.model.base import Json
from ampproxy.model.parts import Opaque
from ampproxy.wire.values import loads

#: Members with words, in the order in which they are given; others are looked into if they are lists or
#: objects.
_WORDS: Final = (
    "title",
    "url",
    "uri",
    "text",
    "stdout",
    "stderr",
    "logs",
    "output",
    "content",
    "summary",
    "explanation",
    "error_message",
    "message",
    "code",
)
#: What is no result: calls, and what a tool is given.
_NO_WORDS: Final = frozenset(
    ("input", "arguments", "action", "query", "queries", "tools", "input_schema", "data")
)
#: Parts that are calls, by the ends of their kinds; their code is no output.
_CALLS: Final = (
    "_use",
    "tool_call",
    "toolCall",
    "_search_call",
    "shell_call",
    "_patch_call",
    "computer_call",
)
_MAX_CHARS: Final = 16 * 1024
_DEEPEST: Final = 6


def words_of(part: Opaque) -> str:
    """The words of a part, each value on a line of its own; empty: it has none to read."""
    if part.kind.endswith(_CALLS):
        return ""
    words = "\n".join(dict.fromkeys(_words(loads(part.raw), 0)))
    return words if len(words) <= _MAX_CHARS else words[:_MAX_CHARS] + "\n..."


def _words(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for entry in value:
            yield from _words(entry, depth + 1)
    elif isinstance(value, dict):
        for name in sorted(value, key=_place):
            found = value[name]
            if name in _WORDS and isinstance(found, str) and found.strip():
                yield found.strip("\n")
            elif name not in _NO_WORDS and isinstance(found, list | dict):
                yield from _words(found, depth + 1)


def _place(name: str) -> int:
    return _WORDS.index(name) if name in _WORDS else len(_WORDS)


def explanation(extras: dict[str, Json]) -> str:
    """Why a vendor refused, in its own words: Anthropic's ``stop_details``, Gemini's ``finishMessage``."""
    details = loads(extras.get("stop_details", b"null"))
    words = details.get("explanation") if isinstance(details, dict) else None
    words = words or loads(extras.get("finishMessage", b"null"))
    return words if isinstance(words, str) else ""


def page_notes(citations: Json) -> list[dict[str, Any]]:
    """Anthropic's citations of pages in OpenAI's form, each page once.

    Where in the text they belong Anthropic does not say, for it cites a whole text.
    """
    found = loads(citations, [])
    notes: dict[str, dict[str, Any]] = {}
    for entry in found if isinstance(found, list) else []:
        url = (entry.get("url") or entry.get("source")) if isinstance(entry, dict) else None
        if not isinstance(url, str):
            continue
        title = str(entry.get("title") or url)
        notes[url] = {"type": "url_citation", "url": url, "title": title, "start_index": 0, "end_index": 0}
    return list(notes.values())
