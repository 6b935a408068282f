"""A request for an account: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

import re
from typing import Any, Final

from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.common import Losses, encode, loads, shorten
from ampproxy.dialects.openai_chat.messages_out import MessageWriter
from ampproxy.dialects.openai_chat.rules import (
    METADATA_LIMITS,
    NAME_ILLEGAL,
    NAME_LIMIT,
    SERVICE_TIERS,
    STOP_LIMIT,
    USER_LIMIT,
    Rules,
)
from ampproxy.dialects.openai_chat.tools_out import ToolWriter
from ampproxy.dialects.unsupported import is_harmless, is_usual
from ampproxy.model.base import CHAT
from ampproxy.model.request import ChatRequest, Level, OutputFormat, Sampling, Thinking
from ampproxy.model.thinking import level_wanted, nearest_level

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
    rules = Rules(request, target, CHAT)
    tools = ToolWriter(rules, losses)
    body: dict[str, Any] = {"model": target.model}
    body["messages"] = MessageWriter(rules, losses).messages(request.system, request.turns)
    tools.write(request, body)
    _write_sampling(request.sampling, target, rules, losses, body)
    thinking = _with_tools(request.thinking, target, losses) if "tools" in body else request.thinking
    _write_thinking(thinking, target, rules, losses, body)
    if request.output is not None:
        body["response_format"] = _format(request.output)
    _write_account(request, rules, losses, body)
    _write_extras(request, rules, losses, body)
    if request.stream:
        options = (
            loads(request.extras["stream_options"])
            if rules.same and "stream_options" in request.extras
            else {}
        )
        body["stream"] = True
        body["stream_options"] = {**(options if rules.same and options else {}), "include_usage": True}
    return Rendered(encode(body), losses.told(), rules.names.changed, freeform=frozenset(tools.wrapped))


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
        body["max_completion_tokens" if rules.openai else "max_tokens"] = limit
    stop = [word for word in sampling.stop if word]
    if stop and rules.openai and not target.sampling:
        losses("stop", "sampling.stop", f"{target.model} does not take stop sequences.")
        return
    if len(stop) > STOP_LIMIT:
        losses("stop", "sampling.stop", f"Only the first {STOP_LIMIT} stop sequences are taken.")
    if stop:
        body["stop"] = stop[:STOP_LIMIT]


def _with_tools(thinking: Thinking | None, target: Target, losses: Losses) -> Thinking | None:
    """The wish for thinking of a request that declares functions."""
    if target.chat_tools != "not-thinking" or (thinking is not None and thinking.mode == "off"):
        return thinking
    losses("thinking", "thinking", f"{target.model} takes tools over Chat Completions only without thinking.")
    return Thinking("off")


def _write_thinking(
    thinking: Thinking | None, target: Target, rules: Rules, losses: Losses, body: dict[str, Any]
) -> None:
    if thinking is None:
        return
    if target.thinking == "none":
        if thinking.mode != "off":
            losses("thinking", "thinking", f"{target.model} does not think.")
        return
    if thinking.mode == "off":
        if target.can_disable:
            body["reasoning_effort"] = "none"
        else:
            body["reasoning_effort"] = target.levels[0] if target.levels else "low"
            losses("thinking", "thinking", f"{target.model} always thinks; it was asked for the least.")
        return
    level = level_wanted(thinking)
    if level is None:
        return
    sent: Level = level
    if target.thinking != "unknown" or not rules.same:
        sent = nearest_level(level, target.levels)
    if thinking.mode == "budget":
        losses("thinking_budget", "thinking.budget", f"A budget of tokens was told as effort '{sent}'.")
    elif sent != level:
        losses("thinking_level", "thinking.level", f"Effort '{level}' became '{sent}'.")
    body["reasoning_effort"] = sent


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


def _write_extras(request: ChatRequest, rules: Rules, losses: Losses, body: dict[str, Any]) -> None:
    for name, raw in request.extras.items():
        if name in _NOT_MEMBERS:
            continue
        if rules.same:
            body[name] = raw
        elif not is_harmless(request.dialect, name, raw):
            losses("extras", f"extras.{name}", f"Only {request.dialect} knows '{name}'.")
