"""What the way of a request depends on, found in one look at its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ampproxy.dialects.proof import MARK as _MARK
from ampproxy.model.base import Value
from ampproxy.wire.json import Peek, peek

if TYPE_CHECKING:
    from ampproxy.dialects.base import Dialect

MARK = _MARK.encode()


class Looked(Peek, frozen=True, gc=False):
    """What routing looks at, without the rest of what was read to find it.

    :param dialect: in which the body is written, or of which it has pieces, if it is not plainly its path's.
    """

    dialect: str = ""

    @classmethod
    def of(cls, found: Peek, dialect: str = "") -> Looked:
        """The same of a body, and its dialect."""
        known = found.model, found.stream, found.tools, found.choice, found.generation, found.configured
        return cls(*known, found.store, found.thread, dialect)


class Continued(Value, frozen=True):
    """What a request was before the conversation was added that it goes on from.

    :param previous: the id of the answer that it goes on from; empty: of none.
    :param items: of its own input.
    """

    previous: str
    items: tuple[bytes, ...]


class BodyFacts(Value, frozen=True):
    """What is known of a request's body.

    :param found: the members that routing looks at.
    :param thinks: whether its history may hold thinking.
    :param foreign_signatures: whether it may hold a proof that another vendor issued, in our mark.
    :param mixed: the dialect in which it is written, where that is not plainly its path's; empty: it is.
    :param continued: what it was by itself, where its answer may be kept; ``None``: it may not.
    """

    found: Peek
    thinks: bool
    foreign_signatures: bool
    mixed: str = ""
    continued: Continued | None = None

    def continuing(self, continued: Continued | None) -> BodyFacts:
        """The same facts of a request that was this by itself."""
        return replace(self, continued=continued)


def facts_of(dialect: Dialect, body: bytes) -> BodyFacts:
    """Look at a body.

    :raises ValueError: it is not valid JSON (the message names the byte), or not an object.
    """
    known = dialect.passthrough
    looked = known.look(body)
    if looked is None:
        found = peek(body)
        thinks = False
        for trace in known.traces:
            if body.rfind(trace) >= 0:
                thinks = True
                break
    else:
        found, thinks = looked
    mixed = found.dialect if type(found) is Looked else ""
    if not mixed and known.mixed is not None:
        mixed = known.mixed(found, body)
    return BodyFacts(found, thinks, thinks and body.rfind(MARK) >= 0, mixed)
