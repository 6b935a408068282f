"""How the service is at the moment when somebody asks: nothing of this costs anything until then."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import twisted
from ampproxy import __version__
from ampproxy.config.schema import FallbackRule
from ampproxy.credentials.report import AccountReport, report
from ampproxy.errors import GatewayFault
from ampproxy.generation import Generation
from ampproxy.metrics.clients import standings

#: The states of an account, of which it has one at a time.
STATES = ("untried", "ready", "resting", "probing", "needs login", "key refused", "failing", "renewing")

#: So many limits of an account are shown: their names are its vendor's.
_MAX_WINDOWS = 20


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, labels=labels)


class StateCollector:
    """Tells of accounts, of what is under way, of the configuration and of the log.

    :param gateway: gives the one that is in force.
    :param logged: how many events of the log there were, by level, from warnings on.
    :param elsewhere: bytes of bodies that other processes of the service hold.
    """

    def __init__(
        self,
        generation: Callable[[], Generation],
        logged: Mapping[str, int],
        elsewhere: Callable[[], int] = int,
    ) -> None:
        self._generation = generation
        self._elsewhere = elsewhere
        self._logged = logged

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        generation = self._generation()
        build = _gauge("ampproxy_build_info", "Versions in use; always 1.", "version", "python", "twisted")
        build.add_metric([__version__, platform.python_version(), twisted.__version__], 1)
        yield build
        yield from _under_way(generation, self._elsewhere())
        yield from _accounts(generation)
        yield from _logins(generation)
        yield from _credits(generation)
        yield from standings(generation)
        yield from _configuration(generation)
        yield from _sharing(generation)
        logged = CounterMetricFamily(
            "ampproxy_log_events",
            "Log events of level warning and above, written or suppressed.",
            labels=["level"],
        )
        for level in ("warn", "error", "critical"):
            logged.add_metric([level], self._logged.get(level, 0))
        yield logged


def _under_way(generation: Generation, elsewhere: int) -> Iterable[Metric]:
    records = list(generation.runtime.live.values())
    kinds = dict.fromkeys(("local", "mapped", "amp", "none", "management", "tunnel"), 0)
    for record in records:
        kinds[record.kind] = kinds.get(record.kind, 0) + 1
    exchanges = _gauge("ampproxy_open_exchanges", "Running exchanges.", "kind")
    for kind, count in kinds.items():
        exchanges.add_metric([kind], count)
    flowing = [record for record in records if record.first_byte is not None]
    streams = _gauge("ampproxy_open_streams", "Streamed answers that have begun and not ended.")
    streams.add_metric([], sum(record.stream for record in flowing))
    tunnels = _gauge("ampproxy_open_tunnels", "WebSockets that are open.")
    tunnels.add_metric([], sum(record.kind == "tunnel" for record in flowing))
    held = _gauge("ampproxy_held_bytes", "Request bodies and whole answers held in memory.")
    held.add_metric([], generation.runtime.held.total + elsewhere)
    return exchanges, streams, tunnels, held


def _accounts(generation: Generation) -> Iterable[Metric]:
    runtime = generation.runtime
    wall = runtime.wall()
    accounts_report = report(
        generation.config.accounts, generation.pool.state, generation.runtime.clock.seconds(), wall
    )
    logins = {status.label: status.state for status in runtime.login_statuses()}
    states = _gauge("ampproxy_account_state", "1 for the account's current state.", "account", "state")
    cooldowns = _gauge(
        "ampproxy_account_cooldowns",
        "Cooldowns of an account: for models, kinds of calls, or all of it.",
        "account",
    )
    seconds = _gauge(
        "ampproxy_account_cooldown_seconds", "Until the last of an account's cooldowns ends.", "account"
    )
    limit = _gauge("ampproxy_account_limit", "The vendor's limits, as last reported.", "account", "window")
    left = _gauge("ampproxy_account_limit_remaining", "What is left of them.", "account", "window")
    places = _gauge("ampproxy_account_info", "Where an account is in the file; always 1.", "account", "label")
    shown: set[str] = set()
    for account in accounts_report.accounts:
        name, state = account.name, _state(account, logins)
        places.add_metric([name, account.label], 1)
        if name in shown:  # a key that stands there twice, for other models, is one account
            continue
        shown.add(name)
        for each in STATES:
            states.add_metric([name, each], each == state)
        cooldowns.add_metric([name], len(account.cooldowns))
        seconds.add_metric([name], max((rest.seconds for rest in account.cooldowns), default=0.0))
        for window in account.windows[:_MAX_WINDOWS]:
            if window.limit is not None:
                limit.add_metric([name, window.name], window.limit)
            if window.remaining is not None:
                left.add_metric([name, window.name], window.remaining)
    lessons = _lessons(generation, shown)
    begun = CounterMetricFamily(
        "ampproxy_cooldowns", "Cooldowns of accounts that have begun.", labels=["account", "why"]
    )
    for (name, why), count in generation.pool.state.begun.items():
        begun.add_metric([name, why], count)
    return places, states, cooldowns, seconds, limit, left, begun, *lessons


def _lessons(generation: Generation, names: Iterable[str]) -> Iterable[Metric]:
    """What accounts have taught.

    :param names: of the accounts.
    """
    lessons = generation.runtime.lessons
    known = _gauge(
        "ampproxy_account_lessons",
        ("Members and values that an account refuses, as learned from its refusals."),
        "account",
    )
    learned = CounterMetricFamily(
        "ampproxy_lessons", "Refused members and values that were learned.", labels=["account"]
    )
    for name in sorted(names):
        known.add_metric([name], len(lessons.listed(name)))
        learned.add_metric([name], lessons.learned[name])
    return known, learned


def _state(account: AccountReport, logins: Mapping[str, str]) -> str:
    login = logins.get(account.label, "ok")
    return account.state if login == "ok" else login


def _logins(generation: Generation) -> Iterable[Metric]:
    ends = _gauge("ampproxy_login_token_expiry_timestamp_seconds", "When a login's token expires.", "account")
    for status in generation.runtime.login_statuses():
        if status.ends_at is not None and not status.disabled:
            ends.add_metric([status.label], status.ends_at)
    return (ends,)


def _credits(generation: Generation) -> Iterable[Metric]:
    """The daily limits before Amp's credits; those that each client has of its own are not shown."""
    limit = _gauge("ampproxy_credit_limit", "Daily limits on requests to Amp.", "rule", "unit")
    used = _gauge("ampproxy_credit_used", "Today's use of them.", "rule", "unit")
    for rule in generation.config.ampcode.fallback:
        if rule.action != "limit" or rule.per_client:
            continue
        try:
            spent = generation.runtime.allowance.used(rule)
        except GatewayFault:
            continue
        for unit, most, now in (
            ("requests", rule.requests, spent.requests),
            ("tokens", rule.tokens, spent.tokens),
        ):
            if most is not None:
                limit.add_metric([_named(rule), unit], most)
                used.add_metric([_named(rule), unit], now)
    return limit, used


def _named(rule: FallbackRule) -> str:
    """Whom a rule is for: ``gpt-*,o3 title``; ``*`` for any model."""
    return " ".join((",".join(rule.models) or "*", *([",".join(rule.roles)] if rule.roles else ())))


def _sharing(generation: Generation) -> Iterable[Metric]:
    """Whether the state is shared; no values where it is shared with no one."""
    connected = _gauge("ampproxy_state_shared", "1 if the state is shared with other processes now, else 0.")
    away = _gauge("ampproxy_state_away_seconds", "For how long the state has not been shared.")
    waiting = _gauge("ampproxy_state_waiting", "Changes that other processes do not know yet.")
    shared = generation.runtime.shared
    if shared.active:
        report, wall = shared.report(), generation.runtime.wall()
        connected.add_metric([], report.connected)
        away.add_metric([], max(0.0, wall - report.away_since) if report.away_since else 0.0)
        waiting.add_metric([], report.waiting)
    return connected, away, waiting


def _configuration(generation: Generation) -> Iterable[Metric]:
    status = generation.runtime.status()
    reload = status.reload
    for name, what, value in (
        ("generation", "How often a configuration was activated.", status.generation),
        ("in_force_timestamp_seconds", "When the active configuration was activated.", status.since),
        (
            "last_reload_successful",
            "0 if the last changed configuration was invalid, else 1.",
            reload is None or reload.ok,
        ),
        (
            "last_reload_timestamp_seconds",
            "When the configuration was last read after the start; 0 if it never was.",
            0.0 if reload is None else reload.at,
        ),
    ):
        family = _gauge(f"ampproxy_config_{name}", what)
        family.add_metric([], value)
        yield family
