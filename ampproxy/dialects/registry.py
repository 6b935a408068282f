"""All dialects by name. A new one is a package and a function here.

A dialect is loaded when it is first asked for: together they are the largest part of what the program
consists of, and a service should listen before it has read it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ampproxy.dialects.base import Dialect
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES


class Registry(Mapping[str, Dialect]):
    """Dialects by name (see :mod:`ampproxy.model.base`), each made once."""

    def __init__(self, makers: Mapping[str, Callable[[], Dialect]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Dialect] = {}

    def __getitem__(self, name: str) -> Dialect:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._makers[name]()
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def register(self, name: str, maker: Callable[[], Dialect]) -> None:
        """Add a dialect, or put another in its place."""
        self._makers[name] = maker
        self._made.pop(name, None)


def _anthropic() -> Dialect:
    from ampproxy.dialects.anthropic import AnthropicDialect

    return AnthropicDialect()


def _chat() -> Dialect:
    from ampproxy.dialects.openai_chat import ChatDialect

    return ChatDialect()


def _completions() -> Dialect:
    from ampproxy.dialects.openai_completions import CompletionsDialect

    return CompletionsDialect()


def _responses() -> Dialect:
    from ampproxy.dialects.openai_responses import ResponsesDialect

    return ResponsesDialect()


def _gemini() -> Dialect:
    from ampproxy.dialects.gemini import GeminiDialect

    return GeminiDialect()


DIALECTS = Registry(
    {
        ANTHROPIC: _anthropic,
        CHAT: _chat,
        COMPLETIONS: _completions,
        RESPONSES: _responses,
        GEMINI: _gemini,
    }
)
