"""One generation of the service: everything that follows from one configuration.

A reload builds a new one and swaps it in; what is under way keeps the one it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ampproxy.amp.site import Site
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.amp import AmpKeys
from ampproxy.credentials.health import PoolState
from ampproxy.credentials.pool import Pool
from ampproxy.credentials.report import LoginStatus
from ampproxy.credentials.secrets import secrets_of
from ampproxy.credits.allowance import Allowance
from ampproxy.providers import PROVIDERS
from ampproxy.relay.amp_users import AmpUsers
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.record import ExchangeRecord, Observer, Outcome
from ampproxy.relay.translate import Origin
from ampproxy.relay.unknown import RouteMemory
from ampproxy.resources.guard import Guard
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.decide import Router
from ampproxy.upstream.client import UpstreamClient
from ampproxy.wire.redact import Redactor, Secret

#: By how many names one gateway may be called at a time. There are few; a client could make some up.
_SITES = 64


class Running:
    """Counts the exchanges that are under way, and can wait for the last to end."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: Deferred[None] | None = None

    def begin(self) -> None:
        """One more."""
        self.count += 1

    def end(self) -> None:
        """One less."""
        self.count -= 1
        if self.count == 0:
            self.give_up()

    def idle(self, clock: IReactorTime, within: float) -> Deferred[None]:
        """Fires when none is left, or when ``within`` seconds have passed."""
        waiting: Deferred[None] = Deferred()
        if self.count == 0:
            waiting.callback(None)
            return waiting
        self._waiting = waiting
        timer = clock.callLater(within, self.give_up)
        return waiting.addBoth(lambda _: timer.cancel() if timer.active() else None)

    def give_up(self) -> None:
        """Stop waiting."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lives longer than a configuration.

    :param clock: the reactor's, or a test's.
    :param client: sends requests.
    :param wall: seconds since the epoch.
    :param new_id: makes an unguessable id for a prefix.
    :param running: what is under way, under any configuration.
    :param pool_state: which accounts rest, and where conversations are at home.
    :param login_statuses: how each login is.
    :param seen_clients: which of Amp's clients have been here.
    :param unknown_routes: what they asked for that nobody knew.
    :param observers: who hears of each exchange that has ended, beside the log.
    :param in_force: who hears of each configuration that comes in force, with all secrets of that moment;
        again when only the secrets have changed, for a login's token was renewed.
    :param allowance: counts what goes to Amp under daily limits.
    :param state: the folder of what is kept across restarts; ``None``: nothing is.
    :param known_models: what the vendors of accounts listed when they were asked, by label.
    """

    clock: IReactorTime
    client: UpstreamClient
    environ: Mapping[str, str]
    home: Path
    wall: Callable[[], float]
    new_id: Callable[[str], str]
    log: Logger
    running: Running
    seen_clients: SeenClients
    unknown_routes: RouteMemory
    observers: tuple[Observer, ...] = ()
    in_force: tuple[Callable[[Gateway, Collection[Secret]], None], ...] = ()
    state: Path | None = None
    allowance: Allowance = field(default_factory=lambda: Allowance(None, lambda: ""))
    pool_state: PoolState = field(default_factory=PoolState)
    login_statuses: Callable[[], Iterable[LoginStatus]] = tuple
    known_models: Callable[[Iterable[Account]], Mapping[str, tuple[str, ...]]] = lambda accounts: {}


class Gateway:
    """What the resources need to serve a request under one configuration."""

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
        self.config = config
        self.around = surroundings
        self.clock = surroundings.clock
        self.client = surroundings.client
        self.log = surroundings.log
        self.guard = Guard(config)
        self.find_models()
        self.pool = Pool(config.routing, config.accounts, surroundings.pool_state, surroundings.log)
        self.providers = {account.label: PROVIDERS[account.kind](account) for account in config.accounts}
        self.bridges = BridgeMaker(
            self.providers,
            Origin(surroundings.wall, surroundings.new_id),
            strict=config.translation == "strict",
        )
        self.redactor = Redactor(secrets_of(config))
        self._tells = config.logging.level in ("debug", "info")
        self.amp_keys = AmpKeys(config.ampcode, environ=surroundings.environ, home=surroundings.home)
        self.amp_url = config.ampcode.upstream_url.rstrip("/")
        self.amp_users = self._amp_users()
        self._sites: dict[str, Site | None] = {}
        self.amp_origin = f"the Amp upstream ({urlsplit(self.amp_url).netloc})" if self.amp_url else ""

    def _amp_users(self) -> AmpUsers | None:
        config = self.config
        if not (config.ampcode.accept_amp_keys and self.amp_url):
            return None
        return AmpUsers(
            self.amp_url,
            config.ampcode.allowed_amp_users,
            self.client,
            self.clock,
            self.log,
            config.proxy_url,
        )

    def site(self, here: str) -> Site | None:
        """Amp's site as it looks from an address of ours; ``None`` if that is not one, or there is no site.

        :param here: the origin that a client used.
        """
        if here not in self._sites:
            if len(self._sites) >= _SITES:
                self._sites.clear()
            try:
                self._sites[here] = Site(self.amp_url, here) if self.amp_url else None
            except ValueError:
                return None
        return self._sites[here]

    def end(self, record: ExchangeRecord, outcome: Outcome, why: str = "") -> None:
        """An exchange has ended: tell the log and all observers, once."""
        if record.close(self.clock.seconds(), outcome, why):
            if self._tells:
                record.tell(self.log)
            for observer in self.around.observers:
                observer(record)

    def find_models(self) -> None:
        """Decide by what is now known of the vendors' models. What is under way keeps its decision."""
        known = self.around.known_models(self.config.accounts)
        self.router = Router(self.config, Catalog(self.config, known))
