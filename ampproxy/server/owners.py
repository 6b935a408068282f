"""Browsers of the gateway's owner: those that presented a key, and those of the service's own user."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, maybeDeferred

from ampproxy.model.base import Guarded
from ampproxy.model.page import Page
from ampproxy.server.guard import Client

#: Bytes of an id and of a token: nobody guesses one.
_RANDOM = 32
_ROOT = 0

#: Whose a connection from an address and port of this machine is; ``None``: that cannot be found out.
PeerUid = Callable[[str, int], "Deferred[int | None] | int | None"]


class Visitor(Guarded, frozen=True):
    """By what right a page was opened.

    :param token: what its calls have to bring along: no other page, and nothing but a page, can know it.
    :param client: whose key was presented; ``None``: none was, it is the service's own user.
    :param until: seconds since the epoch; ``None``: without end.
    :param logged_in: whether a cookie lets it in, which logging out takes back.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("token",))

    token: str
    client: Client | None = None
    until: float | None = None
    logged_in: bool = False


class Sessions:
    """Browsers that presented a key. What a cookie holds is random and is kept only as its hash.

    Bounded: of more than ``page.max-sessions`` the oldest ends.
    """

    def __init__(self) -> None:
        self._visitors: dict[bytes, Visitor] = {}

    def begin(self, client: Client, page: Page, wall: float) -> str:
        """One more; gives what its cookie holds.

        :param wall: seconds since the epoch.
        """
        self._visitors = {key: one for key, one in self._visitors.items() if (one.until or 0) > wall}
        while len(self._visitors) >= page.max_sessions:
            del self._visitors[next(iter(self._visitors))]
        cookie = secrets.token_urlsafe(_RANDOM)
        visitor = Visitor(secrets.token_urlsafe(_RANDOM), client, wall + page.session, logged_in=True)
        self._visitors[_digest(cookie.encode())] = visitor
        return cookie

    def find(self, cookie: bytes, wall: float) -> Visitor | None:
        """The one whose cookie this is, unless it has ended."""
        visitor = self._visitors.get(_digest(cookie))
        return None if visitor is None or (visitor.until or 0) <= wall else visitor

    def end(self, cookie: bytes) -> None:
        """Log one out."""
        self._visitors.pop(_digest(cookie), None)


class Owners:
    """Who may open the owner's page, for as long as the process runs.

    :param peer_uid: whose a connection is.
    :ivar local: the right of the service's own user, and of every user where no key is asked for.
    """

    def __init__(self, peer_uid: PeerUid = lambda host, port: None) -> None:
        self.sessions = Sessions()
        self.local = Visitor(secrets.token_urlsafe(_RANDOM))
        self._peer_uid = peer_uid
        self._trusted = frozenset((os.geteuid(), _ROOT))
        self._known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    async def is_own(self, channel: Any) -> bool:
        """Whether a connection of this machine is of the service's own user, or of root. It is looked up once
        for a connection.
        """
        known = self._known.get(channel)
        if known is None:
            peer = channel.getPeer()
            uid = await maybeDeferred(self._peer_uid, getattr(peer, "host", ""), getattr(peer, "port", 0))
            known = self._known[channel] = uid in self._trusted
        return known


def _digest(cookie: bytes) -> bytes:
    return blake2b(cookie, digest_size=16).digest()
