"""The settings of a web search that vendors run: each spells them in its own way.

What all have in common is kept by its name: ``user_location`` (flat: ``city``, ``region``, ``country``,
``timezone``), ``search_context_size``, ``allowed_domains``, ``blocked_domains``. Sources:
``WebSearchTool20250305Param`` (anthropic), ``WebSearchOptions`` and ``WebSearchToolParam`` (openai),
``GoogleSearch`` (google-genai).
"""

from __future__ import annotations

from typing import Any, Final

from ampproxy.model.base import CHAT, GEMINI
from ampproxy.model.loss import Losses
from ampproxy.model.request import HostedTool
from ampproxy.wire.values import loads

#: What names a tool, or is for the cache, sets nothing.
_NO_SETTINGS: Final = frozenset(("type", "name", "cache_control"))
_WHY: Final = "The settings {names} of {kind} cannot be expressed here and were dropped."


def settings_of(hosted: HostedTool) -> dict[str, Any]:
    """The settings of a tool that another dialect declared; those of one dialect alone by their own names."""
    found = loads(hosted.raw, {})
    if not isinstance(found, dict):
        return {}
    if hosted.dialect == CHAT:
        found = found.get("web_search_options", found)
    elif hosted.dialect == GEMINI:
        found = next(iter(found.values()), {})
    if not isinstance(found, dict):
        return {}
    filters = found.pop("filters", None)
    found |= filters if isinstance(filters, dict) else {}
    place = found.get("user_location")
    if isinstance(place, dict):
        inner = place.get("approximate")
        found["user_location"] = {"type": "approximate", **(inner if isinstance(inner, dict) else place)}
    return {name: value for name, value in found.items() if name not in _NO_SETTINGS and value is not None}


def _is_usual(name: str, value: Any) -> bool:
    """Whether a setting asks for what any vendor's tool does without it."""
    if name == "external_web_access":
        return value is not False
    if name == "search_content_types":
        return isinstance(value, list) and "text" in value
    return name in _OF_LOADING or (name == "container" and value == {"type": "auto"})


#: How the tool is loaded and who may call it, where all are declared at once.
_OF_LOADING: Final = ("allowed_callers", "defer_loading")


def carried(hosted: HostedTool, taken: tuple[str, ...], path: str, losses: Losses) -> dict[str, Any]:
    """The settings that the target has a place for; each other one is a loss.

    :param taken: the names of those.
    """
    found = settings_of(hosted)
    if lost := sorted(name for name in found if name not in taken and not _is_usual(name, found[name])):
        losses("hosted_settings", path, _WHY.format(names=", ".join(lost), kind=hosted.kind))
    return {name: found[name] for name in taken if name in found}
