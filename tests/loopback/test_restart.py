"""A restart of the running service: nothing is cut, nobody is turned away; what fails changes nothing.

With AMPPROXY_LONG=1 the load is the one that the documentation promises.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.testing import anthropic
from tests import forked
from tests.loopback.process import Service, twistd
from tests.loopback.test_hot_reload import activated
from tests.loopback.test_notify import Manager
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

LONG = bool(os.environ.get("AMPPROXY_LONG"))
STREAMS = 200 if LONG else 20
MODEL = "claude-sonnet-4-5"
SLOW = f"{MODEL}+interval=0.25+events={24 if LONG else 10}"
ENDLESS = f"{MODEL}+interval=0.1+events=1000"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


def config(vendor: Any, port: int, more: str = "") -> str:
    models = ", ".join(f"{{name: '{name}'}}" for name in (MODEL, SLOW, ENDLESS))
    return (
        f"port: {port}\napi-keys: [k]\n"
        f"claude-api-key: [{{api-key: vendor-key, base-url: '{vendor.url}', models: [{models}]}}]\n{more}"
    )


class Running(Service):
    """A service that is restarted; its processes are found by what they say of themselves."""

    def __init__(self, directory: Path, text: str, *more: str, **kwargs: Any) -> None:
        super().__init__(directory, text, *more, **kwargs)
        self.path = directory / "config.yaml"

    def state(self) -> dict[str, Any]:
        connection = self.connect()
        connection.request("GET", "/readyz", headers={"X-Api-Key": "k"})
        told: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return told

    def command(self, verb: str, *more: str) -> Result:
        return CliRunner().invoke(main, [verb, "--config", str(self.path), *more])

    def stop(self) -> int:
        """End whichever process it is now, and the first one."""
        try:
            pid = self.state()["pid"]
        except OSError:
            pid = self.process.pid
        if pid != self.process.pid:
            end(pid)
        return super().stop()


def end(pid: int) -> None:
    """End a process that is nobody's child here, and wait for it."""
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_there(pid))


def is_there(pid: int) -> bool:
    try:
        # A zombie is there no more, whoever may not have looked at it yet.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)


@pytest.fixture
def service(tmp_path: Path, vendor: Any) -> Iterator[Running]:
    running = Running(tmp_path, config(vendor, free_port()))
    yield running
    running.stop()


def ask(service: Service, model: str = SLOW) -> http.client.HTTPResponse:
    """A stream that has begun."""
    connection = service.connect(60)
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    connection.request("POST", "/v1/messages", json.dumps(body), {"X-Api-Key": "k"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read(30)
    return answer


#: Connects again and again, in a process of its own, until its input ends; then tells what it met. The pause
#: is shorter than an exchange, and leaves the machine some time for what else is tested.
CLIENT = """
import http.client, json, sys, threading
done, failed = 0, []
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.is_set():
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
        connection.request("GET", "/v1/models", headers={"X-Api-Key": "k"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        answer.read()
        connection.close()
        done += 1
    except Exception as error:
        failed.append(repr(error))
    over.wait(0.003)
print(json.dumps([done, failed]))
"""


def test_nothing_is_cut(service: Running) -> None:
    """Two restarts: every stream that runs ends whole, a client that connects in a loop is never turned away,
    and a connection that is kept open is served once more by the process that it leads to. Each process
    leaves when it is done.
    """
    kept = service.connect(60)
    kept.request("GET", "/v1/models", headers={"X-Api-Key": "k"})
    kept.getresponse().read()
    streams = [ask(service) for _ in range(STREAMS)]
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(service.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    first = service.state()
    told = service.command("restart")
    assert told.exit_code == 0, told.output
    second = service.state()
    assert f"Process {first['pid']} -> {second['pid']}" in told.stdout
    assert f"Configuration {second['generation']} is in force" in told.stdout
    assert second["generation"] > first["generation"]
    kept.request("GET", "/v1/models", headers={"X-Api-Key": "k"})
    answer = kept.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    streams += [ask(service) for _ in range(STREAMS // 10)]
    assert service.command("restart").exit_code == 0
    third = service.state()
    assert len({state["pid"] for state in (first, second, third)}) == 3
    assert [stream.read().count(b"event: message_stop") for stream in streams] == [1] * len(streams)
    assert service.process.wait(60) == 0
    wait_for(lambda: not is_there(second["pid"]))
    out, _ = client.communicate(timeout=60)
    done, failed = json.loads(out)
    assert failed == []
    assert done > 0
    assert ask(service, MODEL).read().count(b"event: message_stop") == 1
    assert "Traceback" not in service.log_text


def test_failures(tmp_path: Path, vendor: Any) -> None:
    """A wrong file, an address that is taken, an upgrade that cannot even be loaded: each is told, by the
    command, in the log and in the service's state, and the service goes on. So does its stream.
    """
    flag = tmp_path / "broken"
    first = f"import os\nif os.path.exists({str(flag)!r}): raise ImportError('half an upgrade')"
    service = Running(tmp_path, config(vendor, free_port()), first=first)
    good, at = service.path.read_text(), f"127.0.0.1:{service.port}"
    try:
        stream = ask(service, ENDLESS)
        service.path.write_text("port: many\n")
        told = service.command("restart")
        assert told.exit_code == 1
        assert f"{service.path}:1: port" in told.stderr
        os.kill(service.process.pid, signal.SIGUSR2)
        service.wait_for_log("Restart failed; continuing with this process")
        assert f"{service.path}:1: port" in service.state()["restart"]["why"]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            service.path.write_text(good.replace(f"port: {service.port}", f"port: {taken.getsockname()[1]}"))
            told = service.command("restart", "--at", at)
            assert told.exit_code == 1
            assert "Couldn't listen on" in told.stderr
        service.path.write_text(good.replace("api-keys: [k]", ""))
        os.kill(service.process.pid, signal.SIGUSR2)
        wait_for(lambda: "api-keys: is missing now" in str(service.state()["restart"]))
        assert status(at, "/v1/models") == 401
        service.path.write_text(good)
        flag.touch()
        told = service.command("restart")
        assert told.exit_code == 1
        assert "ImportError: half an upgrade" in told.stderr
        assert service.state()["pid"] == service.process.pid
        assert b"event: " in stream.read(500)
        stream.close()
    finally:
        flag.unlink(missing_ok=True)
        service.stop()


def test_revoked_in_the_old_process(tmp_path: Path, vendor: Any) -> None:
    """A key that is revoked later ends what runs with it there, too."""
    text = config(vendor, free_port())
    service = Running(tmp_path, text)
    try:
        stream = ask(service, ENDLESS)
        assert service.command("restart").exit_code == 0
        service.path.write_text(text.replace("api-keys: [k]", "api-keys: [other]"))
        with pytest.raises(http.client.IncompleteRead) as broken:
            stream.read()
        assert b"revoked" in broken.value.partial.rpartition(b"event: ")[2]
        assert service.process.wait(60) == 0
        service.path.write_text(text)
        service.command("reload")
    finally:
        service.stop()


def test_read_anew_while_it_starts(tmp_path: Path, vendor: Any) -> None:
    """What a reload put in force after the new process had read the file holds there from its first request
    on: a key that was revoked meanwhile is not let in again, and no number of a configuration comes twice.
    """
    waits, goes = tmp_path / "waits", tmp_path / "goes"
    first = (
        "import os, pathlib, time\n"
        "from ampproxy.restart.handover_new import Handover\n"
        "begin = Handover.begin\n"
        "def later(*arguments):\n"
        f"    pathlib.Path({str(waits)!r}).touch()\n"
        f"    while not os.path.exists({str(goes)!r}): time.sleep(0.01)\n"
        "    begin(*arguments)\n"
        "Handover.begin = later"
    )
    text = config(vendor, free_port()).replace("api-keys: [k]", "api-keys: [k, gone]")
    service = Running(tmp_path, text, first=first)
    try:
        service.state()
        os.kill(service.process.pid, signal.SIGUSR2)
        wait_for(waits.exists)
        service.path.write_text(text.replace("[k, gone]", "[k]"))
        # On a busy machine the service may have seen by itself that the file is another one.
        service.command("reload")
        service.wait_for_log("api-keys: 1 removed")
        before = service.state()
        goes.touch()
        service.wait_for_log("is serving")
        connection = service.connect()
        connection.request("GET", "/v1/models", headers={"X-Api-Key": "gone"})
        answer = connection.getresponse()
        assert answer.status == 401
        assert int(answer.headers["X-Ampproxy-Generation"]) > before["generation"]
        assert service.state()["pid"] != before["pid"]
    finally:
        goes.touch()
        service.stop()


def test_unix_socket(tmp_path: Path, vendor: Any) -> None:
    """Its file stays while there is a process to listen on it, and is removed by the last. A port that the
    system chose stays, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        listen = ("--listen", "tcp:0:interface=127.0.0.1", "--listen", f"unix:{path}:mode=600")
        service = Running(tmp_path, config(vendor, 1), *listen)
        mode = os.stat(path).st_mode
        try:
            told = service.command("restart", "--at", path)
            assert told.exit_code == 0, told.output
            assert service.process.wait(60) == 0
            assert os.stat(path).st_mode == mode
            assert service.state()["listening"] == [f"127.0.0.1:{service.port}", path]
            assert service.command("reload", "--at", f"unix:{path}").exit_code == 0
        finally:
            service.stop()
        assert not os.path.exists(path)


def test_service_manager(tmp_path: Path, vendor: Any) -> None:
    """The old process names the new one, which is ready then; the old one's end is no end of the service. Two
    signals at once are one restart. The listener for metrics is free when the new process opens it.
    """
    with tempfile.TemporaryDirectory() as folder:
        manager = Manager(folder)
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
        metrics = f"metrics: {{listen: '127.0.0.1:{free_port()}'}}\n"
        service = Running(tmp_path, config(vendor, free_port(), metrics), environ=environ)
        try:
            manager.wait_for("READY")
            service.wait_for_log("Serving metrics at")
            for _ in range(2):
                service.process.send_signal(signal.SIGUSR2)
                service.wait_for_log("Started process")
            # The old process waits until this is heard.
            pid = int(manager.wait_for("MAINPID", 60)["MAINPID"])
            manager.wait_for("READY")
            service.wait_for_log("has taken over from")
            assert service.state()["pid"] == pid
            assert service.process.wait(60) == 0
            manager.wait_for("WATCHDOG")
            assert not any("STOPPING" in message for message in manager.heard)
            assert service.log_text.count("Started process") == 1
            service.wait_for_log("Serving metrics at", 2)
            assert "cannot be shown" not in service.log_text
        finally:
            service.stop()
            manager.close()


def test_sockets_of_systemd(tmp_path: Path, vendor: Any) -> None:
    """They are handed on, though systemd knows nothing of the new process."""
    path = tmp_path / "config.yaml"
    path.write_text(config(vendor, 1))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        at = f"127.0.0.1:{sock.getsockname()[1]}"
        process = activated(sock, tmp_path, "--config", str(path))
    pids = [process.pid]
    try:
        assert status(at) == 200
        told = CliRunner().invoke(main, ["restart", "--config", str(path), "--at", at])
        assert told.exit_code == 0, told.output + (tmp_path / "log").read_text()
        pids.append(int(told.stdout.split()[3].rstrip(",.")))
        assert process.wait(60) == 0
        assert status(at) == 200
    finally:
        for pid in filter(is_there, pids):
            end(pid)


def status(at: str, path: str = "/healthz") -> int:
    connection = http.client.HTTPConnection(at, timeout=30)
    connection.request("GET", path)
    return connection.getresponse().status


def test_daemon(tmp_path: Path, vendor: Any) -> None:
    """In the background, with a pidfile: it names the new process, and is removed by that alone."""
    port = free_port()
    (tmp_path / "config.yaml").write_text(config(vendor, port))
    pidfile, log = tmp_path / "p.pid", tmp_path / "log"
    command = twistd(f"--pidfile={pidfile}", f"--logfile={log}", "ampproxy", "--config", "config.yaml")
    environ = {**os.environ, "HOME": str(tmp_path)}
    assert forked.run(command, cwd=tmp_path, env=environ, timeout=60).returncode == 0
    first = int(pidfile.read_text())
    pids = [first]
    try:
        told = CliRunner().invoke(main, ["restart", "--config", str(tmp_path / "config.yaml")])
        assert told.exit_code == 0, told.output + log.read_text()
        wait_for(lambda: pidfile.read_text() != str(first))
        pids.append(int(pidfile.read_text()))
        assert f"Process {first} -> {pids[1]}" in told.stdout
        wait_for(lambda: not is_there(first))
        assert pidfile.read_text() == str(pids[1])
    finally:
        for pid in filter(is_there, pids):
            end(pid)
    assert not pidfile.exists()
