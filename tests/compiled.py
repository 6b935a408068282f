"""What a run in a fresh clone needs compiled, made by a second process while the first loads other packages.

Python and pytest compile a file as it is imported. That takes longer than all else before the first test, on
one core. The second process begins with the last file of tests; where it meets what the first has compiled
meanwhile, it ends. All of it only saves time: what it cannot do is done by whoever imports the file.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from _pytest.assertion import install_importhook, rewrite
from _pytest.config import Config, get_config

HERE = Path(__file__).parent
_STATE = rewrite.assertstate_key


def modules(folder: Path, pattern: str) -> dict[str, Path]:
    """The names and the files of a folder's modules, in their order, but for those that run when imported."""
    found = {}
    for path in folder.rglob(pattern):
        if path.name != "__main__.py":
            parts = path.relative_to(HERE.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return dict(sorted(found.items()))


@contextlib.contextmanager
def rewritten_asserts() -> Iterator[Config]:
    """Import as pytest imports tests."""
    config = get_config()
    hook = install_importhook(config)
    yield config
    sys.meta_path.remove(hook)


def compiled(path: Path) -> Path:
    """Where pytest keeps a file of tests as it has compiled it."""
    return rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)


def compile_tests(paths: Iterable[Path]) -> None:
    """Compile files of tests as pytest does, up to the first one that is compiled."""
    with rewritten_asserts() as config:
        for path in paths:
            target = compiled(path)
            if target.exists():
                break
            target.parent.mkdir(exist_ok=True)
            source, code = rewrite._rewrite_test(path, config)
            rewrite._write_pyc(config.stash[_STATE], code, source, target)


def find_constants() -> None:
    """Those of the package, of which Hypothesis makes examples, and all characters: it keeps in files what it
    has found.
    """
    from hypothesis.internal.charmap import intervals_from_codec
    from hypothesis.internal.constants_ast import constants_from_module

    intervals_from_codec("utf-8")

    with warnings.catch_warnings():
        # It tells plugins that they make all runs slower.
        warnings.simplefilter("ignore")
        for name, path in modules(HERE.parent / "ampproxy", "*.py").items():
            module = ModuleType(name)
            module.__file__ = str(path)
            constants_from_module(module)


def begin() -> int:
    """The process that compiles; 0 if there is nothing to compile."""
    tests = [*modules(HERE, "test_*.py").values()]
    if compiled(tests[-1]).exists():
        return 0
    process = os.fork()
    if process == 0:
        # Of versions that do this in another way, nothing is expected.
        with contextlib.suppress(Exception):
            find_constants()
            compile_tests(reversed(tests))
        os._exit(0)
    return process
