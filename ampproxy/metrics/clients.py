"""What clients with a name use: counted apart, for the configuration names them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ampproxy.generation import Generation
from ampproxy.model.clients import MICRO
from ampproxy.relay.record import ExchangeRecord

_TOKENS = ("input", "cache_read", "cache_write", "output")


class ClientMetrics:
    """Counts the exchanges and tokens of named clients.

    :ivar names: of those that are counted. Empty in most configurations, where nothing is counted here.
    """

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self._exchanges: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()

    def observe(self, record: ExchangeRecord) -> None:
        """An exchange of one of them has ended."""
        client, usage = record.client, record.usage
        self._exchanges[client, "" if record.outcome is None else record.outcome.text] += 1
        if usage is not None:
            used = usage.input, usage.cache_read, usage.cache_write, usage.output
            for name, count in zip(_TOKENS, used, strict=True):
                self._tokens[client, name] += count

    def collect(self) -> Iterator[Metric]:
        """What was counted since the start."""
        exchanges = CounterMetricFamily(
            "ampproxy_client_exchanges",
            "Exchanges of clients with a name that have ended.",
            labels=["client", "outcome"],
        )
        for values, count in self._exchanges.items():
            exchanges.add_metric(values, count)
        tokens = CounterMetricFamily(
            "ampproxy_client_tokens", "Tokens of clients with a name, by class.", labels=["client", "class"]
        )
        for values, count in self._tokens.items():
            tokens.add_metric(values, count)
        yield exchanges
        yield tokens


def standings(generation: Generation) -> Iterable[Metric]:
    """The limits of named clients, and what was left of them at each one's last request."""
    labels = ["client", "limit"]
    most = GaugeMetricFamily("ampproxy_client_limit", "Limits of clients with a name.", labels=labels)
    left = GaugeMetricFamily("ampproxy_client_limit_remaining", "What is left of them.", labels=labels)
    ends = GaugeMetricFamily(
        "ampproxy_client_key_expiry_timestamp_seconds", "When a client's key expires.", labels=["client"]
    )
    now = generation.runtime.wall()
    for client in generation.config.all_clients:
        if not client.name:
            continue
        if client.expires is not None:
            ends.add_metric([client.name], client.expires)
        known = {one.limit: one for one in generation.runtime.limiter.last.get(client.name, ())}
        for limit in client.limits:
            seen, unit = known.get(limit), MICRO if limit.unit == "usd" else 1
            remaining = limit.most if seen is None or seen.renews <= now else max(0, seen.left)
            most.add_metric([client.name, limit.setting], limit.most / unit)
            left.add_metric([client.name, limit.setting], remaining / unit)
    return most, left, ends
