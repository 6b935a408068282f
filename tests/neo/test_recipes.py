"""docs/neo.md, followed: its commands against a stand-in of Amp, with its proxies in front, under TLS."""

from __future__ import annotations

import os
import re
import shlex
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.cli.test_neo import World, free_port
from tests.etc.test_proxies import program, until

pytestmark = pytest.mark.loopback

PAGE = (Path(__file__).parents[2] / "docs" / "neo.md").read_text()
NAME = "gw.example.org"


def block(kind: str) -> str:
    """The text of the page's only block of a kind."""
    (found,) = re.findall(rf"(?ms)^```{kind}$\n(.*?)^```", PAGE)
    return str(found)


def commands() -> list[list[str]]:
    """The commands of the page, in their order, without ``ampproxy neo``."""
    found = "".join(re.findall(r"(?ms)^```sh$\n(.*?)^```", PAGE))
    lines = [shlex.split(line, comments=True) for line in found.splitlines() if line]
    assert all(words[:2] == ["ampproxy", "neo"] for words in lines)
    return [words[2:] for words in lines]


class Front:
    """What terminates TLS in front of the listener, as the page says it."""

    def __init__(self, kind: str, folder: Path, authority: trustme.CA, gateway: int) -> None:
        folder.mkdir()
        self.port = free_port()
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
        self.url = f"https://localhost:{self.port}"
        self.log = folder / "log"
        command = getattr(self, kind)(folder, gateway)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        until(self.answers)

    def nginx(self, folder: Path, gateway: int) -> list[str]:
        text = replaced(
            block("nginx"),
            ("server 127.0.0.1:8319;", f"server 127.0.0.1:{gateway};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (f"server_name {NAME};", "server_name localhost;"),
            (f"/etc/ssl/certs/{NAME}.pem", f"{folder}/both.pem"),
            (f"/etc/ssl/private/{NAME}.key", f"{folder}/both.pem"),
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log stderr; {user} events {{}}\n"
            f"http {{ access_log off; {temporary}\n{text} }}\n"
        )
        return [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]

    def buffering(self, folder: Path, gateway: int) -> list[str]:
        command = self.nginx(folder, gateway)
        config = folder / "nginx.conf"
        config.write_text(
            replaced(config.read_text(), ("proxy_buffering off;", "proxy_ignore_headers X-Accel-Buffering;"))
        )
        return command

    def haproxy(self, folder: Path, gateway: int) -> list[str]:
        text = replaced(
            block("haproxy"),
            ("bind :443 ", f"bind 127.0.0.1:{self.port} "),
            (f"/etc/haproxy/certs/{NAME}.pem", f"{folder}/both.pem"),
            ("127.0.0.1:8319", f"127.0.0.1:{gateway}"),
        )
        (folder / "haproxy.cfg").write_text(f"global\n    maxconn 200\n\n{text}")
        return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    try:
        yield world
    finally:
        world.stop()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """One that this process trusts, as it does the system's."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(tmp_path / "authority.pem"))
    return made


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_followed(kind: str, world: World, authority: trustme.CA, tmp_path: Path) -> None:
    """Every command of the page, one after the other, with a proxy of the page in front."""
    program(kind)
    gateway = int(world.listen.rpartition(":")[2])
    front = Front(kind, tmp_path / kind, authority, gateway)
    asked: dict[str, Callable[[str], Any]] = {
        "setup --run": lambda said: "Its certificate is trusted" in said and "pieces, from" in said,
        "status": lambda said: "active, priority 0" in said,
        "test": lambda said: "ok" in said,
    }
    seen = set()
    try:
        for words in commands():
            real = [front.url if word == f"https://{NAME}" else word for word in words]
            if real[0] == "setup":
                real += ["--yes"] if "--undo" in real else ["--yes", "--listen", world.listen]
            said = world.run(*real)
            name = " ".join(word for word in words if word != "--url" and not word.startswith("https://"))
            assert asked.get(name, bool)(said), said
            seen.add(name)
    finally:
        front.stop()
    assert seen >= set(asked)
    assert world.file.read_text() == world.before
    assert world.connections == []


def test_own_tls(world: World, authority: trustme.CA, tmp_path: Path) -> None:
    """The listener with a certificate of its own, without anything in front."""
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "gw.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "gw.key"))
    port = free_port()
    text = replaced(
        block("yaml"),
        (f"https://{NAME}:8319", f"https://localhost:{port}"),
        ("0.0.0.0:8319", f"127.0.0.1:{port}"),
        ("/etc/ampproxy/gw.pem", str(tmp_path / "gw.pem")),
        ("/etc/ampproxy/gw.key", str(tmp_path / "gw.key")),
    )
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    key.chmod(0o600)
    world.service.stop()
    world.file.write_text(f"{world.before}{text}  key: file:{key}\n")
    world.restart()
    said = world.run("test", "--no-amp")
    assert "Its certificate is trusted" in said
    assert "Nothing else is open there" in said


def test_buffered(world: World, authority: trustme.CA, tmp_path: Path) -> None:
    """A proxy that holds a stream back is found out."""
    program("nginx")
    world.setup("--local")
    front = Front("buffering", tmp_path / "nginx", authority, int(world.listen.rpartition(":")[2]))
    try:
        said = world.run("setup", "--url", front.url, "--listen", world.listen, "--yes", "--run", status=1)
    finally:
        front.stop()
    assert "all at once" in said
    assert world.connections == []
