"""Values of the SDKs' own types with every member set, each to something that can be found again."""

from __future__ import annotations

import base64
import collections.abc
import datetime
import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
from typing_extensions import NotRequired, Required, get_type_hints, is_typeddict

#: So deep is looked into types that hold themselves.
DEEPEST = 5


class Maker:
    """Makes one value.

    :param turn: which of several types a member has, where it may have one of several.
    :ivar marks: the path of each member that can be found again -> the text that stands for it.
    """

    def __init__(self, turn: int = 0) -> None:
        self.marks: dict[str, str] = {}
        self._turn = turn
        self._count = 0

    def __call__(self, kind: Any, path: str = "", depth: int = 0) -> Any:
        """A value of a type, as JSON has it."""
        while isinstance(kind, typing.TypeAliasType) if hasattr(typing, "TypeAliasType") else False:
            kind = kind.__value__
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Annotated, Required, NotRequired):
            return self(arguments[0], path, depth)
        if origin is typing.Literal:
            return arguments[0]
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments, path, depth)
        if origin in (list, collections.abc.Iterable, collections.abc.Sequence) or _is_sequence(origin):
            return [self(arguments[0], f"{path}[]", depth + 1)] if depth < DEEPEST else []
        if origin is dict:
            return {"key": self(arguments[1], f"{path}.key", depth + 1)} if depth < DEEPEST else {}
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            return self.model(kind, path, depth)
        if is_typeddict(kind):
            return self.typed(kind, path, depth)
        return self._plain(kind, path)

    def typed(self, kind: Any, path: str = "", depth: int = 0) -> dict[str, Any]:
        """An object of a request."""
        found = {}
        for name, hint in get_type_hints(kind, include_extras=True).items():
            if depth < DEEPEST or name in kind.__required_keys__:
                value = self(hint, f"{path}.{name}" if path else name, depth + 1)
                if value is not None:
                    found[name] = value
        return found

    def model(self, kind: type[pydantic.BaseModel], path: str = "", depth: int = 0) -> dict[str, Any]:
        """An object with every member that there is room for."""
        found = {}
        for name, field in kind.model_fields.items():
            key = field.alias or name
            if depth < DEEPEST or field.is_required():
                value = self(field.annotation, f"{path}.{key}" if path else key, depth + 1)
                if value is not None:
                    found[key] = value
        return found

    def _union(self, kinds: tuple[Any, ...], path: str, depth: int) -> Any:
        """One of them."""
        kinds = tuple(kind for kind in kinds if kind is not type(None))
        return self(kinds[self._turn % len(kinds)], path, depth)

    def _plain(self, kind: Any, path: str) -> Any:
        self._count += 1
        mark = f"mark{self._count:03d}x"
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return next(iter(kind)).value
        if kind is bool:
            return True
        if kind is int:
            self.marks[path] = str(70_000 + self._count)
            return 70_000 + self._count
        if kind is float:
            return 0.5
        if kind is bytes:
            mark = base64.b64encode(mark.encode()).decode()
        if kind is datetime.datetime:
            return "2026-11-29T12:00:00Z"
        if kind in (str, bytes, object, Any):
            self.marks[path] = mark
            return mark
        return None


def _is_sequence(origin: Any) -> bool:
    """The SDK's own name for a list that is no text."""
    return getattr(origin, "__name__", "") == "SequenceNotStr"


def members_of(union: Any) -> Iterator[Any]:
    """The models in a union of types, also of one within another."""
    origin, arguments = typing.get_origin(union), typing.get_args(union)
    if origin is typing.Annotated:
        yield from members_of(arguments[0])
    elif origin in (typing.Union, types.UnionType):
        for one in arguments:
            yield from members_of(one)
    elif is_typeddict(union) or (isinstance(union, type) and issubclass(union, pydantic.BaseModel)):
        yield union
