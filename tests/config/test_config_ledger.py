"""Where the ledger is: the URL of a database, and its password, which no text shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.changes import changes
from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.credentials.secrets import embedded_secrets, secrets_of
from ampproxy.errors import ConfigError
from ampproxy.model.databases import passwords_in, shown

URL = "postgresql://me:p%40ss-word@one:5432,two/ledger?sslmode=verify-full&password=in-a-query"


def read(text: str, environ: dict[str, str] | None = None) -> Config:
    return parse(text, name="c", environ=environ or {}, home=Path("/home/u"), read_secret=lambda path: URL)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ledger: {url: 'mysql://h/d'}", "ledger.url: is not a supported URL: expected postgresql://"),
        ("ledger: {url: db.example.com}", "ledger.url: is not a supported URL"),
        ("ledger: {url: 'postgresql://h/d x'}", "ledger.url: is not a supported URL"),
        ("ledger: {url: 'postgresql://me:a#b@h/d'}", "ledger.url: has a fragment"),
        ("ledger: {url: '${NOTHING}'}", "NOTHING"),
        ("ledger: {url: 'postgresql://h/d', spool-size: 1KiB}", "ledger.spool-size: leaves no room"),
        ("ledger: {url: 'postgresql://h/d', timeout: 0}", "ledger.timeout: expected a duration"),
    ],
)
def test_complaints(text: str, why: str) -> None:
    """Each names its setting; none shows a URL, which may hold a password."""
    with pytest.raises(ConfigError) as failed:
        read(text)
    (complaint,) = failed.value.complaints
    assert why in complaint
    assert "me:a" not in complaint


@pytest.mark.parametrize("text", ["postgresql:///d?host=/run", "postgres://a@[::1]:5432,b/d", URL])
def test_urls(text: str) -> None:
    """As libpq takes them: of a socket, of several hosts; from the file, the environment or another file."""
    for written in (text, "${DATABASE_URL}"):
        url = read(f"ledger: {{url: '{written}'}}", {"DATABASE_URL": text}).ledger.url
        assert url is not None
        assert url.reveal() == text
    url = read("ledger: {url: 'file:/run/url'}").ledger.url
    assert url is not None
    assert url.reveal() == URL


def test_a_password_without_a_database() -> None:
    """It is of no use, and may belong elsewhere."""
    assert read("ledger: {password: x}").warnings == ("c:1: ledger.password: has no effect without url",)


def test_every_password_is_a_secret() -> None:
    """Of the URL as written and as meant, and the setting; a URL without one is no secret in the file."""
    config = read(f"ledger: {{url: '{URL}', password: canary-password}}")
    secrets = {secret.reveal() for secret in secrets_of(config)}
    assert secrets >= {"p%40ss-word", "p@ss-word", "in-a-query", "canary-password"}
    assert set(embedded_secrets(config)) >= {"p@ss-word", "in-a-query"}
    assert "ss-word" not in repr(config)
    assert config.literal == ("ledger.url", "ledger.password")
    plain = read("ledger: {url: 'postgresql://me@db/ledger'}")
    assert plain.literal == ()
    assert not any("ss-word" in text for text in changes(plain, config))


def test_what_of_a_url_is_shown() -> None:
    """Where it is; not who, nor what else is in it."""
    assert shown(URL) == "postgresql://one:5432,two/ledger"
    assert shown("postgresql://u@/d?host=/run/pg&password=x") == "postgresql:///run/pg/d"
    assert passwords_in("postgresql://me@db/x") == []
