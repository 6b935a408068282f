"""Bytes that come in pieces, kept until they are needed together."""

from __future__ import annotations

#: Pieces below this are joined as they come. Bytes.
SMALL = 4096


def add(pieces: list[bytes], data: bytes) -> None:
    """Keep one more piece, to be joined with the others later.

    Whoever sends decides how small pieces are, and an object of two bytes takes forty: small ones are joined
    at once, so that all of them together take little more than what they hold.
    """
    if pieces and len(data) < SMALL and len(pieces[-1]) < SMALL:
        pieces[-1] += data
    else:
        pieces.append(data)
