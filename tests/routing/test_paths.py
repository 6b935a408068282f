"""Paths in one form: what is decided on is what is sent, to whoever reads it."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ampproxy.routing.endpoints import WrongMethod, parse_endpoint
from ampproxy.routing.paths import PathRefused, canonical_path, canonical_query, misleading
from tests.cases import each
from tests.clocked import assert_grows

GEMINI = b"/api/provider/google/v1beta/models/"


def normalised(path: bytes) -> bytes:
    """A path by the URL standard (https://url.spec.whatwg.org/#path-state), for a special scheme."""
    kept: list[bytes] = []
    parts = re.split(rb"[/\\]", re.sub(rb"[\t\n\r]", b"", path.partition(b"#")[0]))[1:]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        plain = part.lower().replace(b"%2e", b".")
        if plain == b"..":
            del kept[-1:]
        if plain in (b".", b".."):
            kept += [b""] if last else []
            continue
        kept.append(b"".join(_encoded(byte) for byte in part))
    return b"/" + b"/".join(kept)


def _encoded(byte: int) -> bytes:
    return b"%%%02X" % byte if byte <= 0x20 or byte >= 0x7F or byte in b'"#<>?`{}^' else bytes((byte,))


def test_the_normaliser() -> None:
    """The test's own reading of the standard, on the standard's examples."""
    assert normalised(b"/a/./b/%2E%2e/c\\d/.") == b"/a/c/d/"
    assert normalised(b"/../x y#z") == b"/x%20y"


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        (b"/", b"/"),
        (b"*", b"*"),
        (b"/api/threads/T-1.md", b"/api/threads/T-1.md"),
        (b"/actors/gateway/x@y/websocket/", b"/actors/gateway/x@y/websocket/"),
        (b"/%61pi/%70rovider/x", b"/api/provider/x"),
        (b"/v1/%6Dessages", b"/v1/messages"),
        (b"/docs/caf%c3%a9 (1)/[id]|x", b"/docs/caf%C3%A9%20(1)/%5Bid%5D%7Cx"),
        (b"/docs/\xc3\xa9#part", b"/docs/%C3%A9%23part"),
        (b"/docs/100%/50%25", b"/docs/100%25/50%25"),
        (b"/docs/a%2Cb,c%3d", b"/docs/a%2Cb,c%3D"),
        (b"/docs/.../..a/.b", b"/docs/.../..a/.b"),
        (b"/api/internal/github-proxy/repos/a/b/git/ref/feature%2fx", None),
        (GEMINI + b"accounts%2Ffireworks%2Fmodels%2Fglm-5:x", GEMINI + b"accounts/fireworks/models/glm-5:x"),
        (GEMINI + b"gemini%3AcountTokens", GEMINI + b"gemini:countTokens"),
        (GEMINI + b"gemini-3%2Dpro(high):x", GEMINI + b"gemini-3-pro(high):x"),
        (GEMINI + b"llama%333:8b:x", GEMINI + b"llama33%3A8b:x"),
    ],
)
def test_canonical(path: bytes, canonical: bytes | None) -> None:
    """One form for each path; Amp's own paths stay as its clients write them, capitals of escapes aside."""
    expected = path.replace(b"%2f", b"%2F") if canonical is None else canonical
    assert canonical_path(path) == expected
    assert canonical_path(expected) == expected


#: Every spelling of what is read in two ways, once and twice encoded.
_DOTS = [b"..", b"%2e%2e", b".%2E", b"%252e%252e", b"%25%32%65.", b".", b"%2e", b"..%20", b""]
_SEPARATORS = [b"%2f..%2f", b"%5c..%5c", b"\\..\\", b"%252f..%252f", b"..;", b"..%3b", b"%255c", b"\\"]
_OTHERS = [
    b";x=1",
    b"%3bx",
    b"%253b",
    b"%00",
    b"%0d%0a",
    b"\x7f",
    b"%c2%85",
    b"%c0%ae%c0%ae",
    b"%ff",
    b"\xff",
]
AMBIGUOUS = [b"a/%b/b" % dots for dots in _DOTS] + [b"a%bb" % text for text in (*_SEPARATORS, *_OTHERS)]
STEMS = [
    GEMINI,
    b"/v1beta/models/",
    b"/api/internal/github-proxy/",
    b"/docs/",
    b"/api/provider/x/",
    b"/",
    b"/v1/",
]


@each("stem", STEMS)
@each("tail", AMBIGUOUS)
def test_ambiguous(stem: bytes, tail: bytes) -> None:
    """Refused below every stem, and the reason is one that a person can act on."""
    with pytest.raises(PathRefused) as caught:
        canonical_path(stem + tail)
    assert caught.value.error.status == 400
    assert "Write the path without it" in caught.value.error.message


@pytest.mark.parametrize(
    "path", [b"//", b"//evil.test/x", b"/docs//", b"/api%2Fprovider/x", b"/docs/a%2Fb", b"/docs/x%2f"]
)
def test_slashes_where_none_belong(path: bytes) -> None:
    with pytest.raises(PathRefused):
        canonical_path(path)


PIECES = st.sampled_from(
    [
        *("/", ".", "\\", ";", ":", "%", "#", "?", " ", "a", "2", "e", "f", "F", "5", "c", "3", "..", "/../"),
        *("%2e", "%2F", "%5c", "%3B", "%25", "\u00e9", "models", "v1", "/docs/"),
        *("gemini-2.5-flash", "gemini-3-pro", ":generateContent", "/api/provider/google/v1beta/models/"),
    ]
)
PATHS = st.builds(
    lambda stem, pieces: stem + "".join(pieces).encode(),
    st.sampled_from([*STEMS, b"/api/provider/google/v1beta1/publishers/google/models/"]),
    st.lists(PIECES, max_size=8),
)


@settings(max_examples=300, deadline=None)
@given(PATHS)
@example(b"/api/provider/google/v1beta/models/gemini-2.5-flash/../gemini-3-pro:generateContent")
@example(b"/docs/x#/../../api/provider/openai/v1/responses")
@example(b"/v1beta/models/a:generateContent/")
def test_what_is_decided_on_is_what_is_sent(path: bytes) -> None:
    """Whatever is let through is the same path to the URL standard, and has the same segments to those that
    decode first, twice or thrice, cut at semicolons, or merge slashes.
    """
    try:
        found = canonical_path(path.replace(b"?", b""))
    except PathRefused:
        return
    assert normalised(found) == found
    assert canonical_path(found) == found
    lenient = unquote_to_bytes(found)
    for _ in range(3):
        segments = [segment.strip() for segment in lenient.replace(b"\\", b"/").split(b"/")][1:]
        assert not {b".", b".."}.intersection(segments)
        assert b"" not in segments[:-1]
        assert b";" not in lenient
        lenient = unquote_to_bytes(lenient)
    try:
        endpoint = parse_endpoint(b"POST", found)
    except WrongMethod:
        return
    if endpoint is not None and endpoint.model is not None:
        assert not misleading(endpoint.model)
        said = f"/{endpoint.model}:{endpoint.method}".encode()
        # At the root a slash at the end is no part of what is meant.
        assert unquote_to_bytes(found).endswith((said, said + b"/"))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("gemini-2.5-pro(high)", False),
        ("accounts/fireworks/models/glm-5", False),
        ("llama3:8b", False),
        ("100%", False),
        ("naïve", False),
        ("a/../b", True),
        ("a/%2e%2E/b", True),
        ("a//b", True),
        ("/a", True),
        ("a\\b", True),
        ("a;b", True),
        ("a\nb", True),
        ("..", True),
        ("", True),
        ("\ud800", True),
    ],
)
def test_misleading_names(name: str, bad: bool) -> None:
    assert misleading(name) is bad


def test_queries() -> None:
    """A query stays, but for what no URL holds and what would end it."""
    assert canonical_query(b"a=%20&b&&c=d+e;f|[x]/../") == b"a=%20&b&&c=d+e;f|[x]/../"
    assert canonical_query(b"a=\xc3\xa9#b c") == b"a=%C3%A9%23b%20c"


@pytest.mark.parametrize("piece", [b"/%41", b"%20", b"%2520", b"%", b"a:", b".%20", b"%2e", b"%25"])
def test_time_is_linear(piece: bytes) -> None:
    """Twice the path takes about twice the time, whatever it is made of."""

    def canonical(path: bytes) -> None:
        with suppress(PathRefused):
            canonical_path(path)

    assert_grows(canonical, lambda times: GEMINI + b"x/." + piece * times + b"x", 4_000, 16_000, 9.6)
