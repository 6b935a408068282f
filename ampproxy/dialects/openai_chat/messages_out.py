"""The messages of a conversation and the parts of their content: from turns to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from ampproxy.catalog.hosts import Host
from ampproxy.dialects.json import put
from ampproxy.dialects.openai_chat.profile import AUDIO_FORMATS, call_id
from ampproxy.dialects.openai_chat.thought_state import OPAQUE, WORDS, has_words, state_in
from ampproxy.dialects.openai_requests import url_of
from ampproxy.model.base import Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import Turn

Rendered: TypeAlias = dict[str, Any] | Json | None


def content_of(parts: Iterable[Part], *, plain: bool = False) -> str | list[Any]:
    """A content: a string where that is enough, else a list of parts. Empty texts are left out.

    :param plain: whether the server takes one string alone.
    """
    found = [wire for part in parts if (wire := _WRITERS[type(part)](part)) is not None]
    if not found:
        return ""
    if plain and (texts := _texts(found)):
        return "\n\n".join(texts)
    if len(found) == 1 and isinstance(found[0], dict) and found[0].keys() == {"type", "text"}:
        return str(found[0]["text"])
    return found


def _texts(parts: list[Any]) -> list[str]:
    """The texts of parts, if there is nothing else among them."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return texts if len(texts) == len(parts) else []


def finished(body: dict[str, Any], part: Any) -> dict[str, Any]:
    """The JSON of a part with its mark for the cache and what else its client wrote there."""
    put(body, {"cache_control": part.cache})
    body.update(part.extras)
    return body


def _text(part: Text) -> Rendered:
    if not part.text and part.cache is None:
        return None
    body = {"type": "text", "text": part.text}
    return finished(body, part) if part.extras or part.cache is not None else body


def _image(part: Image) -> Rendered:
    image = {"url": url_of(part.source)}
    put(image, {"detail": part.detail})
    return finished({"type": "image_url", "image_url": image}, part)


def _audio(part: Audio) -> Rendered:
    source = part.source
    assert isinstance(source, Inline)
    kind = AUDIO_FORMATS.get(source.media_type) or source.media_type.removeprefix("audio/")
    return {"type": "input_audio", "input_audio": {"data": source.data, "format": kind}, **part.extras}


def _document(part: Document) -> Rendered:
    source = part.source
    if isinstance(source, Inline):
        file = {"filename": part.name or _file_name(source.media_type), "file_data": url_of(source)}
    else:
        file = {"file_id": source.id if isinstance(source, FileId) else ""}
    return finished({"type": "file", "file": file}, part)


def _file_name(media_type: str) -> str:
    """A file needs a name; its ending shows the kind."""
    return f"document.{media_type.partition('/')[2].partition(';')[0] or 'pdf'}"


_WRITERS: Final[dict[type[Part], Callable[[Any], Rendered]]] = {
    Text: _text,
    Refusal: lambda part: {"type": "text", "text": part.text} if part.text else None,
    Image: _image,
    Audio: _audio,
    Document: _document,
    Opaque: lambda part: part.raw,
}


#: Where Gemini's proof of a call stands.
PROOFS: Final = "extra_content"


class MessageWriter:
    """Writes messages of turns that are fitted to the dialect.

    :param names: gives the tool names to send.
    :param host: what the server takes.
    :param thought: the member that takes the model's own thinking back; empty: there is none.
    """

    def __init__(self, names: Callable[[str], str], host: Host, thought: str) -> None:
        self._names = names
        self._host = host
        self._thought = thought

    def messages(self, system: Sequence[Text], turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """All of a request."""
        out: list[dict[str, Any]] = []
        if content := self._content(system, "system"):
            out.append({"role": "system", "content": content})
        for turn in turns:
            if turn.role == "assistant":
                out.append(self._assistant(turn))
            else:
                out += self._others(turn)
        # No messages at all are refused.
        return out or [{"role": "user", "content": ""}]

    def _content(self, parts: Sequence[Part], role: str) -> str | list[Any]:
        return content_of(parts, plain=role in self._host.plain)

    def _others(self, turn: Turn) -> Iterator[dict[str, Any]]:
        """The messages of a turn of the user's or the system's: the results of tools, and all else."""
        yield from (self._result(part) for part in turn.parts if isinstance(part, ToolResult))
        rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
        if rest or not turn.parts:
            yield {"role": turn.role, "content": self._content(rest, turn.role), **turn.extras}

    def _assistant(self, turn: Turn) -> dict[str, Any]:
        """Content and calls in one message; ``content`` is null only beside something else."""
        parts = turn.parts
        thought = "".join(part.text for part in parts if isinstance(part, Reasoning))
        refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
        calls = [self._call(part) for part in parts if isinstance(part, ToolCall)]
        audio = [
            part.source.id for part in parts if isinstance(part, Audio) and isinstance(part.source, FileId)
        ]
        apart = (Reasoning, Refusal, ToolCall, Audio)
        content = self._content([part for part in parts if not isinstance(part, apart)], "assistant")
        empty = None if calls or refusal or audio else ""
        body: dict[str, Any] = {"role": "assistant", "content": content or empty}
        state = state_in(parts, self._host.thought_state)
        member = WORDS if OPAQUE in state else self._thought
        if member and (thought or (calls and self._host.needs_thought)) and not has_words(state):
            body[member] = thought
        body.update(state)
        if refusal:
            body["refusal"] = refusal
        if audio:
            body["audio"] = {"id": audio[-1]}
        if calls:
            body["tool_calls"] = calls
        return {**body, **turn.extras}

    def _call(self, part: ToolCall) -> dict[str, Any]:
        name, id_ = self._names(part.name), call_id(part.id, self._host.call_ids)
        body: dict[str, Any]
        if part.freeform:
            body = {"id": id_, "type": "custom", "custom": {"name": name, "input": part.arguments}}
        else:
            function = {"name": name, "arguments": part.arguments or "{}"}
            body = {"id": id_, "type": "function", "function": function}
        if part.signature is not None:
            body[PROOFS] = {"google": {"thought_signature": part.signature.value}}
        return finished(body, part)

    def _result(self, part: ToolResult) -> dict[str, Any]:
        content = self._content(part.parts, "tool")
        id_ = call_id(part.call, self._host.call_ids)
        return finished({"role": "tool", "tool_call_id": id_, "content": content}, part)
