"""A service as users run it, and ``ampproxy setup`` beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import forked
from tests.cli.test_setup import ACCOUNT
from tests.desktop.clients.test_client_setup import tree
from tests.loopback.process import Service

pytestmark = pytest.mark.loopback


def test_a_new_key_is_in_force(tmp_path):
    """The command that users type makes a key, and the running service asks for it."""
    service = Service(tmp_path, f"# mine\nport: 0\n{ACCOUNT}")
    ampproxy = [sys.executable, "-c", "from ampproxy.cli import main; main()"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*ampproxy, "setup", "--config", str(tmp_path / "config.yaml"), "--yes", *arguments]
        return forked.run(command, env=environ, capture_output=True, text=True, timeout=60)

    # Beside these, the service makes and removes files as it likes.
    watched = (".config", ".local/share", ".local/state/ampproxy/setup", "config.yaml")
    before = tree(tmp_path, *watched)
    try:
        result = run("--url", service.url)
        assert result.returncode == 0, result.stderr
        assert f"The gateway at {service.url} takes the key and lists 2 models." in result.stdout
        secrets = json.loads((tmp_path / ".local/share/amp/secrets.json").read_text())
        assert list(secrets) == [f"apiKey@{service.url}"]
        undone = run("--undo")
        assert undone.returncode == 0, undone.stderr
        assert tree(tmp_path, *watched) == before
    finally:
        assert service.stop() == 0
