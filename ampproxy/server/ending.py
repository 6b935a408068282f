"""The end of what is under way: waited for, then cut off, with the time for clients to hear of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import Logger

from ampproxy.errors import GatewayFault
from ampproxy.server.running import ActiveExchanges
from ampproxy.server.site import IDLE_AT_THE_END, GatewaySite
from ampproxy.wire.words import counted

#: Seconds for what clients are told at the very end.
_FAREWELL_SECONDS = 1.0
#: Seconds for the first request of a client that had just connected: it may be on its way.
_FIRST_REQUEST_SECONDS = 1.0


class Ending:
    """Ends exchanges in order.

    :ivar hurried: whether a second signal came, so that nothing is waited for.
    """

    def __init__(self, reactor: Any, log: Logger, running: ActiveExchanges, site: GatewaySite) -> None:
        self._reactor = reactor
        self._log = log
        self._running = running
        self._site = site
        self.hurried = False

    def hurry(self) -> None:
        """Do not wait any longer."""
        self.hurried = True
        self._running.give_up()

    async def wait(self, setting: str, limit: float) -> bool:
        """Let what is under way end, for so many seconds; then end it. Says whether it has ended by itself.

        :param setting: the name of that limit.
        """
        if not self.hurried:
            await self._running.idle(self._reactor, limit)
        if not self._running.count:
            return True
        await self._cut_off(setting, limit)
        return False

    async def first_requests(self) -> None:
        """Let who has just connected send a request, which is served like what is under way. A proxy that had
        connected could not tell whether it was, and would not send it to another gateway.
        """
        await self._while(
            lambda: not self.hurried and any(channel.is_new for channel in self._site.channels),
            _FIRST_REQUEST_SECONDS,
        )

    async def idle_connections(self) -> None:
        """Let clients close their connections."""
        await self._while(lambda: self._site.channels, IDLE_AT_THE_END + _FAREWELL_SECONDS)

    async def _cut_off(self, setting: str, limit: float) -> None:
        running = self._running
        self._log.warn("Cut off: {what}", what=counted(running.count, "exchange"))
        why = f"this took longer than allowed (setting: {setting}, {limit:g} s)"
        if self.hurried:
            why = "received a second signal"
        why = f"The gateway is stopping, and {why}."
        running.abort(GatewayFault.of("unavailable", why, status=503))
        await self._while(
            lambda: running.count or any(channel.requests for channel in self._site.channels),
            _FAREWELL_SECONDS,
        )

    async def _while(self, condition: Callable[[], object], most: float) -> None:
        """Wait as long as a condition holds, but no longer than so many seconds."""
        until = self._reactor.seconds() + most
        while condition() and self._reactor.seconds() < until:
            await deferLater(self._reactor, 0.05)
