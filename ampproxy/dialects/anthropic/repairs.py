"""Answers of Messages as clients need them.

* A call has an id, without which no result could name it, and an input. Blocks have a type, deltas, too.
* ``message_start`` has a content and a usage, and ``message_delta`` has ``usage.output_tokens``.
* Tools run only when the stop reason is ``tool_use``. It is this dialect's word: clients know
  no other's.

Amp's clients need more: the names of their tools as the request has them, and a ``signature`` that is a
string in a thinking or tool_use block; an empty one will do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from ampproxy.dialects.anthropic.usage import REASONS, own_word
from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_object, in_each, inside, join
from ampproxy.dialects.json import is_string, to_raw
from ampproxy.dialects.monitor import given
from ampproxy.wire.json import NULL, elements, members, replace_members, string

_TOOL_USE = b'"tool_use"'
_THINKING = b'"thinking"'
_END_TURN = b'"end_turn"'
_NO_USAGE = b'{"input_tokens":0,"output_tokens":0}'
#: What may have to be mended, whatever came before it.
_ODD = re.compile(
    rb'"tool_use"|"content"\s*:\s*(?:["{]|\[\s*(?:"|\{\s*"(?!type")))|"content_block"\s*:\s*\{\s*"(?!type")'
    rb'|"delta"\s*:\s*\{\s*"(?!type"|stop_)|"partial_json"\s*:\s*\{'
    rb'|"stop_reason"\s*:\s*"(?!(?:%b)")' % "|".join(REASONS).encode()
)
#: The same, what may have to be mended behind a call, and what has a usage.
SIGNS = re.compile(_ODD.pattern + rb'|"end_turn"|"message_(?:start|delta)"|"stop_reason"\s*:\s*null')
#: A block that calls a tool.
TOOL_BLOCK = re.compile(rb'"type"\s*:\s*"tool_use"')
_CALLING = re.compile(rb'("stop_reason"\s*:\s*)"tool_use"')
#: What shows the type of a block that names none.
TYPES = {"text": "text", "thinking": "thinking", "name": "tool_use", "data": "redacted_thinking"}
#: The same of a delta.
_DELTAS = {
    "text": b'"text_delta"',
    "thinking": b'"thinking_delta"',
    "partial_json": b'"input_json_delta"',
    "signature": b'"signature_delta"',
}


class MessagesMending(msgspec.Struct):
    """What mends one answer; see :class:`ampproxy.dialects.base.Mending`."""

    _new_id: Callable[[str], str]
    _called: bool = False

    def __call__(self, data: bytes, values: Members) -> bytes:
        used = b'"output_tokens"' in data and (b'"content"' in data or b'"message_start"' not in data)
        ended = "stop_reason" not in values or given(values, "stop_reason")
        if used and ended and not self._called and _ODD.search(data) is None:
            return data
        rule = self._RULES.get(string(values.get("type", NULL)) or "message")
        changes = rule(self, values) if rule is not None else None
        return replace_members(data, changes, values) if changes else data

    def _block_start(self, values: Members) -> Changes:
        return inside(values, "content_block", self._block)

    def _block(self, values: Members) -> Changes:
        changes: Changes = {}
        kind = bytes(values.get("type", NULL))
        if kind == b"null":
            found = next((TYPES[name] for name in TYPES if name in values), "text")
            kind = changes["type"] = bytes(to_raw(found))
        if kind != _TOOL_USE:
            return changes
        self._called = True
        if not string(values.get("id", NULL)):
            changes["id"] = bytes(to_raw(self._new_id("toolu_")))
        held = values.get("input", NULL)
        if (text := string(held)) and members(text.encode()) is not None:
            # The object, written as a text.
            changes["input"] = text.encode()
        elif members(held) is None:
            changes["input"] = b"{}"
        return changes

    def _block_delta(self, values: Members) -> Changes:
        return inside(values, "delta", self._delta)

    def _delta(self, values: Members) -> Changes:
        kinds = [kind for name, kind in _DELTAS.items() if name in values]
        changes: Changes = {"type": kinds[0]} if kinds and "type" not in values else {}
        if members(values.get("partial_json", NULL)) is not None:
            changes["partial_json"] = bytes(to_raw(bytes(values["partial_json"]).decode()))
        return changes

    def _message_start(self, values: Members) -> Changes:
        return inside(values, "message", self._begun)

    def _begun(self, message: Members) -> Changes:
        changes: Changes = {}
        if members(message.get("usage", NULL)) is None:
            changes["usage"] = _NO_USAGE
        if not bytes(message.get("content", NULL)).startswith(b"["):
            changes["content"] = b"[]"
        if "id" not in message:
            changes["id"] = bytes(to_raw(self._new_id("msg_")))
        return changes

    def _message_delta(self, values: Members) -> Changes:
        changes = inside(values, "delta", self._stop_reason)
        usage = members(values.get("usage", NULL))
        if usage is None:
            changes["usage"] = b'{"output_tokens":0}'
        elif bytes(usage.get("output_tokens", NULL)) == b"null":
            changes["usage"] = replace_members(values["usage"], {"output_tokens": b"0"})
        return changes

    def _stop_reason(self, values: Members) -> Changes:
        word = string(values.get("stop_reason", NULL))
        if word is not None and word not in REASONS:
            word = own_word(word)
        if word == "end_turn" and self._called:
            word = "tool_use"
        new = None if word is None else bytes(to_raw(word))
        return {} if new is None or new == bytes(values["stop_reason"]) else {"stop_reason": new}

    def _message(self, values: Members) -> Changes:
        """A whole answer."""
        words = string(values.get("content", NULL))
        if words is None and bytes(values.get("content", NULL)).startswith(b"{"):
            changes: Changes = {"content": b"[%b]" % bytes(values["content"])}
        elif words is None:
            changes = self._blocks(values)
        else:
            text = b'[{"type":"text","text":%b}]' % bytes(values["content"])
            changes = {"content": text if words else b"[]"}
        if "stop_reason" in values and not given(values, "usage"):
            changes["usage"] = _NO_USAGE
        if "stop_reason" not in values or given(values, "stop_reason"):
            return {**changes, **self._stop_reason(values)}
        # A whole answer has ended.
        return {**changes, "stop_reason": _TOOL_USE if self._called else _END_TURN}

    def _blocks(self, values: Members) -> Changes:
        blocks = elements(values.get("content"))
        texts = [Raw(b'{"text":%b}' % bytes(block)) if is_string(block) else block for block in blocks]
        return in_each({"content": Raw(join(texts))}, "content", self._block)

    #: By kinds of events. No table of bound methods: that would be a cycle.
    _RULES: ClassVar[Mapping[str, Callable[[MessagesMending, Members], Changes]]] = {
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "message_start": _message_start,
        "message_delta": _message_delta,
        "message": _message,
    }


def with_end_turn(data: bytes) -> bytes:
    """See :attr:`~ampproxy.dialects.base.Mending.uncalled`."""
    return data if TOOL_BLOCK.search(data) else _CALLING.sub(rb'\1"end_turn"', data)


class AnthropicRules(msgspec.Struct):
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    _exchange: Exchange
    _tool_seen: bool = False

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        values = members(data) if values is None else values
        if values is None:
            return name, data
        changes: Changes = {}
        kind = string(values.get("type", NULL)) or name.decode("utf-8", "replace")
        if kind == "message_start":
            changes = self._exchange.model_changes(values)
        elif kind == "content_block_start":
            changes = inside(values, "content_block", self._block)
        return name, replace_members(data, changes, values) if changes else data

    def _block(self, values: Members) -> Changes:
        kind = bytes(values.get("type", NULL))
        if kind not in (_TOOL_USE, _THINKING):
            return {}
        changes: Changes = {}
        if string(values.get("signature", NULL)) is None:
            changes["signature"] = b'""'
        if kind == _TOOL_USE:
            self._tool_seen = True
            changes |= self._exchange.tool_name_changes(values)
        return changes

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        return edit_object(body, self._whole, values) or body

    def _whole(self, values: Members) -> Changes:
        changes = self._exchange.model_changes(values)
        content = bytes(values.get("content", NULL))
        if _TOOL_USE in content or _THINKING in content:
            changes |= in_each(values, "content", self._block)
        if self._tool_seen and self._exchange.drop_thinking:
            blocks = elements(changes.get("content", values.get("content")))
            kept = [block for block in blocks if bytes((members(block) or {}).get("type", NULL)) != _THINKING]
            if len(kept) < len(blocks):
                changes["content"] = join(kept)
        return changes
