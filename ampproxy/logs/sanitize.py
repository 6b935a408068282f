"""The last look at a text before it is written: no secret, no control character of somebody else's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import Redactor, Secret, printable

#: Fields that hold several lines of our own making; in all others a line's end is somebody else's.
OWN_LINES = frozenset(("complaints", "lines", "remedy", "steps"))

#: Fields whose name says that their value is a secret.
_SECRET_FIELD = LatePattern(
    r"(?:^|_)(?:authorization|api_?key|access_token|refresh_token|id_token|token|secret|password|cookie)\Z",
    re.IGNORECASE,
)
_CUT = "***"

#: So much of a text is shown: a vendor's error may be a page of a megabyte.
MAX_TEXT_CHARS = 4000
#: So much of a text in several lines: of a traceback, whose error may quote a whole body.
MAX_LINES_CHARS = 32_000

#: What is remembered of texts that were looked at: most of an exchange's fields are the same again and again.
_REMEMBERED = 2048
_MAX_REMEMBERED_CHARS = 400


class Cleaner:
    """Cuts secrets, by value and by the names they stand behind, and escapes control characters.

    A text that was seen before costs a look into a dictionary; another one of 300 characters some
    microseconds.

    :param secrets: those that are known by value.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._redactor = Redactor(secrets)
        self._lines: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def line(self, text: str) -> str:
        r"""A text in one line: secrets cut, control characters as ``\x1b`` and the like."""
        return self._lines.get(text) or self._remembered(text, self._lines, self._line)

    def text(self, text: str) -> str:
        """A text with its secrets cut and all else as it was: for JSON, which has escapes of its own."""
        return self._texts.get(text) or self._remembered(text, self._texts, self._text)

    def lines(self, text: str) -> str:
        """A text of our own making in several lines, each of them clean."""
        # Not splitlines(): that takes U+2028 and the like for ends of lines, and they are to be seen.
        return "\n".join(map(self.line, _bounded(text).split("\n")))

    def texts(self, text: str) -> str:
        """As :meth:`lines`, for JSON."""
        return "\n".join(map(self.text, _bounded(text).split("\n")))

    def known(self, text: str) -> str:
        """Several lines, clean, without a look for secrets that only their names betray."""
        return "\n".join(map(printable, self._redactor.known(_bounded(text)).split("\n")))

    def field(self, name: str, value: Any, clean: Callable[[str], str]) -> Any:
        """A field's value: texts, also in a list or mapping, are cleaned; numbers stay.

        :param clean: :meth:`line` or :meth:`text`.
        """
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if value and _SECRET_FIELD.search(name):
            return _CUT
        if isinstance(value, str):
            return clean(value) if name not in OWN_LINES or clean == self.text else self.lines(value)
        if isinstance(value, bytes):
            return clean(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, (list, tuple)):
            return [self.field("", item, clean) for item in value]
        if isinstance(value, Mapping):
            return {clean(str(key)): self.field(str(key), item, clean) for key, item in value.items()}
        return value

    def _line(self, text: str) -> str:
        return printable(self._text(text))

    def _text(self, text: str) -> str:
        shown = self._redactor.shown(text, MAX_TEXT_CHARS)
        return shown if len(text) <= MAX_TEXT_CHARS else f"{shown}... ({len(text)} characters)"

    @staticmethod
    def _remembered(text: str, memory: dict[str, str], clean: Callable[[str], str]) -> str:
        found = clean(text)
        if len(text) <= _MAX_REMEMBERED_CHARS:
            if len(memory) >= _REMEMBERED:
                memory.clear()
            memory[text] = found
        return found


def _bounded(text: str) -> str:
    """Several lines, without those in the middle where they are more than can be shown: what happened is told
    at the end of a traceback, and where at its beginning.
    """
    if len(text) <= MAX_LINES_CHARS:
        return text
    half = MAX_LINES_CHARS // 2
    # Only whole lines: half a secret looks like none. A first line that long is cut where it is cleaned.
    head, end, _ = text[:half].rpartition("\n")
    _, _, tail = text[-half:].partition("\n")
    gap = f"({len(text)} characters, of which some are left out here)"
    return f"{head if end else text[:half]}\n{gap}\n{tail}"
