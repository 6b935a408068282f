"""What is made when it is first used: functions of modules, and regular expressions. There are many, and a
process may need none of them. Compiling an expression takes a quarter of a millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, AnyStr, Generic


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


class LatePattern(Generic[AnyStr]):
    """A regular expression that is compiled when it is first used; from then on it is as fast as any other.

    Its methods are those of :class:`re.Pattern`.

    :param source: what :func:`re.compile` takes.
    :param flags: likewise.
    """

    search: Callable[..., re.Match[AnyStr] | None]
    match: Callable[..., re.Match[AnyStr] | None]
    fullmatch: Callable[..., re.Match[AnyStr] | None]
    sub: Callable[..., AnyStr]
    split: Callable[..., list[AnyStr]]
    findall: Callable[..., list[Any]]
    finditer: Callable[..., Iterator[re.Match[AnyStr]]]

    def __init__(self, source: AnyStr, flags: int = 0) -> None:
        self._source: AnyStr = source
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[AnyStr]:
        """The pattern itself.

        :raises re.error: the source is none.
        """
        return re.compile(self._source, self._flags)

    if not TYPE_CHECKING:  # It would hide from the checker what there is not.

        def __getattr__(self, name: str) -> Any:
            # Asked only for what is not there yet: the next use finds the pattern's own method.
            if name not in LatePattern.__annotations__:
                raise AttributeError(name)
            method = getattr(self.compiled, name)
            setattr(self, name, method)
            return method
