"""The text in the events of a stream, whatever its dialect."""

from __future__ import annotations

import json

from ampproxy.wire.sse import EventReader

#: Where the text stands, in each of the dialects.
_PLACES: tuple[tuple[str | int, ...], ...] = (
    ("delta", "text"),
    ("choices", 0, "delta", "content"),
    ("delta",),
    ("candidates", 0, "content", "parts", 0, "text"),
)


def text_of(event: bytes) -> str:
    """The text that an event of any dialect adds to the answer; empty if it adds none."""
    if not event.startswith(b"{"):
        return ""
    whole = json.loads(event)
    for place in _PLACES:
        value = whole
        try:
            for step in place:
                value = value[step]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(value, str):
            return value
    return ""


def streamed_text(body: bytes) -> str:
    """The whole text of an event stream; empty for anything else."""
    reader = EventReader()
    return "".join(text_of(event) for _, event in [*reader.feed(body), *reader.end()])
