"""Names and ids as a vendor takes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec

from ampproxy.adapt.profile import DialectProfile
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters: a long text keeps its beginning and gets a mark of the whole.

    The same text gives the same result, so that an id stays itself from request to request.
    """
    if len(text) <= limit:
        return text
    return f"{text[: limit - 9]}_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


class Unique(msgspec.Struct):
    """Gives names of which no two are the same: ``name``, or ``name_2``, ``name_3``, ... : the first that
    was not given yet.
    """

    #: The longest name.
    _limit: int
    _given: set[str] = set()
    #: The number to go on from, of each name that was asked for more than once: counting up from 2
    #: each time would make many namesakes quadratic.
    _next: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The name to use."""
        candidate = shorten(name, self._limit)
        number = self._next.get(name, 2)
        while candidate in self._given:
            candidate = shorten(name, self._limit - len(f"_{number}")) + f"_{number}"
            number += 1
            self._next[name] = number
        self._given.add(candidate)
        return candidate


class ToolNameMap:
    """Tool names that a vendor takes, one for each of the client's names, always the same.

    :param illegal: matches one character that the vendor refuses; each becomes ``_``.
    :param limit: the longest name.
    :param known: names that stay as they are if they are legal: a changed one never takes their place.
    :ivar changed: as sent -> as the client knows it (``Rendered.names``).
    """

    def __init__(self, illegal: str, limit: int, known: Iterable[str] = ()) -> None:
        self._illegal = re.compile(illegal)
        self._limit = limit
        self._sent: dict[str, str] = {}
        self._unique = Unique(limit)
        self.changed: dict[str, str] = {}
        for name in sorted(set(known), key=lambda name: self._legal(name) != name):
            self(name)

    def __call__(self, name: str) -> str:
        """The name to send."""
        sent = self._sent.get(name)
        if sent is None:
            sent = self._sent[name] = self._unique(self._legal(name))
            if sent != name:
                self.changed[sent] = name
        return sent

    def _legal(self, name: str) -> str:
        return shorten(self._illegal.sub("_", name) or "tool", self._limit)


def tool_names(request: ChatRequest, profile: DialectProfile) -> ToolNameMap:
    """Legal names for all tools of a request, those that only its history calls included."""
    called = [part.name for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)]
    return ToolNameMap(*profile.name, [*(tool.name for tool in request.tools), *called])
