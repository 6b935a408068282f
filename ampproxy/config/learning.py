"""The section ``learning``: what accounts teach by refusing a member of a request; and what ``routing`` has
of what their vendors keep.
"""

from __future__ import annotations

from ampproxy.config import fields
from ampproxy.config.parsing import Setting
from ampproxy.config.schema import Learning
from ampproxy.config.switched import SectionOrFlag

LEARNING = SectionOrFlag(
    lambda found: Learning(**found.values),
    (
        Setting(
            "enable",
            fields.FLAG,
            "Repeat a request once without what the account refused, and remember the refusal. "
            "`learning: false` is the same as `enable: false`.",
            "true",
        ),
        Setting("max-age", fields.duration(), "How long a refusal is remembered.", "7d"),
        Setting(
            "max-lessons",
            fields.POSITIVE,
            "How many refused members and values are remembered; the oldest are forgotten first.",
            "1000",
        ),
    ),
    flag=lambda enable: Learning(enable=enable),
)

#: In the section ``routing``: which account has what its vendor stored.
PINS = (
    Setting(
        "pin-ttl",
        fields.duration(),
        "How long the gateway remembers which account stores a response, conversation, file or container.",
        "30d",
    ),
    Setting(
        "max-pins",
        fields.COUNT,
        "For how many of these it remembers the account; the oldest are forgotten first. 0: for none.",
        "20000",
    ),
)
