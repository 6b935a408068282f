"""What the way of a request depends on, found in one look at its body."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect
from ampproxy.dialects.proof import MARK as _MARK
from ampproxy.model.base import Value
from ampproxy.wire.json import Peek, peek

MARK = _MARK.encode()


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
    found = peek(body)
    mixed = dialect.passthrough.mixed(found, body)
    for trace in dialect.passthrough.traces:
        # From the end: in large bodies that search is several times faster.
        if body.rfind(trace) >= 0:
            return BodyFacts(found, True, body.rfind(MARK) >= 0, mixed)
    return BodyFacts(found, False, False, mixed)
