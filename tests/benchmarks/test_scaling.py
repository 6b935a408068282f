"""The simulation counts what its rules say: where the numbers are known without it, they are these."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scaling import Assumptions, main, simulate

SMALL = Assumptions(developers=100, replicas=10, active=0.5, seconds=400.0)


def test_requests() -> None:
    """An agent asks once for each answer and pause; the balancer gives each replica its share."""
    load = simulate(SMALL)
    expected = 50 * SMALL.seconds / (SMALL.answer + SMALL.pause)
    assert load.requests == pytest.approx(expected, rel=0.1)
    assert 0 <= load.requests - load.rows <= 50
    assert load.running <= 50
    assert load.busiest < 1.5 * load.requests / SMALL.replicas


def test_transactions() -> None:
    """Each has one row at least, and no replica has more of them than seconds."""
    load = simulate(SMALL)
    assert load.rows / 10 < load.transactions <= load.rows
    crowded = simulate(replace(SMALL, replicas=1))
    assert crowded.transactions <= SMALL.seconds + 1
    assert crowded.rows > 2 * crowded.transactions


def test_limits() -> None:
    """Two scripts for each request that has limits, fewer where they gather; none without limits."""
    load = simulate(SMALL)
    assert load.scripts == pytest.approx(load.requests + load.rows, rel=0.02)
    assert simulate(replace(SMALL, limited=0.0)).scripts == 0
    slow = simulate(replace(SMALL, replicas=1, round_trip=2.0))
    assert slow.scripts <= SMALL.seconds / 2 + 2


def test_entries() -> None:
    """One for each conversation and for each cooldown."""
    load = simulate(replace(SMALL, accounts=0))
    assert load.published == pytest.approx(load.requests / SMALL.conversation, rel=0.5)
    more = simulate(replace(SMALL, accounts=90, cooldowns=10.0))
    assert more.published == load.published + 100


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the assumptions that are named."""
    main(["--developers", "50", "--replicas", "5", "--seconds", "60"])
    text = capsys.readouterr().out
    assert text.startswith("50 developers on 5 replicas; ")
    assert text.count("\n| ") == 9
