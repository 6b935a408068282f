"""By what several processes share what they know. See docs/scaling.md."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from ampproxy.model.base import Value
from ampproxy.wire.redact import Secret

#: What becomes of requests while the state cannot be shared.
WhenAway: TypeAlias = Literal["fail-open", "fail-closed"]

#: The default ports of Redis and of its Sentinel.
REDIS_PORT, SENTINEL_PORT = 6379, 26379


class RedisAddress(Value, frozen=True):
    """Where a Redis is, as a URL names it.

    :param hosts: names or addresses with ports; several only of Sentinels.
    :param socket: the path of a Unix socket, in place of a host.
    :param service: the name by which Sentinels know it; empty: there are none.
    :param username: of its ACL; empty: the default user.
    :param password: as the URL has it.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    socket: str = ""
    tls: bool = False
    service: str = ""
    database: int = 0
    username: str = ""
    password: Secret | None = None

    def __str__(self) -> str:
        """The URL without user and password."""
        if self.socket:
            return f"unix://{self.socket}?db={self.database}"
        scheme = ("rediss" if self.tls else "redis") + ("+sentinel" if self.service else "")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        service = f"{self.service}/" if self.service else ""
        return f"{scheme}://{hosts}/{service}{self.database}"


class StateSettings(Value, frozen=True, kw_only=True):
    """By what the state is shared (our own section ``state``).

    :param url: where Redis is.
    :param password: goes before the URL's.
    :param sentinel_password: of the Sentinels, where they have one of their own.
    :param ca: certificates that vouch for the server, PEM; ``None``: those of the system.
    :param cert: the certificate that is shown to the server, with ``key``.
    :param prefix: what the names of all keys and channels begin with.
    :param timeout: seconds for each command, and for connecting.
    """

    url: RedisAddress
    password: Secret | None = None
    sentinel_password: Secret | None = msgspec.field(default=None)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    prefix: str = "ampproxy"
    when_away: WhenAway = "fail-open"
    timeout: float = 1.0

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no log may show."""
        found = (self.url.password, self.password, self.sentinel_password)
        return tuple(secret for secret in found if secret is not None)
