"""The parts of a request, said as content blocks of Messages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from ampproxy.dialects.common import Losses, ToolNameMap, object_or_empty, raw_str
from ampproxy.dialects.freeform import wrap
from ampproxy.dialects.proof import seal
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Sealed,
    Source,
    Text,
    ToolCall,
    ToolResult,
)

Block = dict[str, Any]

#: Marks a block that is whole JSON already; its type is beside it.
RAW: Final = "\0raw"

_FOREIGN: Final = "Only the vendor that issued a proof of reasoning takes it back."
_NOT_HERE: Final = "Messages cannot express this in a turn of this role."
_PICTURES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PICTURE_TYPES: Final = "JPEG, PNG, GIF and WebP pictures"
#: Inline documents that are words, whatever they are called.
_WORDS: Final = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")


class BlockWriter:
    """Says parts; what cannot be said is a loss.

    :param own: the request came from this dialect: members that only it knows go along.
    """

    def __init__(self, names: ToolNameMap, ids: ToolNameMap, losses: Losses, *, own: bool) -> None:
        self._names = names
        self._ids = ids
        self._losses = losses
        self._own = own

    def blocks(self, part: Part, role: str, at: str) -> list[Block]:
        """The blocks of a part of a turn.

        :param at: where it stands in the request, for the losses.
        """
        return _WRITERS[type(part)](self, part, role, at)

    def _text(self, part: Text, role: str, at: str) -> list[Block]:
        self._foreign(part.sealed, at)
        return self.text(part, at)

    def text(self, part: Text, at: str) -> list[Block]:
        """A text block; none for an empty one, which the vendor refuses, as it does a blank one."""
        if not part.text or part.text.isspace():
            if part.text:
                self._losses("blank_text", at, "A text of blanks alone is refused.")
            return []
        return [self._marked({"type": "text", "text": part.text}, part.cache, part.extras, at)]

    def _refusal(self, part: Refusal, role: str, at: str) -> list[Block]:
        return self.text(Text(part.text), at)

    def _image(self, part: Image, role: str, at: str) -> list[Block]:
        self._foreign(part.sealed, at)
        if role == "assistant":
            self._losses("image", at, _NOT_HERE)
            return []
        if part.detail not in (None, "auto"):
            self._losses("detail", f"{at}.detail", "Messages has no hint for a picture's resolution.")
        if isinstance(part.source, Inline) and part.source.media_type not in _PICTURES and not self._own:
            self._losses("image", at, f"Messages takes {_PICTURE_TYPES}, not {part.source.media_type}.")
            return []
        source = self._source(part.source, at)
        if source is None:
            return []
        return [self._marked({"type": "image", "source": source}, part.cache, part.extras, at)]

    def _document(self, part: Document, role: str, at: str) -> list[Block]:
        if role == "assistant":
            self._losses("document", at, _NOT_HERE)
            return []
        source = self._document_source(part, at)
        if source is None:
            return []
        block: Block = {"type": "document", "source": source}
        if part.name is not None:
            block["title"] = part.name
        return [self._marked(block, part.cache, part.extras, at)]

    def _document_source(self, part: Document, at: str) -> Block | None:
        if part.source is None:
            return {"type": "text", "media_type": "text/plain", "data": part.text or ""}
        source = part.source
        if not isinstance(source, Inline) or source.media_type == "application/pdf":
            return self._source(source, at)
        words = _decoded(source) if source.media_type.startswith(_WORDS) else None
        if words is None and not self._own:
            self._losses("document", at, f"Messages takes PDF and text, not {source.media_type}.")
            return None
        if words is None or self._own:
            return self._source(source, at)
        return {"type": "text", "media_type": "text/plain", "data": words}

    def _source(self, source: Source, at: str) -> Block | None:
        if isinstance(source, Inline):
            return {"type": "base64", "media_type": source.media_type, "data": source.data}
        if isinstance(source, Link):
            if source.url.startswith(("https://", "http://")) or self._own:
                return {"type": "url", "url": source.url}
            self._losses("link", at, "Messages fetches http and https addresses only.")
            return None
        if isinstance(source, FileId) and source.vendor == ANTHROPIC:
            return {"type": "file", "file_id": source.id}
        self._losses("file", at, "A file that was uploaded to another vendor is out of reach.")
        return None

    def _audio(self, part: Audio, role: str, at: str) -> list[Block]:
        self._losses(
            "audio", at, "Anthropic does not accept audio; replaced by its transcript, if there is one."
        )
        return self.text(Text(part.transcript or ""), at)

    def _opaque(self, part: Opaque, role: str, at: str) -> list[Block]:
        if part.dialect == ANTHROPIC:
            return [{"type": part.kind, RAW: part.raw}]
        self._losses("opaque", at, f"Only {part.dialect} knows this part ({part.kind}).")
        return []

    def _reasoning(self, part: Reasoning, role: str, at: str) -> list[Block]:
        sealed = part.sealed
        if role != "assistant":
            self._losses("reasoning", at, _NOT_HERE)
            return []
        if sealed is None:
            self._losses("unsigned_thinking", at, "The vendor refuses thinking without its own proof.")
            return []
        if sealed.vendor != ANTHROPIC:
            self._foreign(sealed, at)
            return []
        if not (part.text or part.bare or self._own):
            self._losses(
                "unsigned_thinking", at, "The signature is present, but not the thinking that it signs."
            )
            return []
        if part.redacted:
            return [{"type": "redacted_thinking", "data": seal(ANTHROPIC, sealed)}]
        return [{"type": "thinking", "thinking": part.text, "signature": sealed.value}]

    def _call(self, part: ToolCall, role: str, at: str) -> list[Block]:
        self._foreign(part.sealed, at)
        if role != "assistant":
            self._losses("tool_call", at, _NOT_HERE)
            return []
        arguments = wrap(part.arguments) if part.freeform else part.arguments
        input_members = object_or_empty(arguments)
        if arguments.strip() and raw_str(input_members) != arguments:
            self._losses(
                "arguments", f"{at}.arguments", "Arguments that are no JSON object went under '_raw'."
            )
        block: Block = {
            "type": "tool_use",
            "id": self._ids(part.id),
            "name": self._names(part.name),
            "input": input_members,
        }
        return [self._marked(block, part.cache, part.extras, at)]

    def _result(self, part: ToolResult, role: str, at: str) -> list[Block]:
        content: list[Any] = []
        for number, inner in enumerate(part.parts):
            for block in self.blocks(inner, "user", f"{at}.parts[{number}]"):
                content.append(block)
        if not part.parts and part.structured is not None:
            content.append({"type": "text", "text": raw_str(part.structured)})
        result: Block = {"type": "tool_result", "tool_use_id": self._ids(part.call)}
        if content:
            result["content"] = content
        if part.is_error:
            result["is_error"] = True
        return [self._marked(result, part.cache, part.extras, at)]

    def _marked(self, block: Block, cache: Json | None, extras: dict[str, Json], at: str) -> Block:
        if cache is not None:
            block["cache_control"] = cache
        if self._own:
            block.update(extras)
        else:
            for name in extras:
                self._losses(
                    "extras", f"{at}.extras.{name}", "Only the client's own dialect knows this member."
                )
        return block

    def _foreign(self, sealed: Sealed | None, at: str) -> None:
        if sealed is not None:
            self._losses("foreign_proof", at, _FOREIGN)


def _decoded(source: Inline) -> str | None:
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


_WRITERS: Final[dict[type, Callable[[BlockWriter, Any, str, str], list[Block]]]] = {
    Text: BlockWriter._text,
    Refusal: BlockWriter._refusal,
    Image: BlockWriter._image,
    Document: BlockWriter._document,
    Audio: BlockWriter._audio,
    Opaque: BlockWriter._opaque,
    Reasoning: BlockWriter._reasoning,
    ToolCall: BlockWriter._call,
    ToolResult: BlockWriter._result,
}
