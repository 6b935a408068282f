"""All logins of the running gateway: read, watched, renewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ampproxy.config.schema import Account, Config, OAuth, TokenSource
from ampproxy.credentials.oauth.accounts import logins_to_accounts, not_served, own_proxy
from ampproxy.credentials.oauth.credential import Credential
from ampproxy.credentials.oauth.failures import BadFile, LoginError, Refused, Unavailable
from ampproxy.credentials.oauth.formats import Document, Login
from ampproxy.credentials.oauth.http import TIMEOUT, Fetch, Send, drive
from ampproxy.credentials.oauth.lease import Held, hold, lasting, release
from ampproxy.credentials.oauth.refresh import Renewed, renewal
from ampproxy.credentials.oauth.store import Store
from ampproxy.credentials.oauth.vendors import VENDORS
from ampproxy.credentials.oauth.watch import INTERVAL, Changes, Watcher
from ampproxy.credentials.report import LoginStatus
from ampproxy.state.shared import ALONE, Shared
from ampproxy.wire.redact import Secret, printable
from ampproxy.wire.words import counted

#: Renewals that run at a time: a start with a thousand logins should not be a flood.
_AT_ONCE = 8
#: What of a file does not concern the account that it makes.
_TOKENS = frozenset(
    ("access_token", "refresh_token", "id_token", "token", "expired", "last_refresh", "checked", "note")
)


class Logins:
    """The logins of ``auth-dir``.

    :param clock: for the looks at the folder and the pauses.
    :param send: as :meth:`ampproxy.upstream.client.UpstreamClient.send`.
    :param wall: seconds since the epoch.
    :param random: a number from 0 to 1.
    :param changed: called when :meth:`accounts` has others than before; not when tokens are renewed.
    :param renewed: called with the token of an account when it has become another, by a renewal or in the
        file: what was held against the account because of the old one is void.
    :param shared: has one process at a time renew a login, where several machines share the folder.
    """

    def __init__(
        self,
        config: Config,
        clock: IReactorTime,
        send: Send,
        log: Logger,
        *,
        wall: Callable[[], float],
        random: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
        renewed: Callable[[TokenSource], None] = lambda token: None,
        shared: Shared = ALONE,
    ) -> None:
        self._shared = shared
        self.changed = changed
        self.renewed = renewed
        self._settings = config.oauth
        self._clock = clock
        self._log = log
        self._wall = wall
        self._random = random
        self._send = send
        self._proxy = config.proxy_url
        self._store = Store(config.auth_dir)
        self._watcher = Watcher(config.auth_dir)
        self._credentials: dict[str, Credential] = {}
        self._running: dict[str, Deferred[None]] = {}
        self._loop: Any = None
        self._complaint = ""
        #: Of each file that is not used: what was said of it.
        self._ignored: dict[str, str] = {}

    def load(self) -> None:
        """Read the folder now, so that :meth:`accounts` is right before :meth:`start`."""
        self._look()

    def start(self) -> None:
        """Watch the folder and renew what is due, from now on."""
        exposed = self._store.exposed()
        if exposed and self._credentials:
            self._log.warn("{complaint}", complaint=exposed)
        loop = LoopingCall(self._tick)
        loop.clock = self._clock
        self._loop = loop
        loop.start(INTERVAL)

    def stop(self) -> Deferred[None]:
        """Stop; fires when the renewals that run have ended, or have had the time that one may take: one
        that is cut off may lose a login.
        """
        loop, self._loop = self._loop, None
        if loop is not None and loop.running:
            loop.stop()
        done: Deferred[None] = Deferred()
        late = self._clock.callLater(TIMEOUT, done.callback, None)

        def ended(_: Any) -> None:
            if late.active():
                late.cancel()
                done.callback(None)

        DeferredList(list(self._running.values())).addCallback(ended)
        return done

    def configure(self, config: Config) -> None:
        """Other settings from now on, after a reload. The folder stays: another one has logins of its own."""
        self._settings = config.oauth
        self._proxy = config.proxy_url

    def clock_set(self) -> None:
        """The wall clock is another one: what was to be done at a time of the old one is planned anew."""
        now = self._wall()
        for credential in self._credentials.values():
            credential.clock_set(now)

    def accounts(self, settings: OAuth | None = None) -> tuple[Account, ...]:
        """The accounts of the logins that are switched on, by file name.

        :param settings: as they would be under these; ``None``: under those that are in force.
        """
        ordered = (self._credentials[name] for name in sorted(self._credentials))
        return logins_to_accounts(ordered, self._settings if settings is None else settings)

    def statuses(self) -> tuple[LoginStatus, ...]:
        """How each login is doing, by file name."""
        now = self._wall()
        return tuple(
            LoginStatus(
                credential.label,
                credential.kind,
                name,
                credential.state,
                credential.login.disabled,
                credential.ends_at(now),
                credential.error,
                credential.suggestion,
            )
            for name, credential in sorted(self._credentials.items())
        )

    def secrets(self) -> list[Secret]:
        """Every token of this moment, for a redactor."""
        logins = [credential.login for credential in self._credentials.values()]
        texts = [
            text
            for login in logins
            for text in (login.access_token, login.refresh_token, login.id_token, login.client[1])
        ]
        return [Secret(text) for text in texts if text]

    def _tick(self) -> None:
        try:
            self._look()
            self._renew_what_is_due()
        except Exception:
            # One that escaped would end the loop, and with it all renewals.
            self._log.failure("Unhandled error while checking the logins")

    def _renew_what_is_due(self) -> None:
        now = self._wall()
        for name, credential in self._credentials.items():
            if len(self._running) >= _AT_ONCE:
                break
            idle = name not in self._running and not credential.login.disabled
            if idle and (credential.due <= now or credential.unsaved):
                self._begin(name, credential)

    def _look(self) -> None:
        try:
            changes = self._watcher.look(self._wall())
        except OSError as error:
            self._complain(
                f"auth-dir {self._store.folder} cannot be read: {error.strerror}; the logins stay as they are"
            )
            return
        self._complain("")
        if changes and self._apply(changes):
            self.changed()

    def _complain(self, complaint: str) -> None:
        """Log a trouble once, not with every look."""
        if complaint and complaint != self._complaint:
            self._log.error("{complaint}", complaint=complaint)
        self._complaint = complaint

    def _apply(self, changes: Changes) -> bool:
        """Take changes of the folder; whether the accounts are others now."""
        different = self._forget(changes.vanished)
        for name in changes.vanished:
            self._ignored.pop(name, None)
        for name in (*changes.appeared, *changes.changed):
            try:
                login = self._store.read(name)
            except BadFile as error:
                # Perhaps half written: what is known stays, and the next change is looked at.
                self._ignore(name, f"{printable(str(error))}; ignored")
                continue
            kind = self._store.unserved(name) if login is None else ""
            self._ignore(name, not_served(name, kind) if kind else "")
            different = self._took(name, login) or different
        return different

    def _ignore(self, name: str, complaint: str) -> None:
        """Log why a file is not used, once: one that was just written is read several times.

        :param complaint: empty: it is used.
        """
        if complaint and complaint != self._ignored.get(name):
            self._log.warn("{complaint}", complaint=complaint)
        if complaint:
            self._ignored[name] = complaint
        else:
            self._ignored.pop(name, None)

    def _forget(self, names: tuple[str, ...]) -> bool:
        """Do without these logins; whether there were any."""
        gone = [self._credentials.pop(name) for name in names if name in self._credentials]
        if gone and not self._store.folder.is_dir():
            self._log.error(
                "auth-dir {folder} is missing; unavailable until it is restored: {logins} ({accounts})",
                folder=str(self._store.folder),
                logins=counted(len(gone), "login"),
                count=len(gone),
                accounts=", ".join(credential.label for credential in gone),
            )
            return True
        for credential in gone:
            self._log.info("Login removed: {account}; its file is gone", account=credential.label)
        return bool(gone)

    def _took(self, name: str, login: Login | None) -> bool:
        known = self._credentials.get(name)
        if login is None:
            return self._credentials.pop(name, None) is not None
        if known is None:
            credential = Credential(login, self._random(), self._wall())
            self._credentials[name] = credential
            self._log.info("Login added: {account} ({file})", account=credential.label, file=name)
            return True
        if known.login.digest == login.digest:
            return False
        different = known.kind != login.kind or _account_part(known.login.document) != _account_part(
            login.document
        )
        if different:
            # A new object: a change of who it is must not reach accounts that were made before it.
            self._credentials[name] = credential = Credential(login, known.jitter, self._wall())
            credential.unsaved = known.unsaved
            return True
        known.take(login, self._wall())
        self.renewed(known)
        return False

    def _begin(self, name: str, credential: Credential) -> None:
        credential.renewing = True
        running = Deferred.fromCoroutine(self._renew(credential))
        self._running[name] = running

        def ended(result: Any) -> None:
            credential.renewing = False
            self._running.pop(name, None)
            if result is not None:
                self._log.failure("Renewing {account} failed", result, account=credential.label)
                credential.failed("a bug in ampproxy; see the log", self._wall(), None)

        running.addBoth(ended)

    async def _renew(self, credential: Credential) -> None:
        try:
            if credential.unsaved is not None and not self._save(credential):
                return
            ended = await self._run(credential)
        except Refused as refusal:
            self._lost(credential, refusal)
        except (LoginError, OSError) as error:
            self._failed(credential, error)
        else:
            self._ended(credential, ended)

    def _failed(self, credential: Credential, error: LoginError | OSError) -> None:
        """A renewal failed, for now: told once, however often it fails for that reason."""
        retry_after = error.retry_after if isinstance(error, Unavailable) else None
        words = str(error)
        if isinstance(error, OSError):
            words = f"{self._store.folder} cannot be written: {error.strerror or error}"
        if words != credential.error:
            self._log.warn(
                "{account}: its token could not be renewed: {error}. Retrying until it can be",
                account=credential.label,
                error=words.removesuffix("."),
            )
        credential.failed(words, self._wall(), retry_after)

    async def _run(self, credential: Credential) -> Renewed:
        held = await hold(self._shared, credential.login.name, self._clock)
        try:
            return await self._renewal(credential, held)
        finally:
            release(self._shared, held)

    async def _renewal(self, credential: Credential, held: Held) -> Renewed:
        vendor = VENDORS[credential.kind]
        flow = renewal(
            self._store,
            credential.login,
            vendor.client(self._settings),
            vendor.renew,
            now=self._wall,
            force=credential.forced,
            jitter=credential.jitter,
            held=lasting(held, self._clock),
        )
        proxy = own_proxy(credential.login.document) or self._proxy
        return await drive(flow, Fetch(self._send, self._clock, proxy=proxy), self._clock)

    def _ended(self, credential: Credential, ended: Renewed) -> None:
        if ended.login is None:
            # Logged out; the next looks at the folder tell everybody.
            credential.failed("its file is gone", self._wall(), None)
            return
        before = credential.login.access_token
        credential.renewed(ended.login, self._wall())
        if ended.login.access_token != before:
            self.renewed(credential)
        credential.unsaved = ended.unsaved
        if ended.unsaved is not None:
            credential.error = f"its new tokens cannot be written: {ended.unsaved[2]}"
            self._log.critical(
                "{account}: {error}. They are kept in memory; make room in {folder}",
                account=credential.label,
                error=credential.error,
                folder=str(self._store.folder),
            )
        elif ended.ours:
            self._log.info("{account}: its token was renewed", account=credential.label)

    def _save(self, credential: Credential) -> bool:
        """Write tokens that the disk would not take before."""
        assert credential.unsaved is not None
        login, tokens, _ = credential.unsaved
        lock = self._store.lock(login.name, make=False)
        if lock is None:
            return False
        with lock:
            try:
                written = self._store.update(login, tokens, self._wall())
            except OSError:
                return False
        credential.unsaved = None
        credential.error = ""
        if written is not None:
            credential.take(written, self._wall())
            self._log.info("{account}: its new tokens have been written", account=credential.label)
        return True

    def _lost(self, credential: Credential, refusal: Refused) -> None:
        if refusal.spent:
            credential.lost(str(refusal))
            self._log.error(
                "{account} needs a new login: {error} Run: {command}",
                account=credential.label,
                error=str(refusal),
                command=credential.suggestion,
            )
            return
        # Wrong settings, perhaps: to be tried again, seldom.
        credential.failed(str(refusal), self._wall(), _SELDOM)
        self._log.error("{account}: {error}", account=credential.label, error=str(refusal))


_SELDOM = 300.0


def _account_part(document: Document) -> Document:
    """What of a file makes its account, and not its tokens."""
    return {name: value for name, value in document.items() if name not in _TOKENS}
