"""Connections of Amp's model routing that lead to a gateway: what Amp reports of them, and which are needed.

A connection has one address, one format, one mapping. So a gateway whose accounts speak several dialects is
several connections at one host, each for the models that are served in its format without translation.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from ampproxy.amp.model_mapping import Rule, parse_mapping, sent_as, written
from ampproxy.model.base import ANTHROPIC, RESPONSES, Value

#: The kind of a connection to a URL of the user's own.
CUSTOM_URL = "model_provider_custom_url"
MESSAGES_FORMAT, RESPONSES_FORMAT, CHAT_FORMAT = "anthropic-messages", "responses", "chat-completions"
#: A format, the name of our connection of that format, and what stands behind the origin in its address.
FORMATS: tuple[tuple[str, str, str], ...] = (
    (MESSAGES_FORMAT, "ampproxy anthropic", ""),
    (RESPONSES_FORMAT, "ampproxy openai", "/v1"),
    (CHAT_FORMAT, "ampproxy chat", "/v1"),
)


class ConnectionConfig(msgspec.Struct, frozen=True):
    """Where a connection leads."""

    baseURL: str = ""
    apiFormat: str = CHAT_FORMAT
    modelMapping: str | None = None


class ConnectionWarning(msgspec.Struct, frozen=True):
    """What Amp finds wrong with a connection."""

    message: str
    suggestion: str = ""


class InactiveReason(msgspec.Struct, frozen=True):
    """Why a connection is not used."""

    text: str = ""


class Connection(msgspec.Struct, frozen=True):
    """A connection as ``listModelProviderKeys`` names it."""

    id: str
    type: str
    active: bool
    name: str | None = None
    priority: int = 0
    config: ConnectionConfig = ConnectionConfig()
    warnings: tuple[ConnectionWarning, ...] = ()
    inactive: InactiveReason | None = msgspec.field(default=None, name="inactiveReason")

    def sent_as(self, model: str) -> str | None:
        """The name as which it would be sent a model; ``None``: it does not take it."""
        try:
            return sent_as(self.rules, model)
        except ValueError:
            return None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Its mapping; empty: it takes every model.

        :raises BadMapping: it is none that is known here.
        """
        return parse_mapping(self.config.modelMapping or "")


class Listing(msgspec.Struct, frozen=True):
    """What ``listModelProviderKeys`` answers.

    :param available: the kinds of connections that the account may have.
    """

    keys: tuple[Connection, ...] = ()
    available: tuple[str, ...] = msgspec.field(default=(), name="availableTypes")


class Served(Value, frozen=True):
    """A model that Amp asks for and that is served here.

    :param asked: as Amp names it, ``provider/model``.
    :param name: as the gateway is to be asked for it.
    :param dialect: of the account that comes first.
    """

    asked: str
    name: str
    dialect: str


class Wanted(Value, frozen=True):
    """A connection that is needed."""

    name: str
    api_format: str
    base_url: str
    rules: tuple[Rule, ...]

    @property
    def mapping(self) -> str:
        """Its mapping's text."""
        return written(self.rules)

    def is_like(self, there: Connection) -> bool:
        """Whether a connection at Amp is this one, whatever its mapping."""
        config = there.config
        same = config.baseURL.rstrip("/") == self.base_url and config.apiFormat == self.api_format
        return there.type == CUSTOM_URL and same

    def as_config(self) -> dict[str, object]:
        """As ``createModelProviderKey`` takes it."""
        return {"baseURL": self.base_url, "apiFormat": self.api_format, "modelMapping": self.mapping}

    def add_command(self, key_file: str) -> str:
        """The CLI's command that makes it, inactive.

        :param key_file: the file that has the key.
        """
        words = ["amp", "config", "model-providers", "add-router", "custom-url", "--personal", "--no-active"]
        words += ["--name", self.name, "--api-format", self.api_format, "--base-url", self.base_url]
        words += ["--api-key-file", key_file, "--model-mapping", written(self.rules, ",")]
        return shlex.join(words)


def format_of(dialect: str) -> str:
    """The format in which a model is asked for without translation, or with the least."""
    return {ANTHROPIC: MESSAGES_FORMAT, RESPONSES: RESPONSES_FORMAT}.get(dialect, CHAT_FORMAT)


def needed(public_url: str, served: Iterable[Served]) -> tuple[Wanted, ...]:
    """The connections that bring these models to a gateway: one for each format, with a line for each model.

    :param public_url: the gateway's origin, without a slash at its end.
    """
    models = list(served)
    found = []
    for api_format, name, path in FORMATS:
        mine = tuple(Rule(one.asked, one.name) for one in models if format_of(one.dialect) == api_format)
        if mine:
            found.append(Wanted(name, api_format, public_url + path, mine))
    return tuple(found)


def leading_to(public_url: str, there: Sequence[Connection]) -> tuple[Connection, ...]:
    """The connections that lead to a gateway, by its host."""
    host = urlsplit(public_url).netloc.lower()
    return tuple(
        one for one in there if one.type == CUSTOM_URL and urlsplit(one.config.baseURL).netloc.lower() == host
    )


def taken_before(mine: Connection, model: str, there: Iterable[Connection]) -> tuple[Connection, ...]:
    """Active connections of others that Amp tries before one of ours for a model."""
    return tuple(
        one
        for one in there
        if one.active and one.id != mine.id and one.priority < mine.priority and _takes(one, model)
    )


#: What a connection by a vendor's key takes without a mapping, by the provider's word.
_VENDORS_OWN = {
    "model_provider_anthropic": "anthropic/",
    "model_provider_claude_sub": "anthropic/",
    "model_provider_openai": "openai/",
    "model_provider_openai_chatgpt": "openai/",
    "model_provider_xai": "xai/",
    "model_provider_xai_grok": "xai/",
    "model_provider_cursor_sub": "cursor/",
    "model_provider_quasar": "openai/",
}


def _takes(one: Connection, model: str) -> bool:
    if one.config.modelMapping is None and one.type in _VENDORS_OWN:
        return model.startswith(_VENDORS_OWN[one.type])
    return one.sent_as(model) is not None
