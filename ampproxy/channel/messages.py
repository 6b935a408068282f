"""What a supervisor and its workers send to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Union

import msgspec
from msgspec.structs import replace

from ampproxy.model.clients import Standing
from ampproxy.relay.elsewhere import Given, Sought
from ampproxy.relay.gaps import Gaps
from ampproxy.relay.record import ExchangeRecord
from ampproxy.state.entries import Entry


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One of those below."""


class FromWorker(Message, frozen=True):
    """One that a worker sends."""


class FromSupervisor(Message, frozen=True):
    """One that the supervisor sends."""


class BothWays(Message, frozen=True):
    """One that both send."""


class Ready(FromWorker, frozen=True):
    """It could accept connections.

    :param version: of its code, which may be newer than the supervisor's.
    """

    pid: int
    version: str


class Line(FromWorker, frozen=True):
    """What it logs: written, with its end, and of a level."""

    text: str
    level: str


class Begun(FromWorker, frozen=True):
    """An exchange is about to cost something, or has gone on since it was last reported.

    :param key: is the exchange's alone among those that this worker has under way.
    """

    key: int
    record: ExchangeRecord


class Ended(FromWorker, frozen=True):
    """An exchange has ended.

    :param number: counts those that have ended in this worker, from 1.
    """

    key: int
    number: int
    record: ExchangeRecord


class Beat(FromWorker, frozen=True):
    """How the worker is, in answer to :class:`Ping`.

    :param number: the ping's.
    :param running: exchanges and tunnels under way.
    :param connections: of clients.
    :param rss: its resident memory in bytes; ``cpu`` the seconds of processor time that it has used.
    :param held: bytes of bodies that are held.
    :param lags: by how many seconds its reactor was late, each time that this was looked at since the last
        beat.
    :param stall: the longest turn of its reactor so far, of those that were too long, in seconds.
    :param cooldowns: how many cooldowns have begun, by account and reason; ``lessons`` what was learned, by
        account.
    :param standings: how clients stood with their limits at their last requests, of those since the last
        beat.
    :param away: whether it has a connection of its own to what the state is shared by, and that is lost.
    """

    number: int
    running: int
    connections: int
    rss: int
    cpu: float
    held: int = 0
    lags: tuple[float, ...] = ()
    stall: float = 0.0
    cooldowns: tuple[tuple[str, str, int], ...] = ()
    lessons: tuple[tuple[str, int], ...] = ()
    standings: tuple[tuple[str, tuple[Standing, ...]], ...] = ()
    away: bool = False


class Prepared(FromWorker, frozen=True):
    """An answer to :class:`Prepare`. Without complaints the configuration can be put in force at once."""

    complaints: tuple[str, ...] = ()


class Leaving(FromWorker, frozen=True):
    """It accepts nothing more, and ends when it has served what is under way."""


class Visit(FromWorker, frozen=True):
    """A request that the supervisor answers; a descriptor comes along, a stream over which it is sent.

    :param peer: the client's address and port; empty and 0: a Unix socket.
    :param host: the address and port to which it has connected; likewise.
    :param secure: whether it speaks TLS.
    :param introduced: the address and port of the proxy whose PROXY line named the peer; ``None``: there was
        none.
    """

    peer: tuple[str, int]
    host: tuple[str, int]
    secure: bool
    introduced: tuple[str, int] | None = None


class Note(FromWorker, frozen=True):
    """Something that was noticed and that the supervisor keeps.

    :param what: a name of :data:`ampproxy.workers.notes.NOTES`.
    """

    what: str
    values: tuple[str | bool, ...]


class Enter(FromWorker, frozen=True):
    """One more request of a client is about to be under way.

    :param most: how many may be, of all workers; 0: any number.
    :param number: :class:`Entered` answers with the same; 0: none is waited for.
    """

    tenant: str
    most: int
    number: int


class Left(FromWorker, frozen=True):
    """One less is."""

    tenant: str


class Put(FromWorker, frozen=True):
    """State that is shared; see :meth:`ampproxy.state.view.Link.put`."""

    entry: Entry
    number: int


class Claim(FromWorker, frozen=True):
    """See :meth:`ampproxy.state.view.Link.claim`; :class:`Claimed` answers with the same number."""

    entry: Entry
    number: int


class Lock(FromWorker, frozen=True):
    """See :meth:`ampproxy.state.view.Link.lock`; :class:`Locked` answers with the same number."""

    name: str
    ttl: float
    number: int


class Unlock(FromWorker, frozen=True):
    """See :meth:`ampproxy.state.view.Link.unlock`."""

    name: str
    lease: int


class Seek(BothWays, frozen=True):
    """Parts of answers, and whole ones, that a client refers to and this process does not keep; :class:`Has`
    answers with the same number.
    """

    number: int
    client: str
    sought: Sought


class Has(BothWays, frozen=True):
    """What is kept of what was sought."""

    number: int
    given: Given


class Forget(BothWays, frozen=True):
    """A client has deleted a whole answer."""

    client: str
    id: str


class Start(FromSupervisor, frozen=True):
    """Begin to work.

    :param blob: a :class:`ampproxy.workers.starting.WorkerStart`, pickled: from the same code, over a socket
        that no other process has.
    """

    blob: bytes


class Accept(FromSupervisor, frozen=True):
    """Accept connections on the sockets of these workers' numbers from now on, and on shared ones if there
    is any.
    """

    slots: tuple[int, ...]


class Ping(FromSupervisor, frozen=True):
    """Is the worker there? :class:`Beat` answers.

    :param written: the number of the last exchange that is in the ledger, with all before it.
    """

    number: int
    written: int


class Prepare(FromSupervisor, frozen=True):
    """Have another configuration ready; :class:`Prepared` answers.

    :param blob: a :class:`ampproxy.workers.starting.NewConfig`, pickled; the descriptors of new sockets come
        along.
    """

    blob: bytes


class Commit(FromSupervisor, frozen=True):
    """Put it in force.

    :param generation: its number.
    """

    generation: int


class Cancel(FromSupervisor, frozen=True):
    """Forget it."""


class Leave(FromSupervisor, frozen=True):
    """Another process has the sockets: serve what is under way, and end.

    :param pid: that process.
    """

    pid: int


class Stop(FromSupervisor, frozen=True):
    """Accept nothing more, serve what is under way for ``timeouts.grace``, and end; a second one does not
    wait.
    """


class Arrived(FromSupervisor, frozen=True):
    """An entry of the shared state, in the hub's order; see :meth:`ampproxy.state.view.View.arrived`."""

    entry: Entry
    own: int | None


class Known(FromSupervisor, frozen=True):
    """All that the hub knew when the worker began."""

    entries: tuple[Entry, ...]


class Entered(FromSupervisor, frozen=True):
    """Whether the request may be served."""

    number: int
    ok: bool


class Claimed(FromSupervisor, frozen=True):
    """The value that counts."""

    number: int
    value: bytes


class Locked(FromSupervisor, frozen=True):
    """The lease's number; ``None``: another process holds it."""

    number: int
    lease: int | None


def _plain(value: Any) -> Any:
    if isinstance(value, Gaps):
        return value.counts, value.total, value.longest
    raise NotImplementedError(type(value))


def _restored(kind: type, value: Any) -> Any:
    if kind is Gaps:
        return _gaps(value)
    raise NotImplementedError(kind)


def _gaps(value: Sequence[Any]) -> Gaps:
    gaps = Gaps()
    counts, gaps.total, gaps.longest = value
    gaps.counts[:] = counts
    return gaps


def portable(record: ExchangeRecord) -> ExchangeRecord:
    """A record as it can be sent: without a vendor's own members of its usage, which are JSON, and of which
    neither log nor ledger have anything.
    """
    usage = record.usage
    if usage is None or not (usage.extras or usage.beside):
        return record if record.asked.isascii() else _in_unicode(record)
    found = copy(_in_unicode(record))
    beside = tuple(replace(part, usage=replace(part.usage, extras={})) for part in usage.beside)
    found.usage = replace(usage, extras={}, beside=beside)
    return found


def _in_unicode(record: ExchangeRecord) -> ExchangeRecord:
    """A record without halves of characters, which the JSON of a client may name a model by."""
    name = record.asked.encode("utf-8", "backslashreplace").decode()
    if name == record.asked:
        return record
    found = copy(record)
    found.asked = name
    return found


def _decoder(*bases: type[Message]) -> Callable[[bytes], Any]:
    kinds = tuple(kind for base in bases for kind in base.__subclasses__())
    return msgspec.msgpack.Decoder(Union[kinds], dec_hook=_restored).decode  # noqa: UP007  made of a tuple


encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
from_worker = _decoder(FromWorker, BothWays)
from_supervisor = _decoder(FromSupervisor, BothWays)
