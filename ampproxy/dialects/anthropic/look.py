"""All that routing must know of a request, in one pass over its body."""

from __future__ import annotations

import msgspec

from ampproxy.dialects.json import Decoder, read_or_none
from ampproxy.wire.json import Peek


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    signature: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Message(msgspec.Struct, gc=False):
    content: str | list[_Block] = ""


class _Body(Peek, frozen=True, gc=False):
    messages: list[_Message] = []  # noqa: RUF012  # msgspec gives each its own


_body = Decoder(_Body)


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether a message holds thinking or a proof of it; ``None``: the body is
    not as Anthropic takes it.
    """
    found = read_or_none(_body, body)
    if found is None:
        return None
    return found, any(_thinks(message.content) for message in found.messages)


def _thinks(content: str | list[_Block]) -> bool:
    if isinstance(content, str):
        return False
    # "redacted_thinking", too.
    return any(block.signature is not msgspec.UNSET or "thinking" in block.type for block in content)
