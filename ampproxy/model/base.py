"""What every value of the vocabulary is made of."""

from __future__ import annotations

from typing import Any, ClassVar

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


class Noted(Guarded, frozen=True, eq=False):
    """A value with notes that make no difference between two: where it stands in a file, and the like.

    :cvar notes: the fields that comparisons leave out.
    """

    notes: ClassVar[frozenset[str]] = frozenset()

    def _compared(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name not in self.notes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._compared() == other._compared()

    # Of its own, for msgspec's would not ask the one above.
    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._compared())


#: The dialects by the names used in settings, logs and on the command line.
ANTHROPIC = "anthropic"
CHAT = "openai-chat"
COMPLETIONS = "openai-completions"
RESPONSES = "openai-responses"
GEMINI = "gemini"
