"""Client keys of a real service: limits that a kill does not move; keys revoked, expired and rotated."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.testing import anthropic
from tests.loopback.process import Service
from tests.reactor import in_reactor
from tests.running import ACCOUNT_KEYS, CLIENT_KEY

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
SLOW = f"{MODEL}+interval=0.1+events=8"
ENDLESS = f"{MODEL}+interval=0.1+events=100000"
KEY = "canary-key-of-ci-77aa"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=[ACCOUNT_KEYS["anthropic"]], forbidden=[KEY])
    yield stand_in
    in_reactor(stand_in.stop)


class Running:
    """A service, and its configuration file with comments."""

    def __init__(self, directory: Path, vendor: Any, entry: str) -> None:
        self.directory, self.file = directory, directory / "config.yaml"
        self.config = f"""
port: 0   # any
state-dir: {directory}/state
# Who may come in.
api-keys:
  - {CLIENT_KEY}   # mine
  # the builds
{entry}
claude-api-key:
  - api-key: "{ACCOUNT_KEYS["anthropic"]}"
    base-url: "{vendor.url}"
    models: [{{name: {MODEL}}}, {{name: {SLOW}}}, {{name: {ENDLESS}}}]
"""
        self.service = Service(directory, self.config)

    def again(self) -> None:
        """Start another process, by the file as it is now."""
        self.service = Service(self.directory, self.file.read_text())

    def ask(self, model: str = MODEL, key: str = KEY, *, stream: bool = False) -> http.client.HTTPResponse:
        body = {
            "model": model,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
            "stream": stream,
        }
        connection = self.service.connect()
        connection.request("POST", "/v1/messages", json.dumps(body), {"X-Api-Key": key})
        return connection.getresponse()

    def run(self, *arguments: str) -> Any:
        return CliRunner().invoke(main, [*arguments, "--config", str(self.file)])


def test_killed_in_the_middle(tmp_path: Path, vendor: Any) -> None:
    """Of fifty at once, after a kill -9 and a restart, no more than the limit's twenty are served in all.

    Those that were under way stay counted.
    """
    entry = f"  - {{name: ci, key: {KEY}, limits: {{requests-per-month: 20}}}}"
    running = Running(tmp_path, vendor, entry)
    before = len(vendor.requests)

    def status(_: int) -> int:
        try:
            return running.ask(SLOW, stream=True).status
        except (OSError, http.client.HTTPException):
            return 0

    try:
        with ThreadPoolExecutor(50) as pool:
            first = [pool.submit(status, number) for number in range(12)]
            running.service.wait_for(lambda: len(vendor.requests) >= before + 5)
            running.service.process.kill()
            running.service.process.wait()
            assert sum(one.result() in (0, 200) for one in first) == 12
            running.again()
            found = list(pool.map(status, range(50)))
        assert set(found) <= {200, 429}
        served = len(vendor.requests) - before
        assert 5 < served <= 20
        assert found.count(429) >= 50 - 20 + 5
    finally:
        running.service.stop()
    running.again()
    try:
        assert running.ask().status == 429
    finally:
        running.service.stop()


def test_revoked_by_the_command(tmp_path: Path, vendor: Any) -> None:
    """A stream of a key that the command revokes ends at once, by an error event of its dialect.

    The file lacks the entry's line and nothing else; taken back, the key lets in again.
    """
    running = Running(tmp_path, vendor, f"  - {{name: ci, key: {KEY}}}   # 2026")
    try:
        stream, kept = running.ask(ENDLESS, stream=True), running.ask(SLOW, CLIENT_KEY, stream=True)
        stream.read(50)
        began = time.monotonic()
        done = running.run("key", "revoke", "ci", "--yes")
        assert done.exit_code == 0, done.output
        with pytest.raises(http.client.IncompleteRead) as broken:
            stream.read()
        # On a busy machine the command and the reload get their turns late.
        assert time.monotonic() - began < 30
        last = broken.value.partial.rpartition(b"event: ")[2]
        assert last.startswith(b"error\n")
        assert b"revoked" in last
        assert kept.read().count(b"event: message_stop") == 1
        assert running.ask().status == 401
        lines = running.config.splitlines()
        assert running.file.read_text().splitlines() == [line for line in lines if "name: ci" not in line]
        assert running.run("key", "undo", "--yes").exit_code == 0
        assert running.file.read_text() == running.config
        running.service.wait_for(lambda: running.ask().status == 200)
    finally:
        running.service.stop()


def test_a_rotation(tmp_path: Path, vendor: Any) -> None:
    """Both keys are valid at once, in ledger and log by one name; no key stands anywhere."""
    running = Running(tmp_path, vendor, f"  - {{name: ci, key: {KEY}}}")
    try:
        done = running.run("key", "rotate", "ci")
        new = done.stdout.strip()
        running.service.wait_for(lambda: running.ask(key=new).status == 200)
        answers = [running.ask(key=key) for key in (KEY, new)]
        assert [answer.status for answer in answers] == [200, 200]

        def used() -> int:
            done = running.run("usage", "--by", "client", "--json")
            assert done.exit_code == 0, done.output
            groups = json.loads(done.stdout)["groups"]
            return sum(group["requests"] for group in groups if group["name"] == "ci")

        ledger = running.directory / "state" / "ledger.sqlite3"
        running.service.wait_for(lambda: ledger.exists() and ledger.stat().st_size)
        running.service.wait_for(lambda: used() == 3)
        assert new not in running.service.log_text + running.file.read_text()
        assert KEY not in running.service.log_text + running.file.read_text()
    finally:
        running.service.stop()


def test_a_key_that_expires(tmp_path: Path, vendor: Any) -> None:
    """Its stream ends when it does, without anybody's doing."""
    running = Running(tmp_path, vendor, f"  - {{name: ci, key: {KEY}}}")
    try:
        stream = running.ask(ENDLESS, stream=True)
        assert stream.status == 200
        end = int(time.time()) + 3
        shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        text = running.file.read_text().replace(f"key: {KEY}", f"key: {KEY}, expires: '{shown}'")
        running.file.write_text(text)
        with pytest.raises(http.client.IncompleteRead) as broken:
            stream.read()
        assert b"expired" in broken.value.partial.rpartition(b"event: ")[2]
        assert time.time() - end < 30
        answer = running.ask()
        assert answer.status == 401
        assert b"has expired" in answer.read()
    finally:
        running.service.stop()


def test_all_keys_hashed(tmp_path: Path, vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands then ask with the key of the environment, and say so where there is none."""
    running = Running(tmp_path, vendor, f"  - {{name: ci, key: {KEY}, routes: [models]}}")
    try:
        key = running.run("key", "new", "owner", "--route", "admin").stdout.strip()
        running.run("key", "rotate", "ci", "--keep", "0")
        text = running.file.read_text().replace(f"  - {CLIENT_KEY}   # mine\n", "")
        running.file.write_text(text)
        running.service.wait_for(lambda: running.ask(key=CLIENT_KEY).status == 401)
        monkeypatch.setenv("AMPPROXY_API_KEY", key)
        asked = running.run("accounts", "--at", f"127.0.0.1:{running.service.port}")
        assert asked.exit_code == 0, asked.output
        monkeypatch.delenv("AMPPROXY_API_KEY")
        told = running.run("accounts", "--at", f"127.0.0.1:{running.service.port}").output
        assert "set AMPPROXY_API_KEY to one" in told
    finally:
        running.service.stop()
