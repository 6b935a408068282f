"""Pages of Amp's in a browser: they stay at the gateway's address, or lead to the real site."""

from __future__ import annotations

import gzip
import unittest
from typing import Any

import pytest

from tests.resources.harness import AMP_KEY, CLIENT_KEY, CONFIG, Connection, World

HERE = "http://127.0.0.1:8317"
HTML = {"Content-Type": ["text/html; charset=utf-8"]}
#: What a browser says of a request that a page of the same origin makes.
OWN = {"Sec-Fetch-Site": "same-origin"}
REDIRECT = CONFIG.replace("ampcode:", "ampcode:\n  browser-pages: redirect")


def header(connection: Connection, name: bytes) -> list[bytes]:
    lines = connection.answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [line.partition(b": ")[2] for line in lines if line.lower().startswith(name.lower() + b":")]


class Proxied(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()

    def ask(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET", **kwargs: Any
    ) -> Connection:
        return self.world.request(method, path, headers, **{"key": None, **kwargs})

    @property
    def sent(self) -> Any:
        return self.world.client.sent[-1]

    def answer(self, code: int, body: bytes, headers: dict[str, list[str]]) -> None:
        self.sent.respond_whole(code, body, headers)
        self.world.turn()

    def test_page(self) -> None:
        """Absolute URLs of the site name the address that the browser used; the length is not the old one."""
        for host in ("127.0.0.1:8317", "localhost:8317", "[::1]:8317", "amp.localhost"):
            connection = self.ask("/auth/sign-in", {"Host": host})
            self.answer(200, b'<form action="https://amp.test/auth/x">', {**HTML, "ETag": ['"1"']})
            self.assertEqual(connection.body, f'<form action="http://{host}/auth/x">'.encode())
            self.assertTrue(connection.ended_cleanly)
            self.assertEqual(header(connection, b"etag") + header(connection, b"content-length"), [])

    def test_page_behind_https(self) -> None:
        """A proxy on this machine that speaks HTTPS in front of us says so; nobody else is believed."""
        proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}
        connection = self.ask("/docs", proxied)
        self.answer(200, b"https://amp.test", HTML)
        self.assertEqual(connection.body, b"https://127.0.0.1:8317")
        open_to_all = CONFIG.replace("ampcode:", "ampcode:\n  restrict-management-to-localhost: false")
        self.world = World(open_to_all)
        connection = self.ask("/docs", proxied, peer="10.0.0.7")
        self.answer(200, b"https://amp.test", HTML)
        self.assertEqual(connection.body, HERE.encode())

    def test_page_in_pieces(self) -> None:
        """Split anywhere, and each piece goes on as soon as it is certain."""
        connection = self.ask("/threads")
        body = self.sent.respond(headers=HTML)
        body.data(b"<p>first</p><a href='htt")
        self.world.turn()
        self.assertEqual(connection.body, b"<p>first</p><a href=")
        for piece in (b"ps://am", b"p.te", b"st", b"/x"):
            body.data(piece)
            self.world.turn()
        body.done()
        self.assertEqual(connection.body, b"<p>first</p><a href='http://127.0.0.1:8317/x")

    def test_compressed_page(self) -> None:
        """Gzip that does not say so is inflated first; a page in a coding that we do not know stays."""
        connection = self.ask("/threads")
        self.answer(200, gzip.compress(b"https://amp.test/x"), HTML)
        self.assertEqual(connection.body, f"{HERE}/x".encode())
        connection = self.ask("/threads")
        self.answer(200, b"https://amp.test/x", {**HTML, "Content-Encoding": ["br"], "ETag": ['"1"']})
        self.assertEqual(connection.body, b"https://amp.test/x")
        self.assertEqual(header(connection, b"etag"), [b'"1"'])

    def test_what_is_not_text(self) -> None:
        """Pictures, parts of a body, and scripts that a page may know the digest of, stay as they are."""
        for code, headers, asked in (
            (200, {"Content-Type": ["image/png"]}, {}),
            (206, HTML, {}),
            (200, {"Content-Type": ["text/javascript"]}, {"Sec-Fetch-Dest": "script"}),
        ):
            connection = self.ask("/docs/x", asked)
            self.answer(code, b"https://amp.test", headers)
            self.assertEqual(connection.body, b"https://amp.test")
            self.assertEqual(header(connection, b"content-length"), [b"16"])

    def test_an_answer_of_the_control_plane(self) -> None:
        """Only pages are looked through: what ``/api`` answers is for programs."""
        connection = self.ask("/api/user", key=CLIENT_KEY)
        self.answer(200, b'"https://amp.test"', {"Content-Type": ["application/json"]})
        self.assertEqual(connection.body, b'"https://amp.test"')

    def test_redirects_and_cookies(self) -> None:
        """They are the browser's address's, on every path of Amp's."""
        for path in ("/auth/x", "/api/x"):
            connection = self.ask(path, key=CLIENT_KEY)
            self.answer(
                302,
                b"",
                {
                    "Location": ["https://amp.test/auth/next?a=https%3A%2F%2Famp.test"],
                    "Set-Cookie": ["__Host-s=1; Path=/; Secure; HttpOnly", "t=2; Domain=amp.test"],
                    "Strict-Transport-Security": ["max-age=9"],
                },
            )
            self.assertEqual(
                header(connection, b"location"), [f"{HERE}/auth/next?a=https%3A%2F%2Famp.test".encode()]
            )
            self.assertEqual(header(connection, b"set-cookie"), [b"amp__Host-s=1; Path=/; HttpOnly", b"t=2"])
            self.assertEqual(header(connection, b"strict-transport-security"), [])

    def test_a_redirect_to_the_clients_own_port(self) -> None:
        """The end of a login: back to the CLI, which is neither the upstream nor the gateway."""
        target = "http://127.0.0.1:35789/auth/callback?accessToken=x"
        connection = self.ask("/auth/cli-login")
        self.answer(302, b"", {"Location": [target]})
        self.assertEqual(header(connection, b"location"), [target.encode()])

    def test_requests_look_like_the_sites_own(self) -> None:
        """``Origin``, ``Referer`` and the names of cookies are what the upstream expects of its own pages."""
        self.ask(
            "/auth/sign-in",
            {
                "Origin": HERE,
                "Referer": f"{HERE}/auth/sign-in?x=1&key={CLIENT_KEY}",
                "Cookie": "amp__Host-s=1; t=2",
            },
            "POST",
            body=b"a=b",
        )
        self.assertEqual(self.sent.header("origin"), ["https://amp.test"])
        self.assertEqual(self.sent.header("referer"), ["https://amp.test/auth/sign-in?x=1"])
        self.assertEqual(self.sent.header("cookie"), ["__Host-s=1; t=2"])
        self.assertEqual(self.sent.body, b"a=b")
        self.ask("/auth/sign-in", {"Referer": "http://127.0.0.1:3000/somewhere"})
        self.assertEqual(self.sent.header("referer"), [])

    def test_pages_never_get_the_owners_key(self) -> None:
        """Nor where the gateway asks nobody for a key."""
        self.world = World(CONFIG.replace("api-keys:", "ignored:", 1))
        self.ask("/threads")
        self.assertEqual(self.sent.header("authorization"), [])
        self.ask("/api/user")
        self.assertEqual(self.sent.header("authorization"), [f"Bearer {AMP_KEY}"])

    def test_other_pages(self) -> None:
        """What a page of the site loads or leads to is there for browsers that show such a page."""
        for headers in (OWN, {"Sec-Fetch-Site": "none", "Cookie": "a=b"}):
            connection = self.ask("/_app/start.js?v=1", headers)
            self.assertEqual(self.sent.url, "https://amp.test/_app/start.js?v=1")
            self.assertEqual(self.sent.header("authorization") + self.sent.header("x-api-key"), [])
            self.answer(200, b"x", {"Content-Type": ["text/javascript"]})
            self.assertEqual(connection.body, b"x")

    def test_no_other_page_for_others(self) -> None:
        """A program, another site's page, a user who types an address: 404, and nothing is asked."""
        cases: tuple[dict[str, str], ...] = (
            {},
            {"Sec-Fetch-Site": "cross-site", "Cookie": "a=b"},
            {"Sec-Fetch-Site": "same-site", "Cookie": "a=b"},
            {"Sec-Fetch-Site": "none"},
            {**OWN, "Authorization": f"Bearer {CLIENT_KEY}"},
        )
        for headers in cases:
            foreign = headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site")
            self.assertEqual(self.ask("/_app/start.js", headers).status, 403 if foreign else 404)
        self.assertEqual(self.ask("/_app/x", OWN, peer="10.0.0.7").status, 403)
        self.assertEqual(self.ask("/_app/x", {**OWN, "Host": "evil.test"}).status, 403)
        for config in (REDIRECT, "api-keys: [k]"):
            other = World(config)
            self.assertEqual(other.request("GET", "/_app/x", OWN, key=None).status, 404)
            self.assertEqual(other.client.sent, [])
        self.assertEqual(self.world.client.sent, [])

    def test_data_of_pages(self) -> None:
        """A page of the site may ask ``/api`` by its own cookie, and gets nothing by the owner's key; a model
        route is never open.
        """
        self.ask("/api/x", {**OWN, "Cookie": "amp__Secure-s=1"})
        self.assertEqual(self.sent.header("cookie"), ["__Secure-s=1"])
        self.assertEqual(self.sent.header("authorization") + self.sent.header("x-api-key"), [])
        count = len(self.world.client.sent)
        for path in ("/api/provider/x/y", "/api/provider/anthropic/v1/messages", "/v1/messages", "/news.rss"):
            self.assertEqual(self.ask(path, OWN, "POST", body=b"{}").status, 401, path)
        self.assertEqual(len(self.world.client.sent), count)


class Redirected(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World(REDIRECT)

    def test_pages(self) -> None:
        """The browser goes to the real site, path and query kept, and no key of ours among it."""
        for path in ("/auth/cli-login?authToken=ab&callbackPort=35789", "/threads/T-1?a=%20", "/pay"):
            joined = f"{path}{'&' if '?' in path else '?'}key={CLIENT_KEY}"
            connection = self.world.request("GET", joined, key=None)
            self.assertEqual(connection.status, 302)
            self.assertEqual(header(connection, b"location"), [f"https://amp.test{path}".encode()])
            self.assertEqual(header(connection, b"x-ampproxy-route"), [b"management"])
        self.assertEqual(self.world.client.sent, [])
        self.assertEqual({event["outcome"] for event in self.world.exchanges}, {"completed"})

    def test_programs(self) -> None:
        """What is not a browser that opens a page is served as always."""
        self.world.request("GET", "/threads/T-1")
        self.world.request("POST", "/auth/x", body=b"", key=None)
        self.world.request("GET", "/api/user")
        self.assertEqual(len(self.world.client.sent), 3)

    def test_the_usual_rules(self) -> None:
        """Who may not have the page does not get the redirect."""
        self.assertEqual(self.world.request("GET", "/threads", peer="10.0.0.7", key=None).status, 403)
        self.assertEqual(self.world.request("GET", "/threads", {"Host": "evil.test"}, key=None).status, 403)


@pytest.mark.parametrize("host", ['127.0.0.1:8317"><script>', "127.0.0.1:x", "localhost:1/x"])
def test_a_host_that_is_none(host: str) -> None:
    """What could break out of a page is not written into one."""
    world = World()
    connection = world.request("GET", "/docs", {"Host": host}, key=None)
    if world.client.sent:
        world.client.sent[0].respond_whole(200, b"https://amp.test", HTML)
        world.turn()
        assert connection.body == b"https://amp.test"
    else:
        assert connection.status in (400, 403)
