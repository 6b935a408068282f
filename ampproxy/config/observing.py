"""``logging`` and ``metrics``: what the service tells of itself."""

from __future__ import annotations

from typing import Any

from ampproxy.config import fields
from ampproxy.config.parsing import InvalidValue, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.schema import Logging, Metrics
from ampproxy.wire.late import LatePattern

_ADDRESS = LatePattern(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})\Z")
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
            "can be reached from other machines, and metrics are served without a key: they contain the "
            "names of models and accounts, and how much they are used"
        )
    return metrics


LOGGING = Section(
    lambda found: Logging(**found.values),
    (
        Setting(
            "format", fields.choice("text", "json"), "Lines of text, or one JSON object per line.", "text"
        ),
        Setting(
            "level",
            fields.choice("debug", "info", "warn", "error", also={"warning": "warn"}),
            "Minimum level logged. `warn` and `error` omit the line of each exchange; `debug` is the "
            "same as `debug: true`, which overrides this setting.",
            "info",
        ),
        Setting(
            "rotate-size",
            fields.SIZE,
            "Rotate the `--logfile` file to `FILE.1` when it exceeds this size.",
            "10MiB",
        ),
        Setting(
            "rotate-keep",
            fields.COUNT,
            "How many rotated files are kept; 0 disables rotation, for use with logrotate.",
            "9",
        ),
        Setting(
            "buffer",
            fields.SIZE,
            "How much of the log is buffered while its reader or disk does not respond. Further lines "
            "are dropped and counted.",
            "4MiB",
        ),
        Setting(
            "stall",
            fields.duration(),
            "Log a warning, with the running code, when something blocks all streams for this long.",
            "250ms",
        ),
    ),
)

METRICS = Section(
    _metrics,
    (
        Setting("enable", fields.FLAG, "Serve metrics to Prometheus, on a separate port.", "true"),
        Setting(
            "listen",
            ADDRESS,
            "The address of `/metrics`. If the port is taken, the service starts without it, logs a "
            "warning and retries.",
            "127.0.0.1:9317",
        ),
        Setting(
            "max-models",
            fields.POSITIVE,
            "Maximum number of distinct model labels; the rest are reported as `other`.",
            "100",
        ),
    ),
)
