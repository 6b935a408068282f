"""Which account is asked, which rests, and where conversations stay."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from msgspec import structs
from msgspec.structs import replace
from twisted.logger import Logger

from ampproxy.config.schema import Account, Routing
from ampproxy.credentials.health import PoolState, scopes
from ampproxy.credentials.outcomes import Action, Verdict
from ampproxy.credentials.pool import Pool
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.wire.redact import Secret

LIMITED = Verdict(action=Action.REST_MODEL, reason="is rate limited", cooldown=1)
FAILED = Verdict(action=Action.REST_MODEL, reason="failed", cooldown=60)
REFUSED = Verdict(action=Action.LOGIN, reason="has a key that its vendor rejects", cooldown=1800)
ABC = (("a", "1"), ("b", "1"), ("c", "1"))


def hinted(seconds):
    return Verdict(action=Action.REST_MODEL, reason="is rate limited", cooldown=1, hint=seconds)


def account(label, priority=0, **more):
    return Account(
        label=label,
        kind="claude",
        dialect="anthropic",
        base_url="https://a.test",
        api_key=Secret(label),
        priority=priority,
        **more,
    )


def route(*offers, served="m"):
    """A route to offers, each told as (label, vendor's name[, priority])."""
    made = tuple(RouteTarget(account(label, *priority), name) for label, name, *priority in offers)
    return Route(kind=RouteKind.LOCAL, requested_model=served, resolved_model=served, offers=made)


class World:
    """A pool at a time that the test sets."""

    def __init__(self, asked=None, state=None, **routing):
        self.now = 1000.0
        self.asked = route(*ABC) if asked is None else asked
        self.events = []
        self.state = PoolState() if state is None else state
        accounts = {offer.account for offer in self.asked.offers}
        log = Logger(namespace="ampproxy", observer=self.events.append)
        self.pool = Pool(Routing(**routing), accounts, self.state, log)

    def select(self, key=None, asked=None, most=0):
        return self.pool.select(
            self.asked if asked is None else asked, key=None if key is None else lambda: key, most=most
        )

    def serve(self, *failing, key=None, asked=None, verdict=LIMITED):
        """One request; the accounts that are named fail. Gives who was asked: ``a1 b1``."""
        tries, said = self.select(key, asked), []
        while (offer := tries.next(self.now)) is not None:
            said.append(offer.account.label + offer.upstream_model)
            if offer.account.label not in failing:
                tries.succeeded()
                break
            tries.failed(verdict, self.now, 0.0)
        return " ".join(said)


# -- whose turn it is


def test_round_robin_takes_turns():
    """Each request begins with the next account."""
    world = World()
    assert [world.serve() for _ in range(4)] == ["a1", "b1", "c1", "a1"]


def test_fill_first_stays():
    """The first account of the file is first every time, and the next is its stand-in."""
    world = World(strategy="fill-first")
    assert [world.serve() for _ in range(3)] == ["a1"] * 3
    assert [world.serve("a"), world.serve()] == ["a1 b1", "b1"]


def test_a_turn_for_each_model_suffix_ignored():
    """Another model has its own turn; another thinking suffix of one model has not."""
    world = World()
    served = ["m(high)", "m", "n", "m(low)"]
    assert [world.serve(asked=route(*ABC, served=name)) for name in served] == ["a1", "b1", "a1", "c1"]


def test_priorities_do_not_mix():
    """Lower priorities are asked only where none of the higher ones can serve."""
    world = World(route(("a", "1", 5), ("b", "1", 5), ("c", "1", 0), ("d", "1", 0)))
    assert [world.serve() for _ in range(3)] == ["a1", "b1", "a1"]
    assert world.serve("a", "b") == "b1 a1 c1"
    assert [world.serve() for _ in range(2)] == ["d1", "c1"]
    world.now += 2
    assert world.serve() in ("a1", "b1")


def test_alias_pool():
    """An account's several names are tried before the next account, and take turns."""
    world = World(route(("a", "1"), ("a", "2"), ("b", "1")))
    assert [world.serve() for _ in range(4)] == ["a1", "b1", "a2", "b1"]
    assert world.serve("a") == "a1 a2 b1"
    world.now += 5
    assert world.serve("a", verdict=REFUSED) in ("a1 b1", "a2 b1"), "a refused key is so under all names"


@pytest.mark.parametrize("strategy", ["round-robin", "fill-first"])
def test_nothing_to_choose(strategy):
    """Nobody, or the only one there is."""
    assert World(route(), strategy=strategy).serve() == ""
    assert World(route(("a", "1")), strategy=strategy).serve(key="k") == "a1"


def test_only_so_many_accounts():
    """max-retry-credentials bounds the accounts that one request tries."""
    tries = World().select(most=2)
    for _ in range(2):
        assert tries.next(0.0) is not None
        tries.failed(LIMITED, 0.0, 0.0)
    assert tries.next(0.0) is None


def test_accounts_that_cannot_are_not_asked():
    """An account whose vendor has no such call is left out."""
    world = World()
    for _ in range(3):
        tries = world.pool.select(world.asked, call="count", can=lambda offer: offer.account.label == "b")
        assert tries.count == 1
        assert tries.next(0.0).account.label == "b"


def test_changed_offers_begin_anew():
    """When the accounts of a model change, the new ones are asked."""
    world = World()
    world.serve()
    assert world.serve(asked=route(("c", "1"), ("d", "1"))) == "c1"


def test_invented_models_do_not_fill_the_memory():
    """After thousands of names the oldest has lost its turn, and all is well."""
    world = World()
    for number in range(5000):
        world.serve(asked=route(*ABC, served=f"claude-{number}"))
    assert len(world.pool._selectors) == 4096
    assert world.serve(asked=route(*ABC, served="claude-4999")) == "b1"


def test_failing_invented_models_do_not_fill_the_memory():
    """Of thousands of names that an account failed for, it remembers those whose rests end last."""
    world = World(route(("a", "1")))
    for number in range(1000):
        world.serve("a", asked=route(("a", f"m{number}"), served=f"m{number}"), verdict=hinted(60 + number))
    (account,) = [offer.account for offer in world.asked.offers]
    cooldowns = world.state.health(world.state.identity(account)).cooldowns
    assert len(cooldowns) == 256
    assert {scope.model for scope in cooldowns} == {f"m{number}" for number in range(744, 1000)}


# -- rests


def test_resting_account_is_passed_over():
    """After a failure an account is left alone until its rest is over, and then serves again."""
    world = World()
    assert world.serve("a", verdict=hinted(60)) == "a1 b1"
    assert {world.serve() for _ in range(10)} == {"b1", "c1"}
    world.now += 60
    assert {world.serve() for _ in range(3)} == {"a1", "b1", "c1"}
    said = [event["log_format"] for event in world.events]
    assert len(said) == 3
    assert "cooling down until" in said[0]
    assert "tried again" in said[1]
    assert "serves {model} again" in said[2]


def test_another_model_is_not_tried_again():
    """Where one model of an account rests, or has, nothing is said of requests for its others."""
    world = World()
    world.serve("a", "b", "c", verdict=hinted(60))
    world.now += 60
    del world.events[:]
    for _ in range(6):
        world.serve(asked=route(("a", "2"), ("b", "2"), ("c", "2"), served="n"))
    assert [event["log_format"] for event in world.events] == []


def test_one_request_tries():
    """When a rest is over only one request is given to the account, until it is known how that went."""
    world = World(route(("a", "1"), ("b", "1")))
    world.serve("a", verdict=hinted(60))
    world.now += 60
    probe = world.select()
    while probe.next(world.now).account.label != "a":
        probe = world.select()
    assert {world.serve() for _ in range(5)} == {"b1"}
    probe.succeeded()
    assert {world.serve() for _ in range(2)} == {"a1", "b1"}


def test_a_try_that_was_given_up_proves_nothing():
    """When the client of the trying request leaves, the next request tries."""
    world = World(
        route(
            ("a", "1"),
        )
    )
    world.serve("a", verdict=hinted(60))
    world.now += 60
    probe = world.select()
    assert probe.next(world.now) is not None
    assert world.serve() == ""
    probe.abandoned()
    assert world.serve() == "a1"


def test_rests_grow():
    """Without a word from the vendor a rest doubles with each failure in a row, up to the bound; a
    success begins anew.
    """
    world = World(route(("a", "1")), max_cooldown=6.0)
    cooldowns = []
    for _ in range(5):
        assert world.serve("a") == "a1"
        began = world.now
        while world.pool.all_cooling(world.asked, world.now):
            world.now += 0.5
        cooldowns.append(world.now - began)
    assert cooldowns == [1, 2, 4, 6, 6]
    world.serve()
    world.serve("a")
    assert world.select().wait(world.now) == 1


def test_vendor_is_believed_within_bounds():
    """An hour is cut to max-cooldown; no time at all is a second."""
    world = World(route(("a", "1")), max_cooldown=1800.0)
    world.serve("a", verdict=hinted(3600))
    assert world.select().wait(world.now) == 1800
    world.now += 1800
    world.serve("a", verdict=hinted(0))
    assert world.select().wait(world.now) == 1


def test_failures_at_once_count_once():
    """Ten requests that were under way together and all fail do not double the rest ten times."""
    world = World(route(("a", "1")))
    under_way = [world.select() for _ in range(10)]
    for tries in under_way:
        tries.next(world.now)
    world.now += 1
    for tries in under_way:
        tries.failed(LIMITED, world.now, 0.0)
    assert world.select().wait(world.now) == 1
    assert len(world.events) == 1


def test_late_success_proves_nothing():
    """An answer that was under way when the account began to rest does not end the rest."""
    world = World(route(("a", "1")))
    early = world.select()
    early.next(world.now)
    world.now += 1
    world.serve("a", verdict=hinted(60))
    early.succeeded()
    assert world.serve() == ""


def test_alone_it_is_tried_earlier():
    """The only account is not left alone for a minute after a failure that may mean nothing: after the first
    it goes on at once, for all who ask, then with growing pauses; what the vendor asked for is kept.
    """
    world = World(route(("a", "1")))
    world.serve("a", verdict=FAILED)
    assert not world.pool.all_cooling(world.asked, world.now)
    world.now += 0.1
    both = world.select(), world.select()
    assert all(tries.next(world.now) for tries in both)
    world.now += 0.1
    for tries in both:
        tries.failed(FAILED, world.now, 0.0)
    pauses = []
    for _ in range(8):
        began = world.now
        while not (asked := world.serve("a", verdict=FAILED)):
            world.now += 0.25
        assert asked == "a1"
        pauses.append(world.now - began)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    world.now += 60
    assert [world.serve(), world.serve()] == ["a1", "a1"]
    world.serve("a", verdict=hinted(60))
    world.now += 59
    assert world.serve() == ""


def test_not_alone_it_is_not_tried_earlier():
    """As long as another account serves, one that failed has its minute."""
    world = World(route(("a", "1"), ("b", "1")))
    world.serve("a", verdict=FAILED)
    for _ in range(59):
        world.now += 1
        assert world.serve() == "b1"


def test_a_model_rests_not_the_account():
    """A limit of one model leaves the account's other models alone; a refused key concerns all."""
    world = World(route(("a", "x")))
    other = route(("a", "y"), served="n")
    world.serve("a", verdict=hinted(60))
    assert world.serve(asked=other) == "ay"
    world.serve("a", asked=other, verdict=structs.replace(REFUSED, hint=60))
    assert world.serve(asked=route(("a", "z"), served="o")) == ""


def test_one_kind_of_call_rests():
    """A vendor that cannot count tokens of a model still serves it; one that limits it does neither."""
    world = World(route(("a", "1")))

    def asked(call, verdict=None):
        tries = world.pool.select(world.asked, call=call)
        found = tries.next(world.now) is not None
        if verdict is not None:
            tries.failed(verdict, world.now, 0.0)
        return found

    assert asked("count", structs.replace(hinted(60), per_operation=True))
    assert [asked("count"), asked("generate", hinted(60))] == [False, True]
    assert [asked("count"), asked("generate")] == [False, False]


def test_suffix_makes_no_other_model():
    """A rest earned by model(high) counts for model."""
    world = World(route(("a", "x(high)"), served="m(high)"))
    world.serve("a", verdict=hinted(60))
    assert world.serve(asked=route(("a", "x"), served="m")) == ""


def test_the_clients_own_fault_is_nobodys_rest():
    """After a wrong request the account goes on."""
    world = World(route(("a", "1")))
    world.serve("a", verdict=Verdict(action=Action.CLIENT, reason="rejects the request as invalid"))
    assert world.serve() == "a1"


def test_cooling_disabled():
    """disable-cooling: the account never rests, except for a model that it does not have."""
    asked = Route(
        kind=RouteKind.LOCAL,
        requested_model="m",
        resolved_model="m",
        offers=(RouteTarget(account("a", disable_cooling=True), "1"),),
    )
    world = World(asked)
    world.serve("a", verdict=hinted(60))
    assert world.serve() == "a1"
    world.serve("a", verdict=Verdict(action=Action.REST_MODEL, reason="lacks it", hint=60, always=True))
    assert world.serve() == ""


def test_a_reload_forgets_nothing():
    """A new configuration knows who rests and where conversations are, by key and origin, not by place;
    an account that it does not have is forgotten.
    """
    world = World()
    world.serve("b", "c", verdict=hinted(60))
    world.serve("b", "c", verdict=hinted(60))
    home = world.serve(key="T")
    after = World(route(("c", "1"), ("b", "1"), ("a", "1")), world.state)
    assert [after.serve(), after.serve(key="T")] == ["a1", home]
    World(route(("a", "1")), world.state)
    assert World(route(("b", "1")), world.state).serve() == "b1"


def test_what_makes_an_account():
    """Two entries with one key are one account, unless their headers differ; those without a key differ by
    their labels; nothing tells the key.
    """
    state = PoolState()

    def identity(label="a", key="secret-key", **more):
        return state.identity(replace(account(label, **more), api_key=Secret(key)))

    assert identity("a") == identity("b", priority=7)
    assert identity("a") != identity("a", headers=(("X-Org", "1"),))
    assert identity("a", "") != identity("b", "")
    assert "secret" not in repr(identity())


# -- conversations


def test_threads_stay_and_move_once():
    """20 threads of 30 turns over 4 accounts: each stays on its account; when that fails it moves once and
    stays on the new one, also when the first is well again.
    """
    world = World(route(("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")))
    homes: dict[str, list[str]] = {f"T-{number}": [] for number in range(20)}
    for turn in range(30):
        failing = ("b",) if 10 <= turn < 20 else ()
        for thread, visited in homes.items():
            world.now += 7
            visited.append(world.serve(*failing, key=thread, verdict=hinted(60))[-2:])
    assert Counter(visited[0] for visited in homes.values()) == {"a1": 5, "b1": 5, "c1": 5, "d1": 5}
    for visited in homes.values():
        moves = sum(here != there for here, there in pairwise(visited))
        assert moves == (1 if visited[0] == "b1" else 0)
        assert visited[-1] != "b1"


def test_conversations_do_not_take_turns():
    """A conversation that is at home somewhere leaves the turn of the others as it is."""
    world = World()
    assert world.serve(key="T") == "a1"
    assert {world.serve(key="T") for _ in range(5)} == {"a1"}
    assert world.serve() == "b1"


def test_no_affinity():
    """With session-affinity: false a conversation takes turns like everything else."""
    world = World(session_affinity=False)
    assert [world.serve(key="T") for _ in range(2)] == ["a1", "b1"]


def test_silent_conversations_lose_their_home():
    """After the ttl the strategy chooses again."""
    world = World(session_affinity_ttl=60.0)
    world.serve(key="T")
    world.serve(key="U")
    world.now += 50
    assert world.serve(key="T") == "a1"
    world.now += 50
    assert [world.serve(key="T"), world.serve(key="U")] == ["a1", "c1"]


def test_priority_before_home():
    """A conversation that had to move to a lower priority goes back when a higher one serves again."""
    world = World(route(("a", "1", 1), ("b", "1", 0)))
    assert world.serve("a", key="T", verdict=hinted(60)) == "a1 b1"
    assert world.serve(key="T") == "b1"
    world.now += 60
    assert world.serve() == "a1"
    assert world.serve(key="T") == "a1"


def test_a_conversation_keeps_the_vendors_name():
    """Where an alias is a pool of names, a conversation stays with one of them."""
    world = World(route(("a", "1"), ("a", "2"), ("b", "1")))
    first = world.serve(key="T")
    world.serve()
    world.serve()
    assert {world.serve(key="T") for _ in range(4)} == {first}


def test_everybody_rests():
    """Who rests and why can be asked, soonest first."""
    world = World(route(("a", "1"), ("b", "1")))
    world.serve("a", "b", verdict=hinted(60))
    tries = world.select()
    assert tries.next(world.now) is None
    assert [account.label for account, _ in tries.cooling()] == ["a", "b"]
    assert tries.wait(world.now) == 60
    assert world.pool.all_cooling(world.asked, world.now)
    world.now += 60
    assert not world.pool.all_cooling(world.asked, world.now)


def test_a_thousand_accounts():
    """However many rest, a choice looks at few accounts."""
    count = 1000
    world = World(route(*((f"a{number}", "1") for number in range(count))))
    for number in range(0, count, 2):
        world.state.health(world.state.identity(account(f"a{number}"))).failed(
            scopes("1", "any"), hinted(9999), 0, 999, 9999
        )
    asked = Counter(world.serve() for _ in range(count))
    assert len(asked) == count // 2
    looked = []
    candidates = next(iter(world.pool._selectors.values()))[0].tiers[0].candidates
    kind = type(candidates[0])
    available_at = kind.available_at
    try:
        kind.available_at = lambda candidate, now: looked.append(candidate) or available_at(candidate, now)
        for _ in range(count):
            world.serve()
    finally:
        kind.available_at = available_at
    assert len(looked) == count


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("strategy", ["round-robin", "weighted-round-robin", "fill-first"])
def test_nobody_is_forgotten(seed, strategy):
    """Whatever happens, a request gets an account of the best priority that has any that may be asked; none
    only if none may; and who does not rest is found.
    """
    chance = random.Random(seed)
    offers = [(name, "1", 1 if name in "abc" else 0) for name in "abcdef"]
    world = World(route(*offers), strategy=strategy)
    other = route(*offers, served="n")
    under_way = []
    for _ in range(400):
        world.now += chance.choice([0, 0.1, 1, 5, 40])
        asked = chance.choice([world.asked, other])
        tries = world.select(chance.choice([None, "T", "U"]), asked)
        tiers = tries._selector.tiers
        open_now = [
            [candidate.available_at(world.now) <= world.now for candidate in tier.candidates]
            for tier in tiers
        ]
        offer = tries.next(world.now)
        if offer is None:
            assert not any(map(any, open_now))
            # Nothing was taken: it is as it was before.
            assert not any(
                candidate.available_early_at(world.now) <= world.now
                for tier in tiers
                for candidate in tier.candidates
            )
            continue
        if any(map(any, open_now)):
            best = next(number for number, tier in enumerate(open_now) if any(tier))
            place = [candidate.account.label for candidate in tiers[tries._candidate.tier].candidates].index(
                offer.account.label
            )
            assert open_now[tries._candidate.tier][place], "somebody who rests was asked"
            well = [any(not candidate.health.cooldowns for candidate in tier.candidates) for tier in tiers]
            assert tries._candidate.tier == best or not any(well[: tries._candidate.tier])
        under_way.append(tries)
        while under_way and chance.random() < 0.7:
            done = under_way.pop(chance.randrange(len(under_way)))
            ending = chance.randrange(5)
            if ending == 0:
                done.abandoned()
            elif ending == 1:
                done.succeeded()
            else:
                verdict = chance.choice([LIMITED, FAILED, REFUSED, hinted(300), hinted(3)])
                done.failed(verdict, world.now, 0.0)
    for tries in under_way:
        tries.abandoned()
    world.now += 10_000
    assert {world.serve() for _ in range(12)} == ({"a1"} if strategy == "fill-first" else {"a1", "b1", "c1"})


def weighed(*weights, **routing):
    """A world whose accounts, all of one priority, have these weights: ``a5`` has 5."""
    offers = [RouteTarget(account(f"a{weight}", weight=weight), "1") for weight in weights]
    asked = Route(kind=RouteKind.LOCAL, requested_model="m", resolved_model="m", offers=tuple(offers))
    return World(asked, strategy="weighted-round-robin", **routing)


def test_weights_share_the_requests():
    """Accounts serve in proportion to their weights, in every stretch as evenly as these allow."""
    world = weighed(5, 1, 2)
    served = [world.serve() for _ in range(8 * 50)]
    for start in range(0, len(served), 8):
        assert Counter(served[start : start + 8]) == {"a51": 5, "a11": 1, "a21": 2}
    assert "a51" * 4 not in "".join(served)


def test_equal_weights_take_turns():
    """Where no weights are set, all serve in turn."""
    world = World(route(*ABC), strategy="weighted-round-robin")
    assert [world.serve() for _ in range(6)] == ["a1", "b1", "c1"] * 2


def test_a_resting_account_catches_nothing_up():
    """The others share among themselves while one rests; back again, it has its share and no more."""
    world = weighed(5, 1, 2)
    world.serve("a5", verdict=hinted(60))
    served = Counter(world.serve() for _ in range(300))
    assert served == {"a11": 100, "a21": 200}
    world.now += 61
    world.serve()
    served = Counter(world.serve() for _ in range(80))
    assert served["a51"] in (49, 50, 51)
    assert served["a11"] in (9, 10, 11)


def test_a_request_tries_the_next_by_weight():
    """A request whose account failed goes to another one, each once, whatever they weigh."""
    world = weighed(1000, 1, 2)
    tries = world.select()
    asked = []
    while (offer := tries.next(world.now)) is not None:
        asked.append(offer.account.label)
        tries.abandoned()
    assert asked[0] == "a1000"
    assert len(asked) == 3


def test_weights_do_not_move_conversations():
    """A conversation stays where it is, whatever the weights."""
    world = weighed(5, 1)
    assert len({world.serve(key="T") for _ in range(12)}) == 1
