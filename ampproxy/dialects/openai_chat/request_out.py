"""A request for an account: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ampproxy.adapt.passes import adapt
from ampproxy.adapt.profile import alike
from ampproxy.adapt.target import Target, thought_member
from ampproxy.catalog.hosts import Host
from ampproxy.dialects.base import Rendered
from ampproxy.dialects.json import encode, loads, members, put
from ampproxy.dialects.openai import SHARED
from ampproxy.dialects.openai_chat.messages_out import MessageWriter
from ampproxy.dialects.openai_chat.profile import is_openai_own, profile_of
from ampproxy.dialects.unsupported import is_harmless
from ampproxy.model.base import CHAT, RESPONSES, Json
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, HostedTool, OutputFormat, Sampling, Thinking, Tool, ToolChoice


def write_tools(request: ChatRequest, names: Callable[[str], str], body: dict[str, Any]) -> None:
    """Put ``tools``, ``tool_choice`` and ``parallel_tool_calls`` into a request's body.

    :param names: gives the tool names to send.
    """
    tools: list[Any] = [_tool(tool, names(tool.name)) for tool in request.tools]
    for hosted in request.hosted:
        _write_hosted(hosted, tools, body)
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


def _write_hosted(hosted: HostedTool, tools: list[Any], body: dict[str, Any]) -> None:
    options = members(hosted.raw).get("web_search_options")
    if options is None:
        tools.append(hosted.raw)
    else:
        body["web_search_options"] = options


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


#: Member -> field of ``Sampling``.
_SAMPLING: Final = {
    **alike("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias"),
    **alike("logprobs", "top_logprobs", "seed"),
    "n": "candidates",
}
#: Extras that are notes to ourselves or are written elsewhere.
_NOT_MEMBERS: Final = frozenset({"functions", "stream_options"})


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target`` (:meth:`~ampproxy.dialects.base.Dialect.render_request`)."""
    losses = Losses()
    own = request.dialect == CHAT
    if own and not target.host.known:
        # Its client knows a server that is not described better.
        target = msgspec.structs.replace(target, host=Host(output_limit=target.host.output_limit))
    host = target.host
    profile = profile_of(target, request.dialect)
    request, names, wrapped = adapt(request, profile, target, losses, is_harmless)
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
        if host.takes("stream_options"):
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
