"""Asks vendors which models they serve, for accounts whose configuration names none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ampproxy.catalog.families import Family, Layer
from ampproxy.config.schema import Account, Config
from ampproxy.errors import UpstreamFault
from ampproxy.relay.model_cache import ModelCache
from ampproxy.relay.sharing import DECLARED, MODELS, ListTopic, account_key, by_key, place_key
from ampproxy.routing.discovered import MAX_MODELS, Declared, Found, cleaned, declared
from ampproxy.state.shared import ALONE, Shared
from ampproxy.wire.words import counted

if TYPE_CHECKING:
    from ampproxy.providers import Call, Provider
    from ampproxy.relay.forward import Sends

#: Seconds between two questions to one vendor; up to a tenth more or less, so that they spread.
INTERVAL = 3600.0
#: Seconds after a first failure; doubles with each, up to the interval: a local server may start later.
FIRST_RETRY = 60.0
#: Seconds for a whole list.
TIMEOUT = 15.0
AT_ONCE = 4
MAX_LIST = 8 * 1024 * 1024
MAX_PAGES = 20
#: Seconds in which answers are gathered before the catalog is made anew.
_SETTLE = 0.2


#: The names of a vendor's list, and what it declares of models.
_List: TypeAlias = tuple[tuple[str, ...], tuple[Family, ...]]


class _Asked(msgspec.Struct, eq=False):
    """An account that is asked again and again.

    :ivar said: the failure that the log knows of already.
    """

    account: Account
    provider: Provider
    proxy: str | None
    timer: IDelayedCall | None = None
    asking: Deferred[None] | None = None
    failures: int = 0
    last_error: str = ""

    def stop(self) -> None:
        timer, self.timer = self.timer, None
        if timer is not None and timer.active():
            timer.cancel()
        asking, self.asking = self.asking, None
        if asking is not None:
            asking.cancel()


class Discovery:
    """The models of accounts that name none, as their vendors tell them.

    What is known is kept on disk and there at once at the next start. A failure changes nothing.

    :param clock: for the pauses.
    :param wall: seconds since the epoch.
    :param random: a number from 0 to 1.
    :param asks: whether vendors are asked, and what they answered is kept; else another process does that,
        and shares it.
    """

    def __init__(
        self,
        client: Sends,
        clock: IReactorTime,
        cache: ModelCache,
        log: Logger,
        *,
        wall: Callable[[], float],
        random: Callable[[], float],
        asks: bool = True,
    ) -> None:
        self._asks = asks
        self._client = client
        self._clock = clock
        self._cache = cache
        self._log = log
        self._wall = wall
        self._random = random
        self._book = cache.read(wall())
        self._asked: dict[str, _Asked] = {}
        self._gate = DeferredSemaphore(AT_ONCE)
        self._changed: Callable[[], None] = lambda: None
        self._announcing: IDelayedCall | None = None
        self._news = False
        self._unwritable = ""
        self._shared: Shared = ALONE
        #: The accounts that are asked, by what they and their vendors are known by among processes.
        self._keys: dict[str, list[Account]] = {}
        self._places: dict[str, list[Account]] = {}
        self._lists = ListTopic(MODELS, Found, lambda: self._keys, self._known_list, self._learn_list, wall)
        self._declarations = ListTopic(
            DECLARED, Declared, lambda: self._places, self._known_declared, self._learn_declared, wall
        )

    def share(self, shared: Shared) -> None:
        """Have all processes know what one of them was answered."""
        if shared.active:
            self._shared = shared
            shared.subscribe(MODELS, self._lists)
            shared.subscribe(DECLARED, self._declarations)

    def _known_list(self, key: str) -> Found | None:
        accounts = self._keys.get(key)
        return None if not accounts else self._book.accounts.get(self._book.identity(accounts[0]))

    def _known_declared(self, key: str) -> Declared | None:
        accounts = self._places.get(key)
        return None if not accounts else self._book.places.get(self._book.place(accounts[0]))

    def _learn_list(self, key: str, found: Found) -> None:
        accounts = self._keys.get(key, ())
        self._learn({self._book.identity(account): found for account in accounts}, {})

    def _learn_declared(self, key: str, found: Declared) -> None:
        accounts = self._places.get(key, ())
        self._learn({}, {self._book.place(account): found for account in accounts})

    def _learn(self, lists: Mapping[str, Found], declared_: Mapping[str, Declared]) -> None:
        """Another process was given these."""
        if not (lists or declared_):
            return
        before, self._book = self._book, self._book.having(lists, declared_)
        self._news |= any(
            (known := before.accounts.get(identity)) is None or known.models != found.models
            for identity, found in lists.items()
        ) or any(
            (knew := before.places.get(place)) is None or set(knew.families) != set(found.families)
            for place, found in declared_.items()
        )
        self._announce_soon()

    def models(self, accounts: Iterable[Account]) -> dict[str, tuple[str, ...]]:
        """Of those accounts whose vendor has answered at any time: label -> models."""
        return self._book.models(accounts)

    def declared(self, accounts: Iterable[Account]) -> Layer:
        """What those accounts' vendors declare of their models."""
        return self._book.declared(accounts)

    def failures(self) -> Iterator[tuple[str, str]]:
        """The accounts whose vendor did not answer when it was asked last, and why."""
        return ((asked.account.label, asked.last_error) for asked in self._asked.values() if asked.last_error)

    def watch(
        self,
        config: Config,
        providers: Mapping[str, Provider],
        changed: Callable[[], None],
        *,
        again: bool = False,
    ) -> None:
        """Ask for these accounts from now on, and for no others: those at once of which nothing is known
        or only something old.

        :param providers: of the accounts that name no models, by their labels.
        :param changed: called when :meth:`models` gives others than before.
        :param again: ask for all of them at once.
        """
        self._changed = changed
        before, self._asked = self._asked, {}
        for account in config.accounts:
            if account.models:
                continue
            provider = providers[account.label]
            if provider.LISTING is None:
                continue
            identity = self._book.identity(account)
            asked = before.pop(identity, None) or self._asked.get(identity)
            proxy = account.proxy_url or config.proxy_url
            if asked is None:
                asked = _Asked(account, provider, proxy)
            elif identity not in self._asked:
                asked.account, asked.provider, asked.proxy = account, provider, proxy
            self._asked[identity] = asked
        for left in before.values():
            left.stop()
        if self._shared.active:
            watched = [asked.account for asked in self._asked.values()]
            self._keys, self._places = by_key(watched, account_key), by_key(watched, place_key)
        for identity, asked in self._asked.items():
            self._begin(identity, asked, again)

    def settled(self) -> Deferred[Any]:
        """Fires when all that is being asked now has been answered or given up."""
        waiting = []
        for asked in self._asked.values():
            if asked.asking is not None:
                done: Deferred[None] = Deferred()
                asked.asking.addCallback(_after, done)
                waiting.append(done)
        return DeferredList(waiting)

    def stop(self) -> None:
        """Ask nobody any more; what is known is on the disk after this."""
        watched, self._asked = self._asked, {}
        for asked in watched.values():
            asked.stop()
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
            self._write()

    def _begin(self, identity: str, asked: _Asked, again: bool) -> None:
        if asked.asking is not None or not self._asks:
            return
        if asked.timer is not None and not again:
            return
        found = self._book.accounts.get(identity)
        # A clock that was set back does not put the question off.
        age = INTERVAL if found is None else max(0.0, self._wall() - found.at)
        if again or age >= INTERVAL:
            asked.stop()
            self._ask(identity, asked)
        else:
            self._later(identity, asked, INTERVAL - age)

    def _later(self, identity: str, asked: _Asked, seconds: float) -> None:
        spread = seconds * (0.9 + 0.2 * self._random())
        asked.timer = self._clock.callLater(spread, self._ask, identity, asked)

    def _ask(self, identity: str, asked: _Asked) -> None:
        asked.timer = None

        def begin() -> Deferred[_List]:
            # Not before its turn: waiting in the queue does not count.
            return Deferred.fromCoroutine(self._list(asked)).addTimeout(TIMEOUT, self._clock)

        asking: Deferred[Any] = self._gate.run(begin)
        asked.asking = asking
        asking.addCallbacks(
            self._found, self._failed, callbackArgs=(identity, asked), errbackArgs=(identity, asked)
        )
        asking.addErrback(self._defect, asked)

    def _found(self, listed: _List, identity: str, asked: _Asked) -> None:
        asked.asking, asked.failures, asked.last_error = None, 0, ""
        if self._asked.get(identity) is not asked:
            return
        models, families = listed
        place = self._book.place(asked.account)
        before, knew = self._book.accounts.get(identity), self._book.places.get(place)
        # Another account of the same vendor may be shown others.
        declared_before = () if knew is None else knew.families
        families, now = declared((*families, *declared_before)), self._wall()
        self._book = self._book.having({identity: Found(models, now)}, {place: Declared(families, now)})
        self._lists.publish(self._shared, account_key(asked.account), Found(models, now))
        self._declarations.publish(self._shared, place_key(asked.account), Declared(families, now))
        if set(families) != set(declared_before):
            self._news = True
        if before is None or before.models != models:
            self._news = True
            self._log.info(
                "{account}: its vendor lists {models}",
                account=asked.account.label,
                models=counted(len(models), "model"),
                count=len(models),
            )
        self._announce_soon()
        self._later(identity, asked, INTERVAL)

    def _announce_soon(self) -> None:
        if self._announcing is None:
            self._announcing = self._clock.callLater(_SETTLE, self._announce)

    def _failed(self, failure: Failure, identity: str, asked: _Asked) -> None:
        asked.asking = None
        if self._asked.get(identity) is not asked:
            return
        account, error = asked.account, failure.value
        assert error is not None
        # Not at the top: a service listens before it asks anybody.
        from ampproxy.upstream.failures import explain

        reason = str(explain(error, urlsplit(account.base_url).netloc))
        if asked.last_error != reason:
            asked.last_error = reason
            known = identity in self._book.accounts
            self._log.warn(
                "{account}: could not fetch the model list: {reason} {instead}",
                account=account.label,
                reason=reason,
                instead="The last list stays." if known else "You can list models in the account's entry.",
            )
        self._later(identity, asked, min(INTERVAL, FIRST_RETRY * 2.0 ** min(asked.failures, 10)))
        asked.failures += 1

    def _defect(self, failure: Failure, asked: _Asked) -> None:
        self._log.failure(
            "{account}: unhandled error while fetching its models", failure, account=asked.account.label
        )

    def _announce(self) -> None:
        self._announcing = None
        self._write()
        news, self._news = self._news, False
        if news:
            self._changed()

    def _write(self) -> None:
        if not self._asks:
            return
        try:
            self._cache.write(self._book, self._wall())
            self._unwritable = ""
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if self._unwritable != reason:
                self._unwritable = reason
                self._log.warn(
                    "The vendors' lists of models cannot be written to {path}: {reason}",
                    path=str(self._cache.path),
                    reason=reason,
                )

    async def _list(self, asked: _Asked) -> _List:
        """All parts of a vendor's list.

        :raises UpstreamFault: it gives none.
        """
        names: list[str] = []
        families: list[Family] = []
        after = ""
        for _ in range(MAX_PAGES):
            call = asked.provider.models_call(after)
            if call is None:
                break
            body = await self._get(call, asked)
            try:
                page = asked.provider.models_page(body)
            except ValueError:
                raise UpstreamFault.of(
                    "unavailable", f"{_place(call)} did not return a list of models."
                ) from None
            names += page.names
            families += page.families
            if page.after in ("", after) or len(names) > MAX_MODELS:
                break
            after = page.after
        return cleaned(names), tuple(families)

    async def _get(self, call: Call, asked: _Asked) -> bytes:
        headers = Headers()
        for name, value in call.headers:
            headers.addRawHeader(name, value)
        response = await self._client.send(
            call.method.decode(), call.url.decode(), headers, None, asked.proxy
        )
        # Also of an error, so that the connection can be used again.
        # Not at the top: see _failed.
        from ampproxy.upstream.body import collect

        body = await collect(response, limit=MAX_LIST, clock=self._clock, idle=TIMEOUT, inflate=True)
        if response.code != 200:
            raise UpstreamFault.of("unavailable", f"{_place(call)} answered with status {response.code}.")
        return body


def _after(result: Any, done: Deferred[None]) -> Any:
    done.callback(None)
    return result


def _place(call: Call) -> str:
    """Where a call goes, as a log may show it: the query may hold a key."""
    return call.url.partition(b"?")[0].decode("ascii", "replace")
