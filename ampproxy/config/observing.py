"""``logging`` and ``metrics``: what the service tells of itself."""

from __future__ import annotations

import re
from typing import Any

from ampproxy.config import fields
from ampproxy.config.parsing import InvalidValue, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.schema import Logging, Metrics

_FORMATS = {"text": "text", "json": "json"}
_LEVELS = {
    "debug": "debug",
    "info": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
}
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})\Z")
_EXPECTED = "an address with a port, such as 127.0.0.1:9317 or [::1]:9317"


def _address(place: Location) -> tuple[str, int]:
    """``HOST:PORT``; an IPv6 address in brackets."""
    text = place.text(_EXPECTED)
    found = _ADDRESS.match(text)
    if found is None or int(found[3]) > 65535:
        raise InvalidValue(f"expected {_EXPECTED}")
    return found[1] or found[2], int(found[3])


#: Where something listens that is not the gateway itself.
ADDRESS = Reader("an address with a port", _address)


def _metrics(found: ParsedSection) -> Metrics:
    values: dict[str, Any] = dict(found.values)
    if "listen" in values:
        values["host"], values["port"] = values.pop("listen")
    metrics = Metrics(**values)
    if metrics.enable and not fields.is_loopback(metrics.host):
        found.at("listen").warn(
            "can be reached from other machines, and metrics are shown without a key: they hold the names"
            " of models and accounts, and how much they are used"
        )
    return metrics


LOGGING = Section(
    lambda found: Logging(**found.values),
    (
        Setting(
            "format",
            "format",
            fields.choice(_FORMATS),
            "Lines for people, or a JSON object in each line.",
            "text",
        ),
        Setting(
            "level",
            "level",
            fields.choice(_LEVELS),
            "Minimum level logged. `warn` and `error` leave out the line of each exchange; `debug` is the"
            " same as `debug: true`, which wins over what stands here.",
            "info",
        ),
        Setting(
            "rotate-size",
            "rotate_size",
            fields.SIZE,
            "Rotate the `--logfile` file to `FILE.1` when it exceeds this size.",
            "10MiB",
        ),
        Setting(
            "rotate-keep",
            "rotate_keep",
            fields.COUNT,
            "So many files that were set aside are kept; 0: the file is never set aside, which leaves it to"
            " logrotate.",
            "9",
        ),
        Setting(
            "buffer",
            "buffer",
            fields.SIZE,
            "How much of the log is buffered while its reader or disk does not respond. Lines beyond it"
            " are dropped and counted.",
            "4MiB",
        ),
        Setting(
            "stall",
            "stall",
            fields.duration(),
            "Log a warning, with the code that ran, when something blocks all streams for this long.",
            "250ms",
        ),
    ),
)

METRICS = Section(
    _metrics,
    (
        Setting(
            "enable", "enable", fields.FLAG, "Show metrics to Prometheus, on a port of their own.", "true"
        ),
        Setting(
            "listen",
            "listen",
            ADDRESS,
            "Where `/metrics` is. If the port is taken, the service starts without it, logs a warning and"
            " retries.",
            "127.0.0.1:9317",
        ),
        Setting(
            "max-models",
            "max_models",
            fields.POSITIVE,
            "Maximum number of distinct model labels; the rest are reported as `other`.",
            "100",
        ),
    ),
)
