"""What vendors listed, between two runs."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec.structs import replace

from ampproxy.config.schema import Account
from ampproxy.routing.discovered import MAX_MODELS, Book, Found, cleaned, dump, load
from ampproxy.wire.redact import Secret

NOW = 1_700_000_000.0
ACCOUNT = Account(
    label="claude-api-key[0]",
    kind="claude",
    dialect="anthropic",
    base_url="https://vendor.test",
    api_key=Secret("canary-key"),
    headers=(("X-Key", "canary-header"),),
)


def book(**accounts):
    return Book("salt", accounts)


def test_file_shows_no_secret_and_no_account():
    """The file holds models and times; no key, header, address or label can be read out of it."""
    own = Book("salt")
    own = own.having({own.identity(ACCOUNT): Found(("claude-x",), NOW)})
    text = dump(own).decode()
    assert "claude-x" in text
    for hidden in ("canary", "vendor.test", "claude-api-key"):
        assert hidden not in text
    assert load(text.encode(), NOW) == own
    assert own.models([ACCOUNT]) == {"claude-api-key[0]": ("claude-x",)}


def test_who_an_account_is():
    """An account keeps its list under another label; with another key, address or header it has none."""
    own = Book("salt")
    own = own.having({own.identity(ACCOUNT): Found(("m",), NOW)})
    assert own.models([replace(ACCOUNT, label="moved", priority=3)]) == {"moved": ("m",)}
    for change in (
        {"api_key": Secret("other")},
        {"base_url": "https://other.test"},
        {"kind": "openai-compatibility"},
        {"headers": ()},
        {"tenant": "t"},
    ):
        assert own.models([replace(ACCOUNT, **change)]) == {}
    assert Book("other").identity(ACCOUNT) != own.identity(ACCOUNT)


def test_login_is_known_by_its_label():
    """Logins have no key: two of one vendor have lists of their own."""
    first = replace(ACCOUNT, api_key=Secret(""), token=object(), label="a@x")
    assert Book("s").identity(first) != Book("s").identity(replace(first, label="b@x"))


def test_later_answer_stays():
    """Of two processes' answers for one account, the later one is kept."""
    both = book(a=Found(("old",), NOW), b=Found(("b",), NOW)).having(
        {"a": Found(("new",), NOW + 1), "b": Found(("older",), NOW - 1), "c": Found((), NOW)}
    )
    assert both.accounts == {"a": Found(("new",), NOW + 1), "b": Found(("b",), NOW), "c": Found((), NOW)}


def test_old_and_impossible_times():
    """What is older than a month is forgotten; so is what a wrong clock wrote."""
    kept = book(
        old=Found(("m",), NOW - 31 * 86400), early=Found(("m",), NOW + 5), good=Found(("m",), NOW - 5)
    )
    assert list(load(dump(kept), NOW).accounts) == ["good"]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"{}", b'{"salt": ""}', b'{"salt": "s", "version": 2}', b"\xff", b"[" * 99_999),
        b'{"salt": "s", "accounts": {"a": {"models": [1], "at": 0}}}',
    ],
)
def test_not_a_book(data):
    """A file that is damaged or of another version is told apart."""
    with pytest.raises(ValueError, match="version"):
        load(data, NOW)


def test_names():
    """Names come once, in the vendor's order; what cannot be a name is left out; there is an end to them."""
    assert cleaned(["b", "a", "b", "", "x" * 513, "a\nb", "\x1b[2J", "é"]) == ("b", "a", "é")
    assert len(cleaned(str(number) for number in range(MAX_MODELS + 9))) == MAX_MODELS


def test_names_of_the_file():
    """Somebody's edit of the file brings no such names in either."""
    raw = json.loads(dump(book(a=Found(("m",), NOW))))
    raw["accounts"]["a"]["models"] = ["m", "m", "\x1b[2J"]
    assert load(msgspec.json.encode(raw), NOW).accounts["a"].models == ("m",)
