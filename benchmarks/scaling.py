"""What Redis and PostgreSQL see of many developers on many replicas: a simulation, with its assumptions.

``python -m benchmarks.scaling`` prints the table of docs/scaling.md; options change the assumptions. Nothing
is measured here: it counts what the gateways would send, by the rules that they follow.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is simulated. Times are in seconds.

    :param active: the share of developers whose agent works, at the busiest time.
    :param answer: how long a model answers, on average.
    :param pause: between two requests of an agent, on average: its tools run, or a person reads.
    :param conversation: requests of one conversation, on average; the first gives it an account.
    :param limited: the share of requests whose client has limits: each is reserved, and settled.
    :param accounts: of all vendors together.
    :param cooldowns: of one account in an hour.
    :param round_trip: to Redis; what comes meanwhile goes together with the next.
    :param batch: a replica's ledger writes what has gathered so long.
    :param seconds: are simulated.
    """

    developers: int = 1000
    replicas: int = 100
    active: float = 0.3
    answer: float = 10.0
    pause: float = 4.0
    conversation: float = 40.0
    limited: float = 1.0
    accounts: int = 60
    cooldowns: float = 2.0
    round_trip: float = 0.001
    batch: float = 1.0
    seconds: float = 600.0


@dataclass(slots=True)
class Load:
    """What was sent.

    :ivar running: exchanges at one time, at most.
    :ivar busiest: requests of the replica that had most.
    :ivar scripts: of limits, at Redis.
    :ivar published: entries, of which each replica gets each.
    :ivar transactions: at PostgreSQL.
    """

    requests: int = 0
    running: int = 0
    busiest: int = 0
    scripts: int = 0
    published: int = 0
    rows: int = 0
    transactions: int = 0


class _Replica:
    """One gateway: how many exchanges it has, and until when what it sends gathers."""

    def __init__(self) -> None:
        self.running = 0
        self.requests = 0
        self._redis_free = 0.0
        self._written = 0.0

    def counts(self, now: float, round_trip: float) -> int:
        """An order about limits; how many scripts more that makes."""
        if now < self._redis_free - round_trip:
            # It goes with those that wait for the one under way.
            return 0
        self._redis_free = max(now, self._redis_free) + round_trip
        return 1

    def records(self, now: float, batch: float) -> int:
        """A row; how many transactions more that makes."""
        if now < self._written:
            return 0
        self._written = now + batch
        return 1


def simulate(given: Assumptions, seed: int = 1) -> Load:
    """Count what all replicas send to the engines."""
    chance = random.Random(seed)
    load = Load()
    replicas = [_Replica() for _ in range(given.replicas)]
    agents = round(given.developers * given.active)
    #: When, what is unique, and the replica of an answer that ends; ``None``: an agent asks.
    events: list[tuple[float, int, _Replica | None]] = []
    for number in range(agents):
        heapq.heappush(events, (chance.uniform(0, given.answer + given.pause), number, None))
    running = 0
    unique = agents
    while events and events[0][0] < given.seconds:
        now, _, replica = heapq.heappop(events)
        unique += 1
        if replica is None:
            replica = _least(replicas, chance)
            running += 1
            _begun(load, replica, given, chance, now)
            load.running = max(load.running, running)
            heapq.heappush(events, (now + chance.expovariate(1 / given.answer), unique, replica))
        else:
            running -= 1
            _ended(load, replica, given, chance, now)
            heapq.heappush(events, (now + chance.expovariate(1 / given.pause), unique, None))
    load.published += round(given.accounts * given.cooldowns * given.seconds / 3600)
    load.busiest = max(replica.requests for replica in replicas)
    return load


def _least(replicas: list[_Replica], chance: random.Random) -> _Replica:
    """The one with the fewest exchanges, any of them: ``balance leastconn``."""
    fewest = min(replica.running for replica in replicas)
    return chance.choice([replica for replica in replicas if replica.running == fewest])


def _begun(load: Load, replica: _Replica, given: Assumptions, chance: random.Random, now: float) -> None:
    replica.running += 1
    replica.requests += 1
    load.requests += 1
    if chance.random() < 1 / given.conversation:
        load.published += 1
    if chance.random() < given.limited:
        load.scripts += replica.counts(now, given.round_trip)


def _ended(load: Load, replica: _Replica, given: Assumptions, chance: random.Random, now: float) -> None:
    replica.running -= 1
    load.rows += 1
    load.transactions += replica.records(now, given.batch)
    if chance.random() < given.limited:
        load.scripts += replica.counts(now, given.round_trip)


def table(given: Assumptions, load: Load) -> Iterator[str]:
    """The result as rows of Markdown."""
    seconds = given.seconds
    yield "| what | each second | for one request |"
    yield "| --- | --: | --: |"
    for name, count in (
        ("requests", load.requests),
        ("requests of the busiest replica", load.busiest),
        ("scripts of limits at Redis", load.scripts),
        ("entries published at Redis", load.published),
        ("entries delivered by Redis to replicas", load.published * given.replicas),
        ("rows at PostgreSQL", load.rows),
        ("transactions at PostgreSQL", load.transactions),
    ):
        yield f"| {name} | {count / seconds:,.2f} | {count / max(1, load.requests):.2f} |"


def main(arguments: list[str] | None = None) -> None:
    """Print the table for the assumptions that are given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    given = Assumptions()
    for one in fields(Assumptions):
        kind = type(getattr(given, one.name))
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=getattr(given, one.name))
    found = parser.parse_args(arguments)
    given = replace(given, **vars(found))
    load = simulate(given)
    print(
        f"{given.developers:,} developers on {given.replicas:,} replicas; {load.running:,} exchanges at once"
    )
    print()
    print("\n".join(table(given, load)))


if __name__ == "__main__":
    main()
