"""What OpenAI's Responses take: the declared request, and the rules between its items."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ampproxy.testing import schema as s
from ampproxy.testing.openai import EFFORT, METADATA, NAME, check_choice, check_sampling, check_schema, refuse
from ampproxy.testing.script import Asked
from ampproxy.testing.vendor import VendorError, dump

#: What Codex notes of an item for itself.
_NOTED: dict[str, s.Check] = {"internal_chat_message_metadata_passthrough": s.nullable(s.OBJECT)}
_BREAK: dict[str, s.Check] = {"prompt_cache_breakpoint": s.ANY}
_DETAIL: dict[str, s.Check] = {"detail": s.choice("auto", "low", "high", "original")}
_INPUT_PARTS = {
    "input_text": s.fields({"type": s.ANY, "text": s.STR}, **_BREAK),
    "input_image": s.fields(
        {"type": s.ANY}, image_url=s.nullable(s.STR), file_id=s.nullable(s.STR), **_DETAIL, **_BREAK
    ),
    "input_file": s.fields(
        {"type": s.ANY},
        **s.same(("file_data", "file_id", "file_url", "filename"), s.nullable(s.STR)),
        **_DETAIL,
        **_BREAK,
    ),
}
_OUTPUT_PARTS = {
    "output_text": s.fields({"type": s.ANY, "text": s.STR}, annotations=s.ARRAY, logprobs=s.ARRAY),
    "refusal": s.fields({"type": s.ANY, "refusal": s.STR}),
}
_STATUS = s.nullable(s.choice("in_progress", "completed", "incomplete"))


def _id(prefix: str) -> s.Check:
    def check(value: Any, path: s.Path) -> None:
        s.STR(value, path)
        if not value.startswith(prefix):
            words = f"'{value}'. Expected an ID that begins with '{prefix}'"
            s.fail("value", path, words)

    return s.nullable(check)


def _message(parts: Mapping[str, s.Check]) -> s.Check:
    content = s.either(text=s.STR, array=s.items(s.tagged("type", parts)))
    return s.fields(
        {"role": s.ANY, "content": content}, type=s.ANY, id=_id("msg"), status=_STATUS, phase=s.ANY, **_NOTED
    )


_OUTPUT = s.either(text=s.STR, array=s.items(s.tagged("type", _INPUT_PARTS)))
_CALL_ID = s.text_of(64, 1)
_SUMMARY = s.items(s.fields({"type": s.choice("summary_text"), "text": s.STR}))
_ITEMS = {
    "message": s.tagged(
        "role",
        {
            **s.same(("user", "system", "developer"), _message(_INPUT_PARTS)),
            "assistant": _message(_OUTPUT_PARTS),
        },
    ),
    "function_call": s.fields(
        {"type": s.ANY, "call_id": _CALL_ID, "name": NAME, "arguments": s.STR},
        id=_id("fc"),
        status=_STATUS,
        namespace=s.ANY,
        **_NOTED,
    ),
    "function_call_output": s.fields(
        {"type": s.ANY, "call_id": _CALL_ID, "output": _OUTPUT},
        id=s.nullable(s.STR),
        status=_STATUS,
        **_NOTED,
    ),
    "custom_tool_call": s.OBJECT,
    "custom_tool_call_output": s.OBJECT,
    "reasoning": s.fields(
        {"type": s.ANY, "summary": _SUMMARY},
        id=_id("rs"),
        content=s.nullable(s.items(s.fields({"type": s.choice("reasoning_text"), "text": s.STR}))),
        encrypted_content=s.nullable(s.STR),
        status=_STATUS,
        **_NOTED,
    ),
    "item_reference": s.fields({"type": s.ANY, "id": s.STR}),
    # What Codex sends as well.
    "additional_tools": s.fields(
        {"type": s.ANY, "role": s.choice("developer"), "tools": s.ARRAY}, id=s.nullable(s.STR), **_NOTED
    ),
    "compaction_trigger": s.fields({"type": s.ANY}, id=s.nullable(s.STR)),
    "compaction": s.fields({"type": s.ANY, "encrypted_content": s.matching("gAAAA.*")}, id=s.nullable(s.STR)),
    "configuration_update": s.fields(
        {"type": s.ANY}, id=s.nullable(s.STR), reasoning=s.OBJECT, text=s.OBJECT
    ),
    **s.same(
        (
            "agent_message",
            *("tool_search_call", "tool_search_output", "local_shell_call", "local_shell_call_output"),
            *("shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"),
        ),
        s.OBJECT,
    ),
}
_FUNCTION = s.fields(
    {"type": s.ANY, "name": NAME},
    parameters=s.nullable(s.OBJECT),
    strict=s.nullable(s.BOOL),
    description=s.nullable(s.STR),
    defer_loading=s.BOOL,
)
_NAMESPACE = s.fields(
    {
        "type": s.ANY,
        "name": NAME,
        "description": s.STR,
        "tools": s.items(s.tagged("type", {"function": _FUNCTION, "custom": s.OBJECT})),
    }
)
_BUILT_IN = ("web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp")
_OF_CLIENTS = ("custom", "local_shell", "shell", "apply_patch", "tool_search")
_TOOLS = s.items(
    s.tagged(
        "type",
        {
            "function": _FUNCTION,
            "namespace": _NAMESPACE,
            **s.same((*_BUILT_IN, *_OF_CLIENTS), s.OBJECT),
        },
    ),
    most=128,
)
_FORMAT = s.tagged(
    "type",
    {
        "text": s.fields({"type": s.ANY}),
        "json_object": s.fields({"type": s.ANY}),
        "json_schema": s.fields(
            {"type": s.ANY, "name": NAME, "schema": s.OBJECT},
            description=s.nullable(s.STR),
            strict=s.nullable(s.BOOL),
        ),
    },
)
_INCLUDE = s.choice(
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
)
_SUMMARY_KIND = s.nullable(s.choice("auto", "concise", "detailed"))
REQUEST = s.fields(
    {"model": s.STR},
    input=s.either(text=s.STR, array=s.items(s.tagged("type", _ITEMS, default="message"))),
    instructions=s.nullable(s.STR),
    stream=s.nullable(s.BOOL),
    stream_options=s.nullable(s.fields({}, include_obfuscation=s.BOOL)),
    max_output_tokens=s.nullable(s.between(16, 10**9, s.INT)),
    max_tool_calls=s.nullable(s.INT),
    store=s.nullable(s.BOOL),
    include=s.nullable(s.items(_INCLUDE)),
    previous_response_id=_id("resp"),
    tools=_TOOLS,
    tool_choice=s.either(text=s.choice("none", "auto", "required"), members=s.OBJECT),
    parallel_tool_calls=s.nullable(s.BOOL),
    reasoning=s.nullable(
        s.fields({}, effort=EFFORT, summary=_SUMMARY_KIND, generate_summary=_SUMMARY_KIND, context=s.ANY)
    ),
    text=s.fields({}, format=_FORMAT, verbosity=s.nullable(s.choice("low", "medium", "high"))),
    temperature=s.nullable(s.between(0, 2)),
    top_p=s.nullable(s.between(0, 1)),
    top_logprobs=s.nullable(s.between(0, 20, s.INT)),
    truncation=s.nullable(s.choice("auto", "disabled")),
    metadata=METADATA,
    client_metadata=s.OBJECT,
    service_tier=s.nullable(s.choice("auto", "default", "flex", "scale", "priority")),
    **s.same(("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user"), s.nullable(s.STR)),
    **s.same(("prompt", "background", "conversation", "context_management", "prompt_cache_options"), s.ANY),
)

Item = dict[str, Any]


def items_of(body: dict[str, Any]) -> list[Item]:
    """The input as items, each with its type."""
    given = body.get("input", [])
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [{"type": "message", **item} for item in given]


#: What a client runs: the type of the call -> the type of what it returns.
PAIRS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "tool_search_call": "tool_search_output",
    "local_shell_call": "local_shell_call_output",
    "shell_call": "shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
}
_RETURNED = frozenset(PAIRS.values())


def check_pairs(items: list[Item]) -> None:
    """Each call has its output, each output its call, and the call comes first."""
    calls = [item["call_id"] for item in items if item["type"] in PAIRS and item.get("call_id")]
    outputs = [item["call_id"] for item in items if item["type"] in _RETURNED and item.get("call_id")]
    for at, item in enumerate(items):
        if item["type"] in _RETURNED and item.get("call_id"):
            before = [one.get("call_id") for one in items[:at] if PAIRS.get(one["type"]) == item["type"]]
            if item["call_id"] not in before:
                refuse(
                    f"No tool call found for function call output with call_id {item['call_id']}.", "input"
                )
    for name, listed in (("function call", calls), ("function call output", outputs)):
        if len(set(listed)) != len(listed):
            refuse(f"Duplicate {name} with the same call_id in the input.", "input")
    missing = [one for one in calls if one not in outputs]
    if missing:
        refuse(f"No tool output found for function call {missing[0]}.", "input")


def check_reasoning(items: list[Item], issued: Mapping[str, str], stored: Mapping[str, Item]) -> None:
    """Sealed reasoning is our own and stands under its own id; what follows from it follows it.

    :param issued: sealed content -> id of the item it was issued under.
    :param stored: id -> item, of answers that were kept.
    """
    for at, item in enumerate(items):
        if item["type"] != "reasoning":
            continue
        sealed, name = item.get("encrypted_content"), item.get("id")
        if sealed is None:
            if name not in stored:
                words = (
                    "Items are not persisted when `store` is set to false. Try again with `store` set to true"
                )
                message = f"Item with id '{name}' not found. {words}, or remove this item from your input."
                raise VendorError(404, message, param="input")
        elif sealed not in issued or name not in (None, issued[sealed]):
            reason = "Encrypted content could not be decrypted or parsed."
            if sealed in issued:
                reason = "Encrypted content item_id did not match the target item id."
            refuse(
                f"The encrypted content for item {name} could not be verified. Reason: {reason}",
                code="invalid_encrypted_content",
            )
        following = next((one for one in items[at + 1 :] if one["type"] != "reasoning"), None)
        follows = following is not None and (
            following["type"] in PAIRS or following.get("role") == "assistant"
        )
        if not follows:
            words = "of type 'reasoning' was provided without its required following item."
            refuse(f"Item '{name}' {words}", "input")


def check_limits(body: dict[str, Any]) -> None:
    """Members that exclude or need each other, and tools that fit."""
    check_choice({**body, "tools": [*body.get("tools", ()), *_late(items_of(body))]})
    check_sampling(body, (body.get("reasoning") or {}).get("effort"))
    if "input" not in body and not body.get("prompt"):
        refuse("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if body.get("stream_options") is not None and not body.get("stream"):
        words = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        refuse(words, "stream_options")
    tools = body.get("tools", [])
    for tool in tools:
        if tool["type"] == "function":
            check_schema(f"function '{tool['name']}'", tool.get("parameters"), tool.get("strict") is True)
    shape = body.get("text", {}).get("format", {"type": "text"})
    if shape["type"] == "json_schema":
        check_schema(f"response_format '{shape['name']}'", shape["schema"], shape.get("strict") is True)
    if (
        shape["type"] == "json_object"
        and b"json" not in dump([body.get("input"), body.get("instructions")]).lower()
    ):
        words = "Response input messages must contain the word 'json' in some form to use 'text.format'"
        refuse(f"{words} of type 'json_object'.", "input")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        names = [tool.get("name") for tool in tools]
        if choice.get("name") not in names:
            refuse("Tool choice 'function' not found in 'tools' parameter.", "tool_choice")


def _text_in(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if part["type"] in ("input_text", "output_text"))


def _media(part: dict[str, Any]) -> str:
    data = str(part.get("image_url") or part.get("file_data") or part["type"])
    return data[5:].partition(";")[0] if data.startswith("data:") else str(part["type"])


def _late(items: list[Item]) -> Iterator[Item]:
    """The tools that were added in the midst of a conversation, or found there."""
    for item in items:
        if item["type"] in ("additional_tools", "tool_search_output"):
            yield from item.get("tools", ())


def _tools(body: dict[str, Any], items: list[Item]) -> Iterator[tuple[str, Item]]:
    """The tools that a client runs, by name. In a namespace it is ``NAMESPACE.NAME``; one that its type
    makes known has the name of the type.
    """
    for tool in (*body.get("tools", ()), *_late(items)):
        if tool["type"] == "namespace":
            yield from ((f"{tool['name']}.{one['name']}", one) for one in tool["tools"])
        elif tool["type"] not in _BUILT_IN:
            yield tool.get("name", tool["type"]), tool


def call(name: str, arguments: str, body: dict[str, Any], items: list[Item]) -> Item:
    """The item by which a tool is called, without ids.

    :param name: as :func:`understand` has it.
    :param arguments: JSON; of a custom tool its input, as it is.
    """
    kind = next((str(tool["type"]) for known, tool in _tools(body, items) if known == name), "function")
    namespace, _, plain = name.rpartition(".")
    where = {"namespace": namespace} if namespace else {}
    match kind:
        case "custom":
            return {"type": "custom_tool_call", **where, "name": plain, "input": arguments}
        case "tool_search":
            searched = {"execution": "client", "arguments": json.loads(arguments)}
            return {"type": "tool_search_call", "status": "completed", **searched}
        case _:
            called = {"name": plain, "arguments": arguments}
            return {"type": "function_call", "status": "completed", **where, **called}


def understand(body: dict[str, Any], items: list[Item], size: int) -> Asked:
    """What an answer depends on."""
    results: list[str] = []
    for item in reversed(items):
        if item["type"] not in _RETURNED:
            break
        results.insert(0, _text_in(item.get("output", "")))
    content = next((one["content"] for one in reversed(items) if one.get("role") == "user"), "")
    tools = {name: tool.get("parameters") for name, tool in _tools(body, items)}
    choice = body.get("tool_choice", "auto")
    named = choice.get("name", "") if isinstance(choice, dict) else ""
    reasoning = body.get("reasoning") or {}
    return Asked(
        model=body["model"],
        stream=bool(body.get("stream")),
        text=_text_in(content),
        tools={} if choice == "none" else tools,
        forced=tuple(tools) if choice == "required" else (named,),
        results=tuple(results),
        media=()
        if isinstance(content, str)
        else tuple(_media(part) for part in content if part["type"] in ("input_image", "input_file")),
        schema=body.get("text", {}).get("format", {}).get("schema"),
        thinking=bool(reasoning) and reasoning.get("effort") != "none",
        size=size,
        cached=bool(body.get("prompt_cache_key")),
    )
