"""A whole login in a real browser, against the strict authorization server."""

from __future__ import annotations

from typing import Any

import pytest

from ampproxy.cli.login import Terminal, sign_in
from tests.cli.test_login import world  # noqa: F401  the fixture
from tests.loopback.browser import MARKS, picture
from tests.reactor import in_reactor

pytestmark = MARKS


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
    picture(browser, f"login-{kind}")
