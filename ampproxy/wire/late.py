"""What is made when it is first used: functions of modules, and regular expressions. There are many, and a
process may need none of them. Compiling an expression takes a quarter of a millisecond.
"""

from __future__ import annotations

import re
from functools import cached_property
from importlib import import_module
from typing import Any


class Late:
    """A function, or a class to be called, of a module that is loaded by the first call.

    :param module: its whole name.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    @cached_property
    def found(self) -> Any:
        """What is called.

        :raises ImportError: there is no such module.
        :raises AttributeError: it has nothing of that name.
        """
        return getattr(import_module(self._module), self._name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it."""
        return self.found(*args, **named)


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
