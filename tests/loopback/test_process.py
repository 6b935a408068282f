"""What only real processes and sockets show."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.testing import amp, anthropic
from tests import forked
from tests.loopback.process import Service, connect_unix, twistd
from tests.reactor import in_reactor
from tests.running import ACCOUNT_KEYS, AMP_KEY, CLIENT_KEY, SECRETS

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
WISHES = ("interval=0.3", "interval=0.05+events=10000", "cut=5", "interval=0.2+events=8")
KEY = {"X-Api-Key": CLIENT_KEY}
BIG = 200 * 1024 * 1024


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


def config(vendor: Any, upstream: Any, more: str = "") -> str:
    models = ", ".join(f"{{name: '{MODEL}+{wish}'}}" for wish in WISHES)
    return f"""
port: 0
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - api-key: "{ACCOUNT_KEYS["anthropic"]}"
    base-url: "{vendor.url}"
    models: [{{name: {MODEL}}}, {models}]
ampcode: {{upstream-url: "{upstream.url}", upstream-api-key: "{AMP_KEY}"}}
{more}"""


@pytest.fixture(scope="module")
def service(vendor: Any, upstream: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"), config(vendor, upstream))
    yield running
    running.stop()


def ask(service: Service, model: str, *, stream: bool = True) -> Any:
    """An answer whose body is still to be read."""
    connection = service.connect()
    asked = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    connection.request("POST", "/v1/messages", json.dumps({**asked, "stream": stream}), KEY)
    return connection.getresponse()


def wait_until(condition: Any, timeout: float) -> float:
    """Seconds until the condition held."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            raise AssertionError(f"not within {timeout} s")
        time.sleep(0.01)
    return time.monotonic() - start


def test_sigterm_lets_running_streams_finish(vendor: Any, upstream: Any, tmp_path: Path) -> None:
    """Nothing new is accepted, what runs ends whole, and the exit status is 0."""
    service = Service(tmp_path, config(vendor, upstream))
    answer = ask(service, f"{MODEL}+interval=0.2+events=8")
    answer.read(20)
    service.process.terminate()
    service.wait_for(lambda: not connects(service.port))
    assert answer.read().endswith(b'data: {"type":"message_stop"}\n\n')
    assert service.process.wait(60) == 0


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 60).close()
    except ConnectionRefusedError:
        return False
    return True


def test_sigterm_grace_period_ends(vendor: Any, upstream: Any, tmp_path: Path) -> None:
    """What has not ended by then is cut off; the exit status is still 0."""
    service = Service(tmp_path, config(vendor, upstream, "timeouts: {grace: 0.5}"))
    answer = ask(service, f"{MODEL}+interval=0.05+events=10000")
    answer.read(20)
    start = time.monotonic()
    assert service.stop() == 0
    # The stream would go on for minutes.
    assert time.monotonic() - start < 60
    assert "Cut off: 1 exchange" in service.log_text


def test_killed_client_closes_the_vendors_connection(service: Service, vendor: Any) -> None:
    """In the middle of a stream."""
    vendor.requests.clear()
    answer = ask(service, f"{MODEL}+interval=0.05+events=10000")
    answer.read(200)
    (recorded,) = vendor.requests
    assert not recorded.closed_by_client
    answer.fp.raw._sock.shutdown(socket.SHUT_RDWR)
    answer.close()
    # The next event comes sooner than that, and 10000 of them would take minutes.
    wait_until(lambda: recorded.closed_by_client, 60)


def test_killed_vendor_is_an_error_event(service: Service) -> None:
    """And no clean end: the connection closes before the last chunk."""
    answer = ask(service, f"{MODEL}+cut=5")
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    assert broken.value.partial.rpartition(b"event: ")[2].startswith(b"error\n")


def test_large_upload_is_not_held(service: Service) -> None:
    """200 MB go through, byte for byte, and memory stays where it was."""
    before = service.rss()
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for _ in range(BIG // len(piece)):
            digest.update(piece)
            yield piece

    connection = service.connect(60)
    connection.request("POST", "/api/attachments", pieces(), {**KEY, "Content-Length": str(BIG)})
    told = json.loads(connection.getresponse().read())["result"]
    assert told == {"bytes": BIG, "sha256": digest.hexdigest()}
    assert service.rss() - before < 30 * 1024 * 1024


def test_large_download_is_not_held(service: Service) -> None:
    """Nor is a download."""
    before = service.rss()
    connection = service.connect(60)
    connection.request("GET", f"/api/threads/download/{BIG}", headers=KEY)
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    assert size == BIG
    assert service.rss() - before < 30 * 1024 * 1024


def test_stalled_client_stops_the_upstream(service: Service, upstream: Any) -> None:
    """A client that does not read: what the upstream has sent stops growing, and memory with it."""
    upstream.requests.clear()
    before = service.rss()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        head = f"GET /api/threads/download/{BIG} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
        client.sendall(f"{head}\r\n".encode())
        wait_until(lambda: upstream.requests and upstream.requests[-1].sent > 0, 60)
        recorded = upstream.requests[-1]
        sent = -1
        deadline = time.monotonic() + 60
        while recorded.sent != sent and time.monotonic() < deadline:
            sent = recorded.sent
            time.sleep(0.5)
        assert recorded.sent == sent < BIG / 4
        assert service.rss() - before < 30 * 1024 * 1024
    wait_until(lambda: recorded.closed_by_client, 60)


def test_no_secret_in_the_log(service: Service, vendor: Any, upstream: Any) -> None:
    """After all that, and after refusals: no key stands in the log, none went where it does not belong."""
    for path, key in (("/v1/messages", "canary-wrong-key"), ("/api/user", "canary-wrong-key")):
        connection = service.connect()
        connection.request("GET", f"{path}?key={CLIENT_KEY}x", headers={"Authorization": f"Bearer {key}"})
        connection.getresponse().read()
    wait_until(lambda: "GET /api/user" in service.log_text, 60)
    text = service.log_text
    assert "GET /v1/messages" in text
    for secret in (*SECRETS, "canary-wrong-key"):
        assert secret not in text
    assert vendor.leaks == []
    assert upstream.leaks == []


def test_open_port_without_keys_refuses_to_start(tmp_path: Path) -> None:
    """Whether the address comes from the file or the command line."""
    path = tmp_path / "config.yaml"
    path.write_text("port: 0\n")
    command = twistd("-n", "--pidfile=", "ampproxy", "--config", str(path), "--listen", "tcp:0")
    ended = forked.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode != 0
    assert "api-keys" in ended.stdout + ended.stderr


def test_taken_port_is_one_sentence(service: Service, tmp_path: Path) -> None:
    """No traceback."""
    path = tmp_path / "config.yaml"
    path.write_text(f"port: {service.port}\n")
    command = twistd("-n", "--pidfile=", "ampproxy", "--config", str(path))
    ended = forked.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode != 0
    told = ended.stdout + ended.stderr
    assert "Couldn't listen on" in told
    assert "Traceback" not in told


def test_bad_config_is_told_with_its_line(tmp_path: Path) -> None:
    """And nothing starts."""
    path = tmp_path / "config.yaml"
    path.write_text("port: 1\nport: many\n")
    command = twistd("-n", "--pidfile=", "ampproxy", "--config", str(path))
    ended = forked.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode != 0
    assert f"{path}:2: port" in ended.stdout + ended.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells another process's limits")
def test_no_core(tmp_path: Path) -> None:
    """A crash leaves no core dump, which would hold keys; an administrator may allow one."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("the system lets nobody have one")
    service = Service(
        tmp_path, "port: 0\n", within=("sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"', "-")
    )
    try:
        limits = Path(f"/proc/{service.process.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +(?!0 )", limits, re.MULTILINE), limits
    finally:
        service.stop()


def test_twist(tmp_path: Path) -> None:
    """Twisted's other runner would open no port and cut no secret from its log: it is told what to use."""
    path = tmp_path / "config.yaml"
    path.write_text("port: 0\n", encoding="utf-8")
    run = "from twisted.application.twist._twist import Twist; Twist.main()"
    command = [sys.executable, "-c", run, "ampproxy", "--config", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert result.returncode != 0
    assert "twistd -n ampproxy" in result.stdout + result.stderr


def test_unix_socket(tmp_path: Path) -> None:
    """``--listen unix:`` serves, and its peers are this machine's."""
    path = tmp_path / "socket"
    config_path = tmp_path / "config.yaml"
    config_path.write_text("api-keys: [k]\n")
    command = twistd("-n", "--pidfile=", "ampproxy", "--config", str(config_path), "--listen", f"unix:{path}")
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect_unix(path, process) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_installed_from_a_wheel(tmp_path: Path) -> None:
    """In an empty directory, from a built wheel, ``twistd`` finds the plugin."""
    tree = Path(__file__).parents[2]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tree)],
        check=True,
        timeout=200,
    )
    (wheel,) = tmp_path.glob("ampproxy-*.whl")
    bare = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    (site,) = bare.glob("lib/python3.*/site-packages")
    # Only what runs is compiled, and that by itself.
    subprocess.run(
        [*pip, "install", "--no-compile", "--no-deps", "--target", str(site), str(wheel)], check=True
    )
    # The dependencies as they are here; what stands in .pth files there (this tree) does not come along.
    import twisted

    (site / "dependencies.pth").write_text(str(Path(twisted.__file__).parents[1]) + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    code = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(bare / "bin" / "python"), "-c", code, "ampproxy", "--help"],
        capture_output=True, text=True, cwd=empty, timeout=60, env=environ,
    )  # fmt: skip
    assert "--listen=" in ended.stdout, ended.stdout + ended.stderr
    where = subprocess.run(
        [str(bare / "bin" / "python"), "-c", "import ampproxy.tap; print(ampproxy.__file__)"],
        capture_output=True, text=True, cwd=empty, timeout=60, env=environ,
    )  # fmt: skip
    assert str(site) in where.stdout, where.stderr
