"""The messages of a conversation: from turns to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ampproxy.dialects.openai_chat.parts_out import content_of, finished
from ampproxy.dialects.openai_chat.rules import Rules, call_id
from ampproxy.model.parts import Audio, FileId, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ampproxy.model.request import Turn

#: Where Gemini's proof of a call stands.
PROOFS: Final = "extra_content"


class MessageWriter:
    """Writes messages of turns that are fitted to the dialect."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def messages(self, system: Sequence[Text], turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """All of a request."""
        out: list[dict[str, Any]] = []
        if content := self._content(system, "system"):
            out.append({"role": "system", "content": content})
        for turn in turns:
            if turn.role == "assistant":
                out.append(self._assistant(turn))
            else:
                out += self._others(turn)
        # No messages at all are refused.
        return out or [{"role": "user", "content": ""}]

    def _content(self, parts: Sequence[Part], role: str) -> str | list[Any]:
        return content_of(parts, plain=role in self._rules.host.plain)

    def _others(self, turn: Turn) -> Iterator[dict[str, Any]]:
        """The messages of a turn of the user's or the system's: the results of tools, and all else."""
        yield from (self._result(part) for part in turn.parts if isinstance(part, ToolResult))
        rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
        if rest or not turn.parts:
            yield {"role": turn.role, "content": self._content(rest, turn.role), **turn.extras}

    def _assistant(self, turn: Turn) -> dict[str, Any]:
        """Content and calls in one message; ``content`` is null only beside something else."""
        parts = turn.parts
        thought = "".join(part.text for part in parts if isinstance(part, Reasoning))
        refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
        calls = [self._call(part) for part in parts if isinstance(part, ToolCall)]
        audio = [
            part.source.id for part in parts if isinstance(part, Audio) and isinstance(part.source, FileId)
        ]
        apart = (Reasoning, Refusal, ToolCall, Audio)
        content = self._content([part for part in parts if not isinstance(part, apart)], "assistant")
        empty = None if calls or refusal or audio else ""
        body: dict[str, Any] = {"role": "assistant", "content": content or empty}
        if self._rules.thought and (thought or (calls and self._rules.host.needs_thought)):
            body[self._rules.thought] = thought
        if refusal:
            body["refusal"] = refusal
        if audio:
            body["audio"] = {"id": audio[-1]}
        if calls:
            body["tool_calls"] = calls
        return {**body, **turn.extras}

    def _call(self, part: ToolCall) -> dict[str, Any]:
        name, id_ = self._rules.names(part.name), call_id(part.id, self._rules.host.call_ids)
        body: dict[str, Any]
        if part.freeform:
            body = {"id": id_, "type": "custom", "custom": {"name": name, "input": part.arguments}}
        else:
            function = {"name": name, "arguments": part.arguments or "{}"}
            body = {"id": id_, "type": "function", "function": function}
        if part.sealed is not None:
            body[PROOFS] = {"google": {"thought_signature": part.sealed.value}}
        return finished(body, part)

    def _result(self, part: ToolResult) -> dict[str, Any]:
        content = self._content(part.parts, "tool")
        id_ = call_id(part.call, self._rules.host.call_ids)
        return finished({"role": "tool", "tool_call_id": id_, "content": content}, part)
