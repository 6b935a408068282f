"""Requests as the classic Amp CLI makes them, of January to May 2026: main conversations in each dialect, and
the calls beside them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]

SCHEMA: Body = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "cmd": {"type": "string", "description": "The command."},
        "timeout": {"type": "integer", "default": 300, "minimum": 1},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "lines": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        "mode": {"type": "string", "enum": ["plain", "tty"]},
    },
    "required": ["cmd"],
    "additionalProperties": False,
}
#: The same as Google's kind of schema has it.
GOOGLE_SCHEMA: Body = {
    "type": "OBJECT",
    "properties": {"cmd": {"type": "STRING", "description": "The command."}},
    "required": ["cmd"],
}
PROMPT = 'use the tool Bash with {"cmd":"ls -la \\"Grüße\\""}'
ARGUMENTS = {"cmd": 'ls -la "Grüße"'}
RESULT = '{"output":"a.txt\\n","exitCode":0}'
_CACHED = {"type": "ephemeral", "ttl": "1h"}


@dataclass(frozen=True)
class Call:
    """One request.

    :param path: below ``/api/provider``; ``{model}`` is the model's name.
    :param forced: the tool that it demands.
    :param calls: whether its last words ask for a call of ``Bash``.
    :param later: it goes on after a call, whose result it has.
    :param newer: it is for models of the generation of May.
    """

    name: str
    path: str
    body: Body
    headers: dict[str, str] = field(default_factory=dict)
    forced: str = ""
    calls: bool = False
    later: bool = False
    newer: bool = False

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream")) or ":stream" in self.path


_CHAT_FEATURE = {"x-amp-thread-id": "T-00000000-0000-4000-8000-000000000001", "x-amp-feature": "amp.chat"}
_TEXTS = [{"type": "text", "text": "You are Amp."}, {"type": "text", "text": "Be brief."}]


def _anthropic(messages: list[Body], **more: Any) -> Body:
    system = [{**_TEXTS[0], "cache_control": _CACHED}, _TEXTS[1], {**_TEXTS[1], "cache_control": _CACHED}]
    tools = [{"name": name, "description": "d", "input_schema": SCHEMA} for name in ("Bash", "Read")]
    asked = {"max_tokens": 32000, "system": system, "tools": tools, "stream": True, "messages": messages}
    return {**asked, "thinking": {"type": "enabled", "budget_tokens": 4000}, **more}


def _user(text: str) -> Body:
    marked = {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    return {"role": "user", "content": [{"type": "text", "text": "# User State"}, marked]}


def _used(signature: Body) -> list[Body]:
    """A call and its result, behind thinking that carries no proof."""
    called = {"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": ARGUMENTS}
    thought = {"type": "thinking", "thinking": "I should look.", **signature}
    given = {"type": "tool_result", "tool_use_id": "toolu_01A", "is_error": False}
    return [
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Looking."}, called]},
        {
            "role": "user",
            "content": [
                {**given, "content": [{"type": "text", "text": RESULT}]},
                {"type": "text", "text": "Go on."},
            ],
        },
    ]


_ADAPTIVE = {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}
_MESSAGES = "/anthropic/v1/messages"
_BETAS = {"anthropic-beta": "fine-grained-tool-streaming-2025-05-14", "anthropic-version": "2023-06-01"}


def _forced(name: str, **more: Any) -> Body:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    tool = {"name": name, "description": "d", "input_schema": schema}
    choice = {"type": "tool", "name": name, "disable_parallel_tool_use": True}
    return {"max_tokens": 60, "temperature": 0.7, "tools": [tool], "tool_choice": choice, **more}


_INPUT: list[Body] = [
    {"role": "system", "content": "You are Amp."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": PROMPT}]},
]
_INPUT_USED: list[Body] = [
    {"type": "function_call", "name": "Bash", "call_id": "call_1", "arguments": '{"cmd":"ls"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": RESULT},
]
_FLAT = {"type": "function", "name": "Bash", "description": "d", "parameters": SCHEMA, "strict": False}


def _responses(items: list[Body], **more: Any) -> Body:
    reasoning = {"effort": "medium", "summary": "detailed"}
    asked = {"input": items, "store": False, "include": ["reasoning.encrypted_content"], "stream": True}
    return {**asked, "tools": [_FLAT], "reasoning": reasoning, "prompt_cache_key": "T-1", **more}


_NESTED = {"type": "function", "function": {"name": "Bash", "description": "d", "parameters": SCHEMA}}
_WORDS: list[Body] = [
    {"role": "system", "content": [{"type": "text", "text": "You are Amp."}]},
    {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
]
_WORDS_USED: list[Body] = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "Bash", "arguments": '{"cmd":"ls"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": RESULT},
]


def _chat(messages: list[Body], **more: Any) -> Body:
    return {"messages": messages, "tools": [_NESTED], "stream": True, **more}


_CONTENTS: list[Body] = [{"role": "user", "parts": [{"text": PROMPT}]}]
_CONTENTS_USED: list[Body] = [
    {"role": "model", "parts": [{"functionCall": {"name": "Bash", "args": {"cmd": "ls"}}}, {"text": ""}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "Bash", "response": {"output": RESULT}}}]},
]
_DECLARED = [{"functionDeclarations": [{"name": "Bash", "description": "d", "parameters": GOOGLE_SCHEMA}]}]
_GOOGLE = {"x-goog-api-key": "placeholder", "x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v22"}
_PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


def _gemini(contents: list[Body], *, tools: bool = True, **config: Any) -> Body:
    thinking = {"includeThoughts": True}
    generation = {
        "temperature": 0.7,
        "maxOutputTokens": 65535,
        "seed": 7,
        "thinkingConfig": thinking,
        **config,
    }
    asked: Body = {"contents": contents, "generationConfig": generation}
    asked["systemInstruction"] = {"role": "user", "parts": [{"text": "You are Amp."}]}
    return {**asked, "tools": _DECLARED} if tools else asked


_MODEL = "/google/v1beta1/publishers/google/models/{model}"
_SHAPE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"relevant": {"type": "string"}},
    "required": ["relevant"],
    "additionalProperties": False,
}
_SILENT = {"includeThoughts": False, "thinkingLevel": "MINIMAL"}

CALLS = (
    Call("smart", _MESSAGES, _anthropic([_user(PROMPT)]), _BETAS | _CHAT_FEATURE, calls=True),
    Call(
        "smart later", _MESSAGES, _anthropic([_user(PROMPT), *_used({"signature": ""})]), _BETAS, later=True
    ),
    Call("no signature", _MESSAGES, _anthropic([_user(PROMPT), *_used({})]), _BETAS, later=True),
    Call(
        "May",
        _MESSAGES,
        _anthropic([_user(PROMPT)], **_ADAPTIVE),
        _BETAS | _CHAT_FEATURE,
        calls=True,
        newer=True,
    ),
    Call(
        "title",
        _MESSAGES,
        _forced("set_title", messages=[{"role": "user", "content": "hi"}], system="Name it."),
        forced="set_title",
    ),
    Call(
        "handoff",
        _MESSAGES,
        _forced(
            "create_handoff_context",
            max_tokens=8000,
            messages=[{"role": "user", "content": "hi"}, {"role": "user", "content": "hand over"}],
            system="",
        ),
        forced="create_handoff_context",
    ),
    Call("deep", "/openai/v1/responses", _responses(_INPUT, max_output_tokens=32000), calls=True),
    Call("oracle", "/openai/v1/responses", _responses([*_INPUT, *_INPUT_USED]), later=True),
    Call(
        "deep in May",
        "/openai/v1/responses",
        _responses(_INPUT, parallel_tool_calls=True, stream_options={"include_obfuscation": False}),
        calls=True,
    ),
    Call(
        "xai", "/xai/v1/chat/completions", _chat(_WORDS, stream_options={"include_usage": True}), calls=True
    ),
    Call("kimi", "/kimi/chat/completions", _chat([*_WORDS, *_WORDS_USED]), later=True),
    Call("groq", "/groq/chat/completions", _chat(_WORDS, temperature=0.7), calls=True),
    Call("gemini", _MODEL + ":streamGenerateContent?alt=sse", _gemini(_CONTENTS), _GOOGLE, calls=True),
    Call(
        "gemini later",
        _MODEL + ":streamGenerateContent?alt=sse",
        _gemini([*_CONTENTS, *_CONTENTS_USED]),
        _GOOGLE,
        later=True,
    ),
    Call(
        "read_thread",
        _MODEL + ":generateContent",
        _gemini(
            [{"role": "user", "parts": [{"text": "a"}]}, {"role": "user", "parts": [{"text": "b"}]}],
            tools=False,
            responseMimeType="application/json",
            responseJsonSchema=_SHAPE,
        ),
        _GOOGLE,
    ),
    Call(
        "look_at",
        _MODEL + ":generateContent",
        _gemini(
            [
                {
                    "role": "user",
                    "parts": [
                        {"inlineData": {"mimeType": "image/png", "data": _PICTURE}},
                        {"text": "What is it?"},
                    ],
                }
            ],
            tools=False,
        ),
        _GOOGLE,
    ),
)
