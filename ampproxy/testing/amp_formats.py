"""The three formats in which Amp's cloud asks at a connection: requests as it sends them, and answers read as
strictly as its SDKs do. No I/O.

``anthropic-messages`` is as it was seen at a real connection in September 2026. ``responses`` and
``chat-completions`` are **assumed**.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from ampproxy.wire.sse import EventReader

_TIME_ZONE = "User's time zone: Europe/Berlin"
_AUTHOR = '<amp_message_author user="user_made_up"/>'
_ENVIRONMENT = (
    "# Environment\nWorking directory: /home/user/project\nSee also"
    " https://ampcode.com/threads/T-00000000-0000-0000-0000-00000000ffff\n"
)
COMPACTION = "The conversation has become long. Write a summary of it that lets another agent go on."


class BadAnswer(AssertionError):
    """An answer that the SDK of its format could not read, or would read wrongly."""


class ModelError(Exception):
    """The connection answered with an error, as Amp shows it.

    :ivar heading: by the words of the message, as Amp's client chooses it.
    :ivar status: the HTTP status; 200: the error came within the stream.
    """

    def __init__(self, status: int, kind: str, message: str, retry_after: str = "") -> None:
        super().__init__(message)
        self.status, self.kind, self.retry_after = status, kind, retry_after
        self.heading = heading_of(kind, message)


def heading_of(kind: str, message: str) -> str:
    """Under which heading Amp's client shows an error."""
    text = f"{kind} {message}".lower()
    for words, heading in _HEADINGS:
        if any(word in text for word in words):
            return heading
    return "Model Not Found" if "not_found" in kind and message.startswith("model:") else "Error"


_HEADINGS = (
    (("401", "unauthorized"), "Unauthorized"),
    (("prompt is too long", "context window", "maximum context length"), "Context Limit Reached"),
    (("overloaded",), "Provider Overloaded"),
    (("rate_limit_error",), "Rate Limit Hit"),
    (("stream stalled", "no data received for"), "Model Stream Timed Out"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read whole.

    :param calls: tool calls: (id as Amp calls it, name, arguments).
    """

    text: str
    calls: tuple[tuple[str, str, Any], ...] = ()
    stop: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    thinking: str = ""


def _check(good: object, why: str) -> None:
    if not good:
        raise BadAnswer(why)


@dataclass
class Talk(ABC):
    """One conversation in one format. What came is sent back as it came, but for the ids of tool calls, which
    Amp makes its own.

    :param thread: the id of Amp's thread; empty: none is named.
    :param tools: name -> JSON Schema.
    :param effort: of thinking; empty: none is asked for.
    :ivar history: in the format's own words.
    """

    thread: str = ""
    tools: dict[str, Any] = field(default_factory=dict)
    effort: str = "medium"
    max_tokens: int = 32_000
    history: list[Any] = field(default_factory=list)

    name: ClassVar[str]
    path: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    def system(self) -> list[str]:
        """The system text, in its blocks; the thread's line stands in the last."""
        line = f"\nAmp Thread URL: https://ampcode.com/threads/{self.thread}\n" if self.thread else ""
        return ["You are Amp, a coding agent.", "Guidance of the user's.", _ENVIRONMENT + line]

    @abstractmethod
    def user(self, text: str, image: str = "") -> None:
        """A turn of the user's, with a PNG in base64."""

    @abstractmethod
    def give(self, results: Mapping[str, str]) -> None:
        """The results of the last answer's calls: id -> text."""

    @abstractmethod
    def body(self, model: str) -> dict[str, Any]:
        """The next request."""

    @abstractmethod
    def _read(self, events: list[tuple[bytes, Any]]) -> Answer:
        """Read a stream's events to their end, and append the answer to the history."""

    @abstractmethod
    def _error_in(self, event: Any) -> tuple[str, str] | None:
        """Kind and message of an event that is an error."""

    def compact(self, summary: str) -> None:
        """Go on from a summary."""
        self.history.clear()
        self.user(summary)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """Take the answer of a connection.

        :param headers: with lower-case names.
        :raises BadAnswer: it is not as the format has it.
        :raises ModelError: it is an error.
        """
        if status != 200:
            kind, message = _error_of(body)
            raise ModelError(status, kind, message, headers.get("retry-after", ""))
        kind = headers.get("content-type", "").partition(";")[0]
        _check(kind == "text/event-stream", f"not a stream: {kind}")
        _check("content-encoding" not in headers, "compressed")
        events = [*self._events(body)]
        for _, event in events:
            error = self._error_in(event)
            if error is not None:
                raise ModelError(200, *error)
        return self._read(events)

    def _events(self, body: bytes) -> Iterator[tuple[bytes, Any]]:
        reader = EventReader()
        for name, data in [*reader.feed(body), *reader.end()]:
            yield name, data if data == b"[DONE]" else json.loads(data)

    def _turn(self) -> bool:
        """Whether the next turn of the user's is the first."""
        return not self.history

    def _own_id(self, id: str) -> str:
        """An id of a call as Amp has it: ``TU-`` and 22 characters."""
        _check(isinstance(id, str) and id, "a tool call without an id")
        return f"TU-{len(self.history):02}{sum(id.encode()) % 10**8:08}{id[-12:]:0>12}"


def _error_of(body: bytes) -> tuple[str, str]:
    try:
        error = json.loads(body)["error"]
        return str(error.get("type") or error.get("code") or ""), str(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadAnswer(f"not an error of this format: {body[:200]!r}") from None


class MessagesTalk(Talk):
    """``anthropic-messages``: Anthropic's SDK, streamed; the thinking is adaptive, with its effort apart."""

    name = "anthropic-messages"
    path = "/v1/messages"
    headers = MappingProxyType(
        {
            "anthropic-version": "2023-06-01",
            "user-agent": "Anthropic/JS 0.78.0",
            "x-stainless-lang": "js",
            "x-stainless-package-version": "0.78.0",
            "x-stainless-runtime": "node",
            "x-stainless-retry-count": "0",
        }
    )

    def user(self, text: str, image: str = "") -> None:
        first = [_TIME_ZONE, _AUTHOR] if self._turn() else []
        blocks: list[Any] = [{"type": "text", "text": one} for one in (*first, text)]
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": image}
            blocks.append({"type": "image", "source": source})
        self.history.append({"role": "user", "content": blocks})

    def give(self, results: Mapping[str, str]) -> None:
        blocks = [
            {
                "type": "tool_result",
                "tool_use_id": id,
                "content": [{"type": "text", "text": text}],
                "is_error": False,
            }
            for id, text in results.items()
        ]
        self.history.append({"role": "user", "content": blocks})

    def body(self, model: str) -> dict[str, Any]:
        cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
        *before, last = self.history
        blocks = [*last["content"][:-1], {**last["content"][-1], **cached}]
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": self.max_tokens,
            "messages": [*before, {**last, "content": blocks}],
            "system": [{"type": "text", "text": text, **cached} for text in self.system],
            "stream": True,
        }
        if self.tools:
            body["tools"] = [
                {"name": name, "description": f"The tool {name}.", "input_schema": schema}
                for name, schema in self.tools.items()
            ]
        if self.effort:
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
            body["output_config"] = {"effort": self.effort}
        return body

    def _error_in(self, event: Any) -> tuple[str, str] | None:
        if event.get("type") != "error":
            return None
        return str(event["error"]["type"]), str(event["error"]["message"])

    def _read(self, events: list[tuple[bytes, Any]]) -> Answer:
        for name, event in events:
            _check(name.decode() == event["type"], f"event: {name!r} of {event['type']}")
        kept = [event for _, event in events if event["type"] != "ping"]
        kinds = [event["type"] for event in kept]
        _check(kinds[:1] == ["message_start"], f"begins with {kinds[:1]}")
        _check(kinds[-1] == "message_stop" and kinds.count("message_stop") == 1, f"ends with {kinds[-1:]}")
        blocks = self._blocks(kept)
        delta = next(event for event in kept if event["type"] == "message_delta")
        stop = delta["delta"]["stop_reason"]
        uses = [block for block in blocks if block["type"] == "tool_use"]
        _check((stop == "tool_use") == bool(uses), f"stop_reason {stop} with {len(uses)} calls")
        usage = kept[0]["message"]["usage"] | delta["usage"]
        _check(isinstance(usage["input_tokens"], int) and usage["output_tokens"] > 0, f"usage {usage}")
        self.history.append({"role": "assistant", "content": blocks})
        return Answer(
            "".join(block["text"] for block in blocks if block["type"] == "text"),
            tuple((block["id"], block["name"], block["input"]) for block in uses),
            stop,
            usage["input_tokens"],
            usage["output_tokens"],
            "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        )

    def _blocks(self, events: list[Any]) -> list[Any]:
        blocks: list[Any] = []
        text: list[str] = []
        for event in events:
            if event["type"] == "content_block_start":
                _check(event["index"] == len(blocks), f"block {event['index']} after {len(blocks)}")
                blocks.append(dict(event["content_block"]))
                text.append("")
            elif event["type"] == "content_block_delta":
                _add_delta(blocks, text, event["index"], dict(event["delta"]))
        for block, partial in zip(blocks, text, strict=True):
            if block["type"] == "tool_use":
                block["id"] = self._own_id(block["id"])
                block["input"] = json.loads(partial or "{}")
            elif block["type"] == "thinking":
                # Empty where its vendor proves it apart, or not at all.
                _check(isinstance(block.get("signature"), str), "thinking without the member signature")
            elif block["type"] == "redacted_thinking":
                _check(block.get("data"), "redacted thinking without data")
        return blocks


def _add_delta(blocks: list[Any], text: list[str], at: int, delta: dict[str, Any]) -> None:
    _check(at == len(blocks) - 1, f"a delta of block {at} of {len(blocks)}")
    kind = delta.pop("type")
    ((name, value),) = delta.items()
    if kind == "input_json_delta":
        text[at] += value
    else:
        blocks[at][name] = blocks[at].get(name, "") + value


class ResponsesTalk(Talk):
    """``responses``, assumed: nothing is stored, the system text is the first item, the proofs of reasoning
    go back.
    """

    name = "responses"
    path = "/responses"
    headers = MappingProxyType({"user-agent": "OpenAI/JS 6.9.0", "x-stainless-lang": "js"})

    def user(self, text: str, image: str = "") -> None:
        parts: list[Any] = [{"type": "input_text", "text": text}]
        if image:
            url = f"data:image/png;base64,{image}"
            parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
        self.history.append({"type": "message", "role": "user", "content": parts})

    def give(self, results: Mapping[str, str]) -> None:
        self.history += [
            {"type": "function_call_output", "call_id": id, "output": text} for id, text in results.items()
        ]

    def body(self, model: str) -> dict[str, Any]:
        system = {"type": "message", "role": "system", "content": "\n\n".join(self.system)}
        body: dict[str, Any] = {
            "model": model,
            "input": [system, *self.history],
            "stream": True,
            "store": False,
            "max_output_tokens": self.max_tokens,
        }
        if self.tools:
            body["tools"] = [
                {"type": "function", "name": name, "description": name, "parameters": schema, "strict": False}
                for name, schema in self.tools.items()
            ]
        if self.thread:
            body["prompt_cache_key"] = self.thread
        if self.effort:
            body["reasoning"] = {"effort": self.effort, "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        return body

    def _error_in(self, event: Any) -> tuple[str, str] | None:
        if event.get("type") == "error":
            error = event.get("error") or event
            return str(error.get("code") or error.get("type")), str(error["message"])
        if event.get("type") == "response.failed":
            error = event["response"]["error"]
            return str(error["code"]), str(error["message"])
        return None

    def _read(self, events: list[tuple[bytes, Any]]) -> Answer:
        kept = [event for _, event in events]
        _check(all(name.decode() == event["type"] for name, event in events), "names of events")
        numbers = [event["sequence_number"] for event in kept]
        _check(numbers == sorted(set(numbers)), "sequence numbers")
        _check(kept[0]["type"] == "response.created", f"begins with {kept[0]['type']}")
        end = kept[-1]
        _check(end["type"] in ("response.completed", "response.incomplete"), f"ends with {end['type']}")
        output = [event["item"] for event in kept if event["type"] == "response.output_item.done"]
        _check(output == end["response"]["output"], "the items of the stream are not those of its end")
        texts = [event["delta"] for event in kept if event["type"] == "response.output_text.delta"]
        calls = [item for item in output if item["type"] == "function_call"]
        written = [part for item in output if item["type"] == "message" for part in item["content"]]
        text = "".join(part.get("text", "") for part in written)
        _check("".join(texts) == text, "the deltas are not the text")
        for item in output:
            if item["type"] == "reasoning":
                _check(item.get("encrypted_content") or item["summary"], "reasoning that holds nothing")
        usage = end["response"]["usage"]
        _check(usage["output_tokens"] > 0 and usage["input_tokens"] >= 0, f"usage {usage}")
        found = []
        for item in calls:
            item["call_id"] = self._own_id(item["call_id"])
            found.append((item["call_id"], item["name"], json.loads(item["arguments"] or "{}")))
        self.history += output
        stop = "tool_use" if calls else end["response"]["status"]
        return Answer(text, tuple(found), stop, usage["input_tokens"], usage["output_tokens"])


class ChatTalk(Talk):
    """``chat-completions``, assumed."""

    name = "chat-completions"
    path = "/chat/completions"
    headers = MappingProxyType({"user-agent": "OpenAI/JS 6.9.0", "x-stainless-lang": "js"})

    def user(self, text: str, image: str = "") -> None:
        parts: list[Any] = [{"type": "text", "text": text}]
        if image:
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}})
        self.history.append({"role": "user", "content": parts if image else text})

    def give(self, results: Mapping[str, str]) -> None:
        self.history += [
            {"role": "tool", "tool_call_id": id, "content": text} for id, text in results.items()
        ]

    def body(self, model: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "system", "content": "\n\n".join(self.system)}, *self.history],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": self.max_tokens,
        }
        if self.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}
                for name, schema in self.tools.items()
            ]
        if self.effort:
            body["reasoning_effort"] = self.effort
        return body

    def _error_in(self, event: Any) -> tuple[str, str] | None:
        if not isinstance(event, dict) or "error" not in event:
            return None
        error = event["error"]
        return str(error.get("type") or error.get("code")), str(error["message"])

    def _read(self, events: list[tuple[bytes, Any]]) -> Answer:
        _check(events and events[-1][1] == b"[DONE]", "ends without [DONE]")
        chunks = [event for _, event in events[:-1]]
        _check(all(chunk["object"] == "chat.completion.chunk" for chunk in chunks), "not chunks")
        text, calls, stop = "", dict[int, dict[str, str]](), ""
        for choice in (choice for chunk in chunks for choice in chunk["choices"]):
            delta = choice["delta"]
            text += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                _add_call(calls, call)
            stop = choice.get("finish_reason") or stop
        _check(stop == "tool_calls" if calls else stop, f"finish_reason {stop} with {len(calls)} calls")
        usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        _check(len(usages) == 1, f"{len(usages)} times usage")
        turn: dict[str, Any] = {"role": "assistant", "content": text or None}
        found = []
        for call in calls.values():
            call["id"] = self._own_id(call["id"])
            found.append((call["id"], call["name"], json.loads(call["arguments"] or "{}")))
        if calls:
            turn["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in calls.values()
            ]
        self.history.append(turn)
        used = usages[0]
        return Answer(
            text,
            tuple(found),
            "tool_use" if calls else stop,
            used["prompt_tokens"],
            used["completion_tokens"],
        )


def _add_call(calls: dict[int, dict[str, str]], call: Any) -> None:
    at = call["index"]
    if at not in calls:
        _check(at == len(calls), f"tool call {at} after {len(calls)}")
        calls[at] = {"id": call["id"], "name": call["function"]["name"], "arguments": ""}
    calls[at]["arguments"] += call["function"].get("arguments") or ""


#: The formats of connections.
FORMATS: dict[str, type[Talk]] = {talk.name: talk for talk in (ChatTalk, ResponsesTalk, MessagesTalk)}
