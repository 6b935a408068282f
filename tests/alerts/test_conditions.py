"""What is active, by the reports that commands and pages show as well."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from msgspec import structs
from msgspec.structs import replace
from twisted.internet.defer import Deferred, maybeDeferred

from ampproxy.alerts.conditions import Facts, conditions
from ampproxy.alerts.gather import Gathering
from ampproxy.config.schema import FallbackRule, Tls
from ampproxy.credentials.health import scopes
from ampproxy.credentials.outcomes import Action, Verdict
from ampproxy.credentials.report import LoginStatus
from ampproxy.credits.allowance import Allowance
from ampproxy.model.alerts import KINDS
from ampproxy.status import Alert, ReloadReport, Status, WorkerStatus
from ampproxy.tenants.counting import Demand
from ampproxy.tenants.store import Counts, Take
from ampproxy.tenants.tenant import tenant_id
from ampproxy.wire.redact import Secret
from tests.resources.harness import World
from tests.state.bus import Bus

CONFIG = """
api-keys: [client-key-0123456789]
claude-api-key:
  - {api-key: canary-1, base-url: "http://claude.test", models: [{name: a}, {name: b}]}
  - {api-key: canary-2, base-url: "http://claude.test", models: [{name: a}]}
openai-compatibility:
  - name: own
    base-url: http://own.test/v1
    models: [{name: c}]
"""
COOLDOWN = Verdict(action=Action.REST_ACCOUNT, reason="is rate limited", cooldown=60.0)
OF_MODEL = Verdict(action=Action.REST_MODEL, reason="has no quota for it", cooldown=60.0)
OF_CALL = structs.replace(OF_MODEL, per_operation=True)
REFUSED = Verdict(
    action=Action.LOGIN, reason="has a key that its vendor rejects", cooldown=60.0, suggestion="set another"
)
NEEDS_LOGIN = LoginStatus(
    "a@x.test", "claude", "a.json", "needs login", False, None, "invalid_grant", "run: ampproxy login claude"
)


class Gateway:
    """A gateway in memory, whose accounts the test has fail."""

    def __init__(self, config: str = CONFIG, **more: Any) -> None:
        self.world = World(config, **more)
        self.runtime: dict[str, Any] = {}

    def fail(self, index: int, verdict: Verdict = COOLDOWN, model: str = "a") -> None:
        generation = self.world.generation
        state = generation.pool.state
        health = state.health(state.identity(generation.config.accounts[index]))
        health.failed(scopes(model, "messages"), verdict, -1.0, self.world.clock.seconds(), 1800.0)

    def facts(self, *kinds: str) -> Facts:
        generation = self.world.generation
        results: list[Facts] = []
        generation.runtime = replace(generation.runtime, **self.runtime)
        work = Gathering(maybeDeferred).facts(generation, kinds or tuple(KINDS))
        Deferred.fromCoroutine(work).addCallback(results.append)
        return results[0]

    def active(self, *kinds: str) -> tuple[Alert, ...]:
        kinds = kinds or tuple(KINDS)
        return conditions(self.facts(*kinds), kinds).active


def test_nothing_is_wrong() -> None:
    """A gateway that serves has no alert."""
    assert Gateway().active() == ()


def test_a_model_that_others_serve() -> None:
    """As long as another account has it, a model is served, and that is no alert."""
    gateway = Gateway()
    gateway.fail(1)
    gateway.fail(2, OF_CALL, model="c")
    assert gateway.active() == ()


def test_models_that_no_account_can_serve() -> None:
    """Those of the same accounts are one alert, with the time of the next attempt."""
    gateway = Gateway()
    gateway.fail(0)
    first = gateway.active()
    assert [(alert.kind, alert.subject) for alert in first] == [("all-cooling", "claude-api-key[0]")]
    assert "No account can serve b: claude-api-key[0] is rate limited; the first is" in first[0].message
    gateway.fail(1, OF_MODEL, model="a")
    both = {alert.subject: alert.message for alert in gateway.active()}
    assert set(both) == {"claude-api-key[0]", "claude-api-key[0], claude-api-key[1]"}
    assert "serve a: " in both["claude-api-key[0], claude-api-key[1]"]
    assert "claude-api-key[1] has no quota for it" in both["claude-api-key[0], claude-api-key[1]"]
    gateway.world.clock.advance(61)
    assert gateway.active() == ()


def test_all_accounts() -> None:
    """One alert, not one for each model; a key that is refused serves nothing either."""
    gateway = Gateway()
    for index, verdict in enumerate((COOLDOWN, REFUSED, COOLDOWN)):
        gateway.fail(index, verdict)
    (alert,) = gateway.active("all-cooling")
    assert alert.subject == "all accounts"
    assert alert.message.startswith("No account can serve any model: claude-api-key[0] is rate limited")


def test_keys_that_are_refused_do_not_cool_down() -> None:
    """Where every account needs another key or login, each says so; nothing would be added."""
    gateway = Gateway()
    for index in range(3):
        gateway.fail(index, REFUSED)
    assert {alert.kind for alert in gateway.active()} == {"needs-login"}


def test_a_refused_key_beside_a_cooldown() -> None:
    """The models of the first are not reported as cooling down, those of the second are."""
    gateway = Gateway()
    gateway.fail(0, REFUSED)
    gateway.fail(2, COOLDOWN)
    found = {(alert.kind, alert.subject) for alert in gateway.active()}
    label = gateway.world.config.accounts[2].label
    assert found == {("needs-login", "claude-api-key[0]"), ("all-cooling", label)}


def test_a_refused_key() -> None:
    """With what the owner can do, and no part of the key."""
    gateway = Gateway()
    gateway.fail(1, REFUSED)
    (alert,) = gateway.active()
    assert alert == Alert(
        "needs-login",
        "claude-api-key[1]",
        "The account claude-api-key[1] has a key that its vendor rejects.",
        "set another",
        gateway.world.wall,
    )


def test_a_login() -> None:
    """Also one whose account does not serve any more; one that is switched off is left alone."""
    gateway = Gateway()
    gateway.runtime["login_statuses"] = lambda: [NEEDS_LOGIN]
    (alert,) = gateway.active()
    assert (alert.subject, alert.suggestion) == ("a@x.test", "run: ampproxy login claude")
    assert alert.message == "The account a@x.test needs a login: invalid_grant."
    gateway.runtime["login_statuses"] = lambda: [msgspec.structs.replace(NEEDS_LOGIN, disabled=True)]
    assert gateway.active() == ()


def test_an_untried_account_is_unsure() -> None:
    """After a restart a refused key is as good as new; that ends no alert."""
    gateway = Gateway()
    found = conditions(gateway.facts(), KINDS)
    assert ("needs-login", "claude-api-key[0]") in found.unsure
    gateway.fail(0)
    assert ("needs-login", "claude-api-key[0]") not in conditions(gateway.facts(), KINDS).unsure


LIMITED = (
    CONFIG
    + """
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: canary-amp
  fallback:
    - {model: gpt-*, daily-requests: 10}
    - {action: allow}
"""
)


def test_amp_credits() -> None:
    """From nine tenths of a daily limit on."""
    allowance = Allowance(None, lambda: "2026-11-29")
    gateway = Gateway(LIMITED, allowance=allowance)
    (rule,) = [rule for rule in gateway.world.config.ampcode.fallback if rule.action == "limit"]
    for _ in range(8):
        allowance.take(rule, None, 5)
    assert gateway.active() == ()
    allowance.take(rule, None, 5)
    (alert,) = gateway.active()
    assert (alert.kind, alert.subject) == ("amp-credits", "gpt-*: requests")
    assert alert.message.startswith("Requests to Amp have used 9 of today's 10 requests for gpt-*;")


def test_amp_credits_of_one_client() -> None:
    """Where each client has a limit of its own, the one counts that has used most."""
    allowance = Allowance(None, lambda: "2026-11-29")
    rule = FallbackRule(action="limit", tokens=100, per_client=True)
    allowance.take(rule, Secret("one"), 20)
    allowance.take(rule, Secret("two"), 95)
    assert (allowance.highest(rule).requests, allowance.highest(rule).tokens) == (1, 95)


def test_credits_that_cannot_be_read(tmp_path: Path) -> None:
    """Are unknown: neither an alert nor the end of one."""
    (tmp_path / "credits.sqlite3").write_bytes(b"no database at all" * 100)
    gateway = Gateway(LIMITED, allowance=Allowance(tmp_path, lambda: "2026-11-29"))
    assert conditions(gateway.facts(), KINDS).unknown == {"amp-credits"}


BUDGET = CONFIG.replace(
    "[client-key-0123456789]",
    """
  - client-key-0123456789
  - {key: canary-ci, name: ci, limits: {requests-per-minute: 1, requests-per-day: 10, usd-per-month: 5}}
""",
)


def test_budget(tmp_path: Path) -> None:
    """By the file that the limits are counted in; what renews each minute is none."""
    gateway = Gateway(BUDGET, state=tmp_path)
    assert gateway.active() == ()
    runtime, client = gateway.world.generation.runtime, gateway.world.config.clients[1]
    counts = Counts(tmp_path, runtime.wall)
    identity = tenant_id(client, runtime.names_salt)
    daily = tuple(limit for limit in client.limits if limit.period != "minute")
    counts.work([Take(identity, client.limits, Demand(tokens=1, usd=0))])
    counts.work([Take(identity, daily, Demand(tokens=1, usd=0)) for _ in range(7)])
    assert gateway.active() == ()
    counts.work([Take(identity, daily, Demand(tokens=1, usd=0))])
    (alert,) = gateway.active()
    counts.close()
    assert (alert.kind, alert.subject) == ("budget", "ci: requests-per-day")
    assert alert.message.startswith("The client ci has used 9 requests of 10 requests (requests-per-day);")


def test_counts_that_cannot_be_read(tmp_path: Path) -> None:
    """Are unknown: neither an alert nor the end of one."""
    (tmp_path / "clients.sqlite3").write_bytes(b"no database at all" * 100)
    assert conditions(Gateway(BUDGET, state=tmp_path).facts(), KINDS).unknown == {"budget"}


def test_another_configuration_has_other_models() -> None:
    """What retires is found once for each configuration and day, not once for all."""
    gathering, found = Gathering(maybeDeferred), []
    for target in ("gemini-3-pro-preview", "a"):
        gateway = Gateway(CONFIG + f"ampcode: {{model-mappings: [{{from: x, to: {target}}}]}}")
        gateway.world.wall = 1_796_000_000.0
        Deferred.fromCoroutine(gathering.facts(gateway.world.generation, KINDS)).addCallback(found.append)
    assert [len(facts.retiring) for facts in found] == [1, 0]


def test_a_model_that_retires() -> None:
    """By the same table as the doctor, once for each place."""
    config = CONFIG + "ampcode: {model-mappings: [{from: x, to: gemini-3-pro-preview}]}"
    gateway = Gateway(config + "\ngemini-api-key: [{api-key: canary-3}]")
    gateway.world.wall = 1_796_000_000.0
    alerts = gateway.active("model-retiring")
    (alert,) = [alert for alert in alerts if alert.subject.startswith("gemini-3-pro-preview: ")]
    assert "gemini" in alert.suggestion


def test_a_refused_configuration() -> None:
    """With the first complaint, and the time of the reading."""
    gateway = Gateway()
    report = ReloadReport(ok=False, at=123.0, generation=4, complaints=("c.yaml:3: port: no", "c.yaml:4: x"))
    gateway.runtime["status"] = lambda: Status("ready", 4, 0.0, config="/c.yaml", reload=report)
    (alert,) = gateway.active()
    assert alert == Alert(
        "config-refused",
        "/c.yaml",
        "The changed configuration was refused, number 4 stays active: c.yaml:3: port: no (and 1 more"
        " complaint).",
        "ampproxy check lists all complaints",
        123.0,
    )


def test_a_state_that_is_not_shared() -> None:
    """After a minute, with the reason; over as soon as it is shared again. A restart of Redis is none."""
    gateway, bus = Gateway(), Bus()
    view = bus.view()
    gateway.runtime |= {"shared": view, "wall": bus.clock.seconds}
    assert gateway.active() == ()
    view.wire.cut("connection refused")
    bus.clock.advance(59)
    assert gateway.active() == ()
    bus.clock.advance(1)
    (alert,) = gateway.active()
    assert (alert.kind, alert.subject) == ("state-away", "a hub in memory")
    assert alert.message.endswith("connection refused.")
    view.wire.open()
    assert gateway.active() == ()


def test_a_worker_that_ends_again_and_again() -> None:
    """Not for one death, nor for one that has lived for a while since."""
    gateway = Gateway()
    twice, thrice = (WorkerStatus(each, "waiting", in_a_row=each + 1) for each in (1, 2))
    gateway.runtime["status"] = lambda: Status("ready", 1, 0.0, workers=(twice, thrice))
    (alert,) = gateway.active()
    assert (alert.kind, alert.subject) == ("worker-failing", "worker 2")
    assert "has ended 3 times" in alert.message


DAY = 86400.0


@pytest.mark.parametrize(("days", "words"), [(15, ""), (13, "expires in 13 d"), (-1, "has expired")])
def test_a_certificate_that_expires(tmp_path: Path, days: int, words: str) -> None:
    """Two weeks before its end, and after it; and not at all where the service has none."""
    gateway = Gateway()
    wall = gateway.world.generation.runtime.wall()
    end = datetime.fromtimestamp(wall + days * DAY + 60, timezone.utc)
    pair = trustme.CA().issue_cert("localhost", not_after=end)
    cert = tmp_path / "cert.pem"
    pair.cert_chain_pems[0].write_to_path(cert)
    generation = gateway.world.generation
    generation.config = replace(generation.config, tls=Tls(cert=cert, key=cert))
    found = gateway.active()
    assert len(found) == bool(words)
    for alert in found:
        assert (alert.kind, alert.subject) == ("certificate", "tls.cert")
        assert alert.message.startswith(f"The certificate {cert} {words}")
    cert.write_text("none")
    facts = gateway.facts()
    assert facts.unknown == {"certificate"}
    assert conditions(facts, tuple(KINDS)).active == ()


def test_a_ledger_that_cannot_be_written() -> None:
    """Says why, as long as it cannot."""
    gateway = Gateway()
    gateway.runtime["status"] = lambda: Status("ready", 1, 0.0, ledger="disk full (3 exchanges waiting)")
    (alert,) = gateway.active()
    assert (alert.kind, alert.subject) == ("ledger-away", "ledger")
    assert "disk full (3 exchanges waiting)." in alert.message
    gateway.runtime["status"] = lambda: Status("ready", 1, 0.0)
    assert gateway.active() == ()


@pytest.mark.parametrize("kind", ["needs-login", "all-cooling"])
def test_only_what_is_wanted(kind: str) -> None:
    """Of a kind that is not configured nothing is active."""
    gateway = Gateway()
    gateway.fail(0)
    gateway.fail(1, REFUSED)
    kinds = {alert.kind for alert in gateway.active()}
    others = tuple(other for other in KINDS if other != kind)
    assert {alert.kind for alert in gateway.active(*others)} == kinds - {kind}


def test_every_kind_is_documented() -> None:
    """The page has a row for each, and the members of what is sent."""
    from ampproxy.alerts.payload import Payload

    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []
    assert [name for name in Payload.__struct_fields__ if f'"{name}": ' not in page] == []
