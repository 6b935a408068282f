"""``state``: where Redis is, and every mistake in the section."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.changes import changes
from ampproxy.config.load import parse
from ampproxy.credentials.secrets import secrets_of
from ampproxy.errors import ConfigError
from ampproxy.model.sharing import RedisAddress, StateSettings
from ampproxy.wire.redact import Secret

FILES = {Path("/run/redis"): "redis://:canary-file@h/1", Path("/run/password"): "canary-second"}


def read(text, environ=None):
    return parse(text, name="c.yaml", environ=environ or {}, home=Path("/h"), read_secret=FILES.__getitem__)


URLS = [
    ("redis://h", RedisAddress((("h", 6379),)), "redis://h:6379/0"),
    ("redis://h:7/2", RedisAddress((("h", 7),), database=2), "redis://h:7/2"),
    ("redis://[::1]:7", RedisAddress((("::1", 7),)), "redis://[::1]:7/0"),
    (
        "rediss://me:canary%2Fp%40ss@h/1",
        RedisAddress((("h", 6379),), tls=True, database=1, username="me", password=Secret("canary/p@ss")),
        "rediss://h:6379/1",
    ),
    ("redis://:canary@h", RedisAddress((("h", 6379),), password=Secret("canary")), "redis://h:6379/0"),
    ("unix:///run/redis.sock", RedisAddress(socket="/run/redis.sock"), "unix:///run/redis.sock?db=0"),
    (
        "unix://me:canary@/run/r.sock?db=3",
        RedisAddress(socket="/run/r.sock", database=3, username="me", password=Secret("canary")),
        "unix:///run/r.sock?db=3",
    ),
    (
        "rediss+sentinel://me:canary@a,b:7,[::1]/team/2",
        RedisAddress(
            (("a", 26379), ("b", 7), ("::1", 26379)),
            tls=True,
            service="team",
            database=2,
            username="me",
            password=Secret("canary"),
        ),
        "rediss+sentinel://a:26379,b:7,[::1]:26379/team/2",
    ),
]


@pytest.mark.parametrize(("text", "address", "shown"), URLS, ids=[row[2] for row in URLS])
def test_urls(text, address, shown):
    """What each names; people see it without user and password."""
    config = read(f"state:\n  url: '{text}'")
    assert config.state.url == address
    assert str(config.state.url) == shown
    assert "canary" not in str(config.state) + repr(config)


def test_section():
    """All that it can say; what is secret is known as such."""
    config = read(
        """
        state:
          url: file:/run/redis
          password: file:/run/password
          sentinel-password: ${SENTINEL}
          prefix: team
          when-away: fail-closed
          timeout: 500ms
        """,
        {"SENTINEL": "canary-third"},
    )
    assert config.state == StateSettings(
        url=RedisAddress((("h", 6379),), database=1, password=Secret("canary-file")),
        password=Secret("canary-second"),
        sentinel_password=Secret("canary-third"),
        prefix="team",
        when_away="fail-closed",
        timeout=0.5,
    )
    assert {"canary-file", "canary-second", "canary-third"} <= {one.reveal() for one in secrets_of(config)}
    assert config.warnings == ()


WRONG = [
    ("http://h", "is not a supported URL"),
    ("redis:///0", "is not a supported URL"),
    ("redis://h/a", "is not a supported URL"),
    ("redis://h/0/1", "is not a supported URL"),
    ("redis://h,i/0", "is not a supported URL"),
    ("redis://h:0", "is not a supported URL"),
    ("redis://h:x/0?timeout=3", "is not a supported URL"),
    ("redis+sentinel://h", "is not a supported URL"),
    ("unix://run", "is not a supported URL"),
    ("unix:///run?db=x", "is not a supported URL"),
    ("redis://h\n  cert: /c", "cert and key belong together"),
    ("redis://h\n  prefix: 'a b'", "expected up to 64 letters"),
    ("redis://h\n  when-away: open", "expected fail-open or fail-closed"),
    ("redis://h\n  timeout: 0", "longer than 0"),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_wrong(text, why):
    """What cannot be meant is refused with the reason, and not shown where a password may stand."""
    with pytest.raises(ConfigError) as refused:
        read(f"state:\n  url: {text}")
    found = "\n".join(refused.value.complaints)
    assert why in found
    assert text.partition("\n")[0] not in found


def test_certificates_without_tls():
    """Are warned of: they would vouch for nothing."""
    (warning,) = read("state: {url: 'redis://h', ca: /ca.pem}").warnings
    assert "rediss" in warning


def test_changes():
    """A reload shows what has changed, that it takes a restart, and no secret."""
    old = read("state: {url: 'redis://:canary-one@h', timeout: 1s}")
    new = read("state: {url: 'redis://:canary-two@h', timeout: 2s, password: canary-three}")
    found = changes(old, new)
    assert "state.timeout: 1s -> 2s (after a restart)" in found
    assert all(change.endswith("(after a restart)") for change in found)
    assert len(found) == 3
    assert "canary" not in str(found)
    assert changes(read("port: 8317"), new)[0] == "state: switched on (after a restart)"


def test_answers_that_are_kept():
    """Are not shared among gateways, and whoever has them kept is warned of it."""
    limits = "api-keys: [k]\nlimits: {max-stored: 1MiB}\n"
    assert read(limits).warnings == ()
    (warning,) = read(limits + "state: {url: 'redis://h'}").warnings
    assert warning.startswith("c.yaml:2: limits.max-stored")


def test_clients_without_a_name():
    """Whose limits would not be counted together are warned of."""
    limits = "limits: {requests-per-day: 5}"
    keys = f"api-keys:\n  - {{key: one, {limits}}}\n  - {{key: two, name: ci, {limits}}}\n"
    assert read(keys).warnings == ()
    (warning,) = read(keys + "state: {url: 'redis://h'}").warnings
    assert warning.startswith("c.yaml:2: api-keys[].limits")
