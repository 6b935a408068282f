"""The programs of other languages that drive SDKs: each is built once into a folder outside of the
repository, again only when its sources change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
#: Seconds for one build, with what it downloads.
_TIMEOUT = 1500
#: Variables of the tests' own environment that the toolchains need.
_KEPT = ("PATH", "HOME", "LANG", "JAVA_HOME", "CARGO_HOME", "RUSTUP_HOME", "GOPATH", "GOPROXY", "GOFLAGS")


@dataclass(frozen=True, slots=True)
class Language:
    """One program.

    :param tools: the programs that it takes.
    :param build: the commands that build it, in a copy of its folder.
    :param run: the command that runs it there.
    :param environ: more variables of both.
    """

    name: str
    tools: tuple[str, ...]
    build: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return cache() / self.name

    @property
    def lacking(self) -> str:
        """The tools that this machine lacks; empty if it has all."""
        return ", ".join(tool for tool in self.tools if shutil.which(tool) is None)

    @property
    def variables(self) -> dict[str, str]:
        """Its environment: nothing of the developer's own settings of SDKs."""
        kept = (
            "PATH",
            "HOME",
            "JAVA_HOME",
            "CARGO_HOME",
            "RUSTUP_HOME",
            "GOPATH",
            "GOPROXY",
            "GOFLAGS",
            "LANG",
        )
        return {name: os.environ[name] for name in kept if name in os.environ} | dict(self.environ)


LANGUAGES = {
    one.name: one
    for one in (
        Language(
            "javascript",
            ("node", "npm"),
            (("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"),),
            ("node", "--no-warnings", "main.mjs"),
        ),
        Language(
            "go", ("go",), (("go", "build", "-o", "sdks", "."),), ("./sdks",), (("GOTOOLCHAIN", "local"),)
        ),
        Language(
            "java",
            ("javac", "mvn"),
            (("mvn", "--quiet", "--batch-mode", "compile", "dependency:copy-dependencies"),),
            ("java", "-cp", "target/classes:target/dependency/*", "Main"),
        ),
        Language("rust", ("cargo",), (("cargo", "build", "--quiet", "--locked"),), ("target/debug/sdks",)),
    )
}


def cache() -> Path:
    """The folder of all of them."""
    named = os.environ.get("AMPPROXY_SDKS_CACHE", "")
    return Path(named) if named else Path.home() / ".cache" / "ampproxy-sdks"


def _sources(language: Language) -> list[Path]:
    return sorted(path for path in (HERE / language.name).rglob("*") if path.is_file())


def build(language: Language) -> str:
    """Build a program, if it is not there as it is now.

    :returns: why it could not be built; empty if it is there.
    """
    source, folder = HERE / language.name, language.folder
    sources = _sources(language)
    named = [(str(one.relative_to(source)), one.read_bytes()) for one in sources]
    digest = hashlib.sha256(repr(named).encode()).hexdigest()
    stamp = folder / "built"
    if stamp.exists() and stamp.read_text() == digest:
        return ""
    stamp.unlink(missing_ok=True)
    for one in sources:
        copy = folder / one.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != one.read_bytes():
            shutil.copyfile(one, copy)
    for command in language.build:
        done = subprocess.run(
            command,
            cwd=folder,
            env=language.variables,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode:
            return f"{' '.join(command)}: {(done.stdout + done.stderr).strip()[-3000:]}"
    stamp.write_text(digest)
    return ""
