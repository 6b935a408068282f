"""The ways out of an alert: what a command is given, what is made of answers, and what no line shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.alerts.delivery import KILL_SECONDS, NotDelivered, targets
from ampproxy.alerts.payload import payload
from ampproxy.alerts.states import Notice
from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.credentials.secrets import secrets_of
from ampproxy.errors import ConfigError
from ampproxy.status import Alert
from tests.alerts.doubles import CONFIG, WEBHOOK, Reactor
from tests.resources.harness import FakeClient, configuration
from tests.resources.harness import Path as HomePath

SENT = payload(Notice("firing", Alert("budget", "ci", "It is used up.", "a\nb", 5.0)), "gw", 9.0)
COMMAND = "alerts: {command: [/bin/page, --key, canary-argument], timeout: 3s}"


class Place:
    """A webhook or a command, and what became of one alert."""

    def __init__(self, config: str, environ: dict[str, str] | None = None, proxy: str | None = None) -> None:
        self.client, self.reactor = FakeClient(), Reactor()
        alerts = configuration(config, HomePath("/")).alerts
        assert alerts is not None
        (self.target,) = targets(alerts, self.client, self.reactor, environ or {}, proxy)
        self.results: list[Any] = []

    def send(self) -> Place:
        from twisted.internet.defer import Deferred

        Deferred.fromCoroutine(self.target.send(SENT)).addCallbacks(
            self.results.append, lambda failure: self.results.append(failure.value)
        )
        return self

    @property
    def result(self) -> Any:
        (result,) = self.results
        return result


def test_a_command() -> None:
    """JSON on its standard input, the same in its environment, and nothing else of the service's."""
    environ = {"PATH": "/bin", "ANTHROPIC_API_KEY": "canary-key", "HOME": "/h"}
    place = Place(COMMAND, environ).send()
    (process,) = place.reactor.processes
    assert process.argv == ("/bin/page", "--key", "canary-argument")
    assert json.loads(process.stdin)["message"] == "It is used up."
    assert process.closed
    assert process.env == {
        "PATH": "/bin",
        "HOME": "/h",
        "AMPPROXY_ALERT_EVENT": "firing",
        "AMPPROXY_ALERT_KIND": "budget",
        "AMPPROXY_ALERT_SUBJECT": "ci",
        "AMPPROXY_ALERT_MESSAGE": "It is used up.",
        "AMPPROXY_ALERT_SUGGESTION": "a\nb",
        "AMPPROXY_ALERT_HOST": "gw",
        "AMPPROXY_ALERT_TEXT": "ampproxy on gw: It is used up.\nTo do: a\nb",
    }
    process.exit(output=b"paged\n")
    assert place.result == "exit status 0: paged"


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        ({"status": 3, "output": b"no\nroute"}, "exit status 3: no route"),
        ({"signal": 9}, "ended by signal 9"),
    ],
)
def test_a_command_that_fails(end: dict[str, Any], shown: str) -> None:
    """Its status, and the end of what it printed."""
    place = Place(COMMAND).send()
    place.reactor.processes[0].exit(**end)
    assert isinstance(place.result, NotDelivered)
    assert str(place.result) == shown


def test_a_command_that_hangs() -> None:
    """It is asked to end, then made to; its outputs are not waited for."""
    place = Place(COMMAND).send()
    (process,) = place.reactor.processes
    place.reactor.advance(3)
    assert process.signals == ["TERM"]
    place.reactor.advance(KILL_SECONDS)
    assert process.signals == ["TERM", "KILL"]
    assert process.left
    process.exit(signal=9)
    assert str(place.result) == "did not end within 3 s (setting: alerts.timeout)"
    assert place.reactor.getDelayedCalls() == []


def test_a_command_that_is_not_there() -> None:
    """No second attempt finds it."""
    place = Place("alerts: {command: [/missing/page]}").send()
    assert not place.result.again
    assert str(place.result) == "cannot be started: No such file or directory"


@pytest.mark.parametrize(
    ("status", "again"), [(200, None), (302, False), (400, False), (408, True), (429, True), (500, True)]
)
def test_statuses(status: int, again: bool | None) -> None:
    """A redirect is not followed; what may be over soon is worth another attempt."""
    place = Place(CONFIG).send()
    place.client.sent[0].respond_whole(status, b"x\n y")
    assert getattr(place.result, "again", None) is again
    assert str(place.result) == f"status {status}: x y"


def test_long_answers_are_cut() -> None:
    """A page of HTML is no line of a log, and one without an end is not read to it."""
    place = Place(CONFIG).send()
    place.client.sent[0].respond_whole(500, b"<p>" * 1000)
    assert len(str(place.result)) < 250
    endless = Place(CONFIG).send()
    body = endless.client.sent[0].respond(200)
    body.data(b"x" * 70_000)
    assert isinstance(endless.result, NotDelivered)
    assert body.state == "stopped"


def test_a_proxy_is_for_other_machines() -> None:
    """A webhook on this machine is reached straight."""
    here = "alerts: {webhook: 'http://127.0.0.1:9/x'}"
    for config, proxy in ((CONFIG, "http://proxy.test:3128"), (here, None)):
        place = Place(config, proxy="http://proxy.test:3128").send()
        assert place.client.sent[0].proxy == proxy


def test_no_secret_is_shown() -> None:
    """The webhook's path and a command's arguments are in no repr, and the log knows them as secrets."""
    config: Config = configuration(CONFIG, HomePath("/"))
    assert "canary" not in repr(config.alerts)
    assert "canary" not in repr(configuration(COMMAND, HomePath("/")).alerts)
    known = {secret.reveal() for secret in secrets_of(config)}
    assert {WEBHOOK, "canary-token"} <= known


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "alerts: names neither a webhook nor a command"),
        ("{on: [budget]}", "alerts: names neither a webhook nor a command"),
        ("{webhook: ftp://canary}", "alerts.webhook: is not a supported URL"),
        ("{webhook: 'https://u:canary@h/x'}", "alerts.webhook: has a user name or a password in it"),
        ("{webhook: 'https://h/canary#y'}", "alerts.webhook: has a fragment"),
        ("{webhook: ''}", "alerts: names neither a webhook nor a command"),
        ("{command: []}", "alerts.command: is empty: expected a program"),
        ("{command: ['', a]}", "alerts.command: is empty: expected a program"),
        ("{command: notify}", "alerts.command: expected a program and its arguments, found"),
        ("{command: [a], on: [canary]}", "alerts.on[0]: expected needs-login or"),
        ("{webhook: 'https://h', webhook-headers: {a: $canary}}", "alerts.webhook-headers: has a value"),
        ("{command: [a], timeout: 0}", "alerts.timeout: expected a duration"),
    ],
)
def test_complaints(text: str, complaint: str) -> None:
    """Each mistake, with its place and no secret."""
    with pytest.raises(ConfigError) as raised:
        parse(f"alerts: {text}", name="c", environ={}, home=HomePath("/"), read_secret=lambda path: "")
    (shown,) = raised.value.complaints
    assert shown.startswith(f"c:1: {complaint}")
    assert "canary'" not in shown or "on[0]" in shown


def test_plain_on() -> None:
    """The key ``on`` needs no quotes, though some readers of YAML take it for a true value."""
    alerts = configuration("alerts: {command: [a], on: [budget, Budget, all-cooling]}", HomePath("/")).alerts
    assert alerts is not None
    assert alerts.on == ("budget", "all-cooling")
