"""One browser for all tests of a process: to start one takes longer than most of them, and one that waits for
the next takes its time, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.loopback.browser import started, window


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = started(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """A real browser that knows nothing of the tests before."""
    with window(chromium) as driver:
        yield driver
