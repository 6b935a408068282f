"""What every exchange of one configuration goes by: made once for it, not for each request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ampproxy.config.schema import Config
from ampproxy.http.deadlines import Deadlines
from ampproxy.model.base import Value
from ampproxy.providers import Provider
from ampproxy.relay.bridge import Bridges
from ampproxy.relay.learning import Learner
from ampproxy.relay.pinning import Pinning
from ampproxy.relay.record import Observer
from ampproxy.relay.workers import Workers
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.held import Held, Share
from ampproxy.wire.redact import Redactor


class ExchangeRuntime(Protocol):
    """What exchanges need of the process, whatever configuration is in force."""

    @property
    def client(self) -> UpstreamClient:
        """Sends requests."""

    @property
    def clock(self) -> IReactorTime:
        """The reactor's, or a test's."""

    @property
    def departing(self) -> Observer | None:
        """Hears of each exchange before anything of it is sent; ``None``: nobody does."""

    @property
    def deadlines(self) -> Deadlines:
        """For what hardly ever passes."""

    @property
    def log(self) -> Logger:
        """Takes what happens on the way."""

    @property
    def wall(self) -> Callable[[], float]:
        """Seconds since the epoch."""

    @property
    def workers(self) -> Workers:
        """Do what takes long, in threads."""

    @property
    def held(self) -> Held:
        """Counts the bodies that are held."""


class ExchangeSettings(Value, frozen=True):
    """What is the same for every exchange under one configuration.

    :param providers: how each account is reached, by its label.
    :param redactor: knows the secrets that must not come back in a vendor's error.
    :param learner: learns from refusals; ``None``: that is switched off.
    :param pinning: knows which account keeps what; ``None``: that is switched off.
    """

    config: Config
    runtime: ExchangeRuntime
    providers: Mapping[str, Provider]
    bridges: Bridges
    redactor: Redactor
    learner: Learner | None = None
    pinning: Pinning | None = None

    @property
    def longest_wait(self) -> float:
        """Seconds that a client may be told to wait, whatever the vendor says."""
        return self.config.routing.max_cooldown

    def share(self) -> Share:
        """What a whole answer will take of the bodies that may be held."""
        return Share(self.runtime.held, self.config.limits.max_held)
