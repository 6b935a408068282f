"""Limits of all gateways together: also while Redis is away, hangs, forgets, or does not answer in time."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from ampproxy.model.clients import KeyLimit
from ampproxy.server.limiter import Limiter
from ampproxy.tenants.counting import Amounts, Demand, LimitReached, Taken
from ampproxy.tenants.store import Counts, CountsFailed, Look, Settle, Take
from tests.state.redis_server import RedisServer, needs_redis
from tests.tenants.test_client_counts import LIMIT, NOW, taken, used

pytestmark = needs_redis
HUNDRED = (KeyLimit("requests", "day", 100),)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def server(running):
    running.client().flushall()
    return running


class Replica:
    """The counts of one gateway, whose connection the test cuts.

    :ivar lost: whether the next answer is lost on its way.
    """

    def __init__(self, server, wall=lambda: NOW, **settings):
        from ampproxy.tenants.shared_counts import SharedCounts

        self.connected, self.lost, self.failures = True, False, []
        self.counts = SharedCounts(
            server.settings(**settings),
            lambda ahead: wall(),
            connected=lambda: self.connected,
            failed=self.failures.append,
        )
        self.work = self.counts.work
        run = self.counts._sender.run

        def run_and_lose(batch):
            results = run(batch)
            if self.lost:
                self.lost = False
                raise OSError("the answer was lost")
            return results

        self.counts._sender.run = run_and_lose

    def take(self, count=1, limits=HUNDRED, demand=None):
        return taken(self.work([Take("a", limits, demand or Demand(1))] * count))

    @property
    def requests(self):
        return used(self.counts, limits=HUNDRED)["day"].requests


def test_three_hundred_at_once(server):
    """Of three gateways with a hundred requests each, a hundred are let in, whatever the batches."""
    replicas = [Replica(server) for _ in range(3)]

    def ask(replica):
        return sum(len(replica.take(size)) for size in (1, 49, 30, 20))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(ask, replicas)) == 100
    assert {replica.requests for replica in replicas} == {100}


def test_a_batch_is_one_round_trip(server):
    """Whatever it is made of."""
    replica = Replica(server)
    first = replica.take(2)
    calls = server.client().info("commandstats")["cmdstat_evalsha"]["calls"]
    replica.work([Take("a", LIMIT, Demand(1)), Settle(first[0], Amounts(0, 1)), Look("a", LIMIT)] * 20)
    assert server.client().info("commandstats")["cmdstat_evalsha"]["calls"] == calls + 1


LIMITS = (
    KeyLimit("requests", "minute", 7),
    KeyLimit("tokens", "minute", 900),
    KeyLimit("tokens", "day", 2000),
    KeyLimit("usd", "day", 5000),
    KeyLimit("usd", "month", 9000),
)


@pytest.mark.parametrize("seed", range(12))
def test_as_on_the_disk(server, seed):
    """Any orders whatsoever have the same results in Redis as in a file."""
    chance, wall = random.Random(seed), [NOW]
    both = [Counts(None, lambda: wall[0]), Replica(server, lambda: wall[0]).counts]
    under_way = []
    for _ in range(15):
        orders = []
        for _ in range(chance.randrange(1, 12)):
            tenant = chance.choice("ab")
            limits = tuple(chance.sample(LIMITS, chance.randrange(1, 5)))
            kind = chance.randrange(4)
            if kind < 2:
                usd = chance.choice([0, 10, 800, 6000, None])
                orders.append(Take(tenant, limits, Demand(chance.choice([0, 5, 400]), usd)))
            elif kind == 2 and under_way:
                one = under_way.pop(chance.randrange(len(under_way)))
                back = Amounts(chance.randrange(2), one.amounts.tokens // 2, one.amounts.usd - 100)
                orders.append(Settle(one, back))
            else:
                orders.append(Look(tenant, limits))
        results = [counts.work(orders) for counts in both]
        assert shown(results[0]) == shown(results[1])
        under_way += taken(results[0])
        wall[0] += chance.choice([0, 1, 30, 60, 40_000])


def shown(results):
    return [
        (result.standing, result.wanted) if isinstance(result, LimitReached) else result for result in results
    ]


def test_what_is_spent_while_it_is_away(server):
    """Each gateway goes on from what it saw last; when it is back all know what was spent, and given back."""
    one, two = Replica(server), Replica(server)
    (early,) = one.take(limits=LIMIT, demand=Demand(500))
    one.take(9, LIMIT, Demand(10))
    one.connected = False
    (late,) = one.take(limits=LIMIT, demand=Demand(300))
    one.work([Settle(early, Amounts(0, 400)), Settle(late, Amounts(0, 100))])
    assert used(one.counts) == {"day": Amounts(11, 390), "minute": Amounts(11, 390)}
    assert used(two.counts) == {"day": Amounts(10, 590), "minute": Amounts(10, 590)}
    two.take(5, LIMIT, Demand(10))
    one.connected = True
    assert used(one.counts) == used(two.counts) == {"day": Amounts(16, 440), "minute": Amounts(16, 440)}


def test_a_limit_is_known_while_it_is_away(server):
    """Who had used it up gets nothing from a gateway that saw that."""
    one = Replica(server)
    one.take(100)
    one.connected = False
    assert one.take(5) == []
    assert one.requests == 100


def test_fail_closed(server):
    """Nothing is let in while Redis is away, and the reason names the setting; what was given back counts."""
    replica = Replica(server, when_away="fail-closed")
    (first,) = replica.take(limits=LIMIT, demand=Demand(500))
    replica.connected = False
    with pytest.raises(CountsFailed, match=r"state\.when-away"):
        replica.work([Settle(first, Amounts(0, 400)), Take("a", LIMIT, Demand(1))])
    replica.connected = True
    assert used(replica.counts)["day"] == Amounts(1, 100)


@pytest.mark.parametrize("again", [False, True])
def test_an_answer_that_is_lost(server, again):
    """What became of it is asked for afterwards: it counts once, whether or not it had been done."""
    one, two = Replica(server), Replica(server)
    (first,) = one.take(limits=LIMIT, demand=Demand(500))
    one.lost = True
    results = one.work([Settle(first, Amounts(0, 400)), Take("a", LIMIT, Demand(200))])
    assert len(taken(results)) == 1
    assert one.failures == ["the answer was lost"]
    one.lost = again
    if again:
        one.work([Take("a", LIMIT, Demand(50))])
        expected = Amounts(3, 350)
    else:
        expected = Amounts(2, 300)
    assert used(one.counts)["day"] == used(two.counts)["day"] == expected


def test_an_order_that_never_arrived(tmp_path):
    """A Redis that was killed in the middle has not done it: it is done when that is back."""
    server = RedisServer(tmp_path).start()
    replica = Replica(server)
    (first,) = replica.take(limits=LIMIT, demand=Demand(500))
    server.kill()
    assert len(taken(replica.work([Settle(first, Amounts(0, 400)), Take("a", LIMIT, Demand(200))]))) == 1
    assert replica.failures
    server.start()
    assert used(replica.counts)["day"] == Amounts(2, 300)
    server.kill()


def test_a_redis_that_forgot(tmp_path):
    """Is given what the gateways saw last: a budget that is used up stays so."""
    server = RedisServer(tmp_path).start()
    one, two = Replica(server), Replica(server)
    one.take(60)
    two.take(30)
    server.kill()
    one.take(5)
    server.start()
    assert len(two.take(3)) == 3
    assert len(one.take(100)) == 2
    assert one.requests == two.requests == 100
    server.kill()


def test_a_redis_that_hangs(server):
    """Holds up a batch for as long as the setting has it."""
    replica = Replica(server, timeout=1.0)
    replica.take(5)
    server.pause()
    assert len(replica.take(5)) == 5
    assert replica.failures
    server.resume()
    assert Replica(server).take(1)
    assert replica.requests == 11


def test_the_clock_is_that_of_redis(server):
    """Gateways whose clocks differ count in the same periods."""
    import time

    from ampproxy.tenants.shared_counts import SharedCounts

    clocks = [lambda ahead, off=off: time.time() + off + ahead for off in (0.0, 90_000.0, -90_000.0)]
    replicas = [SharedCounts(server.settings(), clock) for clock in clocks]
    given = sum(len(taken(one.work([Take("a", HUNDRED, Demand(1))] * 50))) for one in replicas)
    assert given == 100


def test_what_is_left_behind_ends(server):
    """Counts and batches have an end; only what Redis is known by has none."""
    replica = Replica(server)
    (one,) = replica.take(1)
    replica.work([Settle(one, Amounts(0, 1))])
    client = server.client()
    assert [key for key in client.keys("*") if client.ttl(key) < 0] == [b"ampproxy:epoch"]


def test_given_up(server):
    """What a gateway has not settled when it ends it settles then."""
    one = Replica(server)
    one.take(1)
    one.connected = False
    one.take(4)
    one.connected = True
    one.counts.close()
    assert Replica(server).requests == 5
    assert isinstance(one.take(1)[0], Taken)


def test_it_is_settled_as_soon_as_it_is_back(server):
    """Also where no client asks for anything then."""
    one, other = Replica(server), Replica(server)
    log = Logger(namespace="ampproxy", observer=lambda event: None)
    limiter = Limiter(lambda: one.counts, maybeDeferred, log)
    limiter.look_again()
    taken_ = []
    limiter.order(Take("a", HUNDRED, Demand(1))).addCallback(taken_.append)
    one.connected = False
    limiter.order(Take("a", HUNDRED, Demand(1))).addCallback(taken_.append)
    assert (len(taken_), other.requests) == (2, 1)
    one.connected = True
    limiter.look_again()
    assert other.requests == 2


def test_a_gateway_that_starts(server):
    """Before the rest of it has connected it lets in nothing that others have used up."""
    Replica(server).take(100)
    late = Replica(server)
    late.connected = False
    assert late.take(5) == []
    late.connected = True
    assert late.requests == 100


def test_a_gateway_that_starts_without_redis(tmp_path):
    """It asks once, and not with every request; when Redis comes it counts there."""
    server = RedisServer(tmp_path)
    alone = Replica(server)
    alone.connected = False
    assert len(alone.take(5)) == len(alone.take(5)) == 5
    assert len(alone.failures) == 1
    server.start()
    alone.connected = True
    assert alone.requests == 10
    server.kill()
