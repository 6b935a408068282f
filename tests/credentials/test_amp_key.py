"""Which key the Amp upstream is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.credentials.amp import SECRETS_MEMBER, AmpKeys
from ampproxy.errors import ConfigError

UPSTREAM = "ampcode: {upstream-url: 'https://amp.test'}\n"


def configured(text, environ=None):
    return parse(text, name="c.yaml", environ=environ or {}, home=Path("/h"), read_secret=lambda path: "")


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


def test_check_warns_of_the_environment():
    """The configuration's warnings tell of a client's key in AMP_API_KEY, where it would be used."""
    text = f"api-keys: [mine]\n{UPSTREAM}"
    (warning,) = configured(text, {"AMP_API_KEY": "mine"}).warnings
    assert "AMP_API_KEY in the environment is one of api-keys" in warning
    own = "api-keys: [mine]\nampcode: {upstream-url: 'https://amp.test', upstream-api-key: amps}\n"
    assert configured(own, {"AMP_API_KEY": "mine"}).warnings == ()
    assert configured(text, {"AMP_API_KEY": "amps"}).warnings == ()
