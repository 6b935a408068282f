"""What a request's body shows of what it is for: the tools that it declares, and the one that it demands."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ampproxy.dialects.json import Decoder, read_or
from ampproxy.model.roles import Shown
from ampproxy.wire.json import Peek


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
    """Of a dialect with ``tools`` and a ``tool_choice``.

    :param names: reads the names of the tools.
    """

    def shown(found: Peek, body: bytes) -> Shown:
        return Shown(declared=lambda: names(found.tools), forced=_forced(names, found))

    return shown


def _forced(names: Callable[[msgspec.Raw], list[str]], found: Peek) -> str:
    if bytes(found.choice) == b'"required"':
        return only(names(found.tools))
    choice = read_or(_choice, found.choice, _Choice())
    if choice.type == "any":
        return only(names(found.tools))
    return choice.name or (choice.function.name if choice.function is not None else "")
