"""Logins as accounts of the configuration."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.fields import copy_fault
from ampproxy.config.schema import Account, OAuth
from ampproxy.credentials.oauth.credential import Credential
from ampproxy.credentials.oauth.failures import BadFile
from ampproxy.credentials.oauth.store import Store
from ampproxy.credentials.oauth.vendors import VENDORS
from ampproxy.wire.redact import Secret, printable

#: A login serves after the API keys, whose priority is 0, unless its file says otherwise: keys are
#: what the vendors mean for other programs.
PRIORITY = -1
_MOST_WEIGHT = 10**6
_BY_API = "gemini-api-login"
#: What a login's accounts are, unless it is used in another way.
_KINDS = {kind.login: name for name, kind in KINDS.items() if kind.login and name != _BY_API}


def logins_to_accounts(credentials: Iterable[Credential], settings: OAuth) -> tuple[Account, ...]:
    """The accounts of the logins that are switched on, in the order given.

    They hold the credentials themselves, so their tokens need no new accounts. A Google login with several
    projects is an account for each. Labels are unique: a second login of one address is told by its file.
    """
    shown = [credential for credential in credentials if not credential.login.disabled]
    count = Counter(credential.label for credential in shown)
    accounts: list[Account] = []
    for credential in shown:
        label = credential.label
        if count[label] > 1:
            label = f"{label} ({credential.login.name.removesuffix('.json')})"
        accounts += _accounts(credential, label, settings)
    return tuple(accounts)


def _accounts(credential: Credential, label: str, settings: OAuth) -> Iterable[Account]:
    login = credential.login
    client = VENDORS[login.kind].client(settings)
    kind = _KINDS[login.kind]
    base_url = client.base_url
    if login.kind == "gemini" and (login.backend or client.backend) == "api":
        kind, base_url = _BY_API, client.api_url
    tenants: tuple[str, ...] = (login.account_id,)
    if login.kind == "gemini":
        tenants = login.projects or (client.project,)
    for tenant in map(_header_value, tenants):
        yield Account(
            label=f"{label}/{tenant}" if len(tenants) > 1 else label,
            kind=kind,
            dialect=KINDS[kind].dialect,
            base_url=base_url,
            api_key=Secret(""),
            token=credential,
            tenant=tenant,
            beta=client.beta,
            aliases=client.aliases,
            **_own(login.document, client.excluded_models),
        )


def accounts_in(folder: Path, settings: OAuth, now: float) -> tuple[Account, ...]:
    """The accounts of the logins in a folder as it is now, for commands that only look.

    A file that cannot be read is left out.

    :raises OSError: the folder cannot be read.
    """
    store = Store(folder)
    found = []
    for name in store.names():
        try:
            login = store.read(name)
        except BadFile:
            continue
        if login is not None:
            found.append(Credential(login, 0.0, now))
    return logins_to_accounts(found, settings)


def unserved_in(folder: Path) -> tuple[str, ...]:
    """A sentence on each login in a folder whose kind is not served, for commands that only look.

    :raises OSError: the folder cannot be read.
    """
    store = Store(folder)
    kinds = ((name, store.unserved(name)) for name in store.names())
    return tuple(not_served(name, kind) for name, kind in kinds if kind)


def not_served(name: str, kind: str) -> str:
    """What is said of a login file whose kind is not served."""
    return f"{printable(name)} is a login of the kind {printable(kind[:40])}, which is not served"


def own_proxy(document: dict[str, Any]) -> str | None:
    """The proxy that a login's file names, or ``None``."""
    return _text(document.get("proxy_url")) or None


def _own(document: dict[str, Any], excluded: tuple[str, ...]) -> dict[str, Any]:
    """What CLIProxyAPI lets a file say of its account. What is not as it should be is left out.

    :param excluded: the models that no login at this vendor serves.
    """
    prefix = _text(document.get("prefix")).strip(" /")
    own = (_text(item).lower() for item in _list(document.get("excluded_models")))
    return {
        "priority": _whole(document.get("priority"), PRIORITY),
        "weight": min(_whole(document.get("weight"), 1), _MOST_WEIGHT),
        "prefix": "" if "/" in prefix else prefix,
        "proxy_url": own_proxy(document),
        "disable_cooling": document.get("disable_cooling") is True,
        "excluded_models": (*excluded, *own),
        "headers": _headers(document.get("headers")),
    }


def _whole(value: object, default: int) -> int:
    try:
        return int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else default
    except ValueError:
        return default


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) and value.isprintable() else ""


def _list(value: object) -> list[object]:
    return [item for item in value if _text(item)] if isinstance(value, list) else []


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    """Never the credential's own: a file's headers go where the account's base URL says, like its token."""
    if not isinstance(value, dict):
        return ()
    pairs = ((_text(name), _text(text)) for name, text in value.items())
    return tuple((name, text) for name, text in pairs if _is_header(name, text))


def _is_header(name: str, text: str) -> bool:
    if not (_HEADER.fullmatch(name) and _header_value(text)):
        return False
    return not (text.startswith("$") and copy_fault(name, text))


def _header_value(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ""


#: RFC 9110, section 5.6.2: a field name is a token.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
