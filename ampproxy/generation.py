"""One generation of the service: everything that follows from one configuration.

A reload builds a new one and swaps it in; what is under way keeps the one it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ampproxy.catalog.families import NOTHING, Families
from ampproxy.catalog.lifecycle import day_of
from ampproxy.config.schema import Config
from ampproxy.credentials.amp import AmpKeys
from ampproxy.credentials.pool import Pool
from ampproxy.credentials.secrets import secrets_of
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.runtime import Runtime
from ampproxy.server.guard import Guard
from ampproxy.tenants.costs import Costs, NoCosts, needs_costs
from ampproxy.wire.redact import Redactor, Secret

if TYPE_CHECKING:
    from ampproxy.amp.site import Site
    from ampproxy.dialects.base import ModelInfo
    from ampproxy.providers import Provider
    from ampproxy.relay.amp_users import AmpUsers
    from ampproxy.relay.settings import ExchangeSettings
    from ampproxy.relay.vendor_accounts import VendorAccounts
    from ampproxy.routing.decide import Router

#: Hears of each configuration that comes in force, with all secrets of that moment; again when only the
#: secrets have changed, for a login's token was renewed.
InForce = Callable[["Generation", Collection[Secret]], None]

#: What is made when a request, or the idle service, first needs it.
_OF_REQUESTS = ("providers", "exchanges", "vendor_accounts", "router")
#: By how many names one gateway may be called at a time. There are few; a client could make some up.
_SITES = 64


class Generation:
    """What the resources need to serve a request under one configuration.

    :param before: the previous one: who its clients are, Amp need not be asked again.

    What only requests need is made, and its code loaded, when it is first needed: a service listens before.
    """

    def __init__(self, config: Config, runtime: Runtime, before: Generation | None = None) -> None:
        self.config = config
        self.runtime = runtime
        self.guard = Guard(config, runtime.names_salt, runtime.wall)
        _configure(config, runtime)
        self._logs_requests = runtime.logs_exchanges and config.logging.level in ("debug", "info")
        self.costs: Costs = runtime.costs(config) if needs_costs(config) else NoCosts()
        self.amp_keys = AmpKeys(config, environ=runtime.environ, home=runtime.home)
        self.amp_url = config.ampcode.upstream_url.rstrip("/")
        self.amp_users: AmpUsers | None = self._amp_users(None if before is None else before.amp_users)
        self._sites: dict[str, Site | None] = {}
        self._listed: tuple[date, tuple[ModelInfo, ...]] | None = None
        self.amp_origin = f"the Amp upstream ({urlsplit(self.amp_url).netloc})" if self.amp_url else ""
        if before is not None and before.is_complete:
            # The service serves already: what cannot be made now must not be found out by a request.
            self.complete()
        # Last, for it forgets what is known of other accounts: nothing may fail after it.
        self.pool = Pool(config.routing, config.accounts, runtime.pool_state, runtime.log)

    def complete(self) -> None:
        """Make all that requests need."""
        for name in _OF_REQUESTS:
            getattr(self, name)

    @property
    def is_complete(self) -> bool:
        """Whether all of that is made."""
        return all(name in vars(self) for name in _OF_REQUESTS)

    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        """How each account is reached, by its label."""
        from ampproxy.providers import PROVIDERS

        return {account.label: PROVIDERS[account.kind](account) for account in self.config.accounts}

    @cached_property
    def exchanges(self) -> ExchangeSettings:
        """What every exchange of a model request goes by."""
        # Not at the top, as all of this: it is most of what the service is made of.
        from ampproxy.relay.bridges import BridgeMaker
        from ampproxy.relay.learning import Learner
        from ampproxy.relay.pinning import Pinning
        from ampproxy.relay.settings import ExchangeSettings
        from ampproxy.relay.shapes import Origin

        config, runtime, providers = self.config, self.runtime, self.providers
        strict = config.translation == "strict"
        learner = pinning = None
        if config.learning.enable:
            learner = Learner(runtime.lessons, providers, runtime.log, strict=strict)
        if config.routing.max_pins:
            pinning = Pinning(runtime.pins, providers, config.accounts, runtime.pool_state, config.families)
        bridges = BridgeMaker(
            providers,
            Origin(runtime.wall, runtime.new_id),
            strict=strict,
            payload=config.payload.rules,
            families=self.families,
            learner=learner,
            remembered=runtime.remembered,
            stored=runtime.stored,
        )
        redactor = Redactor(secrets_of(config))
        return ExchangeSettings(config, runtime, providers, bridges, redactor, learner, pinning)

    @cached_property
    def vendor_accounts(self) -> VendorAccounts:
        """Which accounts have their vendor's calls beside the models."""
        from ampproxy.relay.vendor_accounts import VendorAccounts

        pins = self.runtime.pins if self.config.routing.max_pins else None
        return VendorAccounts(self.config.accounts, self.providers, pins)

    @cached_property
    def families(self) -> Families:
        """What is known of models now."""
        return self.runtime.knowledge(self.config)

    @cached_property
    def router(self) -> Router:
        """Which way a request goes, by what is known now."""
        from ampproxy.routing.catalog import Catalog
        from ampproxy.routing.decide import Router

        known = self.runtime.known_models(self.config.accounts)
        gone = self.families.gone(day_of(self.runtime.wall()))
        return Router(self.config, Catalog(self.config, known, gone))

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
            from ampproxy.amp.site import Site

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
        for name in ("families", "router"):
            vars(self).pop(name, None)
        self._listed = None
        if "exchanges" in vars(self):
            self.exchanges.bridges.know(self.families)

    def listed(self) -> tuple[ModelInfo, ...]:
        """The models as lists show them now. They are put together once a day, and after each change."""
        today = day_of(self.runtime.wall())
        if self._listed is None or self._listed[0] != today:
            models = self.router.catalog.models()
            self._listed = today, tuple(self.info(model.id, model.owned_by) for model in models)
        return self._listed[1]

    def info(self, id: str, owned_by: str) -> ModelInfo:
        """A model as lists show it: what is known of the one that would serve."""
        from ampproxy.dialects.base import ModelInfo

        offers = self.router.catalog.find(id)
        family = self.families.find(offers[0].upstream_model) if offers else NOTHING
        return ModelInfo.of(id, owned_by, family, day_of(self.runtime.wall()))


def _configure(config: Config, runtime: Runtime) -> None:
    """Have what the process remembers go by a configuration."""
    runtime.lessons.configure(config.learning)
    runtime.pins.configure(config.routing)
    runtime.remembered.configure(config.limits)
    runtime.stored.configure(config.limits)
