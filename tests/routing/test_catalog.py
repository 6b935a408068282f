"""Which account serves which model."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.load import parse
from ampproxy.config.schema import Account, Config, ModelAlias, ModelName, Routing
from ampproxy.desktop.doctor.idle import idle_mappings
from ampproxy.ledger.prices import SHIPPED, PriceBook, read_prices
from ampproxy.ledger.published import Published
from ampproxy.routing.catalog import Catalog, CatalogModel, owner
from ampproxy.routing.decide import Router
from ampproxy.wire.redact import Secret
from ampproxy.wire.wildcard import matches_wildcard
from tests.clocked import within

PRICES = PriceBook(None, read_prices(SHIPPED), published=Published())

DIALECTS = {
    "claude": "anthropic",
    "codex": "openai-responses",
    "gemini": "gemini",
    "vertex": "gemini",
    "openai-compatibility": "openai-chat",
}


def account(label, kind="claude", models=(), **others):
    """An account; ``models`` are names or (name, alias) pairs."""
    pairs = [(model, "") if isinstance(model, str) else model for model in models]
    return Account(
        label=label,
        kind=kind,
        dialect=DIALECTS[kind],
        base_url="https://vendor.test",
        api_key=Secret("k"),
        models=tuple(ModelName(name=name, alias=alias) for name, alias in pairs),
        **others,
    )


def catalog(*accounts, discovered=None, **settings):
    return Catalog(Config(accounts=accounts, **settings), discovered or {})


def offers(found):
    return [(offer.account.label, offer.upstream_model) for offer in found]


def test_visible_id_is_the_alias():
    """A model is asked for by its alias only, or by its name where it has none; case counts."""
    served = catalog(account("a", models=[("claude-sonnet-4-5", "sonnet"), "claude-opus-4"]))
    assert offers(served.find("sonnet")) == [("a", "claude-sonnet-4-5")]
    assert offers(served.find("claude-opus-4")) == [("a", "claude-opus-4")]
    for unknown in ("claude-sonnet-4-5", "Sonnet", "claude-haiku", "", "sonnet "):
        assert served.find(unknown) == ()


def test_alias_pool():
    """A repeated alias is a pool of the vendor's models; a line written twice counts once."""
    pool = account("a", "openai-compatibility", [("m1", "best"), ("m2", "best"), ("m1", "best")])
    served = catalog(pool)
    assert offers(served.find("best")) == [("a", "m1"), ("a", "m2")]
    assert [model.id for model in served.models()] == ["best"]


def test_priority_then_config_order():
    """The highest priority comes first; within one, the order of the file. Families obey it, too."""
    served = catalog(
        account("low", priority=-1),
        account("first", models=["claude-x"]),
        account("second"),
        account("high", models=["claude-x"], priority=5),
        account("third", models=["claude-x"]),
    )
    assert [label for label, _ in offers(served.find("claude-x"))] == [
        "high",
        "first",
        "second",
        "third",
        "low",
    ]
    assert [label for label, _ in offers(served.find("claude-y"))] == ["second", "low"]


@pytest.mark.parametrize(
    ("kind", "serves", "not_serves"),
    [
        ("claude", ["claude-opus-4", "claude-"], ["claude", "Claude-opus", "my-claude-opus", "gpt-5"]),
        (
            "codex",
            ["gpt-5", "o1", "o3-mini", "o4-mini", "codex-mini", "chatgpt-4o"],
            ["o2", "claude-x", "gpt"],
        ),
        ("gemini", ["gemini-2.5-pro"], ["gemma-3", "gpt-5"]),
        ("vertex", ["gemini-2.5-pro"], ["imagen"]),
        ("openai-compatibility", [], ["gpt-5", "llama", ""]),
    ],
)
def test_families(kind, serves, not_serves):
    """An account that names no models serves its vendor's family under the plain name, and lists nothing."""
    served = catalog(account("a", kind))
    for id_ in serves:
        assert offers(served.find(id_)) == [("a", id_)]
    for id_ in not_serves:
        assert served.find(id_) == ()
    assert served.models() == ()


def test_named_models_end_the_family():
    """An account that names models serves those and no others, even if all of them are excluded."""
    assert catalog(account("a", models=["claude-x"])).find("claude-y") == ()
    none_left = account("a", models=["claude-x"], excluded_models=("claude-*",))
    assert catalog(none_left).find("claude-x") == ()
    assert catalog(none_left).find("claude-y") == ()


@pytest.mark.parametrize("models", [["claude-x"], []])
def test_prefix(models):
    """``P/model`` is served by accounts with that prefix only and reaches the vendor without it; the
    plain name is served by all, or, with force-model-prefix, by those without a prefix.
    """
    accounts = account("team", models=models, prefix="team"), account("own", models=models)
    served = catalog(*accounts)
    assert offers(served.find("team/claude-x")) == [("team", "claude-x")]
    assert offers(served.find("claude-x")) == [("team", "claude-x"), ("own", "claude-x")]
    assert served.find("other/claude-x") == ()
    assert served.find("Team/claude-x") == ()
    forced = catalog(*accounts, force_model_prefix=True)
    assert offers(forced.find("team/claude-x")) == [("team", "claude-x")]
    assert offers(forced.find("claude-x")) == [("own", "claude-x")]


def test_slash_in_a_name_is_no_prefix():
    """A vendor's own name may hold slashes."""
    served = catalog(account("a", "openai-compatibility", ["openai/gpt-oss-120b"], prefix="p"))
    assert offers(served.find("openai/gpt-oss-120b")) == [("a", "openai/gpt-oss-120b")]
    assert offers(served.find("p/openai/gpt-oss-120b")) == [("a", "openai/gpt-oss-120b")]


def test_exclusions():
    """Patterns hold against the visible id, without its prefix, in any case of the id."""
    served = catalog(
        account(
            "a",
            models=[("claude-x", "Fast"), "claude-x-preview"],
            excluded_models=("fast", "*-preview"),
            prefix="p",
        ),
        account("b", excluded_models=("claude-*-old", "claude-3*")),
    )
    assert served.find("Fast") == ()
    assert served.find("p/Fast") == ()
    assert offers(served.find("claude-x-preview")) == [("b", "claude-x-preview")]
    assert served.find("claude-3-haiku") == ()
    assert served.find("claude-Very-OLD") == ()
    assert served.find("claude-4") != ()


def test_models_in_config_order():
    """The list has every id once, in the order of the file whatever the priorities, prefixed ids next to
    plain ones, each with its owner.
    """
    served = catalog(
        account("claude-api-key[0]", models=[("claude-x", "x"), "claude-y"], prefix="p"),
        account("openai-compatibility/groq[0]", "openai-compatibility", ["llama", "claude-y"], priority=9),
        account("codex-api-key[0]", "codex", ["gpt-5"]),
        account("gemini-api-key[0]", "gemini", ["gemini-3"]),
    )
    assert served.models() == (
        CatalogModel("x", "anthropic"),
        CatalogModel("p/x", "anthropic"),
        CatalogModel("claude-y", "anthropic"),
        CatalogModel("p/claude-y", "anthropic"),
        CatalogModel("llama", "groq"),
        CatalogModel("gpt-5", "openai"),
        CatalogModel("gemini-3", "google"),
    )
    assert all(served.find(model.id) for model in served.models())


def test_owner_of_a_compatible_account():
    """A compatible provider's models are its own, or at least nobody else's."""
    assert owner(account("openai-compatibility/my[odd]/name[3]", "openai-compatibility")) == "my[odd]/name"
    assert owner(account("odd", "openai-compatibility")) == "openai-compatibility"


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("a*", "a", True),
        ("*c", "abc", True),
        ("*b*", "abc", True),
        ("a*c", "ac", True),
        ("a*a", "a", False),
        ("ab*ba", "aba", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("**", "", True),
        ("*", "anything", True),
        ("", "", True),
        ("", "x", False),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
    ],
)
def test_wildcards(pattern, text, matches):
    """Only the star is special."""
    assert matches_wildcard(pattern, text) is matches


def test_hostile_wildcards_are_cheap():
    """A pattern full of stars against a long name does not take long."""
    assert not within(1, lambda: matches_wildcard("*a" * 50 + "*b", "a" * 100_000))


def sourced(found):
    return [(offer.account.label, source) for offer, source in found]


def ids(served):
    return [model.id for model in served.models()]


def test_vendors_list():
    """An account that names no models serves and shows what its vendor lists."""
    served = catalog(
        account("local", "openai-compatibility"),
        account("named", models=["claude-mine"]),
        discovered={"local": ("qwen3", "llama"), "named": ("claude-listed",)},
    )
    assert ids(served) == ["qwen3", "llama", "claude-mine"]
    assert sourced(served.sourced("qwen3")) == [("local", "vendor")]
    assert sourced(served.sourced("claude-mine")) == [("named", "config")]
    for unknown in ("claude-listed", "qwen2", "claude-x"):
        assert served.find(unknown) == ()


def test_vendors_list_without_what_is_excluded():
    """``excluded-models`` holds for what the vendor lists, and the family does not bring it back."""
    served = catalog(
        account("a", excluded_models=("claude-*-old",)), discovered={"a": ("claude-new", "claude-very-old")}
    )
    assert ids(served) == ["claude-new"]
    assert served.find("claude-very-old") == ()


def test_prefix_of_vendors_list():
    """Listed models have the account's prefix as named ones do."""
    accounts, told = account("a", prefix="team"), {"a": ("claude-x",)}
    assert ids(catalog(accounts, discovered=told)) == ["claude-x", "team/claude-x"]
    forced = catalog(accounts, discovered=told, force_model_prefix=True)
    assert ids(forced) == ["team/claude-x"]
    assert offers(forced.find("team/claude-x")) == [("a", "claude-x")]
    assert offers(forced.find("team/claude-y")) == [("a", "claude-y")]
    assert forced.find("claude-x") == ()


def test_list_with_names_of_another_family():
    """A server that lists another vendor's model gets none of that vendor's requests, whoever has the higher
    priority and whether that vendor's list is known or not; it serves what nobody else does.
    """
    liar = replace(account("liar", "openai-compatibility", priority=9), base_url="https://liar.test")
    other = account("other", "gemini")
    told = {"liar": ("claude-sonnet-4", "gpt-5", "o3-mini", "qwen3")}
    for known in ({}, {"real": ("claude-sonnet-4",)}, {"real": ("claude-old",)}):
        served = catalog(liar, account("real"), other, discovered={**told, **known})
        assert offers(served.find("claude-sonnet-4")) == [("real", "claude-sonnet-4")]
        assert [offer.account.label for offer in served.passed_over("claude-sonnet-4")] == ["liar"]
        for model in ("gpt-5", "o3-mini", "qwen3"):
            assert sourced(served.sourced(model)) == [("liar", "vendor")]
            assert served.passed_over(model) == ()
        assert ids(served)[:2] == ["claude-sonnet-4", "gpt-5"]
    both = catalog(liar, account("codex", "codex"), discovered=told)
    assert sourced(both.sourced("o3-mini")) == [("codex", "pattern")]
    assert sourced(both.sourced("claude-sonnet-4")) == [("liar", "vendor")]


def test_configured_names_of_another_family():
    """What the owner wrote counts: a named model competes, and so does a name that only looks alike."""
    named = account("named", "openai-compatibility", ["claude-sonnet-4"])
    served = catalog(named, account("real"))
    assert sourced(served.sourced("claude-sonnet-4")) == [("named", "config"), ("real", "pattern")]
    mine = account("mine", models=[("claude-x", "gpt-5")])
    listing = account("listing", "codex")
    both = catalog(mine, listing, discovered={"listing": ("gpt-5",)})
    assert sourced(both.sourced("gpt-5")) == [("mine", "config"), ("listing", "vendor")]


def test_model_newer_than_the_list():
    """A model that the vendor does not list (yet) is tried if its name is one of the family's, but not
    shown; nor is it tried where the same vendor lists it for another account only."""
    served = catalog(
        account("a"), account("b"), discovered={"a": ("claude-x",), "b": ("claude-x", "claude-z")}
    )
    assert ids(served) == ["claude-x", "claude-z"]
    assert sourced(served.sourced("claude-new")) == [("a", "pattern"), ("b", "pattern")]
    assert sourced(served.sourced("claude-z")) == [("b", "vendor")]
    assert served.find("gpt-5") == ()


def test_list_not_known_yet():
    """Beside an account whose list is known, one whose list is not serves its family."""
    served = catalog(account("a"), account("b"), discovered={"a": ("claude-x",)})
    assert sourced(served.sourced("claude-x")) == [("a", "vendor"), ("b", "pattern")]
    assert served.patterns(account("b")) == ("claude-*",)
    assert served.patterns(account("a")) == served.patterns(account("c", models=["m"])) == ()


def test_lists_of_a_thousand_accounts():
    """A new list at a thousand accounts does not stop the service for long."""
    accounts = [account(str(number)) for number in range(1000)]
    names = tuple(f"claude-{number}" for number in range(100))
    discovered = {each.label: tuple(names) for each in accounts}
    found = within(0.5, lambda: catalog(*accounts, discovered=discovered).find("claude-7"))
    assert len(found) == 1000


def login(*aliases, excluded=()):
    return Account(
        label="claude:a@b",
        kind="claude-login",
        dialect="anthropic",
        base_url="https://a.test",
        api_key=Secret(""),
        aliases=aliases,
        excluded_models=excluded,
    )


BIG, FORKED = ModelAlias(name="claude-a", alias="big"), ModelAlias(name="claude-a", alias="large", fork=True)


def served(catalog, id_):
    return [offer.upstream_model for offer in catalog.find(id_)]


@pytest.mark.parametrize("known", [{}, {"claude:a@b": ("claude-a", "claude-b")}])
def test_aliases_of_logins(known):
    """The alias takes the name's place, whether the vendor has listed the model or its family tells it."""
    catalog = Catalog(Config(accounts=(login(BIG),)), known)
    assert (served(catalog, "big"), served(catalog, "claude-a")) == (["claude-a"], [])
    assert served(catalog, "claude-b") == ["claude-b"]
    forked = Catalog(Config(accounts=(login(BIG, FORKED),)), known)
    for name in ("big", "large", "claude-a"):
        assert served(forked, name) == ["claude-a"]


def test_aliases_are_listed():
    catalog = Catalog(Config(accounts=(login(BIG),)), {"claude:a@b": ("claude-a", "claude-b")})
    assert [model.id for model in catalog.models()] == ["big", "claude-b"]


def test_alias_of_another_vendors_model():
    """A login cannot be made to serve what its vendor does not have."""
    assert served(Catalog(Config(accounts=(login(ModelAlias(name="gpt-5", alias="x")),))), "x") == []


def test_excluded_alias():
    catalog = Catalog(Config(accounts=(login(BIG, excluded=("b*",)),)), {"claude:a@b": ("claude-a",)})
    assert (served(catalog, "big"), served(catalog, "claude-a")) == ([], [])


def test_no_weight_no_share():
    """Where weights count, an account of weight 0 or less serves nothing; elsewhere weights mean nothing."""
    accounts = [account("a", models=["m"], weight=0), account("b", models=["m", "n"], weight=-1)]
    for strategy, count in (("weighted-round-robin", 0), ("round-robin", 2)):
        found = catalog(*accounts, routing=Routing(strategy=strategy))
        assert len(found.find("m")) == count
        assert len(found.models()) == count


def listed(*accounts, discovered=None, **settings):
    return [model.id for model in catalog(*accounts, discovered=discovered, **settings).models()]


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.login])
def test_logins_are_listed_before_their_vendors_tell(kind):
    """A login shows what its family is known to have, each of which it serves, until its vendor has told."""
    one = replace(login(), kind=kind)
    shown = listed(one)
    assert shown == list(KINDS[kind].listed)
    found = catalog(one)
    for name in shown:
        assert served(found, name) == [name]
        assert {source for _, source in found.sourced(name)} == {"pattern"}
        assert PRICES.find(name) is not None, "the shipped prices do not know it"
    told = {one.label: (shown[0], "claude-new")}
    assert listed(one, discovered=told) == [shown[0], "claude-new"]
    assert listed(one, discovered={one.label: ()}) == []


def test_known_models_of_logins_obey_the_configuration():
    """Aliases, exclusions, prefixes and models that the configuration names hold for them as for any list."""
    big = ModelAlias(name="claude-opus-5", alias="big")
    own = ModelAlias(name="claude-of-mine", alias="mine")
    foreign = ModelAlias(name="gpt-5", alias="foreign")
    shown = listed(login(big, own, foreign, excluded=("claude-haiku-*",)))
    assert {"big", "mine", "claude-sonnet-5"} <= set(shown)
    assert not {"claude-opus-5", "claude-of-mine", "claude-haiku-5-5", "foreign", "gpt-5"} & set(shown)
    prefixed = replace(login(), prefix="p")
    assert "p/claude-opus-5" in listed(prefixed)
    assert all(name.startswith("p/") for name in listed(prefixed, force_model_prefix=True))
    assert listed(replace(login(), models=(ModelName(name="claude-x", alias=""),))) == ["claude-x"]
    assert listed(account("a"), account("b", "codex")) == []


LISTED = """
codex-api-key: [{api-key: k}]
claude-api-key: [{api-key: k, models: [claude-x]}]
ampcode:
  model-mappings: [{from: "^gpt-3", to: claude-x, regex: true}]
"""


@pytest.mark.parametrize(
    ("known", "asked", "kind", "account"),
    [
        ({"codex-api-key[0]": ("gpt-5.4",)}, "gpt-3.5", "mapped", "claude-api-key[0]"),
        ({"codex-api-key[0]": ("gpt-5.4",)}, "gpt-4.1", "local", "codex-api-key[0]"),
        ({"codex-api-key[0]": ("gpt-3.5",)}, "gpt-3.5", "local", "codex-api-key[0]"),
        ({}, "gpt-3.5", "local", "codex-api-key[0]"),
    ],
)
def test_a_mapping_before_a_guess(known, asked, kind, account):
    """A name that the vendor's own list lacks is mapped, if a mapping is for it, and else tried there."""
    config = parse(LISTED, name="c", environ={}, home=Path("/"), read_secret=lambda path: "")
    catalog = Catalog(config, known)
    assert catalog.is_guess(asked) == (bool(known) and asked not in known["codex-api-key[0]"])
    route = Router(config, catalog).route(asked, amp=True)
    assert (route.kind.value, route.offers[0].account.label) == (kind, account)
    # Below /v1 there are no mappings.
    assert Router(config, catalog).route(asked, amp=False).kind.value == "local"
    # So it is said to have no effect only where no such name could come to it.
    idle = [why for _, why in idle_mappings(config, catalog, known)]
    assert bool(idle) == ("gpt-3.5" in known.get("codex-api-key[0]", ()))
