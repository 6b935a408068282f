"""A ``config.yaml`` in the working folder may be anybody's: no verb and no service reads it unless named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked

#: It would be an error in whichever verb read it.
HOSTILE = "host: canary.of.the.folder\n"
VERBS = (
    ["check"],
    ["explain", "gpt-5"],
    ["models"],
    ["accounts"],
    ["credits"],
    ["usage"],
    ["reload"],
    ["restart"],
    ["setup", "--dry-run"],
    ["setup", "--undo", "--dry-run"],
    ["doctor"],
    ["logout", "claude"],
)


def ended(folder: Path, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return forked.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, timeout=60
    )


def verb(folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ended(folder, home, "-c", "from ampproxy.cli import main; main()", *arguments)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.yaml").write_text(HOSTILE)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory without a configuration."""
    if Path("/etc/ampproxy/config.yaml").exists():
        pytest.skip("the machine has a configuration of its own")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
def test_no_verb_reads_it(repository: Path, home: Path, arguments: list[str]) -> None:
    """And where there is no other, the message tells how to name it."""
    done = verb(repository, home, *arguments)
    said = done.stdout + done.stderr
    assert "canary" not in said
    assert f"{repository}/config.yaml" not in said
    if arguments[:2] != ["setup", "--undo"]:
        asked = "ampproxy check config.yaml" if arguments[0] == "check" else "--config config.yaml"
        assert asked in " ".join(said.split()), said


def test_own_file_counts(repository: Path, home: Path) -> None:
    """Beside the user's own, the folder's decides nothing."""
    own = home / ".config" / "ampproxy" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("port: 4711\n")
    assert verb(repository, home, "check").stdout.endswith(":4711\n")


def test_named(repository: Path, home: Path) -> None:
    """Named, it is read."""
    assert "canary.of.the.folder" in verb(repository, home, "models", "--config", "config.yaml").stderr


def test_service(repository: Path, home: Path) -> None:
    """The service does not start by it, and says why."""
    run = "from twisted.scripts.twistd import run; run()"
    done = ended(repository, home, "-c", run, "--nodaemon", "--pidfile=", "ampproxy")
    said = " ".join((done.stdout + done.stderr).split())
    assert ("canary" in said, "--config config.yaml" in said) == (False, True)
