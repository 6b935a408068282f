"""``limits`` and ``timeouts``: what a client may send, and how long it and an upstream may take."""

from __future__ import annotations

from ampproxy.config import fields
from ampproxy.config.parsing import Section, Setting
from ampproxy.config.schema import Limits, Timeouts

LIMITS = Section(
    lambda found: Limits(**found.values),
    (
        Setting("max-body", fields.SIZE, "The largest request body.", "64MiB"),
        Setting(
            "max-headers",
            fields.POSITIVE,
            "The most header lines of a request, and the most trailers.",
            "100",
        ),
        Setting(
            "max-header-bytes",
            fields.SIZE,
            "The maximum size of a request's head, including its first line, and of the trailers and "
            "chunk extensions of its body.",
            "64KiB",
        ),
        Setting(
            "header-timeout", fields.duration(), ("How long a request's headers may take to arrive."), "10s"
        ),
        Setting("body-timeout", fields.duration(), "How long a request's body may pause.", "60s"),
        Setting("idle-timeout", fields.duration(), "How long an idle connection is kept.", "75s"),
        Setting(
            "answer-timeout", fields.duration(), "How long a client may go without reading its answer.", "5m"
        ),
        Setting("max-answer", fields.SIZE, "The largest whole (not streamed) answer.", "64MiB"),
        Setting(
            "max-held",
            fields.SIZE,
            "The total size of all request bodies and whole answers held in memory.",
            "512MiB",
        ),
        Setting(
            "max-remembered",
            fields.SIZE,
            "The total size of parts of translated answers that are kept because clients of Responses may"
            " refer to them by id; the oldest are dropped.",
            "32MiB",
        ),
        Setting("remember-for", fields.duration(), "How long such a part is kept.", "1h"),
        Setting(
            "max-stored",
            fields.SIZE_OR_NOTHING,
            "The total size of whole translated answers that are kept, with their questions, so that clients"
            " of Responses may go on from them (`previous_response_id`) or fetch them; the oldest are"
            " dropped. 0: none is kept.",
            "0",
        ),
        Setting("store-for", fields.duration(), "How long such an answer is kept.", "24h"),
    ),
)

TIMEOUTS = Section(
    lambda found: Timeouts(**found.values),
    (
        Setting("connect", fields.duration(), "How long connecting to an upstream may take.", "10s"),
        Setting("first-byte", fields.duration(), "How long an upstream's answer may take to begin.", "10m"),
        Setting("idle", fields.duration(), "How long an answer may pause.", "5m"),
        Setting("tunnel-idle", fields.duration(), "How long both sides of a WebSocket may be silent.", "1h"),
        Setting(
            "grace",
            fields.duration(zero=True),
            "How long running exchanges may continue after SIGTERM.",
            "30s",
        ),
        Setting(
            "drain",
            fields.duration(zero=True),
            "How long they may continue in a process that `ampproxy restart` has replaced.",
            "10m",
        ),
        Setting(
            "worker",
            fields.duration(),
            "How long one of several `workers` may give no sign of life until it is killed and replaced.",
            "20s",
        ),
    ),
)
