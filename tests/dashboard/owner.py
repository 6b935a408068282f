"""A gateway in memory with the owner's page, and browsers that ask for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import maybeDeferred

from ampproxy.dashboard.mount import Dashboard
from ampproxy.resources.root import Root
from ampproxy.server.owners import Owners
from tests.resources.harness import CONFIG, Connection, World

HOST = "127.0.0.1:8317"
#: What a browser sends whose user opens a page, and what one sends for a script of the page itself.
OPENS = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


class OwnersWorld(World):
    """A world with the page.

    :param uid: whose every connection of this machine is.
    """

    def __init__(self, config: str = CONFIG, uid: int | None = None, state: Path | None = None) -> None:
        super().__init__(config, state=state)
        self.dashboard = Dashboard(
            self.clock, maybeDeferred, lambda: self.wall, self.generation.runtime.live, lambda: False
        )
        self.uid = os.geteuid() if uid is None else uid
        self.generation.runtime = replace(
            self.generation.runtime,
            mount=self.dashboard.mount,
            owners=Owners(lambda host, port: self.uid),
            observers=(self.dashboard.recent.observe,),
        )
        self.dashboard.recent.use(self.generation)
        self.site.resource = Root(self.generation)

    def use(self, config: str) -> int:
        ended = super().use(config)
        self.dashboard.recent.use(self.generation)
        return ended

    def get(self, path: str, headers: dict[str, str] | None = None, **kwargs: Any) -> Connection:
        return self.request("GET", f"/ampproxy/{path}", headers, **{"key": None, **kwargs})

    def open(self, view: str = "page/live", **kwargs: Any) -> Connection:
        return self.get(view, {**OPENS, **kwargs.pop("headers", {})}, **kwargs)

    def token(self, **kwargs: Any) -> str:
        found = re.search(r'name="ampproxy-page" content="([^"]+)"', self.open(**kwargs).body.decode())
        assert found is not None
        return found[1]

    def call(self, path: str, method: str = "GET", **kwargs: Any) -> Connection:
        """What the page's script asks."""
        headers = {**SCRIPT, "X-Ampproxy-Page": self.token()}
        return self.request(method, f"/ampproxy/{path}", headers, **{"key": None, **kwargs})


def json_of(connection: Connection) -> Any:
    return msgspec.json.decode(connection.body)


def headers_of(connection: Connection) -> dict[str, str]:
    lines = connection.answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


Ask = Callable[[OwnersWorld], Connection]
