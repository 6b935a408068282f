"""The init script through all its verbs, with a real service in a folder of the test's."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.etc import ETC

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(
        shutil.which("start-stop-daemon", path="/sbin:/usr/sbin:/usr/local/sbin") is None,
        reason="start-stop-daemon is not installed",
    ),
]

WELL, FAILED, USAGE, NO_PERMISSION, NOT_INSTALLED, NOT_CONFIGURED, NOT_RUNNING = 0, 1, 2, 4, 5, 6, 7
RUNS, DEAD_WITH_FILE, STOPPED = 0, 1, 3


class Machine:
    """A script with settings of its own, and what belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.pid_file = folder / "run" / "pid"
        self.log = folder / "log" / "ampproxy.log"
        self.socket = folder / "socket"
        self.defaults = folder / "defaults"
        self.config.write_text("api-keys: [k]\n")
        # Where a client of the running service finds it is the script's to say: a path, and no port.
        self.set(
            PREFIX=sys.prefix,
            CONFIG=str(self.config),
            RUN_AS="",
            STATE_DIR=str(folder / "state"),
            LOG_FILE=str(self.log),
            PID_FILE=str(self.pid_file),
            ARGUMENTS=f"--listen unix:{self.socket}",
            AT=str(self.socket),
        )
        text = (ETC / "init.d" / "ampproxy").read_text()
        assert text.count("/etc/default/ampproxy ]") == 1
        self.script = folder / "ampproxy"
        self.script.write_text(text.replace("/etc/default/ampproxy", str(self.defaults)))

    def set(self, **values: str) -> None:
        with self.defaults.open("a") as file:
            file.writelines(f"{name}={value!r}\n" for name, value in values.items())

    def call(self, *verbs: str) -> tuple[int, str]:
        """The exit status, and what was said."""
        done = subprocess.run(
            ["sh", str(self.script), *verbs],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            env={**os.environ, "LC_ALL": "C"},
        )
        return done.returncode, done.stdout

    def status_of(self, *verbs: str) -> int:
        return self.call(*verbs)[0]

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def end(self) -> None:
        """Whatever still runs."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.end()


def test_a_life(machine: Machine) -> None:
    """Start, again, reload, restart, stop, again: each with the status that it has, and what runs stays up
    whatever is wrong with the file.
    """
    assert machine.status_of("status") == STOPPED
    assert machine.status_of("reload") == NOT_RUNNING
    assert machine.status_of("upgrade") == NOT_RUNNING
    status, said = machine.call("start")
    assert status == WELL, said
    assert machine.socket.exists()
    first = machine.pid
    assert machine.status_of("status") == RUNS
    status, said = machine.call("start")
    assert (status, f"already running (process {first})" in said) == (WELL, True)
    machine.config.write_text("api-keys: [k, another]\n")
    status, said = machine.call("reload")
    assert status == WELL, said
    machine.config.write_text("api-keys: [k]\nport: many\n")
    status, said = machine.call("reload")
    assert (status, f"{machine.config}:2: port" in said) == (FAILED, True)
    status, said = machine.call("restart")
    assert (status, f"{machine.config}:2: error: port" in said) == (NOT_CONFIGURED, True)
    assert (machine.status_of("status"), machine.pid) == (RUNS, first)
    machine.config.write_text("api-keys: [k]\n")
    assert machine.status_of("force-reload") == WELL
    assert machine.pid == first
    status, said = machine.call("restart")
    assert status == WELL, said
    second = machine.pid
    assert second != first
    status, said = machine.call("upgrade")
    assert status == WELL, said
    assert machine.pid not in (first, second)
    assert machine.status_of("status") == RUNS
    assert machine.status_of("stop") == WELL
    assert not machine.pid_file.exists()
    assert machine.status_of("stop") == WELL
    assert machine.status_of("status") == STOPPED
    assert "Traceback" not in machine.log.read_text()


def test_what_was_left_behind(machine: Machine) -> None:
    """The number of a service that was killed, and one that is another program's by now."""
    machine.pid_file.parent.mkdir()
    other = subprocess.Popen(["sleep", "60"])
    try:
        machine.pid_file.write_text(f"{other.pid}")
        assert machine.status_of("status") == DEAD_WITH_FILE
        assert machine.status_of("try-restart") == WELL
        assert machine.status_of("start") == WELL
        assert machine.pid != other.pid
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    os.kill(machine.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while machine.status_of("status") != DEAD_WITH_FILE:
        assert time.monotonic() < deadline
    assert machine.status_of("stop") == WELL
    assert machine.status_of("status") == STOPPED


def test_no_start(machine: Machine) -> None:
    """A program or a configuration that is not there, a wrong one, a place that is taken, an unknown verb."""
    assert machine.status_of("fly") == USAGE
    assert machine.status_of() == USAGE
    machine.config.write_text("port: many\n")
    status, said = machine.call("start")
    assert (status, f"{machine.config}:1: error: port" in said) == (NOT_CONFIGURED, True)
    machine.config.write_text("api-keys: [k]\n")
    machine.set(ARGUMENTS=f"--listen unix:{machine.folder}/not/there")
    status, said = machine.call("start")
    assert (status, machine.status_of("status")) == (FAILED, STOPPED), said
    assert "Couldn't listen on" in said
    assert "Traceback" not in said
    machine.config.unlink()
    assert machine.status_of("start") == NOT_CONFIGURED
    machine.set(PREFIX="/nonexistent")
    assert machine.status_of("start") == NOT_INSTALLED


def test_logrotate(machine: Machine) -> None:
    """logrotate moves the log away; the service goes on in a new one, and no line is lost or copied."""
    logrotate = shutil.which("logrotate", path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin")
    if logrotate is None:
        pytest.skip("logrotate is not installed")
    text = (ETC / "logrotate.d" / "ampproxy").read_text()
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    for old, new in (
        ("/var/log/ampproxy/*.log", f"{machine.log.parent}/*.log"),
        ("/run/ampproxy/ampproxy.pid", str(machine.pid_file)),
        ("su ampproxy ampproxy", f"su {user} {group}"),
    ):
        assert old in text
        text = text.replace(old, new)
    rules = machine.folder / "logrotate.conf"
    rules.write_text(text)
    rules.chmod(0o600)
    status, said = machine.call("start")
    assert status == WELL, said
    before = machine.log.read_text()
    assert "Listening on" in before
    command = [logrotate, "--force", "--state", str(machine.folder / "rotated"), str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (old,) = machine.log.parent.glob(machine.log.name + "-*")
    assert old.read_text().startswith(before)
    machine.config.write_text("api-keys: [k, another]\n")
    deadline = time.monotonic() + 60
    while not (machine.log.exists() and "Configuration 2 is in force" in machine.log.read_text()):
        assert time.monotonic() < deadline, old.read_text()
        time.sleep(0.05)
    assert "Configuration 2 is in force" not in old.read_text()
    assert machine.status_of("stop") == WELL
