"""URLs of databases: what of them may be shown, and what not."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit


def passwords_in(url: str) -> list[str]:
    """The passwords in a URL as libpq takes it, as they stand there and as they are meant."""
    parts = urlsplit(url)
    # Not ``parts.password``: of several hosts it would give nonsense.
    login, at, _ = parts.netloc.rpartition("@")
    _, _, password = login.partition(":") if at else ("", "", "")
    found = [password, unquote(password)]
    found += [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    return list(dict.fromkeys(filter(None, found)))


def shown(url: str) -> str:
    """A URL without user, password and options: ``postgresql://db.example.com/ampproxy``."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    options = dict(parse_qsl(parts.query))
    return f"{parts.scheme}://{hosts or options.get('host', '')}{parts.path}"
