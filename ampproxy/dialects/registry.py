"""All dialects by name. A new one is a folder, and a row here.

A dialect is loaded when it is first asked for, and what translates when it first has to: together they are
the largest part of what the program consists of, and a service should listen before it has read it all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ampproxy.dialects.tool_names import flat_shown
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES, Value
from ampproxy.model.roles import Shown
from ampproxy.wire.json import Peek

if TYPE_CHECKING:
    from ampproxy.dialects.base import Dialect


class Row(Value, frozen=True):
    """A dialect, as far as it must be known before it is loaded.

    :param name: in settings, logs and on the command line (see :mod:`ampproxy.model.base`).
    :param module: the package that has it as ``DIALECT``.
    :param number: in the marks of proofs (:mod:`ampproxy.dialects.proof`), which clients keep in their
        threads: once given it stays. ``None``: it has no proofs.
    :param short: its short name on the command line.
    :param protocol: what CLIProxyAPI's configuration calls it as a vendor's; empty: ``name``.
    :param source: likewise as a client's; empty: as a vendor's.
    """

    name: str
    module: str
    number: int | None = None
    short: str = ""
    protocol: str = ""
    source: str = ""


ROWS = (
    Row(ANTHROPIC, "ampproxy.dialects.anthropic", 0, "anthropic", "claude"),
    Row(CHAT, "ampproxy.dialects.openai_chat", 3, "chat", "openai"),
    Row(RESPONSES, "ampproxy.dialects.openai_responses", 1, "responses", "codex", "responses"),
    Row(GEMINI, "ampproxy.dialects.gemini", 2, "gemini", "gemini"),
    Row(COMPLETIONS, "ampproxy.dialects.openai_completions", 4, "completions", "openai"),
)


#: The modules that translate, which a dialect loads when it is first asked to.
_DIRECTIONS = ("request_in", "request_out", "response", "stream_in", "stream_out")


def directions() -> Iterator[str]:
    """All modules that translate, for who loads them beforehand."""
    return (f"{row.module}.{name}" for row in ROWS for name in _DIRECTIONS)


class Registry(Mapping[str, "Dialect"]):
    """Dialects by name, each loaded once, when it is first asked for."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = {row.name: row for row in rows}
        self._loaded: dict[str, Dialect] = {}

    def __getitem__(self, name: str) -> Dialect:
        loaded = self._loaded.get(name)
        if loaded is None:
            loaded = self._loaded[name] = cast("Dialect", import_module(self._rows[name].module).DIALECT)
        return loaded

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, name: str) -> Row:
        """The row of a dialect, without loading it; :class:`KeyError`: there is none."""
        return self._rows[name]


DIALECTS = Registry(ROWS)


def shown_in(dialect: str, found: Peek, body: bytes) -> Shown:
    """What a request's body shows of what it is for; ``dialect`` is empty where its path names none."""
    shown = DIALECTS[dialect].passthrough.shown if dialect else flat_shown
    return shown(found, body)
