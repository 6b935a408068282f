"""One renewal of a login at a time over all processes that share its folder, wherever they run.

The lock of the file (:meth:`ampproxy.credentials.oauth.store.Store.lock`) is dropped by the system when a
process dies, but it does not reach other machines on every file system. Where the state is shared, a lock
there goes before it. It ends by itself if its holder dies or hangs; whoever comes next reads the file first.
A holder that was paused beyond its time asks the vendor for nothing more, and what it was given already is
compared with the file before it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ampproxy.credentials.oauth.failures import Unavailable
from ampproxy.state.shared import Away, Lease, Shared

#: The longest that a renewal takes: its requests with their time limits, the pauses between them, and the
#: writing.
LEASE_SECONDS = 300.0
#: So long before its end a holder begins nothing more.
_MARGIN_SECONDS = 90.0
#: How long a renewal waits for others, and how often it asks; as for the lock of the file.
WAIT_SECONDS, _STEP_SECONDS = 120.0, 1.0


class Held(NamedTuple):
    """A lease, as long as it lasts.

    :ivar lease: ``None``: there is none, and the lock of the file alone counts.
    """

    lease: Lease | None
    until: float

    def lasts(self, now: float) -> bool:
        """Whether there is time for another request."""
        return self.lease is None or now < self.until - _MARGIN_SECONDS


async def hold(shared: Shared, name: str, clock: IReactorTime) -> Held:
    """Hold a login, as soon as no other process does.

    :param name: of its file.
    :raises Unavailable: another has held it for too long; or the state must be shared, and is not.
    """
    if not shared.active:
        return Held(None, 0.0)
    ends, lock = clock.seconds() + WAIT_SECONDS, _name(name)
    while True:
        asked = clock.seconds()
        try:
            lease = await shared.lock(lock, LEASE_SECONDS)
        except Away as away:
            if shared.refusal:
                raise Unavailable(f"the lock that all gateways share cannot be reached: {away}") from None
            return Held(None, 0.0)
        if lease is not None:
            return Held(lease, asked + LEASE_SECONDS)
        if clock.seconds() > ends:
            raise Unavailable("another process has been renewing this login for too long")
        await deferLater(clock, _STEP_SECONDS)


def release(shared: Shared, held: Held) -> None:
    """Let others have it."""
    if held.lease is not None:
        shared.unlock(held.lease)


def lasting(held: Held, clock: IReactorTime) -> Callable[[], bool]:
    """Tells whether there is time for another request."""
    return lambda: held.lasts(clock.seconds())


def _name(name: str) -> str:
    """What a login is known by among processes: the name of its file shows whose it is."""
    return f"login:{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
