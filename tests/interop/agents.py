"""Agents without an SDK, one for each dialect: they send back exactly what they received, as agents do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

Call = tuple[str, str, Any]


class Agent:
    """A tool loop over raw JSON, streamed.

    :ivar thread: the conversation in the dialect's own words.
    """

    dialect = ""
    path = ""
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, url: str, key: str, model: str, tools: dict[str, Any]) -> None:
        self._where = urlsplit(url).netloc
        self._key = key
        self._connection = HTTPConnection(self._where, timeout=60)
        self.model = model
        self.tools = tools
        self.thread: list[Any] = []

    def user(self, text: str) -> None:
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        raise NotImplementedError

    def take(self, events: Iterator[Any]) -> list[Call]:
        """Append the answer to the thread; its calls: (id, name, arguments)."""
        raise NotImplementedError

    def give(self, results: list[tuple[Call, str]]) -> None:
        raise NotImplementedError

    def ask(self) -> list[Call]:
        """Ask once.

        :raises AssertionError: the answer is an error.
        """
        return self.take(_events(self.lines()))

    def lines(self) -> Iterator[bytes]:
        """The stream's lines.

        :raises AssertionError: the answer is an error.
        """
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._key}", **self.headers}
        path = self.path.format(model=self.model)
        self._connection.request("POST", path, json.dumps(self.body()).encode(), headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise AssertionError(f"{response.status}: {response.read().decode()}")
        return iter(response.readline, b"")

    def close(self) -> None:
        self._connection.close()


def _events(lines: Iterator[bytes]) -> Iterator[Any]:
    for line in lines:
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            assert "error" not in event or event["error"] is None, event
            yield event


class AnthropicAgent(Agent):
    dialect = "anthropic"
    path = "/api/provider/anthropic/v1/messages"
    headers = MappingProxyType({"anthropic-version": "2023-06-01"})

    def user(self, text: str) -> None:
        self.thread.append({"role": "user", "content": [{"type": "text", "text": text}]})

    def body(self) -> dict[str, Any]:
        newer = self.model.endswith("4-6")
        return {
            "model": self.model,
            "max_tokens": 8000,
            "stream": True,
            "thinking": {"type": "adaptive"} if newer else {"type": "enabled", "budget_tokens": 2048},
            "tools": [{"name": name, "input_schema": schema} for name, schema in self.tools.items()],
            "messages": self.thread,
        }

    def take(self, events: Iterator[Any]) -> list[Call]:
        blocks: dict[int, Any] = {}
        partial: dict[int, str] = {}
        for event in events:
            at = event.get("index", 0)
            if event["type"] == "content_block_start":
                blocks[at], partial[at] = event["content_block"], ""
            elif event["type"] == "content_block_delta":
                delta = dict(event["delta"])
                kind = delta.pop("type")
                name, value = next(iter(delta.items()))
                if kind == "input_json_delta":
                    partial[at] += value
                else:
                    blocks[at][name] = blocks[at].get(name, "") + value
            elif event["type"] == "content_block_stop" and blocks[at]["type"] == "tool_use":
                blocks[at]["input"] = json.loads(partial[at] or "{}")
        content = list(blocks.values())
        self.thread.append({"role": "assistant", "content": content})
        return [(b["id"], b["name"], b["input"]) for b in content if b["type"] == "tool_use"]

    def give(self, results: list[tuple[Call, str]]) -> None:
        blocks = [
            {"type": "tool_result", "tool_use_id": call[0], "content": [{"type": "text", "text": text}]}
            for call, text in results
        ]
        self.thread.append({"role": "user", "content": blocks})


class ChatAgent(Agent):
    dialect = "openai-chat"
    path = "/api/provider/openai/v1/chat/completions"

    def user(self, text: str) -> None:
        self.thread.append({"role": "user", "content": text})

    def body(self) -> dict[str, Any]:
        tools = [
            {"type": "function", "function": {"name": n, "parameters": s}} for n, s in self.tools.items()
        ]
        effort = {} if self.model.startswith("gpt-4") else {"reasoning_effort": "medium"}
        return {"model": self.model, "stream": True, "messages": self.thread, "tools": tools, **effort}

    def take(self, events: Iterator[Any]) -> list[Call]:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        calls: dict[int, Any] = {}
        for event in events:
            for choice in event["choices"]:
                delta = choice["delta"]
                for name in ("content", "reasoning_content"):
                    if delta.get(name):
                        message[name] = (message.get(name) or "") + delta[name]
                for part in delta.get("tool_calls", ()):
                    call = calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
                    call.update({name: part[name] for name in ("id", "type") if name in part})
                    for name, text in part.get("function", {}).items():
                        call["function"][name] += text
        if calls:
            message["tool_calls"] = list(calls.values())
        self.thread.append(message)
        return [
            (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls.values()
        ]

    def give(self, results: list[tuple[Call, str]]) -> None:
        self.thread += [{"role": "tool", "tool_call_id": call[0], "content": text} for call, text in results]


class ResponsesAgent(Agent):
    dialect = "openai-responses"
    path = "/api/provider/openai/v1/responses"

    def user(self, text: str) -> None:
        self.thread.append({"role": "user", "content": [{"type": "input_text", "text": text}]})

    def body(self) -> dict[str, Any]:
        tools = [
            {"type": "function", "name": n, "parameters": s, "strict": False} for n, s in self.tools.items()
        ]
        return {
            "model": self.model,
            "stream": True,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "medium", "summary": "auto"},
            "tools": tools,
            "input": self.thread,
        }

    def take(self, events: Iterator[Any]) -> list[Call]:
        items = []
        for event in events:
            assert event["type"] not in ("error", "response.failed"), event
            if event["type"] == "response.output_item.done":
                items.append(event["item"])
        self.thread += items
        return [
            (item["call_id"], item["name"], json.loads(item["arguments"]))
            for item in items
            if item["type"] == "function_call"
        ]

    def give(self, results: list[tuple[Call, str]]) -> None:
        self.thread += [
            {"type": "function_call_output", "call_id": call[0], "output": text} for call, text in results
        ]


class GeminiAgent(Agent):
    dialect = "gemini"
    path = "/api/provider/google/v1beta/models/{model}:streamGenerateContent?alt=sse"

    def user(self, text: str) -> None:
        self.thread.append({"role": "user", "parts": [{"text": text}]})

    def body(self) -> dict[str, Any]:
        declared = [{"name": n, "parametersJsonSchema": s} for n, s in self.tools.items()]
        thinking: dict[str, Any] = {"includeThoughts": True}
        return {
            "contents": self.thread,
            "tools": [{"functionDeclarations": declared}],
            "generationConfig": {"thinkingConfig": thinking},
        }

    def take(self, events: Iterator[Any]) -> list[Call]:
        found = [candidate for event in events for candidate in event.get("candidates", ())]
        parts = [part for one in found for part in one.get("content", {}).get("parts", ())]
        self.thread.append({"role": "model", "parts": parts})
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        return [(call.get("id", ""), call["name"], call.get("args", {})) for call in calls]

    def give(self, results: list[tuple[Call, str]]) -> None:
        parts = []
        for (name_id, name, _), text in results:
            response = {"name": name, "response": {"output": text}, **({"id": name_id} if name_id else {})}
            parts.append({"functionResponse": response})
        self.thread.append({"role": "user", "parts": parts})


AGENTS: dict[str, type[Agent]] = {
    one.dialect: one for one in (AnthropicAgent, ChatAgent, ResponsesAgent, GeminiAgent)
}
