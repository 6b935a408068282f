"""A process that may open few files only, and more clients than that."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.process import Service

pytestmark = pytest.mark.loopback

LIMIT = 128


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    first = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))"
    running = Service(tmp_path, "port: 0\napi-keys: [k]\n", first=first)
    yield running
    running.stop()


def test_more_clients_than_descriptors(service: Service, tmp_path: Path) -> None:
    """Who is connected is served on, who comes is told to come later, once in the log; a changed file can
    still be read, and when clients have gone others are let in.
    """
    served, refused = [], 0
    for _ in range(2 * LIMIT):
        connection = service.connect()
        status = health(connection)
        if status == 200:
            served.append(connection)
        else:
            refused += 1
    assert refused >= LIMIT
    assert service.log_text.count("File descriptors run out (the limit is 128)") == 1
    assert "EMFILE" not in service.log_text
    (tmp_path / "config.yaml").write_text("port: 0\napi-keys: [k, another]\n")
    service.wait_for_log("Configuration 2 is in force")
    assert all(health(connection) == 200 for connection in served)
    for connection in served:
        connection.close()
    service.wait_for(lambda: health(service.connect()) == 200)
    assert service.stop() == 0
    assert service.log_text.count("descriptors") == 1
    assert "Traceback" not in service.log_text


def health(connection: http.client.HTTPConnection) -> int:
    """The status; 503 also where the connection was closed before it could be read."""
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (ConnectionError, http.client.HTTPException):
        return 503
