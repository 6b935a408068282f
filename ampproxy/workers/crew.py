"""The supervisor: starts the workers, watches them, and does for them what only one process may do."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ampproxy import __version__
from ampproxy.channel.link import pump
from ampproxy.channel.messages import (
    Accept,
    Beat,
    Begun,
    Cancel,
    Commit,
    Ended,
    Enter,
    Leave,
    Leaving,
    Left,
    Line,
    Message,
    Note,
    Ping,
    Prepare,
    Prepared,
    Ready,
    Stop,
    Visit,
)
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.lifecycle import Phase
from ampproxy.relay.record import Outcome
from ampproxy.service import GatewayService
from ampproxy.status import WorkerStatus
from ampproxy.wire.words import counted as plural
from ampproxy.workers.beginning import Beginning
from ampproxy.workers.limiting import Gate
from ampproxy.workers.member import Member
from ampproxy.workers.notes import keep
from ampproxy.workers.proving import Proofs
from ampproxy.workers.searching import SEARCHING, Searches
from ampproxy.workers.seats import Deaths, assigned, spread
from ampproxy.workers.sharing import HubOfWorkers
from ampproxy.workers.spawning import Spawner, SpawnFailed
from ampproxy.workers.starting import NewConfig, counted, descriptors, packed
from ampproxy.workers.visits import receive

#: Seconds between two questions whether a worker is there.
PING = 1.0
#: Seconds that workers may take until they are ready for another configuration.
PREPARE_TIMEOUT = 10.0
#: Seconds beyond those that they have been given, after which workers that should have ended are killed.
_SLACK = 8.0
#: The code of an exchange whose worker has ended.
LOST = "worker_ended"


class Supervisor:
    """Implements :class:`~ampproxy.assembly.Crew`. An :class:`~ampproxy.workers.member.Owner`.

    :param count: how many workers.
    :param begins: what of this process workers begin with.
    :param line: takes lines that workers have logged, and their level.
    :param late: hears by how much the reactor of a worker was late.
    :param wall: seconds since the epoch.
    :ivar renew: called when another version of the code has been installed: starts the service anew with it.
    :ivar spawner: has workers forked; ``wait`` has channels send and receive while the reactor waits.
    """

    def __init__(
        self,
        count: int,
        reactor: Any,
        log: Logger,
        *,
        environ: Mapping[str, str],
        begins: Beginning,
        line: Callable[[str, str], None],
        late: Callable[[float], None],
        wall: Callable[[], float],
        kill: Callable[[int, int], None] = os.kill,
    ) -> None:
        self.count = count
        self.hub = HubOfWorkers(reactor.seconds)
        self.renew: Callable[[], None] = lambda: None
        self.spawner: Any = Spawner(reactor, environ, self._exited)
        self.wait = pump
        self._reactor = reactor
        self._log = log
        self._begins = begins
        self._line = line
        self._late = late
        self._wall = wall
        self._kill = kill
        self._service: GatewayService
        self._gate: Gate
        self._members: dict[int, Member] = {}
        self._old: set[Member] = set()
        self._deaths = {number: Deaths() for number in range(1, count + 1)}
        self._waiting: dict[int, IDelayedCall] = {}
        self._ready: list[Deferred[None]] | None = []
        self._ended: list[Deferred[None]] = []
        self._ping: IDelayedCall | None = None
        self._over = self._renewing = False
        self._pings = 0
        self._proofs = Proofs()
        self._searches = Searches()

    # What the service asks for.

    def attach(self, service: GatewayService) -> None:
        self._service = service
        self._gate = Gate(service.current.runtime.limiter.running)
        service.listeners.moved = self._assign

    def start(self) -> None:
        for number in range(1, self.count + 1):
            self._launch(number)
        self._ping = self._reactor.callLater(PING, self._look)

    @property
    def is_ready(self) -> bool:
        """Whether all workers have been able to accept at the same time."""
        return self._ready is None

    def when_ready(self) -> Deferred[None]:
        """Fires when all workers can accept for the first time."""
        done: Deferred[None] = Deferred()
        if self._ready is None:
            done.callback(None)
        else:
            self._ready.append(done)
        return done

    def prepare(self, config: Config, sockets: Mapping[str, list[socket.socket]]) -> None:
        """See :class:`~ampproxy.assembly.Crew`. All else of this process waits meanwhile, for moments; it
        serves no streams. A worker that does not answer is killed, and its successor begins with what is
        then in force.
        """
        blob = packed(NewConfig(config=config, kept=counted(sockets)))
        asked = self._able()
        for member in asked:
            member.prepared = None
            member.send(Prepare(blob), descriptors(sockets))

        def all_have() -> bool:
            return all(member.prepared is not None or not member.link.open for member in asked)

        if not self.wait([member.link for member in asked], all_have, self._reactor.seconds, PREPARE_TIMEOUT):
            for member in asked:
                if member.prepared is None:
                    self._destroy(
                        member, f"has not been ready for another configuration within {PREPARE_TIMEOUT:g} s"
                    )
        complaints = [line for member in asked for line in member.prepared or ()]
        if complaints:
            raise ConfigError(tuple(dict.fromkeys(complaints)))

    def cancel(self) -> None:
        self._broadcast(Cancel())

    def commit(self, generation: int) -> None:
        """See :class:`~ampproxy.assembly.Crew`. A worker that is being started begins anew."""
        for member in [*self._members.values()]:
            if member.prepared is not None or member.leaving:
                member.send(Commit(generation))
                member.prepared = None
            elif not member.killed:
                member.anew = True
                self._destroy(member, "is started anew, with another configuration", quiet=True)
        self._assign(again=True)

    def report(self) -> tuple[WorkerStatus, ...]:
        current = [self._status(number) for number in sorted(self._deaths)]
        return (*current, *(member.status(self._reactor.seconds()) for member in self._old))

    def leave(self, pid: int) -> None:
        self._finish(Leave(pid))

    def stop(self) -> None:
        self._finish(Stop())

    def ended(self, within: float) -> Deferred[None]:
        if not self._all():
            self._close()
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._ended.append(done)
        late = self._reactor.callLater(within + _SLACK, self._kill_all)
        return done.addBoth(lambda _: late.cancel() if late.active() else None)

    def all_answer(self) -> bool:
        """Whether each worker has answered lately, and none is missing for long."""
        limit = 2 * self._service.current.config.timeouts.worker
        return all(self._reactor.seconds() - member.answered < limit for member in self._members.values())

    @property
    def stall(self) -> float:
        """The longest turn of a worker's reactor, of those that were too long, in seconds."""
        return max((member.beat.stall for member in self._all()), default=0.0)

    @property
    def held(self) -> int:
        """Bytes of bodies that workers hold."""
        return sum(member.beat.held for member in self._all())

    # Workers begin.

    def _launch(self, number: int) -> None:
        self._waiting.pop(number, None)
        if self._over:
            return
        ours, theirs = socket.socketpair()
        with theirs:
            now, wall = self._reactor.seconds(), self._wall()
            member = self._members[number] = Member(self._reactor, self, number, ours, now, wall)
            try:
                self.spawner.spawn(theirs, lambda pid, why: self._spawned(member, pid, why))
            except SpawnFailed as error:
                self._spawned(member, 0, str(error))
        if not member.link.open:
            return
        member.send(*self._begins.start(member.number, self._service))
        member.link.start()

    def _spawned(self, member: Member, pid: int, why: str) -> None:
        member.pid, member.answered = pid, self._reactor.seconds()
        if pid and member.killed:
            # There was no process yet when that was decided.
            self._kill_process(member)
        if not pid:
            self._log.error("Worker {number} cannot be started: {why}", number=member.number, why=why)
            member.link.close()
            self.gone(member)

    def _is_ready(self, member: Member, message: Ready) -> None:
        member.ready, member.pid = True, message.pid
        member.answered = self._reactor.seconds()
        self._log.info("Worker {number} is ready (process {pid})", number=member.number, pid=member.pid)
        self.hub.welcome(member)
        self._assign()
        if message.version != __version__ and not self._renewing:
            self._renewing = True
            self._log.warn(
                "Worker {number} runs version {version}, and this process {own}: restarting",
                number=member.number,
                version=message.version,
                own=__version__,
            )
            self.renew()
        if self._ready is not None and len(self._able()) == self.count:
            waiting, self._ready = self._ready, None
            for done in waiting:
                done.callback(None)

    # Workers send.

    def message(self, member: Member, message: Any, descriptors: list[int]) -> None:
        kind = type(message)
        if kind is Ended:
            self._end(member, message)
        elif kind is Begun:
            self._begin(member, message)
        elif kind is Line:
            self._line(message.text, message.level)
        elif kind is Beat:
            self._beat(member, message)
        elif kind is Ready:
            self._is_ready(member, message)
        elif kind is Prepared:
            member.prepared = message.complaints
        elif kind is Leaving:
            self._leaves(member)
        elif kind is Visit:
            receive(self._reactor, self._service.site, message, descriptors)
        elif kind is Note:
            keep(self._service.current.runtime, message)
        elif kind is Enter:
            self._gate.enter(member, message)
        elif kind is Left:
            self._gate.left(member, message.tenant)
        elif kind in SEARCHING:
            self._searches.message(member, message, self._all())
        else:
            self.hub.message(member, message)

    def defect(self, member: Member) -> None:
        self._log.failure("Unhandled error in a message of worker {number}", number=member.number)

    def _begin(self, member: Member, message: Begun) -> None:
        live = self._service.current.runtime.live
        before = member.live.get(message.key)
        if before is not None:
            live.pop(id(before), None)
        member.live[message.key] = live[id(message.record)] = message.record

    def _end(self, member: Member, message: Ended) -> None:
        before = member.live.pop(message.key, None)
        if before is not None:
            self._service.current.runtime.live.pop(id(before), None)
        current = self._service.current
        self._proofs.see(current, message.record)
        current.report(message.record)
        ledger = self._service.ledger
        member.kept(message.number, 0 if ledger is None else ledger.position)

    def _beat(self, member: Member, beat: Beat) -> None:
        before, member.beat = member.beat, beat
        member.answered = self._reactor.seconds()
        for late in beat.lags:
            self._late(late)
        runtime = self._service.current.runtime
        known = {(name, why): count for name, why, count in before.cooldowns}
        for name, why, count in beat.cooldowns:
            runtime.pool_state.begun[name, why] += count - known.get((name, why), 0)
        learned = dict(before.lessons)
        for name, count in beat.lessons:
            runtime.lessons.learned[name] += count - learned.get(name, 0)
        runtime.limiter.last.update(beat.standings)

    # Workers end.

    def _leaves(self, member: Member) -> None:
        """It was asked to end by someone else; another one takes its place at once."""
        if self._members.get(member.number) is member and not self._over:
            member.leaving, member.ready = True, False
            self._old.add(member)
            self._log.info(
                "Worker {number} (process {pid}) ends; starting another one",
                number=member.number,
                pid=member.pid,
            )
            self._launch(member.number)
            self._assign()

    def gone(self, member: Member) -> None:
        self.hub.left(member)
        self._gate.gone(member)
        self._searches.gone(member)
        self._lose(member)
        if member in self._old:
            self._old.discard(member)
        elif self._members.get(member.number) is member:
            del self._members[member.number]
            if not self._over:
                self._replace(member)
        self._assign()
        if self._over and not self._all():
            self._close()

    def _lose(self, member: Member) -> None:
        """What it had under way has ended with it."""
        live, now = self._service.current.runtime.live, self._reactor.seconds()
        lost, member.live = member.live, {}
        for record in lost.values():
            live.pop(id(record), None)
            record.code = LOST
            if record.close(now, Outcome.FAILED, f"its worker (process {member.pid}) has ended"):
                self._service.current.report(record)
        if lost:
            self._log.error(
                "Worker {number} (process {pid}) has ended while it was serving {exchanges}",
                number=member.number,
                pid=member.pid,
                exchanges=plural(len(lost), "exchange"),
                count=len(lost),
            )

    def _replace(self, member: Member) -> None:
        number = member.number
        delay = 0.0 if member.anew else self._deaths[number].died(self._reactor.seconds() - member.started)
        self._log.error(
            "Worker {number} (process {pid}) has ended; starting another one{later}",
            number=number,
            pid=member.pid,
            later=f" in {delay:g} s" if delay else "",
        )
        self._waiting[number] = self._reactor.callLater(delay, self._launch, number)

    def _exited(self, pid: int, status: int) -> None:
        if self._over and status in (0, -signal.SIGTERM):
            return
        if status < 0:
            how = f"signal {-status} ({signal.Signals(-status).name})"
            self._log.error("Process {pid}, a worker, was ended by {how}", pid=pid, how=how)
        elif status:
            self._log.error("Process {pid}, a worker, has ended with status {status}", pid=pid, status=status)

    def _destroy(self, member: Member, why: str, *, quiet: bool = False) -> None:
        """Kill one that is of no use."""
        (self._log.info if quiet else self._log.error)(
            "Worker {number} (process {pid}) {why}: it is killed",
            number=member.number,
            pid=member.pid,
            why=why,
        )
        member.killed = True
        self._kill_process(member)

    def _kill_process(self, member: Member) -> None:
        if member.pid and member.link.open:
            try:
                self._kill(member.pid, signal.SIGKILL)
            except OSError:
                pass

    # All of them.

    def _look(self) -> None:
        """Ask each whether it is there; one that has not answered for long is killed."""
        self._ping = self._reactor.callLater(PING, self._look)
        self._pings += 1
        ledger, now = self._service.ledger, self._reactor.seconds()
        written = 0 if ledger is None else ledger.settled
        limit = self._service.current.config.timeouts.worker
        shared = self._service.current.runtime.shared.report().connected
        for member in [*self._members.values(), *self._old]:
            # As long as it has no process, it is the template that takes its time.
            if member.pid and not member.killed and now - member.answered > limit:
                self._destroy(member, f"has not answered for {limit:g} s (setting: timeouts.worker)")
            if shared and member.misses_alone():
                self._log.warn(
                    "Worker {number} (process {pid}) cannot reach what the state is shared by, though this"
                    " process can: it goes on with what it knows",
                    number=member.number,
                    pid=member.pid,
                )
            member.send(Ping(self._pings, member.settle(written)))

    def _assign(self, *, again: bool = False) -> None:
        """Have each accept where it is to, if that is another place than before."""
        lifecycle = self._service.lifecycle
        serving = lifecycle.phase is Phase.SERVING
        able = {member.number: member for member in self._able()}
        wanted = assigned(self.count, able) if serving else dict.fromkeys(able, ())
        sockets = max((len(found) for found in self._service.listeners.handed()[0].values()), default=0)
        for number, slots in wanted.items():
            accepted = spread(slots, self.count, sockets)
            member = able[number]
            if again or member.accepts != accepted:
                member.accepts = accepted
                member.send(Accept(accepted))

    def _able(self) -> Sequence[Member]:
        return [member for member in self._members.values() if member.ready and not member.killed]

    def _all(self) -> list[Member]:
        return [*self._members.values(), *self._old]

    def _broadcast(self, message: Message) -> None:
        for member in self._all():
            member.send(message)

    def _finish(self, message: Message) -> None:
        self._over = True
        for call in self._waiting.values():
            if call.active():
                call.cancel()
        self._waiting.clear()
        for member in self._all():
            if not member.ready and not member.leaving:
                # It has nothing under way yet.
                self._kill_process(member)
        self._broadcast(message)

    def _kill_all(self) -> None:
        for member in self._all():
            self._destroy(member, "has not ended in time")

    def _close(self) -> None:
        if self._ping is not None and self._ping.active():
            self._ping.cancel()
        self.spawner.close()
        ended, self._ended = self._ended, []
        for done in ended:
            done.callback(None)

    def _status(self, number: int) -> WorkerStatus:
        member, deaths, now = self._members.get(number), self._deaths[number], self._reactor.seconds()
        if member is None:
            return WorkerStatus(number, "waiting", deaths=deaths.total, in_a_row=deaths.row)
        return member.status(now, deaths.total, deaths.recent(now - member.started))
