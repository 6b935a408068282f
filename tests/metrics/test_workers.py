"""Metrics of several workers: of each what it has, and of all together what one process would show."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.exposition import generate_latest
from twisted.internet.task import Clock

from ampproxy.metrics.registry import MetricsRegistry
from ampproxy.metrics.workers import WorkersCollector
from ampproxy.status import WorkerStatus

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"


class Workers:
    stall = 1.5
    held = 70

    def report(self) -> tuple[WorkerStatus, ...]:
        return (
            WorkerStatus(1, "ready", 11, 5.0, running=3, connections=4, memory=99, deaths=2),
            WorkerStatus(2, "waiting", deaths=7),
            WorkerStatus(2, "leaving", 12, 1.0, running=8),
        )


class Registry:
    def __init__(self) -> None:
        self.collectors = [WorkersCollector(Workers())]

    def collect(self) -> object:
        return self.collectors[0].collect()


def test_each_worker() -> None:
    """By its number; one that is leaving has a successor, whose figures count."""
    text = generate_latest(Registry()).decode()  # type: ignore[arg-type]
    for line in (
        'ampproxy_worker_up{worker="1"} 1.0',
        'ampproxy_worker_up{worker="2"} 0.0',
        'ampproxy_worker_exchanges{worker="1"} 3.0',
        'ampproxy_worker_connections{worker="1"} 4.0',
        'ampproxy_worker_resident_memory_bytes{worker="1"} 99.0',
        'ampproxy_worker_deaths_total{worker="2"} 7.0',
    ):
        assert line in text.splitlines()
    assert text.count('ampproxy_worker_up{worker="2"}') == 1


def test_documented() -> None:
    """Each has its row."""
    table = DOCS.read_text()
    for metric in WorkersCollector(Workers()).collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        assert f"| `{name}` | `worker` |" in table


def test_lateness_is_added_up() -> None:
    """The histogram of how late reactors are has what all processes measured, and never falls."""
    registry = MetricsRegistry(Clock(), lambda: None, {}, float, Workers())  # type: ignore[arg-type, return-value]
    for seconds in (0.0001, 0.2):
        registry.late(seconds)
    assert registry.registry.get_sample_value("ampproxy_reactor_lag_seconds_count") == 2
    assert registry.registry.get_sample_value("ampproxy_reactor_lag_seconds_sum") == 0.2001
