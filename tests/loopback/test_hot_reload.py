"""The whole configuration, exchanged under a running service."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.testing import amp, anthropic
from tests.loopback.process import Service
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
SLOW = f"{MODEL}+interval=0.2+events=8"
ENDLESS = f"{MODEL}+interval=0.1+events=100000"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[list[Any]]:
    running = [in_reactor(amp.start, reactor, keys=[key]) for key in ("amp-key", "second-amp-key")]
    yield running
    for stand_in in running:
        in_reactor(stand_in.stop)


class Configured:
    """A service and its configuration, changed piece by piece."""

    def __init__(self, directory: Path, vendor: Any, upstreams: list[Any]) -> None:
        self.directory = directory
        self.path = directory / "config.yaml"
        self.first: dict[str, Any] = {
            "port": free_port(),
            "api-keys": ["k", "second"],
            "claude-api-key": [
                {
                    "api-key": "vendor-key",
                    "base-url": vendor.url,
                    "models": [{"name": name} for name in (MODEL, SLOW, ENDLESS)],
                }
            ],
            "ampcode": {"upstream-url": upstreams[0].url, "upstream-api-key": "amp-key"},
        }
        self.values = json.loads(json.dumps(self.first))
        self.service = Service(directory, json.dumps(self.values))
        # Before it serves it does not listen to signals, either.
        self.get("/healthz")

    def reset(self) -> None:
        """Begin anew."""
        self.values = json.loads(json.dumps(self.first))
        self.put()
        self.service.port = self.values["port"]

    @property
    def generation(self) -> int:
        """The number of the configuration in force."""
        number: int = json.loads(self.get("/readyz").data)["generation"]
        return number

    def write(self, **amp_code: Any) -> None:
        """Change settings of ``ampcode`` and wait until they are in force."""
        self.values["ampcode"].update(amp_code)
        self.put()

    def put(self) -> None:
        seen = self.service.log_text.count("is in force")
        self.path.write_text(json.dumps(self.values))
        # It would notice by itself, a second later.
        self.service.process.send_signal(signal.SIGHUP)
        self.service.wait_for_log("is in force", seen + 1)

    def run(self, verb: str, *more: str) -> Result:
        return CliRunner().invoke(main, [verb, "--config", str(self.path), *more])

    def get(self, path: str, more: dict[str, str] | None = None) -> Any:
        connection = self.service.connect()
        connection.request("GET", path, headers={"X-Api-Key": "k", **(more or {})})
        answer = connection.getresponse()
        answer.data = answer.read()  # type: ignore[attr-defined]
        return answer

    def ask(self, model: str, key: str = "k", *, stream: bool = False) -> Any:
        connection = self.service.connect()
        body = {
            "model": model,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
            "stream": stream,
        }
        path = "/api/provider/anthropic/v1/messages"
        connection.request("POST", path, json.dumps(body), {"X-Api-Key": key})
        return connection.getresponse()

    def route(self, model: str) -> str | None:
        answer = self.ask(model)
        answer.read()
        return answer.headers["X-Ampproxy-Route"]


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor: Any, upstreams: list[Any]
) -> Iterator[Configured]:
    made = Configured(tmp_path_factory.mktemp("service"), vendor, upstreams)
    yield made
    made.service.stop()


@pytest.fixture
def configured(running: Configured) -> Configured:
    running.reset()
    return running


def test_each_option_of_ampcode(configured: Configured, upstreams: list[Any]) -> None:
    """All six take effect without a restart, shown by a request each; a stream runs on meanwhile."""
    stream = configured.ask(SLOW, stream=True)
    stream.read(50)
    assert configured.route("wanted") == "amp"
    configured.write(**{"model-mappings": [{"from": "wanted", "to": MODEL}]})
    assert configured.route("wanted") == "mapped"
    configured.write(**{"model-mappings": [{"from": SLOW, "to": MODEL}]})
    assert configured.route(MODEL) == "local"
    configured.write(**{"force-model-mappings": True})
    assert configured.route(SLOW) == "mapped"
    configured.write(**{"upstream-url": upstreams[1].url, "upstream-api-key": "second-amp-key"})
    assert configured.route("unheard") == "amp"
    assert upstreams[1].requests[-1].headers["x-api-key"] == "second-amp-key"
    per_client = [{"upstream-api-key": "amp-key", "api-keys": ["second"]}]
    configured.write(**{"upstream-url": upstreams[0].url, "upstream-api-keys": per_client})
    configured.ask("unheard", "second").read()
    assert upstreams[0].requests[-1].headers["x-api-key"] == "amp-key"
    configured.write(**{"upstream-api-key": "amp-key"})
    elsewhere = {"X-Forwarded-For": "192.0.2.1"}
    assert configured.get("/api/user", more=elsewhere).status == 403
    configured.write(**{"restrict-management-to-localhost": False})
    assert configured.get("/api/user", more=elsewhere).status == 200
    configured.write(**{"upstream-url": ""})
    assert configured.route("unheard") == "none"
    assert stream.read().count(b"event: message_stop") == 1


def test_revoked_key(configured: Configured) -> None:
    """A client key that is gone lets in no more, on an open connection either, and ends what runs with it."""
    connection = configured.service.connect()
    connection.request("GET", "/v1/models", headers={"X-Api-Key": "second"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    revoked, kept = configured.ask(ENDLESS, "second", stream=True), configured.ask(SLOW, "k", stream=True)
    revoked.read(50)
    configured.values["api-keys"] = ["k"]
    configured.put()
    connection.request("GET", "/v1/models", headers={"X-Api-Key": "second"})
    assert connection.getresponse().status == 401
    with pytest.raises(http.client.IncompleteRead) as broken:
        revoked.read()
    last = broken.value.partial.rpartition(b"event: ")[2]
    assert last.startswith(b"error\n")
    assert b"revoked" in last
    assert kept.read().count(b"event: message_stop") == 1
    configured.service.wait_for_log("Ended, for their client keys no longer allow them: 1 exchange")


def test_wrong_file(configured: Configured) -> None:
    """It is told with its line, in the log and to the owner, and the old configuration goes on; also when it
    is asked for.
    """
    good, before = configured.path.read_text(), configured.generation
    seen = configured.service.log_text.count("stays as it was")
    configured.path.write_text("port: many\n")
    configured.service.wait_for_log("stays as it was", seen + 1)
    complaint = f"{configured.path}:1: port"
    assert complaint in configured.service.log_text
    answer = configured.get("/readyz")
    told = json.loads(answer.data)
    assert (answer.status, told["status"], told["generation"]) == (200, "ready", before)
    assert told["reload"]["complaints"][0].startswith(complaint)
    assert configured.route(MODEL) == "local"
    refused = configured.run("reload")
    assert refused.exit_code == 1
    assert complaint in refused.stderr
    configured.path.write_text(good)
    configured.service.process.send_signal(signal.SIGHUP)
    # It says what the one in force says.
    configured.service.wait_for_log(f"Configuration {before} is in force: nothing")
    answer = configured.get("/readyz")
    assert json.loads(answer.data)["reload"]["ok"]
    assert int(answer.headers["X-Ampproxy-Generation"]) == before


def test_asked_for(configured: Configured) -> None:
    """``ampproxy reload`` waits for the result and prints what changed, without secrets."""
    configured.values["timeouts"] = {"connect": "5s"}
    configured.values["ampcode"]["upstream-api-key"] = "canary-new-key"
    configured.path.write_text(json.dumps(configured.values))
    told = configured.run("reload")
    assert told.exit_code == 0, told.output
    assert "timeouts.connect: 10s -> 5s" in told.stdout
    assert "ampcode.upstream-api-key: changed" in told.stdout
    assert "canary" not in told.output
    configured.service.wait_for_log("timeouts.connect: 10s -> 5s")
    assert "canary" not in configured.service.log_text


def test_asked_for_what_cannot_be(configured: Configured) -> None:
    """A file that is right, but an address that is taken: refused as a whole, with the line."""
    before = configured.generation
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{configured.values['port']}"
        configured.values["port"] = taken.getsockname()[1]
        configured.values["debug"] = True
        configured.path.write_text(json.dumps(configured.values))
        told = configured.run("reload", "--at", at)
        assert told.exit_code == 1
        assert f"{configured.path}:1: port: Couldn't listen on" in told.stderr
    assert configured.generation == before


def test_another_address(configured: Configured) -> None:
    """The new port opens before the old one closes; streams on the old one end whole. Who asks by the file
    finds the service where the file says.
    """
    stream = configured.ask(SLOW, stream=True)
    stream.read(50)
    old = configured.service.port
    configured.values["port"] = configured.service.port = free_port()
    configured.path.write_text(json.dumps(configured.values))
    told = configured.run("reload")
    assert told.exit_code == 0, told.output
    assert f"port: {old} -> {configured.service.port}" in told.stdout
    assert configured.get("/healthz").status == 200
    configured.service.wait_for(lambda: _refuses(old))
    assert stream.read().count(b"event: message_stop") == 1


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_another_certificate(configured: Configured, tmp_path: Path) -> None:
    """Switched on at the same port; then other contents of the same files. Connections keep theirs."""
    one, two = trustme.CA(), trustme.CA()
    put_certificate(tmp_path, one)
    configured.values["tls"] = {
        "enable": True,
        "cert": str(tmp_path / "cert.pem"),
        "key": str(tmp_path / "key.pem"),
    }
    configured.put()
    kept = https(configured, one)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b'{"status":"ok"}'
    put_certificate(tmp_path, two)
    configured.service.wait_for_log("certificate files have changed")
    fresh = https(configured, two)
    for connection in (kept, fresh):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
    assert configured.run("reload").exit_code == 0


@pytest.mark.parametrize("there", [False, True])
def test_certificate_that_cannot_be_used(
    configured: Configured, tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not there, or not the key's: the service goes on as it was. No key is sent to it without TLS, which the
    file has, unless one says so; then the command tells why.
    """
    # It does not speak TLS, so this is how long it is tried.
    monkeypatch.setattr("ampproxy.cli.service_client._HANDSHAKE", 0.2)
    if there:
        put_certificate(tmp_path, trustme.CA())
        (tmp_path / "key.pem").write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
    files = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    configured.path.write_text(json.dumps({**configured.values, "tls": {"enable": True, **files}}))
    monkeypatch.setattr("ampproxy.cli.service_client.INSISTING", 0)
    told = configured.run("reload")
    assert told.exit_code == 1
    assert "the service may have rejected" in told.output
    told = configured.run("reload", "--at", f"http://127.0.0.1:{configured.service.port}")
    assert told.exit_code == 1
    problem = "key.pem is not the key of" if there else "tls.cert: there is no such file"
    assert "config.yaml:1: tls" in told.output
    assert problem in told.output
    assert "The file was rejected; configuration" in told.output
    assert configured.get("/healthz").status == 200


def test_port_that_is_taken(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names a port that another program has: who asks there is told where to ask."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        configured.path.write_text(json.dumps({**configured.values, "port": other.getsockname()[1]}))
        told = configured.run("reload", "--at", f"127.0.0.1:{configured.service.port}")
        assert "config.yaml:1: port: Couldn't listen" in told.output
        monkeypatch.setattr("ampproxy.cli.service_client.INSISTING", 0)
        monkeypatch.setattr("ampproxy.cli.service_client._TIMEOUT", 0.1)
        told = configured.run("reload")
    assert told.exit_code == 3
    assert "the service may have rejected the file" in told.output


def put_certificate(folder: Path, authority: trustme.CA) -> None:
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))


def https(configured: Configured, authority: trustme.CA) -> http.client.HTTPSConnection:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return http.client.HTTPSConnection("localhost", configured.service.port, timeout=60, context=context)


def test_another_folder_of_logins(configured: Configured, tmp_path: Path) -> None:
    """Its logins are there, and those of the folder before are not."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        login = {"type": "claude", "email": f"{name}@a.test", "access_token": "t", "refresh_token": "r"}
        (tmp_path / name / "claude.json").write_text(json.dumps({**login, "expired": "2099-01-01T00:00:00Z"}))
    for name, other in (("one", "two"), ("two", "one")):
        configured.values["auth-dir"] = str(tmp_path / name)
        configured.put()
        configured.service.wait_for(
            lambda name=name: name in configured.get("/ampproxy/accounts").data.decode()
        )
        assert f"{other}@a.test" not in configured.get("/ampproxy/accounts").data.decode()


def activated(sock: socket.socket, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A service that is started as systemd does it, with a socket that listens already."""
    code = (
        "import os, sys\n"
        f"os.dup2({sock.fileno()}, 3, inheritable=True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')\n"
        "run = 'from twisted.scripts.twistd import run; run()'\n"
        "os.execv(sys.executable, [sys.executable, '-c', run, *sys.argv[1:]])\n"
    )
    command = [sys.executable, "-c", code, "-n", "--pidfile=", "ampproxy", *arguments]
    with (folder / "log").open("wb") as log:
        environ = {**os.environ, "HOME": str(folder)}
        return subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=environ, pass_fds=[sock.fileno()]
        )


def test_socket_activation(tmp_path: Path) -> None:
    """A process that systemd starts with sockets listens on them, not on the configured address."""
    path = tmp_path / "config.yaml"
    path.write_text("port: 1\napi-keys: [k]\n")
    for more in ((), ("--listen", "systemd:domain=INET:name=web")):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
            process = activated(sock, tmp_path, "--config", str(path), *more)
        try:
            # It waits in the socket that was there before the process.
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200, (tmp_path / "log").read_text()
        finally:
            process.terminate()
            process.wait(60)


ROUNDS = 25 if os.environ.get("AMPPROXY_LONG") else 1


def test_every_way_of_writing(configured: Configured) -> None:
    """By rename, by removing and making again, by a link that is turned, in place in two writes: each change
    takes effect once, within two seconds or so, and never by halves.
    """
    path, folder, log = configured.path, configured.directory, configured.service
    first, changes = configured.generation, 0
    wrong = log.log_text.count("stays as it was:")

    def text() -> str:
        # Many lines, so that the first half of them is a configuration, too.
        mappings = "".join(f"    - {{from: from-{changes}-{index}, to: {MODEL}}}\n" for index in range(50))
        return f"port: {configured.service.port}\napi-keys: [k]\nampcode:\n  model-mappings:\n{mappings}"

    def rename() -> None:
        (folder / "new").write_text(text())
        (folder / "new").replace(path)

    def remove() -> None:
        path.unlink()
        time.sleep(0.3)
        path.write_text(text())

    def turn() -> None:
        target = folder / f"target-{changes}"
        target.write_text(text())
        (folder / "link").symlink_to(target)
        (folder / "link").replace(path)

    def write_twice() -> None:
        path.unlink()
        path.write_text("")
        with path.open("w") as file:
            for part in (text()[:-1300], text()[-1300:]):
                file.write(part)
                file.flush()
                time.sleep(0.4)

    for change in (rename, remove, turn, write_twice) * ROUNDS:
        changes += 1
        change()
        log.wait_for_log(f"Configuration {first + changes} is in force: 0 accounts, 50 model mappings")
    # Long enough for a second reading of the same.
    time.sleep(1.5)
    assert configured.generation == first + changes
    assert log.log_text.count("stays as it was:") == wrong
