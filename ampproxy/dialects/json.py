"""JSON objects of a client, member by member: what is taken is typed, what is left keeps its text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ampproxy.dialects.common import NULL, Members, bad_request, members, read_request, without_nulls
from ampproxy.model.base import Json

T = TypeVar("T")


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """A decoder for a kind of values, and ``null``."""
    return msgspec.json.Decoder(kind | None)


def is_null(value: Json) -> bool:
    """Whether the JSON text says ``null``."""
    return value == NULL


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
    :param nulls: whether members that are ``null`` stay in :attr:`left`; taken they count as absent anyhow.
    :ivar left: the members that were not taken.
    :raises ampproxy.errors.ClientFault: it is not an object.
    """

    __slots__ = ("at", "left")

    def __init__(self, text: bytes | Json, at: str = "", *, nulls: bool = True) -> None:
        self.at = at
        self.left = members(text, at) if nulls else without_nulls(members(text, at))

    def path(self, name: str) -> str:
        """Where the member stands in the request."""
        return f"{self.at}.{name}" if self.at else name

    def take(self, name: str, kind: type[T]) -> T | None:
        """Remove a member and give its value; ``None`` when it is absent or null.

        :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
        """
        text = self.left.pop(name, None)
        if text is None:
            return None
        wanted: Any = kind
        value: T | None = read_request(_decoder(wanted), text, f"{self.at}.{name}" if self.at else name)
        return value

    def need(self, name: str, kind: type[T]) -> T:
        """Like :meth:`take`, for a member that must be there."""
        value = self.take(name, kind)
        if value is None:
            bad_request(self.path(name), "It is required.")
        return value

    def take_raw(self, name: str) -> Json | None:
        """Remove a member and give its text; ``None`` when it is absent or null."""
        text = self.left.pop(name, None)
        return None if text is None or text == NULL else text

    def need_raw(self, name: str) -> Json:
        """Like :meth:`take_raw`, for a member that must be there."""
        text = self.take_raw(name)
        if text is None:
            bad_request(self.path(name), "It is required.")
        return text

    def take_object(self, name: str) -> Fields | None:
        """Remove a member and give its members, without those that are null; ``None`` when it is absent or
        null.

        :raises ampproxy.errors.ClientFault: it is not an object.
        """
        text = self.take_raw(name)
        return None if text is None else Fields(text, self.path(name), nulls=False)

    def need_object(self, name: str) -> Fields:
        """Like :meth:`take_object`, for a member that must be there."""
        return Fields(self.need_raw(name), self.path(name), nulls=False)

    def remaining(self) -> dict[str, Json]:
        """What is left and not null."""
        return {name: value for name, value in self.left.items() if not is_null(value)}


def member(found: Members, name: str, kind: type[T], at: str) -> T | None:
    """The value of a member, which stays where it is; ``None`` when it is absent or null.

    :param at: where the object stands in the request.
    :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
    """
    text = found.get(name)
    return None if text is None else read(text, kind, f"{at}.{name}" if at else name)


def read(text: bytes | Json, kind: type[T], at: str) -> T | None:
    """The value of JSON text, ``None`` for null.

    :raises ampproxy.errors.ClientFault: it is something else than ``kind``.
    """
    wanted: Any = kind
    value: T | None = read_request(_decoder(wanted), text, at)
    return value


def put(body: dict[str, Any], values: Mapping[str, object]) -> None:
    """Add the members that are not ``None``."""
    for name, value in values.items():
        if value is not None:
            body[name] = value
