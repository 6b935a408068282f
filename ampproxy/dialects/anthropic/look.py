"""All that routing must know of a request, in one pass over its body."""

from __future__ import annotations

import msgspec

from ampproxy.wire.json import BAD_JSON, Peek


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    signature: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Message(msgspec.Struct, gc=False):
    content: str | list[_Block] = ""


class _Body(Peek, frozen=True, gc=False):
    messages: list[_Message] = []  # noqa: RUF012  # msgspec gives each its own


_body = msgspec.json.Decoder(_Body)


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether a message holds thinking or a proof of it; ``None``: the body is
    not as Anthropic takes it.
    """
    try:
        found = _body.decode(body)
    except BAD_JSON:
        return None
    return found, any(_thinks(message.content) for message in found.messages)


def _thinks(content: str | list[_Block]) -> bool:
    if isinstance(content, str):
        return False
    # "redacted_thinking", too.
    return any(block.signature is not msgspec.UNSET or "thinking" in block.type for block in content)
