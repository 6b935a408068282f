"""What is counted of exchanges."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ampproxy.metrics.exchanges import MAX_SERIES, ExchangeMetrics
from ampproxy.model.events import Usage
from ampproxy.relay.fields import LABELS, fields_of
from ampproxy.relay.gaps import Gaps
from ampproxy.relay.record import ExchangeRecord, Outcome


def exchange(outcome: Outcome = Outcome.COMPLETED, **members: Any) -> ExchangeRecord:
    record = ExchangeRecord(started=100.0, method="POST", path="/v1/messages")
    record.kind, record.asked, record.account, record.status = "local", "claude-x", "claude-api-key[0]", 200
    for name, value in members.items():
        setattr(record, name, value)
    record.close(102.0, outcome)
    return record


class World:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ExchangeMetrics()
        self.registry.register(self.metrics)
        self.metrics.configure(["claude-x"], ["claude-api-key[0]"], 10)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value("ampproxy_" + name, labels)

    def labels(self, name: str, label: str) -> set[str]:
        return {
            sample.labels[label]
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "ampproxy_" + name
        }


def test_exchanges() -> None:
    """By where they went, what was asked, who served, for what, and how it ended."""
    world = World()
    for _ in range(3):
        world.metrics.observe(exchange(role="oracle"))
    world.metrics.observe(exchange(Outcome.CLIENT_LEFT))
    labels = {"kind": "local", "model": "claude-x", "account": "claude-api-key[0]"}
    assert world.value("exchanges_total", **labels, role="oracle", outcome="completed") == 3
    assert world.value("exchanges_total", **labels, role="", outcome="client-left") == 1
    assert set(fields_of(exchange())) >= set(LABELS)


def test_an_account_goes_by_its_name() -> None:
    """Not by its place in the configuration, which another one may have tomorrow."""
    world = World()
    for place in ("claude-api-key[0]", "claude-api-key[1]"):
        record = exchange(account=place, account_name="claude-api-key#1f9a03c2", first_byte=100.3)
        record.usage = Usage(1)
        world.metrics.observe(record)
    for name in ("exchanges_total", "first_byte_seconds_count", "tokens_total"):
        assert world.labels(name, "account") == {"claude-api-key#1f9a03c2"}, name


def test_times() -> None:
    """Of the whole, to the first byte, and the gateway's own share; none where nothing was sent or came."""
    world = World()
    world.metrics.observe(exchange(first_byte=100.3, sent=100.004, busy=0.003))
    world.metrics.observe(exchange())
    assert world.value("exchange_seconds_sum", kind="local") == 4.0
    first = {"kind": "local", "account": "claude-api-key[0]"}
    assert world.value("first_byte_seconds_count", **first) == 1
    assert world.value("first_byte_seconds_bucket", **first, le="0.25") == 0
    assert world.value("first_byte_seconds_bucket", **first, le="0.5") == 1
    assert world.value("added_seconds_bucket", kind="local", le="0.005") == 0
    assert world.value("added_seconds_bucket", kind="local", le="0.01") == 1
    assert world.value("added_seconds_count", kind="local") == 1


def test_tokens() -> None:
    """By class; nothing where the vendor told nothing."""
    world = World()
    for _ in range(2):
        world.metrics.observe(exchange(usage=Usage(1, 20, 300, 4000, 50)))
    world.metrics.observe(exchange(usage=None))
    labels = {"kind": "local", "model": "claude-x", "account": "claude-api-key[0]"}
    told = {
        name: world.value("tokens_total", **{"class": name}, **labels)
        for name in ("input", "cache_read", "cache_write", "output", "reasoning")
    }
    assert told == {"input": 2, "cache_read": 40, "cache_write": 600, "output": 8000, "reasoning": 100}


def test_gaps() -> None:
    """A histogram of all pauses of all streams."""
    world = World()
    for _ in range(2):
        gaps = Gaps()
        for pause in (0.01, 0.02, 0.2, 1000.0):
            gaps.add(pause)
        world.metrics.observe(exchange(gaps=gaps))
    assert world.value("stream_gap_seconds_count", kind="local") == 8
    assert world.value("stream_gap_seconds_bucket", kind="local", le="0.1") == 4
    assert world.value("stream_gap_seconds_bucket", kind="local", le="0.25") == 6
    assert world.value("stream_gap_seconds_bucket", kind="local", le="300.0") == 6
    assert world.value("stream_gap_seconds_bucket", kind="local", le="+Inf") == 8
    assert world.value("stream_gap_seconds_sum", kind="local") == pytest.approx(2000.46)


def test_failures_and_limits() -> None:
    """By the error's code: so a limit that was reached is told apart from other refusals."""
    world = World()
    world.metrics.observe(exchange(Outcome.REFUSED, kind="amp", code="amp_daily_limit", status=429))
    world.metrics.observe(exchange(Outcome.COMPLETED, kind="amp", status=529, sent=100.1))
    world.metrics.observe(exchange(Outcome.CLIENT_LEFT, status=0))
    world.metrics.observe(exchange())
    failures = "exchange_failures_total"
    assert world.value(failures, kind="amp", outcome="refused", code="amp_daily_limit") == 1
    assert world.value(failures, kind="amp", outcome="completed", code="529") == 1
    assert world.value(failures, kind="local", outcome="client-left", code="") == 1
    assert world.value(failures, kind="local", outcome="completed", code="200") is None


def test_fallbacks() -> None:
    """Only what was really sent to Amp."""
    world = World()
    world.metrics.observe(exchange(kind="amp", sent=100.1, role="oracle"))
    world.metrics.observe(exchange(Outcome.REFUSED, kind="amp", code="amp_daily_limit"))
    world.metrics.observe(exchange(kind="management", sent=100.1))
    assert world.value("fallbacks_total", model="claude-x", role="oracle") == 1
    assert world.labels("fallbacks_total", "role") == {"oracle"}


def test_failed_attempts() -> None:
    """Each account that was asked in vain counts, though another one served."""
    world = World()
    failed = ("claude-api-key#1f9a03c2", "openai-compatibility/local#00c0ffee")
    world.metrics.observe(exchange(failed=failed))
    assert world.labels("failed_attempts_total", "account") == set(failed)


def test_hostile_models() -> None:
    """Names that clients make up take no place: neither refused ones nor those that only fail."""
    world = World()
    for number in range(1000):
        world.metrics.observe(exchange(Outcome.REFUSED, kind="none", asked=f"made-up-{number}", status=404))
        world.metrics.observe(exchange(Outcome.UPSTREAM_ERROR, kind="amp", asked=f"made-up-{number}"))
        world.metrics.observe(exchange(kind="amp", asked=f"made-up-{number}", status=404))
    assert world.labels("exchanges_total", "model") == {"other"}
    for number in range(1000):
        world.metrics.observe(exchange(asked=f"real-{number}"))
    world.metrics.observe(exchange(asked="claude-x"))
    assert len(world.labels("exchanges_total", "model")) == 10 + 2
    assert "claude-x" in world.labels("exchanges_total", "model")


def test_hostile_everything() -> None:
    """Whatever is in a record, there is an end to how many series there are."""
    world = World()
    world.metrics.configure([], [], 1_000_000)
    for number in range(3 * MAX_SERIES):
        text = f"x{number}"
        wild = {"asked": text, "account": text, "role": text, "code": text, "failed": (text,)}
        world.metrics.observe(exchange(status=400, usage=Usage(1), **wild))
        world.metrics.observe(exchange(asked=text))
    shown = generate_latest(world.registry)
    assert shown.count(b"\nampproxy_exchanges_total{") < MAX_SERIES + 1000
    assert shown.count(b"\nampproxy_exchange_failures_total{") <= 51
    assert shown.count(b"\n") < 50_000


def test_clients() -> None:
    """Those with a name are counted apart; others are not told, whoever they are."""
    world = World()
    world.metrics.configure(["claude-x"], ["claude-api-key[0]"], 10, ["ci"])
    world.metrics.observe(exchange(client="ci", usage=Usage(3, 0, 0, 2, 1)))
    world.metrics.observe(exchange(Outcome.REFUSED, client="ci"))
    world.metrics.observe(exchange(client="key-1f9a03c2"))
    assert world.value("client_exchanges_total", client="ci", outcome="completed") == 1
    assert world.value("client_exchanges_total", client="ci", outcome="refused") == 1
    assert world.value("client_tokens_total", **{"client": "ci", "class": "output"}) == 2
    assert world.labels("client_exchanges_total", "client") == {"ci"}
