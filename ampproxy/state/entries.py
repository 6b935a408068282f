"""What is shared, as values."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import msgspec

#: The kinds of entries -> how many of each a hub keeps; beyond that those go first that end first.
KINDS: Final = MappingProxyType(
    {
        "cooldown": 20_000,
        "affinity": 100_000,
        "quota": 5_000,
        "lesson": 10_000,
        "pin": 100_000,
        "proof": 100_000,
        "models": 2_000,
        "declared": 2_000,
    }
)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One thing that is known.

    :param kind: a row of :data:`KINDS`.
    :param key: what it is about; no secret.
    :param value: what is known; ``None``: it has ended.
    :param ttl: seconds from now for which it is worth something.
    :param age: seconds since it was learned.
    """

    kind: str
    key: str
    value: bytes | None
    ttl: float
    age: float = 0.0


#: Entries as bytes, for links that carry bytes.
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode
