"""A request for an account: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from ampproxy.adapt.passes import adapt
from ampproxy.adapt.profile import alike
from ampproxy.adapt.target import Target, thought_member
from ampproxy.catalog.hosts import Host
from ampproxy.dialects.base import Rendered, is_harmless
from ampproxy.dialects.json import encode, loads, members, put
from ampproxy.dialects.openai import SHARED
from ampproxy.dialects.openai_chat.profile import AUDIO_FORMATS, call_id, is_openai_own, profile_of
from ampproxy.dialects.openai_chat.thought_state import OPAQUE, WORDS, beside_call, has_words, state_in
from ampproxy.dialects.openai_requests import url_of
from ampproxy.model.base import CHAT, RESPONSES, Json
from ampproxy.model.loss import Losses
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
from ampproxy.model.request import ChatRequest, OutputFormat, Sampling, Thinking, Tool, ToolChoice, Turn

#: A part as it is sent; ``None``: nothing is.
Wire: TypeAlias = dict[str, Any] | Json | None
#: Member -> field of ``Sampling``.
_SAMPLING: Final = {
    **alike("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias"),
    **alike("logprobs", "top_logprobs", "seed"),
    "n": "candidates",
}
#: Extras that are notes to ourselves or are written elsewhere.
_NOT_MEMBERS: Final = frozenset({"functions", "stream_options"})


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


def _text(part: Text) -> Wire:
    if not part.text and part.cache is None:
        return None
    body = {"type": "text", "text": part.text}
    return finished(body, part) if part.extras or part.cache is not None else body


def _image(part: Image) -> Wire:
    image = {"url": url_of(part.source)}
    put(image, {"detail": part.detail})
    return finished({"type": "image_url", "image_url": image}, part)


def _audio(part: Audio) -> Wire:
    source = part.source
    assert isinstance(source, Inline)
    kind = AUDIO_FORMATS.get(source.media_type) or source.media_type.removeprefix("audio/")
    return {"type": "input_audio", "input_audio": {"data": source.data, "format": kind}, **part.extras}


def _document(part: Document) -> Wire:
    source = part.source
    if isinstance(source, Inline):
        # A file needs a name; its ending shows the kind.
        ending = source.media_type.partition("/")[2].partition(";")[0] or "pdf"
        file = {"filename": part.name or f"document.{ending}", "file_data": url_of(source)}
    else:
        file = {"file_id": source.id if isinstance(source, FileId) else ""}
    return finished({"type": "file", "file": file}, part)


_WRITERS: Final[dict[type[Part], Callable[[Any], Wire]]] = {
    Text: _text,
    Refusal: lambda part: {"type": "text", "text": part.text} if part.text else None,
    Image: _image,
    Audio: _audio,
    Document: _document,
    Opaque: lambda part: part.raw,
}


class MessageWriter(msgspec.Struct):
    """Writes messages of turns that are fitted to the dialect.

    :param names: gives the tool names to send.
    :param host: what the server takes.
    :param thought: the member that takes the model's own thinking back; empty: there is none.
    """

    _names: Callable[[str], str]
    _host: Host
    _thought: str

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
        thoughts = [part for part in parts if isinstance(part, Reasoning)]
        thought = "".join([part.text for part in thoughts])
        refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
        calls = [self._call(part) for part in parts if isinstance(part, ToolCall)]
        sounds = [part.source for part in parts if isinstance(part, Audio)]
        audio = [source.id for source in sounds if isinstance(source, FileId)]
        apart = (Reasoning, Refusal, ToolCall, Audio)
        content = self._content([part for part in parts if not isinstance(part, apart)], "assistant")
        empty = None if calls or refusal or audio else ""
        body: dict[str, Any] = {"role": "assistant", "content": content or empty}
        state = state_in(parts, self._host.thought_state) if thoughts else {}
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
            body |= beside_call(part.signature.value)
        return finished(body, part)

    def _result(self, part: ToolResult) -> dict[str, Any]:
        content = self._content(part.parts, "tool")
        id_ = call_id(part.call, self._host.call_ids)
        return finished({"role": "tool", "tool_call_id": id_, "content": content}, part)


def write_tools(request: ChatRequest, names: Callable[[str], str], body: dict[str, Any]) -> None:
    """Put ``tools``, ``tool_choice`` and ``parallel_tool_calls`` into a request's body.

    :param names: gives the tool names to send.
    """
    tools: list[Any] = [_tool(tool, names(tool.name)) for tool in request.tools]
    for hosted in request.hosted:
        options = members(hosted.raw).get("web_search_options")
        if options is None:
            tools.append(hosted.raw)
        else:
            body["web_search_options"] = options
    if not tools:
        # Both members are refused without tools.
        return
    body["tools"] = tools
    if request.choice is not None:
        body["tool_choice"] = _choice(request.choice, request, names)
    put(body, {"parallel_tool_calls": request.parallel})


def _tool(tool: Tool, name: str) -> dict[str, Any]:
    kind = "custom" if tool.freeform else "function"
    function: dict[str, Any] = {"name": name}
    put(function, {"description": tool.description})
    if tool.freeform:
        put(function, {"format": None if tool.grammar is None else _nested_grammar(tool.grammar)})
    else:
        put(function, {"parameters": tool.schema, "strict": tool.strict})
    body: dict[str, Any] = {"type": kind, kind: function}
    put(body, {"cache_control": tool.cache})
    return {**body, **tool.extras}


def _choice(choice: ToolChoice, request: ChatRequest, names: Callable[[str], str]) -> Any:
    freeform = {tool.name for tool in request.tools if tool.freeform}

    def named(name: str) -> dict[str, Any]:
        kind = "custom" if name in freeform else "function"
        return {"type": kind, kind: {"name": names(name)}}

    if choice.mode == "named" and choice.name is not None:
        return named(choice.name)
    if choice.allowed:
        tools = [named(name) for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    return choice.mode


def _nested_grammar(grammar: Json) -> Any:
    """The vocabulary's (Responses') format of a custom tool as chat nests it."""
    value = loads(grammar)
    if not isinstance(value, dict) or value.get("type") != "grammar" or "grammar" in value:
        return grammar
    return {"type": "grammar", "grammar": {name: value[name] for name in value if name != "type"}}


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target`` (:meth:`~ampproxy.dialects.base.Dialect.render_request`)."""
    losses = Losses()
    own = request.dialect == CHAT
    if own and not target.host.known:
        # Its client knows a server that is not described better.
        target = replace(target, host=Host(output_limit=target.host.output_limit))
    host = target.host
    request, names, wrapped = adapt(request, profile_of(target, request.dialect), target, losses, is_harmless)
    body: dict[str, Any] = {"model": target.model}
    writer = MessageWriter(names, host, thought_member(target, own=own))
    body["messages"] = writer.messages(request.system, request.turns)
    write_tools(request, names, body)
    _write_sampling(request.sampling, target, body)
    _write_thinking(request.thinking, host, body)
    if request.output is not None:
        body["response_format"] = _format(request.output)
    _write_account(request, body)
    if own:
        body |= {name: raw for name, raw in request.extras.items() if name not in _NOT_MEMBERS}
    elif request.dialect == RESPONSES and is_openai_own(target):
        put(body, {name: request.extras.get(name) for name in SHARED})
        put(body, {"verbosity": (loads(request.extras.get("text", b"{}"), {}) or {}).get("verbosity")})
    if request.stream:
        body["stream"] = True
        if not (host.refuses or host.members is not None) or host.takes("stream_options"):
            more = loads(request.extras.get("stream_options", b"{}")) if own else None
            body["stream_options"] = {**(more or {}), "include_usage": True}
    for name in host.renames.keys() & body.keys():
        body[host.renames[name]] = body.pop(name)
    return Rendered(encode(body), losses.all(), names.changed, freeform=wrapped)


def _write_sampling(sampling: Sampling, target: Target, body: dict[str, Any]) -> None:
    put(body, {member: getattr(sampling, field) for member, field in _SAMPLING.items()})
    put(body, {"stop": sampling.stop or None})
    if sampling.max_tokens is not None:
        named = target.host.output_limit
        by_model = "max_completion_tokens" if is_openai_own(target) else "max_tokens"
        body[by_model if named == "by-model" else named] = sampling.max_tokens


def _write_thinking(thinking: Thinking | None, host: Host, body: dict[str, Any]) -> None:
    """The wish, which is in the form that the server takes."""
    if thinking is None:
        return
    off = thinking.mode == "off"
    if host.switch == "thinking":
        body["thinking"] = {"type": "disabled" if off else host.switch_on}
    elif host.switch == "enable_thinking":
        body["enable_thinking"] = not off
        if thinking.mode == "budget":
            body["thinking_budget"] = thinking.budget
    elif off:
        body["reasoning_effort"] = "none"
    if thinking.mode == "level":
        body["reasoning_effort"] = "default" if "default" in (host.efforts or ()) else thinking.level


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.kind == "json":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name or "response"}
    put(schema, {name: getattr(output, name) for name in ("description", "schema", "strict")})
    return {"type": "json_schema", "json_schema": schema}


def _write_account(request: ChatRequest, body: dict[str, Any]) -> None:
    """What concerns the account more than the answer."""
    user = request.user
    if user is not None and loads(request.extras.get("safety_identifier", b"")) == user:
        user = None
    put(
        body,
        {
            "user": user,
            "metadata": request.metadata or None,
            "service_tier": request.service_tier,
            "prompt_cache_key": request.cache_key,
            "modalities": request.modalities or None,
        },
    )
