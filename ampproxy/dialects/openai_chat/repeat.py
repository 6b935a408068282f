"""The short way for chunks that repeat the one before in all but their words.

Nearly all chunks of a stream differ from the last one in a single JSON string. When a chunk was read
the long way and gave one delta, what stands before and after that string is kept; a chunk with the
same beginning and end, and one JSON string between them, means the same with other words.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ampproxy.model.events import Delta

_STRING: Final = msgspec.json.Decoder(str)
#: The members that hold a chunk's words. A key with its quotes cannot stand inside a JSON string.
_KEYS: Final = (b'"content":', b'"reasoning_content":', b'"reasoning":', b'"arguments":', b'"refusal":')
#: So many beginnings are learned in vain (a server whose chunks all differ) before it is left alone.
_PATIENCE: Final = 8


class Repeat:
    """Knows the last chunk's frame.

    :ivar index: the part to which a chunk with that frame adds.
    :ivar sink: where else its words are kept.
    """

    __slots__ = ("_head", "_patience", "_tail", "index", "sink")

    def __init__(self) -> None:
        self._head: bytes | None = None
        self._tail = b""
        self._patience = _PATIENCE
        self.index = -1
        self.sink: list[str] | None = None

    def words(self, block: bytes) -> str | None:
        """The words of a block in the known frame; ``None`` for any other block."""
        head, tail = self._head, self._tail
        if head is None or not block.startswith(head) or not block.endswith(tail):
            return None
        if len(head) + len(tail) > len(block):
            return None
        inner = block[len(head) : -len(tail)]
        try:
            plain = b'"' not in inner and b"\\" not in inner
            words = inner.decode() if plain else _STRING.decode(b'"%b"' % inner)
        except ValueError:
            return None
        self._patience = _PATIENCE
        return words

    def forget(self) -> None:
        """What comes next is no repetition."""
        self._head = None

    def learn(self, block: bytes, delta: Delta, sink: list[str] | None) -> None:
        """Keep the frame of a block that gave this delta and nothing else."""
        self._head = None
        if self._patience <= 0 or delta.logprobs:
            return
        said = delta.text.encode("utf-8", "replace")
        for key in _KEYS:
            at = block.find(key)
            if at < 0:
                continue
            at += len(key)
            at += block.startswith(b" ", at)
            end = at + 1 + len(said)
            if block.find(key, at) < 0 and block[at : end + 1] == b'"%b"' % said:
                self._head, self._tail = block[: at + 1], block[end:]
                self._patience -= 1
                self.index, self.sink = delta.index, sink
                return
