"""The end of a model: when it is, and what is to be asked instead."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable

from ampproxy.catalog.families import Families
from ampproxy.model.base import Value

#: So long before its end a model is warned of.
SOON = datetime.timedelta(days=90)


def day_of(seconds: float) -> datetime.date:
    """The day, UTC, of a time in seconds since the epoch."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).date()


class Ending(Value, frozen=True):
    """A model that its vendor takes away.

    :param model: the vendor's name.
    :param day: its last; ``None``: no day is known.
    :param gone: whether that has been.
    :param successor: what its vendor names instead; empty: nothing is known.
    """

    model: str
    day: datetime.date | None
    gone: bool
    successor: str = ""

    def clause(self, today: datetime.date) -> str:
        """When, as a clause: ``is retired by its vendor on 2026-11-30, in 1 day``."""
        if self.day is None:
            return "is retired by its vendor" if self.gone else "is deprecated by its vendor"
        if self.gone:
            return f"was retired by its vendor on {self.day}"
        left = (self.day - today).days
        if left <= 0:
            return f"was to be retired by its vendor on {self.day}"
        return f"is retired by its vendor on {self.day}, in {left} day{'' if left == 1 else 's'}"


def ending(model: str, families: Families, today: datetime.date) -> Ending | None:
    """The end of a model that is gone, or will be soon; ``None`` of any other.

    :param model: the vendor's name, with or without a thinking suffix.
    """
    family = families.find(model)
    gone = family.gone(today)
    soon = family.retires is not None and family.retires - today <= SOON
    if not gone and not (soon and family.deprecated is not False):
        return None
    return Ending(model, family.retires, gone, family.successor)


def ends_soon(families: Families, today: datetime.date) -> Callable[[str], bool]:
    """Tells whether a model has an :func:`ending`."""
    return lambda model: ending(model, families, today) is not None


def mapping_line(asked: str, target: str) -> str:
    """The line of ``ampcode.model-mappings`` that has another model serve."""
    return f"- {{from: {_scalar(asked)}, to: {_scalar(target)}}}"


def target_line(target: str) -> str:
    """The part of a mapping that says what serves."""
    return f"to: {_scalar(target)}"


def alias_line(name: str, alias: str) -> str:
    """The line of an account's ``models`` that has another model serve under the name."""
    return f"- {{name: {_scalar(name)}, alias: {_scalar(alias)}}}"


def _scalar(text: str) -> str:
    """Text in YAML: every JSON string is that."""
    plain = text.replace("-", "").replace(".", "")
    return text if plain.isascii() and plain.isalnum() and not plain.isdigit() else json.dumps(text)
