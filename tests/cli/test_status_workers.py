"""``ampproxy status`` of a service of several workers."""

from __future__ import annotations

from ampproxy.cli.status import Seen, lines, needs_attention
from ampproxy.status import Status, WorkerStatus

WORKERS = (
    WorkerStatus(1, "ready", 11, 940.0, running=3, memory=57 * 2**20, deaths=2),
    WorkerStatus(2, "waiting", deaths=5),
    WorkerStatus(3, "hung", 13, 999.0, memory=2**20),
)


def test_each_has_its_line() -> None:
    """Since when it runs, its process, what it serves, its memory; or why there is none."""
    status = Status("ready", 1, 0.0, pid=1, config="/c", workers=WORKERS)
    text = [line.split(maxsplit=2) for line in lines(Seen(True, status=status), 1000.0)]
    shown = {
        number: rest for word, number, rest in (row for row in text if len(row) == 3) if word == "worker"
    }
    assert shown == {
        "1": "ready for 60 s: process 11, 3 exchanges, 57 MiB, ended 2 times before",
        "2": "waiting; it has ended 5 times",
        "3": "hung (started 1 s ago): process 13, 0 exchanges, 1 MiB",
    }


def test_attention() -> None:
    """For those that do not serve, and only for them."""
    status = Status("ready", 1, 0.0, workers=WORKERS)
    found = [line for line in needs_attention(status, ()) if line.startswith("Worker")]
    assert found == [
        "Worker 2 has ended repeatedly and restarts soon: see the log.",
        "Worker 3 does not answer: it is replaced after timeouts.worker.",
    ]
