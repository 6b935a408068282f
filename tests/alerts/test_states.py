"""What of the active alerts is sent, and when."""

from __future__ import annotations

from ampproxy.alerts.conditions import Found
from ampproxy.alerts.states import (
    MAX_ALERT_ENTRIES,
    MAX_NOTICE_ENTRIES,
    RETRY_SECONDS,
    AlertStates,
    Notice,
)
from ampproxy.status import Alert

DAY = 86400.0
LOGIN = Alert("needs-login", "claude-0", "The account claude-0 needs a login.", "run: ampproxy login", 100.0)
COOLING = Alert("all-cooling", "all accounts", "No account can serve any model.", since=100.0)
KINDS = ("needs-login", "all-cooling")


class Looks:
    def __init__(self, states: AlertStates | None = None, settle: float = 0.0) -> None:
        self.states = states or AlertStates()
        self.settle = settle

    def look(self, now: float, *active: Alert, works: bool = True, **found: frozenset) -> list[str]:  # type: ignore[type-arg]
        """The events that are sent after a look, and whether that works."""
        notices = self.states.update(
            Found(active, **found), KINDS, now, repeat=DAY, settle=lambda kind: self.settle
        )
        for notice in notices:
            (self.states.sent if works else self.states.failed)(notice, now)
        return [notice.event for notice in notices]


def test_once_then_again_then_over() -> None:
    """A new alert is sent at once, again after a day, and once more when it is over."""
    looks = Looks()
    assert looks.look(1000, LOGIN) == ["firing"]
    assert looks.look(1030, LOGIN) == []
    assert looks.look(1000 + DAY - 1, LOGIN) == []
    assert looks.look(1000 + DAY, LOGIN) == ["repeated"]
    assert looks.look(1030 + DAY, LOGIN) == []
    assert looks.look(1060 + DAY) == ["resolved"]
    assert looks.look(1090 + DAY) == []
    assert looks.look(1120 + DAY, LOGIN) == ["firing"]


def test_words_follow_and_the_beginning_stays() -> None:
    """A sentence that changes is no other alert; it keeps the time at which it began."""
    looks = Looks()
    looks.look(1000, LOGIN)
    newer = Alert("needs-login", "claude-0", "Another sentence.", since=1030.0)
    assert looks.look(1030, newer) == []
    assert looks.states.active() == (Alert("needs-login", "claude-0", "Another sentence.", since=100.0),)


def test_what_comes_and_goes_is_one_alert() -> None:
    """A cooldown that is over and begins anew within the time to settle is neither resolved nor news."""
    looks = Looks(settle=1800)
    assert looks.look(1000, COOLING) == ["firing"]
    assert looks.look(1060) == []
    assert looks.states.active() == ()
    assert looks.look(1900, COOLING) == []
    assert looks.look(2000) == []
    assert looks.look(3799) == []
    assert looks.look(3800) == ["resolved"]


def test_what_is_soon_over_is_none() -> None:
    """An alert of a kind that must last is sent when it has; what is over before leaves nothing behind."""
    states = AlertStates()

    def look(now: float, *active: Alert) -> list[str]:
        notices = states.update(
            Found(active), KINDS, now, repeat=DAY, pending=lambda kind: 60, settle=lambda kind: 1800
        )
        return [notice.event for notice in notices]

    assert look(100, COOLING) == []
    assert look(159, COOLING) == []
    assert look(160) == []
    assert list(states) == []
    assert look(190, Alert("all-cooling", "all accounts", "x", since=190)) == []
    assert look(250, Alert("all-cooling", "all accounts", "x", since=250)) == ["firing"]


def test_undelivered_is_sent_again() -> None:
    """An alert that did not arrive is still news, after a while."""
    looks = Looks()
    assert looks.look(1000, LOGIN, works=False) == ["firing"]
    assert looks.look(1030, LOGIN) == []
    assert looks.look(1000 + RETRY_SECONDS, LOGIN) == ["firing"]
    assert looks.look(2000, works=False) == ["resolved"]
    assert looks.look(2030) == []
    assert looks.look(2000 + RETRY_SECONDS) == ["resolved"]
    assert looks.look(3000) == []


def test_never_sent_is_never_resolved() -> None:
    """What was over before it arrived is not worth a word."""
    looks = Looks()
    looks.look(1000, LOGIN, works=False)
    assert looks.look(1030) == []
    assert list(looks.states) == []


def test_what_cannot_be_known_stays() -> None:
    """A file that cannot be read, or an account that no request has tried, ends no alert."""
    looks = Looks()
    looks.look(1000, LOGIN)
    assert looks.look(1030, unknown=frozenset(("needs-login",))) == []
    assert looks.look(1060, unsure=frozenset((("needs-login", "claude-0"),))) == []
    assert looks.look(1090, unsure=frozenset((("needs-login", "claude-1"),))) == ["resolved"]


def test_a_restart_sends_nothing_again() -> None:
    """Another process that knows the entries goes on where the one before was."""
    before = Looks()
    before.look(1000, LOGIN)
    after = Looks(AlertStates(before.states))
    assert after.look(1100, LOGIN) == []
    assert after.look(1000 + DAY, LOGIN) == ["repeated"]


def test_other_kinds_are_forgotten() -> None:
    """A kind that is no longer configured goes without a word."""
    states = AlertStates()
    states.sent(states.update(Found((LOGIN,)), KINDS, 1000, repeat=DAY)[0], 1000)
    assert states.update(Found(), ("all-cooling",), 1030, repeat=DAY) == []
    assert list(states) == []


def test_a_clock_that_is_set_back() -> None:
    """What was sent in the future does not keep an alert silent for longer than a day."""
    looks = Looks()
    looks.look(1e9, LOGIN)
    assert looks.look(1000, LOGIN) == []
    assert looks.look(1000 + DAY, LOGIN) == ["repeated"]


def test_bounded() -> None:
    """Of very many alerts a few are sent at a time, and only so many are known."""
    many = [Alert("needs-login", f"a{number}", "x") for number in range(MAX_ALERT_ENTRIES + 50)]
    looks = Looks()
    assert looks.look(1000, *many) == ["firing"] * MAX_NOTICE_ENTRIES
    assert looks.look(1030, *many) == ["firing"] * MAX_NOTICE_ENTRIES
    assert len(list(looks.states)) == MAX_ALERT_ENTRIES
    assert looks.states.update(Found(tuple(many)), KINDS, 1060, repeat=DAY)[0] == Notice("firing", many[20])
