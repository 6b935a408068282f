"""Refusals as vendors and servers word them, and what becomes of the request.

The bodies were collected from public reports of these vendors' answers.
"""

# ruff: noqa: E501  (what vendors say is quoted whole)
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.dialects.bending import bent
from ampproxy.dialects.refusals import lessons_of
from ampproxy.model.lesson import EACH, Lesson
from ampproxy.model.loss import OF_REQUEST
from tests.cases import each

HI = [{"role": "user", "content": "hi"}]


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic(message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def google(message: str, *fields: tuple[str, str]) -> dict[str, Any]:
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": what} for field, what in fields],
        }
    ]
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    return {"error": {**error, "details": details} if fields else error}


def pydantic(*entries: tuple[list[Any], str, str]) -> list[dict[str, Any]]:
    return [{"type": kind, "loc": loc, "msg": message, "input": 1} for loc, kind, message in entries]


EXTRA = "Extra inputs are not permitted"
UNKNOWN_NAME = "Invalid JSON payload received. Unknown name \"{}\" at '{}': Cannot find field."
MAX_TOKENS = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
MANDATORY = "Reasoning is mandatory for this endpoint and cannot be disabled."
LOW_TO_HIGH = "Input should be 'low', 'medium' or 'high'"
SGLANG = (
    "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': "
    "\"Input should be 'low', 'medium' or 'high'\", 'input': 'xhigh', 'ctx': {'expected': \"'low', 'medium' or 'high'\"}}"
)
GROQ = (
    "'messages.1' : for 'role:assistant' the following must be satisfied"
    "[('messages.1' : property 'reasoning_content' is unsupported)]"
)
THOUGHT = {"role": "assistant", "content": "x", "reasoning_content": "y"}

#: (name, what the vendor answers, what was sent beside the question, what is sent instead of it).
CASES: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    (
        "members that are taken are no words",
        openai(
            "Failed to deserialize the JSON body into the target type: unknown field `client_metadata`,"
            " expected one of `model`, `input` at line 1 column 90"
        ),
        {"client_metadata": {"a": "b"}},
        {},
    ),
    (
        "the choice that is the default",
        openai("litellm.UnsupportedParamsError: fireworks_ai does not support parameters: [tool_choice], for model=m"),
        {"tool_choice": "auto"},
        {},
    ),
    (
        "thinking that is always on at Moonshot's",
        openai("invalid thinking: only type=enabled is allowed for this model"),
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "enabled"}},
    ),
    (
        "thinking that is always on at Alibaba's",
        openai("The value of the enable_thinking parameter is restricted to True."),
        {"enable_thinking": False},
        {"enable_thinking": True},
    ),
    (
        "a budget out of range",
        google("Thinking budget is out of range; supported values are integers from 512 to 24576"),
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 32768}}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 24576}}},
    ),
    (
        "two words for a member",
        google("Media resolution is not supported for this model"),
        {"generationConfig": {"topK": 1, "mediaResolution": "MEDIA_RESOLUTION_LOW"}},
        {"generationConfig": {"topK": 1}},
    ),
    (
        "the most that a server holds",
        openai("max_tokens=32000 cannot be greater than max_model_len=16384. Please request fewer output tokens."),
        {"max_tokens": 32000},
        {"max_tokens": 16384},
    ),
    (
        "thinking of another kind",
        anthropic("thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags: 'disabled', 'enabled'"),
        {"thinking": {"type": "adaptive"}},
        {},
    ),
    ("effort of Anthropic's", anthropic(f"output_config: {EXTRA}"), {"output_config": {"effort": "high"}}, {}),
    (
        "the most that a model generates",
        openai("max_tokens is too large: 64000. This model's maximum output is 32768 tokens"),
        {"max_tokens": 64000},
        {"max_tokens": 32768},
    ),
    (
        "summaries for who is verified",
        openai(
            "Your organization must be verified to generate reasoning summaries. Please go to:"
            " https://platform.openai.com/settings/organization/general and click on Verify Organization.",
            "reasoning.summary",
            "unsupported_value",
        ),
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"reasoning": {"effort": "low"}},
    ),
    (
        "labels for what is stored",
        openai("The 'metadata' parameter is only allowed when 'store' is enabled.", "metadata"),
        {"metadata": {"a": "b"}},
        {},
    ),
    ("openai renamed", openai(MAX_TOKENS, "max_tokens", "unsupported_parameter"),
     {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ("copilot renamed", {"error": {"message": MAX_TOKENS, "code": "invalid_request_body"}},
     {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ("openai temperature",
     openai("Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is"
            " supported.", "temperature", "unsupported_value"),
     {"temperature": 0.7}, {"temperature": 1}),
    ("openai unsupported",
     openai("Unsupported parameter: 'top_p' is not supported with this model.", "top_p", "unsupported_parameter"),
     {"top_p": 0.5}, {}),
    ("openai nested", openai("Unknown parameter: 'reasoning.summery'.", "reasoning.summery", "unknown_parameter"),
     {"reasoning": {"effort": "low", "summery": "auto"}}, {"reasoning": {"effort": "low"}}),
    ("openai supplied", openai("Unrecognized request argument supplied: reasoning_effort"),
     {"reasoning_effort": "low"}, {}),
    ("fireworks", openai("Extra inputs are not permitted, field: 'verbosity', value: 'low'"),
     {"verbosity": "low"}, {}),
    ("nvidia", openai("Validation: Unsupported parameter(s): `verbosity`"), {"verbosity": "low"}, {}),
    ("openai effort",
     openai("Unsupported value: 'max' is not supported with the 'gpt-5.1' model. Supported values are: 'none', 'low',"
            " 'medium', and 'high'.", "reasoning.effort", "unsupported_value"),
     {"reasoning": {"effort": "max"}}, {"reasoning": {"effort": "high"}}),
    ("openai invalid effort",
     openai("Invalid value: 'minimal'. Supported values are: 'low', 'medium', 'high', and 'xhigh'.",
            "reasoning_effort", "invalid_value"),
     {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
    ("openrouter's switch", openai(MANDATORY), {"reasoning": {"enabled": False}}, {"reasoning": {"enabled": True}}),
    ("openrouter's effort", openai(MANDATORY), {"reasoning": {"effort": "none"}}, {"reasoning": {"effort": "low"}}),
    ("openrouter's older switch", openai(MANDATORY), {"include_reasoning": False}, {}),
    ("a switch in a template", openai("Thinking cannot be disabled for this model."),
     {"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"enable_thinking": True}}),
    ("ollama's switch", openai("thinking can't be disabled for this model"), {"think": False}, {"think": True}),
    ("kimi code",
     openai("Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are:"
            " 'minimal', 'low', 'medium', and 'high'."),
     {"reasoning_effort": "none"}, {"reasoning_effort": "minimal"}),
    ("openai too large",
     openai("max_tokens is too large: 6000. This model supports at most 4096 completion tokens, whereas you provided"
            " 6000.", "max_tokens", "invalid_value"),
     {"max_tokens": 6000}, {"max_tokens": 4096}),
    ("openai below minimum",
     openai("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10 instead.",
            "max_output_tokens", "integer_below_min_value"),
     {"max_output_tokens": 10}, {"max_output_tokens": 16}),
    ("openai above maximum",
     openai("Invalid 'top_logprobs': integer above maximum value. Expected a value <= 5, but got 20 instead.",
            "top_logprobs", "integer_above_max_value"),
     {"top_logprobs": 20}, {"top_logprobs": 5}),
    ("openai stops",
     openai("Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5"
            " instead.", "stop", "array_above_max_length"),
     {"stop": ["a", "b", "c", "d", "e"]}, {"stop": ["a", "b", "c", "d"]}),
    ("codex backend", {"detail": "Unsupported parameter: max_output_tokens"}, {"max_output_tokens": 9}, {}),
    ("xai argument",
     {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: presencePenalty"},
     {"presence_penalty": 0.5}, {}),
    ("xai parameter",
     {"code": "invalid-argument", "error": "Model grok-4.20-0309 does not support parameter reasoningEffort."},
     {"reasoning_effort": "low"}, {}),
    ("xai nested", {"error": "Model grok-4-1-fast does not support parameter reasoningEffort."},
     {"reasoning": {"effort": "low"}}, {"reasoning": {}}),
    ("deepseek", openai("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
     {"max_tokens": 32000}, {"max_tokens": 8192}),
    ("dashscope", openai("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]"),
     {"max_tokens": 32000}, {"max_tokens": 8192}),
    ("dashscope thinking",
     openai("Only 'enabled' and 'disabled' are supported for thinking; 'adaptive' is not supported."),
     {"thinking": {"type": "adaptive"}}, {}),
    ("volcengine",
     openai("The parameter `max_completion_tokens` specified in the request are not valid: integer above maximum"
            " value, expected a value <= 12288, but got 32000 instead. Request id: 02", "max_completion_tokens"),
     {"max_completion_tokens": 32000}, {"max_completion_tokens": 12288}),
    ("moonshot", openai("invalid temperature: only 0.6 is allowed for this model"),
     {"temperature": 0.1}, {"temperature": 0.6}),
    ("groq words", openai("`reasoning_effort` must be one of `none` or `default`"),
     {"reasoning_effort": "high"}, {"reasoning_effort": "default"}),
    ("groq history", openai(GROQ),
     {"messages": [*HI, THOUGHT, THOUGHT]}, {"messages": [*HI, *[{"role": "assistant", "content": "x"}] * 2]}),
    ("groq path", openai("messages.1.reasoning: reasoning is not supported with this model"),
     {"messages": [*HI, {"role": "assistant", "content": "x", "reasoning": ""}]},
     {"messages": [*HI, {"role": "assistant", "content": "x"}]}),
    ("groq most",
     openai("`max_completion_tokens` must be less than or equal to `8192`, the maximum value for"
            " `max_completion_tokens` is less than the `context_window` for this model"),
     {"max_completion_tokens": 9000}, {"max_completion_tokens": 8192}),
    ("cerebras",
     {"message": "messages.1.assistant.reasoning_content: property 'messages.1.assistant.reasoning_content' is"
                 " unsupported", "param": "validation_error", "code": "wrong_api_format"},
     {"messages": [*HI, THOUGHT]}, {"messages": [*HI, {"role": "assistant", "content": "x"}]}),
    ("mistral", {"object": "error", "message": {"detail": pydantic((["body", "n"], "extra_forbidden", EXTRA))}},
     {"n": 2}, {}),
    ("mistral in a text",
     {"object": "error", "message": json.dumps({"detail": pydantic(
         (["body", "frequency_penalty"], "extra_forbidden", EXTRA))}), "code": "1000"},
     {"frequency_penalty": 0.0}, {}),
    ("mistral tags",
     {"detail": pydantic((["body", "messages", 1, "assistant", "reasoning_content"], "extra_forbidden", EXTRA),
                         (["body", "messages", 0, "user", "name"], "extra_forbidden", EXTRA))},
     {"messages": [{**HI[0], "name": "Ann"}, THOUGHT]}, {"messages": [*HI, {"role": "assistant", "content": "x"}]}),
    ("mistral empty tools",
     {"object": "Error", "message": pydantic((["body", "tools"], "extra_forbidden", EXTRA)), "code": 3001},
     {"tools": []}, {}),
    ("fastapi literal",
     {"detail": [{"type": "literal_error", "loc": ["body", "reasoning_effort"], "msg": LOW_TO_HIGH,
                  "input": "xhigh", "ctx": {"expected": "'low', 'medium' or 'high'"}}]},
     {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
    ("fastapi most",
     {"detail": pydantic((["body", "top_p"], "less_than_equal", "Input should be less than or equal to 1"))},
     {"top_p": 1.5}, {"top_p": 1.0}),
    ("vllm",
     {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg':"
      " 'Extra inputs are not permitted', 'input': 800}]", "type": "BadRequestError", "param": None, "code": 400},
     {"max_completion_tokens": 800}, {}),
    ("vllm most",
     {"error": {"message": "Requested sample logprobs of 25, which is greater than max allowed: 20"
                           " (parameter=logprobs, value=25)", "type": "BadRequestError", "code": 400}},
     {"logprobs": 25}, {"logprobs": 20}),
    ("sglang", {"object": "error", "message": SGLANG, "type": "Bad Request", "param": None, "code": 400},
     {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
    ("moonshot validation",
     {"detail": "Validation error for `reasoning_effort`: expected one of `'low' | 'medium' | 'high'`, received"
                " `'xhigh'`"},
     {"reasoning_effort": "xhigh"}, {"reasoning_effort": "high"}),
    ("another gateway", {"error": {"message": 'level "max" not supported, valid levels: low, medium, high, xhigh'}},
     {"reasoning_effort": "max"}, {"reasoning_effort": "xhigh"}),
    ("qwen server",
     {"error": {"message": "Unexpected reasoning effort high. Supported types are xhigh (default), medium, and low."}},
     {"output_config": {"effort": "high"}}, {"output_config": {"effort": "xhigh"}}),
    ("openrouter",
     {"error": {"message": "Provider returned error", "code": 400, "metadata": {"provider_name": "Azure", "raw":
      json.dumps(openai("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10"
                        " instead.", "max_output_tokens"))}}},
     {"max_output_tokens": 10}, {"max_output_tokens": 16}),
    ("ollama", openai('"qwen3-coder:30b" does not support thinking'), {"reasoning_effort": "high"}, {}),
    ("ollama value", openai('think value "medium" is not supported for this model'),
     {"reasoning_effort": "medium"}, {"reasoning_effort": "high"}),
    ("anthropic extra", anthropic(f"context_management: {EXTRA}"), {"context_management": {"edits": []}}, {}),
    ("anthropic tool", anthropic(f"tools.0.custom.defer_loading: {EXTRA}"),
     {"tools": [{"name": "a", "defer_loading": True}, {"name": "b", "defer_loading": False}]},
     {"tools": [{"name": "a"}, {"name": "b"}]}),
    ("anthropic deep", anthropic(f"system.0.cache_control.ephemeral.scope: {EXTRA}"),
     {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "scope": "org"}}]},
     {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]}),
    ("vertex claude",
     google(json.dumps(anthropic(f"messages.1.content.0.thinking.cache_control: {EXTRA}"))),
     {"messages": [*HI, {"role": "assistant", "content": [
         {"type": "thinking", "thinking": "t", "cache_control": {"type": "ephemeral"}}]}]},
     {"messages": [*HI, {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]}]}),
    ("anthropic most",
     anthropic("max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku"),
     {"max_tokens": 64000}, {"max_tokens": 8192}),
    ("anthropic two", anthropic("`temperature` and `top_p` cannot both be specified for this model. Please use only"
                                " one."),
     {"temperature": 0.2, "top_p": 0.4}, {"temperature": 0.2}),
    ("anthropic thinking temperature",
     anthropic("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our"
               " documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"),
     {"temperature": 0.5, "thinking": {"type": "adaptive"}}, {"temperature": 1, "thinking": {"type": "adaptive"}}),
    ("anthropic deprecated", anthropic("`temperature` is deprecated for this model."), {"temperature": 0.5}, {}),
    ("anthropic effort", anthropic("This model does not support the effort parameter."),
     {"output_config": {"effort": "high"}}, {"output_config": {}}),
    ("anthropic adaptive", anthropic("adaptive thinking is not supported on this model"),
     {"thinking": {"type": "adaptive"}}, {}),
    ("anthropic enabled",
     anthropic('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and'
               ' "output_config.effort" to control thinking behavior.'),
     {"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking": {"type": "adaptive"}}),
    ("anthropic budget",
     anthropic("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
     {"thinking": {"type": "enabled", "budget_tokens": 500}},
     {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ("bedrock",
     {"message": "litellm.BadRequestError: BedrockException - " + json.dumps(
         {"message": "The model returned the following errors: `temperature` is deprecated for this model."})},
     {"temperature": 0.5}, {}),
    ("gemini unknown", google(UNKNOWN_NAME.format("effortLevel", "generation_config"),
                              ("generation_config", UNKNOWN_NAME.format("effortLevel", "generation_config"))),
     {"generationConfig": {"effortLevel": "HIGH", "topK": 3}}, {"generationConfig": {"topK": 3}}),
    ("gemini top", google('Invalid JSON payload received. Unknown name "thinking": Cannot find field.'),
     {"thinking": {}, "labels": {"a": "b"}}, {"labels": {"a": "b"}}),
    ("gemini schema",
     google(UNKNOWN_NAME.format("const", "tools[0].function_declarations[0].parameters.properties[1].value")),
     {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"properties": {
         "a": {"type": "STRING"}, "b": {"type": "STRING", "const": "x"}}}}]}]},
     {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"properties": {
         "a": {"type": "STRING"}, "b": {"type": "STRING"}}}}]}]}),
    ("code assist", google(UNKNOWN_NAME.format("effortLevel", "request.generation_config")),
     {"generationConfig": {"effortLevel": "HIGH"}}, {"generationConfig": {}}),
    ("gemini level", google("Thinking level MINIMAL is not supported for this model. Please retry with other thinking"
                            " level."),
     {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}},
     {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}),
    ("vertex level",
     google("Unable to submit request because thinking_level MEDIUM is not supported by this model. Learn more: x"),
     {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MEDIUM"}}},
     {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}),
    ("gemini no levels", google("Thinking level is not supported for this model."),
     {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}}},
     {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}),
    ("gemini no thinking", google("Thinking is not enabled for models/gemini-2.0-flash"),
     {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}, {"generationConfig": {}}),
    ("gemini budget", google("The thinking budget (52428) is invalid. Please choose a value between 128 and 32768."),
     {"generationConfig": {"thinkingConfig": {"thinkingBudget": 52428}}},
     {"generationConfig": {"thinkingConfig": {"thinkingBudget": 32768}}}),
    ("gemini thinks always", google("Budget 0 is invalid. This model only works in thinking mode."),
     {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, {"generationConfig": {"thinkingConfig": {}}}),
    ("gemini penalty", google("Penalty is not enabled for this model"),
     {"generationConfig": {"presencePenalty": 0.5, "frequencyPenalty": 0.5}}, {"generationConfig": {}}),
    ("gemini candidates", google("Multiple candidates is not enabled for this model"),
     {"generationConfig": {"candidateCount": 2}}, {"generationConfig": {}}),
    ("vertex most",
     google("Unable to submit request because it has a maxOutputTokens value of 655360 but the supported range is from"
            " 1 (inclusive) to 8193 (exclusive). Update the value and try again."),
     {"generationConfig": {"maxOutputTokens": 655360}}, {"generationConfig": {"maxOutputTokens": 8192}}),
]  # fmt: skip


def whole(part: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": HI, **part}


@each(("refusal", "sent", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_sent_instead(refusal: Any, sent: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Exactly what the refusal names is left out or bent; the rest keeps its text; and the loss is declared."""
    body = json.dumps(whole(sent)).encode()
    lessons = lessons_of(json.dumps(refusal).encode(), body)
    assert lessons
    out, losses, used = bent(body, lessons)
    assert json.loads(out) == whole(wanted)
    assert used == lessons
    assert len(losses) == len(lessons)
    assert {loss.kind for loss in losses} <= OF_REQUEST.keys()
    # Learned once, the request goes right at once: there is nothing more to be changed.
    assert bent(out, lessons) == (out, (), ())


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LOOK = [
    {"role": "user", "content": [{"type": "text", "text": "look"}, PICTURE]},
    {"role": "assistant", "content": "a cat"},
]
LEFT_OUT = {"type": "text", "text": "[A picture was here, which this model cannot see.]"}
SEEN = [{"role": "user", "content": [{"type": "text", "text": "look"}, LEFT_OUT]}, LOOK[1]]
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]}
TWO = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
ONE = [{"role": "user", "content": "a\n\nb"}]
EMPTY = [
    *HI,
    {"role": "assistant", "content": [{"type": "text", "text": ""}, {"type": "tool_use", "id": "t"}]},
    {"role": "assistant", "content": [{"type": "text", "text": " "}]},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]},
    *HI,
]
FILLED = [*HI, {"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]}, EMPTY[4], *HI]
MIDST = [
    {"role": "system", "content": "s"},
    {"role": "system", "content": [{"type": "text", "text": "t"}]},
    *HI,
    {"role": "assistant", "content": "a"},
    {"role": "system", "content": "late"},
    *HI,
]
BY_TURNS = [
    {"role": "system", "content": [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}]},
    *MIDST[2:4],
    {"role": "user", "content": "<system-reminder>\nlate\n</system-reminder>\n\nhi"},
]
LOGIN = {"stream": True, "store": False, "instructions": ""}
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
TOO_LONG = "This model's maximum context length is 32768 tokens"

#: (what the vendor answers, what was sent, what is sent instead of it).
CALLING = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function"}]}
ANSWERED = {"role": "tool", "tool_call_id": "c", "content": "x"}
CALLED = {"functionCall": {"name": "f", "args": {}}}
FUNCTION = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GOOGLES = {"extra_content": {"google": {"thought_signature": "eA=="}}}
SKIPPED = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
SIGNED = {**CALLED, "thoughtSignature": "eA=="}
UNSIGNED = {**CALLED, "thoughtSignature": "skip_thought_signature_validator"}
OF_THE_WHOLE: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "pictures": (openai("This model does not support image inputs"), {"messages": [*LOOK, *HI]}, {"messages": [*SEEN, *HI]}),
    "pictures at DeepSeek": (
        openai("Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, expected `text`"),
        {"messages": [*LOOK, *HI]}, {"messages": [*SEEN, *HI]},
    ),
    "pictures at vLLM": (
        openai("At most 0 image(s) may be provided in one prompt."), {"messages": [*LOOK, *HI]}, {"messages": [*SEEN, *HI]},
    ),
    "pictures in results": (
        anthropic("image content is not supported by this model"),
        {"messages": [{"role": "user", "content": [RESULT]}, *HI]},
        {"messages": [{"role": "user", "content": [{**RESULT, "content": [LEFT_OUT]}]}, *HI]},
    ),
    "pictures of Responses": (
        openai("Image inputs are not supported for this model"),
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}, ITEM]},
        {"input": [{"role": "user", "content": [{**LEFT_OUT, "type": "input_text"}]}, ITEM]},
    ),
    "pictures of Gemini": (
        google("Image input modality is not enabled for models/gemma-3-1b"),
        {"contents": [{"parts": [{"inlineData": {"data": "x" * 300, "mimeType": "image/png"}}]}, {"parts": [{"text": "x"}]}]},
        {"contents": [{"parts": [{"text": LEFT_OUT["text"]}]}, {"parts": [{"text": "x"}]}]},
    ),
    "texts in a list": (openai("'messages.0.content' must be a string"), {"messages": TWO}, {"messages": ONE}),
    "texts in a list at a validator": (
        {"detail": pydantic((["body", "messages", 0, "content"], "string_type", "Input should be a valid string"))},
        {"messages": TWO}, {"messages": ONE},
    ),
    "texts in a list at Rust's": (
        openai("messages[0].content: invalid type: sequence, expected a string at line 1 column 20"),
        {"messages": TWO}, {"messages": ONE},
    ),
    "null": (openai("messages[1].content: content cannot be null"), {"messages": [*HI, EMPTY[4]]},
             {"messages": [*HI, {**EMPTY[4], "content": ""}]}),
    "empty texts": (anthropic("messages: text content blocks must be non-empty"), {"messages": EMPTY}, {"messages": FILLED}),
    "empty messages": (openai("Invalid request: the message at position 3 with role 'assistant' must not be empty"),
                       {"messages": EMPTY}, {"messages": FILLED}),
    "empty texts at Bedrock": (
        anthropic("The text field in the ContentBlock object at messages.1.content.0 is blank. Add text to the text field"),
        {"messages": EMPTY}, {"messages": FILLED},
    ),
    "the system in the midst": (
        openai("System message must be at the beginning."), {"messages": MIDST}, {"messages": BY_TURNS},
    ),
    "the system in the midst at llama.cpp": (
        openai("Jinja Exception: System message must be at the beginning."), {"messages": MIDST}, {"messages": BY_TURNS},
    ),
    "the system in the midst of Messages": (
        anthropic("messages.3.role: Input should be 'user' or 'assistant'"),
        {"messages": MIDST[2:]}, {"messages": BY_TURNS[1:]},
    ),
    "the system in the midst at a validator": (
        {"detail": [{**pydantic((["body", "messages", 1, "role"], "literal_error", "Input should be 'user' or 'assistant'"))[0],
                     "ctx": {"expected": "'user' or 'assistant'"}}]},
        {"messages": MIDST[2:]}, {"messages": BY_TURNS[1:]},
    ),
    "the system in the midst at Rust's": (
        anthropic("Failed to deserialize: messages[3].role: unknown variant `system`, expected `user` or `assistant`"),
        {"messages": MIDST[2:]}, {"messages": BY_TURNS[1:]},
    ),
    "the system in the midst at MiniMax": (
        openai("invalid params, chat content is invalid: system message must be first (2013)"),
        {"messages": MIDST}, {"messages": BY_TURNS},
    ),
    "tools of other types": (
        {"error": {"code": 400, "message": "'type' of tool must be 'function'", "type": "invalid_request_error"}},
        {"input": [ITEM], "tools": [FUNCTION, {"type": "web_search"}], "tool_choice": {"type": "web_search"}},
        {"input": [ITEM], "tools": [FUNCTION]},
    ),
    "no tool of a type that is taken": (
        {"error": {"code": 400, "message": "'type' of tool must be 'function'", "type": "invalid_request_error"}},
        {"input": [ITEM], "tools": [{"type": "web_search"}], "tool_choice": "auto"},
        {"input": [ITEM]},
    ),
    "tools of other types by their place": (
        openai("Invalid value: 'web_search'. Supported values are: 'function' and 'custom'.", "tools[1].type", "invalid_value"),
        {"input": [ITEM], "tools": [FUNCTION, {"type": "web_search"}, {"type": "custom", "name": "p"}], "tool_choice": "auto"},
        {"input": [ITEM], "tools": [FUNCTION, {"type": "custom", "name": "p"}], "tool_choice": "auto"},
    ),
    "tools of other types in Python's words": (
        openai("Only `type:\"function\"` tools are supported on this endpoint. Built-in tools (web_search) are not"
               " executed here.", "tools.1.type"),
        {"input": [ITEM], "tools": [FUNCTION, {"type": "web_search"}]}, {"input": [ITEM], "tools": [FUNCTION]},
    ),
    "tools of other types at Rust's": (
        openai("tools[1].type: unknown variant `namespace`, expected one of `function`, `custom`"),
        {"input": [ITEM], "tools": [FUNCTION, {"type": "namespace"}]}, {"input": [ITEM], "tools": [FUNCTION]},
    ),
    "a validator's word for tools": (
        openai("1 validation error: tools.1: Input should be 'function'"),
        {"input": [ITEM], "tools": [FUNCTION, {"type": "custom"}]}, {"input": [ITEM], "tools": [FUNCTION]},
    ),
    "one type of tools": (
        openai("Unsupported tool type: namespace"),
        {"input": [ITEM], "tools": [FUNCTION, {"type": "namespace"}, {"type": "custom"}], "tool_choice": {"type": "custom"}},
        {"input": [ITEM], "tools": [FUNCTION, {"type": "custom"}], "tool_choice": {"type": "custom"}},
    ),
    "one type of tools by its place": (
        openai("Tool 'custom' is not supported with this model.", "tools[1].type"),
        {"input": [ITEM], "tools": [FUNCTION, {"type": "custom"}], "tool_choice": {"type": "custom"}},
        {"input": [ITEM], "tools": [FUNCTION]},
    ),
    "thinking that is to be sent back": (
        openai("The `reasoning_content` in the thinking mode must be passed back to the API."),
        {"messages": [*HI, CALLING, ANSWERED, {**CALLING, "reasoning_content": "Hm."}, ANSWERED]},
        {"messages": [*HI, {**CALLING, "reasoning_content": ""}, ANSWERED, {**CALLING, "reasoning_content": "Hm."}, ANSWERED]},
    ),
    "thinking that is missing": (
        openai("thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"),
        {"messages": [*HI, CALLING, ANSWERED]}, {"messages": [*HI, {**CALLING, "reasoning_content": ""}, ANSWERED]},
    ),
    "a last turn of an assistant": (
        anthropic("This model does not support assistant message prefill. The conversation must end with a user message."),
        {"messages": [*HI, {"role": "assistant", "content": "{"}]},
        {"messages": [*HI, {"role": "assistant", "content": "{"}, {"role": "user", "content": "Continue."}]},
    ),
    "a signature that is missing": (
        google("Function call is missing a thought_signature in functionCall parts."),
        {"contents": [{"role": "model", "parts": [{"text": "a"}, CALLED, CALLED]}, {"role": "model", "parts": [SIGNED]}]},
        {"contents": [{"role": "model", "parts": [{"text": "a"}, UNSIGNED, CALLED]}, {"role": "model", "parts": [SIGNED]}]},
    ),
    "a signature of another's": (
        google("Corrupted thought signature."),
        {"contents": [{"role": "model", "parts": [{"text": "a", "thoughtSignature": "eA=="}, SIGNED, CALLED]}]},
        {"contents": [{"role": "model", "parts": [{"text": "a"}, UNSIGNED, CALLED]}]},
    ),
    "a signature that is missing in a chat": (
        openai("Function call is missing a thought_signature in functionCall parts. This is required for tools to work."),
        {"messages": [*HI, {"role": "assistant", "tool_calls": [FUNCTION, FUNCTION]}, ANSWERED,
                      {"role": "assistant", "tool_calls": [FUNCTION | GOOGLES]}]},
        {"messages": [*HI, {"role": "assistant", "tool_calls": [FUNCTION | SKIPPED, FUNCTION]}, ANSWERED,
                      {"role": "assistant", "tool_calls": [FUNCTION | GOOGLES]}]},
    ),
    "the most at Bedrock": (
        anthropic("The maximum tokens you requested exceeds the model limit of 32000. Try again with a maximum tokens"
                  " value that is lower than 32000."),
        {"messages": HI, "max_tokens": 64000}, {"messages": HI, "max_tokens": 32000},
    ),
    "room at Hugging Face": (
        openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 32768. Given: 4096 `inputs` tokens"
               " and 32000 `max_new_tokens`"),
        {"messages": HI, "max_tokens": 32000}, {"messages": HI, "max_tokens": 28672},
    ),
    "turns": (
        openai("Conversation roles must alternate user/assistant/user/assistant/..."),
        {"messages": [*HI, *TWO, EMPTY[4], EMPTY[4], *HI]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, *TWO[0]["content"]]},
                      EMPTY[4], EMPTY[4], *HI]},
    ),
    "no system at Gemini": (
        google("Developer instruction is not enabled for models/gemma-3-27b-it"),
        {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [{"text": "go"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "s"}, {"text": "go"}]}]},
    ),
    "no system before a model's turn": (
        google("Developer instruction is not enabled for models/gemma-3-27b-it"),
        {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "model", "parts": [{"text": "a"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "s"}]}, {"role": "model", "parts": [{"text": "a"}]}]},
    ),
    "no system": (
        openai("System role not supported"), {"messages": MIDST},
        {"messages": [{"role": "user", "content": "s\n\nt\n\nhi"}, *BY_TURNS[2:]]},
    ),
    "the developer": (
        openai("Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', 'function', and"
               " 'tool'.", "messages[0].role", "invalid_value"),
        {"messages": [{"role": "developer", "content": "s"}, *HI]},
        {"messages": [{"role": "system", "content": "s"}, *HI]},
    ),
    "an empty list of calls": (
        openai("Invalid 'messages[1].tool_calls': empty array. Expected an array with minimum length 1, but got an"
               " empty array instead.", "messages[1].tool_calls", "empty_array"),
        {"messages": [*HI, {"role": "assistant", "content": "a", "tool_calls": []}]},
        {"messages": [*HI, {"role": "assistant", "content": "a"}]},
    ),
    "a list at a login": ({"detail": "Input must be a list"}, {"input": "go", "top_p": 1}, {"input": [ITEM], "top_p": 1, **LOGIN}),
    "a stream at a login": ({"detail": "Stream must be set to true"}, {"input": [ITEM]}, {"input": [ITEM], **LOGIN}),
    "the system at a login": (
        {"detail": "System messages are not allowed"}, {"input": [{"role": "system", "content": "s"}]},
        {"input": [{"role": "developer", "content": "s"}], **LOGIN},
    ),
    "room": (openai(f"{TOO_LONG} and your request has 4096 input tokens (32000 > 32768 - 4096)."),
             {"messages": HI, "max_tokens": 32000}, {"messages": HI, "max_tokens": 28672}),
    "room that was not counted": (
        openai(f"{TOO_LONG}. However, you requested 32000 output tokens and your prompt contains at least 769 input tokens"),
        {"prompt": "x" * 29_970, "max_tokens": 32000}, {"prompt": "x" * 29_970, "max_tokens": 32768 - 10_001},
    ),
    "room at a router": (
        openai(f"{TOO_LONG}. However, you requested about 36000 tokens (3000 of text input, 1000 of tool input, 32000 in"
               " the output)."),
        {"messages": HI, "max_completion_tokens": 32000}, {"messages": HI, "max_completion_tokens": 28768},
    ),
    "room at Anthropic": (
        anthropic("input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length"),
        {"messages": HI, "max_tokens": 32000}, {"messages": HI, "max_tokens": 10000},
    ),
}  # fmt: skip


@each("case", OF_THE_WHOLE)
def test_of_the_whole(case: str) -> None:
    """What is wrong is more than one member's name or value."""
    refusal, sent, wanted = OF_THE_WHOLE[case]
    body = json.dumps(sent).encode()
    lessons = lessons_of(json.dumps(refusal).encode(), body)
    out, losses, used = bent(body, lessons)
    assert json.loads(out) == wanted
    assert used == lessons
    assert {loss.kind for loss in losses} <= OF_REQUEST.keys()
    assert bent(out, lessons) == (out, (), ())
    # What is left of a context depends on the request.
    assert [lesson.once for lesson in lessons] == [case.startswith(("room", "a signature of another"))]


CALLED = [*HI, {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f"}}]}]
#: Refusals that teach nothing: the request is what it is.
KEPT: list[tuple[str, Any, dict[str, Any]]] = [
    ("messages", openai("Unsupported parameter: messages", "messages", "unsupported_parameter"), {}),
    ("tools", openai('"gemma:2b" does not support tools'), {"tools": [{"name": "f"}]}),
    ("model", openai("Unknown parameter: 'model'.", "model", "unknown_parameter"), {}),
    ("stream", openai("Unsupported value: 'stream' does not support true with this model. Supported values are:"
                      " false.", "stream", "unsupported_value"), {"stream": True}),
    ("system", anthropic(f"system: {EXTRA}"), {"system": "s"}),
    ("content", anthropic(f"messages.0.content: {EXTRA}"), {}),
    ("form of the answer", anthropic(f"output_config: {EXTRA}"), {"output_config": {"effort": "low", "format": {"type": "x"}}}),
    ("functions", openai("Invalid value: 'function'. Supported values are: 'custom'.", "tools[0].type"),
     {"input": [ITEM], "tools": [FUNCTION]}),
    ("calls", {"detail": pydantic((["body", "messages", 1, "assistant", "tool_calls"], "extra_forbidden", EXTRA))},
     {"messages": CALLED}),
    ("call names", anthropic(f"messages.1.tool_calls.0.function.name: {EXTRA}"), {"messages": CALLED}),
    ("values in a turn", openai("Invalid value: 'developer'. Supported values are: 'system', 'user'.",
                                "messages[0].role", "invalid_value"), {}),
    ("schema of the answer", openai("Unsupported parameter: 'response_format' is not supported with this model.",
                                    "response_format", "unsupported_parameter"), {"response_format": {"type": "x"}}),
    ("stored state", openai("Unsupported parameter: 'previous_response_id'", "previous_response_id",
                            "unsupported_parameter"), {"previous_response_id": "resp_1"}),
    ("type", anthropic("temperature: Input should be a valid number"), {"temperature": "hot"}),
    ("missing", anthropic("max_tokens: Field required"), {}),
    ("not sent", openai("Unknown parameter: 'seed'.", "seed", "unknown_parameter"), {}),
    ("half", {"detail": pydantic((["body", "n"], "extra_forbidden", EXTRA), (["body", "input"], "missing", "Field required"))},
     {"n": 1}),
    ("only sometimes", openai("parameter.enable_thinking must be set to false for non-streaming calls"),
     {"enable_thinking": True}),
    ("turns", anthropic("messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1"),
     {}),
    ("picture that is asked about", openai("This model does not support image inputs"), {"messages": LOOK[:1]}),
    ("no room", openai(f"{TOO_LONG} and your request has 32000 input tokens"), {"max_tokens": 32000}),
    ("too long anyway", openai(f"{TOO_LONG}. However, your messages resulted in 40000 tokens."), {"max_tokens": 32000}),
    ("parts that are no texts", openai("'messages.0.content' must be a string"), {"messages": LOOK[:1]}),
    ("a tool that has to be called", openai("This server does not support parameters: [tool_choice]"),
     {"tool_choice": "required"}),
    ("nothing but blanks", anthropic("messages: text content blocks must be non-empty"),
     {"messages": [{"role": "user", "content": " "}]}),
    ("picture", openai("Invalid image data: unsupported image format", "messages[0].content[1]"), {}),
    ("page", "<html>Bad Request</html>", {"temperature": 1}),
    ("nothing", None, {"temperature": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "sent"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT])
def test_what_carries_meaning_stays(refusal: Any, sent: dict[str, Any]) -> None:
    """What the request says is never left out, nor what the refusal does not name clearly."""
    told = refusal.encode() if isinstance(refusal, str) else json.dumps(refusal).encode()
    assert lessons_of(told, json.dumps(whole(sent)).encode()) == ()


def test_text_is_kept() -> None:
    """What a lesson does not touch keeps its exact text: large numbers, the order of members."""
    body = b'{"seed":12345678901234567890,"temperature":0.7,"messages":[{"role":"user","content":"\\u00e9"}]}'
    out, _, _ = bent(body, [Lesson(("temperature",), "leave-out")])
    assert out == b'{"seed":12345678901234567890,"messages":[{"role":"user","content":"\\u00e9"}]}'


def test_beside_thinking() -> None:
    """What is refused beside thinking only is sent as it is where no thinking is asked for."""
    refusal = anthropic("`temperature` may only be set to 1 when thinking is enabled.")
    sent = {"temperature": 0.5, "thinking": {"type": "adaptive"}}
    (lesson,) = lessons_of(json.dumps(refusal).encode(), json.dumps(whole(sent)).encode())
    assert lesson.beside == ("thinking",)
    plain = json.dumps(whole({"temperature": 0.5})).encode()
    assert bent(plain, [lesson])[0] is plain


def test_beside() -> None:
    """Of two that exclude each other one is left out only where both are there, and thinking is not off."""
    lesson = Lesson(("top_p",), "leave-out", beside=("temperature",))
    assert bent(b'{"top_p":1}', [lesson])[0] == b'{"top_p":1}'
    assert bent(b'{"top_p":1,"temperature":0}', [lesson])[0] == b'{"temperature":0}'
    hot = Lesson(("temperature",), "exactly", value="1", beside=("thinking",))
    off = b'{"temperature":0,"thinking":{"type":"disabled"}}'
    assert bent(off, [hot])[0] is off


@pytest.mark.parametrize(
    "place", [("messages",), ("tools",), ("input",), ("system",), ("messages", EACH, "content")]
)
def test_no_lesson_takes_what_a_request_says(place: tuple[str, ...]) -> None:
    """Not even a lesson that somebody wrote into the file by hand."""
    body = json.dumps(
        {name: [{"content": "x"}] for name in ("messages", "tools", "input", "system")}
    ).encode()
    assert bent(body, [Lesson(place, "leave-out")])[0] is body


SAID = {
    "model": "m",
    "stream": True,
    "system": "s",
    "input": [{"type": "message", "role": "user", "content": "x"}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "citations": {}}]}],
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
    ],
    "tool_choice": "none",
    "response_format": {"type": "json_schema"},
    "generationConfig": {"responseSchema": {"type": "OBJECT"}, "topK": 3},
    "temperature": 1,
}
PHRASES = (
    "is not supported with this model", "Unsupported parameter: '{}'", "{}: Extra inputs are not permitted",
    "Unknown name \"{}\": Cannot find field", "`{}` must be one of `a` or `b`", "{} must be less than or equal to 1",
    "Invalid '{}': array too long. Expected an array with maximum length 0", "invalid {}: only 1 is allowed",
    "Use '{}' instead", "does not support {}", "{} must be set to false", "Supported values are: 'low', 'high'",
)  # fmt: skip
NAMES = ("model", "stream", "system", "input", "messages", "contents", "tools", "tool_choice", "response_format",
         "generationConfig", "generation_config.response_schema", "responseSchema", "messages[0].content",
         "messages.0.content.0.text", "contents[0].parts[0].text", "tools[0].function", "tools.0.function.name",
         "tools.0.function.parameters", "input[0].content", "messages.0.role", "body.tools", "request.contents")  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3),
    st.sampled_from(NAMES),
    st.booleans(),
    st.text(),
)
def test_whatever_a_vendor_says(phrases: list[str], name: str, param: bool, tail: str) -> None:
    """No words make a request say something else: who speaks, what, with which tools, in which form."""
    message = " ".join(phrase.replace("{}", name) for phrase in phrases) + tail
    body = json.dumps(SAID).encode()
    lessons = lessons_of(json.dumps(openai(message, name if param else None)).encode(), body)
    out = json.loads(bent(body, lessons)[0])
    assert {key: out.get(key) for key in SAID if key != "temperature"} == {
        key: value for key, value in SAID.items() if key != "temperature"
    }


def test_bad_bodies() -> None:
    """Nothing raises, whatever stands there."""
    for refusal in (
        b"",
        b"\xff",
        b"[" * 5000,
        b"[[[[[[[[[[1]]]]]]]]]]",
        b'{"error":{"message":{"error":1}}}',
    ):
        for sent in (b"", b"[]", b"\xff", b'{"a":1}'):
            assert lessons_of(refusal, sent) == ()


@each("step", ["²", "--1", "9" * 5000])
def test_a_place_by_what_is_no_number(step: str) -> None:
    """It is in no list, and no entry of a map."""
    for sent in ({"messages": [{"role": "user", "odd": 1}]}, {"messages": {"a": {"odd": 1}}}):
        refusal = openai("Extra inputs are not permitted", f"messages.{step}.odd")
        assert isinstance(lessons_of(json.dumps(refusal).encode(), json.dumps(sent).encode()), tuple)
