"""The measure finds what is quadratic, and lets pass what is linear."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.growth.law import assert_linear


def joined_each_time(pieces: list[bytes]) -> int:
    """Copies all that came before for each piece, as a buffer that is searched from its beginning does."""
    size, before = 0, [b""]
    for piece in pieces:
        before[0] = before[0] + piece
        size += len(before[0])
    return size


def searched_each_time(pieces: list[bytes]) -> int:
    return sum(pieces.index(piece) for piece in pieces)


def looked_at_once(pieces: list[bytes]) -> int:
    return sum(map(len, b"".join(pieces).split(b"-")))


def made(n: int) -> list[bytes]:
    """Few of them: the quadratic work is measured again and again before it is held to be so."""
    return [b"%d word " % number * 20 for number in range(n // 8)]


def found_by_a_look(work: Callable[[list[bytes]], int]) -> bool:
    try:
        assert_linear(work, made)
    except AssertionError as error:
        return "twice as many take" in str(error)
    return False


@pytest.mark.parametrize("work", [joined_each_time, searched_each_time])
def test_quadratic_work_is_found(work: Callable[[list[bytes]], int]) -> None:
    """Also where it is the machine's fast copying and comparing that is repeated. A busy machine may hide it
    from one look, by making the smaller input look dear.
    """
    assert any(found_by_a_look(work) for _ in range(20))


def test_linear_work_passes() -> None:
    """However little or much of it there is for each."""
    assert_linear(looked_at_once, made)
    assert_linear(lambda pieces: [looked_at_once([piece] * 50) for piece in pieces], made)
