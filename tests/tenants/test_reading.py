"""What is shown of limits beside the service that counts them."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.config.load import load
from ampproxy.dashboard.keys import keys
from ampproxy.model.clients import KeyLimit
from ampproxy.tenants.counting import NOTHING, Amounts, Demand
from ampproxy.tenants.reading import counts_to_read
from ampproxy.tenants.store import Counts, CountsFailed, Take
from tests.state.redis_server import RedisServer, needs_redis
from tests.tenants.test_client_counts import LIMIT, NOW, shared

DAILY = (KeyLimit("requests", "day", 100),)


def test_of_a_file(tmp_path):
    """What the file has; nothing where there is none, and none is made."""
    with counts_to_read(tmp_path, None, NOW) as counts:
        assert counts.used("a", LIMIT) == {"day": NOTHING, "minute": NOTHING}
    assert list(tmp_path.iterdir()) == []
    Counts(tmp_path, lambda: NOW).work([Take("a", LIMIT, Demand(10))] * 3)
    with counts_to_read(tmp_path, None, NOW) as counts:
        assert counts.used("a", LIMIT)["day"] == Amounts(3, 30)


@needs_redis
def test_of_all_gateways(tmp_path):
    """What Redis has is shown by the page and by the command; where it is away, that it cannot be read."""
    server = RedisServer(tmp_path).start()
    file = tmp_path / "config.yaml"
    file.write_text(
        f"state-dir: {tmp_path}/state\nstate: {{url: 'unix://{server.socket}', timeout: 5s}}\n"
        "api-keys: [{name: ci, key: canary-key-of-ci, limits: {requests-per-day: 100}}]\n"
    )
    shared(server, time.time).work([Take("name:ci", DAILY, Demand(1))] * 7)
    config = load(file, environ={}, home=tmp_path)

    def page():
        found = keys(None, config, b"", {"name:ci": 0}, time.time())
        return found.keys[0].limits[0], found.notes

    def command():
        return CliRunner().invoke(main, ["key", "show", "ci", "--config", str(file)])

    assert page()[0].left == 93
    assert "7 requests of 100 requests used" in command().output
    assert f"Counted in unix://{server.socket}?db=0, for all gateways" in command().output
    server.kill()
    limit, (note,) = page()
    assert limit.left is None
    assert "Redis cannot be reached" in note
    done = command()
    assert (done.exit_code, "cannot be read: Redis" in done.output) == (1, True)
    with pytest.raises(CountsFailed), counts_to_read(tmp_path, config.state, NOW) as counts:
        counts.used("a", DAILY)
