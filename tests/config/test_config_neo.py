"""``neo``: the key for Amp's cloud, and every mistake in the section."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.changes import changes
from ampproxy.config.load import parse
from ampproxy.credentials.secrets import secrets_of
from ampproxy.errors import ConfigError
from ampproxy.model.clients import ClientKey, KeyLimit, hash_of
from ampproxy.model.neo import Neo
from ampproxy.wire.redact import Secret

HASH = f"sha256:{hash_of('neo-key')}"


def read(text, environ=None):
    return parse(text, name="c.yaml", environ=environ or {}, home=Path("/h"), read_secret=lambda path: "")


def complaints(text, environ=None):
    with pytest.raises(ConfigError) as refused:
        read(text, environ)
    return "\n".join(refused.value.complaints)


def test_section():
    """All that it can say."""
    config = read(
        f"""
        neo:
          public-url: https://gw.example.org/
          listen: 127.0.0.1:8319
          key-hash: {HASH}
          old-key-hash: sha256:{hash_of("old")}
          old-until: 2026-12-01T10:00+02:00
          models: [Claude-*]
          accounts: [claude-api-key*]
          limits: {{requests-per-day: 5, usd-per-month: 2.5, concurrent: 3}}
          first-sign: 10s
          failure-delay: 0
          failure-delay-max: 2s
          failure-reset: 10m
          failure-peers: 7
          failure-waiting: 5
          failure-log: 3
          record-shapes: true
        """
    )
    assert config.warnings == ()
    assert config.clients == ()
    assert config.neo == Neo(
        client=ClientKey(
            name="amp-cloud",
            hash=hash_of("neo-key"),
            old_hash=hash_of("old"),
            old_until=1796112000.0,
            models=("claude-*",),
            accounts=("claude-api-key*",),
            routes=("neo",),
            amp=False,
            limits=(KeyLimit("requests", "day", 5), KeyLimit("usd", "month", 2_500_000)),
            concurrent=3,
        ),
        public_url="https://gw.example.org",
        host="127.0.0.1",
        port=8319,
        first_sign=10.0,
        failure_delay=0.0,
        failure_longest=2.0,
        failure_reset=600.0,
        failure_peers=7,
        failure_waiting=5,
        failure_logged=3,
        record_shapes=True,
    )
    assert config.neo.public_host == "gw.example.org"
    assert config.neo.client.is_restricted


def test_without_section():
    """Nothing is for Amp's cloud."""
    assert read("port: 1").neo is None
    assert read("neo:\nport: 1").neo is None


def test_key_is_a_secret():
    """No log or error shows it."""
    assert Secret("canary") in secrets_of(read("neo: {key: canary}"))


KEYS = f"neo: {{key-hash: '{HASH}'}}\n"
WRONG = [
    ("no key", "neo: {public-url: https://a.b}", {}, "has no key: expected key or key-hash"),
    ("two", f"neo: {{key: a, key-hash: '{HASH}'}}", {}, "is set together with key-hash"),
    ("path", "neo: {key: a, public-url: https://a.b/v1}", {}, "has a path"),
    ("clear", "neo: {key: a, public-url: http://a.b}", {}, "expected https://"),
    ("address", "neo: {key: a, listen: 8319}", {}, "an address with a port"),
    ("same port", "neo: {key: a, listen: '127.0.0.1:8317'}", {}, "expected another port"),
    ("no certificate", "neo: {key: a, listen: '127.0.0.1:1', tls: true}", {}, "there is no certificate"),
    ("client's", f"{KEYS}api-keys: [neo-key]", {}, "also one of api-keys"),
    ("named so", f"{KEYS}api-keys: [{{name: Amp-Cloud, key: x}}]", {}, "name that entry of api-keys"),
    ("Amp's", f"{KEYS}ampcode: {{upstream-api-key: neo-key}}", {}, "one of Amp's own"),
    (
        "Amp's, of a client",
        f"{KEYS}api-keys: [{{key: x, upstream-api-key: neo-key}}]",
        {},
        "one of Amp's own",
    ),
    ("environment's", KEYS, {"AMP_API_KEY": "neo-key"}, "one of Amp's own"),
    ("no patterns", "neo: {key: a, models: []}", {}, "is an empty list"),
    ("no limits", "neo: {key: a, limits: }", {}, "is empty"),
]


@pytest.mark.parametrize(
    ("text", "environ", "why"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_wrong(text, environ, why):
    """What would open more than is meant, or could not work, is refused with the reason."""
    found = complaints(text, environ)
    assert why in found
    assert "neo-key" not in found


def test_listener_in_clear():
    """A listener for other machines without TLS is warned of; one for a tunnel on this machine is not."""
    assert "sent unencrypted" in "".join(read("neo: {key: a, listen: '0.0.0.0:8319'}").warnings)
    assert read("neo: {key: a, listen: '127.0.0.1:8319'}").warnings == ()


def test_http_on_this_machine():
    """For trying it, without a certificate."""
    assert read("neo: {key: a, public-url: http://localhost:8319}").neo.public_host == "localhost:8319"


def test_changes():
    """A reload tells what has changed, never the key."""
    old = read("neo: {key: canary-one, listen: '127.0.0.1:1'}")
    new = read("neo: {key: canary-two, listen: '127.0.0.1:2', models: [a], first-sign: 5s}")
    assert changes(old, new) == (
        "neo.listen: 127.0.0.1:1 -> 127.0.0.1:2",
        "neo.first-sign: 25s -> 5s",
        "neo: another key, models changed",
    )
    assert changes(read("port: 8317"), new)[0] == "neo: switched on"
    assert "canary" not in str(changes(read("port: 8317"), new))
