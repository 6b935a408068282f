"""The admin API: its document is true, each route answers by its schema, and what it answers is right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.web.resource import Resource

from ampproxy.dashboard.api import ROUTES
from ampproxy.dashboard.openapi import document, text
from ampproxy.dashboard.pages import VIEWS
from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Entry, Series, Tokens
from ampproxy.ledger.store import Store
from tests.dashboard.owner import OwnersWorld, json_of
from tests.resources.harness import CONFIG, World

TREE = Path(__file__).parents[2]
DAY = 86_400_000_000
#: The wall clock of the worlds here: on this day, in microseconds.
NOW = 1_700_000_000_000_000
LIMITED = CONFIG.replace(
    "api-keys: [",
    "api-keys: [{name: anna, key: anna-key-0123456789, limits: {usd-per-month: 5, requests-per-day: 9}}, ",
    1,
)


def keep(folder: Path, *entries: Entry) -> None:
    store = Store(folder / NAME)
    store.write(entries)
    store.close()


def entry(at: int, model: str = "claude-sonnet-4-6", outcome: str = "completed", **more: str) -> Entry:
    values = {"client": "anna", "role": "smart", "account": "acct", "route": "local", **more}
    series = Series(asked=model, served=model, outcome=outcome, amp=True, **values)
    return Entry(at, series, "T-1", 200, Tokens(1_000_000, 0, 0, 100_000), 12, 345)


@pytest.fixture
def world(tmp_path: Path) -> OwnersWorld:
    keep(tmp_path, entry(NOW - DAY), entry(NOW, "gpt-5.4"), entry(NOW + 1, outcome="failed", client="ben"))
    return OwnersWorld(LIMITED, state=tmp_path)


def conforms(value: Any, schema: dict[str, Any], components: dict[str, Any], at: str = "") -> list[str]:
    """Where a value is not what a schema says: the part of JSON Schema that the document uses."""
    if "$ref" in schema:
        return conforms(value, components[schema["$ref"].rpartition("/")[2]], components, at)
    if "anyOf" in schema:
        tried = [conforms(value, one, components, at) for one in schema["anyOf"]]
        return [] if any(not found for found in tried) else [f"{at}: none of its forms: {value!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            return [f"{at}: no object"]
        known = schema.get("properties")
        wrong = [f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        if known is not None:
            wrong += [f"{at}: {name} is not declared" for name in value if name not in known]
            for name, one in value.items():
                wrong += conforms(one, known.get(name, {}), components, f"{at}.{name}")
        return wrong
    if kind == "array":
        if not isinstance(value, list):
            return [f"{at}: no array"]
        parts = (conforms(one, schema.get("items", {}), components, f"{at}[]") for one in value)
        return [fault for part in parts for fault in part]
    if kind in kinds and (
        not isinstance(value, kinds[kind]) or (isinstance(value, bool) != (kind == "boolean"))
    ):
        return [f"{at}: {value!r} is no {kind}"]
    return []


QUERIES = {"explain": "?model=claude-wanted"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_answers_by_its_schema(route: Any, world: OwnersWorld) -> None:
    """Each route answers what the document says that it does."""
    operation = document()["paths"][f"/{route.path}"][route.method.decode().lower()]
    answer = world.request(
        route.method.decode(),
        f"/ampproxy/{route.path}{QUERIES.get(route.path, '')}",
        body=b"" if route.order else None,
    )
    declared = operation["responses"].get(str(answer.status))
    if route.path in ("reload", "doctor/run", "test-alert"):
        # This configuration came from no file, and has no alerts.
        assert answer.status == 404
        return
    assert declared is not None, answer.body
    ((kind, content),) = declared["content"].items()
    assert f"content-type: {kind}".encode() in answer.answer.lower()
    if kind == "application/json":
        assert conforms(json_of(answer), content["schema"], document()["components"]["schemas"]) == []


def test_faults_are_seen() -> None:
    """The check above finds what it is for."""
    components = document()["components"]["schemas"]
    schema = document()["paths"]["/doctor"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    good = {"state": "never", "started_at": None, "ended_at": None, "findings": [], "why": ""}
    assert conforms(good, schema, components) == []
    for change in ({"state": "odd"}, {"why": 1}, {"findings": [{}]}, {"more": 1}, {"started_at": "x"}):
        assert conforms({**good, **change}, schema, components), change
    assert conforms({}, schema, components)


def paths_below(resource: Resource, path: str = "") -> set[str]:
    """Every path of a tree that answers."""
    found = {path} if hasattr(resource, "itself") or resource.isLeaf else set()
    for name, child in resource.children.items():
        found |= paths_below(child, f"{path}/{name.decode()}")
    return found


def test_document_has_every_route() -> None:
    """What the tree has below /ampproxy, without the page, is what the document has."""
    world = OwnersWorld()
    world.call("overview")
    own: Any = world.site.resource.children[b"ampproxy"]  # type: ignore[attr-defined]
    tree = (paths_below(own) | paths_below(own.mounted)) - {""}
    api = {path for path in tree if not path.startswith("/page")}
    assert api == set(document()["paths"])
    views = {f"/page/{view.name}" for view in VIEWS}
    assert tree - api == views | {"/page", "/page/static", "/page/login", "/page/logout"}


def test_document_is_shipped() -> None:
    """``python -m ampproxy.dashboard.openapi docs/admin-api.json`` writes it anew."""
    assert (TREE / "docs" / "admin-api.json").read_text(encoding="utf-8") == text()
    assert json.loads(text())["openapi"] == "3.1.1"


@pytest.mark.parametrize(
    "query",
    ["log?limit=x", "log?limit=0", "log?before=-1", "log?errors=maybe", "usage?by=moon", "usage?days=1.5",
     "explain", "explain?model=x&role=king", f"log?{'&'.join(f'a{n}=1' for n in range(60))}"],
)  # fmt: skip
def test_wrong_queries(query: str, world: OwnersWorld) -> None:
    """They are answered 400, with what was expected."""
    answer = world.request("GET", f"/ampproxy/{query}")
    assert answer.status == 400
    assert re.search("expected|too many", json_of(answer)["error"])


def test_log(world: OwnersWorld) -> None:
    """The newest first, with what each cost; ``next`` leads to the rows before."""
    first = json_of(world.call("log?limit=2"))
    assert [row["client"] for row in first["rows"]] == ["ben", "anna"]
    assert [row["outcome"] for row in first["rows"]] == ["failed", "completed"]
    rest = json_of(world.call(f"log?limit=2&before={first['next']}"))
    assert [row["asked"] for row in rest["rows"]] == ["claude-sonnet-4-6"]
    assert rest["rows"][0]["usd"] == pytest.approx(3 + 1.5)
    assert rest["next"] == ""
    for query, count in (
        ("errors=1", 1),
        ("client=anna", 2),
        ("model=gpt-5.4", 1),
        ("thread=T-1", 3),
        ("client=x", 0),
    ):
        assert len(json_of(world.call(f"log?{query}"))["rows"]) == count, query
    assert json_of(OwnersWorld().call("log")) == {"ledger": False, "rows": [], "next": ""}


def test_log_is_bounded(world: OwnersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of rows looks at so many, however few of them fit, and says where the next goes on."""
    monkeypatch.setattr("ampproxy.dashboard.rows.LOOKED_AT", 1)
    found, pages = [], 0
    at = ""
    while pages == 0 or at:
        answer = json_of(world.call(f"log?model=claude-sonnet-4-6&client=anna&before={at}"))
        found += answer["rows"]
        at, pages = answer["next"], pages + 1
    assert ([row["client"] for row in found], pages) == (["anna"], 3)


def test_usage(world: OwnersWorld) -> None:
    """By day and dimension; a day's groups are the whole's."""
    usage = json_of(world.call("usage?by=client&days=2"))
    assert (usage["since"], usage["until"]) == ("2023-11-13", "2023-11-14")
    assert {group["name"]: group["requests"] for group in usage["groups"]} == {"anna": 2, "ben": 1}
    days = {(day["day"], day["name"]): day["requests"] for day in usage["days"]}
    assert days == {("2023-11-13", "anna"): 1, ("2023-11-14", "anna"): 1, ("2023-11-14", "ben"): 1}
    assert usage["total"]["requests"] == 3
    assert sum(day["usd"] for day in usage["days"]) == pytest.approx(usage["total"]["cost"]["usd"], abs=1e-4)
    assert json_of(world.call("usage?days=1"))["total"]["requests"] == 2


def test_usage_of_amp(tmp_path: Path) -> None:
    """What Amp billed is told apart, by group and by day."""
    keep(tmp_path, entry(NOW), entry(NOW, route="amp", account="", client="ben"))
    world = OwnersWorld(state=tmp_path)
    usage = json_of(world.call("usage?by=client"))
    amounts = {day["name"]: (day["usd"], day["amp_usd"]) for day in usage["days"]}
    assert amounts["anna"][1] == 0
    assert amounts["ben"][0] == amounts["ben"][1] == usage["amp_spent"]["usd"] > 0


def test_keys(world: OwnersWorld) -> None:
    """Names, rights, and what is left; never a key."""
    answer = world.call("keys")
    anna, *others = json_of(answer)["keys"]
    assert (anna["name"], anna["named"], [one["named"] for one in others]) == ("anna", True, [False, False])
    limits = {limit["setting"]: (limit["most"], limit["left"]) for limit in anna["limits"]}
    assert limits == {"usd-per-month": (5.0, 5.0), "requests-per-day": (9, 9)}
    assert b"key-0123456789" not in answer.body
    assert b"client-key" not in answer.body


def test_explain(world: OwnersWorld) -> None:
    """The decision of the router, with its reasons."""
    mapped = json_of(world.call("explain?model=claude-wanted"))
    assert (mapped["route"], mapped["served"]) == ("mapped", "claude-local")
    assert mapped["offers"] == [
        {"account": "claude-api-key[0]", "model": "claude-real", "dialect": "anthropic", "priority": 0}
    ]
    assert json_of(world.call("explain?model=claude-wanted&amp=0"))["route"] == "none"
    assert mapped["reasons"]


def test_doctor_needs_a_file(world: OwnersWorld) -> None:
    assert "no file" in json_of(world.call("doctor/run", "POST", body=b""))["error"]


def test_old_routes_as_before() -> None:
    """Without the page they are what they were: for programs on this machine, with a key."""
    world = World(CONFIG + "page: false\n")
    assert world.request("GET", "/ampproxy/accounts").status == 200
    assert world.request("GET", "/ampproxy/accounts", key=None).status == 401
    tls = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    assert world.request("GET", "/ampproxy/accounts", tls).status == 403
