"""Regular expressions that are compiled when they are first used: for tables of many, of which a process may
need none. Compiling one takes a quarter of a millisecond.
"""

from __future__ import annotations

import re
from functools import cached_property


class LatePattern:
    """A regular expression over text.

    :param source: what :func:`re.compile` takes.
    :param flags: likewise.
    """

    def __init__(self, source: str, flags: int = 0) -> None:
        self._source = source
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern itself.

        :raises re.error: the source is none.
        """
        return re.compile(self._source, self._flags)

    def search(self, text: str) -> re.Match[str] | None:
        """See :meth:`re.Pattern.search`."""
        return self.compiled.search(text)
