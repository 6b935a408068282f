"""The description of Amp's actors, ``GET /actors/metadata``: where a client finds them.

A ``clientEndpoint`` in it is the address that the client uses from then on, with ``clientNamespace`` and
``clientToken``: past the gateway, where it names the upstream or a third host.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from ampproxy.wire.json import members, replace_members, string

#: The description is some hundred bytes long.
MAX_BYTES = 64 * 1024


def keep_here(body: bytes, here: str) -> bytes:
    """The description with its ``clientEndpoint`` at the client's own address of the gateway; every other
    byte as it was. Anything that has none comes back as it is.

    A namespace and a token that the endpoint itself holds, as user name and password, stay in it.

    :param here: the origin that the client used.
    """
    values = members(body)
    raw = None if values is None else values.get("clientEndpoint")
    named = None if raw is None else string(raw)
    if not named:
        return body
    user, at, _ = named.partition("://")[2].partition("/")[0].rpartition("@")
    scheme, _, authority = here.partition("://")
    endpoint = f"{scheme}://{user}{at}{authority}/actors"
    if _same(named, endpoint):
        return body
    return replace_members(body, {"clientEndpoint": json.dumps(endpoint, ensure_ascii=False).encode()})


def _same(one: str, other: str) -> bool:
    try:
        return urlsplit(one)._replace(path="") == urlsplit(other)._replace(path="")
    except ValueError:
        return False
