"""Where a credential may be sent: its own scheme, host, port and path prefix, and nowhere else."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ampproxy.errors import GatewayFault

_PORTS = {"https": 443, "http": 80}


class Scope:
    """What lies below one base URL.

    :param base_url: as the settings have it; its query does not count.
    """

    __slots__ = ("_origin", "_prefix")

    def __init__(self, base_url: str) -> None:
        self._origin, path = _parts(base_url)
        self._prefix = path.rstrip("/") + "/"

    def __contains__(self, url: str) -> bool:
        try:
            origin, path = _parts(url)
        except ValueError:
            return False
        # A server that resolves these, escaped or not, would leave the prefix.
        segments = unquote(path).replace("\\", "/").split("/")
        return origin == self._origin and path.startswith(self._prefix) and not {".", ".."} & set(segments)

    def check(self, url: str) -> None:
        """Hold a request back that would carry the credential elsewhere.

        :raises GatewayFault: ``url`` does not lie here.
        """
        if url not in self:
            raise GatewayFault.of("internal", "A login's token was about to be sent to another origin.")


def _parts(url: str) -> tuple[tuple[str, str, int], str]:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("not a plain HTTP URL")
    return (parts.scheme, parts.hostname.lower(), parts.port or _PORTS[parts.scheme]), parts.path
