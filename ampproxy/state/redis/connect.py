"""Connections to Redis, by redis-py: to a server, by a Unix socket, or to the master that Sentinels name."""

from __future__ import annotations

import ssl
from typing import Any

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from ampproxy.model.sharing import StateSettings
from ampproxy.wire.redact import Redactor, printable

#: What a command may fail with: redis-py's own errors, the system's, and TLS's.
FAILURES = (RedisError, OSError)
_MAX_REASON_CHARS = 200


def connect(settings: StateSettings) -> Redis:
    """A client, which connects when it is used first. Each thread has its own.

    :raises OSError: a file with certificates cannot be read.
    """
    url = settings.url
    shared: dict[str, Any] = {
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "protocol": 2,
    }
    own = shared | _who(settings) | {"db": url.database}
    if url.socket:
        return Redis(unix_socket_path=url.socket, **own)
    if url.tls:
        own |= _tls(settings)
    if not url.service:
        host, port = url.hosts[0]
        return Redis(host=host, port=port, **own)
    asked = shared | (_tls(settings) if url.tls else {})
    if settings.sentinel_password is not None:
        asked["password"] = settings.sentinel_password.reveal()
    sentinels: Any = Sentinel
    client: Redis = sentinels(list(url.hosts), sentinel_kwargs=asked).master_for(url.service, **own)
    return client


def _who(settings: StateSettings) -> dict[str, Any]:
    password = settings.password or settings.url.password
    who: dict[str, Any] = {} if password is None else {"password": password.reveal()}
    return who | ({"username": settings.url.username} if settings.url.username else {})


def _tls(settings: StateSettings) -> dict[str, Any]:
    made: dict[str, Any] = {"ssl": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2}
    if settings.ca is not None:
        made["ssl_ca_certs"] = str(settings.ca)
    if settings.cert is not None and settings.key is not None:
        made |= {"ssl_certfile": str(settings.cert), "ssl_keyfile": str(settings.key)}
    return made


def reason(error: BaseException, settings: StateSettings) -> str:
    """Why a command failed, in a few words and without a secret."""
    # Of Sentinels that name no master redis-py lists the clients, which help no one.
    words = str(error).partition(" : <")[0].strip() or type(error).__name__
    return printable(Redactor(settings.secrets).text(" ".join(words.split())))[:_MAX_REASON_CHARS].rstrip(".")
