"""What a dialect's vendor keeps for its clients: responses, conversations, files, containers, threads; and
proofs of thinking that only the account can read that issued them.

All of it belongs to one account. A request refers to it by ids, an answer issues some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from ampproxy.dialects.json import loads
from ampproxy.model.base import Value
from ampproxy.model.loss import Loss
from ampproxy.wire.json import Peek

#: So many ids of one request, and of the beginning of one answer, are looked at.
MAX_IDS = 64
#: So deep they are looked for.
_DEEPEST = 16

#: Whether a proof is to be left out.
Foreign: TypeAlias = Callable[[str], bool]
#: A body without some proofs, and what that lost; the same object where it has none of them.
Without: TypeAlias = Callable[[bytes, Foreign], tuple[bytes, tuple[Loss, ...]]]


class Missing(Value, frozen=True, kw_only=True):
    """How the vendor reports that something is not there.

    :param details: of the error's object, for a client that looks there.
    """

    status: int = 404
    code: str = "not_found"
    param: str = ""
    details: Mapping[str, str] = msgspec.field(default_factory=dict)


class Issue(Value, frozen=True, kw_only=True):
    """Ids that answers issue.

    :param pattern: has the id in its first group.
    :param texts: no answer issues any without one of these; empty: without what the pattern says.
    :param counts: whether they do in an answer to this request; ``None``: in each.
    """

    pattern: re.Pattern[bytes]
    texts: tuple[bytes, ...] = ()
    counts: Callable[[Peek], bool] | None = None


class VendorState(Value, frozen=True, kw_only=True):
    """How requests and answers of a dialect refer to what the vendor keeps.

    :param marks: texts without which no request refers to anything.
    :param members: members of a request that hold an id, several, or an object with one.
    :param prefixes: how ids begin: what else stands in such a member is the client's own.
    :param issues: the ids that answers issue.
    :param tools: texts of tools whose answers issue ids anywhere; those of others do at their beginning.
    :param missing: how the vendor reports that a thing is not there, by the beginning of its id.
    :param proofs: texts without which no request holds a proof of thinking.
    :param without: leaves proofs out; ``None``: none is bound to an account.
    :param bound: whether proofs are always bound to the account; else only where a refusal says so.
    """

    marks: tuple[bytes, ...] = ()
    members: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    tools: tuple[bytes, ...] = ()
    missing: Mapping[str, Missing] = msgspec.field(default_factory=dict)
    proofs: tuple[bytes, ...] = ()
    without: Without | None = None
    bound: bool = False

    def may_refer(self, body: bytes) -> bool:
        """Whether a request may refer to something that is kept, by a glance at its bytes."""
        # From the end: in large bodies that search is several times faster.
        return any(body.rfind(mark) >= 0 for mark in self.marks)

    def references(self, body: bytes) -> tuple[str, ...]:
        """The ids that a request refers to."""
        found: dict[str, None] = {}
        for text in self._within(loads(body), 0):
            found[text] = None
            if len(found) == MAX_IDS:
                break
        return tuple(found)

    def issued(self, request: Peek, part: bytes) -> tuple[str, ...]:
        """The ids that a part of an answer issues to the request that it answers."""
        found: list[bytes] = []
        for issue in self.issues:
            if issue.counts is not None and not issue.counts(request):
                continue
            # A search for a text takes a tenth of the time of one for a pattern.
            if not issue.texts or _has_any(part, issue.texts):
                found += issue.pattern.findall(part)[:MAX_IDS]
        return tuple(dict.fromkeys(text.decode("ascii", "replace") for text in found)) if found else ()

    def missing_as(self, thing: str) -> Missing:
        """How the vendor reports that this is not there."""
        known = (missing for prefix, missing in self.missing.items() if thing.startswith(prefix))
        return next(known, Missing())

    def may_prove(self, body: bytes) -> bool:
        """Whether a request may hold proofs that are bound to an account."""
        return self.without is not None and any(body.rfind(mark) >= 0 for mark in self.proofs)

    def proofs_in(self, body: bytes) -> tuple[str, ...]:
        """The proofs that a request holds."""
        found: dict[str, None] = {}

        def note(proof: str) -> bool:
            found[proof] = None
            return False

        if self.without is not None:
            self.without(body, note)
        return tuple(found)

    def _within(self, value: Any, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            return
        if isinstance(value, list):
            for item in value:
                if isinstance(item, (dict, list)):
                    yield from self._within(item, depth + 1)
        elif isinstance(value, dict):
            # What a tool was called with is the client's own, whatever it is called.
            calls = value.get("type") in ("tool_use", "function_call", "custom_tool_call")
            for name, inner in value.items():
                if name in self.members:
                    yield from self._ids(inner)
                if isinstance(inner, (dict, list)) and not (calls and name == "input") and name != "args":
                    yield from self._within(inner, depth + 1)

    def _ids(self, value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            value = value.get("id")
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and text.startswith(self.prefixes):
                yield text


#: Nothing is kept.
STATELESS = VendorState()


def _has_any(part: bytes, texts: tuple[bytes, ...]) -> bool:
    for text in texts:  # noqa: SIM110  # a generator would take a call for each
        if text in part:
            return True
    return False
