"""The short way for chunks that repeat the one before in all but their words.

Nearly all chunks of a stream differ from the last one in a single JSON string. When a chunk was read
the long way and gave one delta, what stands before and after that string is kept; a chunk with the
same beginning and end, and one JSON string between them, means the same with other words.
"""

from __future__ import annotations

from typing import Final

from ampproxy.dialects.json import Decoder, encode
from ampproxy.model.events import Delta

_decode_string: Final = Decoder(str).decode
#: The beginning of a block that never comes: blocks are cut at blank lines.
_NO_BLOCK: Final = b"\n\n"
#: The members that hold a chunk's words. A key with its quotes cannot stand inside a JSON string.
_KEYS: Final = (b'"content":', b'"reasoning_content":', b'"reasoning":', b'"arguments":', b'"refusal":')
#: So many beginnings are learned in vain (a server whose chunks all differ) before it is left alone.
_MAX_MISSES: Final = 8


#: The member by which OpenAI hides the length of the words; it is the last one.
_PADDING: Final = b',"obfuscation":"'


def _unpadded(block: bytes) -> bytes:
    """The block without its padding, if that is its last member."""
    head, found, rest = block.rpartition(_PADDING)
    return head if found and rest.find(b'"') == len(rest) - 2 and rest[-1:] == b"}" else block


class Repeat:
    """Knows the last chunk's frame.

    :ivar index: the part to which a chunk with that frame adds.
    :ivar sink: where else its words are kept.
    """

    __slots__ = ("_from", "_head", "_misses_left", "_padded", "_tail", "_to", "index", "sink")

    def __init__(self) -> None:
        self._misses_left = _MAX_MISSES
        self.index = -1
        self.sink: list[str] | None = None
        self._padded = False
        self.forget()

    def forget(self) -> None:
        """What comes next is no repetition."""
        self._head, self._tail, self._from, self._to = _NO_BLOCK, b"", 0, 0

    def words(self, block: bytes) -> str | None:
        """The words of a block in the known frame; ``None`` for any other block."""
        if self._padded:
            block = _unpadded(block)
        if not (block.startswith(self._head) and block.endswith(self._tail)):
            return None
        try:
            words = _decode_string(block[self._from : self._to])
        except ValueError:
            return None
        self._misses_left = _MAX_MISSES
        return words

    def learn(self, block: bytes, delta: Delta) -> bool:
        """Keep the frame of a block that gave this delta and nothing else; return whether it has one."""
        self.forget()
        self._padded = _PADDING in block
        if self._padded:
            block = _unpadded(block)
        if self._misses_left <= 0 or delta.logprobs:
            return False
        spelled = encode(delta.text)[1:-1]
        for key in _KEYS:
            at = block.find(key)
            if at < 0:
                continue
            at += len(key)
            at += block.startswith(b" ", at)
            end = at + 1 + len(spelled)
            if block.find(key, at) < 0 and block[at : end + 1] == b'"%b"' % spelled:
                self._head, self._tail = block[: at + 1], block[end:]
                # The string with its quotes.
                self._from, self._to = at, 1 - len(self._tail)
                self._misses_left -= 1
                self.index = delta.index
                return True
        return False
