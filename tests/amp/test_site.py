"""Amp's site under the client's address: URLs, however they are written and split."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.amp.site import Rewriter, Site, is_text

HERE = "http://127.0.0.1:8317"
SITE = Site("https://amp.test", HERE)

#: What becomes of the address of the site in a text.
CHANGED = [
    ("https://amp.test", "http://127.0.0.1:8317"),
    ("<a href=https://amp.test/a>", "<a href=http://127.0.0.1:8317/a>"),
    ('"https://amp.test/auth?next=/x"', '"http://127.0.0.1:8317/auth?next=/x"'),
    ("see https://AMP.test.", "see http://127.0.0.1:8317."),
    ("HTTPS://amp.test:443/a", "http://127.0.0.1:8317/a"),
    ("wss://amp.test/s", "ws://127.0.0.1:8317/s"),
    ('src="//amp.test/x.js"', 'src="//127.0.0.1:8317/x.js"'),
    (r'{"a":"https:\/\/amp.test\/b"}', r'{"a":"http:\/\/127.0.0.1:8317\/b"}'),
    (r'"{\"a\":\"https:\\/\\/amp.test\\/b\"}"', r'"{\"a\":\"http:\\/\\/127.0.0.1:8317\\/b\"}"'),
    (r"'https:\u002F\u002Famp.test\u002Fb'", r"'http:\u002F\u002F127.0.0.1:8317\u002Fb'"),
    ("https:&#x2F;&#x2F;amp.test&#x2F;b", "http:&#x2F;&#x2F;127.0.0.1:8317&#x2F;b"),
    (r'"two lines:\nhttps://amp.test"', r'"two lines:\nhttp://127.0.0.1:8317"'),
    ("url(https://amp.test/a),url(https://amp.test/b)", f"url({HERE}/a),url({HERE}/b)"),
    ('"https://amp.test": 1', f'"{HERE}": 1'),
    ("0; url=https://amp.test/x", f"0; url={HERE}/x"),
    ('{"q":"a?b","u":"https://amp.test"}', f'{{"q":"a?b","u":"{HERE}"}}'),
]

#: What is somebody else's, or tells somebody else the real address.
KEPT = [
    "https://amp.test.evil.test/",
    "https://amp.testing/",
    "https://amp.test-2/",
    "https://amp.test:8443/",
    "https://amp.test:4433/",
    "https://amp.test@evil.test/",
    "https://amp.test:pw@evil.test/".replace(":pw", "%3A"),
    "https://www.amp.test/",
    "http://amp.test/",
    "git+https://amp.test/",
    "https://idp.test/authorize?redirect_uri=https://amp.test/auth/callback&x=1",
    "https://idp.test/authorize?redirect_uri=https%3A%2F%2Famp.test%2Fauth%2Fcallback",
    "// amp.test is not a URL",
    "a//amp.test",
    "https:/amp.test",
    r"https:/\/amp.test",
]


@pytest.mark.parametrize(("text", "expected"), CHANGED)
def test_changed(text: str, expected: str) -> None:
    """However a URL of the site is written, it names the client's address, written in the same way."""
    assert SITE.text(text.encode()) == expected.encode()


@pytest.mark.parametrize("text", KEPT)
def test_kept(text: str) -> None:
    """Names that only look like the site's, and the query of another URL, stay."""
    assert SITE.text(text.encode()) == text.encode()


def pieces(text: bytes, cuts: list[int]) -> bytes:
    rewriter = Rewriter(SITE)
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    out = [rewriter.feed(text[low:high]) for low, high in itertools.pairwise(edges)]
    return b"".join([*out, rewriter.end()])


ALL = [text for text, _ in CHANGED] + KEPT


@given(st.lists(st.sampled_from(ALL), max_size=5), st.lists(st.integers(0, 400), max_size=12))
def test_any_split(texts: list[str], cuts: list[int]) -> None:
    """A page that comes in pieces is the page that comes whole."""
    text = "\n".join(texts).encode()
    assert pieces(text, cuts) == SITE.text(text)


@pytest.mark.parametrize("text", ALL)
def test_single_bytes(text: str) -> None:
    """Byte by byte, too."""
    whole = text.encode()
    assert pieces(whole, list(range(len(whole)))) == SITE.text(whole)


def test_little_is_held_back() -> None:
    """What was written up to a space or a tag goes on at once; a text without any is not gathered."""
    rewriter = Rewriter(SITE)
    assert rewriter.feed(b"<p>Hello</p><a href=") == b"<p>Hello</p><a"
    assert rewriter.feed(b"https://amp.test>x<") == b" href=http://127.0.0.1:8317>x"
    blob = bytes(random.Random(1).choices(b"abcdefgh/:?", k=300_000))
    out = rewriter.feed(blob)
    assert len(blob) - len(out) < 5000
    assert out + rewriter.end() == b"<" + blob


def test_a_path_of_its_own() -> None:
    """An upstream below a path: that path is not the client's."""
    site = Site("https://host.test/amp", "https://gw.test")
    assert site.text(b"https://host.test/amp/auth https://host.test/ https://host.test/ampere") == (
        b"https://gw.test/auth https://host.test/ https://host.test/ampere"
    )
    assert site.answer_headers([(b"Location", b"/amp/auth?a=1")]) == [(b"Location", b"/auth?a=1")]
    assert site.upstream_url(b"https://gw.test/threads") == b"https://host.test/amp/threads"
    cookie = (b"Set-Cookie", b"a=b; Path=/amp/auth; Secure")
    assert site.answer_headers([cookie]) == [(b"Set-Cookie", b"a=b; Path=/auth; Secure")]


def test_ports_and_addresses() -> None:
    """An origin may be an address with a port on either side."""
    site = Site("http://[::1]:8080", "http://[::1]:9")
    assert site.text(b"http://[::1]:8080/a ws://[::1]:8080 http://[::1]:80801") == (
        b"http://[::1]:9/a ws://[::1]:9 http://[::1]:80801"
    )
    assert Site("https://a.test:443", HERE).text(b"https://a.test/ https://a.test:443/") == (
        f"{HERE}/ {HERE}/".encode()
    )


@pytest.mark.parametrize(
    "here", ["", "http://", 'http://x"y', "http://a:b", "ftp://a", "http://a/b", "http://a b"]
)
def test_no_origin(here: str) -> None:
    """Nothing that could break out of a page is ever written into one."""
    with pytest.raises(ValueError, match="origin"):
        Site("https://amp.test", here)


def test_headers() -> None:
    """Redirects, links and policies name the client's address; what holds for the upstream's name goes."""
    headers = [
        (b"location", b"https://amp.test/auth?a=https://amp.test"),
        (b"Location", b"https://idp.test/?redirect_uri=https%3A%2F%2Famp.test"),
        (b"Location", b"/relative"),
        (b"Refresh", b"3; url=https://amp.test/x"),
        (b"Link", b'<https://amp.test/a.css>; rel="preload"'),
        (
            b"Content-Security-Policy",
            b"default-src 'self' https://amp.test wss://amp.test; upgrade-insecure-requests; img-src *",
        ),
        (b"Strict-Transport-Security", b"max-age=1"),
        (b"Alt-Svc", b'h3=":443"'),
        (b"X-Other", b"https://amp.test"),
    ]
    assert SITE.answer_headers(headers) == [
        (b"location", b"http://127.0.0.1:8317/auth?a=https://amp.test"),
        (b"Location", b"https://idp.test/?redirect_uri=https%3A%2F%2Famp.test"),
        (b"Location", b"/relative"),
        (b"Refresh", b"3; url=http://127.0.0.1:8317/x"),
        (b"Link", b'<http://127.0.0.1:8317/a.css>; rel="preload"'),
        (
            b"Content-Security-Policy",
            b"default-src 'self' http://127.0.0.1:8317 ws://127.0.0.1:8317; img-src *",
        ),
        (b"X-Other", b"https://amp.test"),
    ]


@pytest.mark.parametrize(
    ("url", "there"),
    [
        (b"http://127.0.0.1:8317/auth?a=b", b"https://amp.test/auth?a=b"),
        (b"http://127.0.0.1:8317", b"https://amp.test"),
        (b"http://127.0.0.1:83170/", None),
        (b"http://other.test/", None),
    ],
)
def test_there(url: bytes, there: bytes | None) -> None:
    """The upstream's name of a page of ours, and none for another's."""
    assert SITE.upstream_url(url) == there


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (b"text/html; charset=utf-8", True),
        (b"application/json", True),
        (b"Application/Manifest+JSON;x=1", True),
        (b"text/javascript", True),
        (b"text/event-stream", False),
        (b"image/png", False),
        (b"application/octet-stream", False),
        (b"", False),
    ],
)
def test_texts(kind: bytes, text: bool) -> None:
    """Only text is looked through."""
    assert is_text(kind) is text
