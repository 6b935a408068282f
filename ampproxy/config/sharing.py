"""The section ``state``: by what several processes share what they know."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ampproxy.config import fields
from ampproxy.config.parsing import (
    AlreadyReported,
    InvalidValue,
    Location,
    ParsedSection,
    Reader,
    Section,
    Setting,
)
from ampproxy.config.schema import Config
from ampproxy.model.sharing import REDIS_PORT, SENTINEL_PORT, RedisAddress, StateSettings
from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import Secret, Unseen

_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")
_EXAMPLE = "redis://HOST:6379/0, rediss://HOST/0, unix:///PATH or redis+sentinel://HOST,HOST/SERVICE/0"
_PREFIX = LatePattern(r"[A-Za-z0-9._:{}-]{1,64}\Z")


def redis_address(text: str) -> RedisAddress:
    """What a URL of Redis names.

    :raises InvalidValue: it cannot be read. It is not shown, for it may hold a password.
    """
    try:
        parts = urlsplit(text)
        if parts.scheme == "unix":
            return _unix(parts.path, parts.query, parts.username, parts.password)
        if parts.scheme in _SCHEMES and not parts.query and not parts.fragment:
            return _network(parts.scheme, parts.netloc, parts.path)
    except ValueError:
        pass
    raise InvalidValue(f"is not a supported URL: expected {_EXAMPLE}")


def _unix(path: str, query: str, username: str | None, password: str | None) -> RedisAddress:
    database = int(parse_qs(query, strict_parsing=True)["db"][0]) if query else 0
    if not path.startswith("/"):
        raise ValueError("no path")
    return RedisAddress(
        socket=unquote(path), database=database, username=unquote(username or ""), password=_secret(password)
    )


def _network(scheme: str, netloc: str, path: str) -> RedisAddress:
    sentinel, words = scheme.endswith("+sentinel"), [unquote(word) for word in path.split("/") if word]
    who, _, where = netloc.rpartition("@")
    username, _, password = who.partition(":")
    service = words.pop(0) if sentinel and words else ""
    if len(words) > 1 or bool(service) != sentinel:
        raise ValueError("too many words, or no service")
    hosts = tuple(_host(host, SENTINEL_PORT if sentinel else REDIS_PORT) for host in where.split(","))
    if len(hosts) > 1 and not sentinel:
        raise ValueError("several hosts")
    return RedisAddress(
        hosts=hosts,
        tls=scheme.startswith("rediss"),
        service=service,
        database=int(words[0]) if words else 0,
        username=unquote(username),
        password=_secret(password),
    )


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0:
        raise ValueError("no host")
    return parts.hostname, parts.port or port


def _secret(text: str | None) -> Secret | None:
    return Secret(unquote(text)) if text else None


def _url(place: Location) -> RedisAddress:
    secret: Secret = fields.GIVEN_SECRET(place)
    if isinstance(secret, Unseen):
        return RedisAddress(((fields.UNSEEN_HOST, REDIS_PORT),), password=secret)
    return redis_address(secret.reveal())


def _prefix(place: Location) -> str:
    text = place.text()
    if not _PREFIX.match(text):
        raise InvalidValue("expected up to 64 letters, digits and characters of . _ : - { }")
    return text


def _state(found: ParsedSection) -> StateSettings:
    values: dict[str, Any] = dict(found.values)
    url: RedisAddress = values["url"]
    for name in ("ca", "cert"):
        if name in found.places and not url.tls:
            found.at(name).warn("has no effect without TLS: expected the URL to begin with rediss")
    if ("cert" in found.places) != ("key" in found.places):
        found.place.complain("cert and key belong together: expected both, or neither")
        raise AlreadyReported
    return StateSettings(**values)


def check_shared(found: ParsedSection, config: Config) -> None:
    """Clients are counted together by their names: a digest of a key has a salt of each gateway's own.
    Answers are kept by each gateway, for Redis holds no text.
    """
    if config.state is None:
        return
    if config.limits.max_stored:
        found.place.reading.warn(
            found.at("limits").line,
            "limits.max-stored",
            "keeps answers in each gateway's own memory: a client that goes on from one by its id has to come"
            " back to the same gateway, or send the conversation (setting: state)",
        )
    for client in config.clients:
        if client.limits and not client.name:
            found.place.reading.warn(
                client.line,
                "api-keys[].limits",
                "are counted by each gateway for itself, for the client has no name: give it one (setting:"
                " state)",
            )


STATE = Section(
    _state,
    (
        Setting(
            "url",
            Reader("Redis URL, or file:/path", _url),
            "The Redis to share by: `redis://` (`rediss://` with TLS) `[USER[:PASSWORD]@]HOST[:PORT]/NUMBER`,"
            " `unix:///PATH`, or `redis+sentinel://HOST,HOST/SERVICE/NUMBER`. Treated as a secret:"
            " `${ENV_VAR}` and `file:/path` work.",
            required=True,
        ),
        Setting("password", fields.GIVEN_SECRET, "The password, if it is not in `url`."),
        Setting("sentinel-password", fields.GIVEN_SECRET, "The password of the Sentinels, if they have one."),
        Setting("ca", fields.PATH, "PEM file with the certificates that Redis is verified by."),
        Setting("cert", fields.PATH, "PEM file with the certificate that is shown to Redis."),
        Setting("key", fields.PATH, "PEM file with that certificate's private key."),
        Setting(
            "prefix",
            Reader("text", _prefix),
            "What all keys and channels in Redis begin with: gateways with the same prefix share.",
            "ampproxy",
        ),
        Setting(
            "when-away",
            fields.choice("fail-open", "fail-closed"),
            "While Redis cannot be reached: serve by what this process knows, or answer with status 503.",
            "fail-open",
        ),
        Setting(
            "timeout", fields.duration(), "How long connecting to Redis, and each command, may take.", "1s"
        ),
    ),
)
