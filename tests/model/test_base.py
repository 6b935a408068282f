"""What every value of the vocabulary is made of."""

from __future__ import annotations

from typing import ClassVar

import pytest

from ampproxy.model.base import Guarded, Value


class Login(Guarded, frozen=True):
    """A value with something to hide."""

    hidden: ClassVar[frozenset[str]] = frozenset(("secret",))

    name: str
    secret: str = "canary"
    limit: int | None = None


def test_hidden_fields_are_not_shown() -> None:
    """They are compared and kept all the same, also by what inherits from the value."""
    login = Login("me", "canary-2", 7)
    assert repr(login) == "Login(name='me', limit=7)"
    assert f"{login} {[login]}" == "Login(name='me', limit=7) [Login(name='me', limit=7)]"
    assert (login.secret, login == Login("me", "canary-2", 7), login == Login("me", limit=7)) == (
        "canary-2",
        True,
        False,
    )

    class Special(Login, frozen=True):
        more: str = "x"

    assert repr(Special("me")) == "Special(name='me', limit=None, more='x')"


def test_frozen() -> None:
    """A value stays what it is."""

    class Point(Value, frozen=True):
        x: int

    with pytest.raises(AttributeError):
        Point(1).x = 2  # type: ignore[misc]
