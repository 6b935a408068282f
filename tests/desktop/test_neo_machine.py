"""What of this machine would end the way from Amp's cloud, as Linux shows it."""

from __future__ import annotations

from pathlib import Path

from ampproxy.desktop.neo.machine import machine_findings


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(root: Path) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in machine_findings(root)]


def test_nothing(tmp_path: Path) -> None:
    """A machine that shows nothing of itself; a mouse with a battery is none that sleeps."""
    put(tmp_path / "sys/class/power_supply/mouse/type", "Battery\n")
    put(tmp_path / "sys/class/power_supply/mouse/scope", "Device\n")
    put(tmp_path / "sys/class/power_supply/AC/type", "Mains\n")
    assert found(tmp_path) == []


def test_sleeps(tmp_path: Path) -> None:
    """One with a battery, unless it never sleeps."""
    put(tmp_path / "sys/class/power_supply/BAT0/type", "Battery\n")
    ((level, text),) = found(tmp_path)
    assert (level, "falling asleep" in text) == ("note", True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/sleep.target").symlink_to("/dev/null")
    assert found(tmp_path) == []


def process(root: Path, number: int, name: str, arguments: str, terminal: int) -> None:
    put(root / f"proc/{number}/comm", f"{name}\n")
    put(root / f"proc/{number}/cmdline", arguments.replace(" ", "\0") + "\0")
    put(root / f"proc/{number}/stat", f"{number} ({name} (x)) S 1 2 3 {terminal} -1 4194560\n")


def test_tunnels(tmp_path: Path) -> None:
    """A tunnel that a terminal holds; not one of a service, and no other program of that name."""
    process(tmp_path, 10, "cloudflared", "cloudflared tunnel run ampproxy", 34816)
    process(tmp_path, 11, "cloudflared", "cloudflared tunnel run ampproxy", 0)
    process(tmp_path, 12, "cloudflared", "cloudflared access tcp", 34816)
    process(tmp_path, 13, "tailscale", "tailscale funnel 8319", 34817)
    process(tmp_path, 14, "bash", "bash -c funnel", 34817)
    (tmp_path / "proc/15").mkdir()
    assert [text.partition(" runs")[0] for _, text in found(tmp_path)] == [
        "The tunnel cloudflared (process 10)",
        "The tunnel tailscale (process 13)",
    ]
