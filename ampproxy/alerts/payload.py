"""What is sent of an alert: one shape for webhooks and commands, which does not lose members."""

from __future__ import annotations

import msgspec

from ampproxy.alerts.states import Notice
from ampproxy.model.alerts import KINDS

VERSION = 1
#: Discord takes 2,000 characters.
_MAX_TEXT_CHARS = 1900
_BEGINNINGS = {"firing": "", "repeated": "still: ", "resolved": "resolved: ", "test": "test: "}


class Payload(msgspec.Struct, frozen=True):
    """An alert as JSON. docs/alerts.md describes the members.

    :param event: ``firing``, ``repeated``, ``resolved`` or ``test``.
    :param at: when it was sent, in seconds since the epoch; so is ``since``, when it began.
    :param host: the name of the gateway's machine.
    :param text: all of it, for services that show that member; ``content`` is the same for others.
    """

    version: int
    event: str
    kind: str
    title: str
    subject: str
    message: str
    suggestion: str
    since: float
    at: float
    host: str
    text: str
    content: str


def payload(notice: Notice, host: str, now: float) -> Payload:
    """What is sent of a notice.

    :param now: seconds since the epoch.
    """
    alert = notice.alert
    todo = f"\nTo do: {alert.suggestion}" if alert.suggestion and notice.event != "resolved" else ""
    text = f"ampproxy on {host}: {_BEGINNINGS[notice.event]}{alert.message}{todo}"[:_MAX_TEXT_CHARS]
    return Payload(
        version=VERSION,
        event=notice.event,
        kind=alert.kind,
        title=KINDS.get(alert.kind, "a test").replace("`", ""),
        subject=alert.subject,
        message=alert.message,
        suggestion=alert.suggestion,
        since=round(alert.since, 3),
        at=round(now, 3),
        host=host,
        text=text,
        content=text,
    )
