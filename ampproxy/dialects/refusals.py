"""Refusals that name a member of the request or its value, read into lessons.

The envelopes: OpenAI's ``error`` with ``param`` and ``code``, Anthropic's, Google's with ``fieldViolations``,
the lists of pydantic (FastAPI, Mistral, vLLM, SGLang; as JSON, as JSON in a text, as Python's own notation in
a text), and any of them within another server's ``message``, ``detail`` or ``metadata.raw``. Servers of one
dialect complain in the words of another, so all this is for every dialect. What is terms about a member is
:mod:`ampproxy.dialects.refusal_words`', where it stands :mod:`ampproxy.dialects.refusal_places`'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from msgspec.structs import replace

from ampproxy.dialects.bending import bent
from ampproxy.dialects.json import encode, loads
from ampproxy.dialects.refusal_places import MEANING, places_of, plain, steps_of
from ampproxy.dialects.refusal_words import (
    IS_OF_LOGINS,
    MAX_TEXT_CHARS,
    REFUSES_BLANKS,
    REFUSES_PICTURES,
    REFUSES_PREFILL,
    WANTS_TEXT,
    WANTS_THOUGHTS,
    Terms,
    exclusive_in,
    kind_of_tool,
    kinds_of_tools,
    listed,
    names_in,
    room_in,
    signatures_in,
    terms_in,
    thinking_refused_in,
    turns_in,
)
from ampproxy.model.lesson import EACH, Act, Lesson, Place

#: So many complaints of one refusal are looked at, and so many lessons come of them.
MAX_COMPLAINTS = 32
#: How deep envelopes stand in one another.
_DEEPEST = 6
_UNKNOWN_CODES = frozenset(
    (
        *("unsupported_parameter", "unknown_parameter", "extra_forbidden", "unknown_field"),
        # What is empty is left out by whatever name.
        "empty_array",
    )
)
#: Members that switch thinking on and off.
_SWITCHES = ("enabled", "think", "enable_thinking")
_REPR = re.compile(
    r"'type': '(\w{1,60})', 'loc': \(([^()]{1,300})\), 'msg': (?:\"([^\"]{1,300})\"|'([^']{1,300})')"
)
#: Where the limit of an answer stands.
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
#: With less room than that for an answer, its client has to shorten the question. Tokens.
_LEAST_ROOM = 1024


#: What is wrong with messages -> what is done about it.
_OF_MESSAGES: tuple[tuple[re.Pattern[str], Act], ...] = (
    (REFUSES_BLANKS, "no-blanks"),
    (WANTS_THOUGHTS, "thoughts"),
    (REFUSES_PREFILL, "no-prefill"),
)


class Complaint(NamedTuple):
    """One thing that is wrong.

    :ivar steps: the member, as the vendor names it; empty: its words do.
    :ivar exact: of a list that names all that is wrong.
    """

    text: str
    steps: tuple[str, ...] = ()
    code: str = ""
    words: tuple[str, ...] = ()
    exact: bool = False


def lessons_of(refusal: bytes, sent: bytes) -> tuple[Lesson, ...]:
    """What a refusal teaches about the request that it answers; nothing if it names nothing, or in words that
    are not known, or if what it refuses carries the content of the request.

    :param refusal: the answer's body.
    :param sent: the request's body, in the dialect of the account.
    """
    body = loads(sent)
    if not isinstance(body, dict):
        return ()
    found: dict[Lesson, None] = {}
    for complaint in _complaints(loads(refusal), refusal):
        taught = tuple(_taught(complaint, body, len(sent)))
        if complaint.exact and not bent(sent, taught)[2]:
            # The rest alone would be refused again.
            return ()
        found.update(dict.fromkeys(taught))
    return bent(sent, tuple(found)[:MAX_COMPLAINTS])[2]


def _complaints(value: Any, refusal: bytes) -> list[Complaint]:
    if value is None:
        value = refusal[:MAX_TEXT_CHARS].decode("utf-8", "replace")
    found = list(islice(_within(value, 0), MAX_COMPLAINTS))
    return [complaint for complaint in found if complaint.exact] or found


def _within(value: Any, depth: int) -> Iterator[Complaint]:
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        yield from _in_text(value, depth)
    elif isinstance(value, list):
        for item in value[:MAX_COMPLAINTS]:
            yield from _within(item, depth + 1)
    elif isinstance(value, dict):
        if isinstance(value.get("loc"), list):
            yield _validated(value)
        else:
            yield from _in_object(value, depth)


def _in_object(value: dict[str, Any], depth: int) -> Iterator[Complaint]:
    yield from _violations(value.get("details"))
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and "raw" in metadata:
        yield from _within(metadata["raw"], depth + 1)
    text = next((value[name] for name in ("message", "msg", "error") if isinstance(value.get(name), str)), "")
    param, code = value.get("param"), value.get("code")
    if text and isinstance(param, str) and param:
        yield Complaint(text, steps_of(param), code if isinstance(code, str) else "")
    for name in ("error", "detail", "message", "errors", "error_msg"):
        if name in value:
            yield from _within(value[name], depth + 1)


def _in_text(text: str, depth: int) -> Iterator[Complaint]:
    start = text.lstrip()[:1]
    inner = loads(text[: 16 * MAX_TEXT_CHARS].encode("utf-8", "replace")) if start in ("{", "[") else None
    if isinstance(inner, (dict, list)):
        yield from _within(inner, depth + 1)
        return
    at = text.find("{")
    inner = loads(text[at : at + 16 * MAX_TEXT_CHARS].encode("utf-8", "replace")) if at > 0 else None
    if isinstance(inner, dict):
        # "BedrockException - {...}"
        yield from _within(inner, depth + 1)
    entries = list(_REPR.finditer(text[: 4 * MAX_TEXT_CHARS]))
    for entry in entries[:MAX_COMPLAINTS]:
        yield _of_validation(entry[1], steps_of(entry[2].replace(",", ".")), entry[3] or entry[4])
    if entries:
        return
    for line in text[:MAX_TEXT_CHARS].split("\n")[:MAX_COMPLAINTS]:
        if line.strip():
            yield Complaint(line)


def _validated(entry: dict[str, Any]) -> Complaint:
    """An entry of pydantic's list."""
    steps = tuple(str(step) for step in entry["loc"][:24])
    context = entry.get("ctx")
    expected = context.get("expected") if isinstance(context, dict) else None
    words = listed(expected[:400]) if isinstance(expected, str) else ()
    return _of_validation(str(entry.get("type", "")), steps, str(entry.get("msg", "")), words)


def _of_validation(kind: str, steps: tuple[str, ...], message: str, words: tuple[str, ...] = ()) -> Complaint:
    return Complaint(message[:MAX_TEXT_CHARS], steps, kind, words, exact=True)


def _violations(details: Any) -> Iterator[Complaint]:
    """Google's list. A field is the object that holds the member which the description names."""
    for entry in details[:MAX_COMPLAINTS] if isinstance(details, list) else ():
        violations = entry.get("fieldViolations") if isinstance(entry, dict) else None
        for one in violations[:MAX_COMPLAINTS] if isinstance(violations, list) else ():
            text = one.get("description") if isinstance(one, dict) else None
            if isinstance(text, str) and text:
                yield Complaint(text[:MAX_TEXT_CHARS], exact=True)


def _taught(complaint: Complaint, body: dict[str, Any], size: int) -> Iterator[Lesson]:
    text = complaint.text[:MAX_TEXT_CHARS]
    if (two := exclusive_in(text)) is not None:
        kept, out = (places_of((name,), body) for name in two)
        if kept and out:
            yield Lesson(out[0], "leave-out", beside=kept[0])
        return
    if (thinking := thinking_refused_in(text)) is not None:
        refused, wanted = thinking
        value = encode({"type": wanted}).decode() if wanted else ""
        yield Lesson(("thinking",), "exactly" if wanted else "leave-out", value=value, was=refused)
        return
    if (lesson := _of_the_whole(text, complaint, body, size)) is not None:
        yield lesson
        return
    terms = terms_in(text)
    if complaint.words:
        terms = terms._replace(words=complaint.words)
    if complaint.code in _UNKNOWN_CODES:
        terms = terms._replace(unknown=True)
    if terms.always:
        yield from _always(body)
        return
    for place in _places(complaint, body):
        if (lesson := _lesson(place, _value(place, body), terms)) is not None:
            yield _beside_thinking(lesson, body) if terms.thinking else lesson


def _of_the_whole(text: str, complaint: Complaint, body: dict[str, Any], size: int) -> Lesson | None:
    """What is wrong with more than a member's name or value."""
    messages: Place = ("messages", EACH, "content")
    if "messages" in body and (WANTS_TEXT.search(text) or _is_content(complaint)):
        return Lesson(messages, "as-text")
    of_role = complaint.steps[-1:] == ("role",)
    turns = "messages" if "messages" in body else "contents"
    if turns in body and (roles := turns_in(text, of_role=of_role)) is not None:
        return Lesson((turns,), "turns", roles)
    act = next((act for pattern, act in _OF_MESSAGES if pattern.search(text)), None)
    if act is not None and "messages" in body:
        return Lesson(("messages",), act)
    if turns in body and (words := signatures_in(text)) is not None:
        # What one conversation holds says nothing of another.
        return Lesson((turns,), "signatures", words, once=bool(words))
    if REFUSES_PICTURES.search(text):
        history = next((name for name in ("messages", "contents") if name in body), "input")
        return Lesson((history,), "no-pictures")
    named = complaint.steps[:1] == ("tools",) and complaint.steps[-1:] == ("type",)
    if "input" in body and "function" in (kinds := kinds_of_tools(text, named=named)):
        return Lesson(("tools",), "tools", kinds)
    if "input" in body and (kind := kind_of_tool(text, named=named)) not in ("", "function"):
        return Lesson(("tools",), "no-tools", (kind,))
    if "input" in body and IS_OF_LOGINS.search(text):
        return Lesson(("input",), "login")
    limit = next((name for name in _LIMITS if isinstance(body.get(name), int)), "")
    if limit and "maximum tokens you requested" in text:
        # Bedrock's, which names no member.
        return _lesson((limit,), body[limit], terms_in(text))
    room = room_in(text, size) if limit else None
    if room is None or not _LEAST_ROOM <= room < body[limit]:
        return None
    return Lesson((limit,), "at-most", number=room, once=True)


def _is_content(complaint: Complaint) -> bool:
    """Whether a validator wants a text for the content of a message."""
    wants = complaint.code == "string_type" and complaint.steps[-1:] in (("content",), ("str",))
    return wants and "content" in complaint.steps[-2:]


def _beside_thinking(lesson: Lesson, body: dict[str, Any]) -> Lesson:
    """The lesson for requests that ask for thinking."""
    asked = places_of(("thinking",), body)
    apart = bool(asked) and asked[0][0] != lesson.place[0]
    return replace(lesson, beside=asked[0]) if apart else lesson


def _places(complaint: Complaint, body: dict[str, Any]) -> tuple[Place, ...]:
    if complaint.steps and (found := places_of(complaint.steps, body)):
        return found
    if complaint.exact and complaint.steps:
        return ()
    for name in names_in(complaint.text):
        if found := places_of(steps_of(name), body):
            return found
    return ()


def _value(place: Place, value: Any) -> Any:
    """What stands at a place; of several the first."""
    for number, step in enumerate(place):
        if step == EACH:
            inner = list(value.values()) if isinstance(value, dict) else value
            if not isinstance(inner, list):
                return None
            rest = place[number + 1 :]
            return next((one for item in inner if (one := _value(rest, item)) is not None), None)
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def _lesson(place: Place, value: Any, terms: Terms) -> Lesson | None:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    named = {plain(terms.instead), plain(place[0])}
    renamed = terms.instead not in ("", place[0]) and MEANING.isdisjoint(named)
    if renamed and terms.unknown and len(place) == 1:
        return Lesson(place, "rename", (terms.instead,))
    if terms.words and isinstance(value, str):
        return Lesson(place, "one-of", terms.words[:16])
    if terms.refused and isinstance(value, str) and value.lower() == terms.refused.lower():
        return Lesson(place, "not", (value.lower(),))
    if terms.only and value is not None and not isinstance(value, (str, dict, list)):
        return Lesson(place, "exactly", value=terms.only)
    if number is not None and terms.most is not None and number > terms.most:
        return Lesson(place, "at-most", number=terms.most)
    if number is not None and terms.least is not None and number < terms.least:
        return Lesson(place, "at-least", number=terms.least)
    if terms.longest is not None and isinstance(value, list):
        return Lesson(place, "shorten", number=terms.longest)
    bounded = terms.words or terms.only or terms.most is not None or terms.least is not None or terms.refused
    return Lesson(place, "leave-out") if terms.unknown and not bounded else None


def _always(body: dict[str, Any]) -> Iterator[Lesson]:
    """Thinking cannot be switched off: what would do so is left out, or becomes the least of it."""
    for place in places_of(("thinkingBudget",), body):
        yield Lesson(place, "leave-out", was="0")
    for place in places_of(("effort",), body):
        yield Lesson(place, "not", ("none",))
    for name in _SWITCHES:
        for place in places_of((name,), body):
            yield Lesson(place, "exactly", value="true", was="false")
    for place in places_of(("include_reasoning",), body):
        yield Lesson(place, "leave-out", was="false")
    yield Lesson(("thinking",), "leave-out", was="disabled")
