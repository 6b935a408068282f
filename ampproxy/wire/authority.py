"""Authorities: the host and the port of ``Host`` and ``Origin`` headers, in one form."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from ampproxy.model.base import Value
from ampproxy.wire.late import LatePattern

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: ``uri-host [":" port]`` (RFC 9110, section 7.2), of which nobody here needs escapes or user names.
_AUTHORITY = LatePattern(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45}(?:%(?:25)?[A-Za-z0-9._~-]{1,32})?)\]|(?P<name>[A-Za-z0-9_.-]{1,254}))"
    r"(?::(?P<port>[0-9]{0,5}))?"
)
_ORIGIN = LatePattern(r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<authority>[^/?#@]+)")


class Authority(Value, frozen=True):
    """A host, and the port if one is named.

    :param host: lower case, without a dot at its end; an IPv6 address in its shortest form, without brackets.
    """

    host: str
    port: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether the host is an address, which no page can have as its own name."""
        return _address(self.host) is not None


def parse_authority(text: bytes | str) -> Authority | None:
    """An authority; ``None`` if it is none, or one that nothing can have: a host that is misspelt, an address
    that is none of a single machine (``0.0.0.0``), a port out of range, a user name before it.
    """
    match = _AUTHORITY.fullmatch(text.decode("ascii", "replace") if isinstance(text, bytes) else text)
    if match is None:
        return None
    host = _canonical(match["v6"], match["name"])
    port = int(match["port"]) if match["port"] else None
    if host is None or (port is not None and not 0 < port < 65536):
        return None
    return Authority(host, port)


def listed_authority(entry: str) -> Authority | None:
    """An entry of ``allowed-hosts``, which has IPv6 addresses without brackets where no port is named."""
    return parse_authority(f"[{entry}]" if entry.count(":") > 1 and "[" not in entry else entry)


def parse_origin(text: bytes) -> tuple[str, Authority] | None:
    """The scheme and the authority of a web page, its port always named; ``None`` for anything else,
    ``null`` included.
    """
    match = _ORIGIN.fullmatch(text.decode("ascii", "replace"))
    if match is None:
        return None
    authority = parse_authority(match["authority"])
    scheme = match["scheme"].lower()
    return None if authority is None else (scheme, with_port(authority, scheme))


def with_port(authority: Authority, scheme: str) -> Authority:
    """An authority with the port that its scheme implies where none is named."""
    return authority if authority.port is not None else Authority(authority.host, _DEFAULT_PORTS[scheme])


def shown_authority(authority: Authority) -> str:
    """An authority as it stands in a URL."""
    host = f"[{authority.host}]" if ":" in authority.host else authority.host
    return host if authority.port is None else f"{host}:{authority.port}"


def _canonical(v6: str | None, name: str | None) -> str | None:
    if v6 is not None:
        found = _address(v6)
        return str(found) if isinstance(found, IPv6Address) and _is_of_one(found) else None
    host = (name or "").lower().removesuffix(".")
    if not host or host.startswith(".") or ".." in host:
        return None
    if host.rpartition(".")[2].isdigit():
        # Numbers at the end make an address of it, or nothing.
        found = _address(host)
        return host if found is not None and _is_of_one(found) else None
    return host


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_of_one(address: IPv4Address | IPv6Address) -> bool:
    """Whether one machine can have this address. Systems take ``0.0.0.0`` and ``::`` for this one."""
    mapped = getattr(address, "ipv4_mapped", None) or address
    return not (mapped.is_multicast or mapped.packed[-4:] == b"\xff" * 4 or _is_nobody(mapped))


def _is_nobody(address: IPv4Address | IPv6Address) -> bool:
    return address.packed[0] == 0 if isinstance(address, IPv4Address) else address.is_unspecified
