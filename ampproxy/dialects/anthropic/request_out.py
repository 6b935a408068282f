"""A request as Messages has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ampproxy.adapt.names import ToolNameMap
from ampproxy.adapt.passes import adapt
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import MEMBER, without_member
from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.anthropic.request_in import read_thinking
from ampproxy.dialects.base import Rendered, is_harmless
from ampproxy.dialects.json import NULL, encode, loads, members, put, raw_text
from ampproxy.dialects.proof import wrap_signature
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.loss import Losses
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
from ampproxy.model.request import ChatRequest, Tool

Block = dict[str, Any]


class BlockWriter(msgspec.Struct):
    """Writes the parts of one request, which are fitted to the dialect.

    :param names: gives the tool names to send; ``ids``: the calls' ids.
    """

    _names: Callable[[str], str]
    _ids: Callable[[str], str]

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


#: Extras that are written with something else.
_WRITTEN: Final = frozenset((MEMBER, "output_config", "betas"))
#: Members of a body that a counting request may have.
_COUNTED: Final = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
)
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def render_request(asked: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target``. Never raises."""
    losses = Losses()
    request, names, wrapped = adapt(without_stale_member(asked, target), PROFILE, target, losses, is_harmless)
    writer = BlockWriter(names, ToolNameMap(*PROFILE.name))
    body: dict[str, Any] = {"model": target.model, "max_tokens": request.sampling.max_tokens}
    if request.system:
        body["system"] = [writer.block(text) for text in request.system]
    body["messages"] = [
        {"role": turn.role, "content": [writer.block(part) for part in turn.parts], **turn.extras}
        for turn in request.turns
    ]
    tools = [_tool(tool, names(tool.name)) for tool in request.tools]
    put(body, {"tools": [*tools, *(hosted.raw for hosted in request.hosted)] or None})
    put(body, {"tool_choice": _choice(request, names), "thinking": _thinking(request)})
    put(body, {name: getattr(request.sampling, name) for name in ("temperature", "top_p", "top_k")})
    put(body, {"stop_sequences": request.sampling.stop or None})
    if request.stream:
        body["stream"] = True
    put(body, {"output_config": _output_config(request) or None})
    user = {} if request.user is None else {"user_id": request.user}
    put(body, {"metadata": {**user, **request.metadata} or None, "service_tier": request.service_tier})
    if request.dialect == ANTHROPIC:
        body |= {name: raw for name, raw in request.extras.items() if name not in _WRITTEN}
    return Rendered(encode(body), losses.all(), names.changed, _headers(asked), wrapped)


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.dialect == ANTHROPIC and (rest := request.extras.get("output_config")) is not None:
        config |= members(rest)
    if request.thinking is not None:
        put(config, {"effort": request.thinking.level})
    if request.output is not None:
        config["format"] = {"type": "json_schema", "schema": request.output.schema}
    return config


def _headers(asked: ChatRequest) -> dict[str, str]:
    wished = loads(asked.extras.get("betas", b"[]")) if asked.dialect == ANTHROPIC else []
    own = [beta for beta in wished if isinstance(beta, str)] if isinstance(wished, list) else []
    # What tools of other vendors' need here.
    likes = [PROFILE.hosted.get(one.kind) for one in asked.hosted if one.dialect != ANTHROPIC]
    wanted = dict.fromkeys([*own, *(like.beta for like in likes if like is not None and like.beta)])
    return {"anthropic-beta": ",".join(wanted)} if wanted else {}


def for_counting(body: bytes, model: str) -> bytes:
    """The counting request of a body that :func:`render_request` made."""
    return encode({name: raw for name, raw in members(body).items() if name in _COUNTED})


def _tool(tool: Tool, name: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name}
    put(body, {"description": tool.description or None, "input_schema": tool.schema})
    put(body, {"strict": tool.strict, "cache_control": tool.cache})
    return {**body, **tool.extras}


def _choice(request: ChatRequest, names: Callable[[str], str]) -> dict[str, Any] | None:
    choice, single = request.choice, request.parallel is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if single else None
    body: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        body["name"] = names(choice.name or "")
    if choice.mode != "none" and request.parallel is not None and (single or request.dialect == ANTHROPIC):
        body["disable_parallel_tool_use"] = single
    return body


def _thinking(request: ChatRequest) -> Json | dict[str, Any] | None:
    raw, wish = request.extras.get(MEMBER), request.thinking
    if raw is not None:
        return None if raw == NULL else raw
    if wish is None:
        return None
    if wish.mode == "off":
        return {"type": "disabled"}
    if wish.mode == "budget":
        member: dict[str, Any] = {"type": "enabled", "budget_tokens": wish.budget}
        # Models that take a budget show their thinking unless they are told not to.
        return member if wish.show is not False else {**member, "display": "omitted"}
    member = {"type": "adaptive"}
    put(member, {"display": None if wish.show is None else "summarized" if wish.show else "omitted"})
    return member


def without_stale_member(request: ChatRequest, target: Target) -> ChatRequest:
    """The request without its client's own ``thinking`` member (``null`` for an effort alone), unless that is
    still what is wished, and of a kind that the model takes.
    """
    raw, wish = request.extras.get(MEMBER), request.thinking
    if request.dialect != ANTHROPIC or raw is None:
        return request
    try:
        same = wish is not None and read_thinking(raw, wish.level) == wish
    except ClientFault:
        same = False
    if same and _fits(loads(raw), target):
        return request
    return without_member(request)


def _fits(value: Any, target: Target) -> bool:
    """Whether a model takes a ``thinking`` member of this dialect; one without a description takes any."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "disabled":
        return target.can_disable
    if kind == "between_tools":
        return target.between_tools or target.thinking == "unknown"
    if kind == "enabled":
        return target.thinking != "level"
    return target.thinking != "budget"
