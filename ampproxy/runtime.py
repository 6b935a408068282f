"""What lives as long as the process, whatever configuration is in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource

from ampproxy.catalog.families import Families
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.health import PoolState
from ampproxy.credentials.lessons import Lessons
from ampproxy.credentials.pins import Pins
from ampproxy.credentials.report import LoginStatus
from ampproxy.credits.allowance import Allowance
from ampproxy.http.deadlines import Deadlines
from ampproxy.model.base import Value
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.record import ExchangeRecord, Observer
from ampproxy.relay.remembered import Remembered
from ampproxy.relay.stored import StoredAnswers
from ampproxy.relay.unknown import RouteMemory
from ampproxy.relay.workers import Workers
from ampproxy.server.cloud_notes import CloudNotes
from ampproxy.server.failures import Failures
from ampproxy.server.limiter import Limiter, kept_nowhere
from ampproxy.server.owners import Owners
from ampproxy.server.running import ActiveExchanges
from ampproxy.state.shared import ALONE, Shared
from ampproxy.status import AlertsReport, AlertsTested, ReloadReport, Status
from ampproxy.tenants.costs import Costs, NoCosts
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.held import Held

if TYPE_CHECKING:
    from ampproxy.relay.elsewhere import Elsewhere


class Alerting(Protocol):
    """What sends alerts: :class:`~ampproxy.alerts.service.AlertsService`."""

    def report(self) -> AlertsReport:
        """What is active."""

    async def test(self) -> AlertsTested:
        """Send a test; gives how that went."""


class Runtime(Value, frozen=True, kw_only=True, eq=False):
    """What all configurations share, from the start of the process to its end.

    :param clock: the reactor's, or a test's.
    :param deadlines: of the clock's, for what hardly ever passes.
    :param client: sends requests.
    :param wall: seconds since the epoch.
    :param new_id: makes an unguessable id for a prefix.
    :param running: what is under way, under any configuration.
    :param workers: do what takes long, in threads.
    :param failures: counts the requests to the paths for Amp's cloud that lack the key.
    :param cloud_notes: what was seen of requests of Amp's cloud.
    :param pool_state: which accounts rest, and where conversations are at home.
    :param shared: by what other processes know what this one learns.
    :param login_statuses: how each login is.
    :param seen_clients: which of Amp's clients have been here.
    :param unknown_routes: what they asked for that nobody knew.
    :param observers: who hears of each exchange that has ended, beside the log.
    :param departing: hears of each exchange before it is sent to an account or to Amp; ``None``: nobody does.
    :param live: the records of exchanges that are under way, by their ``id()``.
    :param brief: whether who takes the log's events makes the fields of exchanges himself.
    :param logs_exchanges: whether their lines are logged here; else another process does that.
    :param names_salt: what the names of clients' keys are made with (see :mod:`ampproxy.credentials.names`).
    :param held: counts the bodies that are held.
    :param lessons: what accounts have taught by refusing something.
    :param pins: which account keeps what its vendor stored.
    :param remembered: what clients may refer to of the answers that they were given.
    :param stored: whole answers that clients may go on from.
    :param allowance: counts what goes to Amp under daily limits.
    :param limiter: counts what clients use of their own limits.
    :param costs: what models cost under a configuration; asked where a client has a limit in dollars.
    :param state: the folder of what is kept across restarts; ``None``: nothing is.
    :param known_models: what the vendors of accounts listed when they were asked, by label.
    :param knowledge: what is known of models under a configuration.
    :param status: how the service is.
    :param reload: reads the configuration's file anew; gives ``None`` where there is none.
    :param alerts: sends alerts; ``None``: nothing does.
    :param owners: the browsers that may open the owner's page.
    :param elsewhere: makes what has another process answer for ``/ampproxy`` and ``/readyz``; ``None``: none
        does.
    :param mount: makes what serves below ``/ampproxy`` besides the tree; ``None``: nothing does.
    """

    clock: IReactorTime
    deadlines: Deadlines
    client: UpstreamClient
    environ: Mapping[str, str]
    home: Path
    wall: Callable[[], float]
    new_id: Callable[[str], str]
    log: Logger
    running: ActiveExchanges
    seen_clients: SeenClients
    unknown_routes: RouteMemory
    observers: tuple[Observer, ...] = ()
    departing: Observer | None = None
    live: dict[int, ExchangeRecord] = msgspec.field(default_factory=dict)
    brief: bool = False
    logs_exchanges: bool = True
    state: Path | None = None
    names_salt: bytes = b""
    held: Held = msgspec.field(default_factory=Held)
    allowance: Allowance = msgspec.field(default_factory=lambda: Allowance(None, lambda: ""))
    lessons: Lessons = msgspec.field(default_factory=Lessons)
    pins: Pins = msgspec.field(default_factory=Pins)
    remembered: Remembered = msgspec.field(default_factory=lambda: Remembered(time.monotonic))
    stored: StoredAnswers = msgspec.field(default_factory=lambda: StoredAnswers(time.monotonic))
    limiter: Limiter = msgspec.field(default_factory=lambda: kept_nowhere(time.time))
    costs: Callable[[Config], Costs] = lambda config: NoCosts()
    workers: Workers = msgspec.field(default_factory=Workers)
    failures: Failures = msgspec.field(default_factory=lambda: Failures(time.monotonic))
    cloud_notes: CloudNotes = msgspec.field(default_factory=lambda: CloudNotes(time.time))
    pool_state: PoolState = msgspec.field(default_factory=PoolState)
    shared: Shared = ALONE
    login_statuses: Callable[[], Iterable[LoginStatus]] = tuple
    known_models: Callable[[Iterable[Account]], Mapping[str, tuple[str, ...]]] = lambda accounts: {}
    knowledge: Callable[[Config], Families] = attrgetter("families")
    status: Callable[[], Status] = lambda: Status("ready", 1, 0.0)
    reload: Callable[[], ReloadReport | None] = lambda: None
    alerts: Alerting | None = None
    owners: Owners = msgspec.field(default_factory=Owners)
    mount: Callable[[Any], IResource | None] = lambda generation: None
    elsewhere: Callable[[Any], IResource | None] = lambda generation: None
    kept_elsewhere: Elsewhere | None = None
