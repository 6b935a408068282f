"""A request in the words of Responses: the body of ``POST /v1/responses``.

A user's and the system's words are ``input_text``, the assistant's ``output_text`` or ``refusal``; calls,
their outputs and reasoning are items of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from ampproxy.adapt.names import ToolNameMap
from ampproxy.adapt.passes import adapt
from ampproxy.adapt.profile import alike
from ampproxy.dialects.base import Rendered, Target, is_harmless
from ampproxy.dialects.json import encode, loads, put
from ampproxy.dialects.openai import SHARED
from ampproxy.dialects.openai_requests import AUDIO_TYPES, url_of
from ampproxy.dialects.openai_responses.profile import PROFILE
from ampproxy.dialects.openai_responses.request_in import INCLUDE_LOGPROBS, INCLUDE_PROOFS
from ampproxy.dialects.openai_responses.tools import render_choice, render_tools
from ampproxy.model.base import CHAT, RESPONSES, Json
from ampproxy.model.loss import Losses
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
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, OutputFormat, Turn
from ampproxy.wire.json import members, remove_members

Item: TypeAlias = "dict[str, Any] | Json"

_OWN_MESSAGE: Final = ("id", "phase")


class ItemWriter(msgspec.Struct):
    """Writes the items of turns that are fitted to the dialect.

    :param names: gives the tool names to send; ``ids``: the calls' ids.
    """

    _names: Callable[[str], str]
    _ids: Callable[[str], str]

    def items(self, turns: Iterable[Turn]) -> list[Item]:
        """All items, in order."""
        return [item for turn in turns for item in self._items(turn)]

    def _items(self, turn: Turn) -> Iterator[Item]:
        """Items as they stand, and what is between them as messages."""
        content: list[Part] = []
        for part in turn.parts:
            item = self._item(part, turn)
            if item is None:
                content.append(part)
                continue
            yield from self._message(turn, content)
            content = []
            yield item
        yield from self._message(turn, content)

    def _item(self, part: Part, turn: Turn) -> Item | None:
        """What is an item of its own."""
        if isinstance(part, Opaque):
            return part.raw if turn.role == "assistant" or not _is_content(part) else None
        write = _WRITERS.get(type(part))
        return None if write is None else write(self, part)

    def _message(self, turn: Turn, parts: Sequence[Part]) -> Iterator[Item]:
        if not parts:
            return
        if turn.role != "assistant":
            yield {"type": "message", "role": turn.role, "content": [_input_part(part) for part in parts]}
            return
        extras = parts[0].extras if isinstance(parts[0], Text) else {}
        message: dict[str, Any] = {"type": "message", "role": "assistant"}
        message |= {name: extras[name] for name in _OWN_MESSAGE if name in extras}
        message["content"] = [_output_part(part) for part in parts]
        if "id" in message:
            message["status"] = "completed"
        yield message

    def _call(self, part: ToolCall) -> Item:
        item: dict[str, Any] = {"type": "custom_tool_call" if part.freeform else "function_call"}
        put(item, {"id": part.item})
        item |= {"call_id": self._ids(part.id), "name": self._names(part.name)}
        if part.freeform:
            item["input"] = part.arguments
        else:
            item["arguments"] = part.arguments or "{}"
        return {**item, **part.extras}

    def _result(self, part: ToolResult) -> Item:
        kind = "custom_tool_call_output" if part.freeform else "function_call_output"
        return {"type": kind, "call_id": self._ids(part.call), "output": _output(part), **part.extras}

    def _reasoning(self, part: Reasoning) -> Item:
        texts = part.sections or ((part.text,) if part.text else ())
        item: dict[str, Any] = {"type": "reasoning"}
        put(item, {"id": part.signature.item if part.signature else None})
        item["summary"] = [{"type": "summary_text", "text": text} for text in texts]
        put(item, {"encrypted_content": (part.signature.value or None) if part.signature else None})
        return item


# The type of a part depends on the role: a user's and the system's text is ``input_text``, the assistant's
# ``output_text``; the wrong one for the role is refused (``ResponseInputMessageContentList`` and
# ``ResponseOutputMessage`` in the SDK's types).

_SUFFIXES = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/html": "html",
    "text/csv": "csv",
    "application/json": "json",
}


def _input_part(part: Part) -> Item:
    """A part of a user's or the system's message, or of a tool's output."""
    return _INPUT_WRITERS[type(part)](part)


def _write_text(part: Text) -> dict[str, Any]:
    own = {name: value for name, value in part.extras.items() if name not in ("id", "phase", "status")}
    return {"type": "input_text", "text": part.text, **own}


def _write_image(part: Image) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "input_image", "detail": part.detail or "auto"}
    file = part.source.id if isinstance(part.source, FileId) else None
    put(body, {"image_url": url_of(part.source), "file_id": file})
    return {**body, **part.extras}


def _write_document(part: Document) -> dict[str, Any]:
    source = part.source
    if source is None:
        return {"type": "input_text", "text": part.text or ""}
    body: dict[str, Any] = {"type": "input_file"}
    if isinstance(source, Inline):
        # The service wants a name with a file's bytes.
        name = part.name or f"document.{_SUFFIXES.get(source.media_type, 'pdf')}"
        body |= {"filename": name, "file_data": url_of(source)}
    elif isinstance(source, Link):
        body["file_url"] = source.url
        put(body, {"filename": part.name})
    else:
        body["file_id"] = source.id
    return {**body, **part.extras}


def _write_audio(part: Audio) -> dict[str, Any]:
    assert isinstance(part.source, Inline)
    formats = {media: name for name, media in AUDIO_TYPES.items()}
    kind = formats[part.source.media_type]
    return {"type": "input_audio", "input_audio": {"data": part.source.data, "format": kind}}


_INPUT_WRITERS: Final[dict[type, Callable[[Any], Item]]] = {
    Text: _write_text,
    Image: _write_image,
    Document: _write_document,
    Audio: _write_audio,
    Refusal: lambda part: {"type": "input_text", "text": part.text},
    Opaque: lambda part: part.raw,
}


def _output_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    assert isinstance(part, Text)
    rest = {name: value for name, value in part.extras.items() if name not in _OWN_MESSAGE}
    return {"type": "output_text", "text": part.text, **rest}


def _output(part: ToolResult) -> str | list[Item]:
    if len(part.parts) == 1 and isinstance(part.parts[0], Text) and not part.parts[0].extras:
        return part.parts[0].text
    return [_input_part(inner) for inner in part.parts] or ""


def _is_content(part: Opaque) -> bool:
    """Whether an opaque part stood in a message's content and not among the items."""
    return part.kind.startswith("input_") or part.kind.endswith("_text")


_WRITERS: Final[dict[type, Callable[[ItemWriter, Any], Item]]] = {
    ToolCall: ItemWriter._call,
    ToolResult: ItemWriter._result,
    Reasoning: ItemWriter._reasoning,
}


_ANY_OBJECT = {"type": "json_schema", "name": "output", "schema": {"type": "object"}, "strict": False}
#: Member -> field of ``Sampling``.
_SAMPLING = {"max_output_tokens": "max_tokens", **alike("temperature", "top_p", "top_logprobs")}
#: The members of a counting request.
COUNTED = frozenset(
    (
        *("conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id"),
        *("reasoning", "text", "tool_choice", "tools", "truncation"),
    )
)
#: No character of a call's id is refused.
_ANY_ID = r"(?!)"


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target``. Never raises for a request that any dialect parsed."""
    losses = Losses()
    native = request.dialect == RESPONSES
    thinks = request.thinking is None or target.thinking != "none"
    request, names, _ = adapt(request, PROFILE, target, losses, is_harmless)
    body: dict[str, Any] = {"model": target.model}
    ids = str if native else ToolNameMap(_ANY_ID, PROFILE.call_id)
    _render_conversation(body, request, ItemWriter(names, ids).items(request.turns))
    put(body, {"tools": render_tools(request, names) or None, "tool_choice": render_choice(request, names)})
    put(body, {"parallel_tool_calls": request.parallel})
    put(body, {member: getattr(request.sampling, field) for member, field in _SAMPLING.items()})
    if thinks:
        put(body, {"reasoning": _thinking(request) or None})
    put(body, {"text": _text(request, body) or None})
    _render_rest(body, request)
    if native:
        # What only this dialect knows, as it came; what is written already stands.
        merged = ("reasoning", "text", "include")
        extras = {name: value for name, value in request.extras.items() if name not in merged}
        body |= {name: extras[name] for name in extras if name == "tool_choice" or name not in body}
    return Rendered(encode(body), losses.all(), names.changed)


def _render_conversation(body: dict[str, Any], request: ChatRequest, items: list[Item]) -> None:
    """The system's texts and the items. One text goes into ``instructions``; several keep their bounds
    in a system message.
    """
    texts = [text.text for text in request.system if text.text]
    if len(texts) == 1:
        body["instructions"] = texts[0]
    elif texts:
        content = [{"type": "input_text", "text": text} for text in texts]
        items = [{"type": "message", "role": "system", "content": content}, *items]
    body["input"] = items


def _own(request: ChatRequest, name: str) -> dict[str, Any]:
    """What else of a member is this dialect's own."""
    found = loads(request.extras.get(name, b"null")) if request.dialect == RESPONSES else None
    return found if isinstance(found, dict) else {}


def _thinking(request: ChatRequest) -> dict[str, Any]:
    """``reasoning``."""
    thinking, wish = request.thinking, _own(request, "reasoning")
    if thinking is not None:
        put(wish, {"effort": "none" if thinking.mode == "off" else thinking.level})
        put(wish, {"summary": thinking.summary or ("auto" if thinking.show else None)})
    return wish


def _text(request: ChatRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Structured output and verbosity, which both stand in ``text``."""
    text = _own(request, "text")
    if request.dialect == CHAT and "verbosity" in request.extras:
        text["verbosity"] = request.extras["verbosity"]
    if request.output is not None:
        text["format"] = _format(request.output, body, native=request.dialect == RESPONSES)
    return text


def _format(output: OutputFormat, body: dict[str, Any], *, native: bool) -> dict[str, Any]:
    schema = output.schema
    if output.kind == "json" or schema is None:
        # json_object is taken only where the prompt has the word; a schema of any object means the same.
        mentions_json = native or b"json" in encode([body["input"], body.get("instructions")]).lower()
        return {"type": "json_object"} if mentions_json else dict(_ANY_OBJECT)
    format_body: dict[str, Any] = {"type": "json_schema", "name": output.name or "output", "schema": schema}
    put(format_body, {"description": output.description, "strict": output.strict})
    return format_body


def _render_rest(body: dict[str, Any], request: ChatRequest) -> None:
    native = request.dialect == RESPONSES
    if request.stream:
        body["stream"] = True
    if include := _include(body, request):
        body["include"] = include
    if not native:
        body["store"] = request.dialect == CHAT and bytes(request.extras.get("store", b"")) == b"true"
    if request.dialect == CHAT:
        put(body, {name: request.extras.get(name) for name in SHARED})
    put(
        body,
        {
            "safety_identifier": request.user,
            "metadata": request.metadata or None,
            "prompt_cache_key": request.cache_key,
            "service_tier": request.service_tier,
        },
    )


def _include(body: dict[str, Any], request: ChatRequest) -> list[str]:
    native = request.dialect == RESPONSES
    include = list(loads(request.extras.get("include", b"[]"), []) or []) if native else []
    effort = (body.get("reasoning") or {}).get("effort")
    thinks = "reasoning" in body and effort != "none"
    if request.include_signatures and (native or thinks):
        include.append(INCLUDE_PROOFS)
    if request.sampling.logprobs or (request.sampling.top_logprobs and not native):
        include.append(INCLUDE_LOGPROBS)
    return include


def for_counting(body: bytes, model: str) -> bytes:
    """What ``POST /responses/input_tokens`` takes of a rendered request."""
    return remove_members(body, frozenset((members(body) or {}).keys() - COUNTED))
