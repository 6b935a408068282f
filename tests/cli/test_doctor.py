"""``ampproxy doctor`` as users run it: a process of its own, beside a running gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.cli.doctor import version_of
from ampproxy.desktop.doctor.checks import CHECKS
from ampproxy.model.clients import hash_of
from tests import forked
from tests.cli.test_setup import silent_port
from tests.running import CLIENT_KEY, SECRETS, config_text, start_world

#: The command on a certain day, 2026-11-01: on a later one, vendors have retired models that the tests name.
COMMAND = """
import types
from ampproxy.cli import doctor, main
doctor.time = types.SimpleNamespace(time=lambda: 1_793_491_200.0)
main()
"""


def run(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command with a home directory of its own, in a folder of its own."""
    work = home / "work"
    work.mkdir(exist_ok=True)
    command = [sys.executable, "-c", COMMAND, "doctor"]
    command += ["--config", str(home / "config.yaml"), *arguments]
    environment = {"PATH": f"{home}/bin:/usr/bin:/bin", "HOME": str(home), **environ}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    done = forked.run(command, env=environment, cwd=work, capture_output=True, text=True, timeout=120)
    assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
    assert "Traceback" not in done.stderr
    return done


def client(home: Path, version: str) -> Path:
    """A program that says that it is Amp's."""
    program = home / "bin/amp"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n[ \"$*\" = --version ] && echo '{version} (released ...)'\n")
    program.chmod(0o755)
    return program


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture(scope="module")
def world():
    running = start_world()
    yield running
    running.stop()


@pytest.fixture
def home(world, tmp_path):
    """A machine with a classic client that is set up for the running gateway."""
    config = config_text(world.vendors, world.amp.url)
    port = world.url.rpartition(":")[2]
    write(tmp_path / "config.yaml", config.replace("port: 0", f"port: {port}"))
    write(tmp_path / ".config/amp/settings.json", json.dumps({"amp.url": world.url}))
    write(tmp_path / ".local/share/amp/secrets.json", json.dumps({f"apiKey@{world.url}": CLIENT_KEY}))
    agent = {"ANTHROPIC_BASE_URL": world.url, "ANTHROPIC_AUTH_TOKEN": CLIENT_KEY}
    write(tmp_path / ".claude/settings.json", json.dumps({"env": agent}))
    client(tmp_path, "0.0.1777897475-g2324e1")
    return tmp_path


@pytest.mark.loopback
def test_healthy(world, home):
    """A machine where all is set up has no problem; what would cost credits is a warning. Roles and accounts
    are tried, and Amp is asked for no model.
    """
    before = len(world.amp.requests)
    done = run(home, "--live", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {finding["check"] for finding in found["findings"]} == {check.name for check in CHECKS}
    assert {finding["level"] for finding in found["findings"]} <= {"ok", "note", "warning"}
    by_check = {check: [one for one in found["findings"] if one["check"] == check] for check in
                ("clients", "addresses", "keys", "service", "upstreams")}  # fmt: skip
    assert {one["level"] for ones in by_check.values() for one in ones} == {"ok"}
    paid = {row["role"]: row["pays"] for row in found["live"]}
    assert paid["oracle"] == "local"
    assert paid["title"] == "amp credits"
    assert [row["result"] for row in found["live"] if row["role"] == ""] == ["ok"] * 3
    asked = [request.path for request in world.amp.requests[before:]]
    assert not [path for path in asked if "/api/provider" in str(path)]


@pytest.mark.loopback
def test_for_people(home):
    """The same for people: titles, sentences, what to do, a table of what was tried."""
    write(home / "work/.vscode/settings.json", '{"amp.url": "https://u:canary@evil.test/?canary"}')
    done = run(home, "--live", AMP_API_KEY="canary-amp-key-77")
    assert done.returncode == 1
    assert "canary" not in done.stdout
    assert "problem  The key that Amp's CLI presents (AMP_API_KEY in the environment)" in done.stdout
    assert "To do: ampproxy setup" in done.stdout
    assert "sets amp.url to https://evil.test/, within a folder that others may have written" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("  oracle ")]
    assert rows[0][:6] == ["oracle", "gpt-5.4", "codex-api-key[0]", "gpt-5.4", "openai-responses", "local"]
    assert "tried oracle codex-api-key[0]: ok" in done.stderr
    # What may take a while is told before and while it does.
    assert done.stderr.startswith("Looking at this machine")
    assert done.stderr.index("Reaching ") < done.stderr.index(": reached after 0.")
    assert done.stdout.splitlines()[-1].startswith("1 problem, ")


def test_nothing_runs(tmp_path):
    """Without a service, with a client of the newer generation and a broken settings file."""
    write(tmp_path / ".config/amp/settings.json", '{"amp.url" 1}')
    client(tmp_path, "0.0.1790142911-g7618fb")
    with silent_port() as port:
        write(tmp_path / "config.yaml", f"port: {port}\napi-keys: [{CLIENT_KEY}]\n")
        done = run(tmp_path, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    pressing = json.loads(run(tmp_path, "--json", "--problems").stdout)
    assert pressing["findings"] == [
        one for one in found["findings"] if one["level"] in ("problem", "warning")
    ]
    shown = run(tmp_path, "--problems").stdout
    assert "\n  ok " not in shown
    assert "\n  note " not in shown
    assert shown.splitlines()[-1].endswith(" ok.")
    assert found["live"] is None
    problems = [one["text"] for one in found["findings"] if one["level"] == "problem"]
    assert any(f"No answer at http://127.0.0.1:{port}" in text for text in problems)
    assert any("settings.json cannot be read: line 1: expected a colon" in text for text in problems)
    assert any("There is no account" in text for text in problems)
    assert any("billed by Amp" in one["text"] for one in found["findings"] if one["level"] == "warning")


def test_broken_configuration(tmp_path):
    """A configuration that does not load is a problem like others; the rest is still looked at."""
    write(tmp_path / "config.yaml", "port: x\nhost: 1.2\n")
    done = run(tmp_path)
    assert done.returncode == 1
    assert f"  problem  {tmp_path}/config.yaml:1: port" in done.stdout
    assert "Amp's clients on this machine" in done.stdout


def test_misuse():
    """A wrong option is status 2."""
    assert CliRunner().invoke(main, ["doctor", "--no-such-thing"]).exit_code == 2


def test_version_of(tmp_path):
    """What a program prints; nothing if it cannot be run."""
    assert version_of(client(tmp_path, "1.2")) == "1.2 (released ...)\n"
    assert version_of(tmp_path / "nowhere") == ""


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (CLIENT_KEY, "ok", "takes the first of its api-keys"),
        ("", "note", "none is in AMPPROXY_API_KEY"),
        ("of-another-gateway", "note", "another is in AMPPROXY_API_KEY"),
    ],
)
def test_keys_that_are_hashes(home, given, status, words):
    """A file that holds hashes alone is no reason to blame the gateway: the key comes from the environment,
    as for the other commands, or nothing is asked.
    """
    path = home / "config.yaml"
    hashed = f"{{name: me, key-hash: 'sha256:{hash_of(CLIENT_KEY)}'}}"
    text = path.read_text()
    assert text.count(f'"{CLIENT_KEY}"') == 1
    path.write_text(text.replace(f'"{CLIENT_KEY}"', hashed))
    done = run(home, "--json", AMPPROXY_API_KEY=given)
    (finding,) = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "service"]
    assert (finding["level"], words in finding["text"]) == (status, True), finding
