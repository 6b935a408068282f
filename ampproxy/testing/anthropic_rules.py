"""What Anthropic's Messages API takes: the declared request, and the rules between its parts.

Rules and words are those of the public API: what is refused here, the API refuses.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from ampproxy.testing import schema as s
from ampproxy.testing.vendor import Seal, VendorError

_CACHE = s.fields({"type": s.choice("ephemeral")}, ttl=s.choice("5m", "1h"))
_CACHED: dict[str, s.Check] = {"cache_control": s.nullable(_CACHE)}
_TEXT = s.fields({"type": s.ANY, "text": s.STR}, **_CACHED, citations=s.nullable(s.ARRAY))
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_URL = s.fields({"type": s.ANY, "url": s.STR})
_FILE = s.fields({"type": s.ANY, "file_id": s.STR})
_IMAGE_BYTES = s.fields({"type": s.ANY, "media_type": s.choice(*_IMAGE_TYPES), "data": s.STR})
_PDF_BYTES = s.fields({"type": s.ANY, "media_type": s.choice("application/pdf"), "data": s.STR})
_PLAIN = s.fields({"type": s.ANY, "media_type": s.choice("text/plain"), "data": s.STR})
_IMAGE = s.fields(
    {"type": s.ANY, "source": s.tagged("type", {"base64": _IMAGE_BYTES, "url": _URL, "file": _FILE})},
    **_CACHED,
)
_CONTENT = s.fields({"type": s.ANY, "content": s.either(text=s.STR, array=s.ARRAY)})
_DOCUMENT = s.fields(
    {
        "type": s.ANY,
        "source": s.tagged(
            "type", {"base64": _PDF_BYTES, "url": _URL, "text": _PLAIN, "content": _CONTENT, "file": _FILE}
        ),
    },
    **_CACHED,
    title=s.nullable(s.STR),
    context=s.nullable(s.STR),
    citations=s.nullable(s.fields({}, enabled=s.BOOL)),
)
_SEARCH = s.fields(
    {"type": s.ANY, "content": s.ARRAY, "source": s.STR, "title": s.STR}, **_CACHED, citations=s.ANY
)
_ID = s.matching(r"[a-zA-Z0-9_-]+")
_NAME = s.matching(r"[a-zA-Z0-9_-]{1,128}")
_RESULT = s.fields(
    {"type": s.ANY, "tool_use_id": _ID},
    **_CACHED,
    is_error=s.nullable(s.BOOL),
    content=s.either(
        text=s.STR,
        array=s.items(
            s.tagged(
                "type",
                {
                    "text": _TEXT,
                    "image": _IMAGE,
                    "document": _DOCUMENT,
                    "search_result": _SEARCH,
                    "tool_reference": s.fields({"type": s.ANY, "tool_name": s.STR}, **_CACHED),
                },
            )
        ),
    ),
)
_TOOL_USE = s.fields(
    {"type": s.ANY, "id": _ID, "name": s.text_of(200, 1), "input": s.OBJECT}, **_CACHED, caller=s.OBJECT
)
_USER_BLOCKS = {
    "text": _TEXT,
    "image": _IMAGE,
    "document": _DOCUMENT,
    "search_result": _SEARCH,
    "tool_result": _RESULT,
}
_ASSISTANT_BLOCKS = {
    "text": _TEXT,
    "thinking": s.fields({"type": s.ANY, "thinking": s.STR, "signature": s.STR}),
    "redacted_thinking": s.fields({"type": s.ANY, "data": s.STR}),
    "tool_use": _TOOL_USE,
    "server_tool_use": _TOOL_USE,
    **s.same(
        (
            *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"),
            *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
            "tool_search_tool_result",
        ),
        s.fields({"type": s.ANY, "tool_use_id": _ID, "content": s.ANY}, **_CACHED, caller=s.OBJECT),
    ),
}
_EFFORT = s.choice("low", "medium", "high", "xhigh", "max")
_CHANGE = s.fields({"type": s.ANY, "tool": s.OBJECT}, **_CACHED)
_SYSTEM_BLOCKS = {"text": _TEXT, **s.same(("tool_addition", "tool_removal"), _CHANGE)}


def _content(blocks: dict[str, s.Check]) -> s.Check:
    return s.either(text=s.STR, array=s.items(s.tagged("type", blocks)))


def _message(blocks: dict[str, s.Check]) -> s.Check:
    return s.fields({"role": s.ANY, "content": _content(blocks)})


#: What the system adds in the midst of a conversation; some of it needs a beta.
_SYSTEM = s.fields(
    {"role": s.ANY},
    content=_content(_SYSTEM_BLOCKS),
    output_config=s.nullable(s.fields({}, effort=_EFFORT)),
    clear_at=s.nullable(s.choice("next_user_message", "never")),
)


_PARALLEL: dict[str, s.Check] = {"disable_parallel_tool_use": s.BOOL}
_CHOICE = s.tagged(
    "type",
    {
        "auto": s.fields({"type": s.ANY}, **_PARALLEL),
        "any": s.fields({"type": s.ANY}, **_PARALLEL),
        "tool": s.fields({"type": s.ANY, "name": s.STR}, **_PARALLEL),
        "none": s.fields({"type": s.ANY}),
    },
)
_THINKING = s.tagged(
    "type",
    {
        "enabled": s.fields({"type": s.ANY, "budget_tokens": s.between(1024, 10**9, s.INT)}, display=s.STR),
        "adaptive": s.fields(
            {"type": s.ANY}, display=s.choice("summarized", "omitted", "updates"), block_binding=s.OBJECT
        ),
        "disabled": s.fields({"type": s.ANY}),
        "between_tools": s.fields({"type": s.ANY}),
    },
)
_CUSTOM = s.fields(
    {"name": _NAME, "input_schema": s.OBJECT},
    **_CACHED,
    type=s.nullable(s.choice("custom")),
    description=s.STR,
    strict=s.BOOL,
    defer_loading=s.BOOL,
    eager_input_streaming=s.BOOL,
    allowed_callers=s.ARRAY,
    input_examples=s.ARRAY,
)
#: Tools that the vendor runs, or that a client of its own knows: families of dated types, and their names.
_VENDOR_TOOL = re.compile(
    r"(web_search|web_fetch|code_execution|tool_search_tool_(bm25|regex)|bash|text_editor|computer|memory"
    r"|(browser|computer)_toolset)_20\d{6}"
)


def is_vendor_tool(tool: dict[str, Any]) -> bool:
    """Whether a tool has a type of the vendor's, which brings its schema."""
    return _VENDOR_TOOL.fullmatch(str(tool.get("type"))) is not None


def _TOOL(value: Any, path: s.Path) -> None:
    s.OBJECT(value, path)
    if is_vendor_tool(value):
        s.STR(value.get("name"), (*path, "name"))
    else:
        _CUSTOM(value, path)


_COUNTED: dict[str, s.Check] = {
    "system": s.either(text=s.STR, array=s.items(s.tagged("type", {"text": _TEXT}))),
    "tools": s.items(_TOOL),
    "tool_choice": _CHOICE,
    "thinking": _THINKING,
    "cache_control": s.nullable(_CACHE),
    "output_config": s.fields(
        {},
        effort=_EFFORT,
        format=s.nullable(s.fields({"type": s.choice("json_schema"), "schema": s.OBJECT})),
    ),
}
_REQUIRED: dict[str, s.Check] = {
    "model": s.text_of(256, 1),
    "messages": s.items(
        s.tagged(
            "role",
            {
                "user": _message(_USER_BLOCKS),
                "assistant": _message(_ASSISTANT_BLOCKS),
                "system": _SYSTEM,
            },
        ),
        least=1,
    ),
}
_EDITS = s.same(("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112"), s.OBJECT)
COUNT = s.fields(_REQUIRED, **_COUNTED)
MESSAGES = s.fields(
    {**_REQUIRED, "max_tokens": s.between(0, 10**9, s.INT)},
    **_COUNTED,
    temperature=s.between(0, 1),
    top_p=s.between(0, 1),
    top_k=s.between(0, 10**9, s.INT),
    stop_sequences=s.items(s.text_of(4096, 1)),
    stream=s.BOOL,
    metadata=s.fields({}, user_id=s.nullable(s.text_of(256))),
    service_tier=s.choice("auto", "standard_only"),
    container=s.ANY,
    inference_geo=s.nullable(s.STR),
    speed=s.nullable(s.choice("standard", "fast")),
    safeguards=s.items(s.tagged("type", {"dangerous_tool_use": s.OBJECT})),
    context_management=s.nullable(s.fields({}, edits=s.items(s.tagged("type", _EDITS)))),
)

_MAGIC = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


def _refuse(message: str) -> None:
    raise VendorError(400, message)


def blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The content as blocks; a message of the system may have none."""
    content = message.get("content", [])
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _walk(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every content block with its path, those inside tool results too."""
    for at, message in enumerate(body["messages"]):
        for index, block in enumerate(blocks_of(message)):
            path = f"messages.{at}.content.{index}"
            yield path, block
            if block["type"] == "tool_result" and isinstance(block.get("content"), list):
                for inner, part in enumerate(block["content"]):
                    yield f"{path}.content.{inner}", part


def _turns(body: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Messages with those of one role in a row joined, as the service does, those of the system apart."""
    spoken = (message for message in body["messages"] if message["role"] != "system")
    return [
        (role, [block for message in group for block in blocks_of(message)])
        for role, group in itertools.groupby(spoken, key=lambda message: str(message["role"]))
    ]


def check_first_turn(body: dict[str, Any], seal: Seal) -> None:
    """The conversation begins with the user, and only its last assistant message may be empty."""
    messages = body["messages"]
    if messages[0]["role"] != "user":
        _refuse('messages: first message must use the "user" role')
    for at, message in enumerate(messages):
        if (
            message["role"] != "system"
            and not message["content"]
            and (at + 1 < len(messages) or message["role"] == "user")
        ):
            _refuse(
                f"messages.{at}: all messages must have non-empty content except for the optional final "
                "assistant message"
            )
    last = blocks_of(messages[-1])
    if messages[-1]["role"] == "assistant" and last and last[-1].get("text", "").endswith((" ", "\n")):
        _refuse("messages: final assistant content cannot end with trailing whitespace")


def check_texts(body: dict[str, Any], seal: Seal) -> None:
    """Texts are not blank; images are what they say they are."""
    system = body.get("system", "")
    texts = [("system", block) for block in (system if isinstance(system, list) else ())]
    for path, block in [*texts, *_walk(body)]:
        if block["type"] == "text":
            if not block["text"]:
                _refuse(f"{path.partition('.')[0]}: text content blocks must be non-empty")
            if not block["text"].strip():
                _refuse(f"{path.partition('.')[0]}: text content blocks must contain non-whitespace text")
        elif block["type"] == "image" and block["source"]["type"] == "base64":
            _check_image(path, block["source"])


def _check_image(path: str, source: dict[str, Any]) -> None:
    try:
        raw = base64.b64decode(source["data"], validate=True)
    except ValueError:
        raise VendorError(400, f"{path}.image.source.base64: invalid base64 data") from None
    if not raw.startswith(_MAGIC[source["media_type"]]):
        _refuse(
            f"{path}.image.source.base64.data: The image was specified using the {source['media_type']} "
            "media type, but the image appears to be another one"
        )


def check_pairs(body: dict[str, Any], seal: Seal) -> None:
    """Each tool use is answered in the next user turn, its results first; no result comes from nowhere."""
    turns = _turns(body)
    seen: set[str] = set()
    called: list[str] = []
    for at, (_, blocks) in enumerate(turns):
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        stray = [one for one in answered if one not in called]
        if stray:
            _refuse(
                f"messages.{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {stray[0]}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if len(set(answered)) != len(answered):
            _refuse(f"messages.{at}.content: each tool_use must have a single result.")
        kinds = [block["type"] == "tool_result" for block in blocks]
        missing = [one for one in called if one not in answered]
        if missing or (answered and not all(kinds[: len(answered)])):
            names = ", ".join(missing or called)
            _refuse(
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {names}. Each `tool_use` block must have a corresponding `tool_result` block in "
                "the next message."
            )
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(called)) != len(called) or seen & set(called):
            _refuse(f"messages.{at}: `tool_use` ids must be unique")
        seen.update(called)
    if called:
        _refuse(
            f"messages.{len(turns) - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(called)}."
        )


def check_thinking(body: dict[str, Any], seal: Seal) -> None:
    """Signatures are our own; thinking agrees with limits, sampling, choice, and the open tool loop."""
    for path, block in _walk(body):
        if block["type"] == "thinking" and not seal.knows(block["signature"], block["thinking"]):
            _refuse(f"{path}: Invalid `signature` in `thinking` block")
        if block["type"] == "redacted_thinking" and not seal.knows(block["data"], "redacted"):
            _refuse(f"{path}: Invalid `data` in `redacted_thinking` block")
    usual = {"type": "adaptive" if _THINKS_UNASKED.match(body["model"]) else "disabled"}
    thinking = body.get("thinking", usual)
    if thinking["type"] in ("disabled", "between_tools"):
        return
    if thinking.get("budget_tokens", -1) >= body.get("max_tokens", 10**9):
        _refuse(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation"
        )
    rules = (
        (body.get("temperature", 1) != 1, "`temperature` may only be set to 1 when thinking is enabled."),
        ("top_k" in body, "`top_k` must be unset when thinking is enabled."),
        (
            body.get("top_p", 1) < 0.95,
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ),
        (
            body.get("tool_choice", {}).get("type") in ("any", "tool"),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
    )
    for broken, message in rules:
        if broken:
            _refuse(message)
    turns = _turns(body)
    if thinking["type"] == "enabled" and turns[-1][1] and turns[-1][1][0]["type"] == "tool_result":
        first = turns[-2][1][0]["type"]
        if first not in ("thinking", "redacted_thinking"):
            _refuse(
                f"messages.{len(turns) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
                f"found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block."
            )


def check_tools(body: dict[str, Any], seal: Seal) -> None:
    """Tool schemas are objects, names are unique, a choice names a tool that is there."""
    tools = body.get("tools", [])
    for at, tool in enumerate(tools):
        if is_vendor_tool(tool):
            continue
        if tool["input_schema"].get("type") != "object":
            _refuse(f"tools.{at}.custom.input_schema.type: Input should be 'object'")
        for word in ("oneOf", "allOf", "anyOf"):
            if word in tool["input_schema"]:
                _refuse(
                    f"tools.{at}.custom.input_schema: input_schema does not support oneOf, allOf, or "
                    "anyOf at the top level"
                )
    names = [tool["name"] for tool in tools]
    if len(set(names)) != len(names):
        _refuse("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice and choice["type"] != "none" and not tools:
        _refuse("tool_choice: tool_choice may only be specified while providing tools.")
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        _refuse(f"Tool '{choice['name']}' not found in provided tools")


def check_cache_marks(body: dict[str, Any], seal: Seal) -> None:
    """At most four blocks are marked for the cache."""
    system = body.get("system", "")
    blocks = [*(system if isinstance(system, list) else ()), *body.get("tools", [])]
    marks = sum(1 for block in [*blocks, *(block for _, block in _walk(body))] if block.get("cache_control"))
    if marks > 4:
        _refuse(f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


#: Models that think where a request says nothing about it; those that always do; those that take effort
#: alone.
_THINKS_UNASKED = re.compile(r"claude-(\w+-5|mythos)")
_ALWAYS_THINKS = re.compile(r"claude-((opus|sonnet)-5-5|fable-5-[12]|mythos)")
_EFFORT_ALONE = re.compile(r"claude-(opus-4-[78]|\w+-5|mythos)")
#: Models that do not continue an assistant's message.
_NO_PREFILL = re.compile(r"claude-(\w+-4-[678]|\w+-5|mythos)")


def check_newer(body: dict[str, Any], seal: Seal) -> None:
    """What the models since 4.6 refuse: https://platform.claude.com/docs/en/about-claude/models."""
    model, kind = body["model"], body.get("thinking", {}).get("type")
    always = _ALWAYS_THINKS.match(model) is not None
    if kind == "between_tools" and not model.startswith("claude-sonnet-5-5"):
        _refuse('"thinking.type.between_tools" is not supported for this model.')
    if (kind == "disabled" and always) or (kind == "enabled" and _EFFORT_ALONE.match(model)):
        _refuse(
            f'"thinking.type.{kind}" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    if always and body.get("tool_choice", {}).get("type") in ("any", "tool"):
        _refuse("tool_choice: forced tool use is not supported for this model.")
    for name, usual in (("temperature", 1), ("top_p", 1), ("top_k", None)):
        if _EFFORT_ALONE.match(model) and body.get(name) not in (None, usual):
            _refuse(f"`{name}` is not supported for this model.")
    if body["messages"][-1]["role"] == "assistant" and _NO_PREFILL.match(model):
        _refuse(
            "This model does not support assistant message prefill. The conversation must end with a user "
            "message."
        )


def check_model(body: dict[str, Any], seal: Seal) -> None:
    """Adaptive thinking and effort are for the newer models only."""
    adaptive = body.get("thinking", {}).get("type") == "adaptive"
    older = any(
        word in body["model"] for word in ("-3-", "-4-0", "-4-1", "-4-2025", "sonnet-4-5", "haiku-4-5")
    )
    if adaptive and (older or "opus-4-5" in body["model"]):
        _refuse("adaptive thinking is not supported on this model")
    if older and "effort" in body.get("output_config", {}):
        _refuse("This model does not support the effort parameter.")


RULES: tuple[Callable[[dict[str, Any], Seal], None], ...] = (
    check_first_turn,
    check_texts,
    check_pairs,
    check_thinking,
    check_tools,
    check_cache_marks,
    check_model,
    check_newer,
)
