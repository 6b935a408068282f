"""``ampproxy credits``."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner

from ampproxy.cli.credits import command
from ampproxy.config.schema import FallbackRule
from ampproxy.credentials.names import client_name, kept_salt
from ampproxy.credits.allowance import NAME, Allowance
from ampproxy.wire.redact import Secret


@pytest.fixture
def run(tmp_path):
    def run(ampcode: str):
        file = tmp_path / "config.yaml"
        file.write_text(f"port: 0\nstate-dir: {tmp_path / 'state'}\n{ampcode}")
        return CliRunner().invoke(command, ["--config", str(file)])

    return run


RULES = """ampcode:
  upstream-url: https://amp.test
  fallback:
    - {model: [gpt-*, o1], role: oracle, daily-requests: 5}
    - {daily-tokens: 70, per: client}
"""


def test_without_upstream(run):
    assert run("ampcode: {}").output == "Nothing goes to Amp: ampcode.upstream-url is not set.\n"


def test_words(run):
    on = "ampcode: {upstream-url: 'https://amp.test', fallback: "
    assert run(on + "allow}").output == "1. all models: goes to Amp\n"
    assert run(on + "never}").output == "1. all models: never sent to Amp\n"
    told = run(on + "[{model: gpt-*, action: allow}]}").output
    assert told == "1. gpt-*: goes to Amp\n2. anything else: never sent to Amp\n"


def test_counts(run, tmp_path):
    assert run(RULES).output == (
        "1. gpt-*, o1 for oracle: up to 5 requests a day\n   today: nothing\n"
        "2. all models: up to 70 tokens a day for each client\n   today: nothing\n"
        f"Counted in {tmp_path}/state/credits.sqlite3, the state-dir of this configuration; its service does"
        " not answer: with port: 0 the service has no address of its own.\n"
    )
    allowance = Allowance(tmp_path / "state", lambda: time.strftime("%Y-%m-%d"))
    allowance.take(
        FallbackRule(action="limit", models=("gpt-*", "o1"), roles=("oracle",), requests=5), None, 9
    )
    each = FallbackRule(action="limit", tokens=70, per_client=True)
    for client in ("a", "b", "b", "b", "gone"):
        allowance.take(each, Secret(client), 10)
    allowance.take(each, None, 1)
    told = run("api-keys: [a, b]\n" + RULES).output
    assert "   today: 1 request, 9 tokens\n" in told
    # Clients have the names of the log; before the service has run, those of their places.
    first, second = "api-keys[0]", "api-keys[1]"
    assert f"   {second}: 3 requests" in told
    salt = kept_salt(tmp_path / "state")
    first, second = client_name(Secret("a"), salt), client_name(Secret("b"), salt)
    told = run("api-keys: [a, b]\n" + RULES).output
    assert (
        f"   {second}: 3 requests, 30 tokens\n   another client: 1 request, 10 tokens\n"
        f"   {first}: 1 request, 10 tokens\n   clients without a key: 1 request, 1 token\n"
    ) in told or (
        f"   {second}: 3 requests, 30 tokens\n   {first}: 1 request, 10 tokens\n"
        "   another client: 1 request, 10 tokens\n   clients without a key: 1 request, 1 token\n"
    ) in told


def test_broken_file(run, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / NAME).write_bytes(b"no database" * 100)
    told = run(RULES)
    assert told.exit_code == 1
    assert "cannot be read: file is not a database" in told.output


def test_a_file_that_cannot_be_read(tmp_path):
    """As where the state is another user's: said in one line."""
    file = tmp_path / "config.yaml"
    file.write_text(f"state-dir: {tmp_path / ('x' * 300)}\n{RULES}")
    told = CliRunner().invoke(command, ["--config", str(file)])
    assert told.exit_code == 1
    assert "cannot be read: File name too long" in told.output


def test_clients_with_a_name(run, tmp_path):
    """They are told by it, whatever key they have."""
    allowance = Allowance(tmp_path / "state", lambda: time.strftime("%Y-%m-%d"))
    each = FallbackRule(action="limit", tokens=70, per_client=True)
    allowance.take(each, Secret("client ci"), 10)
    allowance.close()
    told = run("api-keys: [{name: ci, key: anything}]\n" + RULES).output
    assert "   ci: 1 request, 10 tokens" in told
