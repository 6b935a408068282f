"""Responses as clients need them.

* Every event has its numbers: its own, its item's and its part's. Local servers (llama.cpp) leave them out.
* The response has an id, a model and an output in every event; its items have ids, its usage the details.
* The last event has the output, which some backends leave empty: it was sent in the events that end items.

Amp's clients need more: the names of their tools as the request has them, and no event of an unknown kind
before ``response.created``, which is fatal to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_object, in_each, inside, join
from ampproxy.dialects.json import first, is_string, to_raw
from ampproxy.wire.json import NULL, elements, members, natural, replace_members, string

_CALLS = frozenset((b'"function_call"', b'"custom_tool_call"'))
_ITEM = frozenset(("response.output_item.added", "response.output_item.done"))
_RESPONSE = frozenset(
    (
        *("response.created", "response.in_progress", "response.queued", "response.failed"),
        *("response.completed", "response.incomplete"),
    )
)


#: Of events that begin or end an item, or the answer.
_ITEMS = re.compile(rb'"response\.(?:output_item\.(?:added|done)|completed|incomplete|done)"')
#: Items are kept up to this size altogether; a larger answer keeps its empty output.
MAX_KEPT = 16 * 1024 * 1024
_DONE = "response.output_item.done"
#: By their last event. The backend of Codex logins has had a name of its own for it.
_ENDS = ("response.completed", "response.incomplete", "response.done")
_LIFE = frozenset((*_ENDS, "response.created", "response.queued", "response.in_progress", "response.failed"))
#: What the parts of an item are counted by.
_PARTS = (("response.reasoning_summary", "summary_index"), ("", "content_index"))
_DETAILS = {
    "input_tokens_details": b'{"cached_tokens":0}',
    "output_tokens_details": b'{"reasoning_tokens":0}',
}
#: What a response has at least.
_OF_RESPONSE: Changes = {
    "object": b'"response"',
    "created_at": b"0",
    "model": b'""',
    "output": b"[]",
    "parallel_tool_calls": b"true",
    "tool_choice": b'"auto"',
    "tools": b"[]",
}
#: What shows the type of an item that names none.
TYPES = {"content": "message", "arguments": "function_call", "summary": "reasoning"}
#: What each type of item has at least; of a part of a message it is the annotations.
_LEAST: dict[str, Changes] = {
    "message": {"role": b'"assistant"', "content": b"[]"},
    "reasoning": {"summary": b"[]"},
    "function_call": {"arguments": b'""'},
    "output_text": {"annotations": b"[]"},
}


def is_odd(data: bytes) -> bool:
    """Whether an event, or a whole answer, has to be looked at: those without a number, which whole answers
    are, too, and those that begin or end an item, or the answer.
    """
    return b'"sequence_number"' not in data or _ITEMS.search(data) is not None


class ResponsesMending(msgspec.Struct):
    """What mends one answer; see :class:`ampproxy.dialects.base.Mending`."""

    _new_id: Callable[[str], str]
    _items: dict[int, bytes] = {}
    _size: int = 0
    #: Whether the server leaves out what others have, and the number of the next event.
    _bare: bool = False
    _next: int = 0
    #: The response's id as it stands in its JSON, the items' places by their ids, and the last one.
    _id: bytes = b""
    _places: dict[str, int] = {}
    _last: int = -1

    def __call__(self, data: bytes, values: Members) -> bytes:
        kind = string(values.get("type", NULL))
        if kind is None:
            self._bare = "output_text" in values or (
                "output" in values and b'"output_tokens_details"' not in data
            )
            changes = self._response(values) if self._bare else {}
            return replace_members(data, changes, values) if changes else data
        changes = {} if kind != "response.done" else {"type": b'"response.completed"'}
        number = natural(values.get("sequence_number", NULL))
        if number is None and kind.startswith("response."):
            self._bare, number = True, self._next
            changes["sequence_number"] = b"%d" % number
        self._next = self._next if number is None else number + 1
        if kind in _LIFE:
            self._about(kind, values, changes)
        elif "item" in values:
            self._about_item(kind, values, changes)
        elif self._bare and kind.startswith("response."):
            self._about_part(kind, values, changes)
        return replace_members(data, changes, values) if changes else data

    def _about(self, kind: str, values: Members, changes: Changes) -> None:
        response = values.get("response")
        if response is None and self._bare:
            # Its members stand beside the type.
            beside = {name: bytes(values[name]) for name in values if name != "type"}
            response = Raw(replace_members(b"{}", beside))
            changes["response"] = bytes(response)
        fill = self._items and kind in _ENDS and self._size <= MAX_KEPT

        def rule(values: Members) -> Changes:
            changes = self._response(values) if self._bare else {}
            if fill and not elements(values.get("output")):
                # Once: a stream has one end.
                kept, self._items = self._items, {}
                changes["output"] = join(item for _, item in sorted(kept.items()))
            return changes

        if fill or self._bare:
            edited = edit_object(response, rule)
            changes |= {} if edited is None else {"response": edited}

    def _response(self, values: Members) -> Changes:
        """What a response lacks."""
        id, changes = bytes(values.get("id", NULL)), Changes()
        if not string(Raw(id)):
            id = changes["id"] = self._id or bytes(to_raw(self._new_id("resp_")))
        self._id = id
        changes.update((name, value) for name, value in _OF_RESPONSE.items() if name not in values)
        output = bytes(values.get("output", NULL))
        if string(values.get("output_text", NULL)) and not elements(values.get("output")):
            output = b'[{"type":"message","content":%b}]' % bytes(values["output_text"])
        elif output.startswith(b"{"):
            output = b"[%b]" % output
        if output != bytes(values.get("output", NULL)):
            changes["output"] = output
        changes |= in_each({"output": Raw(output)}, "output", self._item)
        return changes | inside(values, "usage", _counted)

    def _item(self, values: Members) -> Changes:
        kind = string(values.get("type", NULL)) or ""
        changes: Changes = {}
        if not kind and (kind := next((TYPES[name] for name in TYPES if name in values), "")):
            changes["type"] = bytes(to_raw(kind))
        changes |= _lacking(kind, values)
        if not string(values.get("id", NULL)):
            # By the call's id its pieces name it.
            changes["id"] = bytes(values.get("call_id") or to_raw(self._new_id(f"{kind[:3]}_")))
        if kind == "function_call" and not string(values.get("call_id", NULL)):
            changes["call_id"] = bytes(changes.get("id") or values["id"])
        if members(values.get("arguments", NULL)) is not None:
            changes["arguments"] = bytes(to_raw(bytes(values["arguments"]).decode()))
        content = values.get("content", NULL)
        if kind == "message" and (is_string(content) or content == NULL or first(content) == b"{"):
            # A text, one part, or nothing in the place of the parts.
            form = b'[{"text":%b}]' if is_string(content) else b"[%b]"
            content = Raw(b"[]" if content == NULL else form % bytes(content))
            changes["content"] = bytes(content)
        return changes | in_each({"content": content}, "content", _part)

    def _about_item(self, kind: str, values: Members, changes: Changes) -> None:
        item, place = bytes(values["item"]), natural(values.get("output_index", NULL))
        held = members(item) or {}
        names = [name for key in ("id", "call_id") if (name := string(held.get(key, NULL)))]
        if place is None:
            place = max(self._last, 0) if kind == _DONE and not names else self._last + 1
            place = next((self._places[name] for name in names if name in self._places), place)
            changes["output_index"] = b"%d" % place
        self._last = max(self._last, place)
        self._places.update(dict.fromkeys(names, place))
        if self._bare and (new := self._item(held)):
            item = changes["item"] = replace_members(item, new, held)
        if kind == _DONE:
            self._size += len(item)
            if self._size > MAX_KEPT:
                self._items.clear()
            else:
                self._items[place] = item

    def _about_part(self, kind: str, values: Members, changes: Changes) -> None:
        if natural(values.get("output_index", NULL)) is None:
            place = self._places.get(string(values.get("item_id", NULL)) or "", max(self._last, 0))
            changes["output_index"] = b"%d" % place
        of_call = "_call_" in kind or "function_call" in kind
        counted = next(name for start, name in _PARTS if kind.startswith(start))
        if counted not in values and not of_call:
            changes[counted] = b"0"
        changes |= inside(values, "part", _part)


def _lacking(kind: str, values: Members) -> Changes:
    return {name: value for name, value in _LEAST.get(kind, {}).items() if name not in values}


def _part(values: Members) -> Changes:
    if "type" not in values and "text" in values:
        return {"type": b'"output_text"', **_lacking("output_text", values)}
    return _lacking(string(values.get("type", NULL)) or "", values)


def _counted(values: Members) -> Changes:
    return {name: value for name, value in _DETAILS.items() if name not in values}


class ResponsesRules(msgspec.Struct):
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    _exchange: Exchange
    _begun: bool = False

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
            changes = inside(values, "item", self._item)
        elif kind in _RESPONSE:
            changes = self._response(values)
        return name, replace_members(data, changes, values) if changes else data

    def _response(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        edited = edit_object(changes.get("response", values.get("response")), self._output)
        return changes if edited is None else {**changes, "response": edited}

    def _output(self, values: Members) -> Changes:
        return in_each(values, "output", self._item)

    def _item(self, values: Members) -> Changes:
        return self._exchange.tool_name_changes(values) if bytes(values.get("type", NULL)) in _CALLS else {}

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        return edit_object(body, self._whole, values) or body

    def _whole(self, values: Members) -> Changes:
        return self._exchange.model_changes(values) | self._output(values)
