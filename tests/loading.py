"""What every worker of a run needs, imported once: by the process that the workers are forked from.

A worker makes its own reactor, after it was forked. What makes one as it is imported is left to the workers,
which find it compiled.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator

import _hypothesis_pytestplugin  # noqa: F401  Hypothesis expects it before anything is made with it.
import pytest

from tests import order
from tests.compiled import HERE, modules, rewritten_asserts
from tests.compiling import PROCESS

_REACTOR = "twisted.internet.reactor"


def load() -> None:
    """Import the package and the tests."""
    with rewritten_asserts(), _without_reactor():
        # Of the tests the settings come first: they hold for what is made as the others are imported.
        _import(["tests.conftest", *modules(HERE.parent / "ampproxy", "*.py")])
        _import(modules(HERE, "test_*.py"))
    for path in modules(HERE, "test_*.py").values():
        order.turn(path)
    if PROCESS:
        os.waitpid(PROCESS, 0)
    _find_constants()


def _import(names: Iterable[str]) -> None:
    for name in names:
        # What fails here, or skips itself, does so again where pytest imports it, and is reported there.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def _find_constants() -> None:
    """Those of the package, of which Hypothesis makes examples: it would parse all modules in each worker.
    A version that does not find them so finds them in each.
    """
    with warnings.catch_warnings(), contextlib.suppress(ImportError, AttributeError):
        # It tells plugins that they make all runs slower.
        warnings.simplefilter("ignore")
        importlib.import_module("hypothesis.internal.conjecture.providers")._get_local_constants()
        importlib.import_module("hypothesis.internal.charmap").intervals_from_codec("utf-8")


@contextlib.contextmanager
def _without_reactor() -> Iterator[None]:
    """Fail to import what makes a reactor."""
    sys.modules[_REACTOR] = None  # type: ignore[assignment]
    yield
    del sys.modules[_REACTOR]


load()
