"""How many tokens a request has, roughly, for accounts whose vendor cannot be asked."""

from __future__ import annotations

from collections.abc import Iterable

from ampproxy.model.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest

#: UTF-8 bytes to a token: English text and code come to 3.5 to 4.5 with the vendors' tokenizers, and
#: an estimate that is a little high makes an agent compact its thread in time.
BYTES_PER_TOKEN = 3.5
#: What the framing of a turn, and of a tool's declaration, costs beside its words.
PER_TURN = 4
PER_TOOL = 12
#: A picture of a common size (Anthropic: width x height / 750; OpenAI: 765 for a square megapixel).
PER_IMAGE = 1500
#: A page of a PDF, reckoned at 50 KB of file, costs its text and its picture.
PER_PAGE = 2500
PAGE_BYTES = 50_000
#: Sound: about 32 tokens a second, 16 KB of compressed file.
AUDIO_BYTES_PER_TOKEN = 500


def estimate_tokens(request: ChatRequest) -> int:
    """The tokens of a request's input, give or take a fifth for text."""
    words = sum(_size(part.text) for part in request.system)
    count = PER_TURN * len(request.turns)
    for turn in request.turns:
        more_words, more_tokens = _parts(turn.parts)
        words += more_words
        count += more_tokens
    for tool in request.tools:
        count += PER_TOOL
        words += _size(tool.name) + _size(tool.description or "") + len(tool.schema or b"")
    if request.output is not None and request.output.schema is not None:
        words += len(request.output.schema)
    return max(1, count + round(words / BYTES_PER_TOKEN))


def _parts(parts: Iterable[Part]) -> tuple[int, int]:
    """Bytes of text, and tokens of everything else."""
    words = count = 0
    for part in parts:
        if isinstance(part, (Text, Reasoning)):
            words += _size(part.text)
        elif isinstance(part, ToolCall):
            words += _size(part.name) + _size(part.arguments)
            count += PER_TURN
        elif isinstance(part, ToolResult):
            more_words, more_tokens = _parts(part.parts)
            words += more_words
            count += more_tokens + PER_TURN
        elif isinstance(part, Image):
            count += PER_IMAGE
        elif isinstance(part, Document):
            words += _size(part.text or "")
            count += _pages(part) * PER_PAGE
        elif isinstance(part, Audio):
            size = len(part.source.data) * 3 // 4 if isinstance(part.source, Inline) else 0
            count += size // AUDIO_BYTES_PER_TOKEN
        elif isinstance(part, Opaque):
            words += len(part.raw)
    return words, count


def _pages(document: Document) -> int:
    if document.text is not None or document.source is None:
        return 0
    if not isinstance(document.source, Inline):
        return 1
    return 1 + len(document.source.data) * 3 // 4 // PAGE_BYTES


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
