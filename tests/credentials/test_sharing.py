"""Several processes with the same accounts: all know which cool down, and where conversations stay."""

from __future__ import annotations

import pytest
from msgspec import structs
from msgspec.structs import replace
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from ampproxy.config.schema import Routing
from ampproxy.credentials import sharing
from ampproxy.credentials.health import PoolState
from ampproxy.credentials.pool import Pool
from ampproxy.credentials.report import report
from ampproxy.credentials.sharing import PROBE_SECONDS, share_pool
from ampproxy.routing.route import RouteTarget
from ampproxy.state.entries import Entry
from ampproxy.state.hub import Hub
from ampproxy.wire.redact import Secret
from tests.credentials.test_pool import ABC, FAILED, LIMITED, REFUSED, account, hinted, route
from tests.state.bus import Bus

#: Seconds since the epoch when the clock shows 0.
WALL = 1_700_000_000.0


class Process:
    """A pool of the accounts a, b and c that shares its state."""

    def __init__(self, bus, *, asked=None, first="a", open=True, **routing):
        self.bus, self.asked = bus, route(*ABC) if asked is None else asked
        self.view = bus.view(open=False)
        self.state = PoolState()
        share_pool(self.state, self.view, bus.clock.seconds, lambda: WALL + bus.clock.seconds())
        log = Logger(namespace="ampproxy", observer=lambda event: None)
        self.pool = Pool(Routing(**routing), [offer.account for offer in self.asked.offers], self.state, log)
        if open:
            self.view.wire.open()

    def serve(self, *failing, key=None, verdict=LIMITED):
        """One request; the accounts that are named fail. Gives who was asked: ``ab``."""
        now = self.bus.clock.seconds
        tries = self.pool.select(self.asked, key=None if key is None else lambda: key)
        claimed = tries.claim(now())
        if claimed is not None:
            self.bus.settle()
            assert claimed.called
        asked = ""
        while (offer := tries.next(now())) is not None:
            asked += offer.account.label
            if offer.account.label not in failing:
                tries.succeeded()
                break
            tries.failed(verdict, now(), 0.0)
        return asked

    def cooling(self):
        tries = self.pool.select(self.asked)
        return [account.label for account, _ in tries.cooling()]


def processes(count=2, **more):
    bus = Bus()
    return bus, *[Process(bus, **more) for _ in range(count)]


def test_a_cooldown_of_one_is_a_cooldown_of_all():
    """What one process was refused the others do not ask for; they know why, and for how long."""
    bus, one, two = processes()
    assert one.serve("a", verdict=hinted(60)) == "ab"
    bus.settle()
    assert [two.serve() for _ in range(4)] == ["b", "c", "b", "c"]
    ((known, cooldown),) = two.pool.select(two.asked).cooling()
    assert (known.label, cooldown.verdict, cooldown.failures) == ("a", hinted(60), 1)
    assert cooldown.until - bus.clock.seconds() == pytest.approx(60, abs=0.2)


def test_a_success_of_one_ends_it_for_all():
    """Whoever tries the account first after its cooldown."""
    bus, one, two = processes(strategy="fill-first")
    one.serve("a", verdict=hinted(60))
    bus.settle()
    bus.clock.advance(61)
    assert two.serve() == "a"
    bus.settle()
    assert one.cooling() == two.cooling() == []
    assert one.serve() == "a"


def test_failing_invented_models_do_not_fill_the_memory(monkeypatch):
    """No process keeps more of them for an account than it would alone, nor more of what others know."""
    monkeypatch.setattr(sharing, "MOST_KNOWN", 100)
    bus, one, two = processes(asked=route(("a", "1")))
    for number in range(300):
        one.asked = route(("a", f"m{number}"), served=f"m{number}")
        one.serve("a", verdict=hinted(60 + number))
    bus.settle()
    for process in (one, two):
        ((_, health),) = process.state.accounts()
        assert {scope.model for scope in health.cooldowns} == {f"m{number}" for number in range(44, 300)}
        assert len(process.state.sharing._cooldowns._known) == 100


def test_one_tries_for_all():
    """While one process tries an account whose cooldown is over, the others leave it alone, for a while."""
    bus, one, two = processes(strategy="fill-first")
    one.serve("a", verdict=hinted(60))
    bus.settle()
    bus.clock.advance(61)
    tries = one.pool.select(one.asked)
    assert tries.next(bus.clock.seconds()).account.label == "a"
    bus.settle()
    assert two.serve() == "b"
    bus.clock.advance(PROBE_SECONDS)
    assert two.serve("a") == "ab"
    tries.abandoned()


def test_an_abandoned_try_is_another_ones():
    """A client that left proved nothing: whoever is asked next tries the account."""
    bus, one, two = processes(strategy="fill-first")
    one.serve("a", verdict=hinted(60))
    bus.settle()
    bus.clock.advance(61)
    tries = one.pool.select(one.asked)
    tries.next(bus.clock.seconds())
    bus.settle()
    tries.abandoned()
    bus.settle()
    assert two.serve() == "a"


def test_failures_at_the_same_time_count_as_one():
    """All processes that were using an account when it failed met the same trouble."""
    bus, one, two = processes(strategy="fill-first")
    both = [process.pool.select(process.asked) for process in (one, two)]
    for tries in both:
        tries.next(bus.clock.seconds())
    bus.clock.advance(1)
    both[0].failed(FAILED, bus.clock.seconds(), 0.0)
    bus.settle()
    both[1].failed(FAILED, bus.clock.seconds(), 0.0)
    bus.settle()
    for process in (one, two):
        ((_, cooldown),) = process.pool.select(process.asked).cooling()
        assert cooldown.failures == 1


def test_failures_in_a_row_count_wherever_they_happen():
    """A cooldown that grows in one process grows in all."""
    bus, one, two = processes(strategy="fill-first")
    for process in (one, two, one):
        process.serve("a", verdict=FAILED)
        bus.settle()
        bus.clock.advance(600)
    ((_, cooldown),) = two.pool.select(two.asked).cooling()
    assert cooldown.failures == 3


def test_what_is_reset_is_reset_for_all():
    """A login with a new token is asked again by every process."""
    bus, one, two = processes(strategy="fill-first")
    one.serve("a", verdict=REFUSED)
    bus.settle()
    one.state.reset(account("a"))
    bus.settle()
    assert two.serve() == "a"


def test_a_process_that_starts_knows_the_cooldowns():
    """So does one that was away, which in turn reports what it has met."""
    bus, one = processes(1, strategy="fill-first")
    one.serve("a", verdict=hinted(60))
    bus.settle()
    bus.clock.advance(20)
    two = Process(bus, strategy="fill-first")
    assert two.serve() == "b"
    two.view.wire.cut()
    two.serve("b", verdict=hinted(60))
    bus.settle()
    assert one.serve() == "b"
    two.view.wire.open()
    bus.settle()
    assert one.serve() == two.serve() == "c"
    bus.clock.advance(41)
    assert one.serve() == "a"


def test_a_hub_that_forgot_learns_the_cooldowns():
    """Redis restarted without its memory: who knows reports it, and no one asks the account meanwhile."""
    bus, one, two = processes(strategy="fill-first")
    one.serve("a", verdict=hinted(600))
    bus.settle()
    one.view.wire.cut()
    two.view.wire.cut()
    bus.hub = Hub()
    assert two.serve() == "b"
    two.view.wire.open()
    bus.settle()
    three = Process(bus, strategy="fill-first")
    assert three.serve() == "b"


def test_accounts_that_are_not_configured_here():
    """What is known of them is passed over; so is what cannot be read."""
    bus, one = processes(1)
    other = Process(bus, asked=route(("x", "1"), ("y", "1")))
    other.serve("x", "y")
    one.view.publish("cooldown", "claude#00000000", b"\xc1", 60.0)
    name = one.state.name_of(one.state.identity(account("a")))
    for value in (b"\xc1", b"", Entry("a", "b", None, 0.0).key.encode()):
        other.view.publish("cooldown", f"{name}\0\0", value, 60.0)
        other.view.publish("affinity", "0" * 32, value, 60.0)
    bus.settle()
    assert one.cooling() == []


def test_a_conversation_stays_in_all_processes():
    """The first request decides, wherever it goes; later ones need no one to agree."""
    bus, one, two = processes()
    two.serve()
    homes = {key: one.serve(key=key) for key in ("t1", "t2", "t3")}
    bus.settle()
    for key, home in homes.items():
        tries = two.pool.select(two.asked, key=lambda key=key: key)
        assert tries.claim(bus.clock.seconds()) is None
        assert two.serve(key=key) == home


def test_first_requests_at_the_same_time_agree():
    """A client that sends several requests of a new thread at once has them served by one account."""
    bus, *many = processes(3)
    for skipped, process in enumerate(many):
        for _ in range(skipped):
            process.serve()
    now = bus.clock.seconds
    tries = [process.pool.select(process.asked, key=lambda: "new") for process in many]
    claims = [one.claim(now()) for one in tries]
    bus.settle()
    assert all(claim.called for claim in claims)
    assert len({one.next(now()).account.label for one in tries}) == 1


def test_a_conversation_that_moves_moves_everywhere():
    """Its account cools down: the others follow to where it went, and stay there."""
    bus, one, two = processes()
    assert one.serve(key="t") == "a"
    bus.settle()
    assert one.serve("a", key="t", verdict=hinted(5)) == "ab"
    bus.settle()
    bus.clock.advance(10)
    assert [two.serve(key="t") for _ in range(2)] == ["b", "b"]


def test_a_conversation_is_renewed_for_all():
    """One that goes on at one process is still at home when another gets it, hours later."""
    bus, one, two = processes(session_affinity_ttl=100.0)
    home = one.serve(key="t")
    for _ in range(20):
        bus.clock.advance(30)
        assert one.serve(key="t") == home
        bus.settle()
    sent = [entry for entry in one.view.wire.sent if entry.kind == "affinity"]
    assert len(sent) < 12
    two.serve()
    two.serve()
    assert two.serve(key="t") == home
    bus.clock.advance(150)
    assert two.pool.select(two.asked, key=lambda: "t").claim(bus.clock.seconds()) is not None


def test_a_conversation_outlives_a_hub_that_forgot():
    """What one process knows the hub and the others know again after it."""
    bus, one = processes(1)
    homes = {str(number): one.serve(key=str(number)) for number in range(30)}
    one.view.wire.cut()
    bus.hub = Hub()
    one.view.wire.open()
    bus.settle()
    two = Process(bus)
    assert {key: two.serve(key=key) for key in homes} == homes


def test_without_a_connection_a_conversation_is_served_at_once():
    """By the process's own choice; nothing waits."""
    bus, one = processes(1, open=False)
    one.view.wire.cut()
    tries = one.pool.select(one.asked, key=lambda: "t")
    claimed = tries.claim(bus.clock.seconds())
    assert claimed is None or claimed.called
    assert tries.next(bus.clock.seconds()).account.label in "abc"


def test_neither_keys_nor_threads_are_shown():
    """What is shared names accounts as the ledger does, and threads by digests."""
    secret = replace(account("b"), api_key=Secret("sk-very-secret-key"))
    asked = structs.replace(
        route(("a", "1")), offers=(RouteTarget(account("a"), "1"), RouteTarget(secret, "1"))
    )
    bus, one = processes(1, asked=asked)
    one.serve("b", key="x-amp-thread-id:T-1234", verdict=FAILED)
    one.serve("b", verdict=FAILED)
    bus.settle()
    shown = repr([*bus.hub.entries(bus.clock.seconds())])
    assert "cooldown" in shown
    assert "affinity" in shown
    assert "T-1234" not in shown
    assert "sk-very" not in shown


def test_alone_nothing_is_made():
    """Without others there is no digest, no claim and nothing to wait for."""
    state = PoolState()
    log = Logger(namespace="ampproxy", observer=lambda event: None)
    asked = route(*ABC)
    pool = Pool(Routing(), [offer.account for offer in asked.offers], state, log)
    tries = pool.select(asked, key=lambda: "t")
    assert tries.claim(0.0) is None
    assert state.sharing is None
    tries.next(0.0)
    assert [*state.affinities()] == []


def test_limits_that_a_vendor_reported():
    """All show what an account's last answer told, whoever got it; but each answer is not sent on."""
    bus, one, two = processes(strategy="fill-first")
    names = {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "%d"}
    for left in (40, 39, 38):
        tries = one.pool.select(one.asked)
        tries.next(bus.clock.seconds())
        told = Headers(
            {name: [text.replace("%d", str(left))] for name, text in names.items()} | {"Date": ["x"]}
        )
        tries.saw(told, WALL + bus.clock.seconds())
        tries.succeeded()
        bus.settle()
    assert [entry.kind for entry in one.view.wire.sent] == ["quota"]
    late = Process(bus)
    accounts = [offer.account for offer in two.asked.offers]
    for process in (two, late):
        shown = report(accounts, process.state, bus.clock.seconds(), WALL + bus.clock.seconds()).accounts[0]
        ((name, limit, left, seen),) = [(w.name, w.limit, w.remaining, w.seen_at) for w in shown.windows]
        assert (name, limit, left) == ("requests", 50, 40)
        assert seen == pytest.approx(WALL + 1000, abs=1)
    assert b"date" not in repr([*bus.hub.entries(bus.clock.seconds())]).lower().encode()
