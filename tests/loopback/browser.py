"""A real browser for tests: Debian's Chromium, headless; and pictures of what it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    "--hide-scrollbars", "--window-size=640,520",
)  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (*QUIET, f"--user-data-dir={tmp_path}/profile"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER or ""))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def picture(browser: Any, name: str) -> None:
    """Save what the browser shows as ``NAME.png`` in the folder ``$AMPPROXY_SCREENSHOTS``, if that is set."""
    folder = os.environ.get("AMPPROXY_SCREENSHOTS")
    if folder:
        browser.save_screenshot(f"{folder}/{name}.png")
