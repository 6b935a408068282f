"""``ampproxy login`` and ``ampproxy logout``, against the strict authorization server on a real socket."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from click import ClickException
from click.testing import CliRunner
from twisted.internet import reactor, threads

from ampproxy.cli import main
from ampproxy.cli.login import Terminal, find_imports, has_display, import_logins, sign_in
from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.credentials.oauth.failures import LoginError
from ampproxy.credentials.oauth.formats import KINDS, dump
from ampproxy.credentials.oauth.store import Store
from ampproxy.testing import oauth
from tests.ports import free_port
from tests.reactor import in_reactor

PATHS = {"claude": "/callback", "codex": "/auth/callback", "gemini": "/oauth2callback"}


@pytest.fixture
def world(tmp_path):
    stand_in = in_reactor(oauth.start, reactor, clock=time.time)
    port = free_port()
    text = oauth.settings_for(stand_in.url)
    for kind, path in PATHS.items():
        text = text.replace(f"  {kind}:\n", f"  {kind}:\n    redirect-url: http://127.0.0.1:{port}{path}\n")
    text = f"port: 0\nauth-dir: {tmp_path}/auth\n{text}"
    (tmp_path / "config.yaml").write_text(text)
    config = parse(text, name="c", environ={}, home=tmp_path, read_secret=lambda path: "")
    yield SimpleNamespace(
        server=stand_in.vendor, config=config, store=Store(config.auth_dir), port=port, folder=tmp_path
    )
    in_reactor(stand_in.stop)


def get(url):
    """One step of a browser: status, headers, body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    found = response.status, headers, response.read().decode()
    connection.close()
    return found


class User:
    """Opens pages as a browser does, or types; notes what the terminal told."""

    def __init__(self, world, types=None, visit=None):
        self.told = []
        self.pages = []
        self.done = threading.Event()
        self._types = types
        self._visit = visit
        self.terminal = Terminal(self.told.append, self._lines, self._open if types is None else None)

    def _open(self, url):
        self.opened = url
        # First to the vendor's page, then where that sends the browser.
        _, headers, _ = get(get(url)[1]["location"])
        if self._visit is None:
            self.pages.append(get(headers["location"]))
        else:
            self._visit(headers["location"])
        self.done.set()

    def _lines(self, take):
        if self._types is None:
            return
        page = re.search(r"http://\S+/authorize\S+", "\n".join(self.told)).group()

        def typed():
            location = get(page)[1]["location"]
            take(self._types(location))
            take(None)

        threads.deferToThread(typed)


def log_in(world, kind, user, **more):
    return in_reactor(sign_in, reactor, world.config, kind, user.terminal, timeout=60, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_by_browser(world, kind):
    """The browser comes back to this machine, shows a page, and the login is in its file."""
    user = User(world)
    login = log_in(world, kind, user)
    assert world.server.knows(login.access_token)
    assert world.store.read(login.name) == login
    # The login may be complete before its page has been read.
    assert user.done.wait(60)
    status, headers, page = user.pages[0]
    assert status == 200
    assert "You are back" in page
    assert headers["cache-control"] == "no-store"
    assert "As of 2026-11" in user.told[0]
    assert str(world.store.folder / login.name) in user.told[-1]
    secrets = (login.access_token, login.refresh_token)
    assert not any(secret in line for secret in secrets for line in user.told)


@pytest.mark.parametrize("kind", KINDS)
def test_by_paste(world, kind):
    """Without a browser here the address is printed, and what the browser ended at can be pasted."""
    login = log_in(world, kind, User(world, types=lambda location: location + "\n"))
    assert world.server.knows(login.access_token)


def test_by_device(world):
    """The device flow needs neither a browser nor a port here."""
    world.server.device_pending, world.server.interval = 0, 1
    user = User(world)
    login = log_in(world, "codex", user, device=True)
    assert world.server.knows(login.access_token)
    assert any("ABCD-1234" in line for line in user.told)


def test_port_taken(world):
    """Where the callback's port is taken the login goes on by paste, and says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", world.port))
        taken.listen()
        user = User(world, types=lambda location: location)
        assert world.server.knows(log_in(world, "claude", user).access_token)
    assert any("is in use" in line for line in user.told)


def test_foreign_visits(world):
    """The callback takes one visit with the right state on its own path, and refuses all others."""
    seen = []

    def visit(location):
        state = parse_qs(urlsplit(location).query)["state"][0]
        seen.append(get(location.replace(state, "x" * len(state)))[0])
        seen.append(get(location + f"&state={state}")[0])
        seen.append(get(location.replace("/callback", "/other"))[0])
        seen.append(get(location.partition("?")[0])[0])
        assert world.store.names() == []
        seen.append(get(location)[0])

    login = log_in(world, "claude", User(world, visit=visit))
    assert seen == [400, 400, 404, 400, 200]
    assert world.server.knows(login.access_token)
    with pytest.raises(OSError, match="refused"):
        get(f"http://127.0.0.1:{world.port}/callback")


def test_arguments_of_the_browser(world):
    """What stands in the browser's arguments leads to the login once, and tells nothing of it."""
    seen = []

    def visit(location):
        seen.append(get(user.opened)[0])
        seen.append(get(user.opened + "x")[0])
        get(location)

    user = User(world, visit=visit)
    login = log_in(world, "claude", user)
    assert world.server.knows(login.access_token)
    parts = urlsplit(user.opened)
    assert (parts.hostname, parts.query, len(parts.path)) == ("127.0.0.1", "", 23)
    assert seen == [410, 404]
    assert any("opened a second time" in line for line in user.told)
    with pytest.raises(OSError, match="refused"):
        get(user.opened)


def test_another_user_opens_it(world, monkeypatch):
    """The address of a login is no use to another user of the machine."""
    from ampproxy.desktop.callback import Starter

    told = []
    monkeypatch.setattr("ampproxy.desktop.callback.connected_uid", lambda host, port: os.geteuid() + 1)
    starter = in_reactor(lambda: Starter(reactor, "https://vendor.test/authorize?state=s", told.append))
    status, headers, page = get(starter.url)
    assert (status, "location" in headers, "state=" in page) == (403, False, False)
    assert "Another user of this machine tried" in told[0]
    monkeypatch.undo()
    assert get(starter.url)[1]["location"] == "https://vendor.test/authorize?state=s"
    in_reactor(starter.close)


def by_name(world, port):
    """The settings with ``localhost`` in the place of its address."""
    text = (world.folder / "config.yaml").read_text().replace("http://127.0.0.1:" + str(world.port), port)
    world.config = parse(text, name="c", environ={}, home=world.folder, read_secret=lambda path: "")


@pytest.fixture
def six():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("the system has no IPv6")


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_both_addresses(world, six, address):
    """``localhost`` has two, and a browser may use either."""
    by_name(world, f"http://localhost:{world.port}")
    user = User(world, visit=lambda location: user.pages.append(get(location.replace("localhost", address))))
    assert world.server.knows(log_in(world, "claude", user).access_token)
    assert user.done.wait(60)
    assert user.pages[0][0] == 200


def test_one_address_taken(world, six, monkeypatch):
    """Where one of the two is somebody else's, the browser is not waited for at the other one; where it is
    another user's, there is no login.
    """
    by_name(world, f"http://localhost:{world.port}")
    with socket.create_server(("::1", world.port), family=socket.AF_INET6):
        user = User(world, types=lambda location: location)
        assert world.server.knows(log_in(world, "claude", user).access_token)
        assert any(f"Port {world.port} of ::1 is in use" in line for line in user.told)
        monkeypatch.setattr("ampproxy.desktop.callback.listening_uids", lambda host, port: {os.geteuid() + 1})
        with pytest.raises(LoginError, match="Another user of this machine has port"):
            log_in(world, "claude", User(world))


def test_not_allowed(world):
    """A user who refuses on the vendor's page reads so in the terminal; no file is written."""

    def visit(location):
        state = parse_qs(urlsplit(location).query)["state"][0]
        get(f"{location.partition('?')[0]}?error=access_denied&state={state}")

    with pytest.raises(LoginError, match="not allowed: access_denied"):
        log_in(world, "claude", User(world, visit=visit))
    assert world.store.names() == []


def test_server_down(world):
    """A login server that cannot be asked ends the login with words, and no file."""
    world.server.failing = [(503, None)]
    with pytest.raises(LoginError, match="503"):
        log_in(world, "claude", User(world))
    assert world.store.names() == []


def run(world, *arguments, typed=""):
    return CliRunner().invoke(main, [*arguments, "--config", str(world.folder / "config.yaml")], input=typed)


def test_whole_command(world):
    """The command as a process: prints the address, takes the paste, ends well; logout removes it again."""
    command = [sys.executable, "-m", "ampproxy.cli", "login", "claude", "--no-browser"]
    command[1:3] = ["-c", "from ampproxy.cli import main; main()"]
    command += ["--config", str(world.folder / "config.yaml")]
    environ = {**os.environ, "HOME": str(world.folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ, cwd=world.folder
    ) as process:
        page = next(line.strip() for line in process.stdout if "/authorize?" in line)
        process.stdin.write(get(page)[1]["location"] + "\n")
        process.stdin.flush()
        rest = process.stdout.read()
        assert process.wait(60) == 0, rest
    assert "claude:anna@example.org is logged in" in rest
    assert run(world, "logout", "claude:anna@example.org", typed="n\n").exit_code == 1
    assert len(world.store.names()) == 1
    result = run(world, "logout", "claude:anna@example.org", "--yes")
    assert result.output == "claude:anna@example.org is logged out.\n"
    assert world.store.names() == []


def test_device_that_a_vendor_lacks(world):
    """Where there is no device flow the command says why, and what to do."""
    result = run(world, "login", "gemini", "--device")
    assert result.exit_code == 1
    assert "cloud-platform" in result.output
    assert run(world, "login").exit_code == 2


def test_logout_names(world):
    """A login goes by its label, its file's name, or its address where that is one only."""
    folder = world.store.folder
    folder.mkdir(parents=True)
    for name, kind in (
        ("claude-a@x.json", "claude"),
        ("codex-a@x.json", "codex"),
        ("codex-b@x.json", "codex"),
    ):
        (folder / name).write_bytes(dump({"type": kind, "email": name[-8:-5]}))
    (folder / "broken.json").write_bytes(b"{")
    ambiguous = run(world, "logout", "a@x", "--yes")
    assert ambiguous.exit_code == 1
    assert "claude-a@x.json, codex-a@x.json" in ambiguous.output
    unknown = run(world, "logout", "nobody", "--yes")
    assert "there are: claude:a@x, codex:a@x, codex:b@x" in unknown.output
    for wanted in ("claude:a@x", "b@x", "codex-a@x", "broken.json"):
        assert run(world, "logout", wanted, "--yes").exit_code == 0, wanted
    assert world.store.names() == []


def test_import(tmp_path):
    """The logins of the vendors' own command lines are copied, and the risk of sharing them is told."""
    home, told = tmp_path / "home", []
    (home / ".codex").mkdir(parents=True)
    tokens = {"access_token": "a-secret", "refresh_token": "r-secret", "account_id": "acc"}
    (home / ".codex" / "auth.json").write_text(json.dumps({"tokens": tokens}))
    config = Config(auth_dir=tmp_path / "auth")
    logins = in_reactor(import_logins, reactor, config, find_imports(KINDS, home), told.append)
    assert [login.refresh_token for login in logins] == ["r-secret"]
    assert Store(config.auth_dir).names() == ["codex-imported.json"]
    assert any("shares this login" in line for line in told)
    assert not any("-secret" in line for line in told)
    with pytest.raises(ClickException, match="no login found to import"):
        find_imports(("claude",), home)
    (home / ".codex" / "auth.json").write_text("{}")
    with pytest.raises(ClickException, match="contains no login"):
        find_imports(("codex",), home)


def test_import_from_gemini_cli(world):
    """An imported login at Google learns its address and its project; without a network it is kept as is."""
    home, told = world.folder / "home", []
    (home / ".gemini").mkdir(parents=True)
    granted = world.server.grant("gemini")
    (home / ".gemini" / "oauth_creds.json").write_text(json.dumps(granted))
    found = find_imports(("gemini",), home)
    (login,) = in_reactor(import_logins, reactor, world.config, found, told.append)
    assert (login.name, login.projects) == ("gemini-anna@example.org-made-project.json", ("made-project",))
    assert world.server.knows(login.access_token)
    again = world.server.grant("gemini")
    (home / ".gemini" / "oauth_creds.json").write_text(json.dumps(again))
    world.server.failing = [(503, None)]
    (login,) = in_reactor(import_logins, reactor, world.config, find_imports(KINDS, home), told.append)
    assert login.refresh_token == again["refresh_token"]
    assert any("503" in line for line in told)


@pytest.mark.parametrize(
    ("environ", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "w"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_display(environ, platform, there):
    """Over SSH no browser is opened, least of all one that takes the terminal."""
    assert has_display(environ, platform) is there


def test_login_needs_no_configuration(tmp_path, monkeypatch):
    """Without any configuration file logins go where the service would look for them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["login", "claude", "--import"])
    assert result.exit_code == 1
    assert str(Path(tmp_path) / ".claude/.credentials.json") in result.output
