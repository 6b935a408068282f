"""``python -m benchmarks.workers [N ...]``: one process against several (``workers: N``), by the CPU they
use.

Clients and vendor take CPU, too, so on a machine with as many cores as workers the wall clock says little.
What several workers can do on so many cores of their own follows from what a request costs all processes
together: ``N * cost of one process / cost of all of N``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import Ask, Clients, ask_once
from benchmarks.meter import cpu_ns, tree
from benchmarks.payloads import request_body

CONNECTIONS = 32
SECONDS = 4.0
ROUNDS = 2
#: Name -> behaviour of the vendor, and the events of one answer.
LOADS = {"JSON": ("json", 1), "bulk": ("bulk", 200)}


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended in the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def gateway(folder: Path, vendor: int, workers: int) -> Iterator[tuple[int, int]]:
    """A gateway; gives its process and its port."""
    folder.mkdir()
    accounts = "\n".join(
        f"  - {{api-key: x, base-url: 'http://127.0.0.1:{vendor}/{behaviour}', models: [{behaviour}]}}"
        for behaviour, _ in LOADS.values()
    )
    config = folder / "config.yaml"
    config.write_text(
        f"port: 0\nworkers: {workers}\napi-keys: [k]\nstate-dir: {folder}\nmetrics: {{enable: false}}\n"
        f"logging: {{level: info}}\nclaude-api-key:\n{accounts}\n"
    )
    log = folder / "log"
    command = [sys.executable, "-m", "ampproxy", "serve", "--config", str(config), "--log-file", str(log)]
    with running(command) as process:
        until = time.monotonic() + 60
        while "Serving on" not in (text := log.read_text() if log.exists() else ""):
            assert time.monotonic() < until, text
            time.sleep(0.05)
        yield process.pid, int(text.partition("Listening on 127.0.0.1:")[2].split()[0])


async def measured(pid: int, port: int, behaviour: str) -> tuple[float, float]:
    """Microseconds of CPU for a request, of all processes; and requests a second, by the wall clock."""
    body = request_body("anthropic", behaviour, stream=behaviour != "json", size=2048)
    ask = Ask("POST", "/v1/messages", (("X-Api-Key", "k"), ("Content-Type", "application/json")), body)
    await ask_once(port, ask)
    async with Clients(port, CONNECTIONS) as clients:
        await clients.drive(ask, 1.0)
        before = cpu_ns(pid)
        tally = await clients.drive(ask, SECONDS)
        used = cpu_ns(pid) - before
    return used / 1e3 / len(tally.latencies), len(tally.latencies) / tally.wall


def main() -> None:
    """Measure, the counts of workers in turns, and print."""
    counts = [1, *(int(word) for word in sys.argv[1:] or ["2"])]
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running([sys.executable, "-m", "benchmarks.vendor"]) as vendor,
    ):
        assert vendor.stdout is not None
        port = int(vendor.stdout.readline())
        for turn in range(ROUNDS):
            for count in counts:
                with gateway(Path(folder) / f"{turn}-{count}", port, count) as (pid, own):
                    for name, (behaviour, _) in LOADS.items():
                        found.setdefault((name, count), []).append(asyncio.run(measured(pid, own, behaviour)))
                    if turn == 0:
                        print(f"workers: {count}: {len(tree(pid))} processes")
    print(f"load average {os.getloadavg()[0]:.1f}")
    for name in LOADS:
        one = min(used for used, _ in found[name, 1])
        for count in counts:
            used = min(each for each, _ in found[name, count])
            rate = max(each for _, each in found[name, count])
            ratio = count * one / used
            cost = f"{used:7.1f} us CPU, {rate:7.0f}/s here"
            print(f"{name:5} workers: {count}: {cost}; on {count} cores {ratio:.2f}x")


if __name__ == "__main__":
    main()
