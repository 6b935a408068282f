"""``ampproxy neo``: a service as users run it, a stand-in of Amp, and the command between them."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.cli.configured import read_config
from ampproxy.cli.doctor import look_outside
from ampproxy.testing import amp, anthropic, openai_responses
from ampproxy.testing.amp_cloud import CUSTOM_URL, AmpCloud, Connection, Request
from ampproxy.testing.script import Script
from tests.loopback.process import Service
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

OWNER, CLIENT, CLAUDE, OPENAI = "canary-owner", "canary-client", "canary-claude", "canary-openai"
CONFIG = """\
# The gateway of the house.
port: 0
state-dir: {state}
api-keys: [{client}]   # Anna's

claude-api-key:
  - {{api-key: {claude}, base-url: "{claude_url}", models: [{{name: claude-fable-5-1}}]}}
codex-api-key:
  - {{api-key: {openai}, base-url: "{openai_url}", models: [{{name: gpt-5.6-sol}}, {{name: gpt-5.5}}]}}
ampcode:
  upstream-url: "{amp_url}"
  upstream-api-key: {owner}
"""


def asked_by_amp(config: Mapping[str, Any], secret: str) -> str:
    """What Amp's test of a connection is known to ask: the list of models, with the key."""
    parts = urlsplit(config["baseURL"])
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        connection.request("GET", parts.path.rstrip("/").removesuffix("/v1") + "/v1/models", headers=headers)
        answer = connection.getresponse()
        answer.read()
    except OSError as error:
        return str(error)
    finally:
        connection.close()
    return "" if answer.status == 200 else f"status {answer.status}"


THREAD = "T-11111111-2222-3333-4444-555555550001"


def asked_by(request: Request) -> int:
    """The status of an answer to what Amp's cloud asks."""
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        body = None if request.body is None else json.dumps(request.body)
        connection.request(request.method, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def answer_to_test(connection: Connection) -> dict[str, Any]:
    """What Amp answers to ``testModelProviderKey``."""
    why = asked_by_amp(connection.config, connection.secret)
    return {"success": not why, "message": why or "It works.", "details": ""}


def catalogued(model: str) -> dict[str, Any]:
    """A model of Amp's catalogue."""
    provider, _, name = model.partition("/")
    return {"provider": provider, "name": name, "id": model, "displayName": name}


class World:
    """The stand-ins, the service, and the command."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.listen}"
        self.cloud = AmpCloud(loopback=True, tester=answer_to_test, inferer=self.infer)
        self.amp = in_reactor(amp.start, reactor, keys=[OWNER], cloud=self.cloud)
        self.claude = in_reactor(anthropic.start, reactor, keys=[CLAUDE], forbidden=[OWNER])
        self.openai = in_reactor(openai_responses.start, reactor, keys=[OPENAI], forbidden=[OWNER])
        self.claude.always(Script(text="1 2 3 4 5 6 7 8", interval=0.02))
        self.openai.always(Script(text="1 2 3 4 5 6 7 8", interval=0.02))
        self.cloud.models = [catalogued("openai/gpt-5.6-sol"), catalogued("xai/grok-6")]
        text = CONFIG.format(
            state=home / "state",
            client=CLIENT,
            claude=CLAUDE,
            claude_url=self.claude.url,
            openai=OPENAI,
            openai_url=f"{self.openai.url}/v1",
            amp_url=self.amp.url,
            owner=OWNER,
        )
        self.before = text
        self.service = Service(home, text)
        self.file = home / "config.yaml"

    def infer(self, connection: Connection, name: str) -> dict[str, Any]:
        """What Amp answers to ``testModelProviderInference``. It asks for the model's card alone: a vendor
        could not answer meanwhile, for the stand-ins share a thread.
        """
        status = asked_by(self.cloud.listing(connection, name))
        if status == 200:
            return {"ok": True, "preview": "OK", "usage": {}}
        return {"ok": False, "error": {"code": "model-provider-error", "message": f"status {status}"}}

    def run(self, *arguments: str, status: int = 0) -> str:
        done = CliRunner().invoke(main, ["neo", *arguments, "--config", str(self.file)])
        assert done.exit_code == status, f"{done.output}\n{self.service.log_text}"
        return done.output

    def setup(self, *arguments: str, status: int = 0) -> str:
        return self.run(
            "setup", "--url", self.url, "--listen", self.listen, "--yes", *arguments, status=status
        )

    @property
    def key_file(self) -> Path:
        return self.home / "state/neo/key"

    @property
    def key(self) -> str:
        return self.key_file.read_text().strip()

    def restart(self) -> None:
        """Start the service anew, by the file as it is now."""
        self.service = Service(self.home, self.file.read_text())

    @property
    def connections(self) -> list[Connection]:
        """At Amp, in the order in which they are tried."""
        return self.cloud._ordered()

    @property
    def called(self) -> set[str]:
        """The methods that Amp was asked for."""
        return {method for method, _ in self.cloud.calls}

    def stop(self) -> None:
        self.service.stop()
        for stand_in in (self.amp, self.claude, self.openai):
            in_reactor(stand_in.stop)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    try:
        yield world
    finally:
        world.stop()


def test_printed(world: World) -> None:
    """By default nothing is changed: the models, what stays with Amp with its price, and exact commands."""
    said = world.setup()
    assert world.file.read_text() == world.before
    assert not world.key_file.exists()
    assert "openai/gpt-5.6-sol -> gpt-5.6-sol  [medium, Puck]" in said
    assert re.search(r"openai/gpt-6-astra  \[high\]: (about \$|its price is not known)", said)
    assert "*/*" not in said
    (first, second) = [shlex.split(line) for line in said.splitlines() if "add-router" in line]
    assert first[first.index("--api-format") + 1] == "anthropic-messages"
    assert first[first.index("--base-url") + 1] == world.url
    assert second[second.index("--base-url") + 1] == f"{world.url}/v1"
    assert second[second.index("--api-key-file") + 1] == str(world.key_file)
    assert f"ampproxy neo setup --local --url {world.url} --listen {world.listen}" in said
    assert not {"createModelProviderKey", "setModelProviderKeyActive"} & world.called


def test_run_status_rotate_undo(world: World) -> None:
    """Everything in one go, and back: the file is as it was, and nothing is left at Amp."""
    said = world.setup("--run")
    openai, claude = world.connections
    assert [(one.format, one.active) for one in (openai, claude)] == [
        ("responses", True),
        ("anthropic-messages", True),
    ]
    assert claude.config == {
        "baseURL": world.url,
        "apiFormat": "anthropic-messages",
        "modelMapping": "anthropic/claude-fable-5-1 -> claude-fable-5-1",
    }
    assert {one.secret for one in world.connections} == {world.key}
    assert stat.S_IMODE(world.key_file.stat().st_mode) == 0o600
    assert "pieces, from" in said
    for secret in (world.key, OWNER, CLIENT, CLAUDE):
        assert secret not in said
    assert world.key not in world.file.read_text()
    assert (
        world.before in world.file.read_text().replace("\n\nneo:", "\nneo:")
        or "neo:" in world.file.read_text()
    )

    status = world.run("status")
    assert "priority 0" in status
    assert "goes to" not in status
    assert "Amp's test of ampproxy openai: ok" in world.run("test")

    old = world.key
    said = world.run("rotate")
    assert world.key != old
    assert {one.secret for one in world.connections} == {world.key}
    assert old not in said
    assert world.key not in said
    assert asked_by_amp(openai.config, old) == ""

    said = world.run("setup", "--undo", "--yes")
    assert world.connections == []
    assert not world.key_file.exists()
    assert world.file.read_text() == world.before


def test_last_request(world: World) -> None:
    """Status shows the last request with the key, and of each connection: when, which thread, which model, by
    which route, how it ended, how many tokens.
    """
    world.setup("--run", "--no-stream")
    assert world.run("status").count("none that the ledger has") == 3
    talk = world.cloud.talk("anthropic/claude-fable-5-1", THREAD)
    talk.user("Hello")
    request = world.cloud.request("anthropic/claude-fable-5-1", talk)
    assert asked_by(request) == 200
    world.service.wait_for(lambda: THREAD in world.run("status"))
    said = world.run("status")
    line = next(line for line in said.splitlines() if line.startswith("Last request with it: "))
    assert re.search(
        rf"ago\), {THREAD}, claude-fable-5-1 -> claude-fable-5-1, local, completed \(200\),"
        r" [\d,]+ tokens in, [\d,]+ out",
        line,
    )
    last = [line.strip() for line in said.splitlines() if line.startswith("    last request: ")]
    # The seconds since then are counted for each line.
    assert [re.sub(r"\(\d+ s ago\)", "", line) for line in last] == [
        "last request: none that the ledger has",
        re.sub(r"\(\d+ s ago\)", "", line.replace("Last request with it", "last request")),
    ]


def test_check_access(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thread, Amp itself asks for one model of each connection at the end; so does the doctor have it
    do with --live.
    """
    world.cloud.threads.add(THREAD)
    monkeypatch.setattr("ampproxy.cli.neo_steps.ACCESS_PAUSE", 0.0)
    said = world.setup("--run", "--no-stream", "--thread", THREAD)
    assert "openai/gpt-5.6-sol by ampproxy openai: served" in said
    assert "anthropic/claude-fable-5-1 by ampproxy anthropic: served" in said
    monkeypatch.setenv("AMP_THREAD_ID", THREAD)
    seen = look_outside(read_config(world.file), live=True, now=0.0)
    assert dict(seen.tested) == {"ampproxy anthropic": "", "ampproxy openai": ""}
    assert dict(seen.served) == {"openai/gpt-5.6-sol": "", "anthropic/claude-fable-5-1": ""}
    assert look_outside(read_config(world.file), live=False, now=0.0).served == ()


def test_again(world: World) -> None:
    """A second run makes no second connection, and replaces a mapping whole."""
    world.setup("--run", "--no-stream")
    first = world.connections[0]
    world.cloud._put(replace(first, config={**first.config, "modelMapping": "*/*"}))
    assert "by a pattern" in world.run("status", status=1)
    world.setup("--run", "--no-stream")
    assert len(world.connections) == 2
    assert not [one for one in world.connections if "*" in one.config["modelMapping"]]
    assert world.claude.requests == []


def test_not_allowed(world: World) -> None:
    """Where the account may have no such connection, that is the answer, and nothing is made."""
    world.cloud.available = ("model_provider_anthropic",)
    said = world.setup("--run", "--no-stream", status=1)
    assert "may have no connection to a URL of your own" in said
    assert world.connections == []


def test_failed_test(world: World) -> None:
    """A connection whose test fails stays inactive, and Amp's words are shown."""
    world.cloud._tester = lambda one: {
        "success": one.format != "responses",
        "message": "HTTP 530 from the edge",
        "details": "",
    }
    said = world.setup("--run", "--no-stream", status=1)
    assert "stays inactive" in said
    assert "HTTP 530 from the edge" in said
    assert [(one.format, one.active) for one in world.connections] == [
        ("anthropic-messages", True),
        ("responses", False),
    ]


def test_goes_before(world: World) -> None:
    """Who takes a model before our connection is named."""
    world.setup("--run", "--no-stream")
    made = world.cloud.call(
        "createModelProviderKey",
        {
            "target": "user",
            "type": CUSTOM_URL,
            "name": "My router",
            "secret": "s",
            "config": {"baseURL": "https://router.example.org/v1"},
            "active": True,
        },
    )
    first = {"connectionID": made["key"]["id"], "priority": 0}
    world.cloud.call("setModelProviderKeyPriority", first)
    assert "openai/gpt-5.6-sol goes to My router first" in world.run("status", status=1)


def test_address_is_something_else(world: World) -> None:
    """What answers at the public address is tried before Amp is given a key for it."""
    said = world.run(
        "setup",
        "--url",
        world.claude.url,
        "--listen",
        world.listen,
        "--yes",
        "--run",
        "--no-stream",
        status=1,
    )
    assert "Nothing was changed at Amp" in said
    assert world.connections == []


def test_funnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --url the address is the one that Tailscale's Funnel has; without either it is asked for."""
    config = tmp_path / "config.yaml"
    config.write_text(f"port: 0\nstate-dir: {tmp_path}/state\ngemini-api-key: [{{api-key: k}}]\n")
    tailscale = tmp_path / "tailscale"
    monkeypatch.setenv("PATH", str(tmp_path))
    run = CliRunner().invoke(main, ["neo", "setup", "--config", str(config)])
    assert run.exit_code == 2
    assert "--url" in run.output
    status = '{"AllowFunnel": {"house.tail1234.ts.net:443": true}}'
    tailscale.write_text(f"#!/bin/sh\necho '{status}'\n")
    tailscale.chmod(0o755)
    run = CliRunner().invoke(main, ["neo", "setup", "--config", str(config)])
    assert run.exit_code == 0, run.output
    assert "https://house.tail1234.ts.net" in run.output


@pytest.mark.parametrize(
    "url", ["gw.example.org", "https://", "https://gw.example.org/v1", "https://a@b", "ftp://x"]
)
def test_wrong_url(tmp_path: Path, url: str) -> None:
    """An address that is no origin is rejected before anything is done."""
    config = tmp_path / "config.yaml"
    config.write_text("port: 0\n")
    run = CliRunner().invoke(main, ["neo", "setup", "--url", url, "--config", str(config)])
    assert run.exit_code == 2, run.output
