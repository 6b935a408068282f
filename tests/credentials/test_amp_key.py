"""Which key the Amp upstream is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.credentials.amp import SECRETS_MEMBER, AmpKeys
from ampproxy.errors import ConfigError
from ampproxy.model.clients import hash_of
from ampproxy.wire.redact import Secret

UPSTREAM = "ampcode: {upstream-url: 'https://amp.test'}\n"


def configured(text, environ=None, *, lenient=False):
    return parse(
        text,
        name="c.yaml",
        environ=environ or {},
        home=Path("/h"),
        read_secret=lambda path: "",
        lenient=lenient,
    )


def found(text, home, **environ):
    keys = AmpKeys(configured(text), environ=environ, home=home)
    key = keys.find(None, 0.0)
    return ("" if key is None else key.reveal()), keys.complaint


def stored(home, key):
    path = home / ".local/share/amp/secrets.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({SECRETS_MEMBER: key}))
    return home


def test_from_the_environment(tmp_path):
    """AMP_API_KEY is Amp's key, where the configuration names none."""
    assert found(f"api-keys: [mine]\n{UPSTREAM}", tmp_path, AMP_API_KEY=" amps ") == ("amps", "")


def test_a_clients_key_in_the_environment(tmp_path):
    """A client's key in AMP_API_KEY is never sent to Amp; the next source is looked at."""
    text = f"api-keys: [other, mine]\n{UPSTREAM}"
    key, complaint = found(text, tmp_path, AMP_API_KEY="mine")
    assert (key, complaint) == ("", "AMP_API_KEY in the environment is one of the gateway's api-keys")
    assert found(text, stored(tmp_path, "amps"), AMP_API_KEY="mine")[0] == "amps"
    assert "mine" not in complaint


def test_a_clients_key_in_amps_file(tmp_path):
    """Likewise where Amp's own secrets file holds it."""
    key, complaint = found(f"api-keys: [mine]\n{UPSTREAM}", stored(tmp_path, "mine"))
    assert key == ""
    assert complaint.endswith("is one of the gateway's api-keys")


def test_what_a_sign_in_leaves(tmp_path):
    """The CLI renews a JWT, and nobody else does: it is named, and not sent when it has long ended."""
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzAxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
    key, complaint = found(UPSTREAM, stored(tmp_path, token))
    assert key == ""
    assert "OAuth" in complaint
    assert "ampcode.upstream-api-key" in complaint
    assert token not in complaint


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("  upstream-api-key: mine\n", 4),
        ("  upstream-api-keys:\n    - {upstream-api-key: mine, api-keys: [other]}\n", 4),
    ],
)
def test_refused_in_the_file(keys, line):
    """A client's key as an upstream key is an error with its line."""
    text = f"api-keys: [mine, other]\nampcode:\n  upstream-url: https://amp.test\n{keys}"
    with pytest.raises(ConfigError) as caught:
        configured(text)
    (complaint,) = caught.value.complaints
    assert complaint.startswith(f"c.yaml:{line}: ampcode.upstream-api-key")
    assert "is one of api-keys: a client's key must not be sent to Amp" in complaint


def test_refused_in_the_environment():
    """The service does not start with a client's key in AMP_API_KEY, where it would be sent to Amp.

    A command, whose environment is a client's as well, warns.
    """
    text = f"api-keys: [mine]\n{UPSTREAM}"
    with pytest.raises(ConfigError) as refused:
        configured(text, {"AMP_API_KEY": "mine"})
    (complaint,) = refused.value.complaints
    assert "AMP_API_KEY in the environment is one of api-keys" in complaint
    (warning,) = configured(text, {"AMP_API_KEY": "mine"}, lenient=True).warnings
    assert "AMP_API_KEY in the environment is one of api-keys" in warning
    own = "api-keys: [mine]\nampcode: {upstream-url: 'https://amp.test', upstream-api-key: amps}\n"
    assert configured(own, {"AMP_API_KEY": "mine"}).warnings == ()
    assert configured(text, {"AMP_API_KEY": "amps"}).warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "api-keys: [{name: a, key-hash: HASH}]\nampcode: {upstream-url: 'https://a', upstream-api-key: mine}",
        "api-keys: [{name: a, key: x, old-key-hash: HASH, old-until: 2040-01-01}]\n"
        "ampcode: {upstream-url: 'https://a', upstream-api-key: mine}",
        "api-keys: [mine, {name: a, key: b, upstream-api-key: mine}]",
    ],
)
def test_a_clients_key_is_found_by_its_hash(text):
    """Also where only its hash is stored, where a rotation replaced it, and as a client's own Amp key."""
    with pytest.raises(ConfigError) as refused:
        configured(text.replace("HASH", f"sha256:{hash_of('mine')}"))
    assert "a client's key must not be sent to Amp" in refused.value.complaints[0]


def test_a_client_with_a_key_of_its_own():
    """A client's own Amp key is used for it, whatever key of its name it came with."""
    config = configured(
        "api-keys: [{name: a, key: b, upstream-api-key: amp-a}, {name: c, key: d}]\n"
        "ampcode: {upstream-url: 'https://a', upstream-api-keys: [{upstream-api-key: amp-c, api-keys: [d]}]}"
    )
    keys = AmpKeys(config, environ={}, home=Path("/nonexistent"))
    own = [keys.find(client.identity, 0.0) for client in config.clients]
    assert own == [Secret("amp-a"), Secret("amp-c")]
