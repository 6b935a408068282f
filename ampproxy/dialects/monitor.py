"""Watching a stream go by: has its dialect's own end come, and what did it cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ampproxy.model.events import Usage
from ampproxy.wire.json import NULL, elements, members, string
from ampproxy.wire.values import encode, loads

Raw = msgspec.Raw
#: An object's members: name -> exact text of the value.
Members: TypeAlias = Mapping[str, Raw]
#: OpenAI's end mark; servers of other dialects send it behind their last event.
DONE = b"[DONE]"
#: Data by which servers and proxies only show that they live, and which has no place in any dialect.
_SIGN_OF_LIFE = re.compile(
    rb'\s*(?:null|\{\s*\}|[\["]{0,2}(?:ping|pong|keep[-_]?alive|heartbeat)["\]]{0,2})\s*', re.IGNORECASE
)
#: Values that stand for none.
NOTHING = frozenset((b"null", b'""', b"{}", b"[]", b"false"))
#: What OpenAI reports beside the usage, and Gemini in it.
TIER = "service_tier"
#: So much of a stream's calls is kept at most. Bytes.
MOST_KEPT = 1024 * 1024
#: How far behind its bracket the first object of a list is looked for. Bytes.
_GLANCE = 4096
_OBJECTS = re.compile(rb"\[\s*\{")
_NO_OBJECTS = re.compile(rb"\[\s*\]")
#: A name that is empty: calls what cannot be called. Within a string each quote has a backslash before it.
NO_NAME = re.compile(rb'"name"\s*:\s*""')


def inner(values: Members, name: str) -> Members:
    """The members of an object within; none of anything else."""
    value = values.get(name)
    return {} if value is None else members(value) or {}


def items(values: Members, name: str) -> list[Raw]:
    """The elements of a list within; none of anything else."""
    return elements(values.get(name))


def plain(values: Members) -> dict[str, Any]:
    """The members as plain values."""
    return {name: loads(raw) for name, raw in values.items()}


def is_sign_of_life(data: bytes) -> bool:
    """Whether an event's data is a mere sign of life, though its name does not say so."""
    return len(data) < 64 and _SIGN_OF_LIFE.fullmatch(data) is not None


def given(values: Members, name: str) -> bool:
    """Whether a member has a value."""
    return bytes(values.get(name, NULL)) not in NOTHING


def tiered(usage: Members, answer: Members) -> Members:
    """A usage that is there, and what its answer reports of how it was served."""
    return {**usage, TIER: answer[TIER]} if usage and TIER in answer else usage


class StreamMonitor:
    """Looks at the events of one stream that may matter.

    :ivar content: something of the answer itself was seen, and not only that there will be one.
    :ivar terminal: the dialect's terminal event, or an error event, was seen.
    :ivar failed: that was an error event.
    :ivar unended: it came though the vendor never declared how the answer ended, which may be cut off.
    :ivar empty: it came though nothing of an answer had, or the answer is nothing.
    :ivar finished: the answer is complete, and the stream may end here, though something may follow.
    :ivar doubtful: an event ended the answer, or a part of it, in a way that is not plainly good: the
        dialect's own reader has to judge, from that event and those that were kept.
    :ivar kept: events of calls, in order, as far as they are needed to judge.
    :ivar spoken: words, thinking or a call came.
    :ivar lacking: events that have to go before the one that was seen, and that the vendor left out.
    :ivar uncalled: what was seen ends an answer of words as if it had called a tool.
    :ivar usage: the last that was reported.
    """

    __slots__ = (
        *("_kept_size", "_usage", "content", "doubtful", "empty", "failed"),
        *("finished", "kept", "lacking", "spoken", "terminal", "uncalled", "unended"),
    )

    #: Makes one usage of all that was reported.
    read: Callable[[Members], Usage]

    def __init__(self) -> None:
        self.terminal = self.finished = self.failed = self.empty = self.unended = self.doubtful = False
        self.content = self.spoken = self.uncalled = False
        self.kept: list[bytes] = []
        self.lacking: list[bytes] = []
        self._kept_size = 0
        self._usage: dict[str, Raw] = {}

    def see(self, name: bytes, data: bytes, values: Members | None = None) -> bool:
        """Look at an event.

        :param values: its members, where they have been read already.
        :returns: whether it can be one of the dialect: a JSON object that is part of an answer, an event of
            a kind that is not known here, or the mark that ends a stream.
        """
        values = members(data) if values is None else values
        if values is None:
            return data.strip() == DONE
        return self.look(string(values.get("type", NULL)) or name.decode("utf-8", "replace"), values)

    def look(self, kind: str, values: Members) -> bool:
        """Look at an event that is an object: its kind, empty if it names none, and its members.

        :returns: as :meth:`see`.
        """
        raise NotImplementedError

    def learn(self, usage: Raw, answer: Members | None = None) -> None:
        """Add what an event reports of the usage, and what stands beside it in ``answer``."""
        # Later reports are cumulative and may leave out what did not change.
        found: Members = members(usage) or {}
        if answer is not None:
            found = tiered(found, answer)
        self._usage.update((name, value) for name, value in found.items() if value != NULL)

    def keep(self, events: bytes) -> None:
        """Keep events of calls. Of those beyond all measure nothing is: half of a call proves nothing."""
        self._kept_size += len(events)
        if self._kept_size <= MOST_KEPT:
            self.kept.append(events)
        else:
            self.kept = []

    def forget(self) -> None:
        """What was kept is not needed any more."""
        if self.kept:
            self.kept, self._kept_size = [], 0

    def counts_nothing(self) -> bool:
        """Whether the answer is empty by the vendor's own count."""
        return not self.spoken and (usage := self.usage) is not None and usage.answers_nothing

    def close(self) -> None:
        """This was the terminal event."""
        self.terminal = self.finished = True

    def fail(self) -> None:
        """This was an error event."""
        self.failed = True
        self.close()

    @property
    def usage(self) -> Usage | None:
        """The usage of the stream so far; ``None`` if none was reported."""
        return type(self).read(self._usage) if self._usage else None


def made(name: str, **values: Any) -> bytes:
    """An event that a vendor left out."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode({"type": name, **values}))


def has_list(values: Members, name: str, *, may_be_empty: bool) -> bool:
    """Whether the members of a whole answer have a list of objects and no error, by a glance that builds
    nothing. Where this is false the dialect's own reader decides: it may be a refusal, an error, or no
    answer.

    :param name: of the list that every whole answer of the dialect has.
    """
    beginning = memoryview(values.get(name, NULL))[:_GLANCE].tobytes()
    listed = _OBJECTS.match(beginning) or (may_be_empty and _NO_OBJECTS.match(beginning))
    return bool(listed) and not given(values, "error")
