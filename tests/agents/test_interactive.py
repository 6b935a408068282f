"""Claude Code as a person uses it, in a terminal, through the gateway to each vendor; with
``AMPPROXY_AGENTS=1``.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.agents.drivers import ClaudeCode, Errand
from tests.agents.test_agents import AWKWARD, NOTES, WHOLE, runnable, steps
from tests.agents.world import CLIENT, STARTERS, Play, World
from tests.interop.backends import proofs

pytestmark = [pytest.mark.loopback, pytest.mark.skipif(not WHOLE, reason="AMPPROXY_AGENTS=1 runs these")]

MODEL = "claude-opus-5-5"
END = "All done: Grüße."
#: Escape sequences of a terminal, and what stands for blanks between words.
_CONTROL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])|\s+")
#: Seconds for all three answers.
_TIMEOUT = 150


@pytest.fixture(scope="module", params=list(STARTERS))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp(request.param), request.param, [MODEL])
    yield made
    made.stop()


class Terminal:
    """A program in a terminal of its own.

    :ivar shown: all that it has written, without control sequences and blanks.
    """

    def __init__(self, command: list[str], environ: dict[str, str], folder: Path) -> None:
        self._outer, inner = pty.openpty()
        ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.process = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
        )
        os.close(inner)
        self._raw = b""

    @property
    def shown(self) -> str:
        return _CONTROL.sub("", self._raw.decode(errors="replace"))

    def wait_for(self, text: str, timeout: float) -> bool:
        """Read until the text has been written; ``False``: it was not, in time or before the end."""
        wanted, deadline = _CONTROL.sub("", text), time.monotonic() + timeout
        while wanted not in self.shown:
            ready, _, _ = select.select([self._outer], [], [], 1)
            if ready and not self._read():
                return wanted in self.shown
            if time.monotonic() > deadline:
                return False
        return True

    def _read(self) -> bool:
        try:
            data = os.read(self._outer, 65_536)
        except OSError:
            return False
        self._raw += data
        return bool(data)

    def close(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self._outer)


class Typed(ClaudeCode):
    """``claude`` with a first prompt, in a folder that its user has trusted."""

    def prepare(self, errand: Errand) -> dict[str, str]:
        trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        kept = {"hasCompletedOnboarding": True, "theme": "dark", "projects": {str(errand.work): trusted}}
        (errand.home / ".claude.json").write_text(json.dumps(kept))
        return super().prepare(errand)

    def arguments(self, errand: Errand) -> list[str]:
        _, prompt, *rest = super().arguments(errand)
        return [prompt, *rest]


def test_in_a_terminal(world: World, tmp_path: Path) -> None:
    """Thinking, two tools at once and one of an MCP server: each run once, and the last words are shown."""
    driver = Typed()
    runnable(driver.name)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    errand = Errand(home, work, world.service.url, CLIENT, MODEL, "Please do the test.")
    play = Play(driver, steps(work))
    environ = {
        "PATH": f"{driver.program.path.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **driver.prepare(errand),
    }
    command = world.command(play, *driver.program.command, *driver.arguments(errand))
    terminal = Terminal(command, environ, work)
    try:
        ended = terminal.wait_for(END, _TIMEOUT)
        why = f"{terminal.shown[-3000:]}\n{world.service.log_text[-3000:]}\n{play.faults}"
    finally:
        terminal.close()
    assert ended, why
    assert not play.faults, why
    assert (work / "ran.txt").read_text() == "ran\n", why
    assert json.loads(errand.record.read_text()) == AWKWARD, why
    assert not world.refused, why
    asked = [json.dumps(one.json, ensure_ascii=False) for one in world.stand_in.requests]
    assert [text for text in asked if NOTES in text and "shell-out" in text], why
    assert [text for text in asked if "echo: " in text], why
    if world.vendor != "openai-chat":
        assert [one for one in world.stand_in.requests if one.json and proofs(world.vendor, one.json)], why
