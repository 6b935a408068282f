"""The messages of a conversation: from Chat Completions' JSON to turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.json import (
    NULL,
    Decoder,
    bad_request,
    members,
    raw_text,
    read_request,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.openai_chat.parts_in import content_parts, pictures, result_parts, text_parts
from ampproxy.dialects.places import Waiting
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import Audio, FileId, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ampproxy.model.request import Role, Turn
from ampproxy.wire.json import BAD_JSON


class _FunctionCall(msgspec.Struct):
    name: str
    arguments: Json = NULL


class _CustomCall(msgspec.Struct):
    name: str
    input: str = ""


class CallMessage(msgspec.Struct):
    """One of ``tool_calls``."""

    id: str | None = None
    type: str | None = None
    function: _FunctionCall | None = None
    custom: _CustomCall | None = None
    name: str | None = None
    arguments: Json = NULL


class _AudioId(msgspec.Struct):
    id: str


class _Message(msgspec.Struct):
    role: str
    content: str | list[Json] | None = None
    tool_calls: list[Json] | None = None
    tool_call_id: str | None = None
    function_call: _FunctionCall | None = None
    refusal: str | None = None
    audio: _AudioId | None = None
    reasoning_content: str | None = None
    reasoning: Json = NULL


_MESSAGE: Final = Decoder(_Message)
_CALL: Final = Decoder(CallMessage)
_KNOWN: Final = frozenset(_Message.__struct_fields__)
#: An empty list means nothing.
_NONE: Final = Json(b"[]")


def arguments_text(raw: Json) -> str:
    """The arguments' JSON text: usually a string that holds it, from some servers the object itself;
    ``{}`` for none.
    """
    text = text_of(raw)
    if text is None:
        text = bytes(raw).decode("utf-8", "replace")
    return "{}" if not text.strip() or text == "null" else text


def call_part(call: CallMessage, spare_id: str) -> ToolCall | None:
    """A tool call; ``None`` if it is neither a function's nor a custom tool's.

    :param spare_id: its id if it has none.
    """
    call_id = call.id or spare_id
    if call.custom is not None:
        return ToolCall(call_id, call.custom.name, call.custom.input, freeform=True)
    if call.function is not None:
        return ToolCall(call_id, call.function.name, arguments_text(call.function.arguments))
    # Responses' form.
    return None if call.name is None else ToolCall(call_id, call.name, arguments_text(call.arguments))


def _others(raw: Json, at: str, known: frozenset[str]) -> dict[str, Json]:
    """The members that are not known and have a value."""
    found = without_nulls(members(raw, at))
    return {name: value for name, value in found.items() if name not in known and value != _NONE}


def _mended(raw: Json, at: str) -> Json:
    """A message that is one of Responses' items, or whose content is neither a text nor a list of parts, in
    this dialect's form.
    """
    found = members(raw, at)
    kind = text_of(found.get("type", NULL))
    if kind == "function_call":
        function = {name: found[name] for name in ("name", "arguments") if name in found}
        call = {"id": found.get("call_id", NULL), "function": function}
        return to_raw({"role": "assistant", "tool_calls": [call]})
    if kind == "function_call_output":
        output, id_ = found.get("output", NULL), found.get("call_id", NULL)
        found = {"role": raw_text('"tool"'), "tool_call_id": id_, "content": output}
    content = bytes(found.get("content", NULL))
    if content[:1] == b"{":
        part = text_of(members(content, at).get("type", NULL))
        found["content"] = to_raw([Json(content)]) if part else to_raw(content.decode("utf-8", "replace"))
    return to_raw(found)


class _Conversation(msgspec.Struct):
    """The turns so far, and which calls wait for a result."""

    system: list[Text] = []
    turns: list[Turn] = []
    _calls: int = 0
    _waiting: Waiting = msgspec.field(default_factory=Waiting)
    #: Results that follow one another: one turn, which is not among the others yet.
    _results: list[ToolResult] = []

    def add(self, raw: Json, at: str) -> None:
        try:
            message = _MESSAGE.decode(raw)
        except BAD_JSON:
            raw = _mended(raw, at)
            message = read_request(_MESSAGE, raw, at)
        parse = _ROLES.get(message.role)
        if parse is None:
            bad_request(f"{at}.role", f"Unknown role; expected one of {', '.join(sorted(_ROLES))}.")
        parse(self, message, _others(raw, at, _KNOWN), at)

    def close(self) -> None:
        """No more results follow those that came."""
        if self._results:
            self.turns.append(Turn("user", tuple(self._results)))
            self._results = []

    def instruct(self, message: _Message, extras: dict[str, Json], at: str) -> None:
        texts = text_parts(message.content, f"{at}.content")
        if not texts:
            return
        if self.turns or self._results or extras:
            self._append("system", texts, extras)
        else:
            self.system += texts

    def ask(self, message: _Message, extras: dict[str, Json], at: str) -> None:
        parts = content_parts(message.content, f"{at}.content") + pictures(extras.pop("images", NULL))
        results = [part for part in parts if isinstance(part, ToolResult)]
        if not results:
            self._append("user", parts, extras)
            return
        # Anthropic's form: the results of calls stand in the user's message, before its words.
        for part in results:
            answered = self._waiting.take(part.call, None)
            self._results.append(replace(part, freeform=answered is not None and answered.freeform))
        words = [part for part in parts if not isinstance(part, ToolResult)]
        if words or extras:
            self._append("user", words, extras)

    def answer(self, message: _Message, extras: dict[str, Json], at: str) -> None:
        parts: list[Part] = []
        thought = message.reasoning_content or text_of(message.reasoning)
        if thought:
            parts.append(Reasoning(thought))
        elif bytes(message.reasoning)[:1] == b"{":
            extras["reasoning"] = message.reasoning
        content = content_parts(message.content, f"{at}.content")
        parts += [part for part in content if not isinstance(part, ToolCall)]
        if message.refusal:
            parts.append(Refusal(message.refusal))
        if message.audio:
            parts.append(Audio(FileId(CHAT, message.audio.id)))
        calls = [part for part in content if isinstance(part, ToolCall)] + self._called(message, at)
        self._waiting = Waiting()
        for call in calls:
            self._waiting.add(call)
        self._append("assistant", [*parts, *calls], extras)

    def _called(self, message: _Message, at: str) -> list[ToolCall]:
        calls: list[ToolCall] = []
        for number, raw in enumerate(message.tool_calls or ()):
            where = f"{at}.tool_calls[{number}]"
            part = call_part(read_request(_CALL, bytes(raw), where), self._new_id())
            if part is None:
                bad_request(where, "It needs 'function' or 'custom'.")
            extras = _others(raw, where, _CALL_KNOWN)
            calls.append(replace(part, extras=extras) if extras else part)
        if message.function_call is not None:
            part = call_part(CallMessage(function=message.function_call), self._new_id())
            assert part is not None
            calls.append(part)
        return calls

    def _new_id(self) -> str:
        """For calls that came without one: their number in the conversation."""
        self._calls += 1
        return f"call_{self._calls}"

    def result(self, message: _Message, extras: dict[str, Json], at: str) -> None:
        name = text_of(extras.pop("name", NULL))
        # One without an id (``role: function``) belongs to the first waiting call of its name, or of any.
        answered = self._waiting.take(message.tool_call_id, name)
        call = message.tool_call_id or (None if answered is None else answered.id)
        if call is None:
            bad_request(f"{at}.tool_call_id", "It is missing, and no call is waiting for a result.")
        cache = extras.pop("cache_control", None)
        part = ToolResult(
            call,
            result_parts(message.content, f"{at}.content"),
            name=name,
            freeform=answered is not None and answered.freeform,
            cache=cache,
            extras=extras,
        )
        self._results.append(part)

    def _append(self, role: Role, parts: Sequence[Part], extras: dict[str, Json]) -> None:
        self.close()
        self.turns.append(Turn(role, tuple(parts) or (Text(""),), extras))


_CALL_KNOWN: Final = frozenset({"id", "type", "function", "custom", "index", "name", "arguments"})

_ROLES: Final[dict[str, Callable[[_Conversation, _Message, dict[str, Json], str], None]]] = {
    "system": _Conversation.instruct,
    "developer": _Conversation.instruct,
    "user": _Conversation.ask,
    "assistant": _Conversation.answer,
    "tool": _Conversation.result,
    "function": _Conversation.result,
}


def parse_messages(messages: Sequence[Json]) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The leading system texts and the turns after them.

    Results that follow one another are one turn. Members that only this dialect knows (``name``,
    ``prefix``, ``reasoning_details``) are the turn's extras.

    :raises ampproxy.errors.ClientFault: a message is not valid; names it.
    """
    conversation = _Conversation()
    for number, raw in enumerate(messages):
        conversation.add(raw, f"messages[{number}]")
    conversation.close()
    return tuple(conversation.system), tuple(conversation.turns)
