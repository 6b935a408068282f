"""What a second process compiles is what pytest takes for compiled."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion import rewrite

from tests.compiled import HERE, compile_tests, compiled, modules, nodes, rewritten_asserts


def test_pytest_takes_it(tmp_path: Path) -> None:
    """Asserts are rewritten, and what is compiled is not compiled again, nor what stands behind it."""
    first, second, third = (tmp_path / f"test_{name}.py" for name in ("first", "second", "third"))
    for path in (first, second, third):
        path.write_text("def test():\n    value = 1\n    assert value == 2\n")
    compiled(second).parent.mkdir()
    compiled(second).write_bytes(b"")
    compile_tests([first, second, third])
    code = rewrite._read_pyc(first, compiled(first))
    assert code is not None
    assert "@pytest_ar" in code.co_names
    assert compiled(second).read_bytes() == b""
    assert not compiled(third).exists()


def test_modules() -> None:
    """By the names that they are imported by."""
    found = modules(HERE.parent / "ampproxy", "*.py")
    assert found["ampproxy"].name == "__init__.py"
    assert found["ampproxy.config.load"].name == "load.py"
    assert "ampproxy.__main__" not in found
    assert list(found) == sorted(found)


def test_asserts_are_rewritten_as_pytest_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To the same code, with the same places, whatever stands in an assert."""
    path = tmp_path / "test_one.py"
    path.write_text(
        "def test(a, b=[1]):\n"
        "    assert (found := [-x for x in a if x not in b]), f'{a!r:>{len(b)}}'\n"
        "    assert all(x < 1 < 2 or not x for x in a) and {**b, 'k': lambda y=1, *z: y}\n"
        "    assert a.b[1:2](*b, **{}) is (yield), 'words'\n"
        "    assert found == (\n        b if a else None\n    )\n"
    )

    def every_node(tree: ast.AST) -> Iterator[ast.AST]:
        assert rewrite.traverse_node is every_node
        yield from ast.walk(tree)

    with rewritten_asserts() as config:
        assert rewrite.traverse_node is nodes
        _, ours = rewrite._rewrite_test(path, config)
        monkeypatch.setattr(rewrite, "traverse_node", every_node)
        _, theirs = rewrite._rewrite_test(path, config)
    assert ours == theirs
    assert [*places(ours)] == [*places(theirs)]


def places(code: Any) -> Iterator[Any]:
    """Where each instruction stands in the source."""
    yield from code.co_lines()
    for one in code.co_consts:
        if isinstance(one, type(code)):
            yield from places(one)
