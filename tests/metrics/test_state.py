"""How the service is, as metrics tell when somebody asks."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from ampproxy import __version__
from ampproxy.credentials.names import account_name
from ampproxy.credentials.report import LoginStatus
from ampproxy.metrics.lag import INTERVAL, Lag
from ampproxy.metrics.state import STATES, StateCollector
from ampproxy.status import ReloadReport, Status
from tests.resources.harness import CONFIG, World
from tests.state.bus import Bus

SSE = {"Content-Type": ["text/event-stream"]}
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-real",'
    b'"content":[],"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
)
BEGUN = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
)


TWO_KEYS = """
api-keys: [client-key-0123456789]
claude-api-key:
  - {{api-key: {}, base-url: "http://claude.test", models: [{{name: claude-real, alias: m}}]}}
  - {{api-key: {}, base-url: "http://claude.test", models: [{{name: claude-real, alias: m}}]}}
"""


class Shown:
    def __init__(self, config: str = CONFIG) -> None:
        self.world = World(config)
        self.registry = CollectorRegistry()
        self.logged: dict[str, int] = {}
        self.registry.register(StateCollector(lambda: self.world.generation, self.logged))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value("ampproxy_" + name, labels)

    def series(self) -> list[tuple[str, str, str, float]]:
        """Every series of the accounts: its name, the account's, the other label, the value."""
        return [
            (sample.name, labels.pop("account"), "".join(labels.values()), sample.value)
            for family in self.registry.collect()
            for sample in family.samples
            if "account" in (labels := dict(sample.labels)) and "label" not in labels
        ]

    def ask(self, model: str = "claude-local", **members: Any) -> Any:
        body = json.dumps({"model": model, "max_tokens": 5, "messages": [], **members}).encode()
        return self.world.request("POST", "/api/provider/anthropic/v1/messages", body=body)


def test_build() -> None:
    """Which versions run."""
    shown = Shown()
    (family,) = [family for family in shown.registry.collect() if family.name == "ampproxy_build_info"]
    assert family.samples[0].labels["version"] == __version__


def test_under_way() -> None:
    """Exchanges count from their question on, streams from their first byte on, and neither when over."""
    shown = Shown()
    assert shown.value("open_exchanges", kind="local") == 0
    shown.ask(stream=True)
    connection = shown.ask()
    assert shown.value("open_exchanges", kind="local") == 2
    assert shown.value("open_streams") == 0
    stream = shown.world.client.sent[0].respond(200, SSE)
    stream.data(START + BEGUN)
    shown.world.turn()
    assert (shown.value("open_streams"), shown.value("open_tunnels")) == (1, 0)
    connection.leave()
    stream.data(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    stream.done()
    assert shown.value("open_exchanges", kind="local") == 0
    assert shown.value("open_streams") == 0
    assert shown.world.generation.runtime.live == {}


def test_accounts() -> None:
    """An account that was refused rests: its state, how long, and that such a rest began."""
    shown = Shown()
    account = account_name(shown.world.generation.config.accounts[0])
    assert shown.value("account_info", account=account, label="claude-api-key[0]") == 1
    assert shown.value("account_state", account=account, state="untried") == 1
    shown.ask()
    limits = {
        "retry-after": ["60"],
        "anthropic-ratelimit-requests-limit": ["50"],
        "anthropic-ratelimit-requests-remaining": ["0"],
    }
    shown.world.client.sent[0].respond_whole(429, b'{"type":"error","error":{"message":"slow"}}', limits)
    assert shown.value("account_state", account=account, state="untried") == 0
    assert shown.value("account_state", account=account, state="resting") == 1
    assert shown.value("account_cooldowns", account=account) == 1
    assert shown.value("account_cooldown_seconds", account=account) == 60
    assert shown.value("account_limit", account=account, window="requests") == 50
    assert shown.value("account_limit_remaining", account=account, window="requests") == 0
    assert shown.value("cooldowns_total", account=account, why="rest_model") == 1
    shown.world.clock.advance(61)
    assert shown.value("account_cooldown_seconds", account=account) == 0


def test_two_keys_exchanged() -> None:
    """No series moves: what an account has met stays with it where another takes its place in the file."""
    first, second = "first-key-0123456789", "second-key-0123456789"
    shown = Shown(TWO_KEYS.format(first, second))
    shown.ask("m")
    slow = {"retry-after": ["60"]}
    shown.world.client.sent[0].respond_whole(429, b'{"type":"error","error":{"message":"slow"}}', slow)
    before = shown.series()
    assert shown.value("cooldowns_total", account=name(first), why="rest_model") == 1
    shown.world.use(TWO_KEYS.format(second, first))
    assert sorted(shown.series()) == sorted(before)
    assert {account for _, account, _, _ in before} == {name(first), name(second)}
    assert shown.value("account_info", account=name(first), label="claude-api-key[1]") == 1
    assert shown.value("account_info", account=name(second), label="claude-api-key[0]") == 1


def test_a_key_that_stands_there_twice() -> None:
    """Is one account, with one value for each series: Prometheus refuses all of them otherwise."""
    key = "first-key-0123456789"
    first, _, second = TWO_KEYS.format(key, key).rpartition("alias: m")
    shown = Shown(f"{first}alias: other{second}")
    states = [state for kind, _, state, _ in shown.series() if kind == "ampproxy_account_state"]
    assert sorted(states) == sorted(STATES)
    for place in ("claude-api-key[0]", "claude-api-key[1]"):
        assert shown.value("account_info", account=name(key), label=place) == 1


def name(key: str) -> str:
    """What an account of ``TWO_KEYS`` goes by."""
    return f"claude-api-key#{blake2b(f'http://claude.test{chr(0)}{key}'.encode(), digest_size=4).hexdigest()}"


def test_logins() -> None:
    """When the token of a login ends; a login that is not well is not ready."""
    shown = Shown()
    statuses = [
        LoginStatus("claude-api-key[0]", "claude", "a.json", "needs login", False, 2e9, "x", "y"),
        LoginStatus("switched off", "claude", "b.json", "ok", True, 2e9, "", ""),
    ]
    generation = shown.world.generation
    generation.runtime = replace(generation.runtime, login_statuses=lambda: statuses)
    assert shown.value("login_token_expiry_timestamp_seconds", account="claude-api-key[0]") == 2e9
    assert shown.value("login_token_expiry_timestamp_seconds", account="switched off") is None
    account = account_name(generation.config.accounts[0])
    assert shown.value("account_state", account=account, state="needs login") == 1


def test_credits() -> None:
    """Daily limits before Amp's credits, and what today has used of them."""
    rules = """
  fallback:
    - {model: "gpt-*", daily-requests: 3}
    - {role: [title, oracle], daily-tokens: 1000000, per: client}
    - {action: allow}
"""
    shown = Shown(CONFIG.rstrip() + rules)
    labels = {"rule": "gpt-*", "unit": "requests"}
    assert (shown.value("credit_limit", **labels), shown.value("credit_used", **labels)) == (3, 0)
    shown.ask("gpt-unheard")
    shown.world.client.sent[0].respond_whole(200, b"{}", {"Content-Type": ["application/json"]})
    assert shown.value("credit_used", **labels) == 1
    assert shown.value("credit_limit", rule="* title,oracle", unit="tokens") is None


def test_configuration() -> None:
    """Which one is in force since when, and how the last reading went; before one, all is well."""
    shown = Shown()
    generation = shown.world.generation
    assert shown.value("config_last_reload_successful") == 1
    assert shown.value("config_last_reload_timestamp_seconds") == 0
    for ok in (False, True):
        status = Status("ready", 7, 100.0, reload=ReloadReport(ok, 200.0, 7))
        generation.runtime = replace(generation.runtime, status=lambda status=status: status)
        assert shown.value("config_last_reload_successful") == ok
        assert shown.value("config_last_reload_timestamp_seconds") == 200
        assert shown.value("config_generation") == 7
        assert shown.value("config_in_force_timestamp_seconds") == 100


def test_sharing() -> None:
    """Whether the state is shared, and for how long it has not been; nothing where there are no others."""
    shown = Shown()
    assert shown.value("state_shared") is None
    bus = Bus()
    view, generation = bus.view(), shown.world.generation
    generation.runtime = replace(generation.runtime, shared=view, wall=bus.clock.seconds)
    assert (shown.value("state_shared"), shown.value("state_away_seconds")) == (1, 0)
    view.wire.cut()
    bus.clock.advance(30)
    view.publish("cooldown", "a", b"1", 60.0)
    assert (shown.value("state_shared"), shown.value("state_away_seconds")) == (0, 30)
    assert shown.value("state_waiting") == 1


def test_log() -> None:
    """How many warnings and errors there were."""
    shown = Shown()
    shown.logged["warn"] = 7
    assert shown.value("log_events_total", level="warn") == 7
    assert shown.value("log_events_total", level="critical") == 0


def test_lag() -> None:
    """How late each look at the clock came; none is left when it stops."""
    clock, met = Clock(), []
    lag = Lag(clock, met.append)
    lag.start()
    lag.start()
    clock.advance(INTERVAL)
    clock.advance(INTERVAL + 0.25)
    assert met == [0.0, 0.25]
    lag.stop()
    lag.stop()
    assert clock.getDelayedCalls() == []
