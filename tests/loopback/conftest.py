"""One browser for all tests of a process that follow each other: to start one takes longer than most of them,
and one that waits for the next takes its time, too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.browser import started, window


class Chromium:
    """A browser that runs from the first test that needs it to the last one."""

    def __init__(self) -> None:
        self._driver: Any = None

    def started(self, folders: pytest.TempPathFactory) -> Any:
        """Its driver."""
        if self._driver is None:
            self._driver = started(folders.mktemp("chromium"))
        return self._driver

    def end(self) -> None:
        """End it, if it runs."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.quit()


_chromium = Chromium()


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real browser that knows nothing of the tests before."""
    with window(_chromium.started(tmp_path_factory)) as driver:
        yield driver


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """End the browser where a file follows that has no use for it."""
    try:
        return (yield)
    finally:
        if nextitem is None or not _uses_browser(nextitem.path):
            _chromium.end()


def _uses_browser(file: Path) -> bool:
    return file.name.startswith("test_browser_")
