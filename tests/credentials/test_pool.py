"""In which order accounts are tried."""

from __future__ import annotations

from collections import Counter

import pytest

from ampproxy.config.schema import Account, Routing
from ampproxy.credentials.pool import Pool
from ampproxy.routing.route import Offer, Route, RouteKind
from ampproxy.wire.redact import Secret


def account(label, priority=0):
    return Account(
        label=label,
        kind="claude",
        dialect="anthropic",
        base_url="https://a.test",
        api_key=Secret(label),
        priority=priority,
    )


def route(*offers, served="m"):
    """A route to offers, each told as (label, vendor's name[, priority])."""
    made = tuple(Offer(account(label, *priority), name) for label, name, *priority in offers)
    return Route(kind=RouteKind.LOCAL, asked=served, served=served, offers=made)


def names(ordered):
    return " ".join(offer.account.label + offer.upstream_model for offer in ordered)


ABC = (("a", "1"), ("b", "1"), ("c", "1"))


def test_round_robin_takes_turns():
    """Each request begins with the next account and has the others to fall back on."""
    pool, asked = Pool(Routing()), route(*ABC)
    assert [names(pool.order(asked)) for _ in range(4)] == ["a1 b1 c1", "b1 c1 a1", "c1 a1 b1", "a1 b1 c1"]


def test_fill_first_stays():
    """The first account of the file is first every time."""
    pool, asked = Pool(Routing(strategy="fill-first")), route(*ABC)
    assert {names(pool.order(asked, "thread")) for _ in range(4)} == {"a1 b1 c1"}


def test_a_turn_for_each_model_suffix_ignored():
    """Another model has its own turn; another thinking suffix of one model has not."""
    pool = Pool(Routing())
    assert names(pool.order(route(*ABC, served="m(high)"))) == "a1 b1 c1"
    assert names(pool.order(route(*ABC, served="m"))) == "b1 c1 a1"
    assert names(pool.order(route(*ABC, served="n"))) == "a1 b1 c1"
    assert names(pool.order(route(*ABC, served="m(low)"))) == "c1 a1 b1"


def test_priorities_do_not_mix():
    """Lower priorities come after all of the higher ones, each taking turns among its own."""
    pool = Pool(Routing())
    asked = route(("a", "1", 5), ("b", "1", 5), ("c", "1", 0), ("d", "1", 0), ("e", "1", -1))
    assert [names(pool.order(asked)) for _ in range(3)] == [
        "a1 b1 c1 d1 e1",
        "b1 a1 d1 c1 e1",
        "a1 b1 c1 d1 e1",
    ]


def test_alias_pool():
    """An account's several names are tried in turn before the next account, and take turns as well."""
    pool, asked = Pool(Routing()), route(("a", "1"), ("a", "2"), ("b", "1"))
    assert [names(pool.order(asked)) for _ in range(5)] == [
        "a1 a2 b1",
        "b1 a1 a2",
        "a2 a1 b1",
        "b1 a2 a1",
        "a1 a2 b1",
    ]


def test_one_account_with_a_pool_of_names():
    """A single account rotates its names."""
    pool, asked = Pool(Routing()), route(("a", "1"), ("a", "2"))
    assert [names(pool.order(asked)) for _ in range(3)] == ["a1 a2", "a2 a1", "a1 a2"]


@pytest.mark.parametrize("strategy", ["round-robin", "fill-first"])
def test_nothing_to_choose(strategy):
    """No offer or a single one is given as it is."""
    pool = Pool(Routing(strategy=strategy))
    for asked in (route(), route(("a", "1"))):
        assert pool.order(asked) == asked.offers
        assert pool.order(asked, "key") == asked.offers


def test_a_conversation_stays_at_its_account():
    """With session affinity one conversation always begins at one account, many spread over all, and
    they do not move the turn of requests without a key.
    """
    pool, asked = Pool(Routing(session_affinity=True)), route(*ABC)
    assert names(pool.order(asked)) == "a1 b1 c1"
    firsts = Counter(names(pool.order(asked, f"T-{number}"))[:2] for number in range(300))
    assert set(firsts) == {"a1", "b1", "c1"}
    assert min(firsts.values()) > 50
    assert len({names(pool.order(asked, "T-7\ud800")) for _ in range(5)}) == 1
    assert names(pool.order(asked)) == "b1 c1 a1"


def test_keys_do_not_count_without_affinity():
    """Unless session affinity is set, a conversation takes turns like everything else."""
    pool, asked = Pool(Routing()), route(*ABC)
    assert names(pool.order(asked, "T-7")) != names(pool.order(asked, "T-7"))


def test_changed_offers_begin_anew():
    """When the accounts of a model change, the order is made of the new ones."""
    pool = Pool(Routing())
    pool.order(route(*ABC))
    assert names(pool.order(route(("c", "1"), ("d", "1")))) == "c1 d1"


def test_invented_models_do_not_fill_the_memory():
    """After thousands of names the oldest has lost its turn, and all is well."""
    pool = Pool(Routing())
    pool.order(route(*ABC, served="first"))
    for number in range(5000):
        pool.order(route(*ABC, served=f"claude-{number}"))
    assert names(pool.order(route(*ABC, served="first"))) == "a1 b1 c1"
    assert names(pool.order(route(*ABC, served="claude-4999"))) == "b1 c1 a1"
