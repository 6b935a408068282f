"""The doctor's look at the ledger's database."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from time import time

from msgspec.structs import replace

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.ledger.place import SPOOL
from ampproxy.ledger.visit import database_state
from tests.ledger.conftest import shared
from tests.ledger.samples import entry
from tests.postgres import Postgres


def config(url: str, home: Path) -> Config:
    text = json.dumps({"ledger": {"url": url, "timeout": "20s"}})
    return parse(text, name="c", environ={}, home=home, read_secret=lambda path: "")


def test_a_file(tmp_path: Path) -> None:
    """It has no database."""
    assert database_state(parse("{}", name="c", environ={}, home=tmp_path, read_secret=str), tmp_path) is None


def test_a_database(postgres: Postgres, tmp_path: Path) -> None:
    """Its version, its clock, what waits for it; and why it cannot be used once it is away."""
    with closing(shared(postgres, tmp_path)) as ledger:
        ledger.write([entry()])
        found = database_state(config(postgres.url, tmp_path), tmp_path)
        assert found is not None
        assert (found.why, found.exposed, found.waiting) == ("", False, 0)
        assert found.server.startswith("PostgreSQL ")
        assert abs(found.skew) < 60
        ahead = database_state(config(postgres.url, tmp_path), tmp_path, lambda: time() + 3600)
        assert ahead is not None
        assert -3700 < ahead.skew < -3500
        nowhere = postgres.url.replace("/postgres?", "/nothing?")
        ledger.store._database._database._server = replace(
            ledger.store._database._database._server, url=nowhere
        )
        ledger.store._database._database.close()
        ledger.write([entry()])
        missing = database_state(config(nowhere, tmp_path), tmp_path)
        assert missing is not None
        assert 'database "nothing" does not exist' in missing.why
        assert missing.waiting == sum(each.stat().st_size for each in (tmp_path / SPOOL).iterdir()) > 0
