"""How many values a label can have: what clients and vendors say is not in our hands."""

from __future__ import annotations

from collections.abc import Iterable

#: What stands for all values that are not told apart.
OTHER = "other"

#: The longest value of a label.
_LONGEST = 120


class LabelValues:
    """The values of one label. At most ``most`` that were learnt, and those that are configured.

    :param most: how many are learnt.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._learnt: dict[str, str] = {}
        self._configured: dict[str, str] = {}

    def configure(self, names: Iterable[str], most: int | None = None) -> None:
        """These are told apart from now on, however many they are: the configuration names them."""
        self._configured = {name: name[:_LONGEST] for name in names}
        self.most = self.most if most is None else most

    def of(self, value: str, *, learn: bool = True) -> str:
        """The label's value: the same, or ``other``.

        :param learn: whether the value may take one of the places that are left: not if anybody can send it
            without paying for it, or a single client could take them all.
        """
        found = self._configured.get(value) or self._learnt.get(value)
        if found is not None:
            return found
        if not value:
            return ""
        if not learn or len(self._learnt) >= self.most or len(value) > _LONGEST:
            return OTHER
        return self._learnt.setdefault(value, value)
