"""What the streams of all dialects have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ampproxy.model.base import Json
from ampproxy.wire.values import bytes_of

#: A vendor's id that is longer is not taken over: each event of a stream may repeat it.
LONGEST_ID: Final = 256
#: Bytes of members that each event of a stream may repeat.
_MOST_REPEATED: Final = 2048


def repeated(extras: Mapping[str, Json]) -> dict[str, Json]:
    """Those of an answer's members that each event of its stream may repeat: all that any vendor gives.

    What is large and told once must not be sent ten thousand times.
    """
    kept: dict[str, Json] = {}
    room = _MOST_REPEATED
    for name, raw in extras.items():
        room -= len(name) + len(bytes_of(raw))
        if room >= 0:
            kept[name] = raw
    return kept
