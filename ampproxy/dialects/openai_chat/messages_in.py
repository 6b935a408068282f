"""The messages of a conversation and the parts of their contents: from Chat Completions' JSON to turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.json import (
    NULL,
    Decoder,
    Fields,
    bad_request,
    is_string,
    loads,
    members,
    raw_str,
    raw_text,
    read_request,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.openai_requests import (
    file_source,
    media_in,
    picture_in,
    read_sound,
    source_of,
)
from ampproxy.dialects.places import Waiting
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import Role, Turn
from ampproxy.wire.json import BAD_JSON

#: A message's content.
_CONTENT: Final[Any] = str | list[Json]


def _cache(part: Fields) -> Json | None:
    """The cache mark: Anthropic's, which servers that route to several vendors take."""
    return part.take_raw("cache_control")


def _text(part: Fields) -> Part:
    text = part.take("text", str)
    if text is None:
        bad_request(part.at, "It needs 'text'.")
    return Text(text, _cache(part), extras=part.left)


def _image(part: Fields) -> Part:
    url, detail = picture_in(part)
    return Image(source_of(url), detail, _cache(part), extras=part.left)


def _audio(part: Fields) -> Part:
    _cache(part)
    return Audio(read_sound(part), extras=part.left)


def _file(part: Fields) -> Part:
    file = part.need_object("file")
    name, id_, data = (file.take(member, str) for member in ("filename", "file_id", "file_data"))
    source: Source
    if id_:
        source = FileId(CHAT, id_)
    elif data:
        source = file_source(data)
    else:
        bad_request(file.at, "It needs 'file_data' or 'file_id'.")
    return Document(source, name=name, cache=_cache(part), extras=part.left)


def _tool_use(part: Fields) -> Part:
    """Anthropic's call, which Cursor writes among the parts here."""
    arguments = part.take_raw("input")
    text = "{}" if arguments is None else raw_str(arguments)
    return ToolCall(part.need("id", str), part.need("name", str), text, cache=_cache(part))


def _tool_result(part: Fields) -> Part:
    """Anthropic's result of a call."""
    parts = result_parts(part.take("content", _CONTENT), part.path("content"))
    is_error = part.take("is_error", bool) is True
    return ToolResult(part.need("tool_use_id", str), parts, is_error=is_error, cache=_cache(part))


def _anthropic_document(part: Fields) -> Part | None:
    title = part.take("title", str)
    return media_in(part, lambda source: Document(source, name=title, cache=_cache(part)))


def _thinking(part: Fields) -> Part:
    """Anthropic's thinking, or Mistral's, which is a list; this dialect has no place for its proof."""
    raw = part.take_raw("thinking")
    text = "" if raw is None else text_of(raw)
    if raw is not None and text is None:
        text = "".join(str(one.get("text") or "") for one in loads(raw, []) if isinstance(one, dict))
    return Reasoning(text or "", redacted=not text)


def _input_file(part: Fields) -> Part | None:
    """Responses' file."""
    url, data, name = (part.take(member, str) for member in ("file_url", "file_data", "filename"))
    if not (url or data):
        return None
    return Document(source_of(url) if url else file_source(data or ""), name=name, cache=_cache(part))


#: ``None``: only the vendor has what the part names.
_PARTS: Final[dict[str, Callable[[Fields], Part | None]]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "input_image": lambda part: _image(part) if "image_url" in part.left else None,
    "input_file": _input_file,
    "image": lambda part: media_in(part, lambda source: Image(source, cache=_cache(part))),
    "document": _anthropic_document,
    "thinking": _thinking,
    "redacted_thinking": _thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "refusal": lambda part: Refusal(part.need("refusal", str)),
}


def content_parts(content: str | list[Json] | None, at: str) -> list[Part]:
    """A message's content.

    :param at: the path of the content, for complaints.
    :raises ampproxy.errors.ClientFault: a part is not what its type promises.
    """
    if not content:
        return []
    if isinstance(content, str):
        return [Text(content)]
    return [_part(raw, f"{at}[{number}]") for number, raw in enumerate(content)]


def pictures(raw: Json) -> list[Part]:
    """Those that stand beside a message's content, as Ollama has them."""
    found = loads(raw)
    urls = [url for url in found if isinstance(url, str)] if isinstance(found, list) else []
    return [Image(source_of(url)) for url in urls]


def _part(raw: Json, at: str) -> Part:
    if is_string(raw):
        # Clients leave the part around a text out.
        return Text(text_of(raw) or "")
    part = Fields(raw, at, nulls=False)
    kind = part.need("type", str)
    read = _PARTS.get(kind)
    return (None if read is None else read(part)) or Opaque(CHAT, kind, raw)


def text_parts(content: str | list[Json] | None, at: str) -> tuple[Text, ...]:
    """The content of a message that may only have words.

    :raises ampproxy.errors.ClientFault: there is something else in it.
    """
    texts: list[Text] = []
    for number, part in enumerate(content_parts(content, at)):
        if not isinstance(part, Text):
            bad_request(f"{at}[{number}]", "Only text parts are allowed here.")
        texts.append(part)
    return tuple(texts)


def result_parts(content: str | list[Json] | None, at: str) -> tuple[Text | Image | Document, ...]:
    """The content of a tool's message: words, and what some servers take beside them.

    :raises ampproxy.errors.ClientFault: there is something else in it.
    """
    parts: list[Text | Image | Document] = []
    for number, part in enumerate(content_parts(content, at)):
        if isinstance(part, Text | Image | Document):
            parts.append(part)
        elif isinstance(part, ToolResult):
            parts += [inner for inner in part.parts if not isinstance(inner, Audio)]
        elif isinstance(part, Opaque):
            # A result is data for the model: an unknown part of it is given as it stands.
            parts.append(Text(raw_str(part.raw)))
        else:
            bad_request(f"{at}[{number}]", "A tool's message has text parts only.")
    return tuple(parts)


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
