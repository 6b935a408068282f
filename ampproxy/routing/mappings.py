"""``ampcode.model-mappings``: one model's name stands for another's."""

from __future__ import annotations

from collections.abc import Iterable
from time import thread_time

from ampproxy.config.schema import ModelMapping
from ampproxy.wire.patterns import BUDGET, Pattern, compiled, found


class SlowPattern(Exception):
    """Whether a mapping is for a name takes longer to find out than anybody may wait.

    :ivar mapping: the one whose pattern it is.
    """

    def __init__(self, mapping: ModelMapping) -> None:
        super().__init__(mapping.source)
        self.mapping = mapping


class Mappings:
    """The mappings of a configuration, immutable.

    What names a role is more particular than what does not, and an exact name than a pattern. So these are
    looked at in turn: exact names with the role, then patterns and bare roles in their order, then exact
    names without a role, then patterns in their order. Of two exact entries for one name the last counts,
    as in CLIProxyAPI.
    """

    def __init__(self, mappings: Iterable[ModelMapping]) -> None:
        everything = tuple(mappings)
        self._by_role: dict[str, _Table] = {}
        for role in {role for mapping in everything for role in mapping.roles}:
            self._by_role[role] = _Table(mapping for mapping in everything if role in mapping.roles)
        self._any = _Table(mapping for mapping in everything if not mapping.roles)

    def find(self, base: str, role: str = "") -> ModelMapping | None:
        """The mapping for a name without its thinking suffix; case does not count.

        It takes :data:`~ampproxy.wire.patterns.BUDGET` at the most.

        :param base: of bounded length; see :data:`ampproxy.routing.decide.MAX_NAME`.
        :param role: what Amp uses it for, if that is known.
        :raises SlowPattern: a pattern takes longer for this name. None behind it is tried: the name may be
            meant by this one.
        """
        table = self._by_role.get(role)
        end = thread_time() + BUDGET
        mapping = None if table is None else table.find(base, end)
        return self._any.find(base, end) if mapping is None else mapping


class _Table:
    def __init__(self, mappings: Iterable[ModelMapping]) -> None:
        everything = tuple(mappings)
        self._exact = {m.source.lower(): m for m in everything if m.source and m.pattern is None}
        self._rest: tuple[tuple[ModelMapping, Pattern | None], ...] = tuple(
            (m, None if m.pattern is None else compiled(m.source))
            for m in everything
            if m.pattern is not None or not m.source
        )

    def find(self, base: str, end: float) -> ModelMapping | None:
        """As :meth:`Mappings.find`.

        :param end: of the time, in seconds of this thread.
        """
        exact = self._exact.get(base.lower())
        if exact is not None:
            return exact
        for mapping, pattern in self._rest:
            if pattern is None or _is_for(mapping, pattern, base, end):
                return mapping
        return None


def _is_for(mapping: ModelMapping, pattern: Pattern, base: str, end: float) -> bool:
    left = end - thread_time()
    try:
        if left > 0:
            return found(pattern, base, left)
    except TimeoutError:
        pass
    raise SlowPattern(mapping)
