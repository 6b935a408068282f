"""Who may see the page and use the admin API, and who gets nothing of either."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ampproxy.status import Alert, AlertsReport
from tests.dashboard.owner import HOST, OPENS, SCRIPT, OwnersWorld, headers_of, json_of
from tests.resources.harness import CLIENT_KEY, CONFIG, Connection

OTHER = os.geteuid() + 1
ADMIN_KEY, PLAIN_KEY = "admin-key-0123456789", "models-key-0123456789"
NAMED = CONFIG.replace(
    "api-keys: [",
    f"api-keys: [{{name: anna, key: {ADMIN_KEY}}}, {{name: ci, key: {PLAIN_KEY}, routes: [models]}}, ",
    1,
)
#: A proxy on this machine that speaks HTTPS with a client elsewhere.
TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
PATHS = ["page/", "page/live", "page/usage", "overview", "accounts", "usage", "live", "openapi.json"]


def refused(connection: Connection) -> bool:
    """Whether nothing of the gateway's owner is in an answer."""
    shown = connection.body.decode()
    return connection.status >= 400 and "claude-api-key" not in shown and "ampproxy-page" not in shown


def test_owner_on_this_machine() -> None:
    """A browser of the service's own user needs no key: the address leads to the page."""
    world = OwnersWorld()
    front = world.request("GET", "/", OPENS, key=None)
    assert (front.status, headers_of(front)["location"]) == (302, "/ampproxy/page/")
    for view in ("page/", "page/accounts", "page/config"):
        page = world.open(view)
        assert (page.status, headers_of(page)["content-type"]) == (200, "text/html; charset=utf-8")
    assert json_of(world.call("overview"))["accounts"] == 1
    assert world.client.sent == []


def test_alerts_stand_above_the_requests() -> None:
    """What is wrong now, with what helps; nothing of it is markup."""
    world = OwnersWorld()
    wrong = Alert("needs-login", "claude:a", "claude:a needs a login <now>.", "ampproxy login claude", 1.0)

    class Watching:
        def report(self) -> AlertsReport:
            return AlertsReport(True, 2.0, (wrong,))

    assert "needs a login" not in world.open().body.decode()
    world.generation.runtime = replace(world.generation.runtime, alerts=cast(Any, Watching()))
    shown = world.open().body.decode()
    assert "<strong>claude:a needs a login &lt;now&gt;.</strong>" in shown
    assert "<pre>ampproxy login claude</pre>" in shown


def test_headers() -> None:
    """What is shown is kept nowhere, framed by no page, and runs no script but its own."""
    world = OwnersWorld()
    for answer in (world.open(), world.call("overview"), world.get("overview"), world.open("page/nothing")):
        found = headers_of(answer)
        assert found["cache-control"] == "no-store"
        assert found["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in found["content-security-policy"]
        assert "unsafe" not in found["content-security-policy"]
        assert "default-src 'none'" in found["content-security-policy"]
        assert found["cross-origin-opener-policy"] == found["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("headers", "kwargs"),
    [
        ({"Host": "evil.example"}, {}),
        ({"Host": "evil.example:8317", "Origin": "http://evil.example:8317"}, {}),
        ({"Origin": "https://evil.example"}, {}),
        ({"Origin": "null"}, {}),
        ({"Origin": "http://127.0.0.1:3000"}, {}),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, {}),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, {}),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, {}),
        # A page of Amp's, which is of the same origin.
        (SCRIPT, {}),
        ({**SCRIPT, "X-Ampproxy-Page": "guessed"}, {}),
        ({}, {"key": PLAIN_KEY}),
        ({}, {"key": "no-such-key"}),
        ({}, {"peer": "203.0.113.9"}),
        ({}, {"peer": "203.0.113.9", "key": ADMIN_KEY}),
        (TLS, {}),
        (TLS, {"key": CLIENT_KEY}),
        (TLS, {"key": PLAIN_KEY}),
        # A proxy on this machine may ask for anybody.
        ({"X-Forwarded-For": "127.0.0.1"}, {}),
        ({"X-Forwarded-Proto": "https"}, {}),
        # By an address that leads here from elsewhere, too: a forwarded port.
        ({"Host": "192.0.2.7:8317"}, {}),
    ],
)
def test_nothing(headers: dict[str, str], kwargs: Any) -> None:
    """Foreign hosts and origins, other pages, keys without the right, other machines without TLS."""
    world = OwnersWorld(NAMED)
    assert [path for path in PATHS if not refused(world.get(path, headers, **kwargs))] == []


@pytest.mark.parametrize("path", PATHS)
def test_another_user(path: str) -> None:
    """Whoever else is logged in on this machine needs a key, and so do all where nobody can tell."""
    for uid in (OTHER, -1):
        world = OwnersWorld(uid=uid)
        assert refused(world.get(path, OPENS))
        assert world.get(path, key=CLIENT_KEY).status == 200


def test_root() -> None:
    assert OwnersWorld(uid=0).open().status == 200


def test_ask_key() -> None:
    """The setting has the service's own user present a key, too."""
    world = OwnersWorld(CONFIG + "page: {ask-key: true}\n")
    assert world.open().status == 401
    assert b'action="login"' in world.open().body


@pytest.mark.parametrize("path", [*PATHS, "page/static/page.js", "page/login"])
def test_disabled(path: str) -> None:
    """Then there is neither page nor API, for nobody; what was there before them stays as it was."""
    world = OwnersWorld(CONFIG + "page: false\n")
    old = path in ("accounts",)
    assert world.get(path, OPENS).status == (401 if old else 404)
    assert world.get(path, key=CLIENT_KEY).status == (200 if old else 404)
    assert world.request("GET", "/", {"Sec-Fetch-Site": "none"}, key=None).status == 404
    assert world.request("POST", "/ampproxy/page/login", key=None, body=b"key=x").status == 404


ORDERS = ["reload", "forget", "doctor/run"]


@pytest.mark.parametrize("order", ORDERS)
def test_orders(order: str) -> None:
    """What does something is for the page itself, and for programs with a key: for no other page or tab."""
    world = OwnersWorld()
    path = f"/ampproxy/{order}"
    token = world.token()
    forged: tuple[dict[str, str], ...] = (
        {},
        OPENS,
        SCRIPT,
        {**SCRIPT, "X-Ampproxy-Page": "guessed"},
        {"Origin": f"http://{HOST}"},
        {"Origin": "https://evil.example", "X-Ampproxy-Page": token},
        {"Sec-Fetch-Site": "cross-site", "X-Ampproxy-Page": token},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    )
    for headers in forged:
        answer = world.request("POST", path, headers, key=None, body=b"")
        assert answer.status in (401, 403), headers
    for headers in ({"Origin": f"http://{HOST}"}, OPENS):
        assert world.request("POST", path, headers, key=CLIENT_KEY, body=b"").status == 403
    assert world.call(order, "GET").status == 405
    # Let in, they find that this configuration came from no file, or that nothing was learned.
    wanted = 200 if order == "forget" else 404
    assert world.call(order, "POST", body=b"").status == wanted
    assert world.request("POST", path, body=b"").status == wanted


def log_in(world: OwnersWorld, key: str, headers: dict[str, str] | None = None) -> Connection:
    body = f"key={key}".encode()
    headers = {"Origin": f"http://{HOST}", **SCRIPT, **(headers or {})}
    return world.request("POST", "/ampproxy/page/login", headers, body, key=None)


def cookie_in(answer: Connection) -> str:
    return headers_of(answer)["set-cookie"].partition(";")[0]


def test_login() -> None:
    """A browser of another user trades a key for a cookie that no script, and no page of Amp's, gets."""
    world = OwnersWorld(NAMED, uid=OTHER)
    assert b'action="login"' in world.open().body
    wrong = log_in(world, "no-such-key")
    assert wrong.status == 401
    assert b"Invalid API key" in wrong.body
    assert log_in(world, PLAIN_KEY).status == 403
    answer = log_in(world, ADMIN_KEY)
    assert (answer.status, headers_of(answer)["location"]) == (303, "/ampproxy/page/")
    attributes = headers_of(answer)["set-cookie"].split("; ")[1:]
    assert attributes == ["Path=/ampproxy", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]
    cookie = {"Cookie": cookie_in(answer)}
    token = world.token(headers=cookie)
    assert world.get("overview", {**SCRIPT, **cookie, "X-Ampproxy-Page": token}).status == 200
    # The cookie alone is what another tab would send, too; the token is this session's.
    assert world.get("overview", {**SCRIPT, **cookie}).status == 403
    assert world.get("overview", {**SCRIPT, "X-Ampproxy-Page": token}).status == 401
    assert ADMIN_KEY not in world.open(headers=cookie).body.decode()


def test_session_ends() -> None:
    """By its time, by logging out, by its key's end, and by later ones."""
    config = NAMED + "page: {session: 1h, max-sessions: 2, ask-key: true}\n"
    world = OwnersWorld(config)
    cookies = [{"Cookie": cookie_in(log_in(world, ADMIN_KEY))} for _ in range(3)]
    assert [world.open(headers=cookie).status for cookie in cookies] == [401, 200, 200]
    token = world.token(headers=cookies[1])
    out = {**SCRIPT, "Origin": f"http://{HOST}", **cookies[1]}
    assert world.request("POST", "/ampproxy/page/logout", out, b"token=x", key=None).status == 403
    body = f"token={token}".encode()
    assert world.request("POST", "/ampproxy/page/logout", out, body, key=None).status == 303
    assert [world.open(headers=cookie).status for cookie in cookies] == [401, 401, 200]
    world.use(config.replace(ADMIN_KEY, "another-key-0123456789"))
    assert world.open(headers=cookies[2]).status == 401
    world.use(config)
    assert world.open(headers=cookies[2]).status == 200
    world.wall += 3600
    assert world.open(headers=cookies[2]).status == 401


def test_from_elsewhere() -> None:
    """Over TLS, with the key of an entry that has a name; the cookie is then for TLS alone."""
    world = OwnersWorld(f"allowed-hosts: [gate.example]\n{NAMED}")
    headers = {"Host": "gate.example", **TLS}
    assert world.get("overview", headers, key=ADMIN_KEY).status == 200
    assert world.open(headers=headers).status == 401
    given = {**headers, "Origin": "https://gate.example"}
    assert log_in(world, CLIENT_KEY, given).status == 403
    answer = log_in(world, ADMIN_KEY, given)
    assert headers_of(answer)["set-cookie"].endswith("; Secure")
    cookie = {"Cookie": cookie_in(answer)}
    assert world.open(headers={**headers, **cookie}).status == 200
    # The same cookie without TLS, or a form without it: nothing.
    plain = {"Host": "gate.example", "X-Forwarded-For": "203.0.113.9"}
    assert refused(world.open(headers={**plain, **cookie}))
    assert log_in(world, ADMIN_KEY, {**plain, "Origin": "http://gate.example"}).status == 403


def test_login_of_another_page() -> None:
    """No other page logs its visitor's browser in."""
    world = OwnersWorld(NAMED, uid=OTHER)
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "none"},
    ):
        answer = log_in(world, ADMIN_KEY, headers)
        assert answer.status == 403
        assert "set-cookie" not in headers_of(answer)
    large = world.request("POST", "/ampproxy/page/login", {}, b"key=" + b"x" * 9000, key=None)
    assert large.status == 413


def test_without_client_keys() -> None:
    """Where no key is asked for every user of this machine is the owner, but no page is but the page."""
    world = OwnersWorld("claude-api-key: [{api-key: k, base-url: 'http://claude.test'}]\n", uid=OTHER)
    assert world.open().status == 200
    assert world.call("overview").status == 200
    assert world.get("overview").status == 200
    assert world.get("overview", SCRIPT).status == 403
    assert world.get("overview", peer="203.0.113.9").status == 403


def test_amps_own_pages() -> None:
    """Amp's pages lead to Amp's home; where its user opens the address, a browser gets the page."""
    world = OwnersWorld()
    world.request("GET", "/", {**OPENS, "Sec-Fetch-Site": "same-origin"}, key=None)
    assert [sent.url for sent in world.client.sent] == ["https://amp.test/"]
    assert world.request("GET", "/", {**OPENS, "Cookie": "a=b"}, key=None).status == 302
    assert world.request("HEAD", "/", key=None).status == 200
    world.request("POST", "/", SCRIPT, b"", key=None)
    assert [sent.method for sent in world.client.sent] == ["GET", "POST"]


def test_links_from_elsewhere() -> None:
    """A link in another page opens the page; it does nothing else."""
    world = OwnersWorld()
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert world.get("page/usage", link).status == 200
    assert world.request("GET", "/", link, key=None).status == 302
    assert world.get("overview", link).status == 403


def test_static_files() -> None:
    """They are what is listed, and a browser keeps them until they change."""
    world = OwnersWorld()
    loads = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "script"}
    script = world.get("page/static/page.js", loads)
    assert (script.status, headers_of(script)["content-type"]) == (200, "text/javascript; charset=utf-8")
    again = world.get("page/static/page.js", {**loads, "If-None-Match": headers_of(script)["etag"]})
    assert (again.status, again.body) == (304, b"")
    for name in ("", "nothing.js", "../pages.py", "%2e%2e/pages.py", "vendor/uplot/VERSION", "vendor"):
        assert world.get(f"page/static/{name}", loads).status in (400, 404), name
    assert world.request("POST", "/ampproxy/page/static/page.js", loads, b"", key=None).status == 405


def test_loaded_when_asked_for() -> None:
    """Until the page is asked for it is not made; what may not even ask has nothing made."""
    world = OwnersWorld()
    world.get("page/live", {"Host": "evil.example"})
    world.get("accounts", key=CLIENT_KEY)
    assert world.dashboard.desk is None
    assert world.open().status == 200
    assert world.dashboard.desk is not None
    world.use(CONFIG)
    assert world.open().status == 200
