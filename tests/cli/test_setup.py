"""``ampproxy setup``: what it says and does, with a home directory made for the test."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.cli.setup import command
from ampproxy.config.load import load
from ampproxy.tap import build
from tests.desktop.clients.test_client_setup import tree
from tests.reactor import in_reactor

KEY = "canary-client-key-90fe"
AMP_KEY = "canary-amp-key-12cd"
ACCOUNT = (
    "claude-api-key: [{api-key: canary-account-key-3f, base-url: 'http://127.0.0.1:9', models: [m, n]}]\n"
)

#: What of the environment of the tests would decide where files are.
OUTSIDE = (
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "STATE_DIRECTORY",
    "AMP_URL",
    "AMP_API_KEY",
    "AMP_SETTINGS_FILE",
)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port at which nobody answers, and which nobody else gets meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class Home:
    """A home directory with a configuration."""

    def __init__(self, path: Path, config: str) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.config.write_text(config)
        self.config.chmod(0o600)
        self.settings = path / ".config/amp/settings.json"
        self.secrets = path / ".local/share/amp/secrets.json"

    def run(self, *arguments: str, answer: str | None = None, **environ: str):
        variables: dict[str, str | None] = dict.fromkeys(OUTSIDE)
        return CliRunner().invoke(
            main,
            ["setup", "--config", str(self.config), *arguments],
            input=answer,
            env={**variables, "HOME": str(self.path), **environ},
        )

    def write(self, file: str, text: str) -> Path:
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path, f"api-keys: [{KEY}]\n{ACCOUNT}")


def test_set_up_and_taken_back(home):
    """The CLI gets the address and the key; taking it back leaves nothing."""
    before = tree(home.path)
    result = home.run("--yes", "--no-check")
    assert result.exit_code == 0, result.output
    assert "amp.url: http://127.0.0.1:8317 (is not set)" in result.output
    assert json.loads(home.settings.read_text()) == {"amp.url": "http://127.0.0.1:8317"}
    assert json.loads(home.secrets.read_text()) == {"apiKey@http://127.0.0.1:8317": KEY}
    again = home.run("--yes", "--no-check")
    assert "Nothing has to be changed" in again.output
    undone = home.run("--undo", "--yes")
    assert undone.exit_code == 0, undone.output
    assert tree(home.path) == before
    assert "nothing to take back" in home.run("--undo").output
    assert "canary" not in result.output + again.output + undone.output


def test_asks_first(home):
    """Without a yes nothing is changed; nor with --dry-run."""
    before = tree(home.path)
    refused = home.run(answer="n\n")
    assert (refused.exit_code, "Change these files?" in refused.output) == (1, True)
    assert home.run(answer="").exit_code == 1
    assert home.run("--dry-run").exit_code == 0
    assert tree(home.path) == before
    assert home.run("--no-check", answer="y\n").exit_code == 0
    after = tree(home.path)
    assert "removed" in home.run("--undo", "--dry-run").output
    assert home.run("--undo", answer="n\n").exit_code == 1
    assert tree(home.path) == after


def test_a_key_is_made(home):
    """A configuration without client keys gets one, in place; it is shown nowhere and survives nothing."""
    text = f"# mine\napi-keys: [] # none\n{ACCOUNT}"
    home.config.write_text(text)
    result = home.run("--yes", "--no-check")
    assert "api-keys: adds a client key" in result.output
    (key,) = load(home.config, environ={}, home=home.path).api_keys
    assert json.loads(home.secrets.read_text()) == {"apiKey@http://127.0.0.1:8317": key.reveal()}
    assert key.reveal() not in result.output
    assert home.config.read_text() == text.replace("[]", f'["{key.reveal()}"]')
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert "Nothing has to be changed" in home.run("--yes", "--no-check").output
    assert home.run("--undo", "--yes").exit_code == 0
    assert home.config.read_text() == text


def test_a_key_of_somebody_else_is_not_taken(home):
    """Amp's clients need a key that opens everything and has no end; where all others do not, one is made."""
    entries = f"""api-keys:
  - {{name: ci, key-hash: 'sha256:{"0" * 64}'}}
  - {{name: ben, key: key-of-ben, routes: [models]}}
  - {{name: eva, key: key-of-eva, expires: 2099-01-01}}
"""
    home.config.write_text(entries + ACCOUNT)
    assert home.run("--yes", "--no-check").exit_code == 0
    first = load(home.config, environ={}, home=home.path).clients[0]
    assert (first.name, first.is_restricted) == ("", False)
    assert json.loads(home.secrets.read_text()) == {"apiKey@http://127.0.0.1:8317": first.secret.reveal()}
    assert home.run("--undo", "--yes").exit_code == 0
    assert home.config.read_text() == entries + ACCOUNT


@pytest.mark.parametrize(
    "text",
    [
        "# mine\nconfig-version: 8\naccess: # who may\n  api-keys: [] # none\n",
        "config-version: 8\nserver:\n  port: 8317 # ours\n# end",
        "api-keys: {claude: []}\r\naccess:\r\n  # nobody\r\n",
    ],
)
def test_a_key_is_made_where_the_file_has_them(home, text):
    """In CLIProxyAPI 8's layout the key goes to access.api-keys; undone, the file has every byte it had."""
    home.config.write_bytes(text.encode())
    result = home.run("--yes", "--no-check")
    assert "access.api-keys: adds a client key" in result.output, result.output
    (key,) = load(home.config, environ={}, home=home.path).api_keys
    assert json.loads(home.secrets.read_text()) == {"apiKey@http://127.0.0.1:8317": key.reveal()}
    kept = home.config.read_bytes().decode()
    assert [
        line for line in text.splitlines() if "api-keys: []" not in line and line.strip() not in kept
    ] == []
    assert home.run("--undo", "--yes").exit_code == 0
    assert home.config.read_bytes() == text.encode()


def test_an_open_configuration(home):
    """A key in a file that all can read is told of."""
    home.config.write_text(ACCOUNT)
    home.config.chmod(0o644)
    assert f"chmod 600 {home.config}" in home.run("--yes", "--no-check").output


def test_keeps_what_is_there(home):
    """Amp's own key and everything else stays; what was there is shown without secrets."""
    home.write(
        ".config/amp/settings.json", '{\n\t// mine\n\t"amp.url": "https://u:pw@ampcode.com/?k=1",\n}\n'
    )
    home.write(".local/share/amp/secrets.json", json.dumps({"apiKey@https://ampcode.com/": AMP_KEY}))
    result = home.run("--yes", "--no-check")
    assert "(is https://ampcode.com/)" in result.output
    assert home.settings.read_text() == '{\n\t// mine\n\t"amp.url": "http://127.0.0.1:8317",\n}\n'
    assert json.loads(home.secrets.read_text())["apiKey@https://ampcode.com/"] == AMP_KEY
    assert "canary" not in result.output


def test_broken_settings(home):
    """A settings file that cannot be read is not overwritten, and nothing else is."""
    home.write(".config/amp/settings.json", '{"a": 1,,}')
    before = tree(home.path)
    result = home.run("--yes")
    assert result.exit_code == 1
    assert "settings.json: line 1: expected a string. Nothing was changed." in result.output
    assert tree(home.path) == before


def test_editors(home):
    """Editors with Amp's extension get the address; the key is for the user to paste."""
    (home.path / ".vscode/extensions/sourcegraph.amp-0.0.1772799397-universal").mkdir(parents=True)
    (home.path / ".cursor/extensions/sourcegraph.amp-0.0.1772799397-universal").mkdir(parents=True)
    code = home.write(".config/Code/User/settings.json", '{\r\n    "editor.tabSize": 2 // two\r\n}')
    profile = home.write(".config/Code/User/profiles/a/settings.json", "")
    before = tree(home.path)
    result = home.run("--vscode", "--yes", "--no-check")
    assert result.exit_code == 0, result.output
    url = '"amp.url": "http://127.0.0.1:8317"'
    assert code.read_bytes().decode() == '{\r\n    "editor.tabSize": 2, // two\r\n    ' + url + "\r\n}"
    assert json.loads(profile.read_text()) == {"amp.url": "http://127.0.0.1:8317"}
    assert (home.path / ".config/Cursor/User/settings.json").is_file()
    assert not home.settings.exists()
    assert "VS Code, Cursor: the editor keeps Amp's key in its own encrypted storage" in result.output
    assert result.output.count(KEY) == 1
    assert home.run("--undo", "--yes").exit_code == 0
    assert tree(home.path) == before


def test_no_editor(home):
    """--vscode without any editor says what to install."""
    result = home.run("--vscode")
    assert (result.exit_code, "install it (sourcegraph.amp)" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("config", "arguments", "url"),
    [
        ("host: '::1'\n", (), "http://[::1]:8317"),
        ("host: ''\nport: 9000\n", (), "http://127.0.0.1:9000"),
        ("", ("--url", "https://amp.example.com/"), "https://amp.example.com"),
    ],
)
def test_addresses(home, config, arguments, url):
    """The address follows from the configuration, or is said; a slash at its end is left out."""
    home.config.write_text(config + home.config.read_text())
    assert home.run("--yes", "--no-check", *arguments).exit_code == 0
    assert json.loads(home.settings.read_text()) == {"amp.url": url}
    assert json.loads(home.secrets.read_text()) == {f"apiKey@{url}": KEY}


@pytest.mark.parametrize("url", ["ftp://a", "a.test", "http://a/b", "http://u@a", "http://a:x", "http://a?b"])
def test_bad_addresses(home, url):
    """What is no address of a gateway is a mistake."""
    result = home.run("--url", url)
    assert (result.exit_code, "expected http:// or https://" in result.output) == (2, True)


def test_misuse(home):
    """What does not go together, and what cannot be known."""
    assert home.run("--undo", "--cli").exit_code == 2
    home.config.write_text(f"port: 0\n{home.config.read_text()}")
    assert "give one with --url" in home.run().output
    home.config.write_text("port: x\n")
    assert (home.run().exit_code, home.run("--undo").exit_code) == (1, 0)


def test_documented():
    """The guide has a row for each option."""
    guide = (Path(__file__).parents[2] / "docs/setup.md").read_text(encoding="utf-8")
    for option in command.params:
        assert f"| `{option.opts[0]}" in guide


def test_variables_win(home):
    """Variables that go before the files are told of, without the key."""
    result = home.run(
        "--yes", "--no-check", AMP_URL="https://ampcode.com", AMP_API_KEY=AMP_KEY
    )  # fmt: skip
    assert "AMP_URL is set to https://ampcode.com" in result.output
    assert "AMP_API_KEY is set to another key" in result.output
    assert "canary" not in result.output


def test_undo_without_the_configuration(home):
    """What was changed is found again if the configuration is broken or gone by then."""
    home.run("--yes", "--no-check")
    home.config.write_text("port: [")
    assert home.run("--undo", "--yes").exit_code == 0
    assert not home.settings.exists()


def test_undo_that_fails(home):
    """What cannot be taken back is told, with status 1; the rest is."""
    home.run("--yes", "--no-check")
    home.settings.write_text("{")
    result = home.run("--undo", "--yes")
    assert result.exit_code == 1
    assert f"Error: {home.settings}: line 1" in result.output
    assert not home.secrets.exists()


@pytest.mark.loopback
def test_nobody_answers(home):
    """If the service does not run, the command that starts it is named."""
    with silent_port() as port:
        home.config.write_text(f"port: {port}\n{home.config.read_text()}")
        result = home.run("--yes")
    assert result.exit_code == 1
    assert f"start it: ampproxy serve --config {home.config}" in result.stderr
    assert home.settings.exists()


class Listener:
    """Something else on a port: answers every connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(self.answer)

    def close(self) -> None:
        self.socket.close()


def _http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.loopback
@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", _http("404 Not Found", "no"), _http("200 OK", "hello"), b""]
)
def test_something_else_answers(home, answer):
    """Another program on the port is told from the gateway."""
    listener = Listener(answer)
    try:
        home.config.write_text(f"port: {listener.port}\n{home.config.read_text()}")
        result = home.run("--yes")
    finally:
        listener.close()
    assert result.exit_code == 1
    assert "Something else than ampproxy answers" in result.stderr
    assert "canary" not in result.output


@pytest.mark.loopback
def test_the_gateway_takes_the_key(home):
    """A running gateway is asked with the key; one that does not know the key is told of."""
    config = load(home.config, environ={}, home=home.path)
    service = build(
        config, reactor, listen=("tcp:0:interface=127.0.0.1",), environ={}, home=home.path,
        observer=lambda event: None,
    )  # fmt: skip
    in_reactor(service.listen)
    try:
        url = f"http://127.0.0.1:{service.ports[0].getHost().port}"
        good = home.run("--yes", "--url", url)
        home.config.write_text(f"api-keys: [another-key]\n{ACCOUNT}")
        bad = home.run("--yes", "--url", url)
    finally:
        in_reactor(service.stopService)
    assert good.exit_code == 0, good.output
    assert f"The gateway at {url} takes the key and lists 2 models." in good.output
    assert bad.exit_code == 1
    assert "does not take the key (/v1/models is answered with 401)" in bad.stderr
    assert "another-key" not in bad.output
