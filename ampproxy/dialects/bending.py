"""Bodies by what was learned: a member left out or bent, all else with its exact text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ampproxy.adapt.conversation import REMINDER
from ampproxy.dialects.edit import edit_list
from ampproxy.dialects.json import NULL, encode, loads, texts_in
from ampproxy.dialects.monitor import given
from ampproxy.dialects.proof import SKIP_SIGNATURE
from ampproxy.dialects.refusal_places import is_empty, may_change
from ampproxy.model.base import Json
from ampproxy.model.lesson import EACH, Lesson, Place
from ampproxy.model.loss import Loss
from ampproxy.model.request import LEVELS, Level, level_of
from ampproxy.model.thinking import nearest_level
from ampproxy.wire.json import elements, members, string

#: In place of a member's text: it is to be left out.
GONE = b""
_Change = Callable[[bytes], bytes | None]

#: Words for how much to think, from the least; ``none`` is before them all.
_EFFORTS: tuple[str, ...] = ("none", *LEVELS)
#: What all models that take efforts have: where an outer one is refused, the way leads there.
_USUAL: tuple[Level, ...] = ("low", "medium", "high")
#: Said in the place of a picture.
_LEFT_OUT = "[A picture was here, which this model cannot see.]"
_PICTURES = frozenset(("image", "image_url", "input_image"))
#: What holds parts, and how deep.
_HOLDERS, _DEEPEST = ("content", "parts", "output"), 6
CONTINUE = {"role": "user", "content": "Continue."}
_CALLS = frozenset(("functionCall", "function_call", "function"))
_SIGNATURES = frozenset(("thoughtSignature", "thought_signature", "extra_content"))
_NO_SIGNATURE = {"thoughtSignature": Json(encode(SKIP_SIGNATURE))}
_NO_SIGNATURE_OF_CHAT = {"extra_content": Json(encode({"google": {"thought_signature": SKIP_SIGNATURE}}))}
#: What the backend of Codex logins has every body say.
_OF_LOGINS = {"stream": Json(b"true"), "store": Json(b"false")}
_SYSTEM = ("system", "developer")
_DEVELOPER = {b'"system"': b'"developer"'}


def bent(body: bytes, lessons: Iterable[Lesson]) -> tuple[bytes, tuple[Loss, ...], tuple[Lesson, ...]]:
    """The body as lessons want it; the same object where they change nothing.

    :returns: with what that lost, and the lessons that changed something.
    """
    losses: list[Loss] = []
    used: list[Lesson] = []
    for lesson in lessons:
        out = _bent(body, lesson)
        if out is not None:
            body = out
            used.append(lesson)
            losses.append(loss_of(lesson))
    return body, tuple(losses), tuple(used)


def loss_of(lesson: Lesson) -> Loss:
    """What an account loses by a lesson."""
    why = f"The account refuses it for this model, as a refusal taught: it {lesson.about}."
    if lesson.act in ("rename", "as-text", "no-blanks", "thoughts"):
        return Loss("renamed", lesson.name, why)
    if lesson.act == "leave-out":
        return Loss("refused_member", lesson.name, why)
    kind = _KINDS.get(lesson.act)
    return Loss("refused_value", lesson.name, why) if kind is None else Loss(kind, lesson.name, why)


def _bent(body: bytes, lesson: Lesson) -> bytes | None:
    """The changed body; ``None``: nothing is to be changed."""
    values = members(body)
    if values is None or lesson.act == "betas" or (lesson.beside and not _is_set(values, lesson.beside)):
        return None
    if lesson.act in ("tools", "no-tools"):
        return _of_kinds(body, lesson.words, refused=lesson.act == "no-tools")
    if lesson.act == "signatures":
        within = "parts" if lesson.place[0] == "contents" else "tool_calls"
        return _changed(body, (*lesson.place, EACH, within), partial(_signed, anew=bool(lesson.words)))
    if lesson.act in _WHOLE:
        out = _by_turns(body, lesson.words) if lesson.act == "turns" else _WHOLE[lesson.act](body)
        return None if out == body else out
    if lesson.act == "rename":
        return _renamed(values, lesson)
    return _changed(body, lesson.place, lambda text: _change(text, lesson))


def _is_set(values: dict[str, Json], place: Place) -> bool:
    """Whether a member is there that has an effect: thinking that is switched off does not."""
    value: Any = {name: text for name, text in values.items() if name == place[0]}
    for step in place:
        value = loads(value[step]) if isinstance(value, dict) and step in value else None
    return value is not None and value != {"type": "disabled"}


def _renamed(values: dict[str, Json], lesson: Lesson) -> bytes | None:
    old, new = lesson.place[0], lesson.words[0]
    if len(lesson.place) != 1 or old not in values:
        return None
    if new in values:
        return encode({name: text for name, text in values.items() if name != old})
    return encode({new if name == old else name: text for name, text in values.items()})


def _changed(text: bytes, place: Place, change: _Change) -> bytes | None:
    """The JSON text with a change at a place; ``None``: it has none there, or nothing changes."""
    step, rest = place[0], place[1:]
    if step == EACH:
        return _each(text, rest, change)
    values = members(text)
    if values is None or step not in values:
        return None
    old = bytes(values[step])
    new = _changed(old, rest, change) if rest else change(old)
    if new is None or new == old:
        return None
    if new is GONE:
        del values[step]
    else:
        values[step] = Json(new)
    return encode(values)


def _each(text: bytes, rest: Place, change: _Change) -> bytes | None:
    values = members(text)
    if values is not None:
        changes = {key: new for key, old in values.items() if (new := _inner(bytes(old), rest, change))}
        return encode({**values, **{key: Json(new) for key, new in changes.items()}}) if changes else None
    return edit_list(text, lambda item: _inner(bytes(item), rest, change))


def _inner(text: bytes, rest: Place, change: _Change) -> bytes | None:
    # What a list or an object is made of is never left out itself.
    return _changed(text, rest, change) if rest else None


def _as_text(content: bytes) -> bytes | None:
    """The content of a message that is a list of texts, or null, as a text."""
    value = loads(content)
    if value is None:
        return b'""'
    words = texts_in(value) if isinstance(value, list) else None
    return encode("\n\n".join(words)) if words else None


def _filled(messages: bytes) -> bytes | None:
    """The messages without empty texts, and without those in which nothing else is."""
    kept = [found for message in elements(messages) if (found := _filled_message(message)) is not None]
    return encode(kept) if kept else None


def _filled_message(message: Json) -> Json | None:
    values = members(message) or {}
    content = loads(values.get("content", NULL))
    if isinstance(content, list):
        kept = [part for part in elements(values["content"]) if not _is_blank(loads(part))]
        blank = not kept
        if len(kept) < len(content):
            message = Json(encode({**values, "content": kept}))
    else:
        blank = _is_blank(content)
    return None if blank and not given(values, "tool_calls") else message


def _is_blank(value: Any) -> bool:
    if isinstance(value, dict) and value.get("type") == "text":
        value = value.get("text")
    return value is None or (isinstance(value, str) and not value.strip())


def _without_pictures(body: bytes) -> bytes | None:
    """The body without the pictures of earlier messages. Those of the last one are asked about."""
    values = members(body) or {}
    name = next((name for name in ("messages", "input", "contents") if name in values), "")
    history = loads(values[name]) if name else None
    if not isinstance(history, list) or _seen(history[-1:])[1]:
        return None
    kept, found = _seen(history)
    return encode({**values, name: Json(encode(kept))}) if found else None


def _seen(value: Any, depth: int = 0) -> tuple[Any, bool]:
    """A conversation, or a part of it, without pictures, and whether it had any."""
    if depth > _DEEPEST or not isinstance(value, (dict, list)):
        return value, False
    if isinstance(value, list):
        parts = [_seen(one, depth + 1) for one in value]
        return [part for part, _ in parts], any(found for _, found in parts)
    kind = value.get("type")
    if kind in _PICTURES or _is_picture(value.get("inlineData") or value.get("inline_data")):
        words = {"text": _LEFT_OUT}
        return ({"type": "input_text" if kind == "input_image" else "text", **words} if kind else words), True
    inner = {name: _seen(value[name], depth + 1) for name in _HOLDERS if name in value}
    found = any(found for _, found in inner.values())
    return {**value, **{name: part for name, (part, _) in inner.items()}}, found


def _is_picture(blob: Any) -> bool:
    media = (blob.get("mimeType") or blob.get("mime_type")) if isinstance(blob, dict) else ""
    return isinstance(media, str) and media.startswith("image/")


def _of_kinds(body: bytes, kinds: tuple[str, ...], *, refused: bool) -> bytes | None:
    """The body with tools of these types alone, or with those of others, and a choice among them."""
    values = members(body) or {}
    tools = elements(values.get("tools", NULL))
    kept = [t for t in tools if (string((members(t) or {}).get("type", NULL)) in kinds) is not refused]
    if len(kept) == len(tools):
        return None
    choice = loads(values.get("tool_choice", NULL))
    gone = {"tools"} if kept else {"tools", "tool_choice", "parallel_tool_calls"}
    if isinstance(choice, dict) and (choice.get("type") in kinds) is refused:
        gone.add("tool_choice")
    out = {name: value for name, value in values.items() if name not in gone}
    return encode({**out, "tools": kept} if kept else out)


def _with_thought(turn: Json) -> bytes | None:
    """The message of an assistant with an empty thinking where it has none."""
    values = members(turn) or {}
    if string(values.get("role", NULL)) != "assistant" or "reasoning_content" in values:
        return None
    return encode({**values, "reasoning_content": ""})


def _with_a_question(body: bytes) -> bytes | None:
    """The messages with a user's at the end."""
    found = loads((members(body) or {}).get("messages", NULL))
    last = found[-1] if isinstance(found, list) and found else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or last.get("tool_calls"):
        return None
    return _changed(body, ("messages",), lambda text: encode([*elements(text), CONTINUE]))


def _signed(parts: bytes, *, anew: bool) -> bytes | None:
    """The parts or calls of a turn; the first call has a signature, or what Gemini takes for one.

    :param anew: what it has is not taken, nor are those of other parts.
    """
    found = [members(part) or {} for part in elements(parts)]
    left_out = _SIGNATURES if anew else frozenset()
    kept = [{name: raw for name, raw in values.items() if name not in left_out} for values in found]
    first = next((values for values in kept if _CALLS.intersection(values)), None)
    if first is not None and not _SIGNATURES.intersection(first):
        first.update(_NO_SIGNATURE_OF_CHAT if "function" in first else _NO_SIGNATURE)
    return encode(kept) if kept != found else None


def _as_of_login(body: bytes) -> bytes | None:
    """The body as that backend wants it; single members that it does not take are lessons of their own."""
    values = {"instructions": Json(b'""'), **(members(body) or {}), **_OF_LOGINS}
    asked = loads(values.get("input", NULL))
    if isinstance(asked, str):
        content = [{"type": "input_text", "text": asked}]
        values["input"] = Json(encode([{"type": "message", "role": "user", "content": content}]))
    out = encode(values)
    return _changed(out, ("input", EACH, "role"), _DEVELOPER.get) or out


def _by_turns(body: bytes, refused: tuple[str, ...] = ()) -> bytes | None:
    """The messages with the system's first, as one, and its later ones as reminders within a user's; and with
    those of users, or of assistants, that follow each other as one.

    :param refused: roles that are not taken anywhere.
    """
    values = members(body) or {}
    if "contents" in values:
        return _instructed(values) if refused else None
    found = loads(values.get("messages", NULL))
    if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
        return None
    rows: list[list[dict[str, Any]]] = []
    first = True
    for message in found:
        first = first and message.get("role") in _SYSTEM
        if message.get("role") in _SYSTEM:
            stays = first and not refused
            message = {**message, "role": "system"} if stays else _reminder(message, plain=first)
        if rows and _go_together(rows[-1][-1], message):
            rows[-1].append(message)
        else:
            rows.append([message])
    turns = list(map(_as_one, rows))
    return _changed(body, ("messages",), lambda text: encode(turns)) if turns != found else None


def _instructed(values: dict[str, Json]) -> bytes | None:
    """The contents with the system's instruction as the beginning of the first user's (Gemma at Gemini)."""
    name = next((name for name in ("systemInstruction", "system_instruction") if name in values), "")
    instruction = members(values.get(name, NULL)) or {}
    parts, turns = instruction.get("parts", NULL), elements(values["contents"])
    first = members(turns[0]) if turns else None
    if not name or first is None:
        return None
    rest = {key: value for key, value in values.items() if key != name}
    if string(first.get("role", NULL)) == "model":
        turns.insert(0, Json(encode({"role": "user", "parts": parts})))
    else:
        turns[0] = Json(encode({**first, "parts": [*elements(parts), *elements(first.get("parts", NULL))]}))
    return encode({**rest, "contents": turns})


def _go_together(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two messages may be one."""
    return one.get("role") == other.get("role") and all(
        isinstance(each.get("content"), (str, list)) and "tool_calls" not in each for each in (one, other)
    )


def _as_one(messages: list[dict[str, Any]]) -> dict[str, Any]:
    if len(messages) == 1:
        return messages[0]
    contents = [message["content"] for message in messages]
    if all(isinstance(content, str) for content in contents):
        return {**messages[0], "content": "\n\n".join(contents)}
    return {**messages[0], "content": [part for content in contents for part in _parts(content)]}


def _reminder(message: dict[str, Any], *, plain: bool) -> dict[str, Any]:
    words = _parts(message.get("content"))
    text = "\n\n".join(part["text"] for part in words if isinstance(part.get("text"), str))
    return {"role": "user", "content": text if plain else REMINDER.format(text)}


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


_WHOLE: dict[str, Callable[[bytes], bytes | None]] = {
    "turns": _by_turns,
    "as-text": lambda body: _changed(body, ("messages", EACH, "content"), _as_text),
    "no-blanks": lambda body: _changed(body, ("messages",), _filled),
    "no-pictures": _without_pictures,
    "login": _as_of_login,
    "thoughts": lambda body: _changed(body, ("messages",), lambda text: edit_list(text, _with_thought)),
    "no-prefill": _with_a_question,
}
#: What is done -> the kind of loss that it is, as a pass notes it, too.
_KINDS = {
    **dict.fromkeys(("tools", "no-tools"), "hosted_tool"),
    "signatures": "missing_signature",
    "no-prefill": "prefill",
    "no-pictures": "image",
}


def _change(text: bytes, lesson: Lesson) -> bytes | None:
    """What becomes of a member's text: ``None``: it stays; :data:`GONE`: it is left out."""
    value = loads(text)
    if lesson.was and not _was(value, lesson.was):
        return None
    if lesson.act == "leave-out":
        default = lesson.place == ("tool_choice",) and value in ("auto", {"type": "auto"})
        goes = default or is_empty(value) or may_change(lesson.place, unknown=True, value=value)
        return GONE if goes else None
    return _BENDS[lesson.act](value, lesson) if may_change(lesson.place, unknown=False) else None


def _was(value: Any, was: str) -> bool:
    if isinstance(value, dict):
        return bool(value.get("type") == was)
    if isinstance(value, bool):
        return was == ("true" if value else "false")
    return value == was or (_number(value) and f"{value:g}" == was)


def _one_of(value: Any, lesson: Lesson) -> bytes | None:
    if not isinstance(value, str) or value in lesson.words:
        return None
    word = _nearest(value, lesson.words)
    return GONE if word is None else encode(word)


def _nearest(value: str, words: tuple[str, ...]) -> str | None:
    """The accepted word that comes nearest; ``None``: these are no words that have an order.

    :param words: as the vendor spells them.
    """
    spelled = {word.lower(): word for word in words}
    asked = value.lower()
    if asked in spelled:
        return spelled[asked]
    if asked not in _EFFORTS:
        return None
    allowed = tuple(level for level in LEVELS if level in spelled)
    if not allowed:
        # Groq's qwen: "none" or "default".
        return spelled.get("default") if asked != "none" else None
    return spelled[nearest_level(level_of(asked) or "minimal", allowed)]


def _not(value: Any, lesson: Lesson) -> bytes | None:
    if not isinstance(value, str) or value.lower() not in {word.lower() for word in lesson.words}:
        return None
    asked = value.lower()
    refused = {word.lower() for word in lesson.words}
    allowed = tuple(level for level in _USUAL if level not in refused)
    if asked not in _EFFORTS or not allowed:
        return GONE
    word: str = nearest_level(level_of(asked) or "minimal", allowed)
    return encode(word.upper() if value.isupper() else word)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _written(value: Any, number: float) -> bytes:
    whole = number == int(number)
    return encode(int(number) if whole and (isinstance(value, int) or number == value) else number)


def _bounded(value: Any, lesson: Lesson) -> bytes | None:
    if not _number(value):
        return None
    beyond = value > lesson.number if lesson.act == "at-most" else value < lesson.number
    return _written(value, lesson.number) if beyond else None


def _exactly(value: Any, lesson: Lesson) -> bytes | None:
    wanted = loads(lesson.value.encode())
    return None if value == wanted and type(value) is type(wanted) else lesson.value.encode()


def _shorten(value: Any, lesson: Lesson) -> bytes | None:
    most = int(lesson.number)
    return encode(value[:most]) if isinstance(value, list) and len(value) > most else None


_BENDS: dict[str, Callable[[Any, Lesson], bytes | None]] = {
    "one-of": _one_of,
    "not": _not,
    "at-most": _bounded,
    "at-least": _bounded,
    "exactly": _exactly,
    "shorten": _shorten,
}
