"""The phases of a service: which may follow which, and what the site and the listeners read of them."""

from __future__ import annotations

import itertools

import pytest

from ampproxy.lifecycle import NEXT, Lifecycle, Phase
from tests.cases import each

#: How to come to each phase from a fresh lifecycle.
WAYS = {
    Phase.STARTING: (),
    Phase.HELD: (),
    Phase.SERVING: (Phase.SERVING,),
    Phase.YIELDING: (Phase.SERVING, Phase.YIELDING),
    Phase.LEAVING: (Phase.SERVING, Phase.LEAVING),
    Phase.DRAINING: (Phase.SERVING, Phase.DRAINING),
    Phase.STOPPED: (Phase.SERVING, Phase.DRAINING, Phase.STOPPED),
}


def at(phase: Phase) -> Lifecycle:
    """A lifecycle in one phase."""
    lifecycle = Lifecycle(held=phase is Phase.HELD)
    for step in WAYS[phase]:
        lifecycle.to(step)
    return lifecycle


@each(("before", "after"), [*itertools.product(Phase, Phase)])
def test_only_what_the_table_allows(before: Phase, after: Phase) -> None:
    """Any other change is an error that leaves all as it was; the same phase again is no change."""
    lifecycle = at(before)
    if after is before or after in NEXT[before]:
        lifecycle.to(after)
        assert lifecycle.phase is after
        return
    was = lifecycle.paused, lifecycle.ending
    with pytest.raises(RuntimeError, match=f"is {before.value} cannot be {after.value}"):
        lifecycle.to(after)
    assert (lifecycle.phase, lifecycle.paused, lifecycle.ending) == (before, *was)


@pytest.mark.parametrize("phase", Phase)
def test_nothing_comes_back_from_its_end(phase: Phase) -> None:
    """What ends serves nobody anew, and every phase can come to its end."""
    lifecycle = at(phase)
    if lifecycle.ending:
        assert not NEXT[phase] & {Phase.STARTING, Phase.HELD, Phase.SERVING, Phase.YIELDING}
    else:
        assert {Phase.LEAVING, Phase.DRAINING} <= NEXT[phase]


def test_paused_and_ending() -> None:
    """Nobody is accepted for the moment before a takeover, on either side of it, and never after."""
    assert [phase for phase in Phase if at(phase).paused] == [Phase.HELD, Phase.YIELDING]
    assert [phase for phase in Phase if at(phase).ending] == [Phase.LEAVING, Phase.DRAINING, Phase.STOPPED]


@pytest.mark.parametrize("phase", Phase)
def test_leave(phase: Phase) -> None:
    """Another process has the sockets; what ends already stays as it is."""
    lifecycle = at(phase)
    ended = lifecycle.ending
    lifecycle.leave()
    assert lifecycle.phase is (phase if ended else Phase.LEAVING)
