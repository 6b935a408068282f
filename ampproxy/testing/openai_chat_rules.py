"""What OpenAI's Chat Completions take: the declared requests, and the rules between their parts."""

from __future__ import annotations

import re
from typing import Any, Literal

from ampproxy.testing import schema as s
from ampproxy.testing.openai import EFFORT, METADATA, NAME, check_choice, check_schema, refuse
from ampproxy.testing.script import Asked
from ampproxy.testing.vendor import dump

Flavour = Literal["openai", "compatible"]

_TEXT = s.fields({"type": s.ANY, "text": s.STR}, prompt_cache_breakpoint=s.ANY)
_TEXT_MARKED = s.fields({"type": s.ANY, "text": s.STR}, prompt_cache_breakpoint=s.ANY, cache_control=s.ANY)
_IMAGE = s.fields(
    {
        "type": s.ANY,
        "image_url": s.fields({"url": s.STR}, detail=s.choice("auto", "low", "high", "original")),
    },
    prompt_cache_breakpoint=s.ANY,
)
_AUDIO = s.fields({"type": s.ANY, "input_audio": s.fields({"data": s.STR, "format": s.choice("wav", "mp3")})})
_FILE = s.fields({"type": s.ANY, "file": s.fields({}, filename=s.STR, file_data=s.STR, file_id=s.STR)})
_REFUSAL = s.fields({"type": s.ANY, "refusal": s.STR})
_CALL = s.fields(
    {
        "id": s.text_of(40, 1),
        "type": s.choice("function"),
        "function": s.fields({"name": NAME, "arguments": s.STR}),
    }
)


def _messages(flavour: Flavour) -> s.Check:
    text = _TEXT if flavour == "openai" else _TEXT_MARKED
    only_text = s.either(text=s.STR, array=s.items(s.tagged("type", {"text": text}), least=1))
    user = {"text": text, "image_url": _IMAGE, "input_audio": _AUDIO, "file": _FILE}
    thoughts: dict[str, s.Check] = {} if flavour == "openai" else {"reasoning_content": s.nullable(s.STR)}
    system = s.fields({"role": s.ANY, "content": only_text}, name=s.STR)
    content = s.either(text=s.STR, array=s.items(s.tagged("type", {"text": text, "refusal": _REFUSAL})))
    table = {
        "system": system,
        "developer": system,
        "user": s.fields(
            {"role": s.ANY, "content": s.either(text=s.STR, array=s.items(s.tagged("type", user), least=1))},
            name=s.STR,
        ),
        "assistant": s.fields(
            {"role": s.ANY},
            content=s.nullable(content),
            refusal=s.nullable(s.STR),
            name=s.STR,
            audio=s.nullable(s.OBJECT),
            annotations=s.ARRAY,
            tool_calls=s.items(_CALL, most=128, least=1),
            **thoughts,
        ),
        "tool": s.fields({"role": s.ANY, "content": only_text, "tool_call_id": s.STR}, name=s.STR),
    }
    return s.items(s.tagged("role", table), least=1)


_TOOL = s.fields(
    {
        "type": s.choice("function"),
        "function": s.fields(
            {"name": NAME},
            description=s.STR,
            parameters=s.nullable(s.OBJECT),
            strict=s.nullable(s.BOOL),
        ),
    }
)
_FORMAT = s.tagged(
    "type",
    {
        "text": s.fields({"type": s.ANY}),
        "json_object": s.fields({"type": s.ANY}),
        "json_schema": s.fields(
            {
                "type": s.ANY,
                "json_schema": s.fields(
                    {"name": NAME}, description=s.STR, schema=s.OBJECT, strict=s.nullable(s.BOOL)
                ),
            }
        ),
    },
)
_CHOICE = s.either(
    text=s.choice("none", "auto", "required"),
    members=s.tagged(
        "type",
        {
            "function": s.fields({"type": s.ANY, "function": s.fields({"name": s.STR})}),
            "allowed_tools": s.fields({"type": s.ANY, "allowed_tools": s.OBJECT}),
        },
    ),
)
_NULL_INT = s.nullable(s.between(1, 10**9, s.INT))
_SHARED: dict[str, s.Check] = {
    "frequency_penalty": s.nullable(s.between(-2, 2)),
    "presence_penalty": s.nullable(s.between(-2, 2)),
    "logit_bias": s.nullable(s.OBJECT),
    "max_tokens": _NULL_INT,
    "n": s.nullable(s.between(1, 128, s.INT)),
    "seed": s.nullable(s.INT),
    "stop": s.nullable(s.either(text=s.STR, array=s.items(s.STR, most=4))),
    "stream": s.nullable(s.BOOL),
    "stream_options": s.nullable(s.fields({}, include_usage=s.BOOL, include_obfuscation=s.BOOL)),
    "temperature": s.nullable(s.between(0, 2)),
    "top_p": s.nullable(s.between(0, 1)),
    "user": s.STR,
}
_CHAT: dict[str, s.Check] = {
    **_SHARED,
    "max_completion_tokens": _NULL_INT,
    "tools": s.items(_TOOL, most=128),
    "tool_choice": _CHOICE,
    "parallel_tool_calls": s.BOOL,
    "response_format": _FORMAT,
    "reasoning_effort": EFFORT,
    "verbosity": s.nullable(s.choice("low", "medium", "high")),
    "logprobs": s.nullable(s.BOOL),
    "top_logprobs": s.nullable(s.between(0, 20, s.INT)),
    "metadata": METADATA,
    "store": s.nullable(s.BOOL),
    "service_tier": s.nullable(s.choice("auto", "default", "flex", "scale", "priority")),
    **s.same(("modalities", "audio", "prediction", "web_search_options", "moderation"), s.ANY),
    **s.same(("prompt_cache_key", "prompt_cache_retention", "safety_identifier"), s.nullable(s.STR)),
    "prompt_cache_options": s.ANY,
}
_MORE = s.same(
    ("top_k", "min_p", "repetition_penalty", "chat_template_args", "chat_template_kwargs", "thinking"), s.ANY
)
TABLES: dict[Flavour, s.Check] = {
    "openai": s.fields({"model": s.STR, "messages": _messages("openai")}, **_CHAT),
    "compatible": s.fields({"model": s.STR, "messages": _messages("compatible")}, **_CHAT, **_MORE),
}
COMPLETIONS = s.fields(
    {"model": s.STR, "prompt": s.nullable(s.either(text=s.STR, array=s.ARRAY))},
    **_SHARED,
    best_of=s.nullable(s.INT),
    echo=s.nullable(s.BOOL),
    logprobs=s.nullable(s.between(0, 5, s.INT)),
    suffix=s.nullable(s.STR),
)
EMBEDDINGS = s.fields(
    {"model": s.STR, "input": s.either(text=s.text_of(100_000, 1), array=s.items(s.ANY, most=2048, least=1))},
    dimensions=s.between(1, 3072, s.INT),
    encoding_format=s.choice("float", "base64"),
    user=s.STR,
)


def check_pairs(body: dict[str, Any]) -> None:
    """Tool messages follow the assistant's calls at once and answer each of them; nothing else does."""
    waiting: list[str] = []
    answering = False
    for at, message in enumerate([*body["messages"], {"role": "the end"}]):
        if message["role"] == "tool":
            if not answering or message["tool_call_id"] not in waiting:
                where = f"messages.[{at}].role"
                words = (
                    "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'"
                )
                refuse(f"Invalid parameter: {words}.", where)
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            refuse(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: "
                f"{', '.join(waiting)}",
                f"messages.[{at}].role",
            )
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        answering = bool(waiting)
        if len(set(waiting)) != len(waiting):
            refuse("Duplicate value for 'tool_call_id'.", f"messages[{at}].tool_calls")


def check_contents(body: dict[str, Any]) -> None:
    """An assistant message says something; an image is an image."""
    for at, message in enumerate(body["messages"]):
        content = message.get("content")
        has_content = content is not None or any(
            message.get(name) for name in ("tool_calls", "refusal", "audio")
        )
        if not has_content:
            where = f"messages.[{at}].content"
            refuse("Invalid value for 'content': expected a string, got null.", where)
        for index, part in enumerate(content if isinstance(content, list) else ()):
            url = part.get("image_url", {}).get("url", "http")
            if not url.startswith(("data:image/", "http")):
                refuse(
                    "Invalid MIME type. Only image types are supported.",
                    f"messages[{at}].content[{index}].image_url.url",
                    "invalid_image_format",
                )


def check_limits(body: dict[str, Any]) -> None:
    """Members that exclude or need each other."""
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        words = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        refuse(words, code="invalid_parameter_combination")
    if body.get("stream_options") is not None and not body.get("stream"):
        words = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        refuse(words, "stream_options")
    wanted = body.get("response_format", {}).get("type")
    if wanted == "json_object" and b"json" not in dump(body["messages"]).lower():
        refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
            "'json_object'.",
            "messages",
        )


#: Models for which OpenAI serves functions over Responses, and here only without thinking.
_FUNCTIONS_ELSEWHERE = re.compile(r"gpt-(5\.[4-9]|[6-9])")


def check_functions(body: dict[str, Any], flavour: Flavour) -> None:
    """OpenAI's newest models call no functions here while they think."""
    thinks = body.get("reasoning_effort") != "none"
    if flavour == "openai" and thinks and body.get("tools") and _FUNCTIONS_ELSEWHERE.match(body["model"]):
        refuse(
            f"Function tools with reasoning_effort are not supported for {body['model']} in "
            "/v1/chat/completions. Please use /v1/responses instead.",
            "reasoning_effort",
        )


def check_tools(body: dict[str, Any]) -> None:
    """Schemas are objects; a choice names a tool that is there."""
    check_choice(body)
    functions = [tool["function"] for tool in body.get("tools", [])]
    for one in functions:
        check_schema(f"function '{one['name']}'", one.get("parameters"), bool(one.get("strict")))
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function":
        name = choice["function"]["name"]
        if name not in [one["name"] for one in functions]:
            refuse(f"Tool choice 'function' not found in 'tools' parameter: {name}.", "tool_choice")


def _text_in(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if part["type"] == "text")


def _media(part: dict[str, Any]) -> str:
    data: str = part.get("image_url", {}).get("url") or part.get("file", {}).get("file_data") or part["type"]
    return data[5:].partition(";")[0] if data.startswith("data:") else str(part["type"])


def understand(body: dict[str, Any], size: int) -> Asked:
    """What an answer depends on."""
    messages = body["messages"]
    last = next((one for one in reversed(messages) if one["role"] == "user"), {"content": ""})
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.insert(0, _text_in(message["content"]))
    tools = {tool["function"]["name"]: tool["function"].get("parameters") for tool in body.get("tools", [])}
    choice = body.get("tool_choice", "auto")
    named = choice.get("function", {}).get("name", "") if isinstance(choice, dict) else ""
    content = last["content"]
    return Asked(
        model=body["model"],
        stream=bool(body.get("stream")),
        text=_text_in(content),
        tools={} if choice == "none" else tools,
        forced=tuple(tools) if choice == "required" else (named,),
        results=tuple(results),
        media=tuple(_media(part) for part in content if part["type"] != "text")
        if isinstance(content, list)
        else (),
        schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
        thinking=body.get("reasoning_effort") not in (None, "none"),
        size=size,
        cached="prompt_cache_key" in body,
    )
