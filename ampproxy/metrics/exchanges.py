"""What is counted of exchanges: each that ends is told once, by its record.

The values of labels are those of the log (:mod:`ampproxy.relay.fields`), but for an account, which goes by a
name that does not depend on its place in the configuration, so that no series changes its meaning.
Counting happens for every exchange, telling only when somebody asks: so plain numbers are added up here, in a
fourth of the time that the library's own counters take, and made into its metrics when it collects them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from ampproxy.metrics.clients import ClientMetrics
from ampproxy.metrics.labels import OTHER, LabelValues
from ampproxy.relay.gaps import BOUNDS
from ampproxy.relay.record import ExchangeRecord, Outcome

#: So many combinations of labels are counted apart; of further ones only the kind, the account and the
#: outcome are told.
MAX_SERIES = 3000

_ACCOUNTS, _ROLES, _CODES = 200, 50, 50

_FIRST_BYTE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_WHOLE = (0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_ADDED = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")


class Labels(NamedTuple):
    """By what exchanges are counted."""

    kind: str
    model: str
    account: str
    role: str
    outcome: str


class Times:
    """Spans of time, counted by length.

    :param bounds: the upper bounds of the classes, in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def add_all(self, counts: Sequence[int], total: float) -> None:
        """Some that were counted elsewhere, by the same bounds."""
        self.counts = list(map(add, self.counts, counts))
        self.total += total

    def put(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Make it a series of a metric."""
        below, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(labels, buckets, self.total)


class _Series:
    """What exchanges with the same labels add to.

    :ivar tokens: by class, in the order of ``_TOKENS``; empty as long as none was told.
    """

    __slots__ = ("added", "count", "first_byte", "gaps", "labels", "tokens", "whole")

    def __init__(self, labels: Labels, whole: Times, first_byte: Times, added: Times, gaps: Times) -> None:
        self.labels = labels
        self.count = 0
        self.tokens: list[int] = []
        self.whole, self.first_byte, self.added, self.gaps = whole, first_byte, added, gaps


class ExchangeMetrics:
    """Counts exchanges; a collector of ``prometheus_client``'s."""

    def __init__(self) -> None:
        self._models = LabelValues(100)
        self._accounts = LabelValues(_ACCOUNTS)
        self._roles = LabelValues(_ROLES)
        self._codes = LabelValues(_CODES)
        self._series: dict[Labels, _Series] = {}
        # The same by what records say, where no label is "other": it has as many entries at the most.
        self._found: dict[tuple[str, str, str, str, str], _Series] = {}
        self._whole: dict[str, Times] = {}
        self._added: dict[str, Times] = {}
        self._gaps: dict[str, Times] = {}
        self._first_byte: dict[tuple[str, str], Times] = {}
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._fallbacks: Counter[tuple[str, str]] = Counter()
        self._attempts: Counter[tuple[str]] = Counter()
        self._clients = ClientMetrics()

    def configure(
        self, models: Iterable[str], accounts: Iterable[str], most_models: int, clients: Iterable[str] = ()
    ) -> None:
        """Names that are told apart from now on, and how many further models are."""
        self._clients.names = frozenset(clients)
        self._models.configure(models, most_models)
        self._accounts.configure(accounts)

    def observe(self, record: ExchangeRecord) -> None:
        """An exchange has ended."""
        outcome = record.outcome
        assert outcome is not None
        assert record.ended is not None
        account = record.account_name or record.account
        key = record.kind, record.asked, account, record.role, outcome.text
        series = self._found.get(key) or self._find(key, record)
        series.count += 1
        started = record.started
        series.whole.add(record.ended - started)
        if record.first_byte is not None:
            series.first_byte.add(record.first_byte - started)
        if record.sent is not None:
            series.added.add(record.sent - started + record.busy)
        usage = record.usage
        if usage is not None:
            tokens = series.tokens
            if not tokens:
                tokens += [0] * len(_TOKENS)
            tokens[0] += usage.input
            tokens[1] += usage.cache_read
            tokens[2] += usage.cache_write
            tokens[3] += usage.output
            tokens[4] += usage.reasoning
        if record.gaps is not None:
            series.gaps.add_all(record.gaps.counts, record.gaps.total)
        if not _is_good(record):
            code = self._codes.of(record.code or str(record.status or ""))
            self._failures[record.kind, outcome.text, code] += 1
        if record.kind == "amp" and record.sent is not None:
            self._fallbacks[series.labels.model, series.labels.role] += 1
        if record.client in self._clients.names:
            self._clients.observe(record)
        for account in record.failed:
            self._attempts[(self._accounts.of(account),)] += 1

    def _find(self, key: tuple[str, str, str, str, str], record: ExchangeRecord) -> _Series:
        kind, asked, account, role, outcome = key
        # Whoever is answered well has asked for a model that there is.
        model = self._models.of(asked, learn=_is_good(record))
        labels = Labels(kind, model, self._accounts.of(account), self._roles.of(role), outcome)
        series = self._series.get(labels)
        if series is None and len(self._series) >= MAX_SERIES:
            labels = labels._replace(model=OTHER, role=OTHER)
            series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Series(
                labels,
                self._whole.setdefault(kind, Times(_WHOLE)),
                self._first_byte.setdefault((kind, labels.account), Times(_FIRST_BYTE)),
                self._added.setdefault(kind, Times(_ADDED)),
                self._gaps.setdefault(kind, Times(BOUNDS)),
            )
        if labels == key:
            self._found[key] = series
        return series

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        spent: Counter[tuple[str, ...]] = Counter()
        for labels, series in self._series.items():
            for name, count in zip(_TOKENS, series.tokens, strict=False):
                where = (name, *labels[:3])
                spent[where] += count
        yield _counted(
            "ampproxy_exchanges",
            "Exchanges that have ended.",
            Labels._fields,
            {labels: series.count for labels, series in self._series.items()},
        )
        yield _counted(
            "ampproxy_tokens",
            "Tokens by class, as vendors report them; reasoning is a part of output.",
            ("class", "kind", "model", "account"),
            spent,
        )
        yield _counted(
            "ampproxy_exchange_failures",
            "Failed exchanges, including those refused by a limit, by error code.",
            ("kind", "outcome", "code"),
            self._failures,
        )
        yield _counted(
            "ampproxy_fallbacks",
            "Requests to models that went to Amp, where they cost credits.",
            ("model", "role"),
            self._fallbacks,
        )
        yield _counted(
            "ampproxy_failed_attempts",
            "Attempts at an account that failed, whether or not another account was tried.",
            ("account",),
            self._attempts,
        )
        yield from self._clients.collect()
        yield from self._collect_times()

    def _collect_times(self) -> Iterator[Metric]:
        for name, what, by_kind in (
            ("exchange", "From a request to the end of its answer.", self._whole),
            ("added", "The gateway's own share of an exchange.", self._added),
            ("stream_gap", "Pauses between two pieces of a streamed answer.", self._gaps),
        ):
            family = HistogramMetricFamily(f"ampproxy_{name}_seconds", what, labels=["kind"])
            for kind, times in by_kind.items():
                times.put(family, [kind])
            yield family
        first = HistogramMetricFamily(
            "ampproxy_first_byte_seconds",
            "From a request to the first byte of its answer.",
            labels=["kind", "account"],
        )
        for where, times in self._first_byte.items():
            times.put(first, where)
        yield first


def _counted(name: str, what: str, labels: Sequence[str], counts: Mapping[Any, float]) -> CounterMetricFamily:
    """A counter. ``counts`` has a tuple of values for the labels as each key."""
    family = CounterMetricFamily(name, what, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _is_good(record: ExchangeRecord) -> bool:
    return record.outcome is Outcome.COMPLETED and record.status < 400
