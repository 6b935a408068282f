"""The owner's rules over the bodies that go to vendors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ampproxy.config.changes import changes
from ampproxy.config.load import parse
from ampproxy.config.schema import Account, Config
from ampproxy.providers import PROVIDERS
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.payload import Asked, apply
from ampproxy.relay.translate import Origin
from ampproxy.routing.endpoints import Endpoint, parse_endpoint
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.wire.redact import Secret
from tests.facts import facts

OPENAI = Asked(frozenset({"gpt-5", "fast"}), "openai", "claude", (("x-tier", "Tenant-7"), ("x-b", "c")))


def read(text: str) -> Config:
    return parse(text, name="a.yaml", environ={"V": "v"}, home=Path("/"), read_secret=lambda path: "")


def applied(payload: str, body: Any, asked: Asked = OPENAI) -> Any:
    config = read(f"payload:\n{payload}")
    assert config.warnings == ()
    return json.loads(apply(config.payload.rules, json.dumps(body).encode(), asked))


@pytest.mark.parametrize(
    ("payload", "before", "after"),
    [
        ("  default: [{models: [{name: f*}], params: {a.b: 1, c: x}}]", {"c": 2}, {"c": 2, "a": {"b": 1}}),
        # Null is there; what a rule has set counts as set.
        ("  default: [{models: [{name: '*'}], params: {a: 1}}]", {"a": None}, {"a": None}),
        (
            "  default: [{models: [{name: f*}], params: {a: 1}}, {models: [{name: f*}], params: {a: 2}}]\n"
            "  default-raw: [{models: [{name: f*}], params: {a: '3', b: '{\"c\": [1.50]}'}}]",
            {},
            {"a": 1, "b": {"c": [1.5]}},
        ),
        (
            "  override: [{models: [{name: f*}], params: {a: 1}}, {models: [{name: f*}], params: {a: 2}}]\n"
            "  default: [{models: [{name: f*}], params: {a: 3}}]",
            {"a": 0},
            {"a": 2},
        ),
        (
            "  override-raw: [{models: [{name: f*}], params: {a: 'null', b: [1]}}]",
            {"a": 0},
            {"a": None, "b": [1]},
        ),
        (
            "  filter: [{models: [{name: f*}], params: [a, 'l.#(>1)#']}]\n"
            "  override: [{models: [{name: f*}], params: {a: 1}}]",
            {"b": 1, "l": [1, 2, 3]},
            {"b": 1, "l": [1]},
        ),
        (
            "  override: [{models: [{name: f*}], params: {s: on, n: 1_000, f: .5, t: '1', e: '${V}', x: ~}}]",
            {},
            {"s": True, "n": 1000, "f": 0.5, "t": "1", "e": "v", "x": None},
        ),
        ("  override: [{models: [{name: f*}], params: {'t.#(n==\"a\")#.k': 1}}]",
         {"t": [{"n": "a"}, {"n": "b"}, {"n": "a"}]},
         {"t": [{"n": "a", "k": 1}, {"n": "b"}, {"n": "a", "k": 1}]}),
        ("  override: [{models: [{name: f*}], params: {'t.#(n==\"a\").k': 1}}]", {}, {}),
    ],
)  # fmt: skip
def test_rules(payload, before, after):
    """Defaults fill, overrides set, filters take out, in that order."""
    assert applied(payload, before) == after


@pytest.mark.parametrize(
    ("model", "holds"),
    [
        ("name: GPT-*", True),
        ("name: fast", True),
        ("name: gpt", False),
        ("name: '*', protocol: openai", True),
        ("name: '*', protocol: OpenAI", True),
        ("name: '*', protocol: codex", False),
        ("name: '*', from-protocol: claude", True),
        ("name: '*', from-protocol: responses", False),
        ("name: '*', headers: {x-tier: tenant-*}", True),
        ("name: '*', headers: {X-Tier: tenant-8}", False),
        ("name: '*', headers: {x-tier: '*', x-b: d}", False),
        ("name: '*', headers: {x-none: '*'}", False),
        ("name: '*', match: [{a.b: 1.0}, {l: [1, x]}]", True),
        ("name: '*', match: [{a.b: 1, a.c: 1}]", False),
        ("name: '*', not-match: [{a.b: 2}]", True),
        ("name: '*', not-match: [{a.b: 2}, {a.b: 1}]", False),
        ("name: '*', exist: [a.b]", True),
        ("name: '*', exist: [a.b, a.c]", False),
        ("name: '*', exist: [z]", False),
        ("name: '*', not-exist: [a.c, z]", True),
        ("name: '*', not-exist: [a.b]", False),
    ],
)
def test_whom_a_rule_is_for(model, holds):
    """A rule is for a request of which all is true that it names."""
    body = {"a": {"b": 1}, "l": [1, "x"], "z": None}
    out = applied(f"  override: [{{models: [{{{model}}}], params: {{new: 1}}}}]", body)
    assert ("new" in out) == holds


def test_any_of_several_models():
    """One of a rule's models is enough, and later rules see what earlier ones did."""
    payload = (
        "  override:\n    - {models: [{name: none}, {name: fast}], params: {a: 1}}\n"
        "    - {models: [{name: '*', match: [{a: 1}]}], params: {b: 2}}\n"
    )
    assert applied(payload, {}) == {"a": 1, "b": 2}


def test_a_body_that_is_no_object():
    """What is no JSON object passes as it is."""
    config = read("payload: {override: [{models: [{name: '*'}], params: {a: 1}}]}")
    for body in (b"[1]", b"nothing", b""):
        assert apply(config.payload.rules, body, OPENAI) == body


@pytest.mark.parametrize(
    ("payload", "key", "words"),
    [
        ("{override: [{params: {a: 1}}]}", "payload.override[0]", "names no models"),
        (
            "{override: [{models: [{name: a, protocol: antigravity}], params: {}}]}",
            "payload.override[0].models[0].protocol",
            "has no effect",
        ),
        (
            "{override: [{models: [{name: a}], params: {stream: true}}]}",
            "payload.override[0].params.stream",
            "is decided by the gateway itself; it is left out",
        ),
        (
            "{override-raw: [{models: [{name: a}], params: {a: '{'}}]}",
            "payload.override-raw[0].params.a",
            "is not valid JSON; it is left out",
        ),
        (
            "{filter: [{models: [{name: a}], params: ['a|b']}]}",
            "payload.filter[0].params[0]",
            "uses |, which is not supported in a path; it is left out",
        ),
        (
            "{override: [{models: [{name: a, exist: ['@this']}], params: {a: 1}}]}",
            "payload.override[0].models[0].exist",
            "this part of the rule has no effect",
        ),
        (
            "{override: [{models: [{name: a}], params: {a: .inf}}]}",
            "payload.override[0].params.a",
            "JSON cannot express",
        ),
    ],
)
def test_what_cannot_be_done_is_named(payload, key, words):
    """A rule's part that can do nothing is warned of with its line, and the others work."""
    config = read(f"payload: {payload}")
    (warning,) = config.warnings
    assert warning.startswith(f"a.yaml:1: {key}: ")
    assert words in warning
    asked = Asked(frozenset({"a"}), "openai", "openai", ())
    assert apply(config.payload.rules, b'{"x": 1}', asked) == b'{"x": 1}'


def test_a_change_is_told():
    """After a reload one line says that the rules are others; it shows none of their values."""
    old, new = (
        read("port: 1"),
        read("port: 1\npayload: {override: [{models: [{name: a}], params: {a: canary}}]}"),
    )
    assert changes(old, new) == ("payload.override: changed",)
    assert "canary" not in repr(new)


class _Token:
    def current(self) -> Secret:
        return Secret("token")


#: Each protocol's own member, so that the body tells which rules were for it.
RULES = """
payload:
  override:
    - {models: [{name: m-1, protocol: claude}], params: {seen.claude: 1}}
    - {models: [{name: m-1, protocol: openai}], params: {seen.openai: 1}}
    - {models: [{name: m-1, protocol: codex}], params: {seen.codex: 1}}
    - {models: [{name: m-1, protocol: gemini}], params: {seen.gemini: 1}}
    - {models: [{name: asked, from-protocol: claude}], params: {seen.from: 1}}
"""


def sent(kind: str, dialect: str, path: bytes, body: dict[str, Any], rules: str = RULES) -> Any:
    """What the vendor gets."""
    account = Account(
        label="l",
        kind=kind,  # type: ignore[arg-type]
        dialect=dialect,
        base_url="https://h",
        api_key=Secret("k"),
        token=_Token() if kind.endswith("login") else None,  # type: ignore[arg-type]
        tenant="p",
    )
    endpoint = parse_endpoint(b"POST", path)
    assert isinstance(endpoint, Endpoint)
    offer = RouteTarget(account, "m-1")
    question = ModelRequest(
        endpoint=endpoint,
        body=json.dumps(body).encode(),
        facts=facts(endpoint.dialect, json.dumps(body).encode()),
        requested_model="asked",
        stream=False,
        headers={},
        query=b"",
        route=Route(kind=RouteKind.LOCAL, requested_model="asked", resolved_model="asked", offers=(offer,)),
    )
    maker = BridgeMaker(
        {"l": PROVIDERS[account.kind](account)},
        Origin(lambda: 0.0, lambda prefix: prefix + "1"),
        strict=False,
        payload=read(rules).payload.rules,
    )
    return json.loads(maker(question, offer).body)


MESSAGES = {"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("kind", "dialect", "seen"),
    [
        ("claude", "anthropic", {"claude": 1, "from": 1}),
        ("openai-compatibility", "openai-chat", {"openai": 1, "from": 1}),
        ("codex", "openai-responses", {"codex": 1, "from": 1}),
        ("gemini", "gemini", {"gemini": 1, "from": 1}),
        ("vertex", "gemini", {"gemini": 1, "from": 1}),
    ],
)
def test_every_vendor_is_sent_what_the_rules_want(kind, dialect, seen):
    """Rules change the body in the vendor's dialect, passed through or translated alike."""
    assert sent(kind, dialect, b"/v1/messages", MESSAGES)["seen"] == seen


def test_rules_are_about_what_is_in_an_envelope():
    """At a login whose vendor wraps the dialect, paths begin within the wrapping."""
    body = sent("gemini-login", "gemini", b"/v1/messages", MESSAGES)
    assert body["request"]["seen"] == {"gemini": 1, "from": 1}
    assert "seen" not in body


def test_counts_of_tokens_are_left_alone():
    """A question for a number of tokens is not changed: it counts what the client has."""
    assert "seen" not in sent("claude", "anthropic", b"/v1/messages/count_tokens", MESSAGES)


def test_without_rules_a_body_is_not_touched(monkeypatch):
    """Where there are no rules, none of their code is run."""
    monkeypatch.setattr("ampproxy.relay.payload.apply", lambda *arguments: pytest.fail("was run"))
    assert sent("claude", "anthropic", b"/v1/messages", MESSAGES, "port: 1") == {**MESSAGES, "model": "m-1"}
