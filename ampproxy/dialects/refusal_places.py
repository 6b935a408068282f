"""Where in a request a refusal's complaint is about, and what is never touched there.

Vendors name members in their own way: ``body.messages.6.assistant.name`` with the tags of unions in it,
``tools[0].function_declarations[1]`` in snake case, ``presencePenalty`` of a member that is
``presence_penalty`` on the wire, or just "the effort parameter". A name counts only if the body that was sent
has such a member.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ampproxy.model.lesson import EACH, Place

#: Members that carry the content of the request. They are never left out or bent, unless they are empty.
MEANING = frozenset(
    (
        *("messages", "input", "contents", "content", "parts", "prompt", "suffix"),
        *("system", "instructions", "systeminstruction", "model", "stream"),
        *("tools", "functions", "functiondeclarations", "toolchoice", "functioncall", "toolconfig"),
        *("previousresponseid", "conversation", "thread", "container", "cachedcontent"),
        *("responseformat", "format", "responseschema", "responsejsonschema", "responsemimetype"),
        *("outputformat", "modalities", "responsemodalities", "audio"),
    )
)
#: Members that hold others, and are not left out with them.
_HOLDING = frozenset(("generationconfig", "outputconfig", "text", "request"))
#: Below these stands the content of the request: here only members that the vendor does not know are left
#: out, and of these none that the rest would mean something else without.
STATEMENTS = frozenset(
    ("messages", "input", "contents", "system", "systeminstruction", "tools", "functions", "prompt")
)
_INNER = frozenset(
    (
        *("role", "text", "type", "name", "toolcalls", "toolcallid", "function", "arguments", "args", "id"),
        *("output", "response", "result", "results", "imageurl", "image", "data", "source", "url", "callid"),
        *("tooluseid", "functionresponse", "inlinedata", "filedata", "fileid", "fileuri", "mimetype", "file"),
        *("parameters", "inputschema", "schema", "properties", "required", "items", "enum", "description"),
        *(
            *("anyof", "oneof", "allof", "defs", "summary"),
            *("encryptedcontent", "signature", "thinking", "iserror"),
        ),
    )
)
#: What is meant by names that stand on no wire.
_EFFORT: tuple[Place, ...] = (("reasoning_effort",), ("reasoning", "effort"), ("output_config", "effort"))
_MEANT: dict[str, tuple[Place, ...]] = {
    "effort": _EFFORT,
    "level": (*_EFFORT, ("generationConfig", "thinkingConfig", "thinkingLevel")),
    "reasoning": (("reasoning",), ("reasoning_effort",)),
    "reasoningeffort": _EFFORT,
    "think": (("think",), ("reasoning_effort",), ("reasoning", "effort"), ("thinking",)),
    "thinking": (
        ("thinking",),
        ("think",),
        ("reasoning_effort",),
        ("reasoning",),
        ("generationConfig", "thinkingConfig"),
    ),
    "adaptivethinking": (("thinking",),),
    "thinkingconfig": (("generationConfig", "thinkingConfig"),),
    "thinkinglevel": (("generationConfig", "thinkingConfig", "thinkingLevel"),),
    "thinkingbudget": (
        ("generationConfig", "thinkingConfig", "thinkingBudget"),
        ("thinking", "budget_tokens"),
    ),
    "candidates": (("generationConfig", "candidateCount"), ("n",)),
}
#: Members that hold those of a bare name.
_HOLDERS = (
    *("generationConfig", "generation_config", "output_config", "reasoning", "text", "thinking"),
    *("chat_template_kwargs",),
)

_STEP = re.compile(r"[^.\[\]\s]{1,100}")
#: The longest place that is looked at, in steps.
_DEEPEST = 24
#: Where a vendor's place begins that is none of the body's.
_ROOTS = frozenset(("body", "request", "generatecontentrequest", "parameter", "parameters", "params", "$"))
_INDEX = re.compile(r"-?[0-9]{1,9}")


def steps_of(text: str) -> tuple[str, ...]:
    """The steps of ``messages[0].content.1``."""
    return tuple(step.group().strip("'\"`") for step in islice(_STEP.finditer(text), _DEEPEST))


def plain(name: str) -> str:
    """A name as any vendor might write it: without case and underscores."""
    return name.replace("_", "").replace("-", "").lower()


def places_of(named: tuple[str, ...], body: Any) -> tuple[Place, ...]:
    """The places in a body that a vendor's name of a member means: mostly one, none if it has no such member.

    :param body: the request, as plain values.
    """
    while named and plain(named[0]) in _ROOTS and not (isinstance(body, dict) and named[0] in body):
        named = named[1:]
    if not named or not isinstance(body, dict):
        return ()
    found = _walked(named, body)
    if found is not None:
        return (found,)
    word = plain(named[-1])
    if len(named) == 1:
        for holder in _HOLDERS:
            inner = body.get(holder)
            if isinstance(inner, dict) and (key := _key(inner, word)) is not None:
                return ((holder, key),)
        if word == "penalty":
            return tuple(_penalties(body))
    meant = (place for place in _MEANT.get(word, ()) if _exists(place, body))
    return tuple(place for place in (next(meant, None),) if place is not None)


def _key(values: dict[str, Any], word: str) -> str | None:
    """The member whose name is that word, however it is spelled."""
    return next((key for key in values if isinstance(key, str) and plain(key) == word), None)


def _walked(named: tuple[str, ...], value: Any) -> Place | None:
    """The place that the steps lead to. A step that leads nowhere is skipped, if it is not the last: it is
    the tag of a union.
    """
    place: list[str] = []
    for number, step in enumerate(named):
        last = number == len(named) - 1
        if isinstance(value, list):
            if _INDEX.fullmatch(step):
                index = int(step)
                if not -len(value) <= index < len(value):
                    return None
                value = value[index]
                place.append(EACH)
            elif last:
                return None
            continue
        if not isinstance(value, dict):
            return None
        key = step if step in value else _key(value, plain(step))
        if key is not None and (last or isinstance(value[key], (dict, list))):
            value = value[key]
            place.append(key)
        elif last:
            return None
        elif key is None and _INDEX.fullmatch(step) and 0 <= int(step) < len(value):
            # Google numbers the entries of a map, and calls what they hold a "value".
            value = list(value.values())[int(step)]
            place.append(EACH)
    return tuple(place) or None


def _exists(place: Place, body: Any) -> bool:
    for step in place:
        if not isinstance(body, dict) or step not in body:
            return False
        body = body[step]
    return True


def _penalties(body: dict[str, Any]) -> Iterator[Place]:
    for holder in ((), ("generationConfig",)):
        inner = body if not holder else body.get(holder[0])
        if isinstance(inner, dict):
            yield from ((*holder, key) for key in inner if plain(key).endswith("penalty"))


def may_change(place: Place, *, unknown: bool, value: Any = None) -> bool:
    """Whether the member at a place may be left out or bent although it holds something.

    :param unknown: the vendor reports that it does not know it; else only what it holds is refused.
    :param value: what it holds, where others with it may be left out.
    """
    words = [plain(step) for step in place if step != EACH]
    if not words:
        return False
    if words[0] in STATEMENTS:
        if len(words) == 1 or not unknown:
            return False
        # Who speaks, of several who have one role.
        return place == ("messages", EACH, "name") or words[-1] not in MEANING | _INNER
    if unknown and words[-1] in _HOLDING and isinstance(value, dict):
        words = [*words[:-1], *map(plain, value)]
    return MEANING.isdisjoint(words) and _HOLDING.isdisjoint(words[-1:])


def is_empty(value: Any) -> bool:
    """Whether a member is empty, whatever it is called."""
    return value is None or value in ([], {}, "")
