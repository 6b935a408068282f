"""The running service: its ports, its site, the configuration in force, and an orderly end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver
from twisted.python.components import Componentized

from ampproxy import __version__
from ampproxy.assembly import Assembly
from ampproxy.config.reloading import check_still_keyed, in_one_line, shown_changes
from ampproxy.config.schema import Account, Config, TokenSource
from ampproxy.credentials.report import LoginStatus
from ampproxy.credentials.secrets import secrets_of
from ampproxy.errors import ConfigError, StartFailed
from ampproxy.generation import Generation
from ampproxy.lifecycle import Phase
from ampproxy.listen import describe
from ampproxy.listen.listeners import Listeners, Move, setting_of
from ampproxy.resources.gate import Tree
from ampproxy.server.descriptors import Descriptors
from ampproxy.server.ending import Ending
from ampproxy.server.expiry import Expiry
from ampproxy.server.revocation import revoke
from ampproxy.server.site import GatewaySite
from ampproxy.status import ReloadReport, State, Status, user_name
from ampproxy.upstream.proxy import proxies
from ampproxy.wire.words import counted

if TYPE_CHECKING:
    from ampproxy.credentials.oauth.service import Logins


class GatewayService(Service):
    """Listens, serves, and at its end lets what is under way finish.

    :param assembly: its parts.
    :ivar generation: how often a configuration was put in force, the first time included.
    :ivar current: what follows from the one that is in force.
    :ivar lifecycle: in which phase it is.
    :ivar tree: what it serves, as far as that is loaded.
    :ivar listeners: where it listens.
    :ivar ledger: records what has ended; ``None``: another process does, or none.
    :ivar reports: how its last restart went.
    """

    name = "ampproxy"

    def __init__(self, assembly: Assembly) -> None:
        start, reactor, runtime = assembly.start, assembly.reactor, assembly.runtime
        self._config = assembly.config
        self._in_force = assembly.in_force
        self._runtime = replace(
            runtime, login_statuses=self.login_statuses, status=self.status, reload=self.reload
        )
        self._make_logins = assembly.logins
        self._logins: tuple[Account, ...] = ()
        self._source: Logins | None = None
        self._leaving: set[Deferred[None]] = set()
        self._discovery = assembly.discovery
        self.ledger = assembly.ledger
        self._log = runtime.log
        self._log_observer = start.log_observer
        self._failed = start.failed or (lambda why: None)
        self._crew = start.crew
        self._borrowed = start.borrowed
        self._note = self._log.debug if start.borrowed else self._log.info
        self._since = self._started = runtime.wall()
        self.generation = start.generation
        self.reports = assembly.reports
        self.lifecycle = assembly.lifecycle
        self._warned_open = False
        self.tree = Tree(self)
        self.current = Generation(assembly.config, self._runtime)
        self._announce()
        descriptors = Descriptors(reactor, runtime.log)
        self.site = GatewaySite(
            self.tree.root(),
            assembly.config.limits,
            reactor,
            runtime.new_id,
            runtime.log,
            descriptors,
            runtime.held,
            self.lifecycle,
        )
        self.site.generation = start.generation
        self._ending = Ending(reactor, runtime.log, runtime.running, self.site)
        self.listeners = Listeners(
            self.site,
            reactor,
            start.listen,
            start.inherited,
            runtime.log,
            descriptors.watch,
            self.lifecycle,
            parked=self._crew.count,
            borrowed=start.borrowed,
        )
        self._crew.attach(self)
        self._watch = None if start.watch is None else start.watch(self)
        self._expiry = Expiry(
            reactor, runtime.wall, lambda: self.current.guard.next_expiry, self._end_revoked
        )

    def _build(self, config: Config, logins: Iterable[Account]) -> Generation:
        return Generation(replace(config, accounts=(*config.accounts, *logins)), self._runtime, self.current)

    @property
    def configured(self) -> Config:
        """The configuration that is in force, without the accounts of logins."""
        return self._config

    @property
    def ports(self) -> list[IListeningPort]:
        """What it listens on, once it does."""
        return self.listeners.addresses

    # The configuration.

    def reload(self) -> ReloadReport | None:
        """Read the configuration's file anew, changed or not; ``None`` if there is no file."""
        return None if self._watch is None else self._watch.load()

    def follow_file(self) -> None:
        """Read the configuration's file anew whenever it changes, from now on."""
        if self._watch is not None:
            self._watch.start()

    def use(self, config: Config) -> tuple[str, ...]:
        """Serve by another configuration, from the next request on; gives what has changed, for people.

        What is under way keeps its own, but for what its client key no longer opens, which ends. A changed
        address is listened on before the old one is closed.

        :raises ConfigError: it cannot be put in force. Then nothing of it is.
        """
        return self.use_with(config, self.open_for(config))

    def open_for(self, config: Config) -> Move:
        """Open what another configuration wants and is not open yet.

        :raises ConfigError: it cannot be; nothing has changed.
        """
        check_still_keyed(bool(self._config.clients), config)
        try:
            return self.listeners.prepare(config)
        except CannotListenError as error:
            raise ConfigError((f"{config.place(setting_of(error, config))}: {error}",)) from None

    def use_with(self, config: Config, move: Move) -> tuple[str, ...]:
        """See :meth:`use`.

        :param move: what :meth:`open_for` has opened.
        """
        try:
            source, logins = self._logins_under(config)
            self._crew.prepare(config, move.fresh_sockets)
            generation = self._build(config, logins)
        except BaseException:
            self._crew.cancel()
            self.listeners.cancel(move)
            raise
        changed = self._changes(config)
        # Nothing can fail from here on.
        self._config = config
        self.listeners.commit(move)
        self._change_logins(source, config, logins)
        self._runtime.client.use(config.timeouts.connect, proxies(generation.config))
        self._end_cooldowns(generation.config.accounts)
        self._swap(generation, changed, ask_again=True)
        self._crew.commit(self.generation)
        self._end_revoked()
        return changed

    def _end_revoked(self) -> None:
        """End what is under way and what its client may no longer have."""
        runtime = self._runtime
        revoke(self.current, runtime.running, runtime.limiter, runtime.wall, self._log)

    def use_read(self, config: Config) -> tuple[str, ...]:
        """The same for what was read anew: if it says what the one in force says, at the same places, that
        stays, and vendors are asked for their models.
        """
        if config != self._config or config.lines != self._config.lines:
            return self.use(config)
        self._log.info(
            "Configuration {generation} is in force: nothing has changed", generation=self.generation
        )
        if self.running:
            self._discover(again=True)
        return ()

    def _end_cooldowns(self, accounts: Iterable[Account]) -> None:
        """Accounts that are not to rest any more do not go on with a rest that began before."""
        state = self._runtime.pool_state
        cooling = {state.identity(old) for old in self.current.config.accounts if not old.disable_cooling}
        for account in accounts:
            if account.disable_cooling and state.identity(account) in cooling:
                state.reset(account)

    def _changes(self, config: Config) -> tuple[str, ...]:
        """What is another one now, for people."""
        try:
            return shown_changes(self._config, config, self.listeners.given)
        except Exception:
            # It is only told.
            self._log.failure("Unhandled error while comparing configurations")
            return ()

    def _swap(
        self,
        generation: Generation,
        changes_made: tuple[str, ...] = (),
        *,
        ask_again: bool = False,
        counts: bool = True,
    ) -> None:
        """The one point at which the configuration changes.

        :param counts: whether it is another one than before: not what is still being put together.
        """
        self.generation += counts
        self._since = self._runtime.wall()
        self._install(generation)
        if self.running:
            self._discover(again=ask_again)
        if counts:
            self._log_swap(changes_made)

    def _log_swap(self, changes_made: tuple[str, ...] = ()) -> None:
        config = self.current.config
        self._note(
            "Configuration {generation} is in force{where}: {holds}{changed}",
            holds=f"{counted(len(config.accounts), 'account')}, "
            + counted(len(config.ampcode.mappings), "model mapping"),
            generation=self.generation,
            accounts=len(config.accounts),
            mappings=len(config.ampcode.mappings),
            where=f" for what process {os.getpid()} still serves" if self.lifecycle.ending else "",
            changes=changes_made,
            changed=in_one_line(changes_made),
        )
        if self.current.guard.open and not self._warned_open and not self._borrowed:
            self._log.warn(
                "There are no api-keys: every user and program of this machine is served and uses your "
                "accounts (setting: api-keys; ampproxy setup creates a key)"
            )
        self._warned_open = self.current.guard.open

    def _install(self, generation: Generation) -> None:
        self.current = generation
        self.site.limits = generation.config.limits
        self.site.generation = self.generation
        self.site.resource = self.tree.root()
        if self.running:
            self._expiry.watch()
        self._announce()

    def _announce(self) -> None:
        """Tell what is in force, and which secrets there are now."""
        generation = self.current
        amp = (
            generation.amp_keys.find(None, generation.runtime.clock.seconds()) if generation.amp_url else None
        )
        secrets = [*secrets_of(generation.config), *(() if amp is None else (amp,))]
        secrets += [] if self._source is None else self._source.secrets()
        for hear in self._in_force:
            try:
                hear(generation, secrets)
            except Exception:
                self._log.failure("Unhandled error while reporting a configuration")

    # The logins.

    def attach_logins(self) -> None:
        """Serve with the logins' accounts, too: now, and whenever they change. Once is enough."""
        if self._source is not None:
            return
        self._source = source = self._new_logins(self._config)
        self.use_logins(source.accounts())
        if self.running:
            source.start()

    def _new_logins(self, config: Config) -> Logins:
        source = self._make_logins(config)
        source.load()
        source.changed = lambda: self.use_logins(source.accounts())
        source.renewed = self._reset_login
        return source

    def _logins_under(self, config: Config) -> tuple[Logins | None, tuple[Account, ...]]:
        """The logins of another configuration, and their accounts."""
        source = self._source
        if source is None:
            return None, ()
        if config.auth_dir != self._config.auth_dir:
            source = self._new_logins(config)
        return source, source.accounts(config.oauth)

    def _change_logins(self, source: Logins | None, config: Config, accounts: tuple[Account, ...]) -> None:
        left, self._source, self._logins = self._source, source, accounts
        if source is not None:
            source.configure(config)
        if left is not None and left is not source:
            left.changed = lambda: None
            # A renewal that is under way is not cut off: that may lose a login.
            leaving = left.stop()
            self._leaving.add(leaving)
            leaving.addBoth(lambda _: self._leaving.discard(leaving))
            if source is not None and self.running:
                source.start()

    def clock_set(self) -> None:
        """The wall clock is another one."""
        if self._source is not None:
            self._source.clock_set()

    def login_statuses(self) -> tuple[LoginStatus, ...]:
        """How each login is."""
        return () if self._source is None else self._source.statuses()

    def _reset_login(self, token: TokenSource) -> None:
        """A login has another token: what its old one was refused for is void."""
        for account in self.current.config.accounts:
            if account.token is token:
                self._runtime.pool_state.reset(account)
        self._announce()

    def use_logins(self, accounts: tuple[Account, ...]) -> None:
        """Serve with these accounts beside the configured ones."""
        if accounts != self._logins:
            generation = self._build(self._config, accounts)
            self._logins = accounts
            self._swap(generation, counts=bool(self.running))

    # Its life.

    def setServiceParent(self, parent: Any) -> None:
        """Under ``twistd``, log by our observer: an application names its own by this component."""
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)

    def status(self) -> Status:
        """How it is."""
        return Status(
            self._state(),
            self.generation,
            self._since,
            pid=os.getpid(),
            version=__version__,
            user=user_name(os.geteuid()),
            config="" if self._config.source is None else str(self._config.source.absolute()),
            auth_dir=str(self._config.auth_dir),
            state_dir="" if self._runtime.state is None else str(self._runtime.state),
            listening=tuple(describe(port) for port in self.ports),
            running=self._runtime.running.count + sum(each.running for each in self._crew.report()),
            reload=None if self._watch is None else self._watch.last,
            restart=self.reports.restart,
            started=self._started,
            workers=self._crew.report(),
            shared=self._runtime.shared.report() if self._runtime.shared.active else None,
            ledger="" if self.ledger is None else self.ledger.trouble,
        )

    def _state(self) -> State:
        if self.lifecycle.ending:
            return "draining"
        if self.lifecycle.phase in (Phase.STARTING, Phase.HELD):
            return "starting"
        config = self.current.config
        return "ready" if config.accounts or config.ampcode.upstream_url else "idle"

    def number_after(self, generation: int) -> None:
        """Number the configuration, and those to come, after those of another process."""
        self.generation = self.site.generation = generation + 1

    def accept(self) -> None:
        """Serve from now on."""
        self.listeners.resume()

    def abandon(self) -> None:
        """Leave the sockets to the process that serves still."""
        self.listeners.release()

    async def leave(self, pid: int) -> None:
        """Another process has the sockets: serve what is under way, no longer than ``timeouts.drain``."""
        running, drain = self._runtime.running, self.current.config.timeouts.drain
        self.lifecycle.leave()
        self.site.end()
        if self._discovery is not None:
            self._discovery.stop()
            self._discovery = None
        self._crew.leave(pid)
        self._note("Process {pid} is serving", pid=pid)
        if running.count:
            what = counted(running.count, "exchange")
            self._log.info(
                "Still running in this process, for up to {drain:g} s: {what}", what=what, drain=drain
            )
        if await self._ending.wait("timeouts.drain", drain):
            await self._ending.idle_connections()
        await self._crew.ended(drain)

    async def listen(self) -> None:
        """Open the ports.

        :raises ConfigError: one is reachable from elsewhere and there are no client keys.
        :raises twisted.internet.error.CannotListenError: one is taken.
        """
        self._open()

    def _open(self) -> None:
        self.listeners.commit(self.listeners.prepare(self._config))
        if self.lifecycle.phase is Phase.STARTING:
            self.lifecycle.to(Phase.SERVING)

    def privilegedStartService(self) -> None:
        """Open the ports before privileges are given up.

        :raises StartFailed: one is taken, or must not be opened.
        """
        super().privilegedStartService()
        try:
            self._open()
        except (ConfigError, CannotListenError) as error:
            self._failed(str(error))
            raise StartFailed(str(error)) from None

    def startService(self) -> None:
        """It listens already; from now on vendors are asked for their models."""
        super().startService()
        self._log_swap()
        self._expiry.watch()
        self._discover()
        self._runtime.shared.start()
        if self._source is not None:
            self._source.start()
        if self.ledger is not None:
            self.ledger.start()
        self._crew.start()

    def _discover(self, *, again: bool = False) -> None:
        if self._discovery is not None:
            now = self.current
            # What asks vendors is not loaded where nobody is asked.
            providers = {} if all(each.models for each in now.config.accounts) else now.providers
            self._discovery.watch(now.config, providers, now.find_models, again=again)

    def hurry(self) -> None:
        """Do not wait any longer for what is under way."""
        self._crew.stop()
        self._ending.hurry()

    def stopService(self) -> Deferred[None]:
        """Accept nothing more; wait for what is under way, no longer than the grace period."""
        super().stopService()
        if self._discovery is not None:
            self._discovery.stop()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        if self.lifecycle.phase is Phase.HELD:
            self.abandon()
        self.lifecycle.to(Phase.DRAINING)
        self.site.end()
        self._crew.stop()
        await self.listeners.close()
        await self._ending.first_requests()
        running = self._runtime.running
        grace = self.current.config.timeouts.grace
        if running.count:
            what = counted(running.count, "exchange")
            self._log.info("Waiting up to {grace:g} s for {what} to end", grace=grace, what=what)
            await self._ending.wait("timeouts.grace", grace)
        await self._crew.ended(grace)
        if self._source is not None:
            await self._source.stop()
        await gatherResults([*self._leaving])
        await self.current.runtime.client.close()
        self._expiry.stop()
        self._runtime.allowance.close()
        await self._runtime.limiter.close()
        await self._runtime.shared.stop()
        self._runtime.unknown_routes.close()
        self._runtime.lessons.close()
        self._runtime.pins.close()
        if self.ledger is not None:
            await self.ledger.stop()
        self.lifecycle.to(Phase.STOPPED)
