"""One generation of the service: everything that follows from one configuration.

A reload builds a new one and swaps it in; what is under way keeps the one it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ampproxy.amp.site import Site
from ampproxy.catalog.families import NOTHING
from ampproxy.catalog.lifecycle import day_of
from ampproxy.config.schema import Config
from ampproxy.credentials.amp import AmpKeys
from ampproxy.credentials.pool import Pool
from ampproxy.credentials.secrets import secrets_of
from ampproxy.dialects.base import ModelInfo
from ampproxy.providers import PROVIDERS, Provider
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.learning import Learner
from ampproxy.relay.pinning import Pinning
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.relay.settings import ExchangeSettings
from ampproxy.relay.shapes import Origin
from ampproxy.relay.vendor_accounts import VendorAccounts
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.decide import Router
from ampproxy.runtime import Runtime
from ampproxy.server.guard import Guard
from ampproxy.tenants.costs import Costs, NoCosts, needs_costs
from ampproxy.wire.redact import Redactor, Secret

if TYPE_CHECKING:
    from ampproxy.relay.amp_users import AmpUsers

#: Hears of each configuration that comes in force, with all secrets of that moment; again when only the
#: secrets have changed, for a login's token was renewed.
InForce = Callable[["Generation", Collection[Secret]], None]

#: By how many names one gateway may be called at a time. There are few; a client could make some up.
_SITES = 64


class Generation:
    """What the resources need to serve a request under one configuration.

    :param before: the previous one: who its clients are, Amp need not be asked again.
    :ivar exchanges: what every exchange of a model request goes by.
    :ivar families: what is known of models now.
    """

    def __init__(self, config: Config, runtime: Runtime, before: Generation | None = None) -> None:
        self.config = config
        self.runtime = runtime
        self.guard = Guard(config, runtime.names_salt, runtime.wall)
        providers = {account.label: PROVIDERS[account.kind](account) for account in config.accounts}
        learner, pinning = _memories(config, runtime, providers)
        self._bridges = _bridges(config, runtime, providers, learner)
        redactor = Redactor(secrets_of(config))
        self.exchanges = ExchangeSettings(
            config, runtime, providers, self._bridges, redactor, learner, pinning
        )
        self.vendor_accounts = VendorAccounts(
            config.accounts, providers, None if pinning is None else runtime.pins
        )
        self.find_models()
        self._logs_requests = runtime.logs_exchanges and config.logging.level in ("debug", "info")
        self.costs: Costs = runtime.costs(config) if needs_costs(config) else NoCosts()
        self.amp_keys = AmpKeys(config, environ=runtime.environ, home=runtime.home)
        self.amp_url = config.ampcode.upstream_url.rstrip("/")
        self.amp_users: AmpUsers | None = self._amp_users(None if before is None else before.amp_users)
        self._sites: dict[str, Site | None] = {}
        self.amp_origin = f"the Amp upstream ({urlsplit(self.amp_url).netloc})" if self.amp_url else ""
        # Last, for it forgets what is known of other accounts: nothing may fail after it.
        self.pool = Pool(config.routing, config.accounts, runtime.pool_state, runtime.log)

    def _amp_users(self, before: AmpUsers | None) -> AmpUsers | None:
        config = self.config
        if not (config.ampcode.accept_amp_keys and self.amp_url):
            return None
        # Not at the top: most configurations have no such clients.
        from ampproxy.relay.amp_users import AmpUsers

        return AmpUsers(
            self.amp_url,
            config.ampcode.allowed_amp_users,
            self.runtime.client,
            self.runtime.clock,
            self.runtime.log,
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
        if record.close(self.runtime.clock.seconds(), outcome, why):
            self.report(record)

    def report(self, record: ExchangeRecord) -> None:
        """An exchange has ended, here or in a worker: tell the log and all observers, once."""
        if self._logs_requests:
            record.log_line(self.runtime.log, brief=self.runtime.brief)
        for observer in self.runtime.observers:
            observer(record)

    def find_models(self) -> None:
        """Decide by what is now known of the vendors' models. What is under way keeps its decision."""
        self.families = self.runtime.knowledge(self.config)
        self._bridges.know(self.families)
        known = self.runtime.known_models(self.config.accounts)
        gone = self.families.gone(day_of(self.runtime.wall()))
        self.router = Router(self.config, Catalog(self.config, known, gone))
        self._listed: tuple[date, tuple[ModelInfo, ...]] | None = None

    def listed(self) -> tuple[ModelInfo, ...]:
        """The models as lists show them now. They are put together once a day, and after each change."""
        today = day_of(self.runtime.wall())
        if self._listed is None or self._listed[0] != today:
            models = self.router.catalog.models()
            self._listed = today, tuple(self.info(model.id, model.owned_by) for model in models)
        return self._listed[1]

    def info(self, id: str, owned_by: str) -> ModelInfo:
        """A model as lists show it: what is known of the one that would serve."""
        offers = self.router.catalog.find(id)
        family = self.families.find(offers[0].upstream_model) if offers else NOTHING
        return ModelInfo.of(id, owned_by, family, day_of(self.runtime.wall()))


def _memories(
    config: Config, runtime: Runtime, providers: Mapping[str, Provider]
) -> tuple[Learner | None, Pinning | None]:
    """What knows what accounts have taught, and what they alone keep; ``None``: that is switched off."""
    runtime.lessons.configure(config.learning)
    runtime.pins.configure(config.routing)
    runtime.remembered.configure(config.limits)
    runtime.stored.configure(config.limits)
    learner = pinning = None
    if config.learning.enable:
        learner = Learner(runtime.lessons, providers, runtime.log, strict=config.translation == "strict")
    if config.routing.max_pins:
        pinning = Pinning(runtime.pins, providers, config.accounts, runtime.pool_state, config.families)
    return learner, pinning


def _bridges(
    config: Config, runtime: Runtime, providers: Mapping[str, Provider], learner: Learner | None
) -> BridgeMaker:
    return BridgeMaker(
        providers,
        Origin(runtime.wall, runtime.new_id),
        strict=config.translation == "strict",
        payload=config.payload.rules,
        families=config.families,
        learner=learner,
        remembered=runtime.remembered,
        stored=runtime.stored,
    )
