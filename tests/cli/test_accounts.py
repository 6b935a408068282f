"""``ampproxy accounts``: with the service running, and without."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from ampproxy.cli import main
from ampproxy.config.load import load
from ampproxy.credentials.lessons import NAME, Key, Lessons
from ampproxy.credentials.names import account_name
from ampproxy.model.lesson import Lesson
from ampproxy.tap import build
from ampproxy.testing import anthropic
from ampproxy.testing.script import Script
from tests.ports import free_port
from tests.reactor import in_reactor

CLIENT_KEY = "canary-client-key-7c1b"
KEYS = [f"canary-account-key-{name}" for name in "abc"]


def run(file: Path, *more: str):
    return CliRunner().invoke(main, ["accounts", "--config", str(file), *more])


def write(file: Path, port: int, url: str, more: str = "") -> None:
    """A configuration with three accounts at ``url``."""
    accounts = "".join(f"  - {{api-key: {key}, base-url: '{url}', models: [m]}}\n" for key in KEYS)
    file.write_text(
        f"port: {port}\napi-keys: [{CLIENT_KEY}]\nclaude-api-key:\n{accounts}{more}", encoding="utf-8"
    )


class Service:
    """A gateway on loopback with three accounts at one stand-in."""

    def __init__(self, file: Path, more: str = "") -> None:
        self.lines: list[str] = []
        self.vendor = in_reactor(anthropic.start, reactor, keys=KEYS, forbidden=[CLIENT_KEY])
        self.port = free_port()
        write(file, self.port, self.vendor.url, more)
        config = load(file, environ={}, home=Path("/nonexistent"))
        self.gateway = in_reactor(
            build, config, reactor, environ={}, home=Path("/nonexistent"),
            observer=lambda event: self.lines.append(formatEvent(event)),
        )  # fmt: skip
        in_reactor(self.gateway.listen)

    def ask(self) -> int:
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/messages",
            json.dumps(body).encode(),
            {
                "x-api-key": CLIENT_KEY,
                "content-type": "application/json",
                "anthropic-version": "2023-06-01",
                "x-session-id": f"s{len(self.vendor.requests)}",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            json.load(answer)
            return answer.status

    def stop(self) -> None:
        in_reactor(self.gateway.stopService)
        in_reactor(self.vendor.stop)


@pytest.fixture
def service(tmp_path):
    running = Service(tmp_path / "amp.yaml")
    yield running
    running.stop()


@pytest.mark.loopback
def test_a_bad_day(service, tmp_path):
    """One account limited for an hour, one broken, one well: every request is served, the bad ones are left
    alone, and the command says who rests and why, without a key of anybody.
    """
    service.vendor.script(*[Script(status=429, retry_after=3600)] * 9, key=KEYS[0])
    service.vendor.script(*[Script(status=500)] * 9, key=KEYS[1])
    assert {service.ask() for _ in range(20)} == {200}
    asked = [request.key for request in service.vendor.requests]
    assert [asked.count(key) for key in KEYS] == [1, 1, 20]
    result = run(tmp_path / "amp.yaml")
    assert result.exit_code == 0, result.output
    first, limited, second, broken, third = result.stdout.splitlines()
    assert first.split() == ["claude-api-key[0]", "claude", "cooling", "down", "m"]
    assert limited.strip().startswith("for m it is rate limited (429: Rate limit reached.")
    assert limited.endswith(" (in 30 min); the vendor asked for 1 h.")
    assert second.split()[2:4] == ["cooling", "down"]
    assert "for m it failed (500: Internal server error.)" in broken
    assert third.split() == ["claude-api-key[2]", "claude", "ready", "m"]
    told = json.loads(run(tmp_path / "amp.yaml", "--json").stdout)
    assert [account["state"] for account in told["accounts"]] == ["resting", "resting", "ready"]
    assert not [line for line in [*service.lines, result.output] if "canary" in line]
    assert [line for line in service.lines if line.startswith("claude-api-key[0] is rate limited for m")]


def test_not_running(tmp_path):
    """Without a service the accounts are listed from the file, and why their state is unknown is said."""
    file = tmp_path / "amp.yaml"
    write(file, free_port(), "https://a.test", "gemini-api-key: [{api-key: canary-g}]\n")
    result = run(file)
    assert result.exit_code == 0
    assert "no answer at 127.0.0.1:" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["claude-api-key[0]", "claude", "?", "m"]
    assert lines[3].split() == ["gemini-api-key[0]", "gemini", "?", "gemini-*"]
    assert "canary" not in result.output


def test_any_port(tmp_path):
    """With port: 0 there is nowhere to ask."""
    file = tmp_path / "amp.yaml"
    write(file, 0, "https://a.test")
    assert "port: 0" in run(file).stderr


@pytest.mark.loopback
def test_something_else_runs_there(tmp_path, service):
    """A program that is no gateway is told from one."""
    file = tmp_path / "other.yaml"
    write(file, service.vendor.port, "https://a.test")
    assert "does another program or version run there?" in run(file).stderr


def test_logins_that_are_not_served(tmp_path):
    """A login of a kind that is not served is named below the table."""
    file, folder = tmp_path / "amp.yaml", tmp_path / "auth"
    write(file, 0, "https://a.test", f"auth-dir: {folder}\n")
    folder.mkdir()
    (folder / "qwen-me.json").write_text('{"type": "qwen", "access_token": "canary-token"}')
    result = run(file)
    assert result.stdout.splitlines()[-1] == "qwen-me.json is a login of the kind qwen, which is not served."
    assert "canary" not in result.output


def test_no_accounts(tmp_path):
    """An empty configuration says what to do."""
    file = tmp_path / "amp.yaml"
    file.write_text("port: 0\n")
    assert "add one" in run(file).output


@pytest.mark.loopback
def test_over_tls(tmp_path):
    """Over HTTPS the service's own certificate is trusted, whatever name it is for, and no other."""
    for name in ("own", "foreign"):
        certificate = trustme.CA().issue_cert("amp.example.com")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    tls = "tls: {{enable: true, cert: '{0}.pem', key: '{0}.pem'}}\n"
    running = Service(tmp_path / "amp.yaml", tls.format(tmp_path / "own"))
    try:
        result = run(tmp_path / "amp.yaml")
        assert (result.stderr, result.stdout.split()[2]) == ("", "untried")
        write(tmp_path / "other.yaml", running.port, "https://a.test", tls.format(tmp_path / "foreign"))
        assert "no answer" in run(tmp_path / "other.yaml").stderr
    finally:
        running.stop()


def refuse(service: Service) -> None:
    """Have the first account teach that it takes no temperature."""
    service.vendor.script(
        Script(status=400, message="`temperature` is deprecated for this model."), Script(), key=KEYS[0]
    )
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "temperature": 1}
    headers = {"x-api-key": CLIENT_KEY, "content-type": "application/json", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{service.port}/v1/messages", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


@pytest.mark.loopback
def test_what_an_account_taught_is_shown_and_forgotten(tmp_path):
    """The table says what is left out for which model; the order to forget holds at once; an account that is
    not there is named.
    """
    file = tmp_path / "amp.yaml"
    service = Service(file)
    try:
        refuse(service)
        asked = [request.body for request in service.vendor.requests]
        assert [b"temperature" in body for body in asked] == [True, False]
        first, lesson, *_ = run(file).stdout.splitlines()
        assert first.split()[:3] == ["claude-api-key[0]", "claude", "ready"]
        assert lesson.strip().startswith("for m (anthropic generate) temperature is left out; learned at ")
        result = run(file, "forget", "claude-api-key[9]")
        assert result.exit_code == 1
        assert "There is no account claude-api-key[9]" in result.output
        assert run(file, "forget", "claude-api-key[1]").stdout == "Forgotten: 0 lessons.\n"
        assert run(file, "forget", "claude-api-key[0]", "--model", "m").stdout == "Forgotten: 1 lesson.\n"
        assert "left out" not in run(file).stdout
    finally:
        service.stop()


def test_forgotten_without_a_service(tmp_path):
    """Where no service runs the file is changed."""
    file = tmp_path / "amp.yaml"
    write(file, free_port(), "https://a.test", f"state-dir: {tmp_path / 'state'}\n")
    config = load(file, environ={}, home=Path("/nonexistent"))
    now = time.time()
    for account, model in ((config.accounts[0], "m"), (config.accounts[1], "m"), (config.accounts[1], "n")):
        lessons = Lessons(config.state_dir, lambda: now, clock=Clock())
        key, found = Key(account_name(account), model, "anthropic generate"), [Lesson(("seed",), "leave-out")]
        lessons.learn(key, found)
        lessons.prove(key, found)
        lessons.close()
    kept = config.state_dir / NAME
    assert kept.read_bytes().count(b"seed") == 3
    assert run(file, "forget", "claude-api-key[7]").exit_code == 1
    assert run(file, "forget", "--model", "n").stdout == "Forgotten: 1 lesson.\n"
    assert run(file, "forget", "claude-api-key[0]").stdout == "Forgotten: 1 lesson.\n"
    assert kept.read_bytes().count(b"seed") == 1
    assert run(file, "forget").stdout == "Forgotten: 1 lesson.\n"
    assert kept.read_bytes().count(b"seed") == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_nothing_is_forgotten_in_the_folder_of_another_user(tmp_path):
    """A file of root's there would be one that its service cannot read."""
    file, state = tmp_path / "amp.yaml", tmp_path / "state"
    write(file, free_port(), "https://a.test", f"state-dir: {state}\n")
    state.mkdir()
    os.chown(state, 65534, 65534)
    result = run(file, "forget")
    assert result.exit_code == 1
    assert "belongs to another user" in result.output
