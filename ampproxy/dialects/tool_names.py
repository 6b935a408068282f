"""The tools that a request declares: their names in the casing that the client knows, which runs ``Bash`` and
refuses ``bash`` and ``default_api:Bash``, and what they show of what the request is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ampproxy.dialects.json import Decoder, read_or
from ampproxy.model.roles import Shown
from ampproxy.wire.json import Peek
from ampproxy.wire.late import LatePattern

#: Amp's own tools, for a model that calls one by another casing although the request names none such.
_CANONICAL = {name.lower(): name for name in ("Bash", "Read", "Grep", "glob", "Task", "Check")}

#: What models leave of their own format around a name: Gemini's module, the namespace of others, the channel.
_WRAPPED = LatePattern(
    r"\s*(?:to=)?(?:default_api[:.]|functions?[.:])?([^\s<]+?)(?::\d+)?\s*(?:<\|.*)?", re.S
)


class ToolNames:
    """The tool names that one request declares.

    :param names: as they are written there, in any order, several times or not.
    """

    __slots__ = ("_by_lower", "names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(names)
        #: ``None``: the request has the name in two casings, so it is not known which is meant.
        self._by_lower: dict[str, str | None] = {}
        for name in self.names:
            lower = name.lower()
            self._by_lower[lower] = None if lower in self._by_lower else name

    def restore(self, name: str) -> str:
        """The name as the client knows it; the same one if nothing is known of it."""
        lower = name.lower()
        if lower not in self._by_lower:
            wrapped = _WRAPPED.fullmatch(lower)
            if wrapped and wrapped[1] in self._by_lower:
                lower = wrapped[1]
        if lower in self._by_lower:
            return self._by_lower[lower] or name
        return _CANONICAL.get(lower, name)


class Declaring(msgspec.Struct):
    """The members of a request that declare or choose tools, in any dialect."""

    tools: Any = None
    tool_choice: Any = None
    toolConfig: Any = None
    tool_config: Any = None


_request = Decoder(Declaring)


def declared(names: Callable[[Declaring], Iterator[Any]], body: bytes) -> ToolNames:
    """The names in a request's tools and in the tool choice. A broken body declares none.

    :param names: where a dialect has them; what is no text among them does not count.
    """
    request = read_or(_request, body, Declaring())
    return ToolNames(name for name in names(request) if isinstance(name, str) and name)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; none of anything else."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def an_object(value: Any) -> dict[str, Any]:
    """An object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def flat_names(request: Declaring) -> Iterator[Any]:
    """``tools[].name`` and ``tool_choice.name``: Anthropic and Responses."""
    yield from (tool.get("name") for tool in objects(request.tools))
    yield an_object(request.tool_choice).get("name")


def no_names(body: bytes) -> ToolNames:
    """For a dialect without tools."""
    return ToolNames()


class _Function(msgspec.Struct):
    name: str = ""


class _Tool(msgspec.Struct):
    name: str = ""
    function: _Function | None = None


class _Choice(msgspec.Struct):
    type: str = ""
    name: str = ""
    function: _Function | None = None


_tools = Decoder(list[_Tool])
_choice = Decoder(_Choice)


def only(names: list[str]) -> str:
    """Where some tool must be called and there is one, it is that one."""
    return names[0] if len(names) == 1 else ""


def flat(tools: msgspec.Raw) -> list[str]:
    """``tools[].name``."""
    return [tool.name for tool in read_or(_tools, tools, []) if tool.name]


def functions(tools: msgspec.Raw) -> list[str]:
    """``tools[].function.name``."""
    return [tool.function.name for tool in read_or(_tools, tools, []) if tool.function is not None]


def flat_shown(found: Peek, body: bytes) -> Shown:
    """Of a dialect of which nothing but the members' usual names is known."""
    return Shown(declared=lambda: flat(found.tools))


def shown_by(names: Callable[[msgspec.Raw], list[str]]) -> Callable[[Peek, bytes], Shown]:
    """Of a dialect with ``tools`` and a ``tool_choice``; ``names`` reads the names of the tools."""

    def shown(found: Peek, body: bytes) -> Shown:
        return Shown(declared=lambda: names(found.tools), forced=_forced(names, found))

    return shown


def _forced(names: Callable[[msgspec.Raw], list[str]], found: Peek) -> str:
    choice = read_or(_choice, found.choice, _Choice())
    if choice.type == "any" or bytes(found.choice) == b'"required"':
        return only(names(found.tools))
    return choice.name or (choice.function.name if choice.function is not None else "")
