"""The section ``neo``: what Amp's cloud may ask for, and with which key (Amp's Model Routing)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ampproxy.config import fields
from ampproxy.config.clients import ENTRY, client_key
from ampproxy.config.observing import ADDRESS
from ampproxy.config.parsing import (
    AlreadyReported,
    InvalidValue,
    Location,
    ParsedSection,
    Reader,
    Section,
    Setting,
)
from ampproxy.config.schema import Config
from ampproxy.model.clients import NEO_CLIENT, NEO_ROUTE, KnownKeys
from ampproxy.model.neo import Neo, Slowing
from ampproxy.wire.redact import Secret

_ROWS = {row.name: row for row in ENTRY.rows}
#: What its key has in common with an entry of ``api-keys``.
KEY_SETTINGS = ("key", "key-hash", "expires", "old-key-hash", "old-until", "models", "accounts", "limits")
#: The fields of the section that are not the key's.
_OWN = (
    "public_url",
    "tls",
    "first_sign",
    "record_shapes",
    *Slowing.__struct_fields__,
)


def _public_url(place: Location) -> str:
    """An origin: Amp's cloud appends the paths itself, so whatever stands before them cannot be served.

    :raises Wrong: it is none; or HTTP, over which the key would be sent in clear, to another machine.
    """
    text = fields.BASE_URL(place)
    parts = urlsplit(text)
    if parts.path:
        raise InvalidValue("has a path: expected such as https://gw.example.org (paths begin with /v1 there)")
    if parts.scheme != "https" and not fields.is_loopback(parts.hostname or ""):
        raise InvalidValue("begins with http://, so the key would be sent unencrypted: expected https://")
    return str(text)


def _neo(found: ParsedSection) -> Neo:
    values = found.values
    own: dict[str, Any] = {field: values[field] for field in _OWN if field in values}
    if any(map(found.broken, ("public_url", "listen"))):
        raise AlreadyReported
    if "listen" in values:
        own["host"], own["port"] = values["listen"]
        _check_clear(found, own["host"])
    return Neo(client=client_key(_of_key(found)), **own)


def _of_key(found: ParsedSection) -> ParsedSection:
    """What the section says of its key, as an entry of ``api-keys`` would."""
    fields = {row.field for name, row in _ROWS.items() if name in KEY_SETTINGS}
    values = {field: value for field, value in found.values.items() if field in fields}
    places = {field: place for field, place in found.places.items() if field in fields}
    fixed = {"name": NEO_CLIENT, "routes": (NEO_ROUTE,), "amp": False}
    return ParsedSection(found.place, {**values, **fixed}, places)


def _check_clear(found: ParsedSection, host: str) -> None:
    if not found.values.get("tls", False) and not fields.is_loopback(host):
        found.at("listen").warn(
            "can be reached from other machines without TLS, so the key is sent unencrypted unless a "
            "proxy on your own network uses HTTPS: set tls: true, or listen on 127.0.0.1"
        )


def check_neo(found: ParsedSection, config: Config) -> None:
    """See that the key for Amp's cloud is that alone, and that what its listener needs is there."""
    neo = config.neo
    if neo is None:
        return
    amp, own = config.ampcode, KnownKeys((neo.client,))
    # By hash, for either may be stored as one.
    if not set(neo.client.hashes).isdisjoint(mark for client in config.clients for mark in client.hashes):
        found.at("neo").complain("has a key that is also one of api-keys: expected one only for Amp's cloud")
    if any(client.name.lower() == NEO_CLIENT for client in config.clients):
        found.at("neo").complain(
            f"is the client {NEO_CLIENT} in log and limits: name that entry of api-keys otherwise"
        )
    reading = found.place.reading
    # A command looks at its user's environment, which is a client's as well.
    environ = Secret("" if reading.lenient else reading.environ.get("AMP_API_KEY", "").strip())
    amps: tuple[Secret | None, ...] = (
        amp.upstream_api_key,
        environ,
        *(secret for _, secret in amp.per_client_keys),
    )
    amps += tuple(client.upstream for client in config.clients)
    if any(secret in own for secret in amps):
        found.at("neo").complain("has a key that is one of Amp's own: expected one only for Amp's cloud")
    if neo.tls and config.tls is None and not found.broken("tls"):
        found.at("neo").complain(
            "has tls: true, but there is no certificate: expected the section tls with enable: true"
        )
    if neo.listen and neo.port and (neo.host, neo.port) == (config.host, config.port):
        found.at("neo").complain("is the gateway's own address: expected another port")


NEO = Section(
    _neo,
    (
        Setting(
            "public-url",
            Reader("URL", _public_url),
            "The origin at which Amp's cloud reaches the gateway, such as `https://gw.example.org`. Its "
            "host counts as one of `allowed-hosts`.",
        ),
        Setting(
            "listen",
            ADDRESS,
            "A listener that serves only the paths for Amp's cloud. Point a tunnel or a reverse proxy at it.",
            "none: served on the gateway's own listener",
        ),
        Setting(
            "tls",
            fields.FLAG,
            "Use TLS on that listener, with the certificate of the section `tls`.",
            "false",
        ),
        *(_ROWS[name] for name in KEY_SETTINGS),
        Setting(
            "first-sign",
            fields.duration(zero=True),
            "After how long a stream is started with a keep-alive if its vendor is still silent, so "
            "that no proxy in between times out; 0 for never.",
            "25s",
        ),
        Setting(
            "failure-delay",
            fields.duration(zero=True),
            "How long the 401 for a request without the key is delayed; doubled with each failure of the same"
            " peer.",
            "250ms",
        ),
        Setting(
            "failure-delay-max",
            fields.duration(zero=True),
            "The longest such delay.",
            "8s",
            field="failure_longest",
        ),
        Setting(
            "failure-reset",
            fields.duration(),
            "After this time without a failure a peer starts afresh, and the log may name it again.",
            "1h",
        ),
        Setting(
            "failure-peers",
            fields.POSITIVE,
            "Maximum number of peers remembered; those whose last failure is oldest are dropped.",
            "1024",
        ),
        Setting(
            "failure-waiting",
            fields.COUNT,
            "Maximum number of requests delayed at a time; others get their 401 at once.",
            "64",
        ),
        Setting(
            "failure-log",
            fields.COUNT,
            "Maximum number of peers that the log names within `failure-reset`.",
            "20",
            field="failure_logged",
        ),
        Setting(
            "record-shapes",
            fields.FLAG,
            "Log for each request the names of its headers and members, with types and sizes; never a value.",
            "false",
        ),
    ),
)
