"""*AmpCloud*: a strict stand-in of the part of Amp's cloud that makes Neo's requests to models. No I/O.

It is both sides of Amp's Model Routing: the server of the calls by which connections are configured
(:meth:`AmpCloud.call`), and the client that picks a connection for a model and asks there
(:meth:`AmpCloud.connection_for`, :meth:`AmpCloud.request`). It refuses what Amp refuses. The requests in the
format ``anthropic-messages`` are those that were seen at a real connection in September 2026; the other two
formats are *assumed*, from what Amp's classic clients send (:mod:`ampproxy.testing.amp_formats`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from ampproxy.testing.amp_formats import FORMATS, Talk

CUSTOM_URL = "model_provider_custom_url"
#: The longest pattern or id, and the longest mapping.
MAX_PATTERN, MAX_MAPPING = 256, 10_000
MAX_PRIORITY = 1_000_000_000
_CONFIG = {"baseURL", "apiFormat", "headers", "queryParams", "modelMapping"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MASKED = "********"


class CloudError(Exception):
    """Amp refuses a call; ``code`` is its word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _wrong(message: str) -> CloudError:
    return CloudError("model-provider-configuration-error", message)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a mapping.

    :param target: the name that is sent; empty: the one that was asked for.
    """

    pattern: str
    target: str = ""
    excluded: bool = False

    def fits(self, model: str) -> bool:
        """Whether it is for a model, ``provider/model``."""
        if self.pattern == "*/*":
            return True
        text = self.pattern.strip("*")
        if self.pattern.startswith("*") and self.pattern.endswith("*"):
            return text in model
        if self.pattern.startswith("*"):
            return model.endswith(text)
        return model.startswith(text) if self.pattern.endswith("*") else model == text


def parse_mapping(text: str | None) -> tuple[Line, ...]:
    """The lines of a model mapping; of those that fit a model the last one counts.

    :param text: ``None``: a custom URL's default, ``*/*``.
    :raises CloudError: it is not as Amp's grammar has it.
    """
    if text is None:
        return (Line("*/*"),)
    if len(text) > MAX_MAPPING:
        raise _wrong(f"The model mapping is longer than {MAX_MAPPING} characters")
    rows = (row.partition("#")[0].strip() for row in re.split(r"[\n,]", text))
    lines = tuple(_line(row) for row in rows if row)
    if lines and all(line.excluded for line in lines):
        raise _wrong("The model mapping has only exclusions")
    return lines


def _line(row: str) -> Line:
    excluded = row.startswith("-")
    source, arrow, target = (part.strip() for part in row.removeprefix("-").partition("->"))
    for text in (source, *((target,) if arrow else ())):
        if not text or len(text) > MAX_PATTERN or re.search(r"\s", text):
            raise _wrong(f"{row!r} is no line of a model mapping")
    if "/" not in source:
        raise _wrong(f"{source!r} must be provider/model")
    if source != "*/*" and not re.fullmatch(r"\*?[^*]+\*?", source):
        raise _wrong(f"{source!r}: one * may stand at each end, and nowhere else")
    if arrow and (excluded or "*" in source or "*" in target):
        raise _wrong(f"{row!r}: only an exact id can be renamed")
    return Line(source, target, excluded)


def mapped(lines: Iterable[Line], model: str) -> str | None:
    """The name under which a model is asked for at a connection; ``None``: it is not asked for there."""
    line = None
    for one in lines:
        line = one if one.fits(model) else line
    return None if line is None or line.excluded else line.target or model


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A custom URL, as Amp keeps it."""

    id: str
    target: str
    name: str
    secret: str = field(repr=False)
    config: Mapping[str, Any]
    active: bool
    priority: int

    @property
    def lines(self) -> tuple[Line, ...]:
        """Its mapping."""
        return parse_mapping(self.config.get("modelMapping"))

    @property
    def format(self) -> str:
        """``anthropic-messages``, ``responses`` or ``chat-completions``."""
        return str(self.config.get("apiFormat", "chat-completions"))

    def shown(self) -> dict[str, Any]:
        """As lists show it: all but the secret."""
        return {
            "id": self.id,
            "name": self.name,
            "type": CUSTOM_URL,
            "active": self.active,
            "priority": self.priority,
            "config": dict(self.config),
            "warnings": [],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that Amp's cloud makes.

    :param connection: where.
    :param model: as it is sent.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: dict[str, Any] | None
    connection: Connection
    model: str

    @property
    def path(self) -> str:
        """With the query."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


#: Makes a short request to a model at a connection, under the name that is sent there: gives what
#: ``testModelProviderInference`` answers.
Inferer = Callable[[Connection, str], Mapping[str, Any]]
#: Seconds that Amp wants between two of these.
PACE = 5.0
_EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}

#: Tries a connection: gives what ``testModelProviderKey`` answers.
Tester = Callable[[Connection], Mapping[str, Any]]


class AmpCloud:
    """Connections of one user and one workspace, and what is asked at them.

    :param available: the types that this account may add.
    :param loopback: whether a base URL may be HTTP on this machine, which Amp itself could never reach.
    :param tester: tries a connection; ``None``: nobody does, and tests of connections say so.
    :param inferer: makes a short request there; ``None``: nobody does.
    :param now: seconds, by which such requests are kept apart; ``None``: they may follow each other at once.
    :ivar threads: the user's own, that are not archived.
    :ivar calls: the methods that were called, in order, with their parameters but the secret.
    """

    def __init__(
        self,
        available: Iterable[str] = (CUSTOM_URL, "model_provider_openrouter"),
        *,
        loopback: bool = False,
        tester: Tester | None = None,
        inferer: Inferer | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.available = tuple(available)
        self.connections: dict[str, Connection] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.models: list[dict[str, Any]] = []
        self._loopback = loopback
        self._tester = tester
        self._inferer = inferer
        self._now = now
        self._inferred: float | None = None
        self.threads: set[str] = set()
        self._count = 0

    # The server of the calls.

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Answer ``POST /api/internal?METHOD``.

        :raises CloudError: Amp refuses it.
        """
        answers = _METHODS.get(method)
        if answers is None:
            raise CloudError("unknown-method", f"Unknown method {method}")
        handle, allowed, required = answers
        strange = set(params) - allowed
        if strange or not required <= set(params):
            what = f"unknown {sorted(strange)}" if strange else f"missing {sorted(required - set(params))}"
            raise CloudError("invalid-params", f"{method}: {what}")
        self.calls.append((method, {name: _MASKED if name == "secret" else params[name] for name in params}))
        return handle(self, dict(params))

    def _list(self, params: dict[str, Any]) -> Any:
        keys = [one.shown() for one in self._ordered() if one.target == params["target"]]
        return {"keys": keys, "availableTypes": list(self.available)}

    def _access(self, params: dict[str, Any]) -> Any:
        if params["type"] in self.available:
            return {"allowed": True}
        return {"allowed": False, "reason": "Your plan does not have this kind of connection."}

    def _create(self, params: dict[str, Any]) -> Any:
        if params["type"] not in self.available:
            raise CloudError("permission-denied", "Your plan does not have this kind of connection.")
        if params["type"] != CUSTOM_URL:
            raise _wrong("This stand-in has custom URLs only")
        if not params["secret"].strip():
            raise _wrong("An API key is required")
        self._check_config(params["config"])
        self._count += 1
        last = max((one.priority for one in self.connections.values()), default=-1)
        made = Connection(
            id=f"mpk_{self._count:04}",
            target=params["target"],
            name=params["name"],
            secret=params["secret"].strip(),
            config=dict(params["config"]),
            active=bool(params["active"]),
            priority=last + 1,
        )
        self.connections[made.id] = made
        return {"key": made.shown()}

    def _update(self, params: dict[str, Any]) -> Any:
        before = self._named(params)
        if ("config" in params) == ("configPatch" in params) and "name" not in params:
            raise CloudError("invalid-params", "config or configPatch is required")
        config = dict(params.get("config", before.config)) | dict(params.get("configPatch", {}))
        config = {name: value for name, value in config.items() if value is not None}
        self._check_config(config)
        return self._put(replace(before, config=config, name=params.get("name", before.name)))

    def _secret(self, params: dict[str, Any]) -> Any:
        return self._put(replace(self._named(params), secret=params["secret"].strip()))

    def _activate(self, params: dict[str, Any]) -> Any:
        active = bool(params["active"])
        self._put(replace(self._named(params), active=active))
        return {"message": f"Connection {'activated' if active else 'deactivated'}"}

    def _priority(self, params: dict[str, Any]) -> Any:
        wanted = params["priority"]
        if not isinstance(wanted, int) or not 0 <= wanted <= MAX_PRIORITY:
            raise CloudError("invalid-params", "priority is out of range")
        moved = self._named(params)
        for one in [*self.connections.values()]:
            if one.target == moved.target and one.id != moved.id and one.priority >= wanted:
                self._put(replace(one, priority=one.priority + 1))
        return self._put(replace(moved, priority=wanted))

    def _delete(self, params: dict[str, Any]) -> Any:
        del self.connections[self._named(params).id]
        return {"message": "Connection deleted"}

    def _test(self, params: dict[str, Any]) -> Any:
        connection = self._named(params)
        if self._tester is None:
            return {"success": False, "message": "This stand-in makes no requests by itself", "details": None}
        return dict(self._tester(connection))

    def _infer(self, params: dict[str, Any]) -> Any:
        if params["thread"] not in self.threads:
            raise CloudError("not-found", "No such thread, or it is archived")
        if params.get("reasoningEffort", "none") not in _EFFORTS:
            raise CloudError("invalid-params", "Unknown reasoning effort")
        self._keep_pace()
        found = self.connection_for(params["model"])
        if found is None or self._inferer is None:
            error = {"code": "insufficient-credits", "message": f"{params['model']} is served by Amp"}
            return {"ok": False, "error": error}
        return dict(self._inferer(*found))

    def _keep_pace(self) -> None:
        if self._now is None:
            return
        before, self._inferred = self._inferred, self._now()
        if before is not None and self._inferred - before < PACE:
            raise CloudError("internal-error", "Internal error")

    def _catalog(self, params: dict[str, Any]) -> Any:
        return {"models": self.models, "builtinToolNames": []}

    def _put(self, connection: Connection) -> Any:
        self.connections[connection.id] = connection
        return {"key": connection.shown()}

    def _named(self, params: Mapping[str, Any]) -> Connection:
        found = self.connections.get(params["connectionID"])
        if found is None:
            raise CloudError("not-found", f"No connection {params['connectionID']}")
        return found

    def _check_config(self, config: Mapping[str, Any]) -> None:
        strange = set(config) - _CONFIG
        if strange:
            raise _wrong(f"Unknown members of the configuration: {', '.join(sorted(strange))}")
        self._check_url(config.get("baseURL"))
        if config.get("apiFormat", "chat-completions") not in FORMATS:
            raise _wrong(f"Unknown API format {config.get('apiFormat')!r}")
        parse_mapping(config.get("modelMapping"))
        headers, query = config.get("headers", []), config.get("queryParams", {})
        if not all(isinstance(pair, list) and [*map(type, pair)] == [str, str] for pair in headers):
            raise _wrong("headers: expected [name, value]")
        if not all(isinstance(value, str) for value in query.values()):
            raise _wrong("queryParams: expected texts")

    def _check_url(self, text: object) -> None:
        parts = urlsplit(text) if isinstance(text, str) else urlsplit("")
        here = parts.hostname in _LOOPBACK
        if here and not self._loopback:
            raise _wrong("The base URL is an address of Amp's own machine")
        if not parts.hostname or parts.scheme not in (("https", "http") if here else ("https",)):
            raise _wrong("The base URL must be HTTPS")

    # The client of models.

    def _ordered(self) -> list[Connection]:
        return sorted(self.connections.values(), key=lambda one: (one.target != "user", one.priority))

    def connection_for(self, model: str) -> tuple[Connection, str] | None:
        """The connection that serves a model, ``provider/model``, and the name that is sent there; ``None``:
        Amp serves it, for credits.
        """
        for one in self._ordered():
            name = mapped(one.lines, model) if one.active else None
            if name is not None:
                return one, name
        return None

    def talk(self, model: str, thread: str = "", **settings: Any) -> Talk:
        """A conversation with a model, in the format of its connection (see :class:`Talk`).

        :param thread: the id; empty: a request without one, as for titles.
        :raises LookupError: no connection serves the model.
        """
        found = self.connection_for(model)
        if found is None:
            raise LookupError(f"{model} stays with Amp")
        return FORMATS[found[0].format](thread=thread, **settings)

    def request(self, model: str, talk: Talk, **more: Any) -> Request:
        """What is sent for the next turn of a conversation.

        :param more: members of the body that this request has in particular.
        :raises LookupError: no connection serves the model.
        """
        found = self.connection_for(model)
        if found is None:
            raise LookupError(f"{model} stays with Amp")
        connection, name = found
        body = {**talk.body(name), **more}
        return self._to(connection, "POST", talk.path, name, body, talk.headers)

    def listing(self, connection: Connection, model: str = "") -> Request:
        """A request for the list of models, which was seen before a connection's first inference; or for one.

        It comes with the headers of the connection's format.
        """
        talk = FORMATS[connection.format]()
        stem = "/v1/models" if talk.path.startswith("/v1") else "/models"
        path = f"{stem}/{model}" if model else stem
        return self._to(connection, "GET", path, model, None, talk.headers)

    def _to(
        self,
        connection: Connection,
        method: str,
        path: str,
        model: str,
        body: dict[str, Any] | None,
        headers: Mapping[str, str],
    ) -> Request:
        config, secret = connection.config, connection.secret
        query = config.get("queryParams")
        sent = {
            "accept": "application/json",
            "accept-encoding": "identity",
            **({"content-type": "application/json"} if body is not None else {}),
            **headers,
            "authorization": f"Bearer {secret}",
            **({"x-api-key": secret} if connection.format == "anthropic-messages" else {}),
            **dict(config.get("headers", [])),
        }
        url = config["baseURL"].rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        return Request(method=method, url=url, headers=sent, body=body, connection=connection, model=model)


_ID = {"connectionID"}
#: Method -> what answers it, its parameters, and those that must be there.
_METHODS: dict[str, tuple[Callable[[AmpCloud, dict[str, Any]], Any], set[str], set[str]]] = {
    "listModelProviderKeys": (AmpCloud._list, {"target"}, {"target"}),
    "checkModelProviderAccess": (AmpCloud._access, {"operation", "type"}, {"operation", "type"}),
    "createModelProviderKey": (
        AmpCloud._create,
        {"target", "type", "name", "secret", "config", "active"},
        {"target", "type", "name", "secret", "config", "active"},
    ),
    "updateModelProviderKey": (
        AmpCloud._update,
        {"target", "name", "config", "configPatch"} | _ID,
        {"target"} | _ID,
    ),
    "setModelProviderKeySecret": (AmpCloud._secret, {"target", "secret"} | _ID, {"target", "secret"} | _ID),
    "setModelProviderKeyActive": (AmpCloud._activate, {"active"} | _ID, {"active"} | _ID),
    "setModelProviderKeyPriority": (AmpCloud._priority, {"priority"} | _ID, {"priority"} | _ID),
    "deleteModelProviderKey": (AmpCloud._delete, _ID, _ID),
    "testModelProviderKey": (AmpCloud._test, _ID, _ID),
    "testModelProviderInference": (
        AmpCloud._infer,
        {"thread", "model", "reasoningEffort", "modelProviderKeyID", "prompt"},
        {"thread", "model"},
    ),
    "getAgentModelCatalog": (AmpCloud._catalog, set(), set()),
}
#: The methods that it answers.
METHODS = frozenset(_METHODS)
