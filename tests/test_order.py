"""How the files of tests are dealt to the workers of a run."""

from __future__ import annotations

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
    ("file", "marks", "turn"),
    [
        ("loopback/test_a.py", ["loopback"], 0),
        ("cli/test_a.py", ["loopback"], 1),
        ("test_a.py", [], 2),
        ("wire/test_a.py", ["parametrize"], 3),
    ],
)
def test_what_waits_comes_first(file: str, marks: list[str], turn: int) -> None:
    """Tests that wait leave the cores to others; those at the end only compute."""
    module = SimpleNamespace(own_markers=[SimpleNamespace(name=name) for name in marks])
    item: Any = SimpleNamespace(path=order.HERE / file, getparent=lambda kind: module)
    assert order.turn(item) == turn
