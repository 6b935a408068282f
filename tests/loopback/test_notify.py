"""A real service, and the test in the place of the service manager."""

from __future__ import annotations

import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.process import Service

pytestmark = pytest.mark.loopback


class Manager:
    """Listens where ``NOTIFY_SOCKET`` points."""

    def __init__(self, folder: str) -> None:
        self.address = f"{folder}/notify"
        self.heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def wait_for(self, name: str, timeout: float = 60) -> dict[str, str]:
        """The next message that has this name."""
        deadline = time.monotonic() + timeout
        while True:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            message = dict(line.split("=", 1) for line in self._socket.recv(65536).decode().split("\n"))
            self.heard.append(message)
            if name in message:
                return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as folder:
        made = Manager(folder)
        yield made
        made.close()


def test_a_life(tmp_path: Path, manager: Manager) -> None:
    """Ready once the port is open; pings; each reload begins and ends, a failed one too; the end."""
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"}
    service = Service(tmp_path, "port: 0\napi-keys: [k]\ntimeouts: {grace: 90}\n", environ=environ)
    try:
        assert str(service.port) in manager.wait_for("READY")["STATUS"]
        connection = service.connect()
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        manager.wait_for("WATCHDOG")
        manager.wait_for("WATCHDOG")
        service.process.send_signal(signal.SIGHUP)
        assert int(manager.wait_for("RELOADING")["MONOTONIC_USEC"]) > 0
        assert "configuration 1" in manager.wait_for("READY")["STATUS"]
        (tmp_path / "config.yaml").write_text("port: many\n")
        manager.wait_for("RELOADING")
        assert "configuration 1" in manager.wait_for("READY")["STATUS"]
        service.process.send_signal(signal.SIGTERM)
        assert manager.wait_for("STOPPING")["EXTEND_TIMEOUT_USEC"] == "100000000"
    finally:
        assert service.stop() == 0
    assert "Traceback" not in service.log_text


def test_manager_gone(tmp_path: Path, manager: Manager) -> None:
    """It is told once, and the service serves."""
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    service = Service(tmp_path, "port: 0\napi-keys: [k]\n", environ=environ)
    try:
        manager.wait_for("READY")
        manager.close()
        service.wait_for_log("sd_notify failed")
        (tmp_path / "config.yaml").write_text("port: 0\napi-keys: [k, another]\n")
        service.wait_for_log("is in force", 2)
        connection = service.connect()
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        assert service.log_text.count("sd_notify failed") == 1
    finally:
        assert service.stop() == 0
