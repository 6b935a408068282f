"""What a stand-in answers: asked for by name, by the request's own words, or by a script.

Three ways to ask for a behaviour, the first that applies wins:

1. a :class:`Script` handed to ``StandIn.script``: one request each, in order;
2. the model's name: ``claude-sonnet-4-6+status=429+retry_after=3`` or ``gpt-5.4+cut=2``;
3. words in the last user text: ``use the tool Read``, ``use the tools Read and Grep``,
   ``please be cut off``, ``please refuse``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

Finish = Literal["stop", "length", "refusal", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One answer and how it is delivered. What is ``None`` follows from the request.

    :param text: the answer's text.
    :param thinking: told only to a request that asked for thinking.
    :param calls: tool calls, (name, arguments as JSON text).
    :param finish: why the answer ends.
    :param cached: prompt tokens read from the cache.
    :param status: answer with this error status in the vendor's own body.
    :param retry_after: seconds, said in the vendor's own way beside ``status``.
    :param message: the error's sentence.
    :param hang: never send the headers; or stop for good in the middle of the answer.
    :param cut: abort the TCP connection after so many events (a whole answer: in its middle).
    :param end: end the body tidily after so many events, without the terminal event.
    :param error: send the dialect's in-stream error after so many events, then end.
    :param interval: seconds before each event after the first.
    :param events: the text comes as so many deltas.
    :param size: the text has so many characters.
    :param split: bytes go out in pieces of this length.
    """

    text: str | None = None
    thinking: str | None = None
    calls: tuple[tuple[str, str], ...] | None = None
    finish: Finish | None = None
    cached: int | None = None
    status: int | None = None
    retry_after: float | None = None
    message: str | None = None
    hang: Literal["headers", "stream"] | None = None
    cut: int | None = None
    end: int | None = None
    error: int | None = None
    interval: float = 0.0
    events: int | None = None
    size: int | None = None
    split: int | None = None


_CONVERTERS: dict[str, Any] = {
    "status": int,
    "retry_after": float,
    "hang": str,
    "cut": int,
    "end": int,
    "error": int,
    "interval": float,
    "events": int,
    "size": int,
    "split": int,
}


def from_model_name(model: str) -> Script | None:
    """The behaviour that a model's name asks for (``name+cut=2+interval=0.1``), if any.

    :raises ValueError: a word that names no behaviour.
    """
    _, *wishes = model.split("+")
    if not wishes:
        return None
    asked: dict[str, Any] = {}
    for wish in wishes:
        name, _, value = wish.partition("=")
        if name not in _CONVERTERS:
            raise ValueError(f"{name!r} names no behaviour; known are {', '.join(_CONVERTERS)}")
        asked[name] = _CONVERTERS[name](value)
    return Script(**asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a dialect understood of a request, as far as an answer depends on it.

    :param tools: declared tools: name -> JSON Schema of the arguments.
    :param forced: tools of which one must be called.
    :param results: texts of the tool results that the conversation ends with.
    :param media: attachments of the last user turn, such as ``image/png``.
    :param schema: the answer must be JSON of this schema.
    :param size: characters of the request, from which its tokens follow.
    :param cached: the request has cache hints.
    """

    model: str
    stream: bool = False
    text: str = ""
    tools: dict[str, Any] = dataclasses.field(default_factory=dict)
    forced: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    schema: Any = None
    thinking: bool = False
    size: int = 0
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer in no dialect's words. ``pieces`` are the deltas of the text."""

    thinking: str = ""
    pieces: tuple[str, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    finish: Finish = "stop"
    input_tokens: int = 1
    cached_tokens: int = 0
    output_tokens: int = 1
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


_TOOLS = re.compile(r"use the tools? ((?:[\w.-]+(?:, | and )?)+)", re.IGNORECASE)
_REFUSAL = "I can not help with that."


def answer(asked: Asked, script: Script) -> Answer:
    """The answer to a request: what the script says, and for the rest what the request asks for."""
    calls = script.calls
    if calls is None:
        calls = () if script.text is not None or script.finish == "stop" else _wanted_calls(asked)
    finish: Finish = script.finish or ("tool" if calls else _wanted_finish(asked.text))
    pieces = _pieces(asked, script, calls, finish)
    thinking = script.thinking if script.thinking is not None else f"Thinking about: {asked.text[:80]}"
    thinking = thinking if asked.thinking else ""
    prompt = max(1, asked.size // 4)
    reasoning = len(_words(thinking))
    return Answer(
        thinking=thinking,
        pieces=pieces,
        calls=calls,
        finish=finish,
        input_tokens=prompt,
        cached_tokens=prompt // 2 if script.cached is None and asked.cached else script.cached or 0,
        output_tokens=max(1, reasoning + len(pieces) + sum(1 + len(text) // 4 for _, text in calls)),
        reasoning_tokens=reasoning,
    )


def _wanted_finish(text: str) -> Finish:
    lowered = text.lower()
    if "please be cut off" in lowered:
        return "length"
    return "refusal" if "please refuse" in lowered else "stop"


def _wanted_calls(asked: Asked) -> tuple[tuple[str, str], ...]:
    if asked.results:
        return ()
    names = [name for name in asked.forced if name in asked.tools][:1]
    found = _TOOLS.search(asked.text)
    if found and asked.tools:
        words = re.split(r", | and ", found[1])
        names = [name for name in (word.rstrip(".") for word in words) if name in asked.tools] or names
    given = _given_arguments(asked.text)
    return tuple((name, given or json.dumps(sample(asked.tools[name]))) for name in names)


def _given_arguments(text: str) -> str:
    """The JSON object after the word ``with``, if there is one: exact text."""
    start = text.find(" with {")
    if start < 0:
        return ""
    try:
        _, end = json.JSONDecoder().raw_decode(text, start + 6)
    except ValueError:
        return ""
    return text[start + 6 : end]


def sample(schema: Any) -> Any:
    """A small value that a JSON Schema (or Google's kind of it) allows."""
    if not isinstance(schema, dict):
        return {}
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    match str(kind).lower():
        case "object":
            properties = schema.get("properties") or {}
            names = schema.get("required", list(properties))
            return {name: sample(properties.get(name, {"type": "string"})) for name in names}
        case "array":
            return [sample(schema.get("items", {"type": "string"}))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "demo"


def _pieces(
    asked: Asked, script: Script, calls: tuple[tuple[str, str], ...], finish: Finish
) -> tuple[str, ...]:
    if script.events is not None and script.text is None and script.size is None:
        return tuple(f"tok{number} " for number in range(script.events))
    text = script.text
    if text is None and script.size is not None:
        text = ("0123456789abcde " * (script.size // 16 + 1))[: script.size]
    if text is None:
        text = "" if calls else _default_text(asked, finish)
    if script.events:
        return _evenly(text, script.events)
    return _evenly(text, -(-len(text) // 4096)) if script.size is not None else _words(text)


def _default_text(asked: Asked, finish: Finish) -> str:
    if finish == "refusal":
        return _REFUSAL
    if asked.schema is not None:
        return json.dumps(sample(asked.schema))
    if asked.results:
        return f"{asked.model} read: " + "; ".join(asked.results)
    seen = f" (with {', '.join(asked.media)})" if asked.media else ""
    return f"{asked.model} answers: {asked.text[:400]}{seen}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\S+\s*|^\s+", text))


def _evenly(text: str, count: int) -> tuple[str, ...]:
    step = max(1, -(-len(text) // max(1, count)))
    return tuple(text[at : at + step] for at in range(0, len(text), step))
