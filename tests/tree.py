"""The package's sources, read and parsed once for all tests that look at them."""

from __future__ import annotations

import ast
import gc
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ampproxy"


@cache
def places() -> Sequence[str]:
    """The files below the package, as ``wire/json.py``, in their order."""
    return tuple(path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py")))


def module_of(place: str) -> str:
    """A file's dotted name below the package, as ``wire.json``; ``__init__`` for the package itself."""
    return place.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


@cache
def text_of(place: str) -> str:
    return (PACKAGE / place).read_text()


@cache
def tree_of(place: str) -> ast.Module:
    # What is made stays: the garbage collector would take twice as long with it as the parser.
    gc.disable()
    try:
        return ast.parse(text_of(place))
    finally:
        gc.enable()


@cache
def nodes_of(place: str) -> Sequence[ast.AST]:
    """All nodes of a file, as ``ast.walk`` gives them."""
    return tuple(ast.walk(tree_of(place)))
