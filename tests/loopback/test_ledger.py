"""The ledger of a real service: what it keeps, what it does not, and what happens when it is killed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.ledger import NAME
from ampproxy.ledger.journal import JOURNAL
from ampproxy.testing import amp, anthropic
from tests.ledger.samples import THREAD
from tests.loopback.process import Service
from tests.loopback.test_process import wait_until
from tests.reactor import in_reactor
from tests.running import ACCOUNT_KEYS, AMP_KEY, CLIENT_KEY

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
HANGS = f"{MODEL}+hang=stream"
PROMPT = "canary-prompt-say-nothing-of-this"
MESSAGES = "/api/provider/anthropic/v1/messages"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=[ACCOUNT_KEYS["anthropic"]], forbidden=[CLIENT_KEY])
    yield stand_in
    in_reactor(stand_in.stop)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    stand_in = in_reactor(amp.start, reactor, keys=[AMP_KEY], forbidden=[CLIENT_KEY])
    yield stand_in
    in_reactor(stand_in.stop)


def config(directory: Path, vendor: Any, upstream: Any, more: str = "") -> str:
    return f"""
port: 0
state-dir: {directory}/state
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - api-key: "{ACCOUNT_KEYS["anthropic"]}"
    base-url: "{vendor.url}"
    models: [{{name: {MODEL}}}, {{name: {HANGS}}}]
ampcode:
  upstream-url: "{upstream.url}"
  upstream-api-key: "{AMP_KEY}"
  model-mappings: [{{from: gpt-5.4, to: {MODEL}}}]
{more}"""


def ask(service: Service, model: str = MODEL, *, path: str = MESSAGES, stream: bool = False) -> int:
    body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": PROMPT}]}
    connection = service.connect()
    with closing(connection):
        headers = {"X-Api-Key": CLIENT_KEY, "X-Amp-Thread-Id": THREAD}
        connection.request("POST", path, json.dumps({**body, "stream": stream}), headers)
        answer = connection.getresponse()
        answer.read()
        return int(answer.status)


def usage(directory: Path, by: str) -> dict[str, int]:
    """How many requests each group has; nothing while the file is not there or is being made."""
    options = ["--config", str(directory / "config.yaml"), "--by", by, "--json"]
    result = CliRunner().invoke(main, ["usage", *options])
    if result.exit_code:
        assert result.output.startswith("Error: "), result.output
        return {}
    return {group["name"]: group["requests"] for group in json.loads(result.stdout)["groups"]}


def total(directory: Path) -> int:
    return sum(usage(directory, "route").values())


def test_a_service_and_its_ledger(vendor: Any, upstream: Any, tmp_path: Path) -> None:
    """Every exchange that asked for a model has a row a second later, none has a word of it or a key; a
    change of the settings counts at once, and the end loses nothing.
    """
    service = Service(tmp_path, config(tmp_path, vendor, upstream))
    try:
        assert ask(service) == ask(service, stream=True) == 200
        assert ask(service, "gpt-5.4", path="/api/provider/openai/v1/messages", stream=True) == 200
        assert ask(service, "no-such-model", path="/v1/messages") == 404
        ask(service, "claude-opus-4-6")
        # What a client puts where a model's name belongs is kept as a name, but a key is not.
        ask(service, CLIENT_KEY, path="/v1/messages")
        connection = service.connect()
        with closing(connection):
            connection.request("GET", "/v1/models", headers={"X-Api-Key": CLIENT_KEY})
            assert connection.getresponse().status == 200
        wait_until(lambda: total(tmp_path) == 6, 60)
        assert usage(tmp_path, "route") == {"local": 2, "mapped": 1, "none": 2, "amp": 1}
        assert usage(tmp_path, "thread") == {THREAD: 6}
        assert usage(tmp_path, "asked")["***"] == 1
        (tmp_path / "config.yaml").write_text(config(tmp_path, vendor, upstream, "ledger: false"))
        wait_until(lambda: "Configuration 2 is in force" in service.log_text, 60)
        ask(service)
        (tmp_path / "config.yaml").write_text(config(tmp_path, vendor, upstream))
        wait_until(lambda: "Configuration 3 is in force" in service.log_text, 60)
        ask(service)
        assert service.stop() == 0
    finally:
        service.stop()
    assert usage(tmp_path, "route") == {"local": 3, "mapped": 1, "none": 2, "amp": 1}
    content = b"".join(each.read_bytes() for each in (tmp_path / "state").rglob("*") if each.is_file())
    assert b"claude-opus-4-6" in content
    for secret in (PROMPT, CLIENT_KEY, ACCOUNT_KEYS["anthropic"], AMP_KEY):
        assert secret.encode() not in content


def test_a_killed_service_loses_the_last_second_at_most(vendor: Any, upstream: Any, tmp_path: Path) -> None:
    """What was written is there; the file is sound, and the next service goes on with it. What was under way
    is in it, too: the vendor has begun with it.
    """
    service = Service(tmp_path, config(tmp_path, vendor, upstream))
    hanging = service.connect()
    try:
        headers = {"X-Api-Key": CLIENT_KEY, "X-Amp-Thread-Id": THREAD}
        body = {"model": HANGS, "max_tokens": 99, "messages": [{"role": "user", "content": PROMPT}]}
        hanging.request("POST", MESSAGES, json.dumps({**body, "stream": True}), headers)
        wait_until(lambda: [*(tmp_path / "state" / JOURNAL).glob("*.jsonl")], 60)
        for _ in range(5):
            ask(service)
        wait_until(lambda: total(tmp_path) == 5, 60)
        ask(service)
    finally:
        service.process.kill()
        service.process.wait(60)
        hanging.close()
    assert total(tmp_path) in (5, 6)
    with closing(sqlite3.connect(tmp_path / "state" / NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = total(tmp_path)
    again = Service(tmp_path, config(tmp_path, vendor, upstream))
    try:
        ask(again)
        again.wait_for_log("1 exchange of a process that was killed")
    finally:
        assert again.stop() == 0
    assert total(tmp_path) == before + 2
    assert usage(tmp_path, "asked")[HANGS] == 1
    assert not (tmp_path / "state" / JOURNAL).exists()


def test_a_ledger_that_cannot_be_written(vendor: Any, upstream: Any, tmp_path: Path) -> None:
    """The service serves, says so once, and writes what waited when it can."""
    blocked = tmp_path / "state" / NAME
    blocked.mkdir(parents=True)
    service = Service(tmp_path, config(tmp_path, vendor, upstream))
    try:
        assert [ask(service) for _ in range(3)] == [200, 200, 200]
        wait_until(lambda: "cannot be written" in service.log_text, 60)
        blocked.rmdir()
        wait_until(lambda: "can be written again; missing from it: 0 exchanges" in service.log_text, 60)
        wait_until(lambda: total(tmp_path) == 3, 60)
    finally:
        assert service.stop() == 0
    assert service.log_text.count(f"The ledger {blocked} cannot be written") == 1
