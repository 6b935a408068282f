"""What of this machine would end the way from Amp's cloud: that it sleeps, or a tunnel that a terminal holds.
Looked at where Linux shows it; elsewhere nothing is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ampproxy.desktop.doctor.finding import Finding, note, warning

#: Programs that lead an address here, and a word that their command line must have to be one that does.
_TUNNELS = {"cloudflared": "tunnel", "tailscale": "funnel", "ngrok": ""}
#: Systemd's units by which a machine falls asleep; one that is masked never does.
_SLEEP = "etc/systemd/system/sleep.target"


def machine_findings(root: Path = Path("/")) -> Iterator[Finding]:
    """What is found.

    :param root: where ``proc``, ``sys`` and ``etc`` are.
    """
    if _has_battery(root) and not _never_sleeps(root):
        yield note(
            "This machine has a battery, and nothing keeps it from falling asleep: while it sleeps, every"
            " model that its connections take is an error in Amp.",
            "sudo systemctl mask sleep.target, or amp config model-providers deactivate before it sleeps",
        )
    for name, number in _in_terminals(root):
        yield warning(
            f"The tunnel {name} (process {number}) runs in a terminal, and ends with it.",
            "run it as a service: cloudflared service install, tailscale funnel --bg, or a unit of systemd",
        )


def _has_battery(root: Path) -> bool:
    for kind in sorted((root / "sys/class/power_supply").glob("*/type")):
        # A mouse has one, too, which says that it is a device's.
        if _text(kind) == "Battery" and _text(kind.parent / "scope") != "Device":
            return True
    return False


def _never_sleeps(root: Path) -> bool:
    try:
        return os.readlink(root / _SLEEP) == "/dev/null"
    except OSError:
        return False


def _in_terminals(root: Path) -> Iterator[tuple[str, int]]:
    """Tunnels that have a terminal, and the numbers of their processes."""
    for folder in sorted((root / "proc").glob("[0-9]*")):
        name = _text(folder / "comm")
        word = _TUNNELS.get(name)
        if word is None or word not in _text(folder / "cmdline"):
            continue
        # proc_pid_stat(5): behind the name in brackets state, ppid, pgrp, session, tty_nr.
        fields = _text(folder / "stat").rpartition(")")[2].split()
        if len(fields) > 4 and fields[4] != "0":
            yield name, int(folder.name)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return ""
