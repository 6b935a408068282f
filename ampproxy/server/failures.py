"""Requests without a key at an address that anybody can reach: their refusals wait, longer with each, and the
log names each peer once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: So many peers are remembered; those that failed longest ago make room.
MAX_PEERS = 1024
#: So many refusals wait at a time. What comes beyond that is refused at once, and its connection closed.
MAX_WAITING = 64
#: The longest wait is 2 to this power as long as the first.
_DOUBLINGS = 5
#: A peer that has not failed for so long begins anew; so many are named in the log in that time. Seconds.
_FORGET = 3600.0
MAX_NAMED = 20


@dataclass(slots=True)
class _Peer:
    failures: int
    last: float


class Failures:
    """Counts what failed, by peer.

    :param now: seconds, monotonic.
    :ivar waiting: how many refusals wait now.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._peers: OrderedDict[str, _Peer] = OrderedDict()
        self._named = 0
        self._named_since = now()
        self.waiting = 0

    def add(self, peer: str, delay: float) -> tuple[float, bool]:
        """A peer has failed.

        :param delay: seconds that its first refusal waits.
        :return: how long this one does, and whether the log is to name the peer.
        """
        now = self._now()
        found = self._peers.pop(peer, None)
        known = found is not None and now - found.last < _FORGET
        failures = found.failures if found is not None and known else 0
        self._peers[peer] = _Peer(failures + 1, now)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return delay * float(2 ** min(failures, _DOUBLINGS)), not known and self._may_name(now)

    def _may_name(self, now: float) -> bool:
        if now - self._named_since >= _FORGET:
            self._named, self._named_since = 0, now
        self._named += 1
        return self._named <= MAX_NAMED
