"""What the end of an answer means whose dialect is on both sides: its own reader is asked where that is not
plain, so that an answer that broke is never passed on, or logged, as one that ended well.
"""

from __future__ import annotations

from ampproxy.dialects.base import Dialect
from ampproxy.dialects.ends import CUT, CUT_CALL, EMPTY, NAMELESS
from ampproxy.errors import ExchangeError, TruncatedStream, UpstreamFault
from ampproxy.model.base import Value
from ampproxy.model.events import ChatResponse, Completed, Event, Failed, Finished, WireError
from ampproxy.model.fold import unfold
from ampproxy.model.loss import Loss
from ampproxy.relay.settle import Settling


class Ending(Value, frozen=True):
    """How an answer ended.

    :param error: it broke; ``None``: it did not.
    :param losses: what is not known of its end.
    """

    error: WireError | None = None
    losses: tuple[Loss, ...] = ()

    def check(self, *, own_breaks: bool) -> None:
        """
        :param own_breaks: whether the dialect has words for an answer that broke, which its clients know: but
            a call without a name they run into, and an empty answer has no such word.
        :raises ampproxy.errors.UpstreamFault: it broke, and its client would not know.
        """
        if self.error is not None and not (own_breaks and self.error not in (NAMELESS, EMPTY)):
            raise UpstreamFault(self.error, retryable=True)


class Endings:
    """Reads the events of one dialect that end an answer.

    :param unended: take an answer for whole whose vendor does not say how it ended.
    """

    def __init__(self, dialect: Dialect, *, unended: bool) -> None:
        self._dialect = dialect
        self._unended = unended

    def error(self, event: bytes) -> WireError | None:
        """The error that an event of the account tells, if it tells one."""
        return _error_in(self._dialect.stream_parser().feed(event))

    def of_stream(self, events: bytes, *, spoken: bool) -> Ending:
        """What the last events of a stream say together.

        :param spoken: whether anything of the answer itself came before them.
        """
        parser = self._dialect.stream_parser()
        found = parser.feed(events)
        try:
            found += parser.end()
        except TruncatedStream:
            pass  # more may follow
        except ExchangeError as fault:
            return Ending(fault.error)
        return self._settled(found, spoken=spoken)

    def of_whole(self, body: bytes) -> Ending:
        """What a whole answer says."""
        try:
            response: ChatResponse = self._dialect.parse_response(body)
        except UpstreamFault as fault:
            return Ending(fault.error)
        return self._settled(unfold(response), spoken=False)

    def _settled(self, events: list[Event], *, spoken: bool) -> Ending:
        if any(type(event) is Finished and event.detail == CUT for event in events):
            return Ending(CUT_CALL)
        settling = Settling(one=False, unended=self._unended)
        settling.content = spoken
        ended = [event for event in events if type(event) is not Completed]
        error = _error_in(settling.feed([*ended, Completed()]))
        return Ending(error, tuple(settling.losses))


def _error_in(events: list[Event]) -> WireError | None:
    return next((event.error for event in events if isinstance(event, Failed)), None)
