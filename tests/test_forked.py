"""A program that is forked is as one that an interpreter of its own runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import forked

SHOW = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "command": sys.orig_argv, "folder": os.getcwd(), "environ": dict(os.environ),
    "main": __name__,
    "reactor": "twisted.internet.reactor" in sys.modules, "path": sys.path[0],
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "input": sys.stdin.read(),
    "umask": os.umask(0), "group": os.getpgid(0), "session": os.getsid(0),
}))
print("and errors", file=sys.stderr)
sys.exit(7)
"""


def command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def shown(run: Any, folder: Path) -> Any:
    """What a program sees of itself."""
    done = run(
        command(SHOW, "one", "--two"),
        cwd=folder, env={"A": "b"}, input="given", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "and errors\n")
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def _possible() -> None:
    if not forked.POSSIBLE:
        pytest.skip("nothing is forked here")


def test_as_by_an_interpreter_of_its_own(tmp_path: Path) -> None:
    """The same arguments, environment, folder, descriptors and end."""
    ours, real = shown(forked.run, tmp_path), shown(subprocess.run, tmp_path)
    # The interpreter sets it where the environment has no locale.
    real["environ"].pop("LC_CTYPE", None)
    assert ours == real


def test_its_end() -> None:
    """By a signal, by an error with its traceback, by leaving; a command that is checked raises."""
    process = forked.popen(command("import time; time.sleep(60)"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    assert process.poll() is None
    process.terminate()
    assert process.wait(60) == process.poll() == -signal.SIGTERM
    process.kill()
    failed = forked.run(command("raise RuntimeError('why')"), capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.endswith("RuntimeError: why\n")
    with pytest.raises(subprocess.CalledProcessError):
        forked.run(command("raise SystemExit(3)"), check=True)
    assert forked.run(command("import atexit; atexit.register(print, 'end')"), capture_output=True).stdout


def test_pipes() -> None:
    """Both ways, and the errors among the output where that is asked for."""
    code = "import sys; print(sys.stdin.readline(), flush=True); print('wrong', file=sys.stderr)"
    process = forked.popen(
        command(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process:
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.read() == b"hello\n\nwrong\n"


def test_several_at_once() -> None:
    """Each ends for itself, and the end of one is not the other's."""
    code = command("import sys; sys.stdin.read()")
    first, second = (forked.popen(code, stdin=subprocess.PIPE) for _ in range(2))
    assert {first.poll(), second.poll()} == {None}
    with second:
        pass
    assert second.returncode == 0
    assert first.poll() is None
    first.kill()
    assert first.wait(60) == -signal.SIGKILL


def test_other_programs_are_run_as_ever() -> None:
    """What is no code for our interpreter."""
    assert forked.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip().isdigit()
