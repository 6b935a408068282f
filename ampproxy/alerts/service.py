"""Looks every now and then whether something is wrong, and sends what is news, beside the requests."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ampproxy.credentials.kept import InThread, KeptFile
from ampproxy.generation import Generation
from ampproxy.model.alerts import Alerts
from ampproxy.status import Alert, AlertsReport, AlertsTested, Delivered
from ampproxy.wire.redact import Redactor, Secret

if TYPE_CHECKING:
    from ampproxy.alerts.delivery import Target
    from ampproxy.alerts.gather import Gathering
    from ampproxy.alerts.states import AlertStates, Notice

#: The file's name in the folder of what is kept.
NAME = "alerts.json"
_MAX_FILE_BYTES = 4 * 1024 * 1024
#: Seconds for which some kinds must be active to be sent.
PENDING_SECONDS = {"all-cooling": 60.0, "ledger-away": 60.0}
#: Seconds before each further attempt at one delivery.
PAUSES = (2.0, 10.0)


class AlertsService:
    """Sends alerts as long as the configuration wants it.

    :param reactor: has the time, and starts processes.
    :param in_thread: runs what waits for the disk; by default in one of the reactor's threads.
    :param host: the name of this machine.
    """

    def __init__(
        self, reactor: Any, log: Logger, *, in_thread: InThread | None = None, host: str = ""
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._in_thread = in_thread or _threads(reactor)
        self._host = host or socket.gethostname()
        self._generation: Generation | None = None
        self._redactor = Redactor(())
        self._gathering: Gathering | None = None
        self._states: AlertStates | None = None
        self._file: KeptFile | None = None
        self._targets: tuple[Target, ...] = ()
        self._made_of: object = None
        self._running = False
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._checked_at = 0.0
        self._last: dict[str, Delivered] = {}

    @property
    def settings(self) -> Alerts | None:
        """Those in force; ``None``: nothing is alerted of."""
        return None if self._generation is None else self._generation.config.alerts

    def use(self, generation: Generation, secrets: Collection[Secret] = ()) -> None:
        """Another configuration is in force. What was sent under the one before counts.

        :param secrets: what nothing that is sent may hold: a vendor may quote one in an error.
        """
        before, self._generation = self.settings, generation
        if self.settings is not None:
            self._redactor = Redactor(secrets)
        self._make_targets(generation)
        if self._running and self.settings != before:
            self._pause()
            self._wait()

    def start(self) -> None:
        """Look from now on, if that is wanted."""
        self._running = True
        self._states = None  # another process may have sent something since
        self._wait()

    def stop(self) -> None:
        """Look no longer: the service ends, or another process is it from now on."""
        self._running = False
        self._pause()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        if self._file is not None:
            self._file.flush()

    def report(self) -> AlertsReport:
        """What is active."""
        active = () if self._states is None or self.settings is None else self._states.active()
        return AlertsReport(self.settings is not None, self._checked_at, active, tuple(self._last.values()))

    async def test(self) -> AlertsTested:
        """Send a test alert, once to each place; gives how that went."""
        tested = await send_test(self._targets, self._host)
        self._last |= {one.target: one for one in tested.deliveries}
        return tested

    def _make_targets(self, generation: Generation) -> None:
        config, runtime = generation.config, generation.runtime
        made_of = config.alerts, config.proxy_url
        if made_of != self._made_of:
            self._made_of, self._last = made_of, {}
            self._targets = ()
        if self._targets or config.alerts is None:
            return
        from ampproxy.alerts.delivery import targets

        self._targets = targets(
            config.alerts, runtime.client, self._reactor, runtime.environ, config.proxy_url
        )

    # Looking.

    def _pause(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _wait(self) -> None:
        """Look again after the interval; a look that is under way comes to this by itself."""
        settings = self.settings
        if self._running and settings is not None and self._timer is None and self._looking is None:
            self._timer = self._reactor.callLater(settings.interval, self._look)

    def _look(self) -> None:
        self._timer = None
        looking = self._looking = Deferred.fromCoroutine(self._once())
        looking.addErrback(self._failed).addBoth(self._looked, looking)

    def _failed(self, failure: Any) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("Unhandled error while looking for alerts", failure)

    def _looked(self, _: object, looking: Deferred[None]) -> None:
        if self._looking is None or self._looking is looking:
            self._looking = None
            self._wait()

    async def _once(self) -> None:
        generation, settings = self._generation, self.settings
        assert generation is not None
        if settings is None:
            return
        states = self._known(generation)
        # Not at the top: most configurations have no alerts, and it is slow to load.
        from ampproxy.alerts.conditions import conditions
        from ampproxy.alerts.gather import Gathering

        if self._gathering is None:
            self._gathering = Gathering(self._in_thread)
        facts = await self._gathering.facts(generation, settings.on)
        now = self._checked_at = self._now()
        longest = generation.config.routing.max_cooldown
        notices = states.update(
            conditions(facts, settings.on).redacted(self._redactor.text),
            settings.on,
            now,
            repeat=settings.repeat,
            # A first failure may mean nothing: the next request tries the account at once.
            pending=lambda kind: PENDING_SECONDS.get(kind, 0.0),
            # After a cooldown one request tries the account, and may begin the next one.
            settle=lambda kind: longest if kind == "all-cooling" else 0.0,
        )
        if self._file is not None and notices:
            self._file.changed()
        for notice in notices:
            await self._deliver(states, notice)

    def _known(self, generation: Generation) -> AlertStates:
        """What was sent, also by an earlier process."""
        # Not at the top: most configurations have no alerts.
        from ampproxy.alerts.states import read_states

        if self._states is None:
            runtime = generation.runtime
            self._file = KeptFile(
                runtime.state,
                NAME,
                _MAX_FILE_BYTES,
                self._content,
                clock=self._reactor,
                log=self._log,
                in_thread=self._in_thread,
            )
            self._states = read_states(self._file.read())
        return self._states

    def _content(self, _: bytes | None) -> bytes:
        return b'{"alerts":[]}' if self._states is None else self._states.written()

    # Sending.

    async def _deliver(self, states: AlertStates, notice: Notice) -> None:
        """Send to every place; to one is enough."""
        results = [await self._insist(target, notice) for target in self._targets]
        (states.sent if any(results) else states.failed)(notice, self._now())
        if self._file is not None:
            self._file.changed()

    async def _insist(self, target: Target, notice: Notice) -> bool:
        """Send to one place, with a few attempts; whether it arrived."""
        before = self._last.get(target.name)
        result, again = await self._attempt(target, notice)
        for pause in PAUSES:
            if result.ok or not again:
                break
            await deferLater(self._reactor, pause)
            result, again = await self._attempt(target, notice)
        self._log_change(before, result)
        return result.ok

    async def _attempt(self, target: Target, notice: Notice) -> tuple[Delivered, bool]:
        """Send once; gives how that went, and whether another attempt may help."""
        result, again = await _send(target, notice, self._host, self._now())
        if not self._running:
            raise CancelledError
        self._last[target.name] = result
        return result, again

    def _log_change(self, before: Delivered | None, now: Delivered) -> None:
        """Log a failure once, and its end."""
        if now.ok:
            if before is not None and not before.ok:
                self._log.info("Alerts reach the {target} again", target=now.target)
        elif before is None or before.ok or before.answer != now.answer:
            self._log.error(
                "An alert could not be sent to the {target}: {why} (settings: alerts; ampproxy alerts test "
                "sends a test)",
                target=now.target,
                why=now.answer,
            )

    def _now(self) -> float:
        assert self._generation is not None
        return self._generation.runtime.wall()


async def send_test(places: Iterable[Target], host: str = "") -> AlertsTested:
    """Send a test alert, once to each place; gives how that went.

    :param host: the name of this machine; empty: the system's.
    """
    from ampproxy.alerts.states import Notice

    now = time.time()
    notice = Notice("test", Alert("test", "test", "This is a test. Nothing is wrong.", since=now))
    host = host or socket.gethostname()
    return AlertsTested(tuple([(await _send(place, notice, host, now))[0] for place in places]))


async def _send(place: Target, notice: Notice, host: str, now: float) -> tuple[Delivered, bool]:
    from ampproxy.alerts.delivery import NotDelivered
    from ampproxy.alerts.payload import payload

    try:
        answer = await place.send(payload(notice, host, now))
    except NotDelivered as error:
        return Delivered(place.name, False, str(error), now), error.again
    return Delivered(place.name, True, answer, now), False


def _threads(reactor: Any) -> Callable[[Callable[[], Any]], Deferred[Any]]:
    return lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)
