"""The chunked coding: many plain chunks at once, and every odd one as strictly as alone."""

from __future__ import annotations

import gc
import random

import pytest

from ampproxy.http import chunks as module
from ampproxy.http.chunks import ChunkedBody, Many


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


#: More chunks than are taken one by one, some of which look like chunks inside.
EVENTS = [b"data: %d\r\n\r\n" % number + b"5\r\nhello\r\n" * (number % 3) for number in range(99)]
MANY = chunked(*EVENTS)
WHOLE = b"".join(EVENTS)


def decode(data: bytes, at: int = 0) -> tuple[int, bytes]:
    out: list[bytes] = []
    end = Many().decode(data, at, out)
    return end, b"".join(out)


def test_at_once() -> None:
    """All that are whole are decoded together, and no byte of what follows them."""
    assert decode(MANY) == (len(MANY), WHOLE)
    for rest in (b"", b"5", b"5\r", b"5\r\nhel", b"5\r\nhello\r", b"0\r\n\r\n"):
        assert decode(MANY + rest) in ((len(MANY), WHOLE), (0, b""))
        body = ChunkedBody()
        assert body.feed(MANY + rest).startswith(WHOLE)
        assert body.ended is (rest == b"0\r\n\r\n")
    assert decode(MANY + b"5\r\nhel") == (len(MANY), WHOLE)
    assert decode(MANY + b"0\r\n\r\n") == (len(MANY), WHOLE)


def test_at_once_wherever_a_read_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all chunks are decoded together: that a read ends within a line is no reason to take them
    one by one.
    """
    data = chunked(b"ab", b"cde") * 2000
    taken: list[int] = []

    class Counted(Many):
        def decode(self, data: bytes, at: int, out: list[bytes]) -> int:
            before = len(out)
            end = super().decode(data, at, out)
            taken.append(len(out) - before)
            return end

    monkeypatch.setattr(module, "Many", Counted)
    for end in range(len(data) - 40, len(data) + 1):
        taken.clear()
        assert b"abcde" * 1990 in ChunkedBody().feed(data[:end])
        assert sum(taken) > 3900


@pytest.mark.parametrize("line", [b"05", b"5;a=b", b"00000000000000005", b"5;", b"5 ", b"x"])
@pytest.mark.parametrize(
    "behind", [b"", chunked(b"a" * 9), chunked(b"5\r\nhello\r\n" * 2), b"0\r\n\r\n", b"1"]
)
def test_not_at_once(line: bytes, behind: bytes) -> None:
    """One line that is not plain, and none of them is taken from llhttp, whatever the chunks look like."""
    for before in (1, 7, 99):
        data = chunked(*EVENTS[:before]) + line + b"\r\nhello\r\n" + MANY + behind
        assert decode(data) == (0, b"")


def test_proof() -> None:
    """A longer line, and contents that would look like the next chunk if that is not seen: the lengths show
    it.
    """
    for zeros in range(1, 6):
        for tail in (b"\r\n", b"\r\n0", b"5\r\nhello", b"a\r\n", b"0\r\n\r\n", b"\r\n\r\n"):
            data = chunked(b"aaa") + b"0" * zeros + chunked(b"x" * 5 + tail) + chunked(b"b" * 20)
            for end in range(len(data) + 1):
                assert decode(data[:end])[0] <= len(chunked(b"aaa"))


def test_used_for_many_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few chunks are not worth it; in a long stream of them it goes on where it was."""
    made: list[Many] = []

    class Counted(Many):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(module, "Many", Counted)
    body = ChunkedBody()
    for _ in range(9):
        body.feed(chunked(b"a" * 50, b"b" * 50))
    assert not made
    for _ in range(9):
        assert body.feed(MANY) == WHOLE
    assert len(made) == 1


def test_random_splits() -> None:
    """However a long stream is cut."""
    stream = MANY * 5 + b"3;a=b\r\nodd\r\n" + MANY + b"0\r\nA: b\r\n\r\n"
    expected = WHOLE * 5 + b"odd" + WHOLE
    dice = random.Random(1)
    for size in (1, 2, 3, 17, 900, 5000):
        body, out, at = ChunkedBody(), b"", 0
        while at < len(stream):
            step = dice.randint(1, 2 * size)
            out += body.feed(stream[at : at + step])
            at += step
        assert (out, body.ended, body.rest, body.fault) == (expected, True, b"", None)


def test_bounds() -> None:
    """The limits of whoever uses it are named."""
    for stream in (
        b"0\r\nA: b\r\nB: c\r\n\r\n",
        b"0\r\nA: %b\r\n" % (b"b" * 99),
        b"1;%b\r\na\r\n" % (b"b" * 99),
    ):
        body = ChunkedBody(50, 1, " (setting: x)")
        body.feed(stream)
        assert body.fault is not None
        assert body.fault.words.endswith("too large (setting: x)")


def test_no_circles() -> None:
    """A body that is done with is gone, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            body = ChunkedBody()
            body.feed(MANY)
            body.feed(b"0\r\n\r\n")
        del body
        assert not [one for one in gc.get_objects() if isinstance(one, (ChunkedBody, Many))]
    finally:
        gc.enable()
