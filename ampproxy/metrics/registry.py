"""Everything that is shown, in one registry. Loading this loads the library."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample
from twisted.internet.interfaces import IReactorTime

from ampproxy.generation import Generation
from ampproxy.metrics.exchanges import ExchangeMetrics
from ampproxy.metrics.lag import Lag
from ampproxy.metrics.state import StateCollector
from ampproxy.metrics.workers import Workers, WorkersCollector

#: The kind of text that every Prometheus reads.
PLAIN = "text/plain; version=0.0.4; charset=utf-8"

# A second series for each counter, which says when it began: Prometheus sees that for itself.
disable_created_metrics()

#: The labels that may hold an address.
_WHOSE = ("account", "label")

_LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class MetricsRegistry:
    """All metrics.

    :param gateway: gives the one that is in force.
    :param logged: how many events of the log there were, by level.
    :param workers: the processes that serve, where there are several.
    :param longest: how long the longest turn of the reactor lasted, in seconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        generation: Callable[[], Generation],
        logged: Mapping[str, int],
        longest: Callable[[], float] = float,
        workers: Workers | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.exchanges = ExchangeMetrics()
        self.registry.register(self.exchanges)
        lag = Histogram(
            "ampproxy_reactor_lag_seconds",
            "How late the reactor ran a timer.",
            buckets=_LAG,
            registry=self.registry,
        )
        self.lag = Lag(clock, lag.observe)
        self.late = lag.observe
        Gauge(
            "ampproxy_reactor_longest_stall_seconds",
            "The longest turn of the reactor so far, of those that were too long.",
            registry=self.registry,
        ).set_function(longest)
        held = int if workers is None else lambda: workers.held
        self.registry.register(StateCollector(generation, logged, held))
        if workers is not None:
            self.registry.register(WorkersCollector(workers))
        ProcessCollector(registry=self.registry)

    def shown(self, accept: str, *, names: bool) -> tuple[bytes, str]:
        """All of it as text, and the kind of text.

        :param accept: the kinds that the asker takes, as in the header.
        :param names: whether the asker may know whose the logins are.
        """
        registry: Any = self.registry if names else _Nameless(self.registry)
        if "application/openmetrics-text" in accept:
            return openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(registry), PLAIN


class _Nameless:
    """The same metrics, with digests in the place of the addresses by which logins go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        for metric in self._registry.collect():
            if any("@" in _named(sample) for sample in metric.samples):
                # A collector may keep its metric, and the owner may ask next.
                metric = copy(metric)
                metric.samples = [_nameless(sample) for sample in metric.samples]
            yield metric


def _named(sample: Sample) -> str:
    """All that a series has of whose an account is."""
    return "".join(sample.labels.get(label, "") for label in _WHOSE)


def _nameless(sample: Sample) -> Sample:
    if "@" not in _named(sample):
        return sample
    addresses = {label: text for label in _WHOSE if "@" in (text := sample.labels.get(label, ""))}
    labels = {label: without_address(text) for label, text in addresses.items()}
    return sample._replace(labels={**sample.labels, **labels})


def without_address(account: str) -> str:
    """How a login is called for who may not know whose it is: always the same, and told from all others."""
    digest = hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{account.partition(':')[0]}:{digest[:8]}" if ":" in account else digest[:8]
