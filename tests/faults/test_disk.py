"""A real disk that is full or read-only: a file system of some kilobytes, in a mount namespace that only the
service has and that goes with it.
"""

from __future__ import annotations

import errno
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests import forked
from tests.loopback.process import Service, connect_unix, twistd
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
#: Runs what follows with a small disk at the first word, and more to do with it as the second.
ON_A_SMALL_DISK = (
    "unshare",
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    'mount -t tmpfs -o size=8m,mode=700 tmpfs "$0" || exit; eval "$1" || exit; shift; exec "$@"',
)


def can_mount(folder: Path) -> bool:
    """Whether this user, on this system, may."""
    try:
        command = [*ON_A_SMALL_DISK, str(folder), ":", "true"]
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


class SmallDisk:
    """A service whose state, caches and logins lie on it."""

    def __init__(self, folder: Path, vendor: Any, prepare: str = ":") -> None:
        disk = folder / "disk"
        disk.mkdir()
        if not can_mount(disk):
            pytest.skip("a file system can be mounted by root only")
        config = {
            "port": 0,
            "api-keys": ["k"],
            "auth-dir": str(disk / "auth"),
            "claude-api-key": [{"api-key": "vendor-key", "base-url": vendor.url}],
        }
        self.service = Service(
            folder,
            json.dumps(config),
            environ={"STATE_DIRECTORY": str(disk / "state"), "CACHE_DIRECTORY": str(disk / "cache")},
            within=(*ON_A_SMALL_DISK, str(disk), prepare),
        )
        # The disk as the service sees it.
        self.disk = Path(f"/proc/{self.service.process.pid}/root{disk}")

    def fill(self) -> None:
        """Leave no room for a single byte."""
        with (self.disk / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        (self.disk / "filler").unlink()

    def ask(self) -> int:
        connection = self.service.connect()
        body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        connection.request("POST", "/v1/messages", json.dumps(body), {"X-Api-Key": "k"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def check(self, *told: str) -> None:
        """Each of these stands in the log once, and no defect of ours does."""
        text = self.service.log_text
        assert [words for words in told if text.count(words) != 1] == [], text
        assert "Traceback" not in text

    def reload(self) -> None:
        """Which asks the vendors for their models, and keeps what they say."""
        seen = self.service.log_text.count("is in force")
        self.service.process.send_signal(signal.SIGHUP)
        self.service.wait_for_log("is in force", seen + 1)


def test_full(tmp_path: Path, vendor: Any) -> None:
    """Requests are served all the same; what could not be kept is told once; with room it is kept again."""
    small = SmallDisk(tmp_path, vendor)
    kept = small.disk / "cache" / "models.json"
    try:
        small.service.wait_for(kept.exists)
        kept.unlink()
        small.fill()
        for _ in range(3):
            small.reload()
            assert small.ask() == 200
        small.service.wait_for_log("cannot be written to")
        small.service.wait_for_log("ledger.sqlite3 cannot be written")
        small.empty()
        small.reload()
        small.service.wait_for(kept.exists)
        assert small.ask() == 200
    finally:
        # What waited for the ledger is written at the end, if not before.
        assert small.service.stop() == 0
    small.check("cannot be written to", "ledger.sqlite3 cannot be written")
    assert "exchanges could not be written" not in small.service.log_text


def test_read_only(tmp_path: Path, vendor: Any) -> None:
    """From the start: it starts, serves, and tells once of each folder that it cannot write."""
    prepare = 'mkdir "$0"/state "$0"/cache "$0"/auth && mount -o remount,ro "$0"'
    small = SmallDisk(tmp_path, vendor, prepare)
    try:
        small.service.wait_for_log("cannot be written to")
        for _ in range(3):
            small.reload()
            assert small.ask() == 200
        small.service.wait_for_log("cannot be written")
    finally:
        assert small.service.stop() == 0
    small.check("cannot be written to", "ledger.sqlite3 cannot be written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_log_on_a_full_disk(tmp_path: Path) -> None:
    """Nothing can be told, and everything is served."""
    config, path = tmp_path / "config.yaml", tmp_path / "socket"
    config.write_text("api-keys: [k]\n")
    ours = ("ampproxy", "--config", str(config), "--listen", f"unix:{path}")
    command = twistd("--nodaemon", "--pidfile=", "--logfile=/dev/full", *ours)
    process = forked.popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(3):
            with connect_unix(path, process) as client:
                client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    finally:
        process.terminate()
        said = process.stdout.read()
        process.wait(60)
    assert (process.returncode, said) == (0, b"")
