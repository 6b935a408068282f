"""The real Amp CLI, of Amp's present generation, through a gateway to a stand-in of Amp: it signs in with
OAuth, and its ``config model-providers`` verbs work. It runs where no network is but this machine's.

``AMPPROXY_AMP_CLI`` names the program, or is ``npm``: then it is installed from there, some 100 MB. Without
either the ``amp`` of ``PATH`` is used if it is of that generation; else the tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import reactor

from ampproxy.amp.clients import Generation
from ampproxy.desktop.clients.installed import parse_version
from ampproxy.testing import amp
from ampproxy.testing.amp_cloud import AmpCloud
from tests.interop.island import Bridge, possible
from tests.loopback.process import Service
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

OWNER, CLIENT = "canary-owner", "canary-client"
THREAD = "T-11111111-2222-3333-4444-555555550001"
_ENVIRONMENT = "AMPPROXY_AMP_CLI"
_PACKAGE = "@ampcode/cli"


def _from_npm(folder: Path) -> Path | None:
    """The newest of npm that is there for this machine, without running its scripts."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    found = folder / f"node_modules/{_PACKAGE}-linux-x64/amp"
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run([*command, f"{_PACKAGE}-linux-x64"], capture_output=True, timeout=300, check=False)
    return found if found.exists() else None


def _program(folder: Path) -> Path | None:
    named = os.environ.get(_ENVIRONMENT, "")
    if named == "npm":
        return _from_npm(folder)
    found = shutil.which(named or "amp")
    return None if found is None else Path(found)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CLI."""
    found = _program(tmp_path_factory.mktemp("npm")) if possible() else None
    if found is None:
        pytest.skip(f"no Amp CLI, or no network namespaces: {_ENVIRONMENT}=npm installs one")
    done = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=False)
    version = parse_version(done.stdout)
    if version is None or version.generation is not Generation.NEO:
        pytest.skip(f"{found} is of another generation: {_ENVIRONMENT}=npm installs one")
    return found


class World:
    """The stand-in, the gateway, and the CLI on an island."""

    def __init__(self, home: Path, program: Path, more: str = "") -> None:
        self.cloud = AmpCloud(
            tester=lambda one: {"success": True, "message": "It works.", "details": ""},
            inferer=lambda one, name: {"ok": True, "preview": "OK", "usage": {}, "modelRouting": {}},
        )
        self.amp = in_reactor(amp.start, reactor, keys=[OWNER], cloud=self.cloud)
        self.site = self.amp.vendor
        self.site.identity_url = self.amp.url
        self.service = Service(
            home,
            f"port: 0\napi-keys: [{CLIENT}]\nampcode:\n  upstream-url: '{self.amp.url}'\n"
            f"  upstream-api-key: {OWNER}\n{more}",
        )
        self._sockets = tempfile.TemporaryDirectory()
        self._bridge = Bridge(Path(self._sockets.name), [self.service.port, self.amp.port])
        self._program = program
        self.home = home

    def run(self, *arguments: str, key: str = "", status: int = 0) -> str:
        """What the CLI prints, to either output."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AMP_URL": self.service.url,
            "AMP_SKIP_UPDATE_CHECK": "1",
            **({"AMP_API_KEY": key} if key else {}),
        }
        command = self._bridge.command(str(self._program), *arguments)
        done = subprocess.run(
            command,
            env=environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, f"{done.stdout}\n{self.service.log_text}\n{self.asked}"
        return done.stdout

    @property
    def asked(self) -> list[str]:
        """What came to Amp, in order."""
        return [f"{one.method} {one.uri} {one.status}" for one in self.amp.requests]

    def stop(self) -> None:
        self._bridge.stop()
        self._sockets.cleanup()
        self.service.stop()
        in_reactor(self.amp.stop)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, program: Path) -> Iterator[World]:
    world = World(tmp_path, program, getattr(request, "param", ""))
    try:
        yield world
    finally:
        world.stop()


@pytest.mark.parametrize("world", ["  accept-amp-keys: true\n"], indirect=True)
def test_signs_in_with_oauth(world: World) -> None:
    """Through the gateway it learns how to sign in, and its token lets it in as that user."""
    world.run("login", "--oauth")
    secrets = json.loads((world.home / ".local/share/amp/secrets.json").read_text())
    token = secrets[f"apiKey@{world.service.url}"]
    assert token.count(".") == 2
    assert "GET /api/auth/oauth-config 200" in world.asked
    assert "POST /api/internal?recordCLISignIn 200" in world.asked
    world.run("config", "model-providers", "list")
    listed = next(one for one in world.amp.requests if "listModelProviderKeys" in one.uri)
    assert listed.key == token
    assert "amp:demo@example.org" in world.service.log_text
    assert token not in world.service.log_text
    world.run("logout")
    assert "POST /api/auth/oauth-logout 200" in world.asked
    assert token not in world.site.keys


def test_connections(world: World) -> None:
    """The commands that ``ampproxy neo setup`` prints work through the gateway, with a made-up client key."""
    keys = world.home / "neo-key"
    keys.write_text("canary-neo\n")
    said = world.run(
        *("config", "model-providers", "add-router", "custom-url", "--personal", "--no-active"),
        *("--name", "ampproxy openai", "--api-format", "responses"),
        *("--base-url", "https://gw.example.org/v1", "--api-key-file", str(keys)),
        *("--model-mapping", "openai/gpt-5.6-sol -> gpt-5.6-sol,openai/gpt-5.5 -> gpt-5.5"),
        key=CLIENT,
    )
    (made,) = world.cloud.connections.values()
    assert made.id in said
    assert re.search(r"created inactive", said)
    assert made.config["modelMapping"] == "openai/gpt-5.6-sol -> gpt-5.6-sol\nopenai/gpt-5.5 -> gpt-5.5"
    assert made.secret == "canary-neo"
    for verb in (["test"], ["activate"], ["show"], ["edit-router", "--api-key-file", str(keys)]):
        world.run("config", "model-providers", verb[0], made.id, *verb[1:], key=CLIENT)
    world.run("config", "model-providers", "set-priority", made.id, "0", key=CLIENT)
    assert world.cloud.connections[made.id].active
    assert "ampproxy openai" in world.run("config", "model-providers", "list", key=CLIENT)
    world.cloud.threads.add(THREAD)
    access = ("config", "model-providers", "check-access", "--thread", THREAD, "--provider-model")
    served = json.loads(world.run(*access, "openai/gpt-5.5", key=CLIENT))
    assert served["ok"] is True
    assert '"ok": false' in world.run(*access, "xai/grok-6", key=CLIENT, status=1)
    world.run("config", "model-providers", "delete", made.id, key=CLIENT)
    assert world.cloud.connections == {}
    assert "canary-neo" not in world.service.log_text
    assert "not known here" not in world.service.log_text
