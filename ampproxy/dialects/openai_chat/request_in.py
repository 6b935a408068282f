"""A client's request: from Chat Completions' JSON to the vocabulary.

Source: ``openai.types.chat.completion_create_params``, and the members that open servers and
routers have added (``top_k``, ``reasoning_content``, ``cache_control``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from typing import Final

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.json import (
    NULL,
    Decoder,
    Members,
    bad_request,
    items,
    loads,
    members_again,
    read_request,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.openai_chat.messages_in import parse_messages, text_parts
from ampproxy.dialects.openai_chat.thought_state import BESIDE_CALL, BLOCKS, proof_beside
from ampproxy.dialects.openai_chat.tools_in import (
    is_understood,
    parse_choice,
    parse_function_call,
    parse_functions,
    parse_tools,
)
from ampproxy.dialects.openai_requests import SamplingBody, source_of
from ampproxy.dialects.proof import unwrap_signature
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, Json
from ampproxy.model.parts import Audio, Document, Link, Opaque, Part, Reasoning, Text, ToolCall
from ampproxy.model.request import (
    ChatRequest,
    HostedTool,
    OutputFormat,
    Role,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
    level_of,
)

#: Where else clients write how much to think: OpenRouter's form, Anthropic's and DeepSeek's, Alibaba's,
#: Ollama's, that of vLLM and SGLang, and Google's.
_BESIDE_OTHERS: Final = ("chat_template_kwargs", "extra_body", "google")
_THINKING: Final = ("reasoning", "thinking", "enable_thinking", "think", *_BESIDE_OTHERS)
#: Where those have it further in.
_WITHIN: Final = ("google", "thinking_config", "enable_thinking", "thinking")
_AMOUNTS: Final = ("max_tokens", "budget_tokens", "thinking_budget")


class _Schema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: Json = NULL
    strict: bool | None = None


class _Format(msgspec.Struct):
    """``response_format``; the schema's members stand in it as in Responses, or in ``json_schema``."""

    type: str | None = None
    json_schema: _Schema | None = None
    name: str | None = None
    description: str | None = None
    schema: Json = NULL
    strict: bool | None = None


class _Body(SamplingBody):
    model: str | None = None
    messages: list[Json] | None = None
    stream: bool | None = None
    stream_options: dict[str, Json] | None = None
    tools: list[Json] | None = None
    tool_choice: Json = NULL
    functions: list[Json] | None = None
    function_call: Json = NULL
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    modalities: list[str] | None = None
    web_search_options: Json = NULL
    #: What stands in the system's messages, as Anthropic and Responses have it.
    system: Json = NULL
    instructions: Json = NULL
    #: Beside messages it says nothing.
    input: Json = NULL


_BODY: Final = Decoder(_Body)
_KNOWN: Final = frozenset(_Body.__struct_fields__)


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a request; see :class:`~ampproxy.dialects.base.ParseRequest`."""
    asked = read_request(_BODY, body)
    name = model or asked.model
    if not name:
        bad_request("model", "It is missing.")
    if not asked.messages:
        bad_request("messages", "At least one message is needed.")
    system, turns = parse_messages(asked.messages)
    system = (*_apart(asked, system), *system)
    tools, hosted, choice = _tools(asked)
    extras = {key: raw for key, raw in without_nulls(members_again(body)).items() if key not in _KNOWN}
    thinking = _thinking(asked.reasoning_effort)
    _keep_odd_ones(asked, thinking, extras)
    usage = bytes((asked.stream_options or {}).get("include_usage", NULL)) == b"true"
    return ChatRequest(
        dialect=CHAT,
        model=name,
        turns=turns,
        system=system,
        tools=tools,
        hosted=hosted,
        choice=choice,
        parallel=asked.parallel_tool_calls,
        sampling=asked.sampling(asked.logprobs, asked.top_logprobs),
        thinking=thinking,
        output=_output(asked.response_format),
        modalities=tuple(asked.modalities or ()),
        stream=bool(asked.stream) if stream is None else stream,
        include_usage=usage,
        include_signatures=False,
        user=asked.user or asked.safety_identifier,
        metadata=asked.metadata or {},
        service_tier=asked.service_tier,
        cache_key=asked.prompt_cache_key,
        extras=extras,
    )


def _apart(asked: _Body, known: Sequence[Text]) -> list[Text]:
    """The system's texts that stand beside the messages, and not among them."""
    found: list[Text] = []
    for name, raw in (("system", asked.system), ("instructions", asked.instructions)):
        if raw != NULL:
            words = text_of(raw)
            texts = text_parts(items(raw, name) if words is None else words, name)
            found += [text for text in texts if text not in (*known, *found)]
    return found


def _tools(asked: _Body) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...], ToolChoice | None]:
    tools, hosted = parse_tools(asked.tools or ())
    if asked.functions:
        tools += parse_functions(asked.functions)
    if asked.web_search_options != NULL:
        raw = to_raw({"web_search_options": asked.web_search_options})
        hosted += (HostedTool("web_search", CHAT, raw),)
    return tools, hosted, parse_choice(asked.tool_choice) or parse_function_call(asked.function_call)


def _thinking(effort: str | None) -> Thinking | None:
    if effort == "none":
        return Thinking("off")
    level = level_of(effort)
    return None if level is None else Thinking("level", level=level)


def for_others(request: ChatRequest) -> ChatRequest:
    """See :class:`~ampproxy.dialects.base.Dialect`: how much to think in the form of one server, which other
    servers of this dialect may know as it is; likewise its proofs of thinking, and media in forms that
    routers and vLLM have.
    """
    request = _each_turn(with_proofs(request), "user", _with_media)
    if request.thinking is not None or request.extras.keys().isdisjoint(_THINKING):
        return request
    for name in _THINKING:
        found = loads(request.extras.get(name, NULL))
        if name == "enable_thinking" and found is True:
            found = {"enabled": True, "thinking_budget": loads(request.extras.get("thinking_budget", NULL))}
        thinking = _thinking_in(found)
        if thinking is not None:
            stays = name in _BESIDE_OTHERS and len(found) > 1
            gone = ("thinking_budget",) if stays else ("thinking_budget", name)
            extras = {key: raw for key, raw in request.extras.items() if key not in gone}
            return replace(request, thinking=thinking, extras=extras)
    return request


def with_proofs(request: ChatRequest) -> ChatRequest:
    """The request with the proofs that other servers left in the history as their vendors' own: LiteLLM's
    blocks of Anthropic's thinking, and Gemini's beside calls.
    """
    return _each_turn(request, "assistant", _proved)


def _each_turn(request: ChatRequest, role: Role, change: Callable[[Turn], Turn]) -> ChatRequest:
    """The request with the turns of a role changed; the same object where they stay."""
    turns = tuple([change(turn) if turn.role == role else turn for turn in request.turns])
    same = all(map(is_, turns, request.turns))
    return request if same else replace(request, turns=turns)


def _with_media(turn: Turn) -> Turn:
    parts = tuple([_medium(part) for part in turn.parts])
    return turn if all(map(is_, parts, turn.parts)) else replace(turn, parts=parts)


def _medium(part: Part) -> Part:
    if not isinstance(part, Opaque) or part.kind not in _MEDIA:
        return part
    found = loads(part.raw).get(part.kind)
    url = found.get("url") if isinstance(found, dict) else found
    if not isinstance(url, str):
        return part
    source = source_of(url)
    if part.kind == "audio_url":
        return Audio(source)
    return Document(Link(url, "video/mp4") if isinstance(source, Link) else source)


_MEDIA: Final = frozenset(("video_url", "audio_url"))


def _proved(turn: Turn) -> Turn:
    blocks = loads(turn.extras.get(BLOCKS, NULL))
    listed = blocks if isinstance(blocks, list) else []
    thoughts = [part for block in listed if (part := _thought(block))]
    parts = tuple([_with_proof(part) for part in turn.parts])
    if not thoughts and all(map(is_, parts, turn.parts)):
        return turn
    if thoughts:
        parts = (*thoughts, *(part for part in parts if not isinstance(part, Reasoning)))
    extras = {name: raw for name, raw in turn.extras.items() if name != BLOCKS}
    return replace(turn, parts=parts, extras=extras)


def _thought(block: object) -> Reasoning | None:
    found = block if isinstance(block, dict) else {}
    words, proof = found.get("thinking", ""), found.get("signature") or found.get("data")
    if not isinstance(words, str) or not isinstance(proof, str) or not proof:
        return None
    redacted = found.get("type") == "redacted_thinking"
    return Reasoning(words, unwrap_signature(proof, ANTHROPIC), redacted=redacted)


def _with_proof(part: Part) -> Part:
    if not isinstance(part, ToolCall) or part.extras.keys().isdisjoint(BESIDE_CALL):
        return part
    proof = proof_beside([pair for pair in part.extras.items() if pair[0] in BESIDE_CALL], GEMINI)
    extras = {name: raw for name, raw in part.extras.items() if name not in BESIDE_CALL}
    return replace(part, signature=proof, extras=extras)


def _thinking_in(found: object, deeper: int = 2) -> Thinking | None:
    if isinstance(found, bool):
        found = {"enabled": found}
    if isinstance(found, str):
        return _thinking(found)
    if not isinstance(found, dict):
        return None
    effort, enabled, kind = (found.get(member) for member in ("effort", "enabled", "type"))
    amount = next((found[name] for name in _AMOUNTS if name in found), None)
    number = amount if isinstance(amount, int) and not isinstance(amount, bool) else None
    if enabled is False or kind == "disabled" or (number == 0 and "thinking_budget" in found):
        return Thinking("off")
    effort = found.get("thinking_level", effort)
    if isinstance(effort, str) and (thinking := _thinking(effort.lower())) is not None:
        return thinking
    if number is not None and number > 0:
        return Thinking("budget", budget=number)
    if enabled is True or kind in ("enabled", "adaptive") or number == -1:
        return Thinking("auto")
    within = [found.get(name) for name in _WITHIN] if deeper else ()
    return next((inner for value in within if (inner := _thinking_in(value, deeper - 1))), None)


def _output(asked: _Format | None) -> OutputFormat | None:
    if asked is None:
        return None
    schema = asked.json_schema or (asked if asked.schema != NULL else None)
    kind = asked.type or ("text" if schema is None else "json_schema")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat("json")
    if kind != "json_schema" or schema is None:
        bad_request("response_format", "Expected text, json_object, or json_schema with its schema.")
    return OutputFormat(
        "schema",
        None if schema.schema == NULL else schema.schema,
        schema.name,
        schema.description,
        schema.strict,
    )


def _keep_odd_ones(asked: _Body, thinking: Thinking | None, extras: Members) -> None:
    """What a known member holds and the vocabulary has no word for."""
    if asked.reasoning_effort and thinking is None:
        extras["reasoning_effort"] = to_raw(asked.reasoning_effort)
    if asked.safety_identifier:
        extras["safety_identifier"] = to_raw(asked.safety_identifier)
    if not is_understood(asked.tool_choice):
        extras["tool_choice"] = asked.tool_choice
    if asked.functions:
        # Only that they were used: the answer then has function_call in place of tool_calls.
        extras["functions"] = Json(b"true")
    options = dict(asked.stream_options or {})
    options.pop("include_usage", None)
    if options:
        extras["stream_options"] = to_raw(options)
