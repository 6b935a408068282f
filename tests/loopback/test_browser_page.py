"""The owner's page in a real browser: the demo's requests arriving, a plot, an account that cools down and
recovers; wide and narrow, light and dark. Nothing is loaded from elsewhere, and the console stays empty.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from twisted.internet import reactor

from ampproxy.dashboard.pages import VIEWS
from ampproxy.demo.cases import CLIENT_KEY
from ampproxy.demo.run import Demo
from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Entry, Series, Tokens
from ampproxy.ledger.store import Store
from ampproxy.tap import build
from ampproxy.testing.script import Script
from tests.loopback.browser import MARKS, picture
from tests.reactor import in_reactor

pytestmark = MARKS

AXE = "axe-core@4.14.1"
_DAY = 86400
#: Of the month before: client, role, model, account, route, and about how many a day.
_MIX = (
    ("anna", "smart", "claude-sonnet-4-6", "anthropic-work", "local", 9),
    ("anna", "oracle", "gpt-5.4", "openai-work", "local", 3),
    ("ci", "", "gemini-3-flash-preview", "gemini-free", "local", 6),
    ("ben", "search", "claude-haiku-4-5", "anthropic-work", "mapped", 5),
    ("ben", "smart", "claude-opus-4-6", "", "amp", 1),
)


def fill(folder: Path) -> None:
    """A month of a small team's use."""
    now = time.time()
    entries = []
    for back in range(30):
        for number, (client, role, model, account, route, usual) in enumerate(_MIX):
            busy = usual * (1 + (back * 7 + number * 3) % 5) // (4 if back % 7 in (0, 1) else 1)
            for turn in range(busy):
                at = int((now - back * _DAY - turn * 60 - number) * 1_000_000)
                served = "" if route == "amp" else model
                series = Series(client, role, model, served, account, route, "completed", True)
                tokens = Tokens(9_000 + 700 * turn, 42_000, 3_000, 1_100 + 90 * number, 200, 0)
                entries.append(Entry(at, series, "", 200, tokens, 640, 5200))
    store = Store(folder / NAME)
    store.write(entries)
    store.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    silent: Callable[..., None] = lambda text, nl=True: None  # noqa: E731
    made = Demo(reactor, build, silent, lambda text, colour: text, lambda rows: (), state=tmp_path)
    fill(tmp_path / "0")
    try:
        in_reactor(made.start, 0)
        yield made
    finally:
        in_reactor(made.stop)


class Page:
    """The page in a browser.

    :ivar origin: of the gateway.
    """

    def __init__(self, driver: Any, demo: Demo) -> None:
        self.driver = driver
        self.origin = demo.page.rstrip("/")

    def show(self, width: int, scheme: str, height: int = 860) -> None:
        """How wide and in which colours."""
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        self.driver.get(f"{self.origin}{path}")
        self.wait(lambda: self.driver.execute_script("return document.readyState") == "complete")

    def wait(self, ready: Callable[[], Any], seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < until, self.text()[:2000]
            time.sleep(0.05)

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def rows(self) -> list[str]:
        return self.texts("#requests tr")

    def texts(self, selector: str) -> list[str]:
        """The texts of elements, at one moment: the page replaces them."""
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)"
        return list(self.driver.execute_script(script, selector))

    def check(self) -> None:
        """Nothing from elsewhere, an empty console, no sideways scrolling, no serious fault for anybody."""
        loaded = self.driver.execute_script(
            "return performance.getEntriesByType('resource').map((one) => one.name)"
        )
        assert {urlsplit(url).netloc for url in loaded} == {urlsplit(self.origin).netloc}
        assert [entry["message"] for entry in self.driver.get_log("browser")] == []
        wide, window = self.driver.execute_script(
            "return [document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert wide <= window


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core, as npm has it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run([npm, "pack", AXE], cwd=folder, capture_output=True, timeout=60, check=True)
    except (subprocess.SubprocessError, OSError):
        pytest.skip("npm has no axe-core here")
    (archive,) = folder.glob("*.tgz")
    subprocess.run(["tar", "xzf", archive.name, "package/axe.min.js"], cwd=folder, check=True)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


def ask(demo: Demo, model: str) -> Any:
    body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"x-api-key": CLIENT_KEY, "anthropic-version": "2023-06-01"}
    return in_reactor(demo.clients["main"].ask, "POST", "/v1/messages", body, headers)


def test_live(demo: Demo, browser: Any) -> None:
    """Requests appear while the page is open; an account that fails cools down, and recovers."""
    page = Page(browser, demo)
    page.show(1280, "light")
    page.open("/")
    assert page.driver.current_url == f"{page.origin}/ampproxy/page/"
    page.wait(lambda: "Live." in page.text())
    assert page.rows() == []
    assert in_reactor(demo.run, timeout=60)
    page.wait(lambda: len(page.rows()) >= 20)
    assert any("claude-opus-4-6" in row and "mapped" in row for row in page.rows())
    # By a script: the page puts rows in while one is looked for.
    browser.execute_script("document.querySelector('#requests details summary').click()")
    page.check()
    picture(browser, "page-requests")
    page.show(420, "dark", 900)
    page.check()
    picture(browser, "page-requests-narrow-dark")

    page.show(1280, "dark")
    page.open("/ampproxy/page/accounts")
    card = '[data-account="claude-api-key[0]"] .badge'
    page.wait(lambda: page.texts(card) == ["ready"])
    demo.stand_ins["anthropic"].script(Script(status=429, retry_after=3))
    ask(demo, "claude-sonnet-4-6")
    page.wait(lambda: page.texts(card) == ["cooling down"])
    page.check()
    picture(browser, "page-accounts-dark")
    page.wait(lambda: ask(demo, "claude-sonnet-4-6").status == 200 and page.texts(card) == ["ready"])


def test_views(demo: Demo, browser: Any, axe: str) -> None:
    """Each view, wide and light, narrow and dark: a plot is drawn, and axe-core finds no serious fault."""
    page = Page(browser, demo)
    assert in_reactor(demo.run, timeout=60)
    for width, scheme in ((1280, "light"), (420, "dark")):
        page.show(width, scheme)
        for view in VIEWS:
            query = {"explain": "?model=claude-opus-4-7", "usage": "?by=model&days=30"}.get(view.name, "")
            page.open(f"/ampproxy/page/{view.name}{query}")
            if view.name == "usage":
                page.wait(lambda: browser.find_elements("css selector", "#plot canvas, #legend li"))
                drawn = browser.execute_script(_PAINTED)
                assert len(drawn) > 3, drawn
                picture(browser, "page-usage" if scheme == "light" else "page-usage-narrow-dark")
            page.check()
            if scheme == "dark" and view.name not in _IN_THE_DARK:
                continue
            browser.execute_script(axe)
            found = browser.execute_async_script(
                "axe.run(document, {resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
            )
            serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
            shown = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in serious]
            assert shown == [], (view.name, scheme)
    assert len(page.text()) > 100


#: Views that have every colour between them.
_IN_THE_DARK = ("live", "usage", "explain")
#: The colours of the plot, each a number, as far as many pixels have them.
_PAINTED = """
const canvas = document.querySelector("#plot canvas");
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
const seen = new Map();
for (let at = 0; at < data.length; at += 4) {
  if (data[at + 3] < 255) continue;
  const key = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  seen.set(key, (seen.get(key) || 0) + 1);
}
return [...seen].filter(([, count]) => count > 60).map(([key]) => key);
"""


def test_without_scripts(demo: Demo, browser: Any) -> None:
    """Accounts, usage, models and the log are tables of the server's own."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page = Page(browser, demo)
    for view, words in (
        ("accounts", "claude-api-key[0]"),
        ("usage", "claude-opus-4-6"),
        ("models", "claude-sonnet-4-6"),
        ("log", "gemini-3-flash-preview"),
    ):
        browser.get(f"{page.origin}/ampproxy/page/{view}")
        assert words in page.text()
