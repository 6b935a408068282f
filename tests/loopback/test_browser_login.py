"""A whole login in a real browser: Debian's Chromium, headless, against the strict authorization server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ampproxy.cli.login import Terminal, sign_in
from tests.cli.test_login import world  # noqa: F401  the fixture
from tests.reactor import in_reactor

webdriver = pytest.importorskip("selenium.webdriver")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver (Debian)"),
]
#: As root without a sandbox; and without anything that would look up hosts of its own.
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (*QUIET, f"--user-data-dir={tmp_path}/profile"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER or ""))
    yield driver
    driver.quit()


@pytest.mark.parametrize("kind", ["claude", "codex", "gemini"])
def test_login(world: Any, browser: Any, kind: str) -> None:  # noqa: F811
    """The vendor's page sends the browser back to this machine, which says that the window can be closed;
    the login is in its file.
    """
    from twisted.internet import reactor, threads

    told: list[str] = []
    terminal = Terminal(told.append, lambda _: None, lambda url: threads.deferToThread(browser.get, url))
    login = in_reactor(sign_in, reactor, world.config, kind, terminal, timeout=30)
    page = browser.find_element("tag name", "body").text
    assert "You are back" in page
    assert login.access_token not in browser.page_source
    assert browser.current_url.startswith(f"http://127.0.0.1:{world.port}/")
    assert world.server.knows(login.access_token)
    assert world.store.read(login.name) == login
    pictures = os.environ.get("AMPPROXY_SCREENSHOTS")
    if pictures:
        browser.save_screenshot(f"{pictures}/login-{kind}.png")
