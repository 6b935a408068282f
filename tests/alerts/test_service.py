"""Alerts of a gateway in memory: what is sent, when, and what becomes of failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred

from ampproxy.alerts.delivery import NotDelivered
from ampproxy.alerts.payload import Payload
from ampproxy.alerts.states import RETRY_SECONDS
from ampproxy.credentials.report import LoginStatus
from ampproxy.status import Alert, AlertsReport
from tests.alerts.doubles import BASE, CONFIG, WEBHOOK, Alerted, result
from tests.resources.harness import World


def alerting(**more: Any) -> Alerted:
    """A gateway whose only account has a key that its vendor refuses; the alert is on its way."""
    alerted = Alerted(**more)
    alerted.refuse_key()
    alerted.wait()
    return alerted


def test_what_is_posted() -> None:
    """One shape, with a text for those who show that alone, and the headers of the configuration."""
    alerted = alerting()
    (sent,) = alerted.world.client.sent
    assert (sent.method, sent.url) == ("POST", WEBHOOK)
    assert sent.header("content-type") == ["application/json"]
    assert sent.header("authorization") == ["Bearer canary-token"]
    (posted,) = alerted.posted
    wall = alerted.world.wall
    text = "ampproxy on gw: The account claude-api-key[0] has a key that its vendor rejects."
    text += "\nTo do: set another"
    assert posted == {
        "version": 1,
        "event": "firing",
        "kind": "needs-login",
        "title": "an account needs a login, or its key is refused",
        "subject": "claude-api-key[0]",
        "message": "The account claude-api-key[0] has a key that its vendor rejects.",
        "suggestion": "set another",
        "since": wall,
        "at": wall,
        "host": "gw",
        "text": text,
        "content": text,
    }


def test_once_again_and_over() -> None:
    """An alert is sent once, again after ``repeat``, and once more when it is over."""
    alerted = alerting()
    alerted.world.client.sent[0].respond_whole(200, b"ok")
    alerted.wait()
    alerted.wait()
    assert len(alerted.posted) == 1
    alerted.wait(86400)
    alerted.world.client.sent[1].respond_whole(204, b"")
    alerted.heal()
    alerted.wait()
    assert [posted["event"] for posted in alerted.posted] == ["firing", "repeated", "resolved"]
    assert alerted.posted[2]["text"].startswith("ampproxy on gw: resolved: The account")


def test_nothing_runs_without_the_section() -> None:
    """No timer, and nothing to show."""
    alerted = Alerted(BASE)
    assert alerted.reactor.getDelayedCalls() == []
    assert alerted.service.report() == AlertsReport(configured=False)
    assert result(alerted.service.test()).deliveries == ()


def test_a_look_waits_for_the_deliveries_of_the_one_before() -> None:
    """A webhook that does not answer is not asked twice at a time; a timeout ends the wait."""
    alerted = alerting()
    alerted.wait(9)
    assert len(alerted.posted) == 1
    alerted.wait(1)
    assert alerted.world.client.sent[0].cancelled
    alerted.wait(2)
    assert len(alerted.posted) == 2


def test_a_failure_is_tried_a_little_and_logged_once() -> None:
    """Three attempts, then again after a while; one line in the log, and one when it works again."""
    alerted = alerting()
    for pause in (2, 10, 0):
        alerted.world.client.sent[-1].respond_whole(503, b"busy")
        alerted.wait(pause)
    assert len(alerted.posted) == 3
    alerted.wait()
    assert len(alerted.posted) == 3
    (line,) = [line for line in alerted.lines() if "could not be sent" in line]
    assert "webhook at hook.test: status 503: busy" in line
    assert "canary" not in line
    alerted.wait(RETRY_SECONDS)
    for pause in (2, 10, 0):
        alerted.world.client.sent[-1].respond_whole(503, b"busy")
        alerted.wait(pause)
    assert len([line for line in alerted.lines() if "could not be sent" in line]) == 1
    alerted.wait(RETRY_SECONDS)
    alerted.world.client.sent[-1].respond_whole(200, b"")
    assert [posted["event"] for posted in alerted.posted] == ["firing"] * 7
    assert alerted.lines()[-1] == "Alerts reach the webhook at hook.test again"
    assert not [line for line in alerted.lines() if "Unhandled" in line]


def test_a_refusal_is_not_repeated_at_once() -> None:
    """A webhook that is gone answers alike the next second."""
    alerted = alerting()
    alerted.world.client.sent[0].respond_whole(404, b"no such hook")
    alerted.wait(2)
    alerted.wait(10)
    assert len(alerted.posted) == 1


def test_one_of_two_places_is_enough() -> None:
    """Where the command took it, a webhook that is down has nothing sent twice."""
    alerted = alerting(config=CONFIG + "  command: [/bin/page, --now]\n")
    alerted.world.client.sent[0].respond_whole(404, b"")
    (process,) = alerted.reactor.processes
    process.exit()
    alerted.wait(2 * RETRY_SECONDS)
    assert len(alerted.posted) == len(alerted.reactor.processes) == 1
    assert [(one.target, one.ok) for one in alerted.service.report().deliveries] == [
        ("webhook at hook.test", False),
        ("command /bin/page", True),
    ]


def test_a_restart_sends_nothing_again(tmp_path: Path) -> None:
    """What was sent is kept in the state-dir; what a fresh process cannot know is not over."""
    before = alerting(state=tmp_path)
    before.world.client.sent[0].respond_whole(200, b"")
    before.service.stop()
    assert (tmp_path / "alerts.json").stat().st_mode & 0o777 == 0o600
    after = Alerted(CONFIG, state=tmp_path)
    after.wait()
    assert after.posted == []
    assert [alert.subject for alert in after.service.report().active] == ["claude-api-key[0]"]
    after.refuse_key()
    after.wait()
    assert after.posted == []
    after.heal()
    after.wait()
    assert [posted["event"] for posted in after.posted] == ["resolved"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"alerts": [1]}', b"\xff" * 99])
def test_a_broken_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    """It keeps no alert from being sent."""
    (tmp_path / "alerts.json").write_bytes(content)
    assert len(alerting(state=tmp_path).posted) == 1


def test_a_reload_keeps_what_was_sent() -> None:
    """Other settings count from the next look on, and nothing is sent again for them."""
    alerted = alerting()
    alerted.world.client.sent[0].respond_whole(200, b"")
    alerted.world.use(CONFIG + "  interval: 5s\n")
    alerted.service.use(alerted.world.generation)
    alerted.wait(5)
    alerted.wait(5)
    assert len(alerted.posted) == 1
    assert alerted.service.report().checked_at == alerted.world.wall
    alerted.world.use(BASE)
    alerted.service.use(alerted.world.generation)
    assert alerted.reactor.getDelayedCalls() == []


def test_the_end_cuts_off_what_is_under_way() -> None:
    """A service that stops waits for no webhook, and starts nothing more."""
    alerted = alerting()
    alerted.service.stop()
    assert alerted.world.client.sent[0].cancelled
    assert alerted.reactor.getDelayedCalls() == []
    alerted.wait(100)
    assert len(alerted.posted) == 1
    assert not [line for line in alerted.lines() if "Unhandled" in line]


def test_the_end_while_a_place_fails() -> None:
    """A delivery that fails because it is cut off is not tried again."""

    class Place:
        name = "webhook at x"
        sent = 0

        async def send(self, sent: Payload) -> str:
            self.sent += 1
            try:
                await Deferred()
            except CancelledError:
                raise NotDelivered("the connection was closed") from None
            return ""

    alerted, place = Alerted(), Place()
    alerted.service._targets = (place,)
    alerted.refuse_key()
    alerted.wait()
    alerted.service.stop()
    assert alerted.reactor.getDelayedCalls() == []
    assert place.sent == 1


def test_another_configuration_during_a_delivery() -> None:
    """The section may go while a webhook is awaited."""
    alerted = alerting()
    alerted.world.use(BASE)
    alerted.service.use(alerted.world.generation)
    alerted.world.client.sent[0].respond_whole(200, b"")
    assert alerted.reactor.getDelayedCalls() == []


def test_what_the_page_shows() -> None:
    """``GET /ampproxy/alerts`` shows what is active, and ``POST /ampproxy/test-alert`` sends a test."""
    import msgspec

    alerted = alerting()
    alerted.world.client.sent[0].respond_whole(200, b"")
    world: World = alerted.world
    world.generation.runtime = replace(world.generation.runtime, alerts=alerted.service)
    report = msgspec.json.decode(world.request("GET", "/ampproxy/alerts").body, type=AlertsReport)
    assert report.configured
    assert [type(alert) for alert in report.active] == [Alert]
    assert report.deliveries[0].answer == "status 200"
    testing = world.request("POST", "/ampproxy/test-alert", body=b"")
    assert alerted.posted[1]["event"] == "test"
    assert testing.answer == b""
    world.client.sent[1].respond_whole(200, b"fine")
    assert testing.status == 200
    assert b'"ok":true,"answer":"status 200: fine"' in testing.body
    assert world.request("POST", "/ampproxy/test-alert", body=b"", key=None).status == 401
    assert world.request("GET", "/ampproxy/alerts", peer="10.0.0.9").status == 403


def test_a_vendor_that_quotes_a_key(tmp_path: Path) -> None:
    """What it answers to a renewal is sent, and kept, without it."""
    status = LoginStatus(
        "a@x.test", "claude", "a.json", "needs login", False, None, "client-key-0123456789 is bad", "log in"
    )
    alerted = Alerted(state=tmp_path)
    world = alerted.world
    world.generation.runtime = replace(world.generation.runtime, login_statuses=lambda: [status])
    alerted.wait()
    (sent,) = world.client.sent
    assert b"a@x.test" in sent.body
    assert b" is bad" in sent.body
    assert b"client-key-0123456789" not in sent.body
    sent.respond_whole(200, b"")
    alerted.service.stop()
    assert b"client-key-0123456789" not in (tmp_path / "alerts.json").read_bytes()


def test_a_client_that_leaves_a_test() -> None:
    """The test goes on, and its end finds the client gone."""
    alerted = Alerted()
    world = alerted.world
    world.generation.runtime = replace(world.generation.runtime, alerts=alerted.service)
    testing = world.request("POST", "/ampproxy/test-alert", body=b"")
    testing.leave()
    world.client.sent[0].respond_whole(200, b"")
    assert testing.answer == b""
    assert not [line for line in alerted.lines() if "Unhandled" in line]


def test_no_alerts_here() -> None:
    """Without the section both paths answer so."""
    world = World(BASE)
    assert world.request("GET", "/ampproxy/alerts").body.startswith(b'{"configured":false')
    assert world.request("POST", "/ampproxy/test-alert", body=b"").status == 404
