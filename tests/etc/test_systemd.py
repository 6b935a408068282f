"""The units, as systemd itself reads them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ampproxy.config.schema import Timeouts
from tests.etc import ETC

UNITS = ("ampproxy.service", "ampproxy.socket", "user/ampproxy.service")
#: systemd's own measure, from 0 (nothing can be done) to 10 (anything); what has no hardening has 9.6.
EXPOSURE = {"ampproxy.service": 1.5, "user/ampproxy.service": 6.4}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """A unit's sections: setting -> its values, in order."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in (ETC / "systemd" / name).read_text().splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            current.setdefault(key, []).append(value)
    return sections


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the commands of this environment: systemd looks whether they are there."""
    for name in UNITS:
        text = (ETC / "systemd" / name).read_text()
        here = str(Path(sys.executable).parent)
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text.replace("/opt/ampproxy/bin", here).replace("%h/.local/bin", here))
    return tmp_path


@needs_systemd
def test_verify(units: Path) -> None:
    """No unknown setting, no wrong value, no command that is not there: not one word of complaint."""
    for more, names in (((), UNITS[:2]), (("--user",), UNITS[2:])):
        done = analyze(units, *more, "verify", *(str(units / name) for name in names))
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "ampproxy" in line]
        assert (done.returncode, ours) == (0, [])


@needs_systemd
@pytest.mark.parametrize("name", EXPOSURE)
def test_exposure(units: Path, name: str) -> None:
    """Little is left that the service could do to the machine."""
    options = analyze(units, "--help").stdout
    if "--offline" not in options:
        pytest.skip("this systemd-analyze cannot look at a file")
    done = analyze(units, "security", "--offline=yes", str(units / name))
    found = re.search(r"Overall exposure level for ampproxy.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE[name]


@pytest.mark.parametrize("name", EXPOSURE)
def test_no_core(name: str) -> None:
    """A crash leaves no keys and conversations on the disk."""
    assert unit(name)["Service"]["LimitCORE"] == ["0"]


@pytest.mark.parametrize("name", [UNITS[0], UNITS[2]])
def test_time_to_end(name: str) -> None:
    """systemd waits longer than running exchanges may take by default; for more the service asks itself."""
    service = unit(name)["Service"]
    assert float(service["TimeoutStopSec"][0]) > Timeouts().grace
    assert service["Type"] == ["notify"]
    assert float(service["WatchdogSec"][0]) > 0


@pytest.mark.parametrize("name", [UNITS[0], UNITS[2]])
def test_tls_needs_callbacks(name: str) -> None:
    """cffi makes callbacks in memory that is written and executed; without it no TLS connection goes out."""
    assert "MemoryDenyWriteExecute" not in unit(name)["Service"]


def test_credentials() -> None:
    """The file that the sample of a key names is one that the unit hands over."""
    text = (ETC / "systemd" / "ampproxy.service").read_text()
    prefix, folder = unit("ampproxy.service")["Service"]["LoadCredential"][0].split(":")
    assert f"{folder}/anthropic is" in text
    assert f"file:${{CREDENTIALS_DIRECTORY}}/{prefix}_anthropic" in text


def test_socket() -> None:
    """The port is the default one, on this machine only, with room for a burst of connections."""
    sockets = unit("ampproxy.socket")["Socket"]
    assert sockets["ListenStream"] == ["127.0.0.1:8317"]
    assert sockets["Backlog"] == ["1024"]


def test_units_are_plain() -> None:
    """No key stands twice in a section by mistake, but for those that are lists."""
    lists = {"Environment", "SystemCallFilter", "ListenStream"}
    for name in UNITS:
        for settings in unit(name).values():
            assert {key for key, values in settings.items() if len(values) > 1} <= lists, name
