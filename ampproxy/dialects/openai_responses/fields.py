"""JSON objects of a client, member by member: what is taken is typed, what is left keeps its text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ampproxy.dialects.common import bad_request, members, read_request
from ampproxy.model.base import Json

T = TypeVar("T")


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def is_null(value: Json) -> bool:
    """Whether the JSON text says ``null``."""
    return bytes(value) == b"null"


def is_string(value: Json) -> bool:
    """Whether the JSON text is a string."""
    return first(value) == b'"'


def first(value: Json) -> bytes:
    """The first character of JSON text: what kind of value it is. Nothing is copied."""
    view: Any = value
    return bytes(memoryview(view)[:1])


class Fields:
    """The members of an object, taken one by one.

    :param text: the object's JSON text.
    :param at: where the object stands in the request, for complaints: ``input[3]``.
    :ivar left: the members that were not taken.
    :raises ampproxy.errors.ClientFault: it is not an object.
    """

    __slots__ = ("at", "left")

    def __init__(self, text: bytes | Json, at: str = "") -> None:
        self.at = at
        self.left = members(text, at)

    def path(self, name: str) -> str:
        """Where the member stands in the request."""
        return f"{self.at}.{name}" if self.at else name

    def take(self, name: str, kind: type[T]) -> T | None:
        """Remove a member and give its value; ``None`` when it is absent or null.

        :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
        """
        text = self.left.pop(name, None)
        return None if text is None else read(text, kind, self.path(name))

    def need(self, name: str, kind: type[T]) -> T:
        """Like :meth:`take`, for a member that must be there."""
        value = self.take(name, kind)
        if value is None:
            bad_request(self.path(name), "It is required.")
        return value

    def take_raw(self, name: str) -> Json | None:
        """Remove a member and give its text; ``None`` when it is absent or null."""
        text = self.left.pop(name, None)
        return None if text is None or is_null(text) else text

    def said(self) -> dict[str, Json]:
        """What is left and not null."""
        return {name: value for name, value in self.left.items() if not is_null(value)}


def read(text: bytes | Json, kind: type[T], at: str) -> T | None:
    """The value of JSON text, ``None`` for null.

    :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
    """
    optional: Any = kind | None
    value: T | None = read_request(_decoder(optional), bytes(text), at)
    return value


def put(body: dict[str, Any], values: Mapping[str, object]) -> None:
    """Add the members that are not ``None``."""
    body.update({name: value for name, value in values.items() if value is not None})
