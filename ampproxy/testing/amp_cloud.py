"""*AmpCloud*: a strict stand-in of the part of Amp's cloud that makes Neo's requests to models. No I/O.

It picks one of the connections of an account (:class:`~ampproxy.testing.amp_routing.ModelRouting`, which
answers the calls that configure them) and asks there. The requests in the format ``anthropic-messages`` are
those that were seen at a real connection in September 2026; the other two formats are *assumed*, from what
Amp's classic clients send (:mod:`ampproxy.testing.amp_formats`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from ampproxy.testing.amp_formats import FORMATS, Talk
from ampproxy.testing.amp_mapping import mapped, parse_mapping
from ampproxy.testing.amp_routing import CUSTOM_URL, ModelRouting


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A custom URL, as a request needs it."""

    id: str
    secret: str = field(repr=False)
    config: Mapping[str, Any]

    @property
    def format(self) -> str:
        """``anthropic-messages``, ``responses`` or ``chat-completions``."""
        return str(self.config.get("apiFormat", "chat-completions"))


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


class AmpCloud:
    """What is asked at the connections of an account.

    :param routing: has the connections.
    """

    def __init__(self, routing: ModelRouting | None = None) -> None:
        self.routing = ModelRouting() if routing is None else routing

    def connect(
        self,
        secret: str,
        *,
        format: str,
        base_url: str,
        mapping: str | None = None,
        target: str = "user",
        **config: Any,
    ) -> Connection:
        """Make a connection by the call that the CLI makes, and activate it.

        :raises ampproxy.testing.amp_routing.Rejected: Amp refuses it.
        """
        config |= {"apiFormat": format, "baseURL": base_url}
        if mapping is not None:
            config["modelMapping"] = mapping
        params = {"target": target, "type": CUSTOM_URL, "name": "gateway", "secret": secret, "active": True}
        made = self.routing.call("createModelProviderKey", {**params, "config": config})
        return self.connection(made["key"]["id"])

    def connection(self, id: str) -> Connection:
        """One of the connections, as it is now."""
        key = next(key for key in self.routing.keys if key["id"] == id)
        return Connection(id=id, secret=self.routing.secrets[id], config=dict(key["config"]))

    def connection_for(self, model: str) -> tuple[Connection, str] | None:
        """The connection that serves a model, ``provider/model``, and the name that is sent there; ``None``:
        Amp serves it, for credits.
        """
        for one in self.routing.ordered():
            if not one["active"] or one["type"] != CUSTOM_URL:
                continue
            name = mapped(parse_mapping(one["config"].get("modelMapping")), model)
            if name is not None:
                return self.connection(one["id"]), name
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
