"""The proxies that a configuration names (``proxy-url``)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.model.base import Guarded

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_NO_PROXY = ("", "direct", "none")


def join(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ProxyFailed(Exception):
    """No tunnel through the proxy.

    :ivar proxy: how errors name it: ``host:port``, without credentials.
    :ivar reason: what happened on the way to it or in the handshake with it.
    """

    def __init__(self, proxy: str, reason: BaseException) -> None:
        super().__init__(proxy, reason)
        self.proxy = proxy
        self.reason = reason


class Proxy(Guarded, frozen=True):
    """A proxy's URL, taken apart.

    :param credentials: user name and password.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("credentials",))

    scheme: Literal["http", "https", "socks5", "socks5h"]
    host: str
    port: int
    credentials: tuple[str, str] | None = None

    @property
    def address(self) -> str:
        """How logs and errors name it."""
        return join(self.host, self.port)

    @classmethod
    def of(cls, url: str | None) -> Proxy | None:
        """Read ``proxy-url``; ``None`` where it means no proxy (absent, ``direct`` or ``none``).

        :raises ValueError: it names no proxy that we know; the message does not show it.
        """
        if url is None or url.strip().lower() in _NO_PROXY:
            return None
        parts = urlsplit(url.strip())
        scheme: Any = parts.scheme
        if scheme not in _PORTS or not parts.hostname or not url.isascii():
            raise ValueError(f"proxy-url: expected a URL that begins with {'://, '.join(_PORTS)}://")
        credentials = None
        if parts.username or parts.password:
            credentials = unquote(parts.username or ""), unquote(parts.password or "")
            _check(scheme, credentials)
        return cls(scheme, parts.hostname, parts.port or _PORTS[scheme], credentials)


def _check(scheme: str, credentials: tuple[str, str]) -> None:
    if scheme.startswith("http"):
        if ":" in credentials[0]:
            raise ValueError(
                "proxy-url: the user name must not contain a colon, which Basic authentication cannot express"
            )
    elif any(len(text.encode()) > 255 for text in credentials):
        raise ValueError("proxy-url: SOCKS5 accepts user names and passwords of up to 255 bytes")


def proxies(config: Config) -> set[str]:
    """Every ``proxy-url`` that a configuration names."""
    named = [config.proxy_url, *(account.proxy_url for account in config.accounts)]
    return {proxy for proxy in named if proxy}


def check_proxies(config: Config) -> None:
    """Find out at the start, not at the first request, that a proxy's URL cannot be used.

    :raises ConfigError: one cannot be.
    """
    places = [(config.place("proxy-url"), config.proxy_url)]
    places += [
        (config.place(f"{account.label}.proxy-url", account.line), account.proxy_url)
        for account in config.accounts
    ]
    complaints = []
    for place, url in places:
        try:
            Proxy.of(url or "")
        except ValueError as error:
            complaints.append(f"{place}: {error}")
    if complaints:
        raise ConfigError(tuple(complaints))
