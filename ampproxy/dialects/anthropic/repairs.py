"""Anthropic Messages, as Amp's clients need them.

* The SDK dispatches on the ``event`` line: one that is missing is made from the data's ``type``.
* A thinking or tool_use block must have a ``signature`` that is a string; an empty one will do.
* ``message_delta`` must hold ``usage.output_tokens``.
* Tools run only when the stop reason is ``tool_use``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_list, edit_object, join, put
from ampproxy.wire.json import NULL, elements, members, replace_members, string

_TOOL_USE = b'"tool_use"'
_THINKING = b'"thinking"'
_END_TURN = b'"end_turn"'


class AnthropicRules:
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tool_seen = False

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        values = members(data) if values is None else values
        if values is None:
            return name, data
        kind = string(values.get("type", NULL)) or name.decode("utf-8", "replace")
        rule = self._RULES.get(kind)
        changes = rule(self, values) if rule is not None else None
        return name or kind.encode(), replace_members(data, changes, values) if changes else data

    def _message_start(self, values: Members) -> Changes:
        return self._exchange.model_changes(values)

    def _block_start(self, values: Members) -> Changes:
        changes: Changes = {}
        put(changes, "content_block", edit_object(values.get("content_block"), self._block))
        return changes

    def _block(self, values: Members) -> Changes:
        kind = bytes(values.get("type", NULL))
        if kind not in (_TOOL_USE, _THINKING):
            return {}
        changes: Changes = {}
        if string(values.get("signature", NULL)) is None:
            changes["signature"] = b'""'
        if kind == _TOOL_USE:
            self._tool_seen = True
            put(changes, "name", self._exchange.tool_name(values.get("name")))
        return changes

    def _message_delta(self, values: Members) -> Changes:
        changes: Changes = {}
        put(changes, "delta", edit_object(values.get("delta"), self._stop_reason))
        usage = members(values.get("usage", NULL))
        if usage is None:
            changes["usage"] = b'{"output_tokens":0}'
        elif bytes(usage.get("output_tokens", NULL)) == b"null":
            changes["usage"] = replace_members(values["usage"], {"output_tokens": b"0"})
        return changes

    def _stop_reason(self, values: Members) -> Changes:
        if self._tool_seen and bytes(values.get("stop_reason", NULL)) == _END_TURN:
            return {"stop_reason": _TOOL_USE}
        return {}

    #: The kinds of events that may need a change. No table of bound methods: that would be a cycle, and
    #: the request's body would live until the next collection.
    _RULES: ClassVar[Mapping[str, Callable[[AnthropicRules, Members], Changes]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "message_delta": _message_delta,
    }

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        return edit_object(body, self._whole, values) or body

    def _whole(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        content = bytes(values.get("content", NULL))
        if _TOOL_USE in content or _THINKING in content:
            put(changes, "content", edit_list(content, lambda raw: edit_object(raw, self._block)))
        changes.update(self._stop_reason(values))
        if self._tool_seen and self._exchange.drop_thinking:
            blocks = elements(changes.get("content", values.get("content")))
            kept = [block for block in blocks if not _is_thinking(block)]
            if len(kept) < len(blocks):
                changes["content"] = join(kept)
        return changes


def _is_thinking(block: Raw) -> bool:
    return bytes((members(block) or {}).get("type", NULL)) == _THINKING
