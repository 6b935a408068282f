"""Secrets that cannot be shown by accident."""

from __future__ import annotations

import hmac


class Secret:
    """A credential. ``repr``, ``str`` and formatting never show it; only :meth:`reveal` does.

    Compared and hashed by value, so that it can be looked up; :meth:`matches` compares in constant
    time and is what authentication uses.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: for the one header it belongs into."""
        return self._value

    def matches(self, candidate: bytes) -> bool:
        """Whether ``candidate`` is this secret, in time that does not tell how much of it is right."""
        return hmac.compare_digest(self._value.encode(), candidate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__
