"""A request for an account: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ampproxy.adapt.history import drop_remembered, system_first
from ampproxy.adapt.members import leave_out_refused
from ampproxy.adapt.parts import parts_to_text
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import forbid_with_tools, settle_level
from ampproxy.adapt.tools import choose_declared, fit_choice
from ampproxy.catalog.hosts import Host
from ampproxy.dialects.base import Rendered
from ampproxy.dialects.common import Losses, encode, loads, shorten
from ampproxy.dialects.openai import SHARED
from ampproxy.dialects.openai_chat.messages_out import MessageWriter
from ampproxy.dialects.openai_chat.rules import (
    METADATA_LIMITS,
    NAME_ILLEGAL,
    NAME_LIMIT,
    SERVICE_TIERS,
    STOP_LIMIT,
    USER_LIMIT,
    Rules,
    is_cautious,
)
from ampproxy.dialects.openai_chat.tools_out import ToolWriter
from ampproxy.dialects.unsupported import is_harmless, is_usual
from ampproxy.model.base import CHAT, RESPONSES, Json
from ampproxy.model.request import ChatRequest, OutputFormat, Sampling, Thinking

#: What models that think refuse (``Target.sampling`` is false): member -> field of ``Sampling``.
_DRAWING: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
}
_MAX_TEMPERATURE: Final = 2.0
#: The name of a schema whose dialect needs none.
_SCHEMA_NAME: Final = "response"
#: Extras that are notes to ourselves or are written elsewhere.
_NOT_MEMBERS: Final = frozenset({"functions", "stream_options"})


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Say a request to ``target`` (:meth:`~ampproxy.dialects.base.Dialect.render_request`)."""
    losses = Losses()
    if not is_cautious(request, target, CHAT):
        target = msgspec.structs.replace(target, host=Host(output_limit=target.host.output_limit))
    rules = Rules(request, target, CHAT)
    request = _fitted(request, target, losses, same=rules.same)
    tools = ToolWriter(rules, losses)
    body: dict[str, Any] = {"model": target.model}
    body["messages"] = MessageWriter(rules, losses).messages(request.system, request.turns)
    tools.write(request, body)
    request = settle_level(request, target, losses, trusted=rules.same)
    _write_sampling(request.sampling, target, rules, losses, body)
    _write_thinking(request.thinking, rules.host, body)
    if request.output is not None:
        body["response_format"] = _format(request.output)
    _write_account(request, rules, losses, body)
    _write_extras(request, rules, losses, body)
    if request.stream:
        body["stream"] = True
        if rules.host.takes("stream_options"):
            own = loads(request.extras.get("stream_options", b"{}")) if rules.same else None
            body["stream_options"] = {**(own or {}), "include_usage": True}
    for name in rules.host.renames.keys() & body.keys():
        body[rules.host.renames[name]] = body.pop(name)
    return Rendered(encode(body), losses.all(), rules.names.changed, freeform=frozenset(tools.wrapped))


def _fitted(request: ChatRequest, target: Target, losses: Losses, *, same: bool) -> ChatRequest:
    """The request without what the model and its server do not take."""
    request = parts_to_text(drop_remembered(request, losses), CHAT, losses)
    request = system_first(request, target, losses)
    request = leave_out_refused(request, target, losses, same=same)
    request = forbid_with_tools(request, target, losses)
    request = request if same else choose_declared(request, losses)
    return fit_choice(request, target, losses)


def _write_sampling(
    sampling: Sampling, target: Target, rules: Rules, losses: Losses, body: dict[str, Any]
) -> None:
    for member, field in _DRAWING.items():
        value = getattr(sampling, field)
        if value is None:
            continue
        if target.sampling:
            body[member] = value
        elif not is_usual(field, value):
            losses(field, f"sampling.{field}", f"{target.model} does not take it.")
    if body.get("temperature", 0) > _MAX_TEMPERATURE:
        body["temperature"] = _MAX_TEMPERATURE
        losses("temperature", "sampling.temperature", "It was lowered to 2, the largest that is taken.")
    if sampling.top_k is not None:
        if rules.same:
            body["top_k"] = sampling.top_k
        else:
            losses("top_k", "sampling.top_k", "Chat Completions has no such member.")
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.candidates is not None:
        body["n"] = sampling.candidates
    _write_limits(sampling, target, rules, losses, body)


def _write_limits(
    sampling: Sampling, target: Target, rules: Rules, losses: Losses, body: dict[str, Any]
) -> None:
    """Where to stop: a number of tokens, or words."""
    limit = sampling.max_tokens
    if limit is not None:
        if target.max_output is not None and limit > target.max_output:
            limit = target.max_output
            losses("max_tokens", "sampling.max_tokens", f"Lowered to {limit}, the model's largest.")
        if limit < 1 and not rules.same:
            limit = 1
            losses("max_tokens", "sampling.max_tokens", "An answer of no tokens cannot be asked for here.")
        named = rules.host.output_limit
        by_model = "max_completion_tokens" if rules.openai else "max_tokens"
        body[by_model if named == "by-model" else named] = limit
    stop = [word for word in sampling.stop if word]
    if stop and rules.openai and not target.sampling:
        losses("stop", "sampling.stop", f"{target.model} does not take stop sequences.")
        return
    if len(stop) > STOP_LIMIT:
        losses("stop", "sampling.stop", f"Only the first {STOP_LIMIT} stop sequences are taken.")
    if stop:
        body["stop"] = stop[:STOP_LIMIT]


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
    name = re.sub(NAME_ILLEGAL, "_", output.name or _SCHEMA_NAME)
    schema: dict[str, Any] = {"name": shorten(name, NAME_LIMIT)}
    for member in ("description", "schema", "strict"):
        if (value := getattr(output, member)) is not None:
            schema[member] = value
    return {"type": "json_schema", "json_schema": schema}


def _write_account(request: ChatRequest, rules: Rules, losses: Losses, body: dict[str, Any]) -> None:
    """What concerns the account more than the answer."""
    known = rules.same or rules.openai
    if request.user is not None and loads(request.extras.get("safety_identifier", b"")) != request.user:
        body["user"] = request.user if rules.same else shorten(request.user, USER_LIMIT)
        if body["user"] != request.user:
            losses("user", "user", f"It was shortened to {USER_LIMIT} characters, always in the same way.")
    if request.metadata and known:
        _write_metadata(request.metadata, losses, body)
    elif request.metadata:
        losses("metadata", "metadata", "Servers other than OpenAI's may refuse it.")
    tier = request.service_tier
    if tier is not None and (rules.same or (rules.openai and tier in SERVICE_TIERS)):
        body["service_tier"] = tier
    elif tier is not None:
        losses("service_tier", "service_tier", f"'{tier}' is another vendor's word.")
    if request.cache_key is not None and known:
        body["prompt_cache_key"] = request.cache_key
    elif request.cache_key is not None:
        losses("cache_key", "cache_key", "Servers other than OpenAI's may refuse it.")
    if request.modalities and rules.same:
        body["modalities"] = list(request.modalities)
    elif any(kind.lower() != "text" for kind in request.modalities):
        losses("modalities", "modalities", "Only text is asked for in this dialect.")


def _write_metadata(metadata: dict[str, str], losses: Losses, body: dict[str, Any]) -> None:
    pairs, longest_key, longest_value = METADATA_LIMITS
    fitting = {
        key: value
        for key, value in metadata.items()
        if len(key) <= longest_key and len(value) <= longest_value
    }
    sent = dict(list(fitting.items())[:pairs])
    if len(sent) < len(metadata):
        losses("metadata", "metadata", f"At most {pairs} pairs of limited length are taken.")
    if sent:
        body["metadata"] = sent


def _write_text(raw: Json, losses: Losses, body: dict[str, Any]) -> None:
    """What Responses says of its text besides the format."""
    found = loads(raw)
    wishes = found if isinstance(found, dict) else {}
    if isinstance(verbosity := wishes.get("verbosity"), str):
        body["verbosity"] = verbosity
    for name in sorted(wishes.keys() - {"verbosity"}):
        losses("extras", f"extras.text.{name}", f"Chat Completions has no '{name}'.")


def _write_extras(request: ChatRequest, rules: Rules, losses: Losses, body: dict[str, Any]) -> None:
    for name, raw in request.extras.items():
        if name in _NOT_MEMBERS:
            continue
        if rules.same or (rules.openai and request.dialect == RESPONSES and name in SHARED):
            body[name] = raw
        elif rules.openai and request.dialect == RESPONSES and name == "text":
            _write_text(raw, losses, body)
        elif not is_harmless(request.dialect, name, raw):
            losses("extras", f"extras.{name}", f"Only {request.dialect} knows '{name}'.")
