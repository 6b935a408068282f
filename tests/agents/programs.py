"""The coding agents that the tests drive: pinned packages of npm, installed once into a folder outside of the
repository. ``python -m tests.agents.programs`` installs what is missing; what cannot be had is reported, and
its tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Seconds for one package; the largest has 400 MB.
_TIMEOUT = 600


@dataclass(frozen=True, slots=True)
class Program:
    """A package of npm, and the program in it.

    :param script: it is a script, and runs on the Node of :data:`NODE`.
    """

    package: str
    version: str
    program: str
    script: bool = False

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return cache() / f"{self.package.strip('@').replace('/', '-')}-{self.version}"

    @property
    def path(self) -> Path:
        """The program, whether it is there or not."""
        return self.folder / "node_modules" / ".bin" / self.program

    @property
    def command(self) -> tuple[str, ...]:
        """The words that start it."""
        return (str(NODE.path), str(self.path)) if self.script else (str(self.path),)

    @property
    def missing(self) -> str:
        """Why it cannot be run; empty if it can."""
        lacking = [one for one in (self, *((NODE,) if self.script else ())) if not one.path.exists()]
        return ", ".join(f"{one.package}@{one.version} is not in {one.folder}" for one in lacking)


#: What scripts run on: some want a newer one than Debian has.
NODE = Program("node", "22.23.3", "node")
PROGRAMS = {
    "claude-code": Program("@anthropic-ai/claude-code", "2.1.332", "claude"),
    "codex": Program("@openai/codex", "0.171.0", "codex", script=True),
    "gemini-cli": Program("@google/gemini-cli", "0.61.0", "gemini", script=True),
    "opencode": Program("opencode-ai", "1.18.33", "opencode"),
    "qwen-code": Program("@qwen-code/qwen-code", "0.24.4", "qwen", script=True),
    "copilot": Program("@github/copilot", "1.0.102", "copilot", script=True),
}


def cache() -> Path:
    """The folder of all of them."""
    named = os.environ.get("AMPPROXY_AGENTS_CACHE", "")
    return Path(named) if named else Path.home() / ".cache" / "ampproxy-agents"


def install(program: Program) -> str:
    """Install one, if it is not there.

    :returns: why it could not be; empty if it is there.
    """
    if program.path.exists():
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm"
    program.folder.mkdir(parents=True, exist_ok=True)
    (program.folder / "package.json").write_text("{}")
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            [*command, f"{program.package}@{program.version}"],
            cwd=program.folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm took longer than {_TIMEOUT} s"
    return "" if program.path.exists() else done.stderr.strip()[-300:] or "npm installed something else"


def main() -> int:
    """Install all; those that cannot be had are named on stderr."""
    failed = {one.package: why for one in (NODE, *PROGRAMS.values()) if (why := install(one))}
    for package, why in failed.items():
        print(f"{package} could not be installed: its tests are skipped ({why})", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
