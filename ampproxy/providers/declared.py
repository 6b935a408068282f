"""What vendors declare of their models in their own lists, as the catalogue says it.

Each list has entries of a form of its own; servers that speak OpenAI's API have several. A member that is
not there, or not as it should be, declares nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, get_args

from ampproxy.catalog.families import Family, Medium, ThinkingForm
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.request import LEVELS, Level

Entry: TypeAlias = Mapping[str, Any]

_MEDIA: tuple[Medium, ...] = get_args(Medium)
#: No model takes more; what is larger is a slip, or one server's word for "without a limit".
_MAX_TOKENS = 100_000_000
#: Longer names for people are cut.
_TITLE = 100


def family(name: str, members: Mapping[str, Any]) -> Family | None:
    """The members that say something, as the catalogue's row of one model; ``None``: none does."""
    declared = {member: value for member, value in members.items() if value not in (None, "", ())}
    return Family(names=(name,), **declared) if declared else None


def anthropic(entry: Entry) -> dict[str, Any]:
    """Of an entry of Anthropic's Models API (``ModelInfo``)."""
    capabilities = _object(entry, "capabilities")
    return {
        **_thinking(capabilities),
        "context": _tokens(entry, "max_input_tokens"),
        "max_output": _tokens(entry, "max_tokens"),
        "input": _claude_input(capabilities),
        "title": _title(entry.get("display_name")),
        "released": _day(entry.get("created_at")),
        **_claude_lifecycle(entry),
    }


def _claude_lifecycle(entry: Entry) -> dict[str, Any]:
    stage = entry.get("lifecycle")
    if stage not in ("active", "deprecated", "retired"):
        return {}
    return {
        "deprecated": stage != "active",
        "retired": stage == "retired",
        "retires": _day(entry.get("retires_at")),
    }


def _thinking(capabilities: Entry) -> dict[str, Any]:
    thinking = _object(capabilities, "thinking")
    types = _object(thinking, "types")
    ways = {name: _supported(types, name) for name in ("adaptive", "enabled", "disabled", "between_tools")}
    found: dict[str, Any] = {
        "can_disable": ways["disabled"],
        "between_tools": ways["between_tools"],
        "levels": tuple(_levels(_object(capabilities, "effort"))),
    }
    if thinking.get("supported") is False:
        found["thinking"] = "none"
    elif ways["adaptive"] is not None and ways["enabled"] is not None:
        found["thinking"] = _FORMS.get((ways["adaptive"], ways["enabled"]))
    if any(value not in (None, ()) for value in found.values()):
        found["dialects"] = (ANTHROPIC,)
    return found


#: Whether Anthropic takes ``adaptive`` and ``enabled`` -> how the model is asked.
_FORMS: dict[tuple[bool, bool], ThinkingForm] = {
    (True, True): "both",
    (True, False): "level",
    (False, True): "budget",
}


def _levels(effort: Entry) -> Iterator[Level]:
    return (level for level in LEVELS if _supported(effort, level))


def _claude_input(capabilities: Entry) -> tuple[Medium, ...]:
    sees, reads = _supported(capabilities, "image_input"), _supported(capabilities, "pdf_input")
    if sees is None or reads is None:
        return ()
    media: tuple[tuple[Medium, bool], ...] = (("text", True), ("image", sees), ("pdf", reads))
    return tuple(medium for medium, taken in media if taken)


def gemini(entry: Entry) -> dict[str, Any]:
    """Of an entry of Google's list (``Model``)."""
    thinks = entry.get("thinking")
    return {
        "context": _tokens(entry, "inputTokenLimit"),
        "max_output": _tokens(entry, "outputTokenLimit"),
        "thinks": thinks if isinstance(thinks, bool) else None,
        "title": _title(entry.get("displayName")),
    }


def openai(entry: Entry) -> dict[str, Any]:
    """Of an entry of OpenAI's list, and of servers that speak its API: OpenRouter, vLLM, LM Studio,
    llama.cpp, Groq, Mistral, Together, Fireworks, Moonshot, GitHub Copilot.
    """
    ends = _day(_first(entry, "shutdown_date", "deprecation", "expiration_date"))
    retired = entry.get("status") in ("retired", "shutdown") or None
    return {
        "context": _first_tokens(entry, _CONTEXT),
        "max_output": _first_tokens(entry, _OUTPUT),
        "tools": _flag(entry, _TOOLS),
        "thinks": _flag(entry, _THINKS),
        "sampling": _samples(entry),
        "input": _media(entry, "input") or _seeing(entry),
        "output": _media(entry, "output"),
        "title": _title(_first(entry, "display_name", "name")),
        # What runs on somebody's own machine says when it was started.
        "released": None if "max_model_len" in entry or "meta" in entry else _day(entry.get("created")),
        "deprecated": True if ends is not None or entry.get("deprecated") is True else None,
        "retires": ends,
        "retired": retired,
        "successor": _successor(entry),
    }


_Path: TypeAlias = tuple[str, ...]
#: Where servers say how many tokens a model takes; what it was loaded with goes before what it could take.
_CONTEXT: tuple[_Path, ...] = (
    ("loaded_context_length",),
    ("max_model_len",),
    ("meta", "n_ctx"),
    ("top_provider", "context_length"),
    ("context_length",),
    ("context_window",),
    ("context_size",),
    ("max_context_length",),
    ("capabilities", "limits", "max_context_window_tokens"),
    ("max_input_tokens",),
    ("limits", "max_context_length"),
    ("meta", "n_ctx_train"),
)
_OUTPUT: tuple[_Path, ...] = (
    ("top_provider", "max_completion_tokens"),
    ("max_completion_tokens",),
    ("max_output_tokens",),
    ("max_output_length",),
    ("capabilities", "limits", "max_output_tokens"),
    ("limits", "max_completion_tokens"),
)
_TOOLS: tuple[_Path, ...] = (
    ("capabilities", "function_calling"),
    ("capabilities", "supports", "tool_calls"),
    ("supports_tools",),
    ("supported_parameters", "tools"),
    ("capabilities", "tool_use"),
    ("capabilities", "tools"),
)
_THINKS: tuple[_Path, ...] = (
    ("capabilities", "reasoning"),
    ("supports_reasoning",),
    ("supported_parameters", "reasoning"),
    ("capabilities", "thinking"),
)
_SEES: tuple[_Path, ...] = (
    ("capabilities", "vision"),
    ("capabilities", "supports", "vision"),
    ("supports_image_input",),
    ("supports_image_in",),
)
#: What other lists call a medium.
_CALLED: dict[str, Medium] = {**{medium: medium for medium in _MEDIA}, "file": "pdf"}


#: The one list of words that is complete; that another lacks a word says nothing.
_COMPLETE = "supported_parameters"


def _at(entry: Entry, path: _Path) -> Any:
    """What stands there; of a list of words, whether the last one is in it."""
    found: Any = entry
    for step in path:
        if isinstance(found, list):
            return step in found or (False if path[0] == _COMPLETE and found else None)
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _first_tokens(entry: Entry, paths: Iterable[_Path]) -> int | None:
    return next((tokens for path in paths if (tokens := _count(_at(entry, path))) is not None), None)


def _flag(entry: Entry, paths: Iterable[_Path]) -> bool | None:
    return next((found for path in paths if isinstance(found := _at(entry, path), bool)), None)


def _samples(entry: Entry) -> bool | None:
    """Only OpenRouter says it, among all members that it takes for a model."""
    taken = entry.get("supported_parameters")
    return "temperature" in taken if isinstance(taken, list) and taken else None


def _media(entry: Entry, way: str) -> tuple[Medium, ...]:
    declared = _at(entry, ("architecture", f"{way}_modalities")) or _at(entry, (f"{way}_modalities",))
    named = (
        {_CALLED.get(word) for word in declared if isinstance(word, str)}
        if isinstance(declared, list)
        else set()
    )
    return tuple(medium for medium in _MEDIA if medium in named)


def _seeing(entry: Entry) -> tuple[Medium, ...]:
    sees = _flag(entry, _SEES)
    if sees is None:
        return ()
    return ("text", "image") if sees else ("text",)


def _successor(entry: Entry) -> str:
    named = _first(entry, "deprecation_replacement_model", "replacement")
    return named if isinstance(named, str) and 0 < len(named) <= _TITLE and named.isprintable() else ""


def _first(entry: Entry, *names: str) -> Any:
    return next((entry[name] for name in names if entry.get(name)), None)


def _object(entry: Entry, name: str) -> Entry:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _supported(entry: Entry, name: str) -> bool | None:
    found = _object(entry, name).get("supported")
    return found if isinstance(found, bool) else None


def _tokens(entry: Entry, name: str) -> int | None:
    return _count(entry.get(name))


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 < value <= _MAX_TOKENS else None


def _title(value: Any) -> str:
    return value[:_TITLE] if isinstance(value, str) and value.isprintable() else ""


#: The times that are days of models: since the first of them, and not for ever.
_DAYS: tuple[datetime.date, datetime.date] = (datetime.date(2018, 1, 1), datetime.date(2100, 1, 1))


def _day(value: Any) -> datetime.date | None:
    """The day of a time, as text or in seconds since the epoch; ``None`` of anything else."""
    try:
        if isinstance(value, str):
            day = datetime.date.fromisoformat(value[:10])
        elif type(value) in (int, float):
            day = datetime.datetime.fromtimestamp(value, datetime.timezone.utc).date()
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return day if _DAYS[0] <= day <= _DAYS[1] else None


#: Reads what an entry of a list declares.
Reads: TypeAlias = Callable[[Entry], dict[str, Any]]
