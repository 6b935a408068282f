"""Who accepts where, and when one that died is started again."""

from __future__ import annotations

import pytest

from ampproxy.workers.seats import MAX_BACKOFF_SECONDS, STABLE, Deaths, assigned, spread


@pytest.mark.parametrize(
    ("count", "able", "expected"),
    [
        (2, [1, 2], {1: (0,), 2: (1,)}),
        (2, [2], {2: (1, 0)}),
        (4, [1, 3], {1: (0, 1), 3: (2, 3)}),
        (3, [], {}),
    ],
)
def test_assigned(count: int, able: list[int], expected: dict[int, tuple[int, ...]]) -> None:
    """Each on its own, and the orphaned ones on as many others as there are."""
    found = assigned(count, able)
    assert {number: set(slots) for number, slots in found.items()} == {
        number: set(slots) for number, slots in expected.items()
    }


def test_more_sockets_than_workers() -> None:
    """None of an earlier process's is left without anyone who accepts."""
    both = [spread(slots, 2, 5) for slots in assigned(2, [1, 2]).values()]
    assert sorted(slot for slots in both for slot in slots) == [0, 1, 2, 3, 4]
    assert spread((0, 1), 2, 0) == (0, 1)


def test_backoff() -> None:
    """At once after the first death, later and later after early ones; a long life begins anew."""
    deaths = Deaths()
    assert [deaths.died(1.0) for _ in range(9)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert MAX_BACKOFF_SECONDS == 30.0
    assert (deaths.total, deaths.recent(1.0), deaths.recent(STABLE)) == (9, 9, 0)
    assert deaths.died(STABLE) == 0.0
    assert (deaths.total, deaths.row) == (10, 1)
