"""One generation of the service: everything that follows from one configuration.

A reload builds a new one and swaps it in; what is under way keeps the one it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.record import ExchangeRecord, Observer, Outcome
from ampproxy.relay.shapes import Origin
from ampproxy.relay.unknown import RouteMemory
from ampproxy.relay.workers import Workers
from ampproxy.resources.guard import Guard
from ampproxy.resources.running import Running
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.decide import Router
from ampproxy.status import ReloadReport, Status
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.held import Held
from ampproxy.wire.redact import Redactor, Secret

if TYPE_CHECKING:
    from ampproxy.relay.amp_users import AmpUsers

#: By how many names one gateway may be called at a time. There are few; a client could make some up.
_SITES = 64


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lives longer than a configuration.

    :param clock: the reactor's, or a test's.
    :param client: sends requests.
    :param wall: seconds since the epoch.
    :param new_id: makes an unguessable id for a prefix.
    :param running: what is under way, under any configuration.
    :param workers: do what takes long, in threads.
    :param pool_state: which accounts rest, and where conversations are at home.
    :param login_statuses: how each login is.
    :param seen_clients: which of Amp's clients have been here.
    :param unknown_routes: what they asked for that nobody knew.
    :param observers: who hears of each exchange that has ended, beside the log.
    :param live: the records of exchanges that are under way, by their ``id()``.
    :param brief: whether who takes the log's events makes the fields of exchanges himself.
    :param in_force: who hears of each configuration that comes in force, with all secrets of that moment;
        again when only the secrets have changed, for a login's token was renewed.
    :param names_salt: what the names of clients' keys are made with (see :mod:`ampproxy.credentials.names`).
    :param held: counts the bodies that are held.
    :param allowance: counts what goes to Amp under daily limits.
    :param state: the folder of what is kept across restarts; ``None``: nothing is.
    :param known_models: what the vendors of accounts listed when they were asked, by label.
    :param status: how the service is.
    :param reload: reads the configuration's file anew; gives ``None`` where there is none.
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
    live: dict[int, ExchangeRecord] = field(default_factory=dict)
    brief: bool = False
    in_force: tuple[Callable[[Gateway, Collection[Secret]], None], ...] = ()
    state: Path | None = None
    names_salt: bytes = b""
    held: Held = field(default_factory=Held)
    allowance: Allowance = field(default_factory=lambda: Allowance(None, lambda: ""))
    workers: Workers = field(default_factory=Workers)
    pool_state: PoolState = field(default_factory=PoolState)
    login_statuses: Callable[[], Iterable[LoginStatus]] = tuple
    known_models: Callable[[Iterable[Account]], Mapping[str, tuple[str, ...]]] = lambda accounts: {}
    status: Callable[[], Status] = lambda: Status("ready", 1, 0.0)
    reload: Callable[[], ReloadReport | None] = lambda: None


class Gateway:
    """What the resources need to serve a request under one configuration.

    :param before: the one before: who its clients are, Amp need not be asked again.
    """

    def __init__(self, config: Config, surroundings: Surroundings, before: Gateway | None = None) -> None:
        self.config = config
        self.around = surroundings
        self.clock = surroundings.clock
        self.client = surroundings.client
        self.log = surroundings.log
        self.guard = Guard(config, surroundings.names_salt)
        self.find_models()
        self.providers = {account.label: PROVIDERS[account.kind](account) for account in config.accounts}
        self.bridges = BridgeMaker(
            self.providers,
            Origin(surroundings.wall, surroundings.new_id),
            strict=config.translation == "strict",
            payload=config.payload.rules,
            families=config.families,
        )
        self.redactor = Redactor(secrets_of(config))
        self._tells = config.logging.level in ("debug", "info")
        self.amp_keys = AmpKeys(config, environ=surroundings.environ, home=surroundings.home)
        self.amp_url = config.ampcode.upstream_url.rstrip("/")
        self.amp_users: AmpUsers | None = self._amp_users(None if before is None else before.amp_users)
        self._sites: dict[str, Site | None] = {}
        self.amp_origin = f"the Amp upstream ({urlsplit(self.amp_url).netloc})" if self.amp_url else ""
        # Last, for it forgets what is known of other accounts: nothing may fail after it.
        self.pool = Pool(config.routing, config.accounts, surroundings.pool_state, surroundings.log)

    def _amp_users(self, before: AmpUsers | None) -> AmpUsers | None:
        config = self.config
        if not (config.ampcode.accept_amp_keys and self.amp_url):
            return None
        # Not at the top: most configurations have no such clients.
        from ampproxy.relay.amp_users import AmpUsers

        return AmpUsers(
            self.amp_url,
            config.ampcode.allowed_amp_users,
            self.client,
            self.clock,
            self.log,
            config.proxy_url,
            before,
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
                record.tell(self.log, brief=self.around.brief)
            for observer in self.around.observers:
                observer(record)

    def find_models(self) -> None:
        """Decide by what is now known of the vendors' models. What is under way keeps its decision."""
        known = self.around.known_models(self.config.accounts)
        self.router = Router(self.config, Catalog(self.config, known))
