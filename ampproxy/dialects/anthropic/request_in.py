"""A Messages request, read into the vocabulary.

Tools that Anthropic's models know by heart and that the client runs itself are, for other vendors' models,
functions with the schema that Anthropic documents. Calls of them are plain calls here anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.anthropic.blocks import parse_content, parse_message
from ampproxy.dialects.json import (
    NULL,
    Decoder,
    Fields,
    bad_request,
    first,
    is_string,
    items,
    loads,
    members,
    read_or,
    text_of,
    to_raw,
)
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import Opaque, Part, Text
from ampproxy.model.request import (
    ChatRequest,
    HostedTool,
    Level,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
    leading_system,
    level_of,
)

_TEXT: Final = {"type": "string"}
_LINES: Final = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line; -1: end.",
}
_EDITS: Final[dict[str, Any]] = {
    "path": {**_TEXT, "description": "The absolute path of a file or a folder."},
    "file_text": {**_TEXT, "description": "What is to be in the new file (create)."},
    "old_str": {**_TEXT, "description": "The text to be replaced, which stands there once (str_replace)."},
    "new_str": {**_TEXT, "description": "The text that replaces it (str_replace), or is put in (insert)."},
    "insert_line": {"type": "integer", "description": "The line after which text is put in (insert)."},
    "view_range": _LINES,
}


def _schema(properties: Mapping[str, Any], *required: str) -> Json:
    return to_raw({"type": "object", "properties": properties, "required": list(required)})


def _command(*names: str) -> dict[str, Any]:
    return {"command": {"type": "string", "enum": list(names)}}


_EDIT_COMMANDS: Final = ("view", "create", "str_replace", "insert")
_BASH: Final = {
    "command": {**_TEXT, "description": "The command to be run."},
    "restart": {"type": "boolean", "description": "Start the shell anew instead."},
}
_OF_MEMORY: Final = {
    **_EDITS,
    "insert_text": {**_TEXT, "description": "The text that is put in (insert)."},
    "old_path": {**_TEXT, "description": "What is to be renamed (rename)."},
    "new_path": {**_TEXT, "description": "Its new path (rename)."},
}
#: Beginning of a dated type -> what the tool does, and its arguments.
_KNOWN: Final[tuple[tuple[str, str, Json], ...]] = (
    ("bash_", "Runs commands in a bash shell that keeps its state.", _schema(_BASH)),
    (
        "text_editor_20250124",
        "Views, creates and edits files.",
        _schema({**_command(*_EDIT_COMMANDS, "undo_edit"), **_EDITS}, "command", "path"),
    ),
    (
        "text_editor_",
        "Views, creates and edits files.",
        _schema({**_command(*_EDIT_COMMANDS), **_EDITS}, "command", "path"),
    ),
    (
        "memory_",
        "Keeps notes as files in the folder /memories, over conversations. View it before anything else.",
        _schema({**_command(*_EDIT_COMMANDS, "delete", "rename"), **_OF_MEMORY}, "command"),
    ),
)
_NOT_EXTRAS: Final = frozenset(("type", "name", "cache_control"))


def as_functions(request: ChatRequest) -> ChatRequest:
    """The request with such tools as functions; the same object where it has none."""
    found = [(tool, _function(tool)) for tool in request.hosted]
    functions = tuple(function for _, function in found if function is not None)
    if not functions:
        return request
    left = tuple(tool for tool, function in found if function is None)
    return replace(request, tools=(*request.tools, *functions), hosted=left)


def _function(tool: HostedTool) -> Tool | None:
    if tool.dialect != ANTHROPIC:
        return None
    known = next((row for row in _KNOWN if tool.kind.startswith(row[0])), None)
    fields = members(tool.raw)
    name = loads(fields.get("name", NULL))
    if known is None or not isinstance(name, str) or not name:
        return None
    extras = {key: value for key, value in fields.items() if key not in _NOT_EXTRAS and value != NULL}
    return Tool(name, known[1], known[2], cache=fields.get("cache_control"), extras=extras)


_ROLES: Final = ("user", "assistant", "system")
#: A list of contents that begins with a text without a block around it.
_BARE_TEXT: Final = re.compile(rb'\[\s*"')
_MODES: Final[dict[str, str]] = {
    "auto": "auto",
    "any": "required",
    "tool": "named",
    "none": "none",
    # OpenAI's words.
    "required": "required",
    "function": "named",
}

#: Members of a request -> those of ``Sampling``, with their types.
_SAMPLING: Final[tuple[tuple[str, str, Any], ...]] = (
    ("max_tokens", "max_tokens", int),
    ("temperature", "temperature", float),
    ("top_p", "top_p", float),
    ("top_k", "top_k", int),
    ("stop_sequences", "stop", tuple[str, ...]),
)

#: Claude Code's first system text, which only its vendor reads.
_BILLING: Final = "x-anthropic-billing-header:"
_ABOUT_THINKING: Final = frozenset(("thinking", "output_config", "output_format"))

#: Beginning of a hosted tool's dated type -> what other vendors call their like of it.
HOSTED: Final = (
    ("web_search_", "web_search"),
    ("code_execution_", "code_execution"),
    ("web_fetch_", "url_context"),
)
#: Of the roles of Chat Completions those that are not this dialect's.
_OF_CHAT: Final = ("tool", "developer")


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a request; see :class:`~ampproxy.dialects.base.ParseRequest`."""
    top = Fields(body, nulls=False)
    asked = top.take("model", str)
    if model is None and not asked:
        bad_request("model", "It is required.")
    fields: dict[str, Any] = {}
    if not _ABOUT_THINKING.isdisjoint(top.left):
        fields.update(_thinking_and_output(top))
    for member, read in (("tools", _tools), ("tool_choice", _choice), ("metadata", _metadata)):
        if member in top.left:
            fields.update(read(top))
    messages = enumerate(items(top.need_raw("messages"), "messages"))
    turns = tuple([parse_message(one) or _turn(one, f"messages[{number}]") for number, one in messages])
    streamed = top.take("stream", bool)
    leading: tuple[Text, ...] = ()
    if turns and turns[0].role == "system":
        leading, turns = leading_system(turns)
    return ChatRequest(
        dialect=ANTHROPIC,
        model=model or asked or "",
        turns=turns,
        system=_system(top.left.pop("system", None)) + leading,
        sampling=_sampling(top),
        stream=bool(streamed) if stream is None else stream,
        service_tier=top.take("service_tier", str) if "service_tier" in top.left else None,
        **fields,
        # Last: what was not taken.
        extras=top.left,
    )


def _sampling(top: Fields) -> Sampling:
    fields = [row for row in _SAMPLING if row[0] in top.left]
    found: dict[str, Any] = {field: top.take(name, kind) for name, field, kind in fields}
    for name in ("max_completion_tokens", "max_output_tokens"):
        # As OpenAI's dialects call it.
        limit = top.take(name, int) if name in top.left else None
        found["max_tokens"] = limit if found.get("max_tokens") is None else found["max_tokens"]
    if "stop" in top.left and not found.get("stop"):
        stop = top.take("stop", str | list[str])  # type: ignore[arg-type]
        found["stop"] = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return Sampling(**found)


def for_others(request: ChatRequest) -> ChatRequest:
    """The request as another dialect may be asked it."""
    for turn in request.turns:
        if turn.role == "system":
            request = _settled(request)
            break
    if request.system and request.system[0].text.startswith(_BILLING):
        # It is another in each conversation, and would keep other vendors from caching what follows.
        request = replace(request, system=request.system[1:])
    return as_functions(request) if request.hosted else request


def _settled(request: ChatRequest) -> ChatRequest:
    """The request with what the system's messages in its midst mean by now: those that are shown until the
    next user's message are gone with it, and the tools are those that were added and not removed.
    """
    tools, hosted = {tool.name: tool for tool in request.tools}, list(request.hosted)
    turns: list[Turn] = []
    last = max((number for number, turn in enumerate(request.turns) if turn.role == "user"), default=0)
    for number, turn in enumerate(request.turns):
        if turn.role == "system":
            extras = dict(turn.extras)
            passing = text_of(extras.pop("clear_at", NULL)) == "next_user_message"
            parts = [] if passing and number < last else [p for p in turn.parts if not _is_change(p)]
            for part in turn.parts:
                if isinstance(part, Opaque) and _is_change(part):
                    _change(part, tools, hosted)
            if not parts and not extras:
                continue
            turn = Turn(turn.role, tuple(parts), extras)
        turns.append(turn)
    return replace(request, turns=tuple(turns), tools=tuple(tools.values()), hosted=tuple(hosted))


def _is_change(part: Part) -> bool:
    return isinstance(part, Opaque) and part.kind in ("tool_addition", "tool_removal")


def _change(part: Opaque, tools: dict[str, Tool], hosted: list[HostedTool]) -> None:
    """Add or remove a tool. One that is only referred to is declared already."""
    tool = Fields(part.raw, part.kind).take_object("tool")
    name = tool.take("name", str) if tool is not None else None
    definition = tool.take_raw("definition") if tool is not None else None
    if part.kind == "tool_removal":
        tools.pop(name or "", None)
    elif definition is not None:
        found = _tools(Fields(to_raw({"tools": [definition]}), part.kind))
        tools.update((one.name, one) for one in found["tools"])
        hosted += found.get("hosted", ())


def _system(raw: Json | None) -> tuple[Text, ...]:
    if raw is None:
        return ()
    parts = parse_content(raw, "system")
    for number, part in enumerate(parts):
        if not isinstance(part, Text):
            bad_request(f"system[{number}]", "Only text blocks are valid here.")
    return tuple([part for part in parts if isinstance(part, Text) and part.text])


def _of_chat(message: Fields, role: str) -> str:
    """The role, and the content in this dialect's form, of a message that is one of Chat Completions."""
    content = message.take_raw("content")
    blocks: list[Any] = [] if content is None else [{"type": "text", "text": content}]
    if content is not None and first(content) == b"[":
        blocks = [{"type": "text", "text": one} if is_string(one) else one for one in items(content)]
    elif content is not None and first(content) == b"{":
        blocks = [content]
    if role == "tool":
        call = message.need("tool_call_id", str)
        blocks, role = [{"type": "tool_result", "tool_use_id": call, "content": blocks}], "user"
    for one in message.take("tool_calls", list[Json]) or ():
        found = Fields(one, message.path("tool_calls"))
        function = found.need_object("function")
        called = {"id": found.need("id", str), "name": function.need("name", str)}
        blocks.append({"type": "tool_use", **called, "input": function.take_raw("arguments") or {}})
    message.left["content"] = to_raw(blocks)
    return "system" if role == "developer" else role


def _turn(raw: Json, at: str) -> Turn:
    message = Fields(raw, at)
    role = message.need("role", str)
    content = message.left.get("content", NULL)
    odd = first(content) == b"{" or _BARE_TEXT.match(content) is not None
    if odd or role in _OF_CHAT or "tool_calls" in message.left:
        role = _of_chat(message, role)
    if role not in _ROLES:
        bad_request(f"{at}.role", "Expected 'user', 'assistant' or 'system'.")
    content = message.need_raw("content")
    return Turn(cast(Any, role), tuple(parse_content(content, message.path("content"))), message.remaining())


def _thinking_and_output(top: Fields) -> dict[str, Any]:
    """``thinking`` and ``output_config``, which express one wish together.

    The client's own words stay in ``extras["thinking"]`` (``null``: it named an effort and nothing
    else), for a vendor of the same dialect: see :mod:`ampproxy.dialects.anthropic.request_out`.
    """
    config = top.take_object("output_config") or Fields(b"{}")
    effort = config.take("effort", str)
    level = level_of(effort) if effort else None
    if effort and level is None:
        config.left["effort"] = to_raw(effort)
    formats = config.take_object("format")
    if formats is None or not formats.left:
        formats = top.take_object("output_format")
    if config.left:
        top.left["output_config"] = to_raw(config.left)
    thinking = read_thinking(top.left.get("thinking"), level)
    if thinking is not None and "thinking" not in top.left:
        top.left["thinking"] = NULL
    if formats is None or text_of(formats.left.get("type", NULL)) != "json_schema":
        return {"thinking": thinking, "output": None}
    return {"thinking": thinking, "output": OutputFormat("schema", formats.need_raw("schema"))}


def read_thinking(raw: Json | None, level: Level | None) -> Thinking | None:
    """What a ``thinking`` member and an effort wish together.

    :raises ampproxy.errors.ClientFault: a member has the wrong type.
    """
    if raw is None or raw == NULL:
        return Thinking("level", level=level) if level else None
    fields = Fields(raw, "thinking", nulls=False)
    kind = fields.need("type", str)
    display = fields.take("display", str)
    show = None if display is None else display != "omitted"
    if kind in ("disabled", "between_tools"):
        return Thinking("off", level=level)
    if kind == "enabled":
        budget = fields.take("budget_tokens", int)
        # Models that take a budget show their thinking unless they are told not to.
        return Thinking("budget" if budget is not None else "auto", budget, level, show is not False)
    return Thinking("level" if level else "auto", level=level, show=show)


def _tools(top: Fields) -> dict[str, Any]:
    plain = read_or(_TOOLS, top.left["tools"], None)
    if plain is not None:
        del top.left["tools"]
        return {"tools": tuple([tool.tool() for tool in plain])}
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    for number, raw in enumerate(items(top.take_raw("tools") or Json(b"[]"), "tools")):
        tool = Fields(raw, f"tools[{number}]", nulls=False)
        kind = text_of(tool.take_raw("type") or NULL) or "custom"
        if kind == "function" or (kind == "custom" and "parameters" in tool.left):
            tool, kind = _of_openai(tool), "custom"
        if kind != "custom":
            like = next((common for prefix, common in HOSTED if kind.startswith(prefix)), kind)
            hosted.append(HostedTool(like, ANTHROPIC, raw))
            continue
        tools.append(
            Tool(
                tool.need("name", str),
                tool.take("description", str),
                tool.take_raw("input_schema"),
                tool.take("strict", bool),
                cache=tool.take_raw("cache_control"),
                extras=tool.left,
            )
        )
    return {"tools": tuple(tools), "hosted": tuple(hosted)}


def _of_openai(tool: Fields) -> Fields:
    """A function that is declared in the form of Chat Completions or of Responses."""
    function = tool.take_object("function") or tool
    schema = function.take_raw("parameters")
    if schema is not None:
        function.left["input_schema"] = schema
    return function


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    """A function whose members are all known."""

    name: str
    description: str | None = None
    input_schema: Json = NULL
    strict: bool | None = None
    cache_control: Json = NULL
    type: Literal["custom"] = "custom"

    def tool(self) -> Tool:
        schema = None if self.input_schema == NULL else self.input_schema
        cache = None if self.cache_control == NULL else self.cache_control
        return Tool(self.name, self.description, schema, self.strict, cache=cache)


#: Tools without anything else are read in one go.
_TOOLS: Final = Decoder(list[_Tool])


def _choice(top: Fields) -> dict[str, Any]:
    word = text_of(top.left["tool_choice"])
    if word is not None:
        # OpenAI's form.
        top.left["tool_choice"] = to_raw({"type": word})
    fields = top.need_object("tool_choice")
    mode = _MODES.get(fields.need("type", str))
    if mode is None:
        bad_request("tool_choice.type", "Expected 'auto', 'any', 'tool' or 'none'.")
    name = (fields.take_object("function") or fields).need("name", str) if mode == "named" else None
    single = fields.take("disable_parallel_tool_use", bool)
    return {"choice": ToolChoice(cast(Any, mode), name), "parallel": None if single is None else not single}


def _metadata(top: Fields) -> dict[str, Any]:
    fields = top.need_object("metadata")
    user = fields.take("user_id", str)
    labels = {name: text for name, raw in fields.left.items() if (text := text_of(raw)) is not None}
    return {"user": user, "metadata": labels}
