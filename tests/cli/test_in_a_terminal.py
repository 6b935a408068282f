"""What a terminal shows: errors that are sentences, and what to do next."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ampproxy.cli import main, restart
from ampproxy.cli.restart import has_terminal
from ampproxy.status import Status
from tests import forked
from tests.loopback.process import twistd

RUN = [sys.executable, "-c", "import sys; sys.argv[0] = 'ampproxy'; from ampproxy.cli import main; main()"]


@pytest.mark.parametrize("port", ["99999", "-1", "x"])
def test_demo_of_no_port(port: str) -> None:
    """A port that there cannot be is a wrong option."""
    done = CliRunner().invoke(main, ["demo", "--port", port])
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "--port" in done.output


@pytest.mark.loopback
def test_demo_of_a_taken_port() -> None:
    """One that was wished for and is taken is an error, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = forked.run(
            [*RUN, "demo", "--once", "--port", str(port)], capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: port {port} cannot be used: Address already in use\n"


@pytest.mark.loopback
def test_end_of_the_demo() -> None:
    """Ctrl-C is answered."""
    process = forked.popen([*RUN, "demo", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while "Ctrl-C ends it" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    finally:
        process.kill()
        process.wait()
    assert rest.splitlines()[-1] == "Stopped."


def test_dialects() -> None:
    """Help names them."""
    shown = CliRunner().invoke(main, ["translate", "--help"]).output
    for option in ("from", "to"):
        names = " ".join(shown.split()).partition(f"--{option} [")[2].partition("]")[0]
        assert set(names.split("|")) == {"anthropic", "chat", "responses", "gemini", "completions"}


def test_no_configuration(tmp_path: Path) -> None:
    """Without a configuration the service says what is missing, and not what options twistd has."""
    environ = {**os.environ, "HOME": str(tmp_path)}
    for text, words in ((None, "There is no config.yaml"), ("port: x\n", "port: expected a port")):
        more = []
        if text is not None:
            (tmp_path / "wrong.yaml").write_text(text)
            more = ["--config", "wrong.yaml"]
        done = forked.run(
            twistd("-n", "--pidfile=", "ampproxy", *more),
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "Usage:" not in done.stdout + done.stderr
        assert done.stderr.startswith("ampproxy: ")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) <= 2


def test_terminals(tmp_path: Path) -> None:
    """Whether a process has one, as Linux tells it."""
    for pid, terminal in ((7, 34816), (8, 0)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a ) name) S 1 {pid} {pid} {terminal} 1 0\n")
    assert has_terminal(7, tmp_path)
    assert not has_terminal(8, tmp_path)
    assert not has_terminal(9, tmp_path)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, version: str) -> None:
    """Versions are named where they differ; in a terminal, that Ctrl-C ends it no more, and what does."""
    before = Status("ready", 1, 0.0, pid=31, version="0.1.0")
    after = Status("ready", 2, 0.0, pid=32, version=version)
    monkeypatch.setattr(restart, "retry", lambda *_: before)
    monkeypatch.setattr(restart, "wait", lambda *_: after)
    monkeypatch.setattr(restart, "_signal", lambda pid: None)
    monkeypatch.setattr(restart, "has_terminal", lambda pid: terminal)
    (tmp_path / "config.yaml").write_text("port: 1\n")
    done = CliRunner().invoke(main, ["restart", "--config", str(tmp_path / "config.yaml")])
    first, second, *rest = done.stdout.splitlines()
    assert first == "Process 31 -> 32" + (", version 0.1.0 -> 0.2.0." if version == "0.2.0" else ".")
    assert second == "Configuration 2 is in force."
    words = "It now runs in the background, where Ctrl-C does not reach it: ampproxy stop"
    assert rest == [words] * terminal
