"""Sections that ``false`` alone switches off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.config import fields
from ampproxy.config.document import Scalar
from ampproxy.config.parsing import Location, Section


class SectionOrFlag(Section, frozen=True, kw_only=True):
    """A section that ``false`` alone switches off, and ``true`` alone leaves at its defaults.

    :param flag: makes the section's value of the flag alone.
    """

    type: str = "section, or false"
    flag: Callable[[bool], Any]

    def __call__(self, place: Location) -> Any:
        """Read the flag, or every key."""
        if isinstance(place.node, Scalar) and place.node.type != "null":
            return self.flag(fields.FLAG(place))
        return Section.__call__(self, place)
