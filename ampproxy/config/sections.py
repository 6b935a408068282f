"""The table of every setting of the file, :data:`ROOT`, and what only several of them together say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ampproxy.config import fields
from ampproxy.config.accounts import ACCOUNT_SETTINGS
from ampproxy.config.ampcode import AMPCODE
from ampproxy.config.catalog import CATALOG
from ampproxy.config.clients import Clients
from ampproxy.config.document import Scalar, YamlMapping
from ampproxy.config.folders import default_state_dir
from ampproxy.config.learning import LEARNING, PINS
from ampproxy.config.ledger import LEDGER
from ampproxy.config.neo import NEO, check_neo
from ampproxy.config.oauth import OAUTH
from ampproxy.config.oauth_models import ALIASES, EXCLUSIONS, with_models
from ampproxy.config.observing import LOGGING, METRICS
from ampproxy.config.parsing import AlreadyReported, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.payload import PAYLOAD
from ampproxy.config.schema import Config, Limits, Logging, OAuth, Routing, Streaming, Timeouts, Tls
from ampproxy.config.unsupported import UNSUPPORTED
from ampproxy.model.clients import KnownKeys
from ampproxy.wire.redact import Secret, Unseen


def _fields(cls: Callable[..., Any]) -> Callable[[ParsedSection], Any]:
    """Build ``cls`` from what was found; absent settings keep its defaults."""
    return lambda found: cls(**found.values)


def _tls(found: ParsedSection) -> Tls | None:
    if not found.values.get("enable", False):
        return None
    pems = [_pem(found, field) for field in ("cert", "key")]
    chain, secret = pems
    if chain is None or secret is None:
        raise AlreadyReported
    return Tls(cert=found.values["cert"], key=found.values["key"], chain=chain, secret=secret)


def _pem(found: ParsedSection, field: str) -> bytes | None:
    """What the file of that setting holds; ``None`` if that was complained about."""
    if found.values.get(field) == fields.UNSEEN_PATH:
        return b"unseen"
    if field not in found.places:
        found.place.complain(f"{field} is missing: with enable: true, cert and key must name PEM files")
    elif field in found.values:
        try:
            return found.place.reading.read_pem(found.values[field])
        except OSError as error:
            if found.place.reading.lenient and isinstance(error, PermissionError):
                found.at(field).missing(f"{found.values[field]}: {error.strerror}")
            elif found.place.reading.pems:
                found.at(field).complain(_unreadable_pem(error))
                return None
            return b"unseen"
    return None


def _unreadable_pem(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return "there is no such file: expected the path of a PEM file"
    return f"cannot be read: {error.strerror or type(error).__name__}"


_TLS = Section(
    _tls,
    (
        Setting("enable", "enable", fields.FLAG, "Serve HTTPS.", "false"),
        Setting("cert", "cert", fields.PATH, "Certificate chain, PEM."),
        Setting("key", "key", fields.PATH, "Private key, PEM, without a passphrase."),
    ),
)

_STRATEGIES = {
    "round-robin": "round-robin",
    "roundrobin": "round-robin",
    "rr": "round-robin",
    "weighted-round-robin": "weighted-round-robin",
    "weightedroundrobin": "weighted-round-robin",
    "wrr": "weighted-round-robin",
    "fill-first": "fill-first",
    "fillfirst": "fill-first",
    "ff": "fill-first",
}

_KNOWN_STRATEGY = fields.choice(_STRATEGIES)
#: A strategy of CLIProxyAPI 8 that is not there.
_EXPIRING_FIRST = {"expiring-first", "expiringfirst"}


def _strategy(place: Location) -> str:
    if isinstance(place.node, Scalar) and place.node.text.strip().lower() in _EXPIRING_FIRST:
        place.warn(
            "expiring-first is not supported by ampproxy and counts as round-robin: few vendors report when"
            " an account's allowance ends"
        )
        return "round-robin"
    strategy: str = _KNOWN_STRATEGY(place)
    return strategy


_ROUTING = Section(
    _fields(Routing),
    (
        Setting(
            "strategy",
            "strategy",
            Reader(_KNOWN_STRATEGY.type, _strategy),
            "Which of several accounts of one priority serves: each in turn, each by its `weight`, or the"
            " first that can.",
            "round-robin",
        ),
        Setting(
            "session-affinity",
            "session_affinity",
            fields.FLAG,
            "Pin each conversation to one account, for the vendor's prompt cache.",
            "true",
        ),
        Setting(
            "session-affinity-ttl",
            "session_affinity_ttl",
            fields.duration(),
            "How long a silent conversation keeps its account.",
            "1h",
        ),
        Setting(
            "max-cooldown",
            "max_cooldown",
            fields.duration(),
            "The longest cooldown of an account, whatever its vendor asks for.",
            "30m",
        ),
        *PINS,
    ),
    {"session-affinity-subagents": "each conversation is kept on an account of its own"},
)

_STREAMING = Section(
    _fields(Streaming),
    (
        Setting(
            "keepalive-seconds",
            "keepalive_seconds",
            fields.COUNT,
            "Send a comment into a stream that is silent for so long; 0 for never.",
            "15",
        ),
        Setting(
            "bootstrap-retries",
            "bootstrap_retries",
            fields.COUNT,
            "How often a stream that breaks off before its first event is asked again where no other account"
            " is left. The others are asked first in any case.",
            "0",
        ),
    ),
)

_LIMITS = Section(
    _fields(Limits),
    (
        Setting("max-body", "max_body", fields.SIZE, "The largest request body.", "64MiB"),
        Setting(
            "max-headers",
            "max_headers",
            fields.POSITIVE,
            "The most header lines of a request; likewise its trailers.",
            "100",
        ),
        Setting(
            "max-header-bytes",
            "max_header_bytes",
            fields.SIZE,
            "The size of a request's head, from its first line on; likewise of the trailers and chunk"
            " extensions of its body.",
            "64KiB",
        ),
        Setting("header-timeout", "header_timeout", fields.duration(), "How long headers may take.", "10s"),
        Setting("body-timeout", "body_timeout", fields.duration(), "How long a body may pause.", "60s"),
        Setting(
            "idle-timeout", "idle_timeout", fields.duration(), "How long an idle connection is kept.", "75s"
        ),
        Setting(
            "answer-timeout",
            "answer_timeout",
            fields.duration(),
            "How long a client may take nothing of its answer.",
            "5m",
        ),
        Setting("max-answer", "max_answer", fields.SIZE, "The largest whole (not streamed) answer.", "64MiB"),
        Setting(
            "max-held", "max_held", fields.SIZE, "All request bodies and whole answers together.", "512MiB"
        ),
        Setting(
            "max-remembered",
            "max_remembered",
            fields.SIZE,
            "Parts of translated answers that clients of Responses may refer to by their ids; the oldest are"
            " dropped.",
            "32MiB",
        ),
        Setting(
            "remember-for",
            "remember_for",
            fields.duration(),
            "How long such a part is remembered.",
            "1h",
        ),
    ),
)

_TIMEOUTS = Section(
    _fields(Timeouts),
    (
        Setting(
            "connect", "connect", fields.duration(), "How long connecting to an upstream may take.", "10s"
        ),
        Setting(
            "first-byte", "first_byte", fields.duration(), "How long its answer may take to begin.", "10m"
        ),
        Setting("idle", "idle", fields.duration(), "How long an answer may pause.", "5m"),
        Setting(
            "tunnel-idle",
            "tunnel_idle",
            fields.duration(),
            "How long both sides of a WebSocket may be silent.",
            "1h",
        ),
        Setting(
            "grace",
            "grace",
            fields.duration(zero=True),
            "How long running exchanges may go on after SIGTERM.",
            "30s",
        ),
        Setting(
            "drain",
            "drain",
            fields.duration(zero=True),
            "How long they may go on in a process that `ampproxy restart` has replaced.",
            "10m",
        ),
    ),
)

_TRANSLATIONS = {"lenient": "lenient", "strict": "strict"}


def _config(found: ParsedSection) -> Config:
    values = found.values
    kinds = [row.field for row in ACCOUNT_SETTINGS]
    accounts = [account for kind in kinds for account in values.pop(kind, ())]
    accounts.sort(key=lambda account: account.line)
    if values.get("disable_cooling", False):
        accounts = [replace(account, disable_cooling=True) for account in accounts]
    for absent in [field for field, value in values.items() if value is None]:
        del values[absent]
    if values.get("proxy_url") == "direct":
        del values["proxy_url"]
    values["oauth"] = with_models(
        values.get("oauth", OAuth()), values.pop("aliases", {}), values.pop("exclusions", {})
    )
    # Two ways to say one thing.
    logging = values.get("logging", Logging())
    if values.get("debug", False):
        values["logging"] = replace(logging, level="debug")
    values["debug"] = values.get("debug", False) or logging.level == "debug"
    values.setdefault("auth_dir", found.place.reading.home / ".cli-proxy-api")
    values.setdefault("state_dir", default_state_dir(found.place.reading.environ, found.place.reading.home))
    places = {row.name: found.places[row.field] for row in ROOT.rows if row.field in found.places}
    config = Config(
        accounts=tuple(accounts),
        lines={name: place.line for name, place in places.items()},
        written={name: place.key for name, place in places.items() if place.key != name},
        keyless="clients" in values and not values["clients"],
        **values,
    )
    _check_reach(found, config)
    _check_providers(found)
    _check_client_keys(found, config)
    check_neo(found, config)
    return config


def _check_reach(found: ParsedSection, config: Config) -> None:
    """Whoever can reach the listener spends the accounts: without keys, that is this machine only."""
    if config.clients or found.broken("clients") or fields.is_loopback(config.host):
        return
    where = (
        f"{config.host!r} can be reached"
        if config.host
        else "an empty host listens on every interface and can be reached"
    )
    found.at("host").complain(
        f"{where} from other machines, and there are no api-keys, so anyone who can reach it could use"
        " your accounts: add api-keys, or set host to 127.0.0.1"
    )


def _check_providers(found: ParsedSection) -> None:
    """Client keys at CLIProxyAPI's oldest place: who wrote some there does not want to serve everybody."""
    node = found.place.node
    auth = node.get("auth") if isinstance(node, YamlMapping) else None
    if auth is None or "clients" in found.places:
        return
    if isinstance(auth.node, YamlMapping) and (providers := auth.node.get("providers")) is not None:
        found.place.reading.complain(
            providers.line,
            "auth.providers",
            "is not read, and there are no api-keys, so every program on this machine would be served: write"
            " its keys as api-keys: [KEY, ...] at the top level",
        )


def _check_client_keys(found: ParsedSection, config: Config) -> None:
    """An upstream key for a client that cannot exist is likely a slip; a client's key must not go to Amp."""
    if found.broken("clients"):
        return
    amp, known = config.ampcode, KnownKeys(config.clients)
    configured = (
        ("upstream-api-key", amp.upstream_api_key),
        *(("upstream-api-keys", own) for _, own in amp.per_client_keys),
    )
    for key in dict.fromkeys(key for key, secret in configured if secret in known):
        found.at("ampcode").complain_below(key, _CLIENT_KEY_UPSTREAM)
    for client in config.clients:
        if client.upstream in known:
            found.place.reading.complain(client.line, "api-keys[].upstream-api-key", _CLIENT_KEY_UPSTREAM)
    _check_environment(found, config, known)
    owners = [client for client, _ in amp.per_client_keys]
    strangers = sum(owner not in known for owner in owners)
    if strangers and not any(isinstance(key, Unseen) for key in (*owners, *config.api_keys)):
        found.at("ampcode").reading.warn(
            found.at("ampcode").line,
            "ampcode.upstream-api-keys",
            f"{strangers} of its client keys are not listed in api-keys and will never match",
        )


_CLIENT_KEY_UPSTREAM = (
    "is one of api-keys: a client's key must not be sent to Amp. Name Amp's own key here, or give the client"
    " another one"
)


def _check_environment(found: ParsedSection, config: Config, known: KnownKeys) -> None:
    """``AMP_API_KEY`` is the upstream key where the file names none; clients have it for the gateway's key.

    An error for the service. A command looks at its user's own environment, which is a client's as well.
    """
    reading, amp = found.place.reading, config.ampcode
    text = reading.environ.get("AMP_API_KEY", "").strip()
    if not (amp.upstream_url and not amp.upstream_api_key and Secret(text) in known):
        return
    message = (
        "AMP_API_KEY in the environment is one of api-keys, and a client's key must not be sent to Amp: set"
        " upstream-api-key to Amp's own key, such as ${AMP_UPSTREAM_API_KEY}"
    )
    if reading.lenient:
        found.at("ampcode").warn(message)
    else:
        found.at("ampcode").complain(message)


ROOT = Section(
    _config,
    (
        Setting(
            "host",
            "host",
            fields.HOST,
            "Where to listen. Empty text for every interface; anything but this machine needs `api-keys`.",
            "127.0.0.1",
            blank=True,
        ),
        Setting("port", "port", fields.PORT, "The port to listen on; 0 for any free one.", "8317"),
        Setting("tls", "tls", _TLS, "HTTPS towards the clients."),
        Setting(
            "allowed-hosts",
            "allowed_hosts",
            fields.ALLOWED_HOSTS,
            "Names under which clients may address the gateway, besides this machine's own loopback names;"
            " with a port (`amp.example.com:443`) also web pages there may.",
        ),
        Setting(
            "api-keys",
            "clients",
            Clients(),
            "The keys that clients must send one of. Without any, every program on this machine is served;"
            " `[]` makes that explicit.",
            hollow=False,
        ),
        Setting(
            "debug",
            "debug",
            fields.FLAG,
            "Log at debug level: how each model was routed, and what a translation dropped.",
            "false",
        ),
        Setting("logging", "logging", LOGGING, "What the log holds and how it is written."),
        Setting("metrics", "metrics", METRICS, "Where metrics are shown."),
        Setting("auth-dir", "auth_dir", fields.PATH, "The folder of login files.", "~/.cli-proxy-api"),
        Setting(
            "state-dir",
            "state_dir",
            fields.PATH,
            "The folder of what is kept across restarts. A change waits for a restart.",
            "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/ampproxy`, else `~/.local/state/ampproxy`",
        ),
        Setting(
            "proxy-url",
            "proxy_url",
            fields.PROXY,
            "HTTP, HTTPS or SOCKS5 proxy on the way to all vendors and to Amp.",
        ),
        Setting(
            "request-retry",
            "request_retry",
            fields.COUNT,
            "How often to wait for an account in cooldown and retry, within `max-retry-interval`.",
            "0",
        ),
        Setting(
            "max-retry-credentials",
            "max_retry_credentials",
            fields.COUNT,
            "How many accounts one request may try; 0 for all.",
            "0",
        ),
        Setting(
            "max-retry-interval",
            "max_retry_interval",
            fields.COUNT,
            "How many seconds a request may wait for accounts in cooldown, in all; 0 for no waiting.",
            "0",
        ),
        Setting(
            "disable-cooling",
            "disable_cooling",
            fields.FLAG,
            "Never put an account into cooldown.",
            "false",
        ),
        Setting(
            "force-model-prefix",
            "force_model_prefix",
            fields.FLAG,
            "Serve the models of an account with a `prefix` only as `PREFIX/model`.",
            "false",
        ),
        Setting(
            "passthrough-headers",
            "passthrough_headers",
            fields.FLAG,
            "Pass a vendor's informative response headers on; without it only its request id and"
            " when to retry.",
            "false",
        ),
        Setting("routing", "routing", _ROUTING, "How one of several accounts is chosen."),
        Setting("streaming", "streaming", _STREAMING, "What happens during a streamed answer."),
        Setting("payload", "payload", PAYLOAD, "Rules that change what the vendors are sent."),
        Setting("ampcode", "ampcode", AMPCODE, "What concerns Amp: its upstream, its keys, model mappings."),
        Setting("neo", "neo", NEO, "What Amp's cloud may ask for, by Amp's Model Routing. Experimental."),
        *ACCOUNT_SETTINGS,
        Setting("catalog", "catalog", CATALOG, "What models take and can do, where you know better."),
        Setting("oauth", "oauth", OAUTH, "How logins are made and used."),
        Setting("oauth-model-alias", "aliases", ALIASES, "Other names of models that logins serve."),
        Setting("oauth-excluded-models", "exclusions", EXCLUSIONS, "Models that no login serves."),
        Setting("learning", "learning", LEARNING, "What accounts teach by refusing a member of a request."),
        Setting("ledger", "ledger", LEDGER, "What is kept of each exchange, for `ampproxy usage`."),
        Setting("limits", "limits", _LIMITS, "What a client may send, and how long it may take."),
        Setting("timeouts", "timeouts", _TIMEOUTS, "How long an upstream may take."),
        Setting(
            "translation",
            "translation",
            fields.choice(_TRANSLATIONS),
            "What to do with requests that the vendor's dialect cannot fully express: serve in part, or"
            " reject.",
            "lenient",
        ),
    ),
    UNSUPPORTED,
)
