"""Tool names in the casing that the client knows: it runs ``Bash`` and refuses ``bash``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.wire.json import BAD_JSON

#: Amp's own tools, for a model that calls one by another casing although the request names none such.
_CANONICAL = {name.lower(): name for name in ("Bash", "Read", "Grep", "glob", "Task", "Check")}


class ToolNames:
    """The tool names that one request declares.

    :param names: as they are written there, in any order, several times or not.
    """

    __slots__ = ("_by_lower", "names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(names)
        #: ``None``: the request has the name in two casings, so nobody can tell which is meant.
        self._by_lower: dict[str, str | None] = {}
        for name in self.names:
            lower = name.lower()
            self._by_lower[lower] = None if lower in self._by_lower else name

    def restore(self, name: str) -> str:
        """The name as the client knows it; the same one if nothing is known of it."""
        lower = name.lower()
        if lower in self._by_lower:
            return self._by_lower[lower] or name
        return _CANONICAL.get(lower, name)


class _Request(msgspec.Struct):
    tools: Any = None
    tool_choice: Any = None
    toolConfig: Any = None
    tool_config: Any = None


_request = msgspec.json.Decoder(_Request)


def declared_tools(dialect: str, body: bytes) -> ToolNames:
    """The names in a request's ``tools`` and in the tool choice. A broken body declares none."""
    names = _NAMES.get(dialect)
    if names is None:
        return ToolNames()
    try:
        request = _request.decode(body)
    except BAD_JSON:
        return ToolNames()
    return ToolNames(name for name in names(request) if isinstance(name, str) and name)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _flat(request: _Request) -> Iterator[Any]:
    """Anthropic and Responses: ``tools[].name``, ``tool_choice.name``."""
    yield from (tool.get("name") for tool in _objects(request.tools))
    yield _object(request.tool_choice).get("name")


def _chat(request: _Request) -> Iterator[Any]:
    for tool in (*_objects(request.tools), _object(request.tool_choice)):
        yield from (_object(tool.get(kind)).get("name") for kind in ("function", "custom"))


def _gemini(request: _Request) -> Iterator[Any]:
    for tool in _objects(request.tools):
        for key in ("functionDeclarations", "function_declarations"):
            yield from (declared.get("name") for declared in _objects(tool.get(key)))
    config = _object(request.toolConfig) or _object(request.tool_config)
    calling = _object(config.get("functionCallingConfig") or config.get("function_calling_config"))
    allowed = calling.get("allowedFunctionNames") or calling.get("allowed_function_names")
    yield from allowed if isinstance(allowed, list) else ()


_NAMES: dict[str, Callable[[_Request], Iterator[Any]]] = {
    ANTHROPIC: _flat,
    CHAT: _chat,
    RESPONSES: _flat,
    GEMINI: _gemini,
}
