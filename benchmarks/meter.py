"""What a process and its children use, by the kernel's count."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_TICK = 1e9 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in _tasks(parent):
            try:
                found += map(int, (task / "children").read_text().split())
            except OSError:
                continue
    return found


def cpu_ns(pid: int) -> int:
    """Nanoseconds of CPU, user and system, that a process tree has used so far.

    A thread that has ended is no longer counted; none of the contenders has such.
    """
    return sum(_process_ns(each) for each in tree(pid))


def rss_bytes(pid: int) -> int:
    """Resident memory of a process tree; what processes share counts for each."""
    total = 0
    for each in tree(pid):
        try:
            status = (_PROC / str(each) / "status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))
    return total


def _tasks(pid: int) -> list[Path]:
    try:
        return list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _process_ns(pid: int) -> int:
    counts = [_thread_ns(task) for task in _tasks(pid)]
    if None not in counts:
        return sum(count or 0 for count in counts)
    # A kernel without schedstat counts in ticks.
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int((int(fields[11]) + int(fields[12])) * _TICK)


def _thread_ns(task: Path) -> int | None:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except FileNotFoundError:
        return None if task.exists() else 0
    except OSError:
        return 0
