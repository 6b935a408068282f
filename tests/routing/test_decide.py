"""Where a request goes: the numbered rules of CLIProxyAPI's routing, and hostile names."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.config.schema import Account, AmpCode, Config, ModelMapping, ModelName
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.decide import MAX_NAME, Router, shown
from ampproxy.routing.route import RouteKind
from ampproxy.wire.redact import Secret

UPSTREAM = "https://amp.test"
LOCAL, MAPPED, AMP, NONE = RouteKind.LOCAL, RouteKind.MAPPED, RouteKind.AMP, RouteKind.NONE


def exact(source, target):
    return ModelMapping(source=source, target=target)


def regex(source, target):
    return ModelMapping(source=source, target=target, pattern=re.compile(source, re.IGNORECASE))


def make(*mappings, upstream=UPSTREAM, force=False, models=("local", "other", "third")):
    """One compatible account with ``models``, and an Anthropic account that serves ``claude-*``."""
    named = tuple(ModelName(name=f"up-{model}", alias=model) for model in models)
    accounts = (
        Account(
            label="openai-compatibility/x[0]",
            kind="openai-compatibility",
            dialect="openai-chat",
            base_url="https://x.test/v1",
            api_key=Secret("secret-of-x"),
            models=named,
        ),
        Account(
            label="claude-api-key[0]",
            kind="claude",
            dialect="anthropic",
            base_url="https://a.test",
            api_key=Secret("secret-of-a"),
        ),
    )
    ampcode = AmpCode(upstream_url=upstream, mappings=mappings, force_mappings=force)
    return Config(accounts=accounts if models else accounts[1:], ampcode=ampcode)


def go(config, asked, amp=True):
    return Router(config, Catalog(config)).route(asked, amp=amp)


RULES = [
    # (what a user sees, mappings, force, asked, kind, served, suffix)
    ("3 no suffix", (), False, "local", LOCAL, "local", None),
    ("3 the base is looked for", (), False, "local(high)", LOCAL, "local(high)", "high"),
    ("3 an odd suffix is kept", (), False, "local(odd)", LOCAL, "local(odd)", "odd"),
    ("3 an empty suffix says nothing", (), False, "local()", LOCAL, "local", None),
    ("4 ids are case-sensitive", (), False, "Local", AMP, "", None),
    ("4 a family is local", (), False, "claude-any(8192)", LOCAL, "claude-any(8192)", "8192"),
    ("5 exact", (exact("gpt", "local"),), False, "gpt", MAPPED, "local", None),
    ("5 exact in any case", (exact("GpT", "local"),), False, "gPt", MAPPED, "local", None),
    ("5 exact is whole", (exact("gpt", "local"),), False, "gpt-5", AMP, "", None),
    (
        "5 the last of two exact",
        (exact("a", "local"), exact("A", "other")),
        False,
        "a",
        MAPPED,
        "other",
        None,
    ),
    ("5 regex unanchored", (regex("gpt", "local"),), False, "my-GPT-5", MAPPED, "local", None),
    ("5 first regex", (regex("g", "local"), regex("gpt", "other")), False, "gpt", MAPPED, "local", None),
    ("5 exact first", (regex("gpt", "other"), exact("gpt", "local")), False, "gpt", MAPPED, "local", None),
    ("5 regex sees the base", (regex("high", "local"),), False, "gpt(high)", AMP, "", "high"),
    (
        "5 anchored regex on the base",
        (regex("^gpt$", "local"),),
        False,
        "gpt(low)",
        MAPPED,
        "local(low)",
        "low",
    ),
    ("5 target not local", (exact("gpt", "gone"),), False, "gpt", AMP, "", None),
    ("5 no second try", (regex("gpt", "gone"), regex("gpt", "local")), False, "gpt", AMP, "", None),
    ("5 exact hides regex", (exact("gpt", "gone"), regex("gpt", "local")), False, "gpt", AMP, "", None),
    ("5 target case-sensitive", (exact("gpt", "LOCAL"),), False, "gpt", AMP, "", None),
    (
        "5 request's suffix goes along",
        (exact("gpt", "local"),),
        False,
        "gpt(low)",
        MAPPED,
        "local(low)",
        "low",
    ),
    ("5 target's suffix wins", (exact("gpt", "local(max)"),), False, "gpt(low)", MAPPED, "local(max)", "max"),
    ("5 target's empty suffix wins", (exact("gpt", "local()"),), False, "gpt(low)", MAPPED, "local", None),
    ("5 empty suffix not appended", (exact("gpt", "local"),), False, "gpt()", MAPPED, "local", None),
    ("5 not recursive", (exact("a", "b"), exact("b", "local")), False, "a", AMP, "", None),
    ("5 to a family", (exact("gpt", "claude-x"),), False, "gpt", MAPPED, "claude-x", None),
    ("6 local before mapped", (exact("local", "other"),), False, "local", LOCAL, "local", None),
    ("6 force: mapped first", (exact("local", "other"),), True, "local", MAPPED, "other", None),
    ("6 force: then local", (exact("local", "gone"),), True, "local", LOCAL, "local", None),
    ("6 force: no mapping", (), True, "local", LOCAL, "local", None),
    ("6 force: then fallback", (exact("gpt", "gone"),), True, "gpt", AMP, "", None),
    ("6 force: to itself", (exact("local", "local(high)"),), True, "local", MAPPED, "local(high)", "high"),
    ("7 fallback", (), False, "gpt(high)", AMP, "", "high"),
]


@pytest.mark.parametrize(
    ("mappings", "force", "asked", "kind", "served", "suffix"),
    [pytest.param(*row[1:], id=row[0]) for row in RULES],
)
def test_rules(mappings, force, asked, kind, served, suffix):
    """Each rule gives the route that CLIProxyAPI's users expect; without an upstream the fallback is an
    honest refusal, and the rest does not change.
    """
    route = go(make(*mappings, force=force), asked)
    assert (route.kind, route.resolved_model, route.suffix, route.requested_model) == (
        kind,
        served,
        suffix,
        asked,
    )
    assert bool(route.offers) == (kind in (LOCAL, MAPPED))
    assert bool(route.suggested_config) == (kind is AMP)
    alone = go(make(*mappings, force=force, upstream=""), asked)
    assert alone.kind is (NONE if kind is AMP else kind)
    assert (alone.resolved_model, alone.offers) == (served, route.offers)


@pytest.mark.parametrize(
    ("mappings", "force", "asked"), [pytest.param(row[1], row[2], row[3], id=row[0]) for row in RULES]
)
def test_root_paths_are_local_only(mappings, force, asked):
    """Away from Amp's paths no mapping applies and nothing is forwarded, whatever is configured."""
    route = go(make(*mappings, force=force), asked, amp=False)
    plain = go(make(upstream=""), asked)
    assert route.kind in (LOCAL, NONE)
    assert (route.kind, route.resolved_model, route.offers) == (
        plain.kind,
        plain.resolved_model,
        plain.offers,
    )


def test_upstream_names():
    """The offers carry the vendor's own name of what is served."""
    route = go(make(exact("gpt", "local")), "gpt(high)")
    assert [(offer.account.label, offer.upstream_model) for offer in route.offers] == [
        ("openai-compatibility/x[0]", "up-local")
    ]


@pytest.mark.parametrize("asked", [None, ""])
@pytest.mark.parametrize("amp", [True, False])
def test_no_model_goes_nowhere(asked, amp):
    """A request without a model is never forwarded."""
    route = go(make(), asked, amp)
    assert (route.kind, route.requested_model, route.suggested_config) == (NONE, "", "")
    assert route.reasons == ("The request names no model.",)


REASONS = [
    ((), "local", ["local is offered by openai-compatibility/x[0]"]),
    (
        (exact("gpt", "local"),),
        "gpt(low)",
        ["No account offers gpt.", "amp model mapping: request gpt(low) -> local(low)", "gpt -> local"],
    ),
    (
        (regex("gpt", "gone"), regex("g", "local")),
        "gpt",
        ["regex model mapping gpt -> gone", "no account offers gone", "no later one is tried"],
    ),
    ((), "gpt", ["No model mapping matches gpt", "forwarding to ampcode.com (uses amp credits)"]),
]


@pytest.mark.parametrize(("mappings", "asked", "words"), REASONS)
def test_reasons(mappings, asked, words):
    """The steps are told in order, in the words that CLIProxyAPI's users look for."""
    told = " ".join(go(make(*mappings), asked).reasons)
    places = [told.index(word) for word in words]
    assert places == sorted(places)


def test_reasons_of_force_and_of_nothing():
    """Force mode, a missing upstream and a root path are named."""
    assert "force-model-mappings" in go(make(force=True), "gpt").reasons[0]
    assert "ampcode.upstream-url is not set" in go(make(upstream=""), "gpt").reasons[-1]
    assert "/api/provider/" in go(make(), "gpt", amp=False).reasons[-1]


def test_mapping_names_its_line():
    """A mapping is told with its place in the file."""
    config = make(ModelMapping(source="gpt", target="local", line=17))
    assert "line 17" in go(config, "gpt").reasons[-1]


def test_remedy_maps_to_the_nearest_model():
    """A typing error gets a mapping to the model that was meant; with it applied, the model is served."""
    suggested_config = yaml.safe_load(
        go(make(models=("claude-sonnet-4-5", "qwen3")), "clade-sonnet-45").suggested_config
    )
    (entry,) = suggested_config["ampcode"]["model-mappings"]
    assert entry == {"from": "clade-sonnet-45", "to": "claude-sonnet-4-5"}
    mended = make(exact(entry["from"], entry["to"]), models=("claude-sonnet-4-5", "qwen3"))
    assert go(mended, "clade-sonnet-45").kind is MAPPED


@pytest.mark.parametrize(
    ("asked", "section"),
    [
        ("gpt-5", "codex-api-key"),
        ("o3-mini(high)", "codex-api-key"),
        ("gemini-2.5-pro", "gemini-api-key"),
        ("zzz", "openai-compatibility"),
        ("a: b\n- c #{}\"'", "openai-compatibility"),
    ],
)
def test_remedy_names_an_account(asked, section):
    """A model like none here gets the section of its vendor, with its base name, valid YAML always."""
    suggested_config = yaml.safe_load(go(make(), asked).suggested_config)
    base = asked.partition("(")[0]
    assert suggested_config[section][0]["models"] == [{"name": base}]


def test_remedy_for_a_claude_model_without_an_account():
    """Where nothing is configured, a Claude model gets an Anthropic account."""
    suggested_config = yaml.safe_load(go(Config(), "claude-opus-4").suggested_config)
    assert suggested_config["claude-api-key"][0]["models"] == [{"name": "claude-opus-4"}]


def test_remedy_maps_what_draws_to_what_draws():
    """The model with the most similar name is of no use to a role that needs images made."""
    config = make(models=("gemini-3-flash-preview",))
    suggested_config = yaml.safe_load(
        Router(config, Catalog(config))
        .route("gemini-3-pro-image-preview", amp=True, role="painter")
        .suggested_config
    )
    assert suggested_config["gemini-api-key"][0]["models"] == [{"name": "gemini-3-pro-image-preview"}]
    config = make(models=("gemini-3-flash-preview", "gemini-2.5-flash-image"))
    suggested_config = (
        Router(config, Catalog(config))
        .route("gemini-3-flash-image", amp=True, role="painter")
        .suggested_config
    )
    assert yaml.safe_load(suggested_config)["ampcode"]["model-mappings"] == [
        {"role": "painter", "to": "gemini-2.5-flash-image"}
    ]


def test_remedy_for_several_roles():
    suggested_config = Router(make(models=("gpt-5.2",))).suggested_config("gpt-5.4", ("deep", "oracle"))
    (entry,) = yaml.safe_load(suggested_config)["ampcode"]["model-mappings"]
    assert entry == {"role": ["deep", "oracle"], "to": "gpt-5.2"}
    mended = make(ModelMapping(source="", target="gpt-5.2", roles=("deep", "oracle")), models=("gpt-5.2",))
    assert {
        Router(mended, Catalog(mended)).route("gpt-5.4", amp=True, role=role).kind for role in entry["role"]
    } == {MAPPED}


def test_remedy_for_a_dead_mapping_serves_its_target():
    """A mapping to nowhere is mended at its target."""
    suggested_config = yaml.safe_load(go(make(exact("locol", "gpt-9")), "locol").suggested_config)
    assert suggested_config["codex-api-key"][0]["models"] == [{"name": "gpt-9"}]


def test_remedy_at_the_root_is_never_a_mapping():
    """A mapping would not serve a root path, so none is proposed."""
    assert "model-mappings" not in go(make(), "loca", amp=False).suggested_config
    assert "model-mappings" in go(make(), "loca").suggested_config


HOSTILE = [
    "../../../etc/passwd",
    "local/../../x",
    "local\r\nX-Evil: 1",
    "local\x00",
    "local\u2028",
    "lo\u202ecal",
    "ｌｏｃａｌ",
    "(" * 500,
    ")" * 500,
    "()" * 250,
    "a" * MAX_NAME,
    "a" * (MAX_NAME + 1),
    "a" * 1_000_000,
    "\ud800",
    "{}%s%(x)s{0.__class__}",
    " local",
    "local ",
]


@pytest.mark.parametrize("asked", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("amp", [True, False])
def test_hostile_names(asked, amp):
    """A hostile name matches nothing by accident, and what is told of it is short and on one line."""
    route = go(make(exact("gpt", "local")), asked, amp)
    assert route.kind in (AMP, NONE)
    assert not route.offers
    for reason in route.reasons:
        assert reason.isprintable()
        assert len(reason) < 400
    if route.suggested_config:
        assert yaml.safe_load(route.suggested_config.encode())


def test_a_very_long_name_meets_no_pattern():
    """A pattern that backtracks is never shown a name that no model has."""
    config = make(regex("(a|a)*$b", "local"))
    route = Router(config).route("a" * (MAX_NAME + 1), amp=True)
    assert route.kind is NONE
    assert str(MAX_NAME) in route.reasons[0]


@given(st.text(max_size=30), st.booleans())
def test_any_name(asked, amp):
    """Whatever the name, there is a decision with a reason, and only what is offered is served."""
    route = go(make(exact("gpt", "local"), regex("x", "other")), asked, amp)
    assert route.reasons
    assert bool(route.offers) == (route.kind in (LOCAL, MAPPED)) == bool(route.resolved_model)


def test_router_remembers():
    """The same name gives the same route; the two kinds of path do not share it."""
    router = Router(make(exact("gpt", "local")))
    assert router.route("gpt", amp=True) is router.route("gpt", amp=True)
    assert router.route("gpt", amp=True).kind is MAPPED
    assert router.route("gpt", amp=False).kind is NONE
    assert router.catalog.find("local")


def test_exhausted():
    """A model whose accounts all rest, where the owner wants a fallback: its mapping serves; if those rest
    too, Amp; at the root and without an upstream nobody.
    """
    router = Router(make(exact("local", "other")))
    local, both = frozenset({"local"}), frozenset({"local", "other"})
    route = router.route("local(high)", amp=True, exhausted=local)
    assert (route.kind, route.resolved_model) == (MAPPED, "other(high)")
    assert "All accounts that offer local are cooling down" in route.reasons[0]
    route = router.route("local", amp=True, exhausted=both)
    assert route.kind is AMP
    assert "served by no account or mapping at the moment" in route.reasons[-1]
    assert "local" in route.suggested_config
    assert router.route("local", amp=False, exhausted=local).kind is NONE
    assert Router(make(upstream="")).route("local", amp=True, exhausted=local).kind is NONE
    assert router.route("local", amp=True).kind is LOCAL


def by_role(target, *roles, source="", pattern=None):
    return ModelMapping(source=source, target=target, roles=roles, pattern=pattern)


ROLES = [
    # (mappings, asked, role, served)
    ((by_role("local", "oracle"),), "new", "oracle", "local"),
    ((by_role("local", "oracle"),), "new", "finder", ""),
    ((by_role("local", "oracle"),), "new", "", ""),
    ((by_role("local(low)", "oracle", "title"),), "new(high)", "title", "local(low)"),
    ((exact("new", "other"), by_role("local", "oracle")), "new", "oracle", "local"),
    ((exact("new", "other"), by_role("local", "oracle")), "new", "title", "other"),
    ((by_role("local", "oracle"), by_role("other", "oracle", source="NEW")), "new", "oracle", "other"),
    ((by_role("local", "oracle", source="a"), exact("new", "other")), "new", "oracle", "other"),
    ((by_role("local", "oracle", source="^n", pattern=re.compile("^n")),), "new", "oracle", "local"),
    ((by_role("local", "oracle", source="^x", pattern=re.compile("^x")),), "new", "oracle", ""),
]


@pytest.mark.parametrize(("mappings", "asked", "role", "served"), ROLES)
def test_roles(mappings, asked, role, served):
    """What names a role goes before what does not, and an exact name before the bare role."""
    route = Router(make(*mappings)).route(asked, amp=True, role=role)
    assert (route.resolved_model, route.role) == (served, role)
    assert route.kind is (MAPPED if served else AMP)


def test_roles_are_told():
    router = Router(make(by_role("local", "oracle")))
    assert "model mapping role oracle -> local" in router.route("new", amp=True, role="oracle").reasons[-1]
    assert "or its role title" in " ".join(router.route("new", amp=True, role="title").reasons)


def test_router_forgets():
    """A client that invents names does not fill the memory."""
    router = Router(make())
    first = router.route("name-0", amp=True)
    for number in range(1, 1500):
        router.route(f"name-{number}", amp=True)
    assert router.route("name-0", amp=True) is not first
    assert router.route("name-0", amp=True) == first


def test_no_secret_is_told():
    """Neither reasons, remedy nor the route's own text show a key."""
    for asked in ("local", "gpt", "claude-x"):
        assert "secret-of" not in repr(go(make(exact("gpt", "local")), asked))


def test_shown():
    """Names are told in one printable, short piece."""
    assert shown("gpt-5(high)") == "gpt-5(high)"
    assert shown("naïve") == "naïve"
    assert shown("a\r\nb") == "a\\r\\nb"
    assert len(shown("x" * 1000)) < 100
