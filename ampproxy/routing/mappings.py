"""``ampcode.model-mappings``: one model's name stands for another's."""

from __future__ import annotations

from collections.abc import Iterable

from ampproxy.config.schema import Mapping


class Mappings:
    """The mappings of a configuration, immutable: exact names in a table, then patterns in their order.

    Of two exact entries for one name the last counts, as in CLIProxyAPI.
    """

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        everything = tuple(mappings)
        self._exact = {mapping.source.lower(): mapping for mapping in everything if mapping.pattern is None}
        self._patterns = tuple(
            (mapping.pattern, mapping) for mapping in everything if mapping.pattern is not None
        )

    def find(self, base: str) -> Mapping | None:
        """The mapping for a name without its thinking suffix; case does not count."""
        exact = self._exact.get(base.lower())
        if exact is not None:
            return exact
        for pattern, mapping in self._patterns:
            if pattern.search(base):
                return mapping
        return None
