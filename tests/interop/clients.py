"""The vendors' own SDKs behind one small face: a conversation that is held the way an agent holds it.

What the SDK gave goes back as the SDK gave it; nothing here repairs an answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

PREFIX = "/api/provider/"


@dataclass(frozen=True)
class Media:
    """An attachment."""

    kind: str
    data: bytes

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        return f"data:{self.kind};base64,{self.base64}"

    @property
    def is_image(self) -> bool:
        return self.kind.startswith("image/")


@dataclass(frozen=True)
class Call:
    """A tool call of an answer; ``arguments`` as a value."""

    id: str | None
    name: str
    arguments: Any


@dataclass(frozen=True)
class Result:
    """What a tool gave: a text, or texts and attachments."""

    call: Call
    content: str | Sequence[str | Media]
    error: bool = False


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked beside the conversation; each client says it in its own words.

    :param tools: name -> schema.
    :param choice: ``required``, ``none``, or the name of the tool that must be called.
    """

    model: str
    stream: bool = False
    system: tuple[str, ...] = ()
    tools: dict[str, Any] = field(default_factory=dict)
    choice: str | None = None
    limit: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    budget: int | None = None
    level: str | None = None
    schema: dict[str, Any] | None = None

    @property
    def thinks(self) -> bool:
        return self.budget is not None or self.level is not None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the SDK understood. ``finish`` is ``stop``, ``length``, ``tool`` or ``refusal``."""

    text: str
    finish: str
    model: str
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int | None = None
    proofs: tuple[str, ...] = ()
    raw: Any = None


class Client:
    """A conversation with one SDK.

    :ivar history: in the dialect's own words.
    """

    dialect = ""
    #: Its dialect has a place for proofs of reasoning.
    proves = True

    def __init__(self, url: str, key: str, root: bool = False) -> None:
        self.sdk: Any = self.connect(url, key, root)
        self.history: list[Any] = []

    @staticmethod
    def connect(url: str, key: str, root: bool) -> Any:
        raise NotImplementedError

    def user(self, text: str, *media: Media) -> Client:
        raise NotImplementedError

    def results(self, results: Sequence[Result]) -> Client:
        raise NotImplementedError

    def ask(self, ask: Ask) -> Answer:
        raise NotImplementedError


_STOPS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool"}
_FINISHES = {"stop": "stop", "length": "length", "tool_calls": "tool", "content_filter": "refusal"}
_GEMINI_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}


def _some(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, (), [], {})}


class Claude(Client):
    dialect = "anthropic"

    @staticmethod
    @lru_cache
    def connect(url: str, key: str, root: bool) -> Any:
        base = url if root else url + PREFIX + "anthropic"
        return anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)

    def user(self, text: str, *media: Media) -> Client:
        self.history.append({"role": "user", "content": [*map(self._part, media), self._part(text)]})
        return self

    def _part(self, part: str | Media) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        source = {"type": "base64", "media_type": part.kind, "data": part.base64}
        return {"type": "image" if part.is_image else "document", "source": source}

    def results(self, results: Sequence[Result]) -> Client:
        blocks = []
        for one in results:
            content = one.content if isinstance(one.content, str) else [self._part(p) for p in one.content]
            block = {"type": "tool_result", "tool_use_id": one.call.id, "content": content}
            blocks.append({**block, "is_error": True} if one.error else block)
        self.history.append({"role": "user", "content": blocks})
        return self

    def asked(self, ask: Ask) -> dict[str, Any]:
        asked = _some(
            model=ask.model,
            messages=self.history,
            system=[{"type": "text", "text": text} for text in ask.system],
            tools=[{"name": name, "input_schema": schema} for name, schema in ask.tools.items()],
            stop_sequences=list(ask.stop),
        )
        if ask.choice is not None:
            kinds = {"required": {"type": "any"}, "none": {"type": "none"}}
            asked["tool_choice"] = kinds.get(ask.choice, {"type": "tool", "name": ask.choice})
        return asked

    def ask(self, ask: Ask) -> Answer:
        asked = self.asked(ask) | {"max_tokens": ask.limit or 4000}
        if ask.temperature is not None:
            asked["extra_body"] = {"temperature": ask.temperature}
        output = _some(effort=ask.level)
        if ask.schema:
            output["format"] = {"type": "json_schema", "schema": ask.schema}
        if ask.budget is not None:
            asked["thinking"] = {"type": "enabled", "budget_tokens": ask.budget}
        elif ask.level:
            asked["thinking"] = {"type": "adaptive", "display": "summarized"}
        if output:
            asked["output_config"] = output
        if ask.stream:
            with self.sdk.messages.stream(**asked) as stream:
                message = stream.get_final_message()
        else:
            message = self.sdk.messages.create(**asked)
        self.history.append({"role": "assistant", "content": message.content})
        blocks = message.content
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        return Answer(
            text="".join(b.text for b in blocks if b.type == "text"),
            thinking="".join(b.thinking for b in blocks if b.type == "thinking"),
            finish=_STOPS.get(message.stop_reason, message.stop_reason),
            model=message.model,
            calls=tuple(Call(b.id, b.name, b.input) for b in blocks if b.type == "tool_use"),
            input=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            output=usage.output_tokens,
            cached=cached,
            proofs=tuple(b.signature for b in blocks if b.type == "thinking" and b.signature),
            raw=message,
        )

    def count(self, ask: Ask) -> int:
        return self.sdk.messages.count_tokens(**self.asked(ask)).input_tokens


@lru_cache
def _openai(url: str, key: str, root: bool) -> Any:
    base = url + "/v1" if root else url + PREFIX + "openai/v1"
    return openai.OpenAI(base_url=base, api_key=key, max_retries=0)


class Chat(Client):
    dialect = "openai-chat"
    proves = False
    connect = staticmethod(_openai)

    def user(self, text: str, *media: Media) -> Client:
        content: Any = [*map(self._part, media), self._part(text)] if media else text
        self.history.append({"role": "user", "content": content})
        return self

    def _part(self, part: str | Media) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if part.is_image:
            return {"type": "image_url", "image_url": {"url": part.url}}
        return {"type": "file", "file": {"filename": "it.pdf", "file_data": part.url}}

    def results(self, results: Sequence[Result]) -> Client:
        for one in results:
            content: Any = one.content
            if not isinstance(content, str):
                content = [self._part(p) for p in content if isinstance(p, str)]
            self.history.append({"role": "tool", "tool_call_id": one.call.id, "content": content})
        return self

    def ask(self, ask: Ask) -> Answer:
        tools = [{"type": "function", "function": {"name": n, "parameters": s}} for n, s in ask.tools.items()]
        asked = _some(
            model=ask.model,
            messages=[{"role": "system", "content": text} for text in ask.system] + self.history,
            tools=tools,
            max_completion_tokens=ask.limit,
            temperature=ask.temperature,
            stop=list(ask.stop),
            reasoning_effort=ask.level or (ask.budget and "medium"),
        )
        if ask.choice is not None:
            named = {"type": "function", "function": {"name": ask.choice}}
            asked["tool_choice"] = ask.choice if ask.choice in ("required", "none") else named
        if ask.schema:
            shape = {"name": "shape", "schema": ask.schema, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": shape}
        if ask.stream:
            with self.sdk.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
                for _ in stream:
                    pass
                # the helper's own last step refuses answers that were cut off
                whole = stream.current_completion_snapshot
        else:
            whole = self.sdk.chat.completions.create(**asked)
        choice = whole.choices[0]
        said = choice.message.model_dump(exclude_none=True, exclude={"parsed"})
        for call in said.get("tool_calls", ()):
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        self.history.append(said)
        usage = whole.usage
        spent = usage.completion_tokens_details
        read = usage.prompt_tokens_details
        calls = choice.message.tool_calls or ()
        return Answer(
            text=choice.message.content or "",
            thinking=getattr(choice.message, "reasoning_content", None) or "",
            finish="refusal" if choice.message.refusal else _FINISHES[choice.finish_reason],
            model=whole.model,
            calls=tuple(Call(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls),
            input=usage.prompt_tokens,
            output=usage.completion_tokens,
            cached=(read and read.cached_tokens) or 0,
            reasoning=spent and spent.reasoning_tokens,
            raw=whole,
        )


class Responses(Client):
    dialect = "openai-responses"
    connect = staticmethod(_openai)

    def user(self, text: str, *media: Media) -> Client:
        content: Any = [*map(self._part, media), self._part(text)] if media else text
        self.history.append({"role": "user", "content": content})
        return self

    def _part(self, part: str | Media) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "input_text", "text": part}
        if part.is_image:
            return {"type": "input_image", "image_url": part.url, "detail": "auto"}
        return {"type": "input_file", "filename": "it.pdf", "file_data": part.url}

    def results(self, results: Sequence[Result]) -> Client:
        for one in results:
            content = one.content if isinstance(one.content, str) else [self._part(p) for p in one.content]
            item = {"type": "function_call_output", "call_id": one.call.id, "output": content}
            self.history.append(item)
        return self

    def ask(self, ask: Ask) -> Answer:
        tools = [
            {"type": "function", "name": n, "parameters": s, "strict": False} for n, s in ask.tools.items()
        ]
        system = [{"role": "developer", "content": text} for text in ask.system[1:]]
        asked = _some(
            model=ask.model,
            input=system + self.history,
            instructions=ask.system[0] if ask.system else None,
            tools=tools,
            max_output_tokens=ask.limit,
            temperature=ask.temperature,
        ) | {"store": False}
        if ask.thinks:
            asked["include"] = ["reasoning.encrypted_content"]
            asked["reasoning"] = {"effort": ask.level or "medium", "summary": "auto"}
        if ask.choice is not None:
            named = {"type": "function", "name": ask.choice}
            asked["tool_choice"] = ask.choice if ask.choice in ("required", "none") else named
        if ask.schema:
            shape = {"type": "json_schema", "name": "shape", "schema": ask.schema, "strict": True}
            asked["text"] = {"format": shape}
        if ask.stream:
            whole = self._streamed(asked)
        else:
            whole = self.sdk.responses.create(**asked)
        if whole.status == "failed":
            raise openai.APIError(whole.error.message, None, body=None)
        for item in whole.output:
            self.history.append(item.model_dump(exclude_none=True, exclude={"parsed_arguments", "status"}))
        return self._answer(whole)

    def _streamed(self, asked: dict[str, Any]) -> Any:
        last = None
        with self.sdk.responses.stream(**asked) as stream:
            for event in stream:
                if event.type in ("response.completed", "response.incomplete", "response.failed"):
                    last = event.response
        assert last is not None, "the stream ended cleanly without a terminal event"
        return last

    def _answer(self, whole: Any) -> Answer:
        calls = [item for item in whole.output if item.type == "function_call"]
        thoughts = [item for item in whole.output if item.type == "reasoning"]
        said = [part for item in whole.output if item.type == "message" for part in item.content]
        finish = "tool" if calls else "stop"
        if whole.status == "incomplete":
            finish = "length" if whole.incomplete_details.reason == "max_output_tokens" else "refusal"
        elif any(part.type == "refusal" for part in said):
            finish = "refusal"
        usage = whole.usage
        return Answer(
            text=whole.output_text,
            thinking="".join(part.text for item in thoughts for part in item.summary),
            finish=finish,
            model=whole.model,
            calls=tuple(Call(c.call_id, c.name, json.loads(c.arguments)) for c in calls),
            input=usage.input_tokens,
            output=usage.output_tokens,
            cached=usage.input_tokens_details.cached_tokens,
            reasoning=usage.output_tokens_details.reasoning_tokens,
            proofs=tuple(i.encrypted_content for i in thoughts if i.encrypted_content),
            raw=whole,
        )


class Google(Client):
    dialect = "gemini"

    @staticmethod
    @lru_cache
    def connect(url: str, key: str, root: bool) -> Any:
        base = url if root else url + PREFIX + "google"
        return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base))

    def user(self, text: str, *media: Media) -> Client:
        self.history.append(types.Content(role="user", parts=[*map(self._part, media), self._part(text)]))
        return self

    def _part(self, part: str | Media) -> types.Part:
        if isinstance(part, str):
            return types.Part(text=part)
        return types.Part(inline_data=types.Blob(mime_type=part.kind, data=part.data))

    def results(self, results: Sequence[Result]) -> Client:
        parts = []
        for one in results:
            content, pictures = one.content, []
            if not isinstance(content, str):
                pictures = [p for p in content if isinstance(p, Media)]
                content = "\n".join(p for p in content if isinstance(p, str))
            response = types.FunctionResponse(
                id=one.call.id, name=one.call.name, response={"error" if one.error else "output": content}
            )
            parts.append(types.Part(function_response=response))
            parts += map(self._part, pictures)
        self.history.append(types.Content(role="user", parts=parts))
        return self

    def config(self, ask: Ask) -> types.GenerateContentConfig:
        declared = [types.FunctionDeclaration(name=n, parameters_json_schema=s) for n, s in ask.tools.items()]
        config = _some(
            system_instruction=list(ask.system),
            tools=[types.Tool(function_declarations=declared)] if declared else None,
            max_output_tokens=ask.limit,
            temperature=ask.temperature,
            stop_sequences=list(ask.stop),
        )
        if ask.choice is not None:
            mode = {"required": "ANY", "none": "NONE"}.get(ask.choice, "ANY")
            named = {} if ask.choice in ("required", "none") else {"allowed_function_names": [ask.choice]}
            calling = types.FunctionCallingConfig(mode=mode, **named)
            config["tool_config"] = types.ToolConfig(function_calling_config=calling)
        if ask.thinks:
            config["thinking_config"] = types.ThinkingConfig(
                include_thoughts=True,
                **_some(thinking_budget=ask.budget, thinking_level=ask.level and ask.level.upper()),
            )
        if ask.schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": ask.schema}
        return types.GenerateContentConfig(
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), **config
        )

    def ask(self, ask: Ask) -> Answer:
        asked = {"model": ask.model, "contents": self.history, "config": self.config(ask)}
        if ask.stream:
            chunks = list(self.sdk.models.generate_content_stream(**asked))
        else:
            chunks = [self.sdk.models.generate_content(**asked)]
        found = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
        parts = [part for one in found if one.content for part in one.content.parts or ()]
        self.history.append(types.Content(role="model", parts=parts))
        reason = next(one.finish_reason.value for one in reversed(found) if one.finish_reason)
        calls = [part.function_call for part in parts if part.function_call]
        finish = "tool" if calls and reason == "STOP" else _GEMINI_FINISHES.get(reason, "refusal")
        usage = next(chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata)
        thoughts = usage.thoughts_token_count or 0
        return Answer(
            text="".join(part.text for part in parts if part.text and not part.thought),
            thinking="".join(part.text for part in parts if part.text and part.thought),
            finish=finish,
            model=chunks[-1].model_version,
            calls=tuple(Call(c.id, c.name, c.args) for c in calls),
            input=usage.prompt_token_count,
            output=(usage.candidates_token_count or 0) + thoughts,
            cached=usage.cached_content_token_count or 0,
            reasoning=thoughts,
            proofs=tuple(
                base64.b64encode(p.thought_signature).decode() for p in parts if p.thought_signature
            ),
            raw=chunks,
        )

    def count(self, ask: Ask) -> int:
        return self.sdk.models.count_tokens(model=ask.model, contents=self.history).total_tokens


CLIENTS: dict[str, type[Client]] = {one.dialect: one for one in (Claude, Chat, Responses, Google)}
