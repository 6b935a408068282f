"""Cleaning a request of one of Amp's clients before any account sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.monitor import Members
from ampproxy.model.base import Json
from ampproxy.wire.json import NULL, elements, members, remove_members, replace_members, string

#: A feature that an account of the user's own rarely has; Amp's own accounts do, so its clients ask.
_FOREIGN_BETAS = frozenset(("context-1m-2025-08-07",))

_ASSISTANT = b'"assistant"'
_SIGNATURE = frozenset(("signature",))
_THOUGHTS = (b'"thinking"', b'"redacted_thinking"')


def clean_beta(value: str) -> str:
    """An ``anthropic-beta`` header without what only Amp's own accounts have; may become empty."""
    features = [feature.strip() for feature in value.split(",")]
    if _FOREIGN_BETAS.isdisjoint(features):
        return value
    return ",".join(feature for feature in features if feature and feature not in _FOREIGN_BETAS)


def clean_request(body: bytes) -> bytes:
    """Take out of a request what its vendor would refuse; an unchanged body is the same object.

    Anthropic checks the ``signature`` of every thinking block that comes back. Amp's clients return
    blocks as they got them: those without a signature are removed, as is the ``signature`` that
    tool calls were given (see :class:`~ampproxy.dialects.anthropic.repairs.AnthropicRules`). A message that
    consisted of nothing else goes as a whole, since a message must not be empty. Broken
    bodies come back as they are: the one who parses them reports what is wrong.
    """
    if not _suspicious(body):
        return body
    return bytes(edit_items(body, "messages", lambda number, message: _clean_message(message)))


def without_lost_thinking(body: bytes) -> bytes:
    """Take the wish to think by a budget out of a cleaned request in the midst of a tool loop that does not
    begin with thinking: the vendor refuses to go on thinking there. Any other body is the same object.
    """
    if body.rfind(b'"enabled"') < 0:
        return body
    values = members(body) or {}
    asks = _value(members(values.get("thinking", NULL)), "type") == b'"enabled"'
    if not asks or not _began_without(elements(values.get("messages"))):
        return body
    return replace_members(body, {"thinking": b'{"type":"disabled"}'}, values)


def _began_without(messages: Sequence[Json]) -> bool:
    """Whether the messages end with results of calls before which nothing was thought."""
    if len(messages) < 2 or b'"tool_result"' not in bytes(messages[-1]):
        return False
    calls = members(messages[-2]) or {}
    blocks = elements(calls.get("content")) if _value(calls, "role") == _ASSISTANT else []
    return bool(blocks) and _value(members(blocks[0]), "type") not in _THOUGHTS


def _value(values: Members | None, name: str) -> bytes:
    return bytes((values or {}).get(name, NULL))


def _suspicious(body: bytes) -> bool:
    """Whether ``"thinking"`` stands as a value (a block's type) or ``"signature"`` anywhere."""
    # Whether at all is asked from the end: in large bodies that search is several times faster.
    if body.rfind(b'"signature"') >= 0:
        return True
    if body.rfind(b'"thinking"') < 0:
        return False
    at = body.find(b'"thinking"')
    while at >= 0:
        end = at + 10
        if body[end : end + 16].lstrip()[:1] != b":":
            return True
        at = body.find(b'"thinking"', end)
    return False


def _clean_message(message: Json) -> Json | bytes | None:
    values = members(message)
    if _value(values, "role") != _ASSISTANT or not _suspicious(_value(values, "content")):
        return message
    return edit_blocks(message, lambda number, block: _clean_block(block), values)


def edit_blocks(
    message: Json, rule: Callable[[int, Json], Json | bytes | None], known: Members | None = None
) -> Json | bytes | None:
    """A message with its blocks as ``rule`` gives them (:func:`~ampproxy.dialects.edit.edit_items`): the same
    object if nothing is to be done; ``None`` if nothing of it is left.
    """
    left = edit_items(message, "content", rule, known)
    return left if left is message or elements((members(left) or {}).get("content")) else None


def _clean_block(block: Json) -> Json | bytes | None:
    values = members(block) or {}
    kind = _value(values, "type")
    if kind == b'"thinking"' and not (string(values.get("signature", NULL)) or "").strip():
        return None
    if kind == b'"tool_use"' and "signature" in values:
        return remove_members(block, _SIGNATURE)
    return block
