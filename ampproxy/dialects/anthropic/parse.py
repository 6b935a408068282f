"""A Messages request, read into the vocabulary."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from ampproxy.dialects._common import (
    NULL,
    Members,
    bad_request,
    items,
    members,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.anthropic.blocks import need, parse_content, take
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import Text
from ampproxy.model.request import (
    LEVELS,
    ChatRequest,
    HostedTool,
    Level,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)

_STR: Final = msgspec.json.Decoder(str)
_INT: Final = msgspec.json.Decoder(int)
_FLOAT: Final = msgspec.json.Decoder(float)
_BOOL: Final = msgspec.json.Decoder(bool)
_STRS: Final = msgspec.json.Decoder(tuple[str, ...])
_OBJECT: Final = msgspec.json.Decoder(Members)
_RAW: Final = msgspec.json.Decoder(Json)

_ROLES: Final = ("user", "assistant", "system")
_MODES: Final[dict[str, str]] = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}

#: Beginning of a hosted tool's dated type -> what other vendors call their like of it.
HOSTED: Final = (
    ("web_search_", "web_search"),
    ("code_execution_", "code_execution"),
    ("web_fetch_", "url_context"),
)


def parse_request(body: bytes, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a request.

    :raises ampproxy.errors.ClientFault: it is not valid; the message names the member.
    """
    top = without_nulls(members(body))
    asked = take(top, "model", _STR, "")
    if model is None and not asked:
        bad_request("model", "This member is required.")
    fields: dict[str, Any] = {}
    for read in (_thinking_and_output, _tools, _choice, _metadata):
        fields.update(read(top))
    return ChatRequest(
        dialect=ANTHROPIC,
        model=model or asked or "",
        turns=_turns(need(top, "messages", _RAW, "")),
        system=_system(top.pop("system", None)),
        sampling=Sampling(
            max_tokens=take(top, "max_tokens", _INT, ""),
            temperature=take(top, "temperature", _FLOAT, ""),
            top_p=take(top, "top_p", _FLOAT, ""),
            top_k=take(top, "top_k", _INT, ""),
            stop=take(top, "stop_sequences", _STRS, "") or (),
        ),
        stream=_stream(take(top, "stream", _BOOL, ""), stream),
        service_tier=take(top, "service_tier", _STR, ""),
        **fields,
        # Last: what nobody took.
        extras=top,
    )


def _stream(said: bool | None, path: bool | None) -> bool:
    return bool(said) if path is None else path


def _system(raw: Json | None) -> tuple[Text, ...]:
    if raw is None:
        return ()
    parts = parse_content(raw, "system")
    for number, part in enumerate(parts):
        if not isinstance(part, Text):
            bad_request(f"system[{number}]", "Only text blocks are valid here.")
    return tuple(part for part in parts if isinstance(part, Text) and part.text)


def _turns(raw: Json) -> tuple[Turn, ...]:
    return tuple(
        _turn(message, f"messages[{number}]") for number, message in enumerate(items(raw, "messages"))
    )


def _turn(raw: Json, at: str) -> Turn:
    message = members(raw, at)
    role = need(message, "role", _STR, at)
    if role not in _ROLES:
        bad_request(f"{at}.role", "Expected 'user', 'assistant' or 'system'.")
    content = need(message, "content", _RAW, at)
    return Turn(cast(Any, role), tuple(parse_content(content, f"{at}.content")), without_nulls(message))


# ------------------------------------------------------------------------------ thinking, output


def _thinking_and_output(top: Members) -> dict[str, Any]:
    """``thinking`` and ``output_config``, which tell one wish together.

    The client's own words stay in ``extras["thinking"]`` (``null``: it named an effort and nothing
    else), for a vendor of the same dialect: see :mod:`ampproxy.dialects.anthropic.thinking`.
    """
    config = without_nulls(take(top, "output_config", _OBJECT, "") or {})
    effort = take(config, "effort", _STR, "output_config")
    level: Level | None = effort if effort in LEVELS else None
    if effort and level is None:
        config["effort"] = to_raw(effort)
    formats = take(config, "format", _OBJECT, "output_config") or take(top, "output_format", _OBJECT, "")
    if config:
        top["output_config"] = to_raw(config)
    thinking = read_thinking(top.get("thinking"), level)
    if thinking is not None and "thinking" not in top:
        top["thinking"] = NULL
    return {"thinking": thinking, "output": _format(formats)}


def read_thinking(raw: Json | None, level: Level | None) -> Thinking | None:
    """What a ``thinking`` member and an effort wish together.

    :raises ampproxy.errors.ClientFault: a member has the wrong type.
    """
    if raw is None or raw == NULL:
        return Thinking("level", level=level) if level else None
    said = without_nulls(members(raw, "thinking"))
    kind = need(said, "type", _STR, "thinking")
    display = take(said, "display", _STR, "thinking")
    show = None if display is None else display != "omitted"
    if kind in ("disabled", "between_tools"):
        return Thinking("off", level=level)
    if kind == "enabled":
        budget = take(said, "budget_tokens", _INT, "thinking")
        # Models that take a budget show their thinking unless they are told not to.
        shown = show is not False
        return Thinking("budget" if budget is not None else "auto", budget, level, shown)
    return Thinking("level" if level else "auto", level=level, show=show)


def _format(said: Members | None) -> OutputFormat | None:
    if said is None or text_of(said.get("type", NULL)) != "json_schema":
        return None
    return OutputFormat("schema", need(said, "schema", _RAW, "output_config.format"))


# ------------------------------------------------------------------------------------------ tools


def _tools(top: Members) -> dict[str, Any]:
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    for number, raw in enumerate(items(top.pop("tools", Json(b"[]")), "tools")):
        at = f"tools[{number}]"
        tool = without_nulls(members(raw, at))
        kind = text_of(tool.pop("type", NULL)) or "custom"
        if kind != "custom":
            hosted.append(HostedTool(_hosted_kind(kind), ANTHROPIC, raw))
            continue
        tools.append(
            Tool(
                need(tool, "name", _STR, at),
                take(tool, "description", _STR, at),
                tool.pop("input_schema", None),
                take(tool, "strict", _BOOL, at),
                cache=tool.pop("cache_control", None),
                extras=tool,
            )
        )
    return {"tools": tuple(tools), "hosted": tuple(hosted)}


def _hosted_kind(kind: str) -> str:
    return next((common for prefix, common in HOSTED if kind.startswith(prefix)), kind)


def _choice(top: Members) -> dict[str, Any]:
    said = take(top, "tool_choice", _OBJECT, "")
    if said is None:
        return {}
    mode = _MODES.get(need(said, "type", _STR, "tool_choice"))
    if mode is None:
        bad_request("tool_choice.type", "Expected 'auto', 'any', 'tool' or 'none'.")
    name = need(said, "name", _STR, "tool_choice") if mode == "named" else None
    single = take(said, "disable_parallel_tool_use", _BOOL, "tool_choice")
    return {"choice": ToolChoice(cast(Any, mode), name), "parallel": None if single is None else not single}


def _metadata(top: Members) -> dict[str, Any]:
    said = without_nulls(take(top, "metadata", _OBJECT, "") or {})
    user = take(said, "user_id", _STR, "metadata")
    return {
        "user": user,
        "metadata": {name: text for name, raw in said.items() if (text := text_of(raw)) is not None},
    }
