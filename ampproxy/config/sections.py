"""The table of every setting of the file, :data:`ROOT`, and what only several of them together say."""

from __future__ import annotations

from msgspec import structs
from msgspec.structs import replace

from ampproxy.config import fields
from ampproxy.config.accounts import ACCOUNT_SETTINGS
from ampproxy.config.alerts import ALERTS
from ampproxy.config.ampcode import AMPCODE
from ampproxy.config.catalog import CATALOG
from ampproxy.config.clients import Clients
from ampproxy.config.document import Scalar, YamlMapping
from ampproxy.config.folders import default_state_dir
from ampproxy.config.learning import LEARNING, PINS
from ampproxy.config.ledger import LEDGER
from ampproxy.config.limits import LIMITS, TIMEOUTS
from ampproxy.config.neo import NEO, check_neo
from ampproxy.config.oauth import OAUTH
from ampproxy.config.oauth_models import ALIASES, EXCLUSIONS, with_models
from ampproxy.config.observing import LOGGING, METRICS
from ampproxy.config.page import PAGE
from ampproxy.config.parsing import AlreadyReported, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.payload import PAYLOAD
from ampproxy.config.schema import Config, Logging, OAuth, Routing, Streaming, Tls
from ampproxy.config.sharing import STATE, check_shared
from ampproxy.config.unsupported import UNSUPPORTED
from ampproxy.model.clients import KnownKeys
from ampproxy.wire.redact import Secret, Unseen

#: In place of a certificate or a key that cannot be read here.
UNSEEN_PEM = b"unseen"


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
        return UNSEEN_PEM
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
            return UNSEEN_PEM
    return None


def _unreadable_pem(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return "there is no such file: expected the path of a PEM file"
    return f"cannot be read: {error.strerror or type(error).__name__}"


_TLS = Section(
    _tls,
    (
        Setting("enable", fields.FLAG, "Serve HTTPS.", "false"),
        Setting("cert", fields.PATH, "Certificate chain, PEM."),
        Setting("key", fields.PATH, "Private key, PEM, without a passphrase."),
    ),
)

_KNOWN_STRATEGY = fields.choice(
    "round-robin",
    "weighted-round-robin",
    "fill-first",
    also={
        "roundrobin": "round-robin",
        "rr": "round-robin",
        "weightedroundrobin": "weighted-round-robin",
        "wrr": "weighted-round-robin",
        "fillfirst": "fill-first",
        "ff": "fill-first",
    },
)
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
    lambda found: Routing(**found.values),
    (
        Setting(
            "strategy",
            Reader(_KNOWN_STRATEGY.type, _strategy, (*_KNOWN_STRATEGY.words, *sorted(_EXPIRING_FIRST))),
            "Which of several accounts of the same priority serves: each in turn, in proportion to "
            "`weight`, or the first that can.",
            "round-robin",
        ),
        Setting(
            "session-affinity",
            fields.FLAG,
            "Pin each conversation to one account, for the vendor's prompt cache.",
            "true",
        ),
        Setting(
            "session-affinity-ttl",
            fields.duration(),
            "How long an idle conversation keeps its account.",
            "1h",
        ),
        Setting(
            "max-cooldown",
            fields.duration(),
            "The longest cooldown of an account, whatever its vendor asks for.",
            "30m",
        ),
        *PINS,
    ),
    {"session-affinity-subagents": "each conversation is pinned to one account"},
)

_STREAMING = Section(
    lambda found: Streaming(**found.values),
    (
        Setting(
            "keepalive-seconds",
            fields.COUNT,
            "After how many silent seconds a stream gets a keep-alive comment; 0 for never.",
            "15",
        ),
        Setting(
            "bootstrap-retries",
            fields.COUNT,
            "How often a stream that breaks off before its first event is retried when no other account is"
            " left. Other accounts are tried first in any case.",
            "0",
        ),
        Setting(
            "websockets",
            fields.FLAG,
            "Serve Responses over WebSockets, too; needs `ampproxy[websocket]`. Else a WebSocket is answered"
            " 426, on which Codex sends plain requests at once.",
            "false",
        ),
    ),
)


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
        values["logging"] = structs.replace(logging, level="debug")
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
    check_shared(found, config)
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
    """Client keys at CLIProxyAPI's oldest place, or under a name that is nearly theirs: who wrote some there
    does not want to serve everybody.
    """
    node = found.place.node
    if not isinstance(node, YamlMapping) or "clients" in found.places:
        return
    for entry in node:
        if entry.key.lower().replace("_", "").replace("-", "") in _NEARLY_KEYS:
            found.place.reading.complain(entry.line, entry.key, _NO_KEYS.format("them"))
    auth = node.get("auth")
    if auth is None:
        return
    if isinstance(auth.node, YamlMapping) and (providers := auth.node.get("providers")) is not None:
        found.place.reading.complain(
            providers.line,
            "auth.providers",
            _NO_KEYS.format("its keys"),
        )


#: Names that somebody meant for ``api-keys``, without what parts their words.
_NEARLY_KEYS = frozenset(("apikeys", "apikey"))
_NO_KEYS = (
    "is not read, and there are no api-keys, so every program on this machine would be served: write {} as"
    " api-keys: [KEY, ...] at the top level"
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
            fields.HOST,
            "Where to listen. Empty text for every interface; anything but this machine needs `api-keys`.",
            "127.0.0.1",
            blank=True,
        ),
        Setting("port", fields.PORT, "The port to listen on; 0 for any free one.", "8317"),
        Setting("tls", _TLS, "HTTPS towards the clients."),
        Setting(
            "allowed-hosts",
            fields.ALLOWED_HOSTS,
            "Host names under which clients may address the gateway, besides this machine's loopback "
            "names; a name with a port (`amp.example.com:443`) also admits web pages from there.",
        ),
        Setting(
            "api-keys",
            Clients(),
            "The client keys, one of which each client must send. Without any, every program on this "
            "machine is served; `[]` makes that explicit.",
            hollow=False,
            field="clients",
        ),
        Setting(
            "debug",
            fields.FLAG,
            "Log at debug level: how each model was routed, and what a translation dropped.",
            "false",
        ),
        Setting("logging", LOGGING, "What is logged, and in which format."),
        Setting("metrics", METRICS, "Where metrics are served."),
        Setting("alerts", ALERTS, "What is reported to a webhook or a command."),
        Setting("auth-dir", fields.PATH, "The folder of login files.", "~/.cli-proxy-api"),
        Setting(
            "state-dir",
            fields.PATH,
            "The folder for data that survives restarts. A change takes effect at the next restart.",
            "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/ampproxy`, else `~/.local/state/ampproxy`",
        ),
        Setting("state", STATE, "By what several processes share what they know."),
        Setting(
            "workers",
            fields.WORKERS,
            "How many processes serve; `auto` for one per processor core. A change takes effect at the next "
            "restart.",
            "1",
        ),
        Setting(
            "proxy-url",
            fields.PROXY,
            "HTTP, HTTPS or SOCKS5 proxy for connections to all vendors and to Amp.",
        ),
        Setting(
            "request-retry",
            fields.COUNT,
            "How often to wait for an account in cooldown and retry, within `max-retry-interval`.",
            "0",
        ),
        Setting(
            "max-retry-credentials", fields.COUNT, "How many accounts one request may try; 0 for all.", "0"
        ),
        Setting(
            "max-retry-interval",
            fields.COUNT,
            "How many seconds in total a request may wait for accounts in cooldown; 0 for no waiting.",
            "0",
        ),
        Setting("disable-cooling", fields.FLAG, "Never put an account into cooldown.", "false"),
        Setting(
            "force-model-prefix",
            fields.FLAG,
            "Serve the models of an account with a `prefix` only as `PREFIX/model`.",
            "false",
        ),
        Setting(
            "passthrough-headers",
            fields.FLAG,
            "Pass on a vendor's informative response headers, not just its request id and retry time.",
            "false",
        ),
        Setting("routing", _ROUTING, "How an account is chosen among several."),
        Setting("streaming", _STREAMING, "What happens during a streamed answer."),
        Setting("payload", PAYLOAD, "Rules that change request bodies before they are sent to vendors."),
        Setting("ampcode", AMPCODE, "Amp's upstream, its keys, model mappings and fallback."),
        Setting("neo", NEO, "What Amp's cloud may request through Amp's Model Routing. Experimental."),
        *ACCOUNT_SETTINGS,
        Setting("catalog", CATALOG, "What models accept and can do, to correct or extend the shipped table."),
        Setting("oauth", OAUTH, "OAuth clients and addresses for logins."),
        Setting("oauth-model-alias", ALIASES, "Aliases for models that logins serve.", field="aliases"),
        Setting(
            "oauth-excluded-models", EXCLUSIONS, "Models that logins must not serve.", field="exclusions"
        ),
        Setting("learning", LEARNING, "Learning from accounts' refusals of request members."),
        Setting("ledger", LEDGER, "The record of each exchange, for `ampproxy usage`."),
        Setting("page", PAGE, "The page at `/`, and the admin API behind it."),
        Setting("limits", LIMITS, "Limits on what a client may send and how long it may take."),
        Setting("timeouts", TIMEOUTS, "Limits on how long an upstream may take."),
        Setting(
            "translation",
            fields.choice("lenient", "strict"),
            "What to do with requests that the vendor's dialect cannot fully express: serve in part, or"
            " reject.",
            "lenient",
        ),
    ),
    UNSUPPORTED,
)
