"""Responses, as Amp's clients need them.

* They take the answer from ``response.completed`` alone, so it must hold the whole ``output``; a backend
  that leaves it empty sent it in its ``output_item.done`` events.
* An event of an unknown kind before ``response.created`` is fatal to them, and is left out.
"""

from __future__ import annotations

from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_list, edit_object, join, put
from ampproxy.wire.json import NULL, elements, members, replace_members, string

#: Items are kept up to this size altogether; a larger answer keeps its empty output.
MAX_KEPT = 16 * 1024 * 1024

_CALLS = frozenset((b'"function_call"', b'"custom_tool_call"'))
_WHOLE = frozenset(("response.completed", "response.incomplete"))
_ITEM = frozenset(("response.output_item.added", "response.output_item.done"))
_RESPONSE = _WHOLE | {"response.created", "response.in_progress", "response.queued", "response.failed"}


class ResponsesRules:
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._items: dict[int, bytes] | None = {}
        self._size = 0
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
            if kind == "response.output_item.done" and "item" in values:
                self._keep(values, changes.get("item", bytes(values["item"])))
        elif kind in _RESPONSE:
            changes = self._response(values, fill=kind in _WHOLE)
        return name, replace_members(data, changes, values) if changes else data

    def _response(self, values: Members, *, fill: bool) -> Changes:
        changes = self._exchange.model_changes(values)
        response = changes.get("response", values.get("response"))
        put(changes, "response", edit_object(response, lambda held: self._output(held, fill=fill)))
        return changes

    def _output(self, values: Members, *, fill: bool) -> Changes:
        output = values.get("output", NULL)
        if fill and self._items and not elements(output):
            # Once: a stream has one end.
            kept, self._items = self._items, None
            return {"output": join(item for _, item in sorted(kept.items()))}
        changes: Changes = {}
        put(changes, "output", edit_list(output, lambda raw: edit_object(raw, self._item)))
        return changes

    def _item(self, values: Members) -> Changes:
        return self._exchange.tool_name_changes(values) if bytes(values.get("type", NULL)) in _CALLS else {}

    def _keep(self, values: Members, item: bytes) -> None:
        if self._items is None:
            return
        self._size += len(item)
        if self._size > MAX_KEPT:
            self._items = None
            return
        index = bytes(values.get("output_index", Raw(b"")))
        self._items[int(index) if index.isdigit() else len(self._items)] = item

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        return edit_object(body, self._whole, values) or body

    def _whole(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        changes.update(self._output(values, fill=False))
        return changes
