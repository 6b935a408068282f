"""Settings of the whole suite. That it is here makes the directory above importable, too: ``tests.reactor``
and the like are found from every test.
"""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from execnet import gateway_base, gateway_io
from hypothesis import HealthCheck, settings

from tests import cases, forked, order
from tests.fuzz.examples import examples
from tests.postgres import Postgres

HERE = Path(__file__).parent

# How long something takes says how busy the machine is, and nothing about what is tested. The examples are
# others in each run: what few of them do not find, the next run may.
settings.register_profile(
    "busy", deadline=None, max_examples=examples(32), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")

# pytest asks for Twisted's version before each test, and would parse Twisted's description anew each time,
# README included: more than most tests take.
importlib.metadata.version = functools.cache(importlib.metadata.version)

# No terminal's width but what a test sets. readline, which pytest loads, gives one to every process that a
# test starts, past os.environ.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
    os.unsetenv(_name)


def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``: six more than cores, because many tests wait: for time, or for processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 6


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> order.Files | None:
    """Of the whole suite. A part, whose files may be few and long, is dealt as ``--dist`` has it."""
    return order.Files(config, log) if _whole(config) else None


def _whole(config: pytest.Config) -> bool:
    """Whether nobody asked for a part."""
    chosen = (
        config.getoption(name, None) for name in ("keyword", "markexpr", "lf", "failedfirst", "deselect")
    )
    return config.args == config.getini("testpaths") and not any(chosen)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Have workers deal in files."""
    config = parent.config
    if not hasattr(config, "workerinput") or not _whole(config):
        return None
    return order.File.from_parent(parent, path=module_path)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> pytest.Function | None:
    """Have cases of one function be one test, in a run of all."""
    if not _whole(collector.config) or not isinstance(collector, pytest.Module):
        return None
    if not collector.istestfunction(obj, name):
        return None
    test = cases.together(obj)
    return None if test is None else pytest.Function.from_parent(collector, name=name, callobj=test)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: order.turn(item.path))


#: What workers have loaded when they begin: of others' code what takes the longest, then all that is ours.
#: Before that a second process begins to compile, where there is something to compile.
#: Nothing of it makes a reactor.
_LOADED = (
    "pytest",
    "tests.compiling",
    "hypothesis",
    "jsonschema",
    "trustme",
    "click.testing",
    "sqlalchemy",
    "psycopg",
    "redis.asyncio",
    "anthropic",
    "openai",
    "openai.types.responses",
    "google.genai",
    "websockets.asyncio.server",
    "tests.loading",
)


#: What a worker does at its end. To take apart all that it has loaded would take a second and more.
_END = "\nimport atexit, os; atexit._run_exitfuncs(); os._exit(0)"


class _ForkedWorker(gateway_io.Popen2IOMaster):
    """A worker that begins as a copy of one process, in which all of that is loaded once."""

    def __init__(self, args: list[str], execmodel: Any) -> None:
        command = [sys.executable, "-c", args[args.index("-c") + 1] + _END]
        self.popen = forked.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, loaded=_LOADED)
        gateway_base.Popen2IO.__init__(self, self.popen.stdin, self.popen.stdout, execmodel=execmodel)


def pytest_xdist_setupnodes() -> None:
    """Fork the workers, where that is possible."""
    if forked.POSSIBLE:
        gateway_io.Popen2IOMaster = _ForkedWorker


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Keep the tests and the modules, which stay to the end, out of the garbage collector's way."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        # As in the service.
        gc.set_threshold(50_000, 20, 100)


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """In a worker, run the tests of a file, and report a test that passes once: not also that it begins, is
    set up, is torn down and ends.

    For each of these a message would go to the controller, which takes about as long as most tests.
    """
    if isinstance(item, order.Work):
        for test, following in item.tests(nextitem):
            item.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        return True
    option = item.config.option
    if not hasattr(item.config, "workerinput") or option.xmlpath or option.durations is not None:
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            # Nothing there asks for them, and there are more of them than of all else.
            report.keywords = {}
            item.ihook.pytest_runtest_logreport(report=report)
    return True


class _Progress:
    """Shows how many of the files have begun, since nobody knows how many tests there are."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._files = 0
        self._begun: set[str] = set()
        # A test may have many reports, of its parts.
        self._tests: set[str] = set()

    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        self._files = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._begun.add(report.nodeid.partition("::")[0])
        self._tests.add(report.nodeid)
        self._session.testscollected = 1 + len(self._tests) * self._files // len(self._begun)


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if config.pluginmanager.has_plugin("dsession") and _whole(config):
        config.pluginmanager.register(_Progress(session))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """A PostgreSQL that runs, and has no ledger. It is started once for all tests of a process."""
    postgres_server.empty()
    yield postgres_server
    if postgres_server.process.poll() is not None:
        postgres_server.start()
