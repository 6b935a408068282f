"""What every value of the vocabulary is made of."""

from __future__ import annotations

from typing import ClassVar

import msgspec

#: JSON that nobody here interprets: its exact text is kept, so that numbers of any size survive.
Json = msgspec.Raw


class Value(msgspec.Struct, frozen=True):
    """A frozen record, compared by content. ``msgspec.structs.replace`` gives a changed copy."""


class Guarded(Value, frozen=True):
    """A value that does not show all of itself.

    :cvar hidden: the fields that ``repr`` leaves out.
    """

    hidden: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in self.hidden)
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


#: The dialects by the names used in settings, logs and on the command line.
ANTHROPIC = "anthropic"
CHAT = "openai-chat"
COMPLETIONS = "openai-completions"
RESPONSES = "openai-responses"
GEMINI = "gemini"
