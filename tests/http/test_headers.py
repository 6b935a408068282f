"""Headers that behave as Twisted's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers, InvalidHeaderName

from ampproxy.http import headers as module
from ampproxy.http.headers import FixedHeaders, LowerHeaders, lines_of

NAMES = st.sampled_from(
    [b"x-a", b"X-A", "X-a", b"content-md5", b"etag", "ETag", b"te", b"www-authenticate", b"a_b", b"A!"]
)
VALUES = st.one_of(
    st.binary(max_size=6), st.text(max_size=4), st.sampled_from([b"", b"a\r\nb", b"\n", "a\rb\n", b" a "])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("setRawHeaders"), NAMES, st.lists(VALUES, max_size=3)),
        st.tuples(st.just("addRawHeader"), NAMES, VALUES),
        st.tuples(st.just("removeHeader"), NAMES),
    ),
    max_size=8,
)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ValueError as error:
        return type(error)


@given(STEPS, NAMES)
def test_behaves_as_twisteds(steps: list[Any], name: bytes) -> None:
    """Whatever is done to both, both give the same, and compare as equal with each other and their copies."""
    ours, twisteds = LowerHeaders(), Headers()
    for method, *arguments in steps:
        for headers in (ours, twisteds):
            getattr(headers, method)(*arguments)
    assert list(ours.getAllRawHeaders()) == list(twisteds.getAllRawHeaders())
    assert ours.hasHeader(name) == twisteds.hasHeader(name)
    for default in ((), (b"other",)):
        expected = outcome(lambda default=default: twisteds.getRawHeaders(name, *default))
        assert outcome(lambda default=default: ours.getRawHeaders(name, *default)) == expected
    assert ours == twisteds
    assert twisteds == ours
    assert ours == ours.copy() == LowerHeaders(dict(ours.getAllRawHeaders()))
    lines = [b"%b: %b" % (name, value) for name, values in twisteds.getAllRawHeaders() for value in values]
    assert lines_of(ours) == lines_of(twisteds) == lines
    assert lines_of(FixedHeaders(ours.pairs())) == lines


def test_fixed_headers() -> None:
    """Nobody changes them: their lines are made once. Copies can be changed."""
    fixed = FixedHeaders([(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")])
    for change in (
        lambda: fixed.setRawHeaders(b"x-a", [b"4"]),
        lambda: fixed.addRawHeader(b"x-c", b"4"),
        lambda: fixed.removeHeader(b"x-a"),
    ):
        with pytest.raises(TypeError):
            change()
    copied = fixed.copy()
    copied.setRawHeaders(b"x-a", [b"4"])
    assert lines_of(copied) == [b"X-A: 4", b"X-B: 2"]
    assert lines_of(fixed) == [b"X-A: 1", b"X-A: 3", b"X-B: 2"]


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\n", "ä", b"\xff", "a\0"])
@pytest.mark.parametrize("method", ["hasHeader", "removeHeader", "getRawHeaders"])
def test_no_name(name: Any, method: str) -> None:
    """What is no token is refused wherever Twisted refuses it."""
    for headers in (LowerHeaders(), Headers()):
        with pytest.raises(InvalidHeaderName):
            getattr(headers, method)(name)
        with pytest.raises(InvalidHeaderName):
            headers.addRawHeader(name, b"")


def test_of_a_parsers_pairs() -> None:
    """Names are one whatever their case, values lose blanks at both ends, and the order stays."""
    headers = LowerHeaders.of_pairs([(b"X-B", b"1 \t "), (b"ETag", b"\t2"), (b"x-b", b"a b")])
    assert headers.pairs() == [(b"x-b", b"1"), (b"x-b", b"a b"), (b"etag", b"2")]
    assert list(headers.getAllRawHeaders()) == [(b"X-B", [b"1", b"a b"]), (b"ETag", [b"2"])]
    assert repr(headers) == "LowerHeaders({b'X-B': [b'1', b'a b'], b'ETag': [b'2']})"


def test_of_pairs_that_somebody_made() -> None:
    """Names stay in order, one that comes twice where it came first."""
    pairs = [(b"x-b", b"1"), (b"etag", b"2"), (b"x-b", b"a b")]
    assert LowerHeaders.of_known(pairs) == LowerHeaders.of_pairs(pairs)
    assert LowerHeaders.of_known(pairs).pairs() == [(b"x-b", b"1"), (b"x-b", b"a b"), (b"etag", b"2")]
    assert LowerHeaders.of_known(pairs[:2]).pairs() == pairs[:2]


def test_a_copy_is_its_own() -> None:
    """What is done to a copy is not done to the original."""
    first = LowerHeaders({b"a": [b"1"]})
    second = first.copy()
    second.addRawHeader(b"A", b"2")
    assert (first.getRawHeaders(b"a"), second.getRawHeaders(b"a")) == ([b"1"], [b"1", b"2"])
    assert first != second
    assert first < second
    assert first != 1


def test_names_of_strangers_fill_no_memory() -> None:
    """However many and long the names are that others make up, few are remembered."""
    for number in range(3 * module._MAX_NAMES):
        headers = LowerHeaders.of_pairs([(b"x-%d" % number, b""), (b"x" * 65, b"")])
        list(headers.getAllRawHeaders())
        headers.lines()
    for known in (module._lower, module._canonical, module._begun):
        assert len(known) <= module._MAX_NAMES
        assert b"x" * 65 not in known
