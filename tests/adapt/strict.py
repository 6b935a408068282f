"""Servers of Chat Completions as strict as the real ones: what each refuses, by its documentation and errors.

They know nothing of the profiles, whose test they are. Each rule is a function of a body and gives the text
of the error, or nothing for a request that is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Body = dict[str, Any]
Rule = Callable[[Body], Iterator[str]]

_CHAT = frozenset(
    ("model", "messages", "stream", "stream_options", "tools", "tool_choice", "temperature", "top_p", "stop")
)


def messages(body: Body, *roles: str) -> Iterator[tuple[int, Body]]:
    """The messages of some roles, with their places."""
    for number, message in enumerate(body["messages"]):
        if not roles or message["role"] in roles:
            yield number, message


def only(*names: str) -> Rule:
    """Members that are not among these are refused."""

    def rule(body: Body) -> Iterator[str]:
        yield from (f"{name}: extra inputs are not permitted" for name in body.keys() - _CHAT - set(names))

    return rule


def refuses(*names: str) -> Rule:
    """These members are refused."""

    def rule(body: Body) -> Iterator[str]:
        yield from (f"{name} is not supported" for name in names if name in body)

    return rule


def roles(*known: str) -> Rule:
    """Other roles are refused."""

    def rule(body: Body) -> Iterator[str]:
        for number, message in messages(body):
            if message["role"] not in known:
                yield f"messages[{number}].role: unknown variant `{message['role']}`"

    return rule


OLD_ROLES = roles("system", "user", "assistant", "tool")


def system_first(body: Body) -> Iterator[str]:
    """A chat template that takes one message of the system, at the beginning."""
    if any(number for number, _ in messages(body, "system")):
        yield "System message must be at the beginning."


def strings(*of: str) -> Rule:
    """The content of these roles is a string."""

    def rule(body: Body) -> Iterator[str]:
        for number, message in messages(body, *of):
            if not isinstance(message.get("content"), str | None):
                yield f"messages[{number}]: invalid type: sequence, expected a string"

    return rule


def no_member(*names: str) -> Rule:
    """Members of messages that are refused."""

    def rule(body: Body) -> Iterator[str]:
        for number, message in messages(body):
            yield from (
                f"messages.{number}.{name}: property is unsupported" for name in names if name in message
            )

    return rule


def thought_with_calls(body: Body) -> Iterator[str]:
    """Thinking goes back with every call."""
    for _, message in messages(body, "assistant"):
        if message.get("tool_calls") and "reasoning_content" not in message:
            yield "The `reasoning_content` in the thinking mode must be passed back to the API."


def efforts(*values: str) -> Rule:
    """Other values of the effort are refused; without any, the member is."""

    def rule(body: Body) -> Iterator[str]:
        if "reasoning_effort" in body and body["reasoning_effort"] not in values:
            yield f"`reasoning_effort` must be one of {values}"

    return rule


def choices(*values: str) -> Rule:
    """Other choices among the tools are refused."""

    def rule(body: Body) -> Iterator[str]:
        choice = body.get("tool_choice", "auto")
        if (choice if isinstance(choice, str) else "named") not in values:
            yield f"tool_choice {choice} is not supported"

    return rule


def forced_without_thinking(body: Body) -> Iterator[str]:
    """No call is demanded of a model that thinks, as it does unless it is told not to."""
    forced = body.get("tool_choice", "auto") not in ("auto", "none")
    off = body.get("thinking") == {"type": "disabled"} or body.get("enable_thinking") is False
    if forced and not off:
        yield "Thinking mode does not support this tool_choice"


def nine(body: Body) -> Iterator[str]:
    """Ids of calls."""
    found = [call["id"] for _, message in messages(body) for call in message.get("tool_calls") or ()]
    found += [message["tool_call_id"] for _, message in messages(body, "tool")]
    yield from (
        f"Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9."
        for id in found
        if not re.fullmatch("[a-zA-Z0-9]{9}", id)
    )


def assistant_after_results(body: Body) -> Iterator[str]:
    """The order of roles."""
    for (_, before), (_, message) in zip(messages(body), list(messages(body))[1:], strict=False):
        if before["role"] == "tool" and message["role"] in ("user", "system"):
            yield f"Unexpected role '{message['role']}' after role 'tool'"


def proofs(body: Body) -> Iterator[str]:
    """Gemini's proofs."""
    for _, message in messages(body, "assistant"):
        for call in (message.get("tool_calls") or ())[:1]:
            if not call.get("extra_content", {}).get("google", {}).get("thought_signature"):
                yield "Function call is missing a thought_signature in functionCall parts."


def no_strict(body: Body) -> Iterator[str]:
    """Tools without the member."""
    if any("strict" in tool["function"] for tool in body.get("tools", ())):
        yield "tools: strict is not supported"


#: A server's name -> its address, a model of it, and its rules.
SERVERS: Mapping[str, tuple[str, str, tuple[Rule, ...]]] = {
    "deepseek": (
        "https://api.deepseek.com/v1",
        "deepseek-v4-pro",
        (
            OLD_ROLES,
            strings("system", "user", "assistant", "tool"),
            thought_with_calls,
            efforts("low", "high", "max", "medium", "minimal", "xhigh"),
            forced_without_thinking,
            refuses("max_completion_tokens", "metadata"),
        ),
    ),
    "moonshot": (
        "https://api.moonshot.ai/v1",
        "kimi-k3.1-pro",
        (
            OLD_ROLES,
            thought_with_calls,
            efforts("low", "high", "max"),
            choices("auto", "none"),
            refuses("temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "thinking"),
        ),
    ),
    "kimi-k2.5": (
        "https://api.moonshot.ai/v1",
        "kimi-k2.5",
        (OLD_ROLES, thought_with_calls, efforts(), forced_without_thinking, refuses("temperature", "top_p")),
    ),
    "zai": (
        "https://api.z.ai/api/coding/paas/v4",
        "glm-5.1",
        (
            OLD_ROLES,
            efforts(),
            choices("auto"),
            no_strict,
            refuses("presence_penalty", "frequency_penalty", "max_completion_tokens", "seed", "metadata"),
        ),
    ),
    "minimax": (
        "https://api.minimax.io/v1",
        "MiniMax-M3",
        (
            OLD_ROLES,
            system_first,
            efforts(),
            choices("auto"),
            no_strict,
            refuses("presence_penalty", "frequency_penalty", "seed", "parallel_tool_calls", "max_tokens"),
        ),
    ),
    "dashscope": (
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "qwen3.7-max",
        (OLD_ROLES, system_first, efforts(), forced_without_thinking, refuses("thinking", "metadata")),
    ),
    "mistral": (
        "https://api.mistral.ai/v1",
        "mistral-large-latest",
        (
            only(
                "max_tokens",
                "random_seed",
                "metadata",
                "response_format",
                "presence_penalty",
                "frequency_penalty",
                "n",
                "prediction",
                "parallel_tool_calls",
                "prompt_mode",
            ),
            refuses("stream_options"),
            OLD_ROLES,
            nine,
            assistant_after_results,
            no_member("reasoning_content", "reasoning", "name"),
        ),
    ),
    "xai": (
        "https://api.x.ai/v1",
        "grok-4.20-reasoning",
        (efforts(), refuses("presence_penalty", "frequency_penalty", "stop", "logit_bias")),
    ),
    "google": (
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "gemini-3.1-pro-preview",
        (
            OLD_ROLES,
            proofs,
            efforts("low", "medium", "high"),
            no_member("reasoning_content", "reasoning"),
            refuses("metadata", "parallel_tool_calls", "logit_bias", "max_completion_tokens"),
        ),
    ),
    "groq": (
        "https://api.groq.com/openai/v1",
        "qwen/qwen3-32b",
        (
            efforts("none", "default"),
            no_member("reasoning_content", "name"),
            refuses("logprobs", "logit_bias", "top_logprobs"),
        ),
    ),
    "cerebras": (
        "https://api.cerebras.ai/v1",
        "zai-glm-4.7",
        (
            efforts("none", "low", "medium", "high"),
            no_member("reasoning_content"),
            refuses("frequency_penalty", "presence_penalty", "logit_bias", "service_tier", "metadata"),
            choices("auto", "none", "required"),
        ),
    ),
    "together": (
        "https://api.together.xyz/v1",
        "Qwen/Qwen3-Coder-480B",
        (OLD_ROLES, system_first, efforts(), strings("tool")),
    ),
    "ollama": (
        "http://127.0.0.1:11434/v1",
        "qwen3-coder:30b",
        (OLD_ROLES, system_first, efforts(), strings("tool"), refuses("max_completion_tokens")),
    ),
    "lm-studio": (
        "http://127.0.0.1:1234/v1",
        "qwen3-coder-30b",
        (OLD_ROLES, system_first, efforts(), choices("auto", "none", "required")),
    ),
    "unknown": (
        "http://gpu.test:9000/v1",
        "my-own-model",
        (OLD_ROLES, system_first, efforts(), strings("tool"), refuses("max_completion_tokens", "metadata")),
    ),
    "qwen-somewhere": (
        "http://gpu.test:9000/v1",
        "Qwen/Qwen3-Coder-30B-A3B-Instruct",
        (OLD_ROLES, system_first, efforts(), strings("tool")),
    ),
    "deepseek-somewhere": (
        "http://gpu.test:9000/v1",
        "deepseek-ai/DeepSeek-V4",
        (
            OLD_ROLES,
            thought_with_calls,
            choices("auto", "none"),
            strings("system", "user", "assistant", "tool"),
        ),
    ),
    "gemini-somewhere": ("http://gpu.test:9000/v1", "gemini-3.5-flash", (OLD_ROLES, proofs)),
    "glm-of-cerebras-somewhere": (
        "http://gpu.test:9000/v1",
        "zai-glm-4.7",
        (OLD_ROLES, no_member("reasoning_content")),
    ),
    "mistral-somewhere": (
        "http://gpu.test:9000/v1",
        "mistral-small-3.2",
        (OLD_ROLES, nine, assistant_after_results),
    ),
}


def complaints(server: str, body: Body) -> list[str]:
    """What a server says about a body; nothing: it takes it."""
    return [text for rule in SERVERS[server][2] for text in rule(body)]
