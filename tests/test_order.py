"""How the files of tests are dealt to the workers of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import order
from tests.tree import ROOT


def files() -> order.Files:
    option: Any = SimpleNamespace(maxworkerrestart=None, tx=["2*popen"], loadscopereorder=True, debug=False)
    config: Any = SimpleNamespace(option=option, getvalue=lambda name: getattr(option, name))
    return order.Files(config)


def test_a_file_stays_together() -> None:
    """Its tests are one piece of work; files that would make the same are one, too."""
    scope = files()._split_scope
    assert scope("tests/a.py::test[1]") == scope("tests/a.py::Class::test") != scope("tests/b.py::test")
    assert len({scope(f"{file}::test") for file in order.TOGETHER}) == len(set(order.TOGETHER.values()))


def test_files_are_there() -> None:
    """A file that has another name by now is dealt alone."""
    assert [file for file in order.TOGETHER if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(
    ("file", "mark", "turn"),
    [
        ("loopback/test_a.py", "pytestmark = pytest.mark.loopback", 0),
        ("cli/test_a.py", "pytestmark = pytest.mark.loopback", 1),
        ("cli/test_a.py", "pytestmark = [pytest.mark.loopback, pytest.mark.skip]", 1),
        ("test_a.py", "", 2),
        ("wire/test_a.py", "@pytest.mark.loopback\ndef test(): ...", 3),
    ],
)
def test_what_waits_comes_first(
    file: str, mark: str, turn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that wait leave the cores to others; those at the end only compute."""
    monkeypatch.setattr(order, "HERE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"import pytest\n\n{mark}\n")
    assert order.turn(path) == turn


#: What the suite's own settings do with the files of a run.
CONFTEST = """
from tests.conftest import (
    pytest_collection_modifyitems,
    pytest_pycollect_makeitem,
    pytest_pycollect_makemodule,
    pytest_runtest_protocol,
    pytest_sessionstart,
    pytest_xdist_make_scheduler,
)
"""
FILES = {
    "test_a.py": """
import warnings

import pytest

made = []


@pytest.fixture(scope="module", autouse=True)
def once():
    made.append(1)
    yield
    assert made == [1]


def test_good(once):
    assert made == [1]


def test_bad(once):
    assert not made


@pytest.mark.parametrize("number", [1, 2, 3])
def test_numbers(number):
    assert number < 3


class TestClass:
    def test_in_it(self):
        raise ValueError


def test_parts(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number != 1


@pytest.mark.filterwarnings("error")
def test_marks():
    with pytest.raises(UserWarning):
        warnings.warn("a warning")
""",
    "test_broken.py": "import no_such_module",
    "test_empty.py": "",
    "test_skipped.py": "import pytest; pytest.skip('not here', allow_module_level=True)",
}


@pytest.mark.parametrize("part", [(), ("suite/test_a.py", "suite/test_broken.py")], ids=["all", "a part"])
def test_files_are_run_whole(part: tuple[str, ...], tmp_path: Path) -> None:
    """What is dealt as a file is reported as its tests: none is lost, whatever becomes of it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = suite\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "suite").mkdir()
    for name, text in FILES.items():
        (tmp_path / "suite" / name).write_text(text)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-n1", "-p", "no:cacheprovider", "-p", "no:anyio", *part]
    told = subprocess.run(
        command, cwd=tmp_path, env=environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    ).stdout
    # In a part each case is a test of its own.
    passed, skipped = (5, "") if part else (3, "1 skipped, ")
    assert f"5 failed, {passed - 1} passed, {skipped}1 error, 2 subtests passed" in told, told
    for name in ("test_bad", "test_numbers", "TestClass::test_in_it", "test_parts"):
        assert f"FAILED suite/test_a.py::{name}" in told
    assert "ERROR suite/test_broken.py" in told
