"""The ``input`` of a request: items in, turns out.

Items that the model wrote (reasoning, a message, calls) and that follow each other are one assistant
turn. Outputs of calls that follow each other are one user turn, with the user's message right after
them. A message right after another one begins a turn, so that their bounds are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ampproxy.dialects.json import NULL, Fields, bad_request, first, is_string, raw_str, read, text_of
from ampproxy.dialects.openai_requests import file_source, media_in, picture_in, read_sound, source_of
from ampproxy.dialects.places import Waiting, carried, settle
from ampproxy.dialects.proof import MARK, is_bare, place_of, unwrap_signature, unwrap_summary
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.fold import SECTION_GAP
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import Role, Turn

#: What items are called that stand for a conversation, and hold its summary.
COMPACTIONS = ("compaction", "compaction_summary", "context_compaction")
_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
#: Items that the client wrote, among those that only this dialect knows.
_OF_CLIENT = (
    *("mcp_approval_response", "additional_tools", "compaction_trigger", "configuration_update"),
    *("agent_message", *COMPACTIONS),
)
#: What a summary of ours is introduced by, where it stands for the conversation.
SUMMARY = "Summary of the conversation up to here, which it replaces:\n\n"
#: What outputs of calls are called, and whether the call was a custom tool's.
_RESULTS = {"function_call_output": False, "custom_tool_call_output": True}


class _Turns(msgspec.Struct):
    """Turns while they grow."""

    waiting: Waiting = msgspec.field(default_factory=Waiting)
    done: list[Turn] = []
    _role: Role | None = None
    _parts: list[Part] = []

    def add(self, role: Role, parts: tuple[Part, ...], *, joins: bool) -> None:
        """Add the parts to the turn that is open, if it has that role and they may join it."""
        if role != self._role or not joins:
            self.close()
            self._role = role
        self._parts.extend(parts)

    def takes_message(self, role: Role) -> bool:
        """Whether a message, or a result, may join the turn: words must not run into another message's."""
        last = self._parts[-1] if self._parts else None
        if role == "user":
            return isinstance(last, ToolResult)
        return role == "assistant" and not isinstance(last, Text | Refusal)

    def close(self) -> None:
        if self._role is not None and self._parts:
            self.done.append(Turn(self._role, tuple(self._parts)))
        self._role, self._parts = None, []


def parse_input(text: Json | None) -> tuple[Turn, ...]:
    """The turns of ``input``: a string is one user turn.

    :raises ClientFault: it is neither a string nor a list of items, or an item is not valid.
    """
    if text is None:
        return ()
    if is_string(text):
        return (Turn("user", (Text(read(text, str, "input") or ""),)),)
    turns = _Turns()
    items = read(text, list[Json], "input") or []
    for number, item in enumerate(items):
        _add_item(turns, item, f"input[{number}]")
    turns.close()
    return tuple(Turn(turn.role, tuple(settle(turn.parts))) for turn in turns.done)


class _Function(msgspec.Struct):
    name: str
    arguments: str = ""


class _ChatCall(msgspec.Struct):
    """One of ``tool_calls`` of a message of Chat Completions."""

    id: str
    function: _Function

    def part(self) -> ToolCall:
        return ToolCall(self.id, self.function.name, self.function.arguments or "{}")


def _add_item(turns: _Turns, item: Json, at: str) -> None:
    if is_string(item):
        turns.add("user", (Text(text_of(item) or ""),), joins=False)
        return
    fields = Fields(item, at)
    kind = fields.take("type", str) or ("message" if "role" in fields.left else "item_reference")
    if kind == "message" and text_of(fields.left.get("role", NULL)) == "tool":
        # A result of Chat Completions.
        kind = "function_call_output"
        id_ = fields.take_raw("tool_call_id") or NULL
        fields.left = {"call_id": id_, "output": fields.need_raw("content")}
    if kind == "message":
        calls = fields.take("tool_calls", list[_ChatCall]) or ()
        role, parts = _parse_message(fields)
        turns.add(role, parts, joins=turns.takes_message(role))
        for call in calls:
            turns.waiting.add(call.part())
            turns.add("assistant", (call.part(),), joins=True)
    elif kind in _RESULTS:
        result = _parse_result(fields, turns.waiting, freeform=_RESULTS[kind])
        turns.add("user", (result,), joins=turns.takes_message("user"))
    elif parse := _ASSISTANT.get(kind):
        part = parse(fields)
        if isinstance(part, ToolCall):
            turns.waiting.add(part)
        turns.add("assistant", (part,), joins=True)
    elif kind in COMPACTIONS and (
        (summary := unwrap_summary(fields.take("encrypted_content", str) or "")) is not None
    ):
        turns.add("user", (Text(SUMMARY + summary),), joins=False)
    else:
        role = "user" if kind.endswith("_output") or kind in _OF_CLIENT else "assistant"
        turns.add(role, (Opaque(RESPONSES, kind, item),), joins=True)


def _parse_message(fields: Fields) -> tuple[Role, tuple[Part, ...]]:
    name = fields.need("role", str)
    role = _ROLES.get(name)
    if role is None:
        bad_request(fields.path("role"), f"It must be one of {', '.join(_ROLES)}, not {name[:40]!r}.")
    content = fields.take_raw("content")
    extras = {key: value for key, value in fields.remaining().items() if key in ("id", "phase")}
    return role, parse_content(content, fields.path("content"), extras) if content is not None else ()


def _parse_call(fields: Fields, member: str, none: str, *, freeform: bool) -> Part:
    """A call whose arguments are in ``member``; ``none``: what stands for their absence."""
    fields.left.pop("status", None)
    return ToolCall(
        id=fields.take("call_id", str) or text_of(fields.left.get("id", NULL)) or fields.need("call_id", str),
        name=fields.need("name", str),
        arguments=_words_of_call(fields, member) or none,
        freeform=freeform,
        item=fields.take("id", str),
        extras=fields.remaining(),
    )


def _words_of_call(fields: Fields, member: str) -> str | None:
    """The arguments of a call, which some clients write as the object itself."""
    raw = fields.left.get(member)
    if raw is not None and bytes(raw)[:1] == b"{":
        return bytes(fields.left.pop(member)).decode()
    return fields.take(member, str)


def _parse_result(fields: Fields, waiting: Waiting, *, freeform: bool) -> Part:
    for unread in ("id", "status"):
        fields.left.pop(unread, None)
    name = text_of(fields.left.get("name", NULL))
    given = fields.take("call_id", str)
    # One without an id belongs to the first call of its tool that waits, or of any.
    answered = waiting.take(given, name)
    call = given or (fields.need("call_id", str) if answered is None else answered.id)
    output = fields.take_raw("output")
    parts: tuple[Part, ...] = ()
    if output is not None and (is_string(output) or first(output) == b"["):
        parts = parse_content(output, fields.path("output"))
    elif output is not None:
        # Clients give the object itself.
        parts = (Text(raw_str(output)),)
    kept = tuple(
        part if isinstance(part, Text | Image | Document | Audio) else Text(_words(part)) for part in parts
    )
    return ToolResult(call, kept, freeform=freeform, name=fields.take("name", str), extras=fields.remaining())


def _words(part: Part) -> str:
    return bytes(part.raw).decode() if isinstance(part, Opaque) else str(getattr(part, "text", ""))


class _Section(msgspec.Struct):
    text: str


def _parse_reasoning(fields: Fields) -> Part:
    summary = fields.take("summary", list[_Section]) or []
    content = fields.take("content", list[_Section]) or []
    proof = fields.take("encrypted_content", str)
    reasoning = reasoning_of([section.text for section in summary or content], proof, fields.take("id", str))
    return carried(reasoning, place_of(proof or ""))


def reasoning_of(texts: list[str], proof: str | None, item: str | None) -> Reasoning:
    """The reasoning that an item holds.

    An item without ``encrypted_content`` is the vendor's memory of it, by its id alone: its proof is
    empty text, which means something only where the vendor stores the answers.
    """
    sections = tuple(filter(None, texts))
    signature: Signature | None = None
    if proof:
        signature = unwrap_signature(proof, RESPONSES)
        if not proof.startswith(MARK):
            signature = Signature(RESPONSES, proof, item)
    elif item is not None:
        signature = Signature(RESPONSES, "", item)
    return Reasoning(
        SECTION_GAP.join(sections),
        signature,
        redacted=not sections and bool(proof),
        sections=sections if len(sections) > 1 else (),
        bare=is_bare(proof or ""),
    )


_ASSISTANT: dict[str, Callable[[Fields], Part]] = {
    "reasoning": _parse_reasoning,
    "function_call": lambda fields: _parse_call(fields, "arguments", "{}", freeform=False),
    "custom_tool_call": lambda fields: _parse_call(fields, "input", "", freeform=True),
}


def parse_content(content: Json, at: str, extras: dict[str, Json] | None = None) -> tuple[Part, ...]:
    """A message's ``content``: a string or a list of parts.

    :param at: where it stands in the request.
    :param extras: what the message itself has beside its content; kept with each of its texts.
    :raises ClientFault: it is neither.
    """
    if is_string(content):
        return (Text(read(content, str, at) or "", extras=extras or {}),)
    parts = read(content, list[Json], at) or []
    return tuple(_parse_part(part, f"{at}[{n}]", extras or {}) for n, part in enumerate(parts))


def _parse_part(part: Json, at: str, extras: dict[str, Json]) -> Part:
    fields = Fields(part, at)
    kind = fields.need("type", str)
    parse = _PARTS.get(kind)
    return (None if parse is None else parse(fields, extras)) or Opaque(RESPONSES, kind, part)


def _parse_text(fields: Fields, extras: dict[str, Json]) -> Part:
    text = fields.need("text", str)
    kept = {name: value for name, value in fields.left.items() if bytes(value) not in (b"[]", b"null")}
    return Text(text, extras={**extras, **kept})


def _parse_image(fields: Fields, extras: dict[str, Json]) -> Part:
    if first(fields.left.get("image_url", NULL)) == b"{":
        # In Chat Completions' form.
        return _of_chat(fields, extras)
    detail = fields.take("detail", str)
    detail = None if detail == "auto" else detail  # the default, and the types require it
    url, file = fields.take("image_url", str), fields.take("file_id", str)
    if url is None and file is None:
        bad_request(fields.at, "It needs `image_url` or `file_id`.")
    source = source_of(url) if url is not None else FileId(RESPONSES, file or "")
    return Image(source, detail, extras=fields.left)


def _parse_file(fields: Fields, extras: dict[str, Json]) -> Part:
    name = fields.take("filename", str)
    data, url = fields.take("file_data", str), fields.take("file_url", str)
    file = fields.take("file_id", str)
    source: Source
    if data is not None:
        source = file_source(data)
    elif url is not None:
        source = source_of(url)
    elif file is not None:
        source = FileId(RESPONSES, file)
    else:
        bad_request(fields.at, "It needs `file_data`, `file_url` or `file_id`.")
    return Document(source, name=name, extras=fields.left)


def _of_chat(fields: Fields, extras: dict[str, Json]) -> Part:
    url, detail = picture_in(fields)
    return Image(source_of(url), detail)


#: Also as Chat Completions and Anthropic have them. ``None``: only its vendor knows it.
_PARTS: dict[str, Callable[[Fields, dict[str, Json]], Part | None]] = {
    "input_text": _parse_text,
    "output_text": _parse_text,
    "text": _parse_text,
    "refusal": lambda fields, extras: Refusal(fields.need("refusal", str)),
    "input_image": _parse_image,
    "input_file": _parse_file,
    "input_audio": lambda fields, extras: Audio(read_sound(fields)),
    "image_url": _of_chat,
    "image": lambda fields, extras: media_in(fields, Image),
    "document": lambda fields, extras: media_in(fields, Document),
    "file": lambda fields, extras: _parse_file(fields.take_object("file") or fields, extras),
}
