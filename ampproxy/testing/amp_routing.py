"""The connections of an account at the stand-in of Amp: the calls of ``amp config model-providers``, as
strict as the CLI of September 2026 declares them, and with the rejections that were seen.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

CUSTOM_URL = "model_provider_custom_url"
_KINDS = (
    *("anthropic", "openai", "xai", "claude_sub", "cursor_sub", "openai_chatgpt", "xai_grok", "openrouter"),
    *("vercel_ai_gateway", "cloudflare_ai_gateway", "ollama_cloud", "opencode_go", "custom_url"),
)
TYPES = tuple(f"model_provider_{kind}" for kind in _KINDS)
_FORMATS = ("chat-completions", "responses", "anthropic-messages")
_HIGHEST = 1_000_000_000

#: A model of Amp's, and what the connection is sent it as.
Test = Callable[[Mapping[str, Any], str], str]


class Rejected(Exception):
    """What the account does not do."""

    def __init__(self, message: str, code: str = "invalid-params") -> None:
        super().__init__(message)
        self.code = code


class _Params(msgspec.Struct, forbid_unknown_fields=True):
    """What a call is given; what it does not declare is rejected."""


class _Targeted(_Params):
    target: str


class _Access(_Params):
    operation: str
    type: str


class _Config(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    baseURL: str | None = None
    apiFormat: str | None = None
    modelMapping: str | None = None
    headers: list[tuple[str, str]] | None = None
    queryParams: dict[str, str] | None = None
    routerOptions: Any = None


class _Create(_Params):
    target: str
    type: str
    secret: str
    name: str | None = None
    config: _Config | None = None
    active: bool = True


class _Update(_Params):
    connectionID: str
    target: str = "user"
    name: str | None = None
    config: _Config | None = None
    configPatch: dict[str, Any] | None = None


class _Secret(_Params):
    connectionID: str
    secret: str
    target: str = "user"


class _One(_Params):
    connectionID: str
    target: str = "user"


class _Active(_Params):
    connectionID: str
    active: bool
    target: str = "user"


class _Priority(_Params):
    connectionID: str
    priority: int


class _Nothing(_Params):
    pass


class ModelRouting:
    """The connections.

    :param available: the kinds that the account may have.
    :param models: of its catalogue, ``provider/model``.
    :param loopback: whether a base URL may be plain HTTP on this machine.
    :ivar keys: as they are listed.
    :ivar secrets: of the connections, by id; never shown.
    :ivar test: tries a connection with its secret; what is wrong, or empty.
    """

    def __init__(
        self,
        available: tuple[str, ...] = TYPES,
        models: tuple[str, ...] = ("openai/gpt-5.6-sol", "anthropic/claude-fable-5-1"),
        *,
        loopback: bool = True,
    ) -> None:
        self.available, self.models, self.loopback = available, models, loopback
        self.keys: list[dict[str, Any]] = []
        self.secrets: dict[str, str] = {}
        self.test: Test = lambda config, secret: ""
        self.calls: list[str] = []

    def answers(self, method: str) -> bool:
        """Whether a method is one of these."""
        return method in _METHODS

    def call(self, method: str, params: Any) -> Any:
        """The result of a call.

        :raises Rejected: it is not done.
        """
        declared, does = _METHODS[method]
        self.calls.append(method)
        try:
            given = msgspec.convert(params, declared)
        except msgspec.ValidationError as error:
            raise Rejected(f"{method}: {error}") from None
        return does(self, given)

    def list_(self, given: _Targeted) -> Any:
        """The connections, in the order in which they are tried."""
        _target(given.target)
        keys = sorted(self.keys, key=lambda key: key["priority"]) if given.target == "user" else []
        return {"keys": keys, "availableTypes": list(self.available)}

    def access(self, given: _Access) -> Any:
        """Whether a kind may be added."""
        if given.type in self.available:
            return {"allowed": True}
        return {"allowed": False, "reason": "Additional AI routers are not enabled for this account."}

    def create(self, given: _Create) -> Any:
        """Another connection."""
        _target(given.target)
        if given.type not in self.available:
            raise Rejected("This connection type is not available.", "forbidden")
        if not given.secret:
            raise Rejected("secret: too small")
        config = msgspec.to_builtins(given.config or _Config())
        self._check(given.type, config)
        key = {
            "id": str(uuid.uuid4()),
            "name": given.name,
            "type": given.type,
            "active": given.active,
            "priority": max((one["priority"] for one in self.keys), default=-1) + 1,
            "config": config,
        }
        self.keys.append(key)
        self.secrets[key["id"]] = given.secret
        return {"key": key}

    def update(self, given: _Update) -> Any:
        """Another name, or another configuration; the mapping is replaced whole."""
        key = self._find(given.connectionID)
        config = dict(key["config"])
        if given.config is not None:
            config = msgspec.to_builtins(given.config)
        for name, value in (given.configPatch or {}).items():
            if value is None:
                config.pop(name, None)
            else:
                config[name] = value
        self._check(key["type"], config)
        key["config"], key["name"] = config, given.name or key["name"]
        return {"key": key}

    def secret(self, given: _Secret) -> Any:
        """Another key for a connection."""
        key = self._find(given.connectionID)
        if not given.secret:
            raise Rejected("secret: too small")
        self.secrets[key["id"]] = given.secret
        return {"key": key}

    def activate(self, given: _Active) -> Any:
        """Use a connection, or do not."""
        key = self._find(given.connectionID)
        key["active"] = given.active
        key.pop("inactiveReason", None)
        if not given.active:
            key["inactiveReason"] = {"key": "deactivated-by-user", "text": "You deactivated it."}
        return {"message": "Activated." if given.active else "Deactivated."}

    def prioritise(self, given: _Priority) -> Any:
        """Another place; those at or after it move down."""
        if not 0 <= given.priority <= _HIGHEST:
            raise Rejected("priority: out of range")
        key = self._find(given.connectionID)
        places = itertools.count(given.priority + 1)
        for other in sorted(self.keys, key=lambda one: one["priority"]):
            if other is not key and other["priority"] >= given.priority:
                other["priority"] = next(places)
        key["priority"] = given.priority
        return {"key": key}

    def tried(self, given: _One) -> Any:
        """Ask the connection's address."""
        key = self._find(given.connectionID)
        why = self.test(key["config"], self.secrets[key["id"]])
        if why:
            return {"success": False, "message": "The connection could not be used.", "details": why}
        return {"success": True, "message": "Connection works.", "details": ""}

    def delete(self, given: _One) -> Any:
        """Remove a connection."""
        key = self._find(given.connectionID)
        self.keys.remove(key)
        del self.secrets[key["id"]]
        return {"message": "Deleted."}

    def catalog(self, given: _Nothing) -> Any:
        """The models of the account."""
        models = [
            {
                "provider": model.partition("/")[0],
                "name": model.partition("/")[2],
                "id": model,
                "displayName": model.partition("/")[2],
                "contextWindow": 400_000,
                "maxOutputTokens": 128_000,
                "capabilities": {"reasoning": True, "vision": True, "tools": True},
            }
            for model in self.models
        ]
        return {"models": models, "builtinToolNames": ["Bash", "Read"]}

    def _find(self, id_: str) -> dict[str, Any]:
        found = next((key for key in self.keys if key["id"] == id_), None)
        if found is None:
            raise Rejected("Model provider not found.", "not-found")
        return found

    def _check(self, type_: str, config: dict[str, Any]) -> None:
        if type_ != CUSTOM_URL:
            return
        url, format_ = config.get("baseURL"), config.get("apiFormat", "chat-completions")
        parts = urlsplit(url or "")
        plain = self.loopback and parts.hostname in ("127.0.0.1", "localhost")
        if not parts.hostname or (parts.scheme != "https" and not plain):
            raise Rejected("config.baseURL: an HTTPS URL is needed")
        if format_ not in _FORMATS:
            raise Rejected("config.apiFormat: invalid option")
        if "modelMapping" in config:
            check_mapping(config["modelMapping"])


def check_mapping(text: str) -> None:
    """
    :raises Rejected: it is no mapping.
    """
    lines = (line.partition("#")[0] for line in text.split("\n"))
    patterns = [part.strip() for line in lines for part in line.split(",") if part.strip()]
    if not text or len(text) > 10_000 or not patterns or all(one.startswith("-") for one in patterns):
        raise Rejected("config.modelMapping: invalid")
    for one in patterns:
        left, arrow, right = (part.strip() for part in one.partition("->"))
        name = left.removeprefix("-")
        exact = re.fullmatch(r"[^\s*]+/[^\s*]+", name) is not None
        if not exact and re.fullmatch(r"\*?[^\s*]*/?[^\s*]*\*?", name) is None and name != "*/*":
            raise Rejected(f"config.modelMapping: {one!r}")
        if "/" not in name or (
            arrow and (not exact or left.startswith("-") or not re.fullmatch(r"\S+", right))
        ):
            raise Rejected(f"config.modelMapping: {one!r}")
        if max(len(name), len(right)) > 256:
            raise Rejected("config.modelMapping: too long")


def _target(target: str) -> None:
    if target not in ("user", "workspace"):
        raise Rejected("target: invalid option")


_METHODS: dict[str, tuple[Any, Callable[[ModelRouting, Any], Any]]] = {
    "listModelProviderKeys": (_Targeted, ModelRouting.list_),
    "checkModelProviderAccess": (_Access, ModelRouting.access),
    "createModelProviderKey": (_Create, ModelRouting.create),
    "updateModelProviderKey": (_Update, ModelRouting.update),
    "setModelProviderKeySecret": (_Secret, ModelRouting.secret),
    "setModelProviderKeyActive": (_Active, ModelRouting.activate),
    "setModelProviderKeyPriority": (_Priority, ModelRouting.prioritise),
    "testModelProviderKey": (_One, ModelRouting.tried),
    "deleteModelProviderKey": (_One, ModelRouting.delete),
    "getAgentModelCatalog": (_Nothing, ModelRouting.catalog),
}
