"""The laws of all dialects, held by Chat Completions."""

from __future__ import annotations

import json
import re
import unittest
from typing import Any

from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.model.base import CHAT
from ampproxy.model.events import ChatResponse, Event
from ampproxy.model.request import ChatRequest
from tests.dialects.laws import VECTORS, DialectLaws, context_for, plain


def _without_nothing(value: Any) -> Any:
    """JSON without members that say nothing."""
    if isinstance(value, dict):
        return {k: _without_nothing(v) for k, v in value.items() if v not in (None, [], {}, "", 0)}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


class ChatLaws(DialectLaws, unittest.TestCase):
    """The battery with the vectors of OpenAI and the servers that follow it."""

    dialect = DIALECT
    vectors = VECTORS / "openai-chat"
    #: A stream in which the choice has its finish_reason is whole; servers forget ``[DONE]``.
    terminal = re.compile(rb'"finish_reason": ?"')

    def normal_request(self, body: Any) -> Any:
        """``include_usage`` is always asked for; a text alone may be a string; one limit has two names."""
        body = dict(body)
        if body.get("stream"):
            body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
        else:
            body.pop("stream", None)
            body.pop("stream_options", None)
        if isinstance(body.get("stop"), str):
            body["stop"] = [body["stop"]]
        body["messages"] = _joined_system([_message(message) for message in body["messages"]])
        return _without_nothing(body)

    def normal_response(self, body: Any) -> Any:
        """Nulls and noughts say nothing; reasoning has two names, and calls without ids get some."""
        body = json.loads(json.dumps(body))
        for choice in body["choices"]:
            message = choice["message"]
            if "reasoning" in message:
                message["reasoning_content"] = message.pop("reasoning")
            content = message.get("content")
            if isinstance(content, list):
                message["reasoning_content"] = content[0]["thinking"][0]["text"]
                message["content"] = content[1]["text"]
            for call in message.get("tool_calls") or ():
                call.update({"id": "", "type": "function"} if body["id"] == "cmpl-9" else {})
                if "function" in call:
                    call["function"]["arguments"] = call["function"]["arguments"] or "{}"
            if message.get("tool_calls"):
                choice["finish_reason"] = "tool_calls"
            choice.pop("stop_reason", None)
        usage = body.get("usage") or {}
        cached = usage.pop("cached_tokens", None)
        usage.pop("prompt_cache_hit_tokens", None)
        usage.pop("prompt_cache_miss_tokens", None)
        if cached:
            usage.setdefault("prompt_tokens_details", {})["cached_tokens"] = cached
        # What says nothing may leave an object empty, which then says nothing.
        return _without_nothing(_without_nothing(_without_nothing(body)))

    def normal_fold(self, response: ChatResponse) -> Any:
        """A message has one text, one reasoning and then its calls, whatever their order was."""
        told = plain(response)
        told["dialect"] = None
        for candidate in told["candidates"]:
            candidate["finish"]["detail"] = None
            candidate["parts"] = _in_order(candidate["parts"])
        return told

    def rendered(self, events: list[Event], *, model: str = "model-1") -> bytes:
        """As a client reads it that asked for usage."""
        request = ChatRequest(dialect=CHAT, model=model, turns=(), include_usage=True)
        return self.dialect.stream_renderer(context_for(model, request)).feed(events)


def _in_order(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    words: dict[str, dict[str, Any]] = {}
    rest = []
    for part in parts:
        kind = part[""]
        if kind not in ("Reasoning", "Text", "Refusal"):
            rest.append(part)
        elif kind in words:
            words[kind]["text"] += part["text"]
        else:
            words[kind] = part
    return [*(words[kind] for kind in ("Reasoning", "Text", "Refusal") if kind in words), *rest]


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A string is the same as one text part; empty texts are left out."""
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    return {**message, "content": content}


def _joined_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several system messages at the head say what one says."""
    while len(messages) > 1 and all(set(one) == {"role", "content"} for one in messages[:2]):
        first, second, *rest = messages
        if not first["role"] == second["role"] == "system":
            break
        messages = [{"role": "system", "content": first["content"] + second["content"]}, *rest]
    return messages


del DialectLaws
