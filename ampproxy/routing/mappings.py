"""``ampcode.model-mappings``: one model's name stands for another's."""

from __future__ import annotations

from collections.abc import Iterable

from ampproxy.config.schema import Mapping


class Mappings:
    """The mappings of a configuration, immutable.

    What names a role is more particular than what does not, and an exact name than a pattern. So these are
    looked at in turn: exact names with the role, then patterns and bare roles in their order, then exact
    names without a role, then patterns in their order. Of two exact entries for one name the last counts,
    as in CLIProxyAPI.
    """

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        everything = tuple(mappings)
        self._by_role: dict[str, _Table] = {}
        for role in {role for mapping in everything for role in mapping.roles}:
            self._by_role[role] = _Table(mapping for mapping in everything if role in mapping.roles)
        self._any = _Table(mapping for mapping in everything if not mapping.roles)

    def find(self, base: str, role: str = "") -> Mapping | None:
        """The mapping for a name without its thinking suffix; case does not count.

        :param role: what Amp uses it for, if that is known.
        """
        table = self._by_role.get(role)
        found = None if table is None else table.find(base)
        return self._any.find(base) if found is None else found


class _Table:
    def __init__(self, mappings: Iterable[Mapping]) -> None:
        everything = tuple(mappings)
        self._exact = {m.source.lower(): m for m in everything if m.source and m.pattern is None}
        self._rest = tuple(m for m in everything if m.pattern is not None or not m.source)

    def find(self, base: str) -> Mapping | None:
        exact = self._exact.get(base.lower())
        if exact is not None:
            return exact
        for mapping in self._rest:
            if mapping.pattern is None or mapping.pattern.search(base):
                return mapping
        return None
