"""Chat Completions, as Amp's clients need them.

* A chunk without ``choices`` is fatal to them; an empty list is fine.
* A tool call's delta must have its ``index``.
* Tools run only when the finish reason is ``tool_calls``.
"""

from __future__ import annotations

from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_list, edit_object, put
from ampproxy.wire.json import NULL, elements, members, replace_members, string

_STOP = b'"stop"'
_TOOL_CALLS = b'"tool_calls"'
_NULL = b"null"


class _Calls:
    """The tool calls of one choice so far, to number those that come without an index."""

    __slots__ = ("_by_id", "_last", "_next", "seen")

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._last = 0
        self._next = 0
        self.seen = False

    def number(self, values: Members) -> int | None:
        """The index that a delta lacks; ``None`` if it has one. A new id begins a new call."""
        self.seen = True
        raw = bytes(values.get("index", NULL))
        name = string(values.get("id", NULL))
        known = int(raw) if raw.isdigit() else None
        if known is not None:
            index = known
        elif name:
            index = self._by_id.get(name, self._next)
        else:
            index = self._last
        if name:
            self._by_id[name] = index
        self._last = index
        self._next = max(self._next, index + 1)
        return index if known is None else None


class ChatRules:
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._calls: dict[bytes, _Calls] = {}

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        """One event; see :meth:`ampproxy.dialects.base.AnswerRules.event`."""
        values = members(data) if values is None else values
        if values is None:
            return name, data
        changes = self._exchange.model_changes(values)
        choices = values.get("choices", NULL)
        if bytes(choices) == _NULL:
            if "error" not in values:
                changes["choices"] = b"[]"
        elif self._calls or _TOOL_CALLS in data:
            put(changes, "choices", edit_list(choices, lambda raw: edit_object(raw, self._chunk_choice)))
        return name, replace_members(data, changes, values) if changes else data

    def _chunk_choice(self, values: Members) -> Changes:
        index = bytes(values.get("index", Raw(b"0")))
        changes: Changes = {}
        delta = members(values.get("delta", NULL)) or {}
        if elements(delta.get("tool_calls")):
            calls = self._calls.setdefault(index, _Calls())

            def call(raw: Raw) -> bytes | None:
                return edit_object(raw, lambda held: self._call(held, calls))

            edited = edit_list(delta["tool_calls"], call)
            if edited is not None:
                changes["delta"] = replace_members(values["delta"], {"tool_calls": edited})
        if index in self._calls and bytes(values.get("finish_reason", NULL)) == _STOP:
            changes["finish_reason"] = _TOOL_CALLS
        return changes

    def _call(self, values: Members, calls: _Calls | None) -> Changes:
        changes: Changes = {}
        number = calls.number(values) if calls is not None else None
        if number is not None:
            changes["index"] = b"%d" % number
        put(changes, "function", edit_object(values.get("function"), self._exchange.tool_name_changes))
        return changes

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        """A whole answer; see :meth:`ampproxy.dialects.base.AnswerRules.whole`."""
        return edit_object(body, self._whole, values) or body

    def _whole(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        put(changes, "choices", edit_list(values.get("choices"), lambda raw: edit_object(raw, self._choice)))
        return changes

    def _choice(self, values: Members) -> Changes:
        message = members(values.get("message", NULL)) or {}
        calls = message.get("tool_calls")
        if not elements(calls):
            return {}
        changes: Changes = {}
        edited = edit_list(calls, lambda raw: edit_object(raw, lambda held: self._call(held, None)))
        if edited is not None:
            changes["message"] = replace_members(values["message"], {"tool_calls": edited})
        if bytes(values.get("finish_reason", NULL)) == _STOP:
            changes["finish_reason"] = _TOOL_CALLS
        return changes
