"""Settings of the whole suite. That it is here makes the directory above importable, too: ``tests.reactor``
and the like are found from every test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Postgres

# How long something takes says how busy the machine is, and nothing about what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# No terminal's width but what a test sets. readline, which pytest loads, gives one to every process that a
# test starts, past os.environ.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
    os.unsetenv(_name)


def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``: two for each core, because many tests wait for processes that they started."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


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
