"""docs/neo.md, followed: its commands against a stand-in of Amp, with its proxies in front, under TLS."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from ampproxy.testing.amp_cloud import CUSTOM_URL, AmpCloud
from ampproxy.testing.amp_formats import COMPACTION, Answer, ModelError, Talk
from ampproxy.testing.script import Script
from tests.cli.test_neo import World
from tests.etc.test_proxies import program, until
from tests.neo.test_script import PNG, THREAD
from tests.neo.world import NEO_KEY
from tests.ports import free_port

pytestmark = pytest.mark.loopback

PAGE = (Path(__file__).parents[2] / "docs" / "neo.md").read_text()
NAME = "gw.example.org"
KINDS = ("nginx", "haproxy", "caddy")


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

    def __init__(
        self, kind: str, folder: Path, authority: trustme.CA, gateway: int, silence: str = "1h"
    ) -> None:
        folder.mkdir()
        self.silence = silence
        self.port = free_port()
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
        self.url = f"https://localhost:{self.port}"
        self.log = folder / "log"
        command = getattr(self, kind)(folder, gateway)
        with self.log.open("wb") as log:
            # Caddy keeps what it runs by in its user's folders.
            environ = {**os.environ, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environ)
        until(self.answers)

    def nginx(self, folder: Path, gateway: int) -> list[str]:
        text = replaced(
            block("nginx"),
            ("server 127.0.0.1:8319;", f"server 127.0.0.1:{gateway};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (f"server_name {NAME};", "server_name localhost;"),
            (f"/etc/ssl/certs/{NAME}.pem", f"{folder}/both.pem"),
            (f"/etc/ssl/private/{NAME}.key", f"{folder}/both.pem"),
            ("proxy_read_timeout 1h;", f"proxy_read_timeout {self.silence};"),
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
            ("timeout server 1h", f"timeout server {self.silence}"),
            ("127.0.0.1:8319", f"127.0.0.1:{gateway}"),
        )
        (folder / "haproxy.cfg").write_text(f"global\n    maxconn 200\n\n{text}")
        return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]

    def caddy(self, folder: Path, gateway: int) -> list[str]:
        text = replaced(
            block("caddyfile"),
            (f"{NAME} {{", f"https://localhost:{self.port} {{\n    tls {folder}/both.pem {folder}/both.pem"),
            (
                "127.0.0.1:8319 {",
                f"127.0.0.1:{gateway} {{\n        transport http {{\n"
                f"            read_timeout {self.silence}\n"
                f"            response_header_timeout {self.silence}\n        }}",
            ),
        )
        options = "admin off\n    auto_https disable_redirects\n"
        options += f"    default_bind 127.0.0.1\n    storage file_system {folder}/storage"
        (folder / "Caddyfile").write_text(f"{{\n    {options}\n}}\n{text}")
        return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


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


@pytest.mark.parametrize("kind", KINDS)
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


FORMATS = ("anthropic-messages", "responses", "chat-completions")
#: Which accounts there are: the names of their models, and how Amp names those.
SERVED = {
    "anthropic": ("claude-fable-5-1", "anthropic/claude-fable-5-1"),
    "openai": ("gpt-5.6-sol", "openai/gpt-5.6-sol"),
}
READ: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
}


class Caller:
    """Amp's cloud, which asks by a front, over TLS."""

    def __init__(self, world: World, front: Front, format: str, provider: str) -> None:
        self.world, self.front = world, front
        self.name, self.model = SERVED[provider]
        base = front.url + ("" if format == "anthropic-messages" else "/v1")
        config = {"baseURL": base, "apiFormat": format, "modelMapping": f"{self.model} -> {self.name}"}
        self.cloud = AmpCloud(loopback=True)
        members = {"target": "user", "type": CUSTOM_URL, "name": "c", "secret": NEO_KEY, "active": True}
        self.cloud.call("createModelProviderKey", {**members, "config": config})

    def talk(self, thread: int = 0, **settings: Any) -> Talk:
        return self.cloud.talk(self.model, THREAD.format(thread) if thread else "", **settings)

    def begin(self, talk: Talk) -> http.client.HTTPResponse:
        request = self.cloud.request(self.model, talk)
        connection = http.client.HTTPSConnection("localhost", self.front.port, timeout=60)
        connection.request(request.method, request.path, json.dumps(request.body), dict(request.headers))
        return connection.getresponse()

    def ask(self, talk: Talk, text: str = "", image: str = "") -> Answer:
        if text:
            talk.user(text, image)
        response = self.begin(talk)
        headers = {name.lower(): value for name, value in response.getheaders()}
        try:
            body = response.read()
        except http.client.IncompleteRead as broken:
            body = broken.partial
        return talk.read(response.status, headers, body)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose streams begin soon, and whose signs of life come often."""
    world = World(tmp_path_factory.mktemp("scripted"))
    for vendor in (world.claude, world.openai):
        vendor.always(None)
    world.service.stop()
    section = f"neo: {{listen: '{world.listen}', key: {NEO_KEY}, first-sign: 500ms}}\n"
    section += f"allowed-hosts: [{NAME}]\nstreaming: {{keepalive-seconds: 1}}\nrequest-retry: 0\n"
    world.file.write_text(world.before + section)
    world.restart()
    try:
        yield world
    finally:
        world.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_script(kind: str, scripted: World, authority: trustme.CA, tmp_path: Path) -> None:
    """What Amp's cloud is known to ask, through each proxy of the page: in three formats, by two accounts,
    under TLS, with an edge that cuts what is silent for five seconds.
    """
    program(kind)
    front = Front(kind, tmp_path / kind, authority, int(scripted.listen.rpartition(":")[2]), silence="5s")
    try:
        for format in FORMATS:
            for provider, vendor in (("anthropic", scripted.claude), ("openai", scripted.openai)):
                check_script(Caller(scripted, front, format, provider), vendor)
        # Each in another format: it takes its time.
        check_silence(Caller(scripted, front, FORMATS[KINDS.index(kind)], "anthropic"), scripted.claude)
    finally:
        front.stop()


def check_script(caller: Caller, vendor: Any) -> None:
    talks = [caller.talk(number, tools={"Read": READ, "Grep": READ}) for number in (1, 2)]
    for word in ("Hello", "Again"):
        for talk in talks:
            assert word in caller.ask(talk, f"{word} from Neo").text
    talk = talks[0]
    (one, two) = caller.ask(talk, "Please use the tools Read and Grep").calls
    talk.give({one[0]: "result of Read", two[0]: "result of Grep"})
    assert "result of Grep" in caller.ask(talk).text
    assert "What is this?" in caller.ask(talk, "What is this?", PNG).text
    assert caller.ask(talk, COMPACTION).text
    assert "A title" in caller.ask(caller.talk(max_tokens=2000), "A title, please").text
    vendor.script(Script(cut=12, events=50))
    with pytest.raises(ModelError):
        caller.ask(caller.talk(3), "Cut")
    vendor.script(Script(status=529 if "claude" in caller.name else 503, retry_after=1))
    with pytest.raises(ModelError) as overloaded:
        caller.ask(caller.talk(4), "Overloaded")
    assert overloaded.value.status in (429, 503, 529)
    assert overloaded.value.retry_after
    until(lambda: caller.begin(asked(caller.talk(5), "Back")).status == 200)


def check_silence(caller: Caller, vendor: Any) -> None:
    """A vendor that is silent for longer than the edge bears: signs of life come all the time."""
    vendor.script(Script(hang="headers"))
    response = caller.begin(asked(caller.talk(6), "Silence"))
    began = time.monotonic()
    while time.monotonic() - began < 5.5:
        assert response.read1()
    response.close()


def asked(talk: Talk, text: str) -> Talk:
    talk.user(text)
    return talk


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
