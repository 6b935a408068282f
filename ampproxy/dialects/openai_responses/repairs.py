"""Responses, as Amp's clients need them.

* Tool names are those of the request.
* An event of an unknown kind before ``response.created`` is fatal to them, and is left out.
"""

from __future__ import annotations

from ampproxy.dialects.edit import Changes, Exchange, Members, edit_list, edit_object, put
from ampproxy.wire.json import NULL, members, replace_members, string

_CALLS = frozenset((b'"function_call"', b'"custom_tool_call"'))
_ITEM = frozenset(("response.output_item.added", "response.output_item.done"))
_RESPONSE = frozenset(
    (
        *("response.created", "response.in_progress", "response.queued", "response.failed"),
        *("response.completed", "response.incomplete"),
    )
)


class ResponsesRules:
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._begun = False

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        values = members(data) if values is None else values
        if values is None:
            return name, data
        kind = string(values.get("type", NULL)) or name.decode("utf-8", "replace")
        if not self._begun:
            self._begun = kind.startswith("response.") or kind == "error"
            if not self._begun:
                return name, b""
        changes: Changes = {}
        if kind in _ITEM:
            put(changes, "item", edit_object(values.get("item"), self._item))
        elif kind in _RESPONSE:
            changes = self._response(values)
        return name, replace_members(data, changes, values) if changes else data

    def _response(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        put(changes, "response", edit_object(changes.get("response", values.get("response")), self._output))
        return changes

    def _output(self, values: Members) -> Changes:
        changes: Changes = {}
        put(changes, "output", edit_list(values.get("output"), lambda raw: edit_object(raw, self._item)))
        return changes

    def _item(self, values: Members) -> Changes:
        return self._exchange.tool_name_changes(values) if bytes(values.get("type", NULL)) in _CALLS else {}

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        return edit_object(body, self._whole, values) or body

    def _whole(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        changes.update(self._output(values))
        return changes
