"""The section ``page``: the page of the gateway's owner, and the admin API behind it."""

from __future__ import annotations

from ampproxy.config import fields
from ampproxy.config.parsing import Setting
from ampproxy.config.switched import SectionOrFlag
from ampproxy.model.page import Page

PAGE = SectionOrFlag(
    lambda found: Page(**found.values),
    (
        Setting(
            "enable", fields.FLAG, "Serve the page. `page: false` is the same as `enable: false`.", "true"
        ),
        Setting(
            "ask-key",
            fields.FLAG,
            "Ask for a client key on this machine, too, where the browser runs as the user of the service.",
            "false",
        ),
        Setting("session", fields.duration(), "How long a browser that presented a key is let in.", "12h"),
        Setting(
            "max-sessions",
            fields.POSITIVE,
            "How many browsers may be logged in; a further one logs the first out.",
            "100",
        ),
        Setting(
            "max-watching",
            fields.POSITIVE,
            "How many pages may watch requests as they happen at a time.",
            "16",
        ),
        Setting(
            "recent",
            fields.POSITIVE,
            "How many requests that have ended are kept in memory for the page.",
            "100",
        ),
        Setting("max-rows", fields.POSITIVE, "The most rows of the ledger in one answer.", "200"),
        Setting(
            "doctor-timeout", fields.duration(), "How long the doctor may take that the page starts.", "2m"
        ),
    ),
    flag=lambda enable: Page(enable=enable),
)
