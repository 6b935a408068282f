"""The first words of what others sent."""

from __future__ import annotations

import pytest

from ampproxy.relay.quotes import QUOTED, SHOWN, quoted
from ampproxy.wire.redact import Redactor, Secret

REDACTOR = Redactor([Secret("a-secret-of-ours")])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b" \r\n\t ", ""),
        (b"<html>\n  <title>Bad\tgateway</title>", "<html> <title>Bad gateway</title>"),
        (b"key a-secret-of-ours and sk-abcdefgh1234", "key *** and ***"),
        (b"\x1b[31mred\x00", "\\x1b[31mred\\x00"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_words(body: bytes, words: str) -> None:
    """In one line, without control characters and secrets."""
    assert quoted(body, REDACTOR) == words


def test_no_more_than_that() -> None:
    """Of a long page the beginning; a secret beyond it, or at its border, is not shown in part."""
    text = quoted(b"x" * 1_000_000, REDACTOR)
    assert text == "x" * SHOWN + "..."
    for at in range(SHOWN - 20, SHOWN + 5):
        assert "a-se" not in quoted(b"x" * at + b"a-secret-of-ours", REDACTOR)
        assert "a-se" not in quoted(b" " * (QUOTED - 20) + b" " * (at % 20) + b"a-secret-of-ours", REDACTOR)
