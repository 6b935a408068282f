"""Counters that are never overrun, whoever counts at the same time and however a process ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from ampproxy.config.schema import FallbackRule
from ampproxy.credits.allowance import KEPT, NAME, Allowance, CountersBusy, LimitReached, Used
from ampproxy.errors import GatewayFault
from ampproxy.wire.redact import Secret
from tests import forked

REQUESTS = FallbackRule(action="limit", models=("gpt-*",), requests=3)
TOKENS = FallbackRule(action="limit", tokens=1000)
EACH = FallbackRule(action="limit", requests=1, per_client=True)


class Days:
    def __init__(self) -> None:
        self.day = "2026-03-01"

    def __call__(self) -> str:
        return self.day


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture(params=["file", "memory"])
def allowance(request, tmp_path, days):
    allowance = Allowance(tmp_path / "state" if request.param == "file" else None, days)
    yield allowance
    allowance.close()


def test_requests(allowance, days):
    for _ in range(3):
        allowance.take(REQUESTS, None, 10**9)
    with pytest.raises(LimitReached) as caught:
        allowance.take(REQUESTS, None, 0)
    assert caught.value.used == Used(3, 3 * 10**9)
    days.day = "2026-03-02"
    allowance.take(REQUESTS, None, 0)
    assert allowance.used(REQUESTS) == Used(1, 0)


def test_tokens_are_taken_before_and_settled_after(allowance):
    first = allowance.take(TOKENS, None, 600)
    with pytest.raises(LimitReached) as caught:
        allowance.take(TOKENS, None, 600)
    assert (caught.value.used, caught.value.wanted) == (Used(1, 600), 600)
    allowance.settle(first, tokens=100)
    second = allowance.take(TOKENS, None, 900)
    assert allowance.used(TOKENS) == Used(2, 1000)
    allowance.settle(second, tokens=None)
    assert allowance.used(TOKENS) == Used(2, 1000)


def test_what_was_not_sent_counts_nothing(allowance):
    taken = allowance.take(TOKENS, None, 600)
    allowance.settle(taken, tokens=None, sent=False)
    assert allowance.used(TOKENS) == Used(0, 0)


def test_settled_on_the_day_it_was_taken(allowance, days):
    taken = allowance.take(TOKENS, None, 600)
    days.day = "2026-03-02"
    allowance.settle(taken, tokens=1)
    assert allowance.used(TOKENS) == Used(0, 0)


def test_each_client_for_itself(allowance):
    allowance.take(EACH, Secret("a"), 0)
    allowance.take(EACH, Secret("b"), 0)
    with pytest.raises(LimitReached):
        allowance.take(EACH, Secret("a"), 0)
    together = FallbackRule(action="limit", requests=1)
    allowance.take(together, Secret("a"), 0)
    with pytest.raises(LimitReached):
        allowance.take(together, Secret("b"), 0)


def test_a_limit_that_changes_keeps_its_count(allowance):
    """A rule goes by whom it is for: a reload with another number or line does not begin anew."""
    for _ in range(3):
        allowance.take(REQUESTS, None, 0)
    more = FallbackRule(action="limit", models=("gpt-*",), requests=4, line=77)
    allowance.take(more, None, 0)
    with pytest.raises(LimitReached):
        allowance.take(more, None, 0)


def test_file(tmp_path, days):
    """Only its owner reads it, and no key is in it."""
    allowance = Allowance(tmp_path / "state", days)
    allowance.take(EACH, Secret("canary-client-key"), 5)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"canary" not in file.read_bytes()
    allowance.close()
    assert Allowance(tmp_path / "state", days).used(EACH, Secret("canary-client-key")) == Used(1, 5)


def test_old_days_go(tmp_path, days):
    """The newest stay, however far apart they are."""
    allowance = Allowance(tmp_path, days)
    dates = [str(date(2026, 3, 1) + timedelta(days=3 * number)) for number in range(KEPT + 5)]
    for days.day in dates:
        allowance.take(REQUESTS, None, 0)
    allowance.close()
    found = sqlite3.connect(tmp_path / NAME).execute("SELECT day FROM used ORDER BY day").fetchall()
    assert [day for (day,) in found] == dates[-KEPT:]


@pytest.mark.parametrize("wrong", ["2031-01-01", "2020-01-01"])
def test_a_clock_that_was_wrong(tmp_path, days, wrong):
    """Today's counters are there when the clock is right again, whatever happened meanwhile."""
    allowance = Allowance(tmp_path, days)
    for _ in range(3):
        allowance.take(REQUESTS, None, 0)
    for number in range(KEPT + 5):
        days.day = str(date.fromisoformat(wrong) + timedelta(days=number))
        if number < 5 or wrong < "2026":
            allowance.take(REQUESTS, None, 0)
            allowance.close()
    days.day = "2026-03-01"
    for _ in range(2):
        with pytest.raises(LimitReached):
            allowance.take(REQUESTS, None, 0)
        allowance.close()
    allowance.take(EACH, None, 0)
    with pytest.raises(LimitReached):
        allowance.take(REQUESTS, None, 0)
    allowance.close()


def test_what_cannot_be_counted_is_not_let_through(tmp_path, days):
    """And once the file is there again, all is well."""
    (tmp_path / NAME).write_bytes(b"this is no database, but it is longer than a header of one" * 50)
    allowance = Allowance(tmp_path, days)
    with pytest.raises(GatewayFault, match=r"credits.sqlite3.*not a database: move it away"):
        allowance.take(REQUESTS, None, 0)
    (tmp_path / NAME).unlink()
    allowance.take(REQUESTS, None, 0)
    allowance.close()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(GatewayFault, match="cannot be counted"):
        Allowance(blocked / "state", days).take(REQUESTS, None, 0)


def test_many_at_once(tmp_path, days):
    """Eight, each with a connection of its own as processes have, take no more than there is."""
    rule = FallbackRule(action="limit", requests=50)

    def take_all(_: int) -> int:
        allowance = Allowance(tmp_path, days)
        taken = 0
        while True:
            try:
                allowance.take(rule, None, 1)
            except LimitReached:
                allowance.close()
                return taken
            except GatewayFault as busy:
                assert "locked" in str(busy)  # noqa: PT017  a slow machine; nothing was taken
                continue
            taken += 1

    Allowance(tmp_path, days).take(rule, None, 1)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take_all, range(8))) == 49


_ENDLESS = """
import sys
from pathlib import Path
from ampproxy.config.schema import FallbackRule
from ampproxy.credits.allowance import Allowance
allowance = Allowance(Path(sys.argv[1]), lambda: "2026-03-01")
while True:
    allowance.take(FallbackRule(action="limit", requests=10**9), None, 1)
    print("taken", flush=True)
"""


def test_killed(tmp_path, days):
    """What a process said that it took is counted when it is killed at whatever moment."""
    process = forked.popen([sys.executable, "-c", _ENDLESS, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(200)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.stdout.read().splitlines(keepends=True)
    process.wait(60)
    process.stdout.close()
    complete = [line for line in said if line == b"taken\n"]
    used = Allowance(Path(tmp_path), days).used(FallbackRule(action="limit", requests=10**9))
    # One may have been taken and not been said any more.
    assert len(complete) <= used.requests <= len(complete) + 1


def test_nothing_waits(tmp_path, days):
    """Another program that writes is said to be there at once; it keeps nobody from reading.
    The same is true when the file is opened.
    """
    allowance = Allowance(tmp_path, days)
    allowance.take(REQUESTS, None, 7)
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for counters in (allowance, Allowance(tmp_path, days)):
        for _ in range(3):
            with pytest.raises(CountersBusy, match="locked"):
                counters.take(REQUESTS, None, 1)
    assert allowance.used(REQUESTS) == Used(1, 7)
    assert time.monotonic() - began < 3
    other.execute("COMMIT")
    allowance.take(REQUESTS, None, 1)
    assert allowance.used(REQUESTS) == Used(2, 8)
    other.close()
    allowance.close()
