"""What the way of a request depends on, found in one look at its body."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect
from ampproxy.dialects.proof import MARK as _MARK
from ampproxy.model.base import Value
from ampproxy.wire.json import Peek, peek

MARK = _MARK.encode()

#: From this size on a search through a body takes longer than to read its messages' outlines. Bytes.
_LARGE = 64 * 1024


class BodyFacts(Value, frozen=True):
    """What is known of a request's body.

    :param found: the members that routing looks at.
    :param thinks: whether its history may hold thinking.
    :param sealed: whether it may hold a proof that another vendor issued, in our mark.
    :param mixed: the dialect in which it is written, where that is not plainly its path's; empty: it is.
    """

    found: Peek
    thinks: bool
    sealed: bool
    mixed: str = ""


def facts_of(dialect: Dialect, body: bytes) -> BodyFacts:
    """Look at a body.

    :raises ValueError: it is not valid JSON (the message tells the byte), or not an object.
    """
    known = dialect.passthrough
    looked = known.look(body) if len(body) > _LARGE else None
    if looked is None:
        found = peek(body)
        thinks = any(body.rfind(trace) >= 0 for trace in known.traces)
    else:
        found, thinks = looked
    return BodyFacts(found, thinks, thinks and body.rfind(MARK) >= 0, known.mixed(found, body))
