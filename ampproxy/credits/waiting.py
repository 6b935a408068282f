"""Waiting for the counters while another program has them, without holding up anybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ampproxy.credits.allowance import CountersBusy
from ampproxy.errors import ClientGone

#: Seconds that a request waits at most until it is refused.
WAIT_TIMEOUT = 2.0
#: Seconds that giving back may take: until then more counts than was used, never less.
SETTLE_TIMEOUT = 60.0
#: Seconds from one attempt to the next: at first, and at most.
FIRST_PAUSE, MAX_PAUSE_SECONDS = 0.01, 0.1

_Result = TypeVar("_Result")


async def when_free(
    clock: IReactorTime,
    attempt: Callable[[], _Result],
    *,
    timeout: float = WAIT_TIMEOUT,
    gone: Callable[[], bool] = lambda: False,
) -> _Result:
    """Do something with the counters, as soon as they are free: mostly at once.

    :param attempt: raises :class:`CountersBusy` as long as they are not.
    :param timeout: in seconds.
    :param gone: whether the client has left, for whom this is done.
    :raises CountersBusy: they were not free in time.
    :raises ClientGone: the client left while it waited; nothing was done.
    """
    until, pause = clock.seconds() + timeout, FIRST_PAUSE
    while True:
        try:
            return attempt()
        except CountersBusy:
            if clock.seconds() + pause > until:
                raise
        await deferLater(clock, pause, lambda: None)
        if gone():
            raise ClientGone
        pause = min(2 * pause, MAX_PAUSE_SECONDS)
