"""What a second process compiles is what pytest takes for compiled."""

from __future__ import annotations

from pathlib import Path

from _pytest.assertion import rewrite

from tests.compiled import HERE, compile_tests, compiled, modules


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
