"""``api-keys``: texts and entries, and every mistake in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.changes import changes
from ampproxy.config.load import parse
from ampproxy.errors import ConfigError
from ampproxy.model.clients import ClientKey, KeyLimit, KnownKeys, hash_of
from ampproxy.wire.redact import Secret

HASH = f"sha256:{hash_of('secret-of-ci')}"


def read(text):
    return parse(text, name="c.yaml", environ={}, home=Path("/h"), read_secret=lambda path: "")


def complaints(text):
    with pytest.raises(ConfigError) as refused:
        read(text)
    return refused.value.complaints


def test_entry():
    """All that an entry can say; a text beside it is a client that may do everything."""
    config = read(
        f"""
        api-keys:
          - plain
          - name: ci
            key-hash: {HASH}
            expires: 2027-01-31
            old-key-hash: sha256:{hash_of("old")}
            old-until: 2026-12-01T10:00+02:00
            models: [Claude-*]
            accounts: [claude-api-key*]
            routes: [admin, models]
            amp: false
            upstream-api-key: amps
            limits: {{requests-per-minute: 5, tokens-per-week: 1000, usd-per-month: 2.5, concurrent: 3}}
        """
    )
    assert config.warnings == ()
    plain, entry = config.clients
    assert plain == ClientKey(secret=Secret("plain"))
    assert not plain.is_restricted
    assert entry == ClientKey(
        name="ci",
        hash=hash_of("secret-of-ci"),
        expires=1801353600.0,
        old_hash=hash_of("old"),
        old_until=1796112000.0,
        models=("claude-*",),
        accounts=("claude-api-key*",),
        routes=("models", "admin"),
        amp=False,
        upstream=Secret("amps"),
        limits=(
            KeyLimit("requests", "minute", 5),
            KeyLimit("tokens", "week", 1000),
            KeyLimit("usd", "month", 2_500_000),
        ),
        concurrent=3,
    )
    known = KnownKeys(config.clients)
    assert [Secret(key) in known for key in ("plain", "secret-of-ci", "old", "other", "")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert config.api_keys == (Secret("plain"),)


def test_eights_layout():
    """CLIProxyAPI 8's place holds the same."""
    config = read(
        f"config-version: 8\naccess:\n  api-keys:\n    - plain\n    - {{name: ci, key-hash: '{HASH}'}}\n"
    )
    assert [client.name for client in config.clients] == ["", "ci"]
    assert read("access: {api-keys: [plain]}").clients == read("api-keys: [plain]").clients


WRONG = [
    ("{name: a}", "has no key: expected key or key-hash"),
    (f"{{key-hash: '{HASH}'}}", "has key-hash and no name"),
    (f"{{name: a, key: b, key-hash: '{HASH}'}}", "is set together with key-hash"),
    ("{name: a, key-hash: secret}", "expected sha256: and 64 hexadecimal digits"),
    ("{name: key-1f9a03c2, key: b}", "cannot be a client's name"),
    ("{name: 'a b', key: b}", "cannot be a client's name"),
    ("{name: a, key: your-api-key-1}", "is a public placeholder"),
    ("{name: a, key: b, models: []}", "is an empty list"),
    ("{name: a, key: b, models: }", "is empty"),
    ("{name: a, key: b, routes: []}", "is an empty list"),
    ("{name: a, key: b, routes: [model]}", "did you mean models?"),
    ("{name: a, key: b, expires: soon}", "expected a date"),
    (f"{{name: a, key: b, old-key-hash: '{HASH}'}}", "needs old-until"),
    ("{name: a, key: b, limits: {usd-per-day: 0}}", "expected an amount of US dollars above 0"),
    ("{name: a, key: b, limits: {requests-per-day: 0}}", "expected a whole number, 1 or more"),
    ("{name: a, key: b, limits: {tokens-per-day: }}", "is empty"),
    ("{name: A, key: b}, {name: a, key: c}", "has the name of api-keys[0], too"),
    (f"{{name: a, key: secret-of-ci}}, {{name: b, key-hash: '{HASH}'}}", "has the key of api-keys[0], too"),
    ("b, {name: a, key: b}", "has the key of api-keys[0], too"),
]


@pytest.mark.parametrize(("entry", "complaint"), WRONG)
def test_wrong(entry, complaint):
    """Each mistake is an error: an entry must never open more than its owner wrote."""
    found = complaints(f"api-keys: [{entry}]")
    assert complaint in found[0]
    assert "secret" not in found[0].partition("expected")[0]


def test_unknown_setting_is_told():
    """A slip in a limit's name is told, with the one that is meant."""
    (warning,) = read("api-keys: [{name: a, key: b, limits: {request-per-day: 3}}]").warnings
    assert "did you mean requests-per-day?" in warning


def test_hashes_alone_are_keys():
    """A configuration whose keys are all hashed is one that asks for a key."""
    config = read(f"host: 0.0.0.0\napi-keys: [{{name: ci, key-hash: '{HASH}'}}]")
    assert config.api_keys == ()
    assert len(config.clients) == 1


def test_changes():
    """A reload tells what differs by name, and no key."""
    before = read("api-keys: [a, {name: ci, key: x, limits: {requests-per-day: 3}}, {name: old, key: y}]")
    after = read("api-keys: [b, {name: ci, key: z, limits: {requests-per-day: 4}}, {name: new, key: y}]")
    assert changes(before, after) == (
        "api-keys: old removed; new added; ci: another key, limits changed; 1 added, 1 removed",
    )
    turned = read("api-keys: [{name: old, key: y}, {name: ci, key: x, limits: {requests-per-day: 3}}, a]")
    assert changes(before, turned) == ("api-keys: in another order",)
