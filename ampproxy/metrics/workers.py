"""The processes that serve, where there are several. What they count is counted in one place; this is about
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ampproxy.status import WorkerStatus


class Workers(Protocol):
    """The processes that serve."""

    def report(self) -> tuple[WorkerStatus, ...]:
        """How each of them is."""

    @property
    def stall(self) -> float:
        """The longest turn of a reactor of theirs, of those that were too long, in seconds."""

    @property
    def held(self) -> int:
        """Bytes of bodies that they hold."""


class WorkersCollector:
    """Shows each of them, by its number."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        report = self._workers.report()
        current = [each for each in report if each.state != "leaving"]
        yield _gauge(
            "ampproxy_worker_up",
            "1 if the worker accepts connections.",
            {str(each.number): each.state == "ready" for each in current},
        )
        yield _gauge(
            "ampproxy_worker_resident_memory_bytes",
            "The worker's resident memory.",
            {str(each.number): each.memory for each in current},
        )
        yield _gauge(
            "ampproxy_worker_exchanges",
            "Running exchanges of the worker.",
            {str(each.number): each.running for each in current},
        )
        yield _gauge(
            "ampproxy_worker_connections",
            "Open connections of clients to the worker.",
            {str(each.number): each.connections for each in current},
        )
        yield _gauge(
            "ampproxy_worker_start_timestamp_seconds",
            "When the worker was started.",
            {str(each.number): each.started for each in current},
        )
        deaths = CounterMetricFamily(
            "ampproxy_worker_deaths", "Workers that have ended unexpectedly.", labels=["worker"]
        )
        for each in current:
            deaths.add_metric([str(each.number)], each.deaths)
        yield deaths


def _gauge(name: str, what: str, values: dict[str, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, what, labels=["worker"])
    for number, value in values.items():
        gauge.add_metric([number], value)
    return gauge
