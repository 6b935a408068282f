"""Cleaning a request of one of Amp's clients before any account sees it."""

from __future__ import annotations

import msgspec

from ampproxy.dialects.json import Decoder
from ampproxy.wire.json import BAD_JSON, remove_members, replace_members, string

#: A feature that an account of the user's own rarely has; Amp's own accounts do, so its clients ask.
_FOREIGN_BETAS = frozenset(("context-1m-2025-08-07",))

_ASSISTANT = msgspec.Raw(b'"assistant"')
_SIGNATURE = frozenset(("signature",))
_Raw = msgspec.Raw
_THOUGHTS = (b'"thinking"', b'"redacted_thinking"')


class _Body(msgspec.Struct):
    messages: list[_Raw] = []


class _Asked(msgspec.Struct):
    thinking: _Raw = _Raw(b"null")
    messages: list[_Raw] = []


class _Message(msgspec.Struct):
    role: _Raw = _Raw(b"null")
    content: _Raw = _Raw(b"null")


class _Block(msgspec.Struct):
    type: _Raw = _Raw(b"null")
    signature: _Raw | msgspec.UnsetType = msgspec.UNSET


_body = Decoder(_Body)
_asked = Decoder(_Asked)
_message = Decoder(_Message)
_block = Decoder(_Block)
_list = Decoder(list[_Raw])


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
    try:
        messages = _body.decode(body).messages
        cleaned = [_clean_message(message) for message in messages]
        if all(new is old for new, old in zip(cleaned, messages, strict=True)):
            return body
        kept = b",".join(message for message in cleaned if message is not None)
        return replace_members(body, {"messages": b"[" + kept + b"]"})
    except BAD_JSON:
        return body


def without_lost_thinking(body: bytes) -> bytes:
    """Take the wish to think by a budget out of a cleaned request in the midst of a tool loop that does not
    begin with thinking: the vendor refuses to go on thinking there. Any other body is the same object.
    """
    if body.rfind(b'"enabled"') < 0:
        return body
    try:
        asked = _asked.decode(body)
        if not _is_of(asked.thinking, b'"enabled"') or not _began_without(asked.messages):
            return body
        return replace_members(body, {"thinking": b'{"type":"disabled"}'})
    except BAD_JSON:
        return body


def _began_without(messages: list[_Raw]) -> bool:
    """Whether the messages end with results of calls before which nothing was thought."""
    if len(messages) < 2 or b'"tool_result"' not in bytes(messages[-1]):
        return False
    calls = _message.decode(messages[-2])
    if calls.role != _ASSISTANT or bytes(memoryview(calls.content)[:1]) != b"[":
        return False
    blocks = _list.decode(bytes(calls.content))
    return bool(blocks) and not _is_of(blocks[0], *_THOUGHTS)


def _is_of(raw: _Raw, *kinds: bytes) -> bool:
    return _is_object(raw) and bytes(_block.decode(raw).type) in kinds


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


def _clean_message(raw: _Raw) -> _Raw | None:
    """The message itself if nothing is to be done; ``None`` if nothing of it is left."""
    if not _is_object(raw):
        return raw
    message = _message.decode(raw)
    if message.role != _ASSISTANT or bytes(memoryview(message.content)[:1]) != b"[":
        return raw
    content = bytes(message.content)
    if not _suspicious(content):
        return raw
    blocks = _list.decode(content)
    cleaned = [new for block in blocks if (new := _clean_block(block)) is not None]
    if len(cleaned) == len(blocks) and all(new is old for new, old in zip(cleaned, blocks, strict=True)):
        return raw
    if not cleaned:
        return None
    return _Raw(replace_members(raw, {"content": b"[" + b",".join(cleaned) + b"]"}))


def _clean_block(raw: _Raw) -> _Raw | None:
    if not _is_object(raw):
        return raw
    block = _block.decode(raw)
    kind = bytes(block.type)
    if kind == b'"thinking"' and not _signed(block.signature):
        return None
    if kind == b'"tool_use"' and block.signature is not msgspec.UNSET:
        return _Raw(remove_members(raw, _SIGNATURE))
    return raw


def _signed(signature: _Raw | msgspec.UnsetType) -> bool:
    return signature is not msgspec.UNSET and bool((string(signature) or "").strip())


def _is_object(raw: _Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"
