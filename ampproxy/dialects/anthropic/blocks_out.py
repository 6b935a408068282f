"""The parts of a request as content blocks of Messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ampproxy.dialects.json import put, raw_text
from ampproxy.dialects.proof import wrap_signature
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import (
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Source,
    Text,
    ToolCall,
    ToolResult,
)

Block = dict[str, Any]


class BlockWriter:
    """Writes the parts of one request, which are fitted to the dialect.

    :param names: gives the tool names to send; ``ids``: the calls' ids.
    """

    def __init__(self, names: Callable[[str], str], ids: Callable[[str], str]) -> None:
        self._names = names
        self._ids = ids

    def block(self, part: Part) -> Block | Json:
        """One part."""
        return _WRITERS[type(part)](self, part)

    def _text(self, part: Text) -> Block:
        return _marked({"type": "text", "text": part.text}, part)

    def _image(self, part: Image) -> Block:
        return _marked({"type": "image", "source": _source(part.source)}, part)

    def _document(self, part: Document) -> Block:
        source: Block = {"type": "text", "media_type": "text/plain", "data": part.text or ""}
        block: Block = {"type": "document", "source": source if part.source is None else _source(part.source)}
        put(block, {"title": part.name})
        return _marked(block, part)

    def _reasoning(self, part: Reasoning) -> Block:
        signature = part.signature or Signature(ANTHROPIC, "")
        if part.redacted:
            return {"type": "redacted_thinking", "data": wrap_signature(ANTHROPIC, signature)}
        return {"type": "thinking", "thinking": part.text, "signature": signature.value}

    def _call(self, part: ToolCall) -> Block:
        id_, name = self._ids(part.id), self._names(part.name)
        return _marked({"type": "tool_use", "id": id_, "name": name, "input": raw_text(part.arguments)}, part)

    def _result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._ids(part.call)}
        if content := [self.block(inner) for inner in part.parts]:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return _marked(block, part)


def _source(source: Source) -> Block:
    if isinstance(source, Inline):
        return {"type": "base64", "media_type": source.media_type, "data": source.data}
    if isinstance(source, Link):
        return {"type": "url", "url": source.url}
    return {"type": "file", "file_id": source.id}


def _marked(block: Block, part: Text | Image | Document | ToolCall | ToolResult) -> Block:
    if part.cache is not None:
        block["cache_control"] = part.cache
    block.update(part.extras)
    return block


_WRITERS: Final[dict[type, Callable[[BlockWriter, Any], Block | Json]]] = {
    Text: BlockWriter._text,
    Refusal: lambda self, part: self._text(Text(part.text)),
    Image: BlockWriter._image,
    Document: BlockWriter._document,
    Opaque: lambda self, part: part.raw,
    Reasoning: BlockWriter._reasoning,
    ToolCall: BlockWriter._call,
    ToolResult: BlockWriter._result,
}
