"""Names of client keys and accounts."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.web.http_headers import Headers

from ampproxy.config.load import parse
from ampproxy.credentials.names import NAME, account_name, client_name, kept_salt, read_salt
from ampproxy.server.guard import Guard
from ampproxy.wire.redact import Secret


def configured(text):
    return parse(text, name="c.yaml", environ={}, home=Path("/h"), read_secret=lambda path: "")


def label(keys, key, salt=b"salt"):
    guard = Guard(configured(f"api-keys: [{keys}]"), salt)
    client = guard.identify(Headers({b"x-api-key": [key.encode()]}), b"")
    return None if client is None else client.label


def test_clients_keep_their_names():
    """A key has the same name wherever it stands, and another one's never becomes its own."""
    assert label("anna, ben", "ben") == label("ben, anna", "ben") == label("ben", "ben")
    assert label("anna, ben", "anna") != label("anna, ben", "ben")
    assert label("anna, ben", "ben", b"another salt") != label("anna, ben", "ben")


def test_accounts_keep_their_names():
    """Likewise an account: its name tells its section, never its key."""
    first = configured("claude-api-key: [{api-key: one}, {api-key: two}]").accounts
    second = configured("claude-api-key: [{api-key: two}]").accounts
    assert account_name(first[1]) == account_name(second[0])
    assert account_name(first[0]) != account_name(first[1])
    assert account_name(first[0]).startswith("claude-api-key#")
    server = "openai-compatibility: [{name: local, base-url: 'http://a.test', models: [{name: m}]}]"
    assert account_name(configured(server).accounts[0]).startswith("openai-compatibility/local#")


def test_salt_is_kept(tmp_path):
    """Made once, for nobody else to read; one that cannot be right is replaced."""
    folder = tmp_path / "state"
    salt = kept_salt(folder)
    assert kept_salt(folder) == read_salt(folder) == salt
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    (folder / NAME).write_bytes(b"")
    assert read_salt(folder) is None
    again = kept_salt(folder)
    assert again != salt
    assert kept_salt(folder) == again
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert kept_salt(None) != kept_salt(None)
    assert "secret" not in client_name(Secret("secret"), salt)
