"""Somebody else listens where the service should: no command sends a client key there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.desktop.clients import owners

KEY = "canary-client-key-93ab"


class Squatter:
    """Takes every connection, keeps what comes, and answers that it knows no key."""

    def __init__(self) -> None:
        self.heard = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                try:
                    heard = client.recv(65536)
                    self.heard += heard
                    body = b'{"status":"ok"}'
                    if b"/readyz" in heard:
                        body = b'{"status":"ready","generation":1,"since":1.0}'
                    status = b"200 OK" if b"/healthz" in heard or b"/readyz" in heard else b"401 No"
                    client.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
                except OSError:
                    pass


@pytest.fixture
def squatter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Squatter]:
    """One that belongs to another user, as far as the commands can see."""
    squatter = Squatter()
    for module in ("ampproxy.cli.service_client", "ampproxy.desktop.doctor.context", "ampproxy.cli.setup"):
        monkeypatch.setattr(
            f"{module}.trusted_uids", lambda config: frozenset({os.geteuid() + 1}), raising=False
        )
    monkeypatch.setattr("ampproxy.cli.service_client.INSISTING", 0)
    yield squatter
    squatter.socket.close()


def configuration(folder: Path, port: int, more: str = "") -> Path:
    file = folder / "config.yaml"
    file.write_text(f"port: {port}\napi-keys: [{KEY}]\nstate-dir: {folder}/state\n{more}")
    return file


def said(verb: str, file: Path, *more: str) -> str:
    environ = {"HOME": str(file.parent), "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""}
    done = CliRunner().invoke(main, [verb, "--config", str(file), *more], env=environ)
    return " ".join(done.output.split())


@pytest.mark.parametrize("verb", ["accounts", "reload", "restart", "models"])
def test_no_key(verb: str, tmp_path: Path, squatter: Squatter) -> None:
    """And what asks has its reason, and the way out."""
    output = said(verb, configuration(tmp_path, squatter.port))
    assert squatter.heard == b""
    if verb != "models":
        assert "no client key is sent there" in output
        assert f"--at 127.0.0.1:{squatter.port}" in output


def test_setup(tmp_path: Path, squatter: Squatter) -> None:
    """``setup`` sends none either."""
    output = said("setup", configuration(tmp_path, squatter.port), "--cli", "--yes")
    assert "no key was sent to" in output
    assert KEY.encode() not in squatter.heard


def test_said_so(tmp_path: Path, squatter: Squatter) -> None:
    """Who names the address is taken at his word."""
    said("accounts", configuration(tmp_path, squatter.port), "--at", f"127.0.0.1:{squatter.port}")
    assert KEY.encode() in squatter.heard


def test_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is none of this machine's, as far as the system tells, is sent none."""
    monkeypatch.setattr(owners, "listening_uids", lambda *_: set())
    squatter = Squatter()
    assert "another machine" in said("accounts", configuration(tmp_path, squatter.port))
    assert squatter.heard == b""
    squatter.socket.close()


@pytest.mark.parametrize("at", [False, True], ids=["configured", "named"])
def test_never_without_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: bool) -> None:
    """Where the file has TLS, who speaks none is sent no key, whoever it is."""
    monkeypatch.setattr("ampproxy.cli.service_client._HANDSHAKE", 0.2)
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    squatter = Squatter()
    file = configuration(tmp_path, squatter.port, "tls: {enable: true, cert: cert.pem, key: key.pem}\n")
    output = said("accounts", file, *(["--at", f"127.0.0.1:{squatter.port}"] if at else []))
    assert KEY.encode() not in squatter.heard
    assert "no TLS at" in output
    said("accounts", file, "--at", f"http://127.0.0.1:{squatter.port}")
    assert KEY.encode() in squatter.heard
    squatter.socket.close()


@pytest.mark.parametrize("content", ["", "nothing\n"])
def test_no_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """A file without a certificate makes nobody trusted, least of all the system's authorities."""
    monkeypatch.setattr("ampproxy.cli.service_client.INSISTING", 0)
    (tmp_path / "pem").write_text(content)
    file = configuration(tmp_path, 1, "tls: {enable: true, cert: pem, key: pem}\n")
    assert "so the service cannot be trusted to be itself" in said("reload", file)


#: Listens as another user, and prints what it hears.
NOBODY = """
import os, socket
os.setuid(65534)
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
while True:
    client, _ = sock.accept()
    print(client.recv(65536), flush=True)
    client.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a process of another user")
def test_real(tmp_path: Path) -> None:
    """A real process of a real other user."""
    process = subprocess.Popen([sys.executable, "-c", NOBODY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        output = said("accounts", configuration(tmp_path, port))
        assert "(65534), and not to you" in output
    finally:
        process.kill()
        heard = process.stdout.read()
        process.wait()
    assert KEY not in heard
