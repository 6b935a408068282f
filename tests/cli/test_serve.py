"""``ampproxy serve``, ``status`` and ``stop``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from ampproxy.cli import main, status, stop
from ampproxy.cli.configured import as_running
from ampproxy.cli.service_client import NoKey, NotReachable, ServiceClient
from ampproxy.config.load import load
from ampproxy.config.run_file import RunFile, RunNote, read_note, run_file
from ampproxy.config.schema import Config
from ampproxy.credentials.report import AccountReport, CooldownReport
from ampproxy.status import ReloadReport, RestartReport, SharedReport, Status
from ampproxy.tap import Overrides

KEY = "canary-client-key-51ac"


def note() -> RunNote:
    """What a service writes of itself, in this process."""
    return RunNote(os.getpid(), 1.0, "/etc/ampproxy/config.yaml", ("127.0.0.1:1",), "/var/log/it")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of a home of its own."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "STATE_DIRECTORY", "AMPPROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "amp.yaml"
    path.write_text(
        f"port: 1\nmetrics: {{enable: false}}\napi-keys: [{KEY}]\nstate-dir: state\n"
        "claude-api-key: [{api-key: canary-vendor-key, base-url: 'http://127.0.0.1:9', models: [m]}]\n"
    )
    return path


def run(verb: str, file: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [verb, "--config", str(file), *more])
    assert "canary" not in done.output
    return done.exit_code, done.output


def serve(file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """In a working folder of its own, which stays empty."""
    folder = file.parent / "cwd"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "ampproxy", "serve", f"--config={file}", *more],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert list(folder.iterdir()) == []
    return done


@pytest.mark.loopback
def test_in_the_background(file: Path) -> None:
    """It returns when it serves; the other verbs find it, wherever it listens; it leaves nothing behind."""
    done = serve(file, "--background", "--port=0")
    try:
        assert done.returncode == 0, done.stderr
        code, text = run("status", file, "--json")
        seen = json.loads(text)
        assert (code, seen["running"], seen["status"]["status"]) == (0, True, "ready")
        assert seen["accounts"] == {"untried": 1}
        address = seen["status"]["listening"][0]
        assert f"serves on {address} as process {seen['status']['pid']}" in done.stdout
        assert seen["status"]["started"] > 0
        assert "untried" in run("accounts", file)[1]
        code, text = run("serve", file, "--background")
        assert (code, "it runs already, as process" in text) == (1, True)
        log = Path(seen["log"]).read_text()
        assert f"Serving on http://{address}, configured by {file}" in log
        assert "starting on" not in log
    finally:
        code, text = run("stop", file)
    assert code == 0, text
    assert text == f"Stopped (process {seen['status']['pid']}).\n"
    assert list((file.parent / "state").glob("service-*")) == []
    assert run("status", file)[0] == run("stop", file)[0] == run("reload", file)[0] == 3


@pytest.mark.loopback
def test_a_second_one_by_the_same_file(file: Path) -> None:
    """The commands go on to mean the first, also when the second has ended."""
    first = serve(file, "--background", "--port=0")
    assert first.returncode == 0, first.stderr
    try:
        pid = json.loads(run("status", file, "--json")[1])["status"]["pid"]
        command = [sys.executable, "-m", "ampproxy", "serve", f"--config={file}", "--port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=file.parent) as second:
            assert second.stdout is not None
            told = []
            for line in second.stdout:
                told.append(line)
                if "Serving on" in line:
                    second.terminate()
        assert second.returncode == 0
        assert [f"Process {pid} uses the same file" in line for line in told].count(True) == 1
        found = json.loads(run("status", file, "--json")[1])
        assert (found["status"]["pid"], bool(found["log"])) == (pid, True)
    finally:
        assert run("stop", file)[0] == 0


@pytest.mark.loopback
@pytest.mark.parametrize("more", [(), ("--background",)])
def test_a_taken_port(file: Path, more: tuple[str, ...]) -> None:
    """One sentence, no traceback, and status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve(file, f"--port={port}", *more)
    assert done.returncode == 1
    assert f"Couldn't listen on 127.0.0.1:{port}" in done.stderr
    assert "ampproxy serve --port PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4


#: Serves, and gets two signals in one turn of the reactor as soon as it does.
TWICE = """
import os, signal
from twisted.internet import reactor
from ampproxy.cli import foreground, main
def announced(*rest):
    announce(*rest)
    reactor.callLater(0, lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(2)])
announce, foreground._announce = foreground._announce, announced
main()
"""


@pytest.mark.loopback
def test_two_signals_at_once(file: Path) -> None:
    """The second one is no error, though the reactor has not begun to stop because of the first."""
    done = subprocess.run(
        [sys.executable, "-c", TWICE, "serve", f"--config={file}", "--port=0"],
        capture_output=True, text=True, timeout=120, check=False, cwd=file.parent, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Serving on" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 0


def test_options_that_exclude_each_other(file: Path) -> None:
    """An endpoint string names the port already."""
    code, text = run("serve", file, "--listen=tcp:1", "--port=2")
    assert code == 2
    assert "--listen takes the place of --host and --port" in text


def test_overrides(file: Path) -> None:
    """What the command line sets holds at each reading, and nothing else changes."""
    config = load(file, environ={}, home=Path("/home/a"))
    assert Overrides().applied(config) is config
    changed = Overrides("::1", 5, verbose=True).applied(config)
    assert (changed.host, changed.port, changed.logging.level) == ("::1", 5, "debug")
    assert replace(changed, host=config.host, port=config.port, logging=config.logging) == config


def test_run_file(tmp_path: Path) -> None:
    """It counts as long as its process holds it; another process's at a restart stays."""
    path = run_file(tmp_path / "state", tmp_path / "config.yaml")
    first = RunFile(path, note())
    assert read_note(path) == note()
    assert path.stat().st_mode & 0o777 == 0o600
    second = RunFile(path, RunNote(7, 2.0, "b", ()))
    first.remove()
    found = read_note(path)
    assert found is not None
    assert found.pid == 7
    second.remove()
    assert read_note(path) is None
    assert run_file(tmp_path, tmp_path / "a") != run_file(tmp_path, tmp_path / "b")


def test_the_address_of_the_one_that_runs(file: Path) -> None:
    """What points others at the service takes its own word for where that is."""
    config = load(file, environ={}, home=file.parent)
    assert as_running(config) is config
    for listening, expected in (
        ("127.0.0.1:99", ("127.0.0.1", 99)),
        ("[::1]:98", ("::1", 98)),
        ("/a/b", None),
    ):
        left = RunFile(run_file(config.state_dir, file), RunNote(7, 1.0, "", (listening,)))
        changed = as_running(config)
        assert (changed.host, changed.port) == (expected or (config.host, config.port))
        left.remove()


def test_a_run_file_of_a_crash(tmp_path: Path) -> None:
    """One that nobody holds is of no process, whoever has its number by now; nor is one that is broken."""
    path = tmp_path / "service-1.json"
    path.write_text('{"pid":1,"started":1.0,"config":"a","listening":[]}')
    assert read_note(path) is None
    left = RunFile(path, note())
    path.write_text("{")
    assert read_note(path) is None
    left.remove()


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (Status("ready", 1, 0.0), ""),
        (Status("idle", 1, 0.0), "nothing can be served"),
        (Status("ready", 1, 0.0, reload=ReloadReport(False, 1.0, 1, ("a.yaml:3: bad",))), "a.yaml:3: bad"),
        (Status("ready", 1, 0.0, restart=RestartReport(1.0, "no room")), "The last restart failed: no room"),
        (Status("ready", 1, 0.0, shared=SharedReport("redis://h:6379/0", True)), ""),
        (Status("ready", 1, 0.0, shared=SharedReport("redis://h/0", False, 1.0, "refused")), "0: refused"),
        (Status("ready", 1, 0.0, ledger="the disk is full"), "cannot be written: the disk is full"),
    ],
)  # fmt: skip
def test_attention(about: Status, words: str) -> None:
    """What the service cannot mend by itself is told."""
    found = list(status.needs_attention(about, [AccountReport("a", "claude", "x", 0, (), "ready")]))
    assert [words in one for one in found] == [True] * bool(words)


def test_what_is_shared_is_shown() -> None:
    """By what, and for how long it has been away."""
    for shared, words in (
        (SharedReport("redis://h:6379/0", True), "redis://h:6379/0"),
        (SharedReport("redis://h:6379/0", False, 100.0, "refused"), "redis://h:6379/0; away for 60 s"),
    ):
        about = Status("ready", 1, 0.0, shared=shared)
        found = [line for line in status.lines(status.Seen(True, status=about), 160.0) if "shared by" in line]
        assert [line.split(None, 2)[2] for line in found] == [words]


def test_accounts_that_need_attention() -> None:
    """A refused key always; cooldowns, when there is no other account."""

    def told(*states: str) -> list[str]:
        reports = [AccountReport(f"a{at}", "claude", "x", 0, (), state) for at, state in enumerate(states)]
        return list(status.needs_attention(Status("ready", 1, 0.0), reports))

    assert told("ready", "key refused") == ["a1: key refused"]
    assert told("ready", "resting") == []
    for model, count in (("m", 0), (None, 1)):
        cooldown = CooldownReport(model, None, "is rate limited", 1, 1.0, 60.0, False)
        one = AccountReport("a", "claude", "x", 0, (), "resting", (cooldown,))
        assert len(list(status.needs_attention(Status("ready", 1, 0.0), [one]))) == count
    assert told("resting", "resting") == [
        "Every account is cooling down: ampproxy accounts shows until when."
    ]


def answering(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(self: ServiceClient) -> Status:
        raise error

    monkeypatch.setattr(ServiceClient, "mine", mine)


def test_a_service_that_tells_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key that is to be had, its own note says which process it is."""
    config: Config = load(file, environ={}, home=file.parent)
    answering(NoKey("that takes a client key"), monkeypatch)
    assert run("status", file) == (1, "service  running; that takes a client key\n")
    left = RunFile(run_file(config.state_dir, file), note())
    assert run("status", file)[1].splitlines()[1] == "log      /var/log/it"
    assert stop.find(config, "") == (os.getpid(), 0)
    answering(NotReachable("no answer"), monkeypatch)
    assert "does not answer" in run("status", file)[1]
    left.remove()
    assert json.loads(run("status", file, "--json")[1])["running"] is False
