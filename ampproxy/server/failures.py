"""Requests without a key at an address that anybody can reach: their refusals wait, longer with each, and the
log names each peer once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from ampproxy.model.neo import Slowing


class _Peer(msgspec.Struct):
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

    def add(self, peer: str, rules: Slowing) -> tuple[float, bool]:
        """A peer has failed.

        :return: the seconds that its refusal waits (0: it does not, also where too many do), and whether the
            log is to name the peer.
        """
        now = self._now()
        found = self._peers.pop(peer, None)
        known = found is not None and now - found.last < rules.failure_reset
        failures = found.failures if found is not None and known else 0
        self._peers[peer] = _Peer(failures + 1, now)
        while len(self._peers) > rules.failure_peers:
            self._peers.popitem(last=False)
        wait = _wait(failures, rules) if self.waiting < rules.failure_waiting else 0.0
        return wait, not known and self._may_name(now, rules)

    def succeeded(self, peer: str) -> None:
        """A peer has shown the key: it begins anew."""
        self._peers.pop(peer, None)

    @property
    def any(self) -> bool:
        """Whether any peer has failed."""
        return bool(self._peers)

    def _may_name(self, now: float, rules: Slowing) -> bool:
        if now - self._named_since >= rules.failure_reset:
            self._named, self._named_since = 0, now
        self._named += 1
        return self._named <= rules.failure_logged


def _wait(failures: int, rules: Slowing) -> float:
    """How long the refusal waits of a peer that has failed so often before."""
    # The exponent is bounded, for no float holds what comes beyond.
    return min(
        rules.failure_delay * 2.0 ** min(failures, 64), max(rules.failure_longest, rules.failure_delay)
    )
