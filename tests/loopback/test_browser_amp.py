"""Amp's login in a real browser, through a gateway to Amp's stand-in under TLS."""

from __future__ import annotations

import base64
import http.client
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from twisted.internet import reactor
from twisted.logger import formatEventAsClassicLogText

from ampproxy.config.load import parse
from ampproxy.tap import build
from ampproxy.testing import amp, anthropic
from tests.loopback.browser import MARKS, picture
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting, certificate

pytestmark = MARKS

TOKEN = "ab" * 32
OWNER = "canary-owners-amp-key"
ACCOUNT = "canary-account-key"


class Cli:
    """The part of Amp's CLI that waits for its key on a port of this machine.

    :ivar came: the query of each call of its address.
    """

    def __init__(self) -> None:
        came: queue.Queue[dict[str, list[str]]] = queue.Queue()

        class Callback(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/auth/callback":
                    came.put(parse_qs(parts.query))
                body = b"<!doctype html><title>Amp CLI</title><p id=done>You are logged in."
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.came = came
        self._server = HTTPServer(("127.0.0.1", 0), Callback)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


class World:
    """The stand-ins, the gateway and the CLI."""

    def __init__(self, directory: Path, more: str = "") -> None:
        self.lines: list[str] = []
        self.cli = Cli()
        authority = trustme.CA()

        async def start() -> None:
            self.amp = await amp.start(
                reactor, keys=[OWNER], forbidden=[ACCOUNT, "second"], tls=certificate(authority, "localhost")
            )
            self.claude = await anthropic.start(reactor, keys=[ACCOUNT], forbidden=[OWNER, "sgamp_"])
            text = f"""
port: 0
api-keys: [canary-client-key]
claude-api-key:
  - {{api-key: {ACCOUNT}, base-url: "{self.claude.url}", models: [{{name: claude-sonnet-4-6}}]}}
ampcode:
  upstream-url: "https://localhost:{self.amp.port}"
  upstream-api-key: {OWNER}
  accept-amp-keys: true
{more}"""
            config = parse(
                text, name="c", environ={}, home=directory, read_secret=lambda path: path.read_text()
            )
            self.service = build(
                config, reactor, environ={}, policy=Trusting(authority), observer=self._observe
            )
            await self.service.listen()

        in_reactor(start)
        self.port = self.service.ports[0].getHost().port

    def _observe(self, event: Any) -> None:
        self.lines.append(formatEventAsClassicLogText(event) or "")

    def ask(self, path: str, body: Any, key: str) -> tuple[int, Any, dict[str, str]]:
        """A request as the CLI sends it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), {**headers, "anthropic-version": "2023-06-01"})
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(answer.read()), told

    def stop(self) -> None:
        in_reactor(self.service.stopService, timeout=40)
        for stand_in in (self.amp, self.claude):
            in_reactor(stand_in.stop)
        self.cli.stop()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.stop()


def wait_for(browser: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda driver: driver.execute_script(f"return {script}"))


def sign_in(browser: Any, origin: str, query: str) -> None:
    """From the address that the CLI opens to the page that asks whether it may have a key."""
    browser.get(f"{origin}/auth/cli-login?{query}")
    assert browser.current_url.startswith(f"{origin}/auth/sign-in?returnTo=")
    wait_for(browser, "document.body.dataset.ready === 'yes'")
    assert browser.find_element("tag name", "footer").text.endswith(origin)
    browser.find_element("id", "email").send_keys("anna@example.org")
    picture(browser, "amp-sign-in")
    browser.find_element("tag name", "button").click()
    wait_for(browser, "document.title === 'Authorize the Amp CLI'")
    wait_for(browser, "document.body.dataset.user === 'anna@example.org'")
    assert browser.current_url == f"{origin}/auth/cli-login?{query}"
    picture(browser, "amp-authorize")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "amp.localhost"])
def test_login(world: World, browser: Any, host: str) -> None:
    """The browser never leaves the gateway's address; its last redirect brings the key to the CLI, which then
    is that user: at Amp by its own key, at the models by the owner's accounts.
    """
    origin = f"http://{host}:{world.port}"
    sign_in(browser, origin, f"authToken={TOKEN}&callbackPort={world.cli.port}")
    styled = browser.execute_script("return getComputedStyle(document.querySelector('main')).borderRadius")
    assert styled == "12px"
    assert str(world.amp.port) not in browser.page_source
    cookies = {cookie["name"]: cookie for cookie in browser.get_cookies()}
    assert set(cookies) == {"amp__Host-csrf", "amp__Secure-session"}
    assert all(cookie["httpOnly"] and cookie["domain"] == host for cookie in cookies.values())
    browser.find_element("tag name", "button").click()
    wait_for(browser, "document.querySelector('#done') !== null")
    came = world.cli.came.get(timeout=60)
    assert came["authToken"] == [TOKEN]
    (key,) = came["accessToken"]

    status, answer, _ = world.ask("/api/internal?getUserInfo", {"method": "getUserInfo", "params": {}}, key)
    assert (status, answer["result"]["email"]) == (200, "anna@example.org")
    body = {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    status, _, headers = world.ask("/api/provider/anthropic/v1/messages", body, key)
    assert (status, headers["x-ampproxy-route"]) == (200, "local")
    assert world.amp.leaks + world.claude.leaks == []
    assert any("client=amp:anna@example.org" in line for line in world.lines)
    assert not any(key in line or TOKEN in line for line in world.lines)
    seen = [request for request in world.amp.requests if request.path.startswith(("/auth", "/_app"))]
    assert seen
    assert {request.status for request in seen} <= {200, 302, 303}
    assert not any("authorization" in request.headers for request in seen)


def test_login_without_a_port(world: World, browser: Any) -> None:
    """For a CLI on another machine the page shows a code that holds the key."""
    sign_in(browser, f"http://127.0.0.1:{world.port}", f"authToken={TOKEN}")
    browser.find_element("tag name", "button").click()
    wait_for(browser, "document.title === 'Paste this code'")
    code = json.loads(base64.b64decode(browser.find_element("tag name", "code").text))
    assert code["token"] == TOKEN
    assert world.ask("/api/internal?getUserInfo", {"method": "getUserInfo"}, code["accessToken"])[0] == 200


def test_redirected(tmp_path: Path, browser: Any) -> None:
    """With ``browser-pages: redirect`` the browser is at the real site, which leads back to the CLI."""
    world = World(tmp_path, "  browser-pages: redirect\n")
    try:
        browser.execute_cdp_cmd("Security.setIgnoreCertificateErrors", {"ignore": True})
        query = f"authToken={TOKEN}&callbackPort={world.cli.port}"
        browser.get(f"http://127.0.0.1:{world.port}/auth/cli-login?{query}")
        assert browser.current_url.startswith(f"https://localhost:{world.amp.port}/auth/sign-in?returnTo=")
        browser.find_element("id", "email").send_keys("anna@example.org")
        browser.find_element("tag name", "button").click()
        wait_for(browser, "document.title === 'Authorize the Amp CLI'")
        assert browser.current_url == f"https://localhost:{world.amp.port}/auth/cli-login?{query}"
        assert {cookie["name"] for cookie in browser.get_cookies()} == {"__Host-csrf", "__Secure-session"}
        browser.find_element("tag name", "button").click()
        assert world.cli.came.get(timeout=60)["authToken"] == [TOKEN]
    finally:
        world.stop()
