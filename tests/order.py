"""In which order the workers of a run take the files of tests.

A file is run by one worker, so that what its tests share is made once, and the next file by whoever is done.
The files whose tests wait come first, while the cores have time beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent

#: Files by what each of them would make anew for itself: they are run by one worker, too.
TOGETHER = {
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


def turn(item: pytest.Item) -> int:
    """When a test's file has its turn: of equal ones, in the alphabet's order."""
    folder = item.path.parent
    if folder.name == "loopback":
        return 0
    if any(mark.name == "loopback" for mark in getattr(item.getparent(pytest.Module), "own_markers", ())):
        return 1
    # Those of the whole tree take the longest of those that only compute.
    return 2 if folder == HERE else 3
