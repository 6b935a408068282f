"""``ampproxy demo`` serves an unmodified Claude Code, Codex and Gemini CLI; with ``AMPPROXY_AGENTS=1``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampproxy.demo.cases import CLIENT_KEY
from tests.agents.drivers import Errand
from tests.agents.test_agents import WHOLE, runnable
from tests.interop.island import Bridge

pytestmark = [pytest.mark.loopback, pytest.mark.skipif(not WHOLE, reason="AMPPROXY_AGENTS=1 runs these")]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The demonstration's."""
    code = "from ampproxy.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = next(filter(None, (re.search(r"^ *port: (\d+)", line) for line in process.stdout)))
            for line in process.stdout:
                if "Ctrl-C" in line:
                    break
            yield int(found[1])
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("claude-code", "claude-opus-5-5"),
        ("codex", "gpt-5.5"),
        ("codex", "gpt-5.6-sol"),
        ("gemini-cli", "gemini-3.1-pro-preview"),
        ("gemini-cli", ""),
    ],
)
def test_served(port: int, tmp_path: Path, name: str, model: str) -> None:
    """The mock vendor's words are what the user sees."""
    driver = runnable(name)
    home = tmp_path / "home"
    home.mkdir()
    errand = Errand(home, home, f"http://127.0.0.1:{port}", CLIENT_KEY, model, "Good morning", mcp=False)
    variables = driver.prepare(errand)
    environ = {
        "PATH": f"{driver.program.path.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "dumb",
    }
    with tempfile.TemporaryDirectory() as sockets:
        bridge = Bridge(Path(sockets), [port])
        done = subprocess.run(
            bridge.command(*driver.program.command, *driver.arguments(errand)),
            env={**environ, **variables},
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        bridge.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers: " in driver.answer(done.stdout), done.stdout + done.stderr
