"""A real browser for tests: Debian's Chromium, headless; and pictures of what it shows."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
#: What a test with a browser is marked with.
MARKS = [
    pytest.mark.loopback,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver (Debian)"),
]
#: As root without a sandbox; and without anything that would look up hosts of its own.
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--disable-software-rasterizer", "--hide-scrollbars", "--window-size=640,520",
)  # fmt: skip


def started(folder: Path) -> Any:
    """A browser that has just been started; the test is skipped where Selenium is not installed.

    :param folder: where its profile is made.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (*QUIET, f"--user-data-dir={folder}/profile"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER or ""))
    driver.set_page_load_timeout(60)
    return driver


@contextmanager
def window(driver: Any) -> Iterator[Any]:
    """The browser with a window of its own, which has its own cookies, storage, cache and settings."""
    first = driver.current_window_handle
    context = _command(driver, "Target.createBrowserContext")["browserContextId"]
    made = _command(driver, "Target.createTarget", url="about:blank", browserContextId=context)
    driver.switch_to.window(made["targetId"])
    # What was written for those before: they are gone.
    driver.get_log("browser")
    try:
        yield driver
    finally:
        driver.switch_to.window(first)
        _command(driver, "Target.disposeBrowserContext", browserContextId=context)


def _command(driver: Any, method: str, **parameters: str) -> Any:
    """The result of a command of the Chrome DevTools Protocol, for the browser as a whole, which Selenium
    does not send.
    """
    connection = http.client.HTTPConnection(driver.capabilities["goog:chromeOptions"]["debuggerAddress"])
    connection.request("GET", "/json/version")
    address = json.loads(connection.getresponse().read())["webSocketDebuggerUrl"]
    connection.close()
    with connect(address) as socket:
        socket.send(json.dumps({"id": 1, "method": method, "params": parameters}))
        while (answer := json.loads(socket.recv(60))).get("id") != 1:
            pass
    return answer["result"]


def picture(browser: Any, name: str) -> None:
    """Save what the browser shows as ``NAME.png`` in the folder ``$AMPPROXY_SCREENSHOTS``, if that is set."""
    folder = os.environ.get("AMPPROXY_SCREENSHOTS")
    if folder:
        browser.save_screenshot(f"{folder}/{name}.png")
