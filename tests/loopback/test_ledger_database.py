"""A real service whose ledger's database goes away and comes back, and which is killed meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.ledger.lines import decoded
from ampproxy.ledger.place import SPOOL
from ampproxy.testing import amp, anthropic
from tests.loopback.process import Service
from tests.loopback.test_ledger import ask, config, usage
from tests.loopback.test_process import wait_until
from tests.loopback.test_restart import is_there
from tests.postgres import Postgres
from tests.reactor import in_reactor
from tests.running import ACCOUNT_KEYS, AMP_KEY, CLIENT_KEY

pytestmark = pytest.mark.loopback


@pytest.fixture
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=[ACCOUNT_KEYS["anthropic"]], forbidden=[CLIENT_KEY])
    yield stand_in
    in_reactor(stand_in.stop)


@pytest.fixture
def upstream() -> Iterator[Any]:
    stand_in = in_reactor(amp.start, reactor, keys=[AMP_KEY], forbidden=[CLIENT_KEY])
    yield stand_in
    in_reactor(stand_in.stop)


def waiting(folder: Path) -> int:
    """How many rows wait on the disk; one that waits twice counts once, for it has one key."""
    lines: list[bytes] = []
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # the service has written it to the database meanwhile
            lines += path.read_bytes().splitlines(keepends=True)
    return len({(row.at, row.writer, row.number) for line in lines for row in decoded(line)})


def test_a_database_that_goes_away(vendor: Any, upstream: Any, tmp_path: Path, postgres: Postgres) -> None:
    """Every request is served. What was answered meanwhile is in the ledger once it is back, once, although
    the supervisor of two workers, which had it on the disk, was killed while it was away: its workers keep
    what they do not know to be kept, and that is the same rows. The log has one line for each change.
    """
    more = f'ledger: {{url: "{postgres.url}"}}\nmetrics: {{enable: false}}'
    text = config(tmp_path, vendor, upstream, more)
    spool = tmp_path / "state" / SPOOL
    service = Service(tmp_path, f"{text}\nworkers: 2")
    workers: list[int] = []
    try:
        service.wait_for_log("is ready", 2)
        workers += map(int, re.findall(r"is ready \(process (\d+)\)", service.log_text))
        assert ask(service) == 200
        wait_until(lambda: postgres.rows == 1, 30)
        postgres.kill()
        assert ask(service) == 200
        service.wait_for_log("cannot be reached")
        assert [ask(service) for _ in range(2)] == [200] * 2
        wait_until(lambda: waiting(spool) == 3, 30)
    finally:
        service.process.kill()
        service.process.wait(60)
        wait_until(lambda: not any(map(is_there, workers)), 30)
    again = Service(tmp_path, text)
    try:
        assert ask(again, stream=True) == 200
        wait_until(lambda: waiting(spool) == 4, 30)
        postgres.start()
        wait_until(lambda: postgres.rows == 5, 60)
        again.wait_for_log("is back; what waited for it is written")
        assert ask(again) == 200
        assert usage(tmp_path, "route") in ({"local": 5}, {"local": 6})
        assert again.stop() == 0
    finally:
        again.stop()
    assert again.log_text.count("cannot be reached") == 1
    assert len(vendor.requests) == postgres.rows == 6
    assert postgres.ask("SELECT sum(requests), sum(metered) FROM daily") == [(6, 6)]
    assert waiting(spool) == 0
    assert not (tmp_path / "state" / "ledger.sqlite3").exists()
