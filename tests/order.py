"""In which order the workers of a run take the files of tests.

A file is run by one worker, so that what its tests share is made once, and the next file by whoever is done.
The files whose tests wait come first, while the cores have time beside them.

What is dealt are files, not tests: a worker looks for the tests of a file once it is to run them. If each
looked for all tests before any ran, that would be a twentieth of all work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.nodes import Collector, Item
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent

#: Files by what each of them would make anew for itself: they are run by one worker, too.
TOGETHER = {
    "tests/adapt/test_losses.py": "the parsed sources of the package",
    "tests/test_described.py": "the parsed sources of the package",
    "tests/test_dialect_names.py": "the parsed sources of the package",
    "tests/test_layers.py": "the parsed sources of the package",
    "tests/test_private_names.py": "the parsed sources of the package",
    "tests/test_words.py": "the parsed sources of the package",
    "tests/ledger/test_database_store.py": "a PostgreSQL",
    "tests/ledger/test_latest.py": "a PostgreSQL",
    "tests/ledger/test_query.py": "a PostgreSQL",
    "tests/ledger/test_readers.py": "a PostgreSQL",
    "tests/ledger/test_rows.py": "a PostgreSQL",
    "tests/ledger/test_visit.py": "a PostgreSQL",
    "tests/loopback/test_browser_amp.py": "a browser",
    "tests/loopback/test_browser_login.py": "a browser",
    "tests/loopback/test_browser_page.py": "a browser",
    "tests/loopback/test_browser_terminal.py": "a browser",
}


class Files(LoadFileScheduling):
    """Gives each worker files, in their order."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file, file)


class File(pytest.Module):
    """A file, as long as it is not run: one piece of work."""

    _begun = False

    def collect(self) -> Iterable[Item | Collector]:
        return super().collect() if self._begun else [Work.from_parent(self, name="*")]

    def tests(self) -> list[Item]:
        """Its tests; what keeps them from being found is reported."""
        self._begun = True
        found = list(self.session.genitems(self))
        self.config.hook.pytest_collection_modifyitems(session=self.session, config=self.config, items=found)
        return found


class Work(Item):
    """All tests of a file, dealt as if they were one."""

    _running: Item | None = None

    @property
    def nodeid(self) -> str:
        """That of the test which runs: xdist takes no report of another."""
        return self._running.nodeid if self._running else super().nodeid

    def tests(self, nextitem: Item | None) -> Iterator[tuple[Item, Item | None]]:
        """Each test as it is to be run, with the one after it."""
        file = self.getparent(File)
        assert file
        found = file.tests()
        for test, following in zip(found, [*found, nextitem][1:], strict=True):
            if self.session.shouldfail or self.session.shouldstop:
                break
            self._running = test
            yield test, following
        self._running = None

    def runtest(self) -> None:
        raise NotImplementedError


_WAITS = re.compile(r"^pytestmark = (?:\[[^\]]*|.*)\bpytest\.mark\.loopback\b", re.MULTILINE)


@cache
def turn(path: Path) -> int:
    """When a file of tests has its turn: of equal ones, in the alphabet's order."""
    folder = path.parent
    if folder.name == "loopback":
        return 0
    if _WAITS.search(path.read_text()):
        return 1
    # Those of the whole tree take the longest of those that only compute.
    return 2 if folder == HERE else 3
