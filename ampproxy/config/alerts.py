"""The section ``alerts``: who is alerted of what."""

from __future__ import annotations

from ampproxy.config import fields
from ampproxy.config.parsing import (
    AlreadyReported,
    InvalidValue,
    ListOf,
    Location,
    ParsedSection,
    Reader,
    Section,
    Setting,
)
from ampproxy.model.alerts import KINDS, Alerts, Argv
from ampproxy.wire.redact import Secret, Unseen


def _webhook(place: Location) -> Secret:
    """A URL, whole in a variable or a file as well: of most services, who knows it may post there."""
    secret: Secret = fields.GIVEN_SECRET(place)
    if not isinstance(secret, Unseen) and fields.check_url(secret.reveal()).fragment:
        raise InvalidValue("has a fragment (#...), which is never sent: remove it")
    return secret


def _argv(place: Location) -> Argv:
    words = _WORDS(place)
    if not words or not words[0]:
        raise InvalidValue("is empty: expected a program and its arguments, such as [notify-send, ampproxy]")
    return Argv(words[0], tuple(words[1:]))


def _kinds(place: Location) -> tuple[str, ...]:
    found: tuple[str, ...] = tuple(dict.fromkeys(_KINDS(place)))
    if not found:
        raise InvalidValue(f"is empty: expected some of {', '.join(KINDS)}, or leave it out for all")
    return found


def _alerts(found: ParsedSection) -> Alerts:
    if not {"webhook", "command"} & found.places.keys():
        found.place.complain("names neither a webhook nor a command: expected one of them, or both")
        raise AlreadyReported
    headers: tuple[tuple[str, str], ...] = found.values.get("headers", ())
    if any(value.startswith("$") for _, value in headers):
        found.at("headers").complain("has a value that begins with $: no client's header can be copied here")
        raise AlreadyReported
    if headers and "webhook" not in found.places:
        found.at("headers").warn("has no effect without webhook")
    return Alerts(**found.values)


_WORDS = ListOf(fields.TEXT, "a program and its arguments")
_KINDS = ListOf(fields.choice(*KINDS), "a list of kinds of alerts")

ALERTS = Section(
    _alerts,
    (
        Setting(
            "webhook",
            Reader("URL, or file:/path", _webhook),
            "Where each alert is posted as JSON. Treated as a secret: `${ENV_VAR}` and `file:/path` work.",
        ),
        Setting(
            "webhook-headers",
            fields.HEADERS,
            "Headers of these requests, such as `Authorization`.",
            field="headers",
        ),
        Setting(
            "command",
            Reader("a program and its arguments", _argv),
            "What is run for each alert, without a shell: JSON on its standard input, `AMPPROXY_ALERT_*` in"
            " its environment.",
        ),
        Setting("on", Reader("a list of kinds of alerts", _kinds), "Which alerts are sent.", "all kinds"),
        Setting(
            "repeat", fields.duration(), "After how long an alert that is still active is sent again.", "24h"
        ),
        Setting("interval", fields.duration(), "How often the service looks.", "30s"),
        Setting(
            "timeout",
            fields.duration(),
            "How long one delivery may take, to the webhook or by the command.",
            "10s",
        ),
    ),
)
