"""The whole configuration as frozen values. Parsed once; swapped whole on reload.

Times are seconds, sizes are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias

import msgspec

from ampproxy.catalog.families import Families, Override, known
from ampproxy.model.alerts import Alerts
from ampproxy.model.base import Guarded, Noted, Value
from ampproxy.model.clients import ClientKey
from ampproxy.model.ledger import Ledger
from ampproxy.model.neo import Neo
from ampproxy.model.page import Page
from ampproxy.model.payload import Payload
from ampproxy.model.sharing import StateSettings
from ampproxy.wire.redact import Secret, Unseen

#: What an account is: a name of :data:`ampproxy.catalog.kinds.KINDS`.
AccountKind: TypeAlias = str


class TokenSource(Protocol):
    """Where a login's access token comes from. It is asked for each request, for tokens are renewed."""

    def current(self) -> Secret:
        """The token as it is now.

        :raises ampproxy.errors.UpstreamFault: there is none that could serve; says what would help.
        """

    def refused(self, token: Secret) -> None:
        """The vendor answered 401 to a request with this token: it should be renewed."""


class Tls(Guarded, frozen=True, kw_only=True):
    """Certificate chain and private key of the listener, PEM files.

    :param chain: what ``cert`` held when the configuration was read; empty: nobody has looked yet.
    :param secret: likewise of ``key``.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("chain", "secret"))

    cert: Path
    key: Path
    chain: bytes = b""
    secret: bytes = b""


class ModelName(Value, frozen=True, kw_only=True):
    """A model of an account: the vendor's name and the one that clients see and ask for."""

    name: str
    alias: str

    @property
    def visible(self) -> str:
        """The id that clients use."""
        return self.alias or self.name


class ModelAlias(Value, frozen=True, kw_only=True):
    """``oauth-model-alias``: another name of a model of a login's.

    :param fork: whether it keeps its own name beside that.
    """

    name: str
    alias: str
    fork: bool = False


class Account(Guarded, frozen=True, kw_only=True):
    """One credential at one vendor.

    :param label: how logs and errors name it; never holds a secret: ``claude-api-key[0]``,
        ``openai-compatibility/local[1]``.
    :param kind: the section it comes from, or the login that it is.
    :param dialect: what its backend speaks (see :mod:`ampproxy.model.base`).
    :param base_url: without a trailing slash.
    :param models: empty: whatever the vendor's family pattern says.
    :param aliases: of a login: other names of models that ``models`` does not list.
    :param excluded_models: lower-case wildcard patterns against the visible id.
    :param proxy_url: ``None``: the global one; ``direct``: none at all. It may hold a password and a
        header may be a credential, so ``repr`` shows neither.
    :param unended: whether its streams are whole though they give no finish reason.
    :param profile: the host profile that holds for it; empty: its address's.
    :param weight: its share of the requests where ``routing.strategy`` is ``weighted-round-robin``.
    :param learning: whether what it refuses is learned, where ``learning`` says so.
    :param line: where it stands in the file.
    :param token: of a login, in place of ``api_key``.
    :param tenant: of a login, who pays at the vendor: the ChatGPT account's id, the Google project.
    :param beta: of a login at Anthropic: what is added to ``anthropic-beta``.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("proxy_url", "headers", "token"))

    label: str
    kind: AccountKind
    dialect: str
    base_url: str
    api_key: Secret
    priority: int = 0
    prefix: str = ""
    proxy_url: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    models: tuple[ModelName, ...] = ()
    aliases: tuple[ModelAlias, ...] = ()
    excluded_models: tuple[str, ...] = ()
    disable_cooling: bool = False
    learning: bool = True
    unended: bool = False
    profile: str = ""
    weight: int = 1
    line: int = 0
    token: TokenSource | None = None
    tenant: str = ""
    beta: str = ""


class ModelMapping(Value, frozen=True, kw_only=True):
    """``model-mappings``: a model name, or a pattern of names, stands for another model.

    :param source: the name, or the pattern's text; empty if it is for every model.
    :param pattern: compiled, case-insensitive, searched unanchored; ``None`` for an exact name
        (compared case-insensitively).
    :param target: a model name, perhaps with a thinking suffix.
    :param roles: what Amp must use the model for (see :mod:`ampproxy.model.roles`); empty: anything.
    """

    source: str
    target: str
    pattern: re.Pattern[str] | None = None
    roles: tuple[str, ...] = ()
    line: int = 0


class FallbackRule(Value, frozen=True, kw_only=True):
    """``ampcode.fallback``: whether some requests may go to the Amp upstream's models.

    :param action: ``limit``: as long as the day's limits are not reached.
    :param models: lower-case wildcard patterns; empty: every model.
    :param roles: empty: every role, and requests of none.
    :param requests: the limit a day, if any; likewise ``tokens``, in and out together.
    :param per_client: whether each client key has limits of its own.
    """

    action: Literal["allow", "never", "limit"]
    models: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    requests: int | None = None
    tokens: int | None = None
    per_client: bool = False
    line: int = 0


#: Everything may go to Amp.
ALLOW = (FallbackRule(action="allow"),)


class AmpCode(Value, frozen=True, kw_only=True):
    """The ``ampcode`` section.

    :param per_client_keys: client key -> Amp upstream key.
    :param fallback: the first rule that is for a request counts; what none is for never goes.
    :param browser_pages: what becomes of pages that a browser opens.
    :param rewrite_client_endpoint: keep clients here that the actors' description would lead elsewhere.
    :param actor_token: a public token for actors, where a client brings none.
    :param accept_amp_keys: let clients in that come with a key of Amp's own.
    :param allowed_amp_users: ids or addresses of the users whose keys count, lower case; empty: any.
    """

    upstream_url: str = ""
    upstream_api_key: Secret | None = None
    per_client_keys: tuple[tuple[Secret, Secret], ...] = ()
    restrict_management_to_localhost: bool = True
    mappings: tuple[ModelMapping, ...] = ()
    force_mappings: bool = False
    fallback_when_exhausted: bool = False
    fallback: tuple[FallbackRule, ...] = ALLOW
    browser_pages: Literal["proxy", "redirect"] = "proxy"
    rewrite_client_endpoint: bool = True
    actor_token: Secret | None = None
    accept_amp_keys: bool = False
    allowed_amp_users: tuple[str, ...] = ()


class Routing(Value, frozen=True, kw_only=True):
    """How one of several accounts is chosen. ``max_cooldown``: the longest rest, whatever the vendor says.
    ``pin_ttl``: how long it is remembered which account keeps what its vendor stored; ``max_pins``: of how
    much.
    """

    strategy: Literal["round-robin", "weighted-round-robin", "fill-first"] = "round-robin"
    session_affinity: bool = True
    session_affinity_ttl: float = 3600.0
    max_cooldown: float = 1800.0
    pin_ttl: float = 30 * 86400.0
    max_pins: int = 20_000


class Limits(Value, frozen=True, kw_only=True):
    """What a client may send, and how long it may take (our own section ``limits``)."""

    max_body: int = 64 * 1024 * 1024
    max_headers: int = 100
    max_header_bytes: int = 64 * 1024
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    answer_timeout: float = 300.0
    max_answer: int = 64 * 1024 * 1024
    max_held: int = 512 * 1024 * 1024
    max_remembered: int = 32 * 1024 * 1024
    remember_for: float = 3600.0
    max_stored: int = 0
    store_for: float = 86_400.0


class Streaming(Value, frozen=True, kw_only=True):
    """What happens during a streamed answer, and whether there are WebSockets for Responses."""

    keepalive_seconds: int = 15
    bootstrap_retries: int = 0
    websockets: bool = False


class Timeouts(Value, frozen=True, kw_only=True):
    """How long an upstream may take (our own section ``timeouts``). ``grace``: how long running exchanges may
    go on after SIGTERM. ``drain``: how long in a process that another one has replaced. ``tunnel_idle``: how
    long both sides of a tunnel may be silent. ``worker``: how long one of several workers may not answer.
    """

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 300.0
    tunnel_idle: float = 3600.0
    grace: float = 30.0
    drain: float = 600.0
    worker: float = 20.0


class Logging(Value, frozen=True, kw_only=True):
    """What the log holds and how it is written (our own section ``logging``).

    :param level: the least that is told. ``Config.debug`` says the same as ``debug`` here.
    :param rotate_size: bytes that the file of ``--logfile`` may hold before it is set aside.
    :param rotate_keep: how many files that were set aside are kept; 0: none ever is set aside.
    :param buffer: characters that wait to be written while the log's reader does not read.
    :param stall: seconds from which on a turn of the reactor is told of.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warn", "error"] = "info"
    rotate_size: int = 10 * 1024 * 1024
    rotate_keep: int = 9
    buffer: int = 4 * 1024 * 1024
    stall: float = 0.25


class Metrics(Value, frozen=True, kw_only=True):
    """Where metrics are shown (our own section ``metrics``).

    :param max_models: how many models' names are told apart.
    """

    enable: bool = True
    host: str = "127.0.0.1"
    port: int = 9317
    max_models: int = 100

    @property
    def listen(self) -> str:
        """The address as it stands in the file."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Learning(Value, frozen=True, kw_only=True):
    """What accounts teach by refusing a member of a request (our own section ``learning``).

    :param enable: repeat a request without what was refused, and remember it.
    :param max_age: how long it is remembered.
    :param max_lessons: so many things are remembered; the oldest make room.
    """

    enable: bool = True
    max_age: float = 7 * 86400.0
    max_lessons: int = 1000


class OAuthClient(Value, frozen=True, kw_only=True):
    """How logins at one vendor are made and used (our own section ``oauth``).

    :param redirect_url: where the vendor sends the browser back to: a loopback address.
    :param base_url: where the models are; the access token goes there alone.
    :param beta: Claude: the value of ``anthropic-beta`` that logins need.
    :param device_url: Codex: the device flow's two calls are below it.
    :param device_page: Codex: where the user types the device flow's code.
    :param userinfo_url: Gemini: tells the e-mail address.
    :param api_url: Gemini: the public API, used instead of ``base_url`` where ``backend`` is ``api``.
    :param project: Gemini: the Google Cloud project that is used instead of the one that is found.
    :param aliases: other names of models, for all logins at this vendor; likewise ``excluded_models``.
    """

    authorize_url: str
    token_url: str
    client_id: str
    scopes: tuple[str, ...]
    redirect_url: str
    base_url: str
    client_secret: Secret | None = None
    beta: str = ""
    device_url: str = ""
    device_page: str = ""
    userinfo_url: str = ""
    api_url: str = ""
    backend: Literal["code-assist", "api"] = "code-assist"
    project: str = ""
    aliases: tuple[ModelAlias, ...] = ()
    excluded_models: tuple[str, ...] = ()


CLAUDE_OAUTH = OAuthClient(
    authorize_url="https://claude.ai/oauth/authorize",
    token_url="https://api.anthropic.com/v1/oauth/token",  # noqa: S106  an address
    client_id="9d1c250a-e61b-44d9-88ed-5944d1962f5e",
    scopes=(
        "user:profile",
        "user:inference",
        "user:sessions:claude_code",
        "user:mcp_servers",
        "user:file_upload",
    ),
    redirect_url="http://localhost:54545/callback",
    base_url="https://api.anthropic.com",
    beta="oauth-2025-04-20",
)
CODEX_OAUTH = OAuthClient(
    authorize_url="https://auth.openai.com/oauth/authorize",
    token_url="https://auth.openai.com/oauth/token",  # noqa: S106  an address
    client_id="app_EMoamEEZ73f0CkXaXp7hrann",
    scopes=("openid", "email", "profile", "offline_access"),
    redirect_url="http://localhost:1455/auth/callback",
    base_url="https://chatgpt.com/backend-api/codex",
    device_url="https://auth.openai.com/api/accounts/deviceauth",
    device_page="https://auth.openai.com/codex/device",
)
#: A secret is not among the defaults: the one that belongs to this client id is its publisher's to give.
GEMINI_OAUTH = OAuthClient(
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106  an address
    client_id="681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com",
    scopes=(
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
    ),
    redirect_url="http://localhost:8085/oauth2callback",
    base_url="https://cloudcode-pa.googleapis.com",
    userinfo_url="https://www.googleapis.com/oauth2/v2/userinfo",
    api_url="https://generativelanguage.googleapis.com",
)


class OAuth(Value, frozen=True, kw_only=True):
    """The section ``oauth``: how logins at each vendor are made and used."""

    claude: OAuthClient = CLAUDE_OAUTH
    codex: OAuthClient = CODEX_OAUTH
    gemini: OAuthClient = GEMINI_OAUTH


class Config(Noted, frozen=True, kw_only=True, eq=False):
    """Everything that the service is told.

    :param clients: the entries of ``api-keys``; none: everybody on this machine is served.
    :param payload: rules over the bodies that go to vendors.
    :param neo: what Amp's cloud may ask for; ``None``: nothing.
    :param catalog: what the user knows of models; of two entries that fit one the later counts.
    :param workers: how many processes serve; 0: one per processor core.
    :param source: the file; ``None`` where the text came from elsewhere.
    :param lines: where the settings of the file's top level stand, by name; the others have their default.
    :param keyless: whether the file says outright that there are no client keys: ``api-keys: []``.
    :param written: under which key, where that is another one: ``server.host`` for ``host``.
    :param unseen: the stand-ins of a lenient reading, for what was not to be had.
    :param literal: the settings whose secrets stand in the file itself.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("proxy_url", "lines", "written"))
    notes: ClassVar[frozenset[str]] = frozenset(("lines", "keyless", "written", "unseen", "literal"))

    host: str = "127.0.0.1"
    port: int = 8317
    tls: Tls | None = None
    allowed_hosts: tuple[str, ...] = ()
    clients: tuple[ClientKey, ...] = ()
    debug: bool = False
    auth_dir: Path = Path("~/.cli-proxy-api")
    state_dir: Path = Path("~/.local/state/ampproxy")
    workers: int = 1
    state: StateSettings | None = None
    proxy_url: str | None = None
    request_retry: int = 0
    max_retry_credentials: int = 0
    max_retry_interval: int = 0
    disable_cooling: bool = False
    force_model_prefix: bool = False
    passthrough_headers: bool = False
    streaming: Streaming = Streaming()
    translation: Literal["lenient", "strict"] = "lenient"
    routing: Routing = Routing()
    ampcode: AmpCode = AmpCode()
    accounts: tuple[Account, ...] = ()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    logging: Logging = Logging()
    metrics: Metrics = Metrics()
    alerts: Alerts | None = None
    oauth: OAuth = OAuth()
    learning: Learning = Learning()
    ledger: Ledger = Ledger()
    page: Page = Page()
    payload: Payload = Payload()
    catalog: tuple[Override, ...] = ()
    neo: Neo | None = None
    warnings: tuple[str, ...] = ()
    source: Path | None = None
    lines: MappingOf[str, int] = msgspec.field(default_factory=dict)
    keyless: bool = False
    written: MappingOf[str, str] = msgspec.field(default_factory=dict)
    unseen: tuple[Unseen, ...] = ()
    literal: tuple[str, ...] = ()

    @property
    def api_keys(self) -> tuple[Secret, ...]:
        """The client keys that are not stored as hashes alone."""
        return tuple(client.secret for client in self.clients if client.secret is not None)

    @property
    def all_clients(self) -> tuple[ClientKey, ...]:
        """The entries of ``api-keys``, and Amp's cloud."""
        return self.clients if self.neo is None else (*self.clients, self.neo.client)

    @property
    def families(self) -> Families:
        """What is known of models: the shipped table, and the file's own entries before it."""
        return known(self.catalog)

    @property
    def serving(self) -> tuple[Account, ...]:
        """The accounts that may be asked: where weights count, those that have one above 0."""
        if self.routing.strategy != "weighted-round-robin":
            return self.accounts
        return tuple(account for account in self.accounts if account.weight > 0)

    def spelled(self, setting: str) -> str:
        """A setting's name as the file has it."""
        return self.written.get(setting, setting)

    def place(self, setting: str, line: int = 0) -> str:
        """How a complaint names a setting: ``file:line: setting``.

        :param line: where it stands, if it is not of the top level.
        """
        line = line or self.lines.get(setting, 0)
        name = self.spelled(setting)
        return f"{self.source}:{line}: {name}" if self.source and line else name
