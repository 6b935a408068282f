"""``ampproxy init``: a home with keys, servers, logins and another gateway, and the file made of them."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.cli.accounts import ask
from ampproxy.cli.configured import read_config
from ampproxy.cli.doctor import read
from ampproxy.config.initial import COMPATIBLE, VARIABLES
from ampproxy.config.load import load
from ampproxy.desktop import machine
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.doctor.checks import examine
from ampproxy.desktop.doctor.context import gather
from ampproxy.model.clients import hash_of
from ampproxy.tap import build
from tests.ports import free_port
from tests.reactor import in_reactor

ANTHROPIC, OPENROUTER = "canary-anthropic-key-1", "canary-openrouter-key-2"
EIGHT = (Path(__file__).parents[1] / "config/cliproxyapi/v8-panel.yaml").read_text()
SEVEN = """\
port: 8399
api-keys: [canary-client-of-cpa]
claude-api-key:
  - api-key: canary-cpa-claude
"""


#: The newest first, as Ollama does.
LISTED = ("nomic-embed-text:latest", "qwen3:8b", "gemma3")


class Ollama(BaseHTTPRequestHandler):
    """Lists models as Ollama does."""

    def do_GET(self) -> None:
        assert "authorization" not in {name.lower() for name in self.headers}
        body = json.dumps({"data": [{"id": name, "owned_by": "library"} for name in LISTED]})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def ollama() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Ollama)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which there is nothing at all."""
    for name in (*sum(VARIABLES.values(), ()), *COMPATIBLE, "OLLAMA_HOST", "AMPPROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(machine, "PORTS", {})
    monkeypatch.setattr(machine.servers, "__defaults__", ({},))
    return tmp_path


def init(*more: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["init", *more], input=typed)


def file_of(home: Path) -> Path:
    return home / ".config/ampproxy/config.yaml"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner_key(home: Path) -> str:
    return (home / ".local/state/ampproxy/owner.key").read_text().strip()


@pytest.fixture
def furnished(home: Path, ollama: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys in the environment, Ollama, and a login of Claude Code."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", ANTHROPIC)
    monkeypatch.setenv("OPENROUTER_API_KEY", OPENROUTER)
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{ollama}")
    (home / ".claude").mkdir()
    (home / ".claude/.credentials.json").write_text("{}")
    return home


def test_what_is_found(furnished: Path, ollama: int) -> None:
    """The file names it all, is its owner's alone, and holds neither a key nor the client key in plain."""
    done = init("--yes")
    assert done.exit_code == 0, done.output
    text = file_of(furnished).read_text()
    assert mode(file_of(furnished)) == 0o600
    found = yaml.safe_load(text)
    assert found["claude-api-key"] == [{"api-key": "${ANTHROPIC_API_KEY}"}]
    names = {one["name"]: one["base-url"] for one in found["openai-compatibility"]}
    assert names == {"openrouter": "https://openrouter.ai/api/v1", "ollama": f"http://127.0.0.1:{ollama}/v1"}
    assert found["ampcode"]["fallback"] == "never"
    assert [row["from"] for row in found["ampcode"]["model-mappings"]] == ["^gpt-", "^gemini-(?!.*image)"]
    assert found["api-keys"] == [{"name": "owner", "key-hash": f"sha256:{hash_of(owner_key(furnished))}"}]
    assert mode(furnished / ".local/state/ampproxy/owner.key") == 0o600
    assert "canary" not in text + done.output
    assert owner_key(furnished) not in text + done.output
    assert "A login of Claude Code" in done.output
    assert "Next: ampproxy login claude" in done.output


def test_the_owners_commands_have_the_key(furnished: Path) -> None:
    """What asks the service finds it, and only as long as it is the one of the file."""
    init("--yes")
    (client,) = read_config(file_of(furnished)).clients
    assert client.secret is not None
    assert client.secret.reveal() == owner_key(furnished)
    assert "stored as a hash" in CliRunner().invoke(main, ["key", "list"]).output
    (furnished / ".local/state/ampproxy/owner.key").write_text("another\n")
    (client,) = read_config(file_of(furnished)).clients
    assert client.secret is None


@pytest.mark.loopback
@pytest.mark.parametrize("other", ["", SEVEN, EIGHT], ids=["alone", "seven", "eight"])
def test_check_and_doctor_find_it_good(furnished: Path, other: str) -> None:
    """With and without CLIProxyAPI's file, of either layout, which stays whole but for what is added."""
    if other:
        (furnished / ".cli-proxy-api").mkdir()
        (furnished / ".cli-proxy-api/config.yaml").write_text(other)
    assert init("--yes").exit_code == 0
    file = file_of(furnished)
    text = file.read_text()
    assert {line.strip() for line in other.splitlines() if "api-keys: [" not in line} <= {
        line.strip() for line in text.splitlines()
    }
    port = free_port()
    file.write_text(text.replace("port: 8317", f"port: {port}").replace("port: 8399", f"port: {port}"))
    checked = CliRunner().invoke(main, ["check"])
    assert checked.exit_code == 0
    assert ": ready: " in checked.output
    config = load(file, environ={**DUMMY}, home=furnished)
    labels = " ".join(account.label for account in config.accounts)
    assert "openai-compatibility/ollama[0]" in labels
    assert [account.api_key.reveal() for account in config.accounts].count("dummy") >= 1
    service = in_reactor(build, config, reactor, environ={}, home=furnished, observer=lambda event: None)
    in_reactor(service.listen)
    try:
        context = gather(
            Machine(furnished, {}, "linux"), furnished, None,
            read=read, run=lambda program: "", ask=ask, now=time.time(),
        )  # fmt: skip
        problems = [found for found in examine(context) if found.level == "problem"]
    finally:
        in_reactor(service.stopService)
    assert problems == []


#: The variables that the file names.
DUMMY = {"ANTHROPIC_API_KEY": "dummy", "OPENROUTER_API_KEY": "dummy"}


def test_nothing_is_overwritten_unasked(furnished: Path) -> None:
    """With ``--force``, or when the user says so; a copy of the old file stays."""
    file = file_of(furnished)
    file.parent.mkdir(parents=True)
    file.write_text("port: 1\n")
    file.chmod(0o644)
    done = init("--yes")
    assert (done.exit_code, file.read_text()) == (1, "port: 1\n")
    assert "--force replaces it" in done.output
    assert init(typed="n\n").exit_code == 1
    assert file.read_text() == "port: 1\n"
    assert init("--yes", "--force").exit_code == 0
    (copy,) = file.parent.glob("config.yaml.2*")
    assert copy.read_text() == "port: 1\n"
    assert mode(file) == 0o600


def test_dry_run(furnished: Path) -> None:
    """Shows the text, and writes nothing."""
    done = init("--dry-run", "--yes")
    assert done.exit_code == 0
    assert "key-hash: sha256:" in done.output
    assert not file_of(furnished).exists()
    assert not (furnished / ".local").exists()
    assert "claude-api-key" in json.loads(init("--dry-run", "--json").stdout)["text"]


@pytest.mark.parametrize(("answer", "fallback"), [("y", "allow"), ("n", "never"), ("", "never")])
def test_credits_are_asked_about(furnished: Path, answer: str, fallback: str) -> None:
    """Nothing goes to Amp for credits unless the user says so; what is offered may be declined."""
    done = init(typed=f"{answer}\nn\nn\nn\n")
    assert done.exit_code == 0, done.output
    assert yaml.safe_load(file_of(furnished).read_text())["ampcode"]["fallback"] == fallback
    assert "Start the service in the background now?" in done.output


def test_nobody_answers(furnished: Path) -> None:
    """A script that pipes nothing is told of the option that asks nothing."""
    done = init(typed="")
    assert done.exit_code == 1
    assert "with --yes it does not ask" in done.output
    assert not file_of(furnished).exists()


def test_keys_in_the_file(furnished: Path) -> None:
    """With ``--store-keys`` the file holds them, and needs no variable."""
    assert init("--yes", "--store-keys", "--amp", "off").exit_code == 0
    found = yaml.safe_load(file_of(furnished).read_text())
    assert found["claude-api-key"] == [{"api-key": ANTHROPIC}]
    assert "upstream-url" not in found["ampcode"]


def test_a_local_server_alone(home: Path, ollama: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Amp asks for goes to a model that can answer, not to one that makes vectors."""
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{ollama}")
    assert init("--yes").exit_code == 0
    rows = yaml.safe_load(file_of(home).read_text())["ampcode"]["model-mappings"]
    assert {row["to"] for row in rows} == {"qwen3:8b"}


def test_nothing_found(home: Path) -> None:
    """Then it says so, and the file is valid all the same."""
    done = init("--yes")
    assert done.exit_code == 0
    assert "Neither a key, a server nor a login was found" in " ".join(done.output.split())
    assert CliRunner().invoke(main, ["check"]).exit_code == 0


def test_a_gateways_file_that_is_wrong(home: Path) -> None:
    """Its complaints are shown, and nothing is written."""
    wrong = home / "cpa.yaml"
    wrong.write_text("port: abc\n")
    done = init("--yes", "--from", str(wrong))
    assert done.exit_code == 1
    assert f"{wrong}:1: port: expected a port" in "".join(done.output.split("\n"))
    assert not file_of(home).exists()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("0.0.0.0", ("127.0.0.1", 11434)),
        ("http://localhost:99", ("127.0.0.1", 99)),
        ("10.0.0.7:11434", None),
        ("127.0.0.1:port", None),
    ],
)
def test_where_ollama_is(text: str, place: tuple[str, int] | None) -> None:
    """As it takes its own variable; no other machine is asked."""
    assert machine._ollama_host(text) == place


def test_something_else_listens(home: Path) -> None:
    """A port at which no server of models answers is none."""
    assert list(machine.servers({}, {free_port(): "vllm"})) == []
