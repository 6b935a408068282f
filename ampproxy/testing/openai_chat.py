"""A strict stand-in of OpenAI's Chat Completions, with the older completions, embeddings and models.

Two flavours: ``openai`` refuses what OpenAI refuses; ``compatible`` is a server such as vLLM, DeepSeek
or Fireworks, which also speaks ``reasoning_content`` and takes a few parameters more.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ampproxy.testing.openai import OpenAI, check_sampling, dated, model_entry, refuse
from ampproxy.testing.openai_chat_rules import (
    COMPLETIONS,
    EMBEDDINGS,
    TABLES,
    Flavour,
    check_contents,
    check_functions,
    check_limits,
    check_pairs,
    check_tools,
    understand,
)
from ampproxy.testing.script import Answer, Asked
from ampproxy.testing.stand_in import StandIn, start_vendor
from ampproxy.testing.vendor import Answering, Recorded, Reply, Scripts, VendorError, dump, fragments, sse

#: What the model list holds; any other model answers all the same.
MODELS = ("gpt-5.4", "gpt-5.4-mini", "gpt-4.1", "text-embedding-3-small")
_FINISH = {"stop": "stop", "length": "length", "refusal": "content_filter", "tool": "tool_calls"}
_DONE = b"data: [DONE]\n\n"
_BROKEN = sse(
    None,
    {"error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}},
)


class OpenAIChat(OpenAI):
    """Chat, completions, embeddings and models; ``/v1`` before the path may be left out."""

    name = "openai-chat"

    def __init__(self, scripts: Scripts, keys: Iterable[str] = (), flavour: Flavour = "openai") -> None:
        super().__init__(scripts, keys)
        self.flavour: Flavour = flavour

    def chat(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/chat/completions``."""
        body = self.body(request, TABLES[self.flavour])
        for rule in (check_pairs, check_contents, check_limits, check_tools):
            rule(body)
        if self.flavour == "openai":
            self._check_model(body)
        asked = understand(body, len(request.body))
        answer, script = self.plan(request, asked)
        head = {"id": self.new_id("chatcmpl-"), "created": 1_772_000_000, "model": self._named(asked)}
        head |= {"service_tier": "default", "system_fingerprint": "fp_demo"}
        message = self._message(answer)
        if not asked.stream:
            choices = [
                {"index": at, "message": message, "logprobs": None, "finish_reason": _FINISH[answer.finish]}
                for at in range(body.get("n") or 1)
            ]
            whole = {**head, "object": "chat.completion", "choices": choices, "usage": _usage(answer)}
            return Reply(body=dump(whole), script=script)
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = tuple(_stream({**head, "object": "chat.completion.chunk"}, message, answer, usage))
        return _streamed(events, 2 + usage, script)

    def _check_model(self, body: dict[str, Any]) -> None:
        check_sampling(body, body.get("reasoning_effort"))
        check_functions(body, self.flavour)
        if body["model"].startswith(("o1", "o3", "o4", "gpt-5")) and body.get("max_tokens") is not None:
            words = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            refuse(f"Unsupported parameter: {words}", "max_tokens", "unsupported_parameter")

    def _named(self, asked: Asked) -> str:
        return dated(asked.model) if self.flavour == "openai" else asked.model.partition("+")[0]

    def _message(self, answer: Answer) -> dict[str, Any]:
        refused = answer.finish == "refusal"
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if refused or (answer.calls and not answer.text) else answer.text,
            "refusal": answer.text if refused else None,
        }
        if self.flavour == "openai":
            message["annotations"] = []
        elif answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.calls:
            message["tool_calls"] = [
                {
                    "id": self.new_id("call_"),
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for name, arguments in answer.calls
            ]
        return message

    def completions(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/completions``."""
        body = self.body(request, COMPLETIONS)
        prompt = body["prompt"] or ""
        text = prompt if isinstance(prompt, str) else str(prompt[0])
        asked = Asked(model=body["model"], stream=bool(body.get("stream")), text=text, size=len(request.body))
        answer, script = self.plan(request, asked)
        head: dict[str, Any] = {
            "id": self.new_id("cmpl-"),
            "object": "text_completion",
            "created": 1_772_000_000,
        }
        head["model"] = self._named(asked)

        def choice(piece: str, finish: str | None) -> list[dict[str, Any]]:
            return [{"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}]

        finish = _FINISH[answer.finish]
        if not asked.stream:
            whole = {**head, "choices": choice(answer.text, finish), "usage": _usage(answer)}
            return Reply(body=dump(whole), script=script)
        chunks = [sse(None, {**head, "choices": choice(piece, None)}) for piece in answer.pieces]
        events = (*chunks, sse(None, {**head, "choices": choice("", finish)}), _DONE)
        return _streamed(events, 2, script)

    def embeddings(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/embeddings``: a vector that depends on the text only."""
        body = self.body(request, EMBEDDINGS)
        request.model = body["model"]
        script = self.scripts.take(request.model, request.key)
        if script.status is not None:
            raise VendorError(script.status, script.message or "Refused.", retry_after=script.retry_after)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        rows = []
        for at, text in enumerate(texts):
            vector: Any = [((len(str(text)) * (n + 1)) % 97) / 97 for n in range(body.get("dimensions", 16))]
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            rows.append({"object": "embedding", "index": at, "embedding": vector})
        tokens = max(1, len(request.body) // 4)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        whole = {"object": "list", "data": rows, "model": body["model"], "usage": usage}
        return Reply(body=dump(whole), script=script)

    def models(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /v1/models``."""
        return Reply(body=dump({"object": "list", "data": [model_entry(name) for name in MODELS]}))

    def model(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``GET /v1/models/{id}``."""
        if found["model"] not in MODELS:
            words = f"The model '{found['model']}' does not exist"
            raise VendorError(404, words, param="model", code="model_not_found")
        return Reply(body=dump(model_entry(found["model"])))

    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("POST", "(?:/v1)?/chat/completions", chat),
        ("POST", "(?:/v1)?/completions", completions),
        ("POST", "(?:/v1)?/embeddings", embeddings),
        ("GET", "(?:/v1)?/models", models),
        ("GET", "(?:/v1)?/models/(?P<model>.+)", model),
    )


def _streamed(events: tuple[bytes, ...], terminal: int, script: Any) -> Reply:
    kind = "text/event-stream; charset=utf-8"
    return Reply(events=events, content_type=kind, broken=_BROKEN, terminal=terminal, script=script)


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
    }


def _stream(head: dict[str, Any], message: dict[str, Any], answer: Answer, usage: bool) -> Iterator[bytes]:
    extra: dict[str, Any] = {"usage": None} if usage else {}
    for delta in _deltas(message, answer):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield sse(None, {**head, "choices": [choice], **extra})
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": _FINISH[answer.finish]}
    yield sse(None, {**head, "choices": [last], **extra})
    if usage:
        yield sse(None, {**head, "choices": [], "usage": _usage(answer)})
    yield _DONE


def _deltas(message: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
    calls = message.get("tool_calls", ())
    yield {"role": "assistant", "content": None if calls else "", "refusal": None}
    for piece in fragments(message["reasoning_content"]) if "reasoning_content" in message else ():
        yield {"reasoning_content": piece}
    for piece in answer.pieces:
        yield {"refusal" if message["refusal"] else "content": piece}
    for at, call in enumerate(calls):
        function = call["function"]
        yield {"tool_calls": [{"index": at, **call, "function": {**function, "arguments": ""}}]}
        for piece in fragments(function["arguments"]):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}


async def start(reactor: Any, **settings: Any) -> StandIn:
    """A running stand-in (see :func:`ampproxy.testing.stand_in.start_vendor`; also ``flavour``)."""
    return start_vendor(reactor, OpenAIChat, **settings)
