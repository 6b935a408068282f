"""The counts on the disk, and in Redis: exact for many at once, for two processes, and after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ampproxy.model.clients import KeyLimit
from ampproxy.tenants.counting import Amounts, Demand, LimitReached, Taken
from ampproxy.tenants.store import Counts, CountsFailed, Look, Settle, Take
from tests import forked
from tests.state.redis_server import RedisServer, needs_redis

LIMIT = (KeyLimit("requests", "day", 20), KeyLimit("tokens", "minute", 1000))
NOW = 1_800_000_000.0


def taken(results):
    return [result for result in results if isinstance(result, Taken)]


def used(counts, tenant="a", limits=LIMIT):
    (found,) = counts.work([Look(tenant, limits)])
    return found


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def opened(request, tmp_path):
    """Opens the counts once more, as another process does: of a clock."""
    if request.param == "sqlite":
        return lambda wall=lambda: NOW: Counts(tmp_path, wall)
    server = request.getfixturevalue("redis")
    server.client().flushall()
    return lambda wall=lambda: NOW: shared(server, wall)


def shared(server, wall=lambda: NOW, **more):
    from ampproxy.tenants.shared_counts import SharedCounts

    return SharedCounts(server.settings(), lambda ahead: wall(), **more)


def test_fifty_at_once(opened):
    """Of fifty requests against a limit of twenty, twenty are let in, in one batch or in many."""
    counts = opened()
    results = counts.work([Take("a", LIMIT, Demand(10))] * 50)
    assert len(taken(results)) == 20
    assert all(isinstance(result, LimitReached) for result in results[20:])
    assert counts.work([Take("b", LIMIT, Demand(10))])[0].standings[0].left == 19


def test_two_processes(opened):
    """Two that have the file open at the same time, as in a restart, give twenty together."""
    both = [opened() for _ in range(2)]

    def ask(counts):
        return sum(len(taken(counts.work([Take("a", LIMIT, Demand(1))]))) for _ in range(25))

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(ask, both)) == 20


def test_another_process_waits(tmp_path):
    """What one has read it also writes before another reads."""
    one, other = (Counts(tmp_path, lambda: NOW) for _ in range(2))
    other.work([Take("b", LIMIT, Demand(1))])
    with ThreadPoolExecutor(1) as pool:

        def in_between(database):
            database.execute("SELECT count(*) FROM used").fetchone()
            waiting = pool.submit(other.work, [Take("a", LIMIT, Demand(1))])
            time.sleep(0.3)
            assert not waiting.done()
            return waiting

        waiting = one._transaction(in_between)
        assert taken(waiting.result(timeout=30))


def test_settled(opened):
    """What was not used is there again, and what an answer used beyond its reservation counts as well."""
    counts = opened()
    (first,) = counts.work([Take("a", LIMIT, Demand(900))])
    (refused,) = counts.work([Take("a", LIMIT, Demand(200))])
    assert isinstance(refused, LimitReached)
    counts.work([Settle(first, first.amounts.minus(Amounts(1, 50)))])
    assert used(counts)["minute"] == Amounts(1, 50)
    (second,) = counts.work([Take("a", LIMIT, Demand(200))])
    counts.work([Settle(second, second.amounts.minus(Amounts(1, 300)))])
    assert used(counts) == {"day": Amounts(2, 350), "minute": Amounts(2, 350)}


def test_renewed(opened):
    """A period that begins anew counts anew; a clock that was ahead and is set back loses no count."""
    wall = [NOW]
    counts = opened(lambda: wall[0])
    counts.work([Take("a", LIMIT, Demand(1000))])
    wall[0] += 60
    assert taken(counts.work([Take("a", LIMIT, Demand(1000))]))
    wall[0] += 86400
    assert used(counts)["day"] == Amounts()
    counts.work([Take("a", LIMIT, Demand(1))])
    wall[0] = NOW
    assert used(counts)["day"] == Amounts(2, 2000)


def test_old_periods_are_pruned(tmp_path):
    """The file does not grow with time."""
    wall = [NOW]
    counts = Counts(tmp_path, lambda: wall[0])
    for _ in range(50):
        counts.work([Take("a", LIMIT, Demand(1))])
        wall[0] += 86400
    rows = counts._transaction(lambda database: database.execute("SELECT count(*) FROM used").fetchone())
    assert rows == (6,)


def test_a_late_settlement_makes_no_row(tmp_path):
    """What belongs to a period that is gone is forgotten."""
    wall = [NOW]
    counts = Counts(tmp_path, lambda: wall[0])
    (old,) = counts.work([Take("a", LIMIT[1:], Demand(1000))])
    for _ in range(5):
        wall[0] += 60
        counts.work([Take("a", LIMIT[1:], Demand(1))])
    counts.work([Settle(old, Amounts(0, 900))])
    rows = counts._transaction(lambda database: database.execute("SELECT tokens FROM used").fetchall())
    assert rows == [(1,), (1,), (1,)]


def test_others_cannot_read_it(tmp_path):
    """The file and its folder are their owner's."""
    counts = Counts(tmp_path / "state", lambda: NOW)
    counts.work([Take("a", LIMIT, Demand(1))])
    assert counts.path.stat().st_mode & 0o777 == 0o600
    assert counts.path.parent.stat().st_mode & 0o777 == 0o700


def test_unusable(tmp_path):
    """A file that is none of ours is told by name; nothing is let in."""
    (tmp_path / "clients.sqlite3").write_text("no database" * 100)
    with pytest.raises(CountsFailed, match=r"clients\.sqlite3: file is not a database: move it away"):
        Counts(tmp_path, lambda: NOW).work([Take("a", LIMIT, Demand(1))])


_ENDLESS = """
    import sys
    from pathlib import Path
    from ampproxy.model.clients import KeyLimit
    from ampproxy.tenants.counting import Demand, Taken
    from ampproxy.tenants.store import Counts, Take

    counts = Counts(Path(sys.argv[1]), lambda: 1_800_000_000.0)
    limit = (KeyLimit("requests", "day", 20),)
    while True:
        for result in counts.work([Take("a", limit, Demand())]):
            print("taken" if isinstance(result, Taken) else "refused", flush=True)
        sys.stdin.readline()
"""


def test_killed(tmp_path):
    """kill -9 after seven: whoever comes next gets thirteen."""
    command = [sys.executable, "-c", textwrap.dedent(_ENDLESS), str(tmp_path)]
    process = forked.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    given = 0
    for _ in range(7):
        given += process.stdout.readline() == "taken\n"
        process.stdin.write("\n")
        process.stdin.flush()
    given += process.stdout.readline() == "taken\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert given == 8
    after = Counts(tmp_path, lambda: NOW).work([Take("a", LIMIT[:1], Demand())] * 50)
    assert given + len(taken(after)) == 20
