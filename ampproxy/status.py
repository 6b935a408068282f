"""What the service tells of itself: of its configuration, and of how it was last changed.

``/readyz`` and ``/ampproxy/reload`` answer with these as JSON; ``ampproxy reload`` and ``ampproxy restart``
read them.
"""

from __future__ import annotations

import pwd
from functools import cache
from typing import Literal

import msgspec

#: ``ready``: it serves. ``idle``: it could, but has no account and no Amp upstream. ``starting``: it waits
#: to take another process's place. ``draining``: it takes no new connections and ends when it has served
#: what is under way.
State = Literal["ready", "idle", "starting", "draining"]


class ReloadReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one reading of the configuration went.

    :param ok: whether it is in force; otherwise the one before is.
    :param at: seconds since the epoch.
    :param generation: of the configuration that is in force after it.
    :param complaints: what is wrong, each with ``file:line``.
    :param warnings: in the same form, what is odd but does no harm.
    :param changes: the settings that are others than before, without any secret.
    :param asked: whether somebody asked for it; else the file had changed.
    """

    ok: bool
    at: float
    generation: int
    complaints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    asked: bool = False


#: Where it answers with :class:`CloudTraffic`.
CLOUD_TRAFFIC = "/ampproxy/neo"


class CloudTraffic(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was seen of requests of Amp's cloud since the process began; ``/ampproxy/neo`` answers with it.

    Times are seconds since the epoch; 0: never.

    :param wide_client: whose key of ``api-keys`` came by the public address last.
    :param wide_at: when that was.
    :param unmarked_at: when a request of Amp's cloud last came where all of the gateway is, from this machine
        and without a header that names another client.
    """

    wide_client: str = ""
    wide_at: float = 0.0
    unmarked_at: float = 0.0


class RestartReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the last attempt at a restart went: of one that succeeded, the new process tells nothing.

    :param at: when it failed, in seconds since the epoch; 0: it is under way.
    :param why: what kept the new process from taking over.
    """

    at: float
    why: str = ""


class Reports(msgspec.Struct):
    """What the service tells of its last restart: written by who attempts it.

    :ivar restart: ``None``: there was none that failed, and none is under way.
    """

    restart: RestartReport | None = None


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one of several workers is.

    :param state: ``ready``; ``starting``: it is being started; ``leaving``: it accepts nothing more and ends
        when it has served what is under way; ``hung``: it does not answer; ``waiting``: it has died several
        times, and is started again soon.
    :param started: when its process began, in seconds since the epoch; 0: there is none.
    :param running: exchanges and tunnels under way.
    :param connections: of clients.
    :param memory: resident, in bytes.
    :param cpu: seconds of processor time that it has used.
    :param deaths: how often a worker with this number has died since the service began.
    :param in_a_row: how often one after another, the last of which is not long ago.
    """

    number: int
    state: Literal["ready", "starting", "leaving", "hung", "waiting"]
    pid: int = 0
    started: float = 0.0
    running: int = 0
    connections: int = 0
    memory: int = 0
    cpu: float = 0.0
    deaths: int = 0
    in_a_row: int = 0


class SharedReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the sharing goes.

    :param by: what the state is shared by, for people, without a secret; empty: nothing is shared.
    :param connected: whether it is shared now.
    :param away_since: seconds since the epoch; 0: it is not away.
    :param why: why it is away.
    :param waiting: how many entries wait until it is back.
    """

    by: str = ""
    connected: bool = False
    away_since: float = 0.0
    why: str = ""
    waiting: int = 0


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the service is.

    :param generation: how often a configuration was put in force, those of earlier processes included.
    :param since: when the one that is in force was, in seconds since the epoch.
    :param user: whom it runs as.
    :param config: the file that its configuration comes from; empty: none.
    :param state_dir: where it keeps the ledger and what has been spent; empty: nowhere.
    :param auth_dir: where its logins are.
    :param running: exchanges and tunnels under way.
    :param started: when this process began to serve, in seconds since the epoch.
    :param reload: the last reading of the file after the first.
    :param workers: the processes that serve, where there are several.
    :param shared: how sharing its state with other processes goes; ``None``: it is shared with none.
    :param ledger: why exchanges cannot be written to the ledger just now; empty: they can.
    """

    status: State
    generation: int
    since: float
    pid: int = 0
    version: str = ""
    user: str = ""
    config: str = ""
    state_dir: str = ""
    auth_dir: str = ""
    listening: tuple[str, ...] = ()
    running: int = 0
    reload: ReloadReport | None = None
    restart: RestartReport | None = None
    started: float = 0.0
    workers: tuple[WorkerStatus, ...] = ()
    shared: SharedReport | None = None
    ledger: str = ""


class Alert(msgspec.Struct, frozen=True):
    """Something that the owner should know of and do something about. Holds no secret.

    :param kind: a name of :data:`ampproxy.model.alerts.KINDS`.
    :param subject: what it is about; with the kind it makes an alert the same one.
    :param message: one sentence.
    :param suggestion: what to do, perhaps in several lines; or empty.
    :param since: seconds since the epoch.
    """

    kind: str
    subject: str
    message: str
    suggestion: str = ""
    since: float = 0.0


class Delivered(msgspec.Struct, frozen=True):
    """How the last delivery to one place went.

    :param target: ``webhook at HOST`` or ``command PROGRAM``.
    :param answer: what came back, or why nothing did.
    """

    target: str
    ok: bool
    answer: str
    at: float


class AlertsReport(msgspec.Struct, frozen=True):
    """What is active, for ``ampproxy alerts``.

    :param configured: whether there is a section ``alerts``; without it nothing is looked at.
    :param checked_at: when that was last done, in seconds since the epoch; 0: not yet.
    :param deliveries: the last one to each place since the start.
    """

    configured: bool
    checked_at: float = 0.0
    active: tuple[Alert, ...] = ()
    deliveries: tuple[Delivered, ...] = ()


class AlertsTested(msgspec.Struct, frozen=True):
    """How the deliveries of a test alert went."""

    deliveries: tuple[Delivered, ...] = ()


@cache
def user_name(uid: int) -> str:
    """The name of a user, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
