"""The same dialect on both sides: bytes pass, and only what must change is taken apart.

Sans-I/O, as every :class:`~ampproxy.interfaces.StreamFilter`: bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.dialects.base import Dialect, EventStream, Mending
from ampproxy.dialects.ends import EMPTY
from ampproxy.dialects.fastpath import FastPath, NoFastPath
from ampproxy.dialects.monitor import DONE, Members, is_sign_of_life
from ampproxy.errors import TruncatedStream, UnreadableAnswer, UpstreamFault
from ampproxy.model.events import Completed, Event, Failed, Usage, UsageReport, WireError
from ampproxy.model.loss import Loss
from ampproxy.relay.endings import Endings
from ampproxy.relay.growing import GrowingList
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.relay.settle import UNENDED
from ampproxy.wire.json import NULL, members, replace_members, string
from ampproxy.wire.redact import Redactor, printable
from ampproxy.wire.sse import (
    MAX_EVENT,
    EventCutter,
    EventTooLargeError,
    composed,
    escape_separators,
    is_cut,
    parse_block,
    part,
)
from ampproxy.wire.values import encode, sound, whole_surrogates

#: A read of so many bytes is worth halving to find the events in it that need a look.
_HALVED = 2048
#: By so many of its first events a stream mostly shows how its ordinary ones look.
_FIRST = 16
#: So much is held back at most before the answer itself begins. Bytes.
_MAX_HANDSHAKE_BYTES = 64 * 1024


class PassthroughFilter:
    """Forwards one stream of one dialect, whole events only. A :class:`~ampproxy.interfaces.StreamFilter`.

    :param events: how the dialect of both sides streams.
    :param rewriter: what to change; ``None``: nothing at all.
    :param endings: reads the events that end the stream. An error that it tells of before anything of the
        answer is then raised as one.
    :param unended: take a stream for whole whose vendor did not say how the answer ended.
    :param mending: what is mended of its events.
    :param new_id: makes an unguessable id for a prefix.
    :ivar failed: the error that the stream told of later, which the client has got.
    :ivar losses: what is not known of the answer's end.
    :raises UpstreamFault: from :meth:`feed` and :meth:`end`: JSON came where events were promised, or
        an event grew past all bounds.
    """

    def __init__(
        self,
        events: EventStream,
        rewriter: AnswerRewriter | None = None,
        *,
        limit: int = MAX_EVENT,
        endings: Endings | None = None,
        unended: bool = False,
        mending: Mending,
        new_id: Callable[[str], str] = str,
    ) -> None:
        self._unended = unended
        self._odd, self._mend = mending.signs, mending.of_one(new_id)
        self._uncalled = mending.uncalled
        self.failed: WireError | None = None
        self.losses: tuple[Loss, ...] = ()
        #: What only tells that there will be an answer: as long as nothing else came, another account may be
        #: asked for it.
        self._handshake: list[bytes] = []
        self._held = 0
        self._keepalive, self._done, self._tight = events.keepalive, events.done, events.tight
        self._rewriter = rewriter
        self._monitor = events.monitor()
        self._fast: FastPath = events.fast_path(
            rewriter.asked_model if rewriter is not None else "", self._monitor
        )
        self._own_breaks, self._named, self._typed = events.own_breaks, events.named, events.typed
        self._settled = events.settled
        self._cutter = EventCutter(limit)
        self._array: GrowingList | None = None
        self._limit = limit
        self._begun, self._ended = not events.list_unless, False
        self._endings = endings
        self._forwards = endings is None
        #: So many more events are looked at one by one while the fast path knows nothing.
        self._first = _FIRST
        #: The last events that went by without being looked at, if no others came since.
        self._ordinary = b""

    @property
    def complete(self) -> bool:
        """Whether the terminal event was seen; an end mark if it has one, or the whole stream's end."""
        return self._monitor.terminal

    @property
    def usage(self) -> Usage | None:
        """What the stream told of its cost so far."""
        if self._ordinary:
            # Some backends repeat it in every event; the last of those that were not looked at tells it.
            block = self._ordinary[:-2].rpartition(b"\n\n")[2]
            self._ordinary = b""
            self._monitor.see(*parse_block(block.strip(b"\n")))
        return self._monitor.usage

    def keepalive(self) -> bytes:
        """An event that means nothing. What was given so far always ends with a whole event.

        A client that has waited for so long gets what was held back, too.
        """
        return b"" if self._ended else self._release() + self._keepalive

    def _release(self) -> bytes:
        """What was held back: from now on everything goes to the client at once."""
        self._forwards = True
        held, self._handshake = self._handshake, []
        return b"".join(held)

    def framed(self, event: bytes, body: bytes) -> bytes:
        """What ends the stream with an error: the event, or in a JSON list its last element.

        :param event: the error as an event of the dialect.
        :param body: the error as a JSON object.
        """
        self._ended = True
        return event if self._array is None else self._array.last(body)

    def feed(self, data: bytes) -> bytes:
        if not self._begun:
            self._begin(data)
        try:
            if self._array is not None:
                return escape_separators(self._opening(self._array.feed(data)))
            whole = self._cutter.feed(data)
        except EventTooLargeError as error:
            raise UnreadableAnswer(f"The model's answer cannot be read: {error}") from error
        if not whole:
            return b""
        # As :meth:`_some`, without a call for each read.
        fast = None if self._monitor.finished else self._fast.forward(whole)
        if fast is None:
            out = self._each(whole)
        else:
            self._ordinary, out = whole, fast
        return escape_separators(out) if self._tight else out

    def _begin(self, data: bytes) -> None:
        """The stream may be a JSON list."""
        start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start:
            self._begun = True
            if start.startswith(b"["):
                self._array = GrowingList(self._element, self._limit)

    def _element(self, data: bytes) -> bytes:
        if self._odd(data):
            data = self._mend(data, members(data) or {})
        if not (self._monitor.see(b"", data) or self._see_mended(b"", data)):
            raise self._unreadable(b"data: " + data)
        if self._monitor.failed:
            self._fail(b"data: " + data + b"\n\n")
        if self._monitor.doubtful:
            self._judge(b"data: " + data.replace(b"\n", b" ") + b"\n\n")
        data = self._settle(data)
        return data if self._rewriter is None else self._rewriter.event(b"", data)[1]

    def _settle(self, data: bytes, values: Members | None = None) -> bytes:
        """An event as its clients need it where it ends an answer of which something came."""
        monitor = self._monitor
        if self._settled is None or not (monitor.terminal and monitor.content) or monitor.failed:
            return data
        return self._settled(data, values or members(data) or {})

    def _each(self, whole: bytes) -> bytes:
        """Every event by itself, but for long runs of ordinary ones: those between the first events and a
        stream's end are found by their looks, others by halving.
        """
        if len(whole) > _HALVED:
            if self._first and not self._fast.knows:
                return self._beginning(whole)
            reach = self._fast.reach(whole)
            if 2 <= reach < len(whole):
                return self._both(whole[:reach], whole[reach:])
            middle = whole.find(b"\n\n", len(whole) // 2) + 2
            if 2 <= middle < len(whole):
                return self._both(whole[:middle], whole[middle:])
        blocks = whole.split(b"\n\n")
        blocks.pop()
        several = len(blocks) > 1
        out = []
        try:
            for block in blocks:
                event = block + b"\n\n"
                fast = self._fast.forward(event) if several and not self._monitor.finished else None
                self._ordinary = b"" if fast is None else event
                out.append(self._event(event) if fast is None else fast)
        except UpstreamFault as fault:
            fault.sent_before = b"".join(out) + fault.sent_before
            raise
        return b"".join(out)

    def _beginning(self, whole: bytes) -> bytes:
        """A stream's first events one by one, until it is known how ordinary ones look; then the others."""
        out, at = [], 0
        try:
            while self._first and not self._fast.knows and (end := whole.find(b"\n\n", at) + 2) >= 2:
                self._first -= 1
                out.append(self._event(whole[at:end]))
                at = end
            out.append(self._some(whole[at:]))
        except UpstreamFault as fault:
            fault.sent_before = b"".join(out) + fault.sent_before
            raise
        return b"".join(out)

    def _both(self, one: bytes, other: bytes) -> bytes:
        first = self._some(one)
        try:
            return first + self._some(other)
        except UpstreamFault as fault:
            fault.sent_before = first + fault.sent_before
            raise

    def _some(self, whole: bytes) -> bytes:
        """Some events of a read: all at once if they are all ordinary."""
        fast = None if self._monitor.finished else self._fast.forward(whole)
        if fast is None:
            return self._each(whole)
        self._ordinary = whole
        return fast

    def _event(self, event: bytes) -> bytes:
        """One event with its blank line, which is looked at."""
        block = event.strip(b"\n")
        if not block:
            return self._opening(event)
        if self._tight:
            block = b"\n".join(line for line in block.split(b"\n") if not line.startswith(b":"))
            if not block:
                return b""
        name, data = parse_block(block)
        if not data:
            return self._opening(block + b"\n\n")
        if b"\n" in data and (parted := part(event)).count(b"\n\n") > event.count(b"\n\n"):
            return self._each(parted)
        came = data
        values: Members | None = members(data)
        if not values and data.strip() != DONE:
            if is_sign_of_life(data):
                return self._opening(self._keepalive)
            values = members(data := sound(data) or data)
        if self._typed and name and values is not None and "type" not in values:
            kind = {"type": encode(name.decode("utf-8", "replace"))}
            values = members(data := replace_members(data, kind, values))
        if values is not None and self._odd(data) and (mended := self._mend(data, values)) is not data:
            values = members(data := mended)
        if data is not came:
            # By their looks others like it are not told from ordinary ones.
            self._fast = NoFastPath()
        if (self._tight or self._named) and values is None and data.strip() == DONE:
            # Another dialect's mark, at which clients of this one break off.
            return b""
        ended = self._monitor.terminal or (self._monitor.finished and values is None)
        over = ended and not self._tight
        # What is no event at all is data as a whole.
        if came is block or not (self._monitor.see(name, data, values) or self._see_mended(name, data)):
            if over:
                # Nothing that matters can follow; it is only not handed on.
                return b""
            raise self._unreadable(block)
        if self._monitor.empty:
            raise UpstreamFault(EMPTY, retryable=True)
        if self._monitor.unended and not self._unended:
            raise UpstreamFault(UNENDED, retryable=True)
        if self._monitor.failed:
            self._fail(event)
        if self._monitor.doubtful:
            self._judge(event if data is came else composed(block, name, data) + b"\n\n")
            if self._monitor.uncalled:
                # Agents ask again for as long as an answer ends so.
                values = members(data := self._uncalled(data))
        ahead = self._lacking() if self._monitor.lacking else b""
        new_name, new_data = name, data if self._settled is None else self._settle(data, values)
        if self._rewriter is not None:
            new_name, new_data = self._rewriter.event(name, new_data, values if new_data is data else None)
            if not new_data:
                return ahead
        if self._tight:
            # A line of data and nothing else: Google's SDKs break at other fields, and at several lines.
            out = b"data: " + new_data.replace(b"\n", b" ")
        elif new_data is came and new_name == name and (name or not self._named):
            out = block
        else:
            if self._named and not new_name:
                new_name = (string((values or {}).get("type", NULL)) or "").encode()
            out = composed(block, new_name, new_data)
        sent = out + b"\n\n" if self._forwards else self._opening(out + b"\n\n")
        # What is held back must not be overtaken by what the fast path knows.
        if self._forwards and not self._monitor.finished:
            self._fast.learn(block, out)
        return ahead + sent if ahead else sent

    def _lacking(self) -> bytes:
        """What has to go before an event, and the vendor left out."""
        events, self._monitor.lacking = self._monitor.lacking, []
        # Others may lack something, too.
        self._fast = NoFastPath()
        return b"".join(map(self._event, events))

    def _see_mended(self, name: bytes, data: bytes) -> bool:
        """Look at an event that is valid but for halves of characters, which its client may put together."""
        whole = whole_surrogates(data)
        return whole is not None and self._monitor.see(name, whole)

    def _opening(self, out: bytes) -> bytes:
        """Hold back what goes before the answer itself, until that begins."""
        if self._forwards:
            return out
        self._handshake.append(out)
        self._held += len(out)
        begun = self._monitor.content or self._monitor.terminal or self._held > _MAX_HANDSHAKE_BYTES
        return self._release() if begun else b""

    def _unreadable(self, block: bytes) -> UpstreamFault:
        """The fault of a vendor that sent what is no event: with its own words, if it told of an error."""
        if block.startswith((b"{", b"[")):
            return _not_events(block)
        error = self._error(block + b"\n\n")
        if error is not None:
            return UpstreamFault(error, retryable=True)
        return UnreadableAnswer(
            "The model's server sent something that is not an event of an answer's stream."
        )

    def _error(self, event: bytes) -> WireError | None:
        return None if self._endings is None else self._endings.error(event)

    def _fail(self, event: bytes) -> None:
        """Until something has been told, an error can still have a status, or another account be asked."""
        error = self._error(event)
        if error is None:
            return
        if not self._forwards:
            raise UpstreamFault(error, retryable=True)
        self.failed = error

    def _judge(self, event: bytes) -> None:
        """An end that is not plainly good: the dialect's own reader decides what it is."""
        monitor = self._monitor
        monitor.doubtful = False
        if self._endings is None:
            return
        ending = self._endings.of_stream(b"".join((*monitor.kept, event)), spoken=monitor.spoken)
        self.losses += ending.losses
        ending.check(own_breaks=self._own_breaks)
        self.failed = ending.error

    def end(self) -> bytes:
        self._ended = True
        out = b""
        if self._array is not None:
            if not (self._array.closed and self._monitor.finished):
                raise TruncatedStream
            return out
        rest = self._cutter.rest.strip(b"\n")
        if rest.startswith((b"{", b"[")) and not self._monitor.terminal:
            raise _not_events(rest)
        cut = is_cut(rest)
        if cut and self._whole_event(rest):
            # Some vendors' last event lacks its blank line.
            out, cut = self._event(rest + b"\n\n"), False
        if cut and not (self._monitor.terminal and not self._tight):
            raise TruncatedStream
        if self._monitor.terminal:
            return out
        if self._monitor.finished:
            self._monitor.terminal = True
            return self._release() + out + self._done
        raise TruncatedStream

    def _whole_event(self, rest: bytes) -> bool:
        data = parse_block(rest)[1]
        return data.strip() == b"[DONE]" or members(data) is not None


def _not_events(body: bytes) -> UpstreamFault:
    """JSON, or something else that is no event, came where an event stream was promised."""
    error = (members(body) or {}).get("error")
    reason = None
    if error is not None:
        reason = string(error) or string((members(error) or {}).get("message", error))
    message = "The model's server sent JSON where an event stream was expected."
    if reason:
        message = f"{message} It answered: {printable(Redactor().text(reason[:500]))}"
    return UnreadableAnswer(message)


class WatchedFilter:
    """Forwards one stream that is none of server-sent events: bytes pass as they come, and the dialect's own
    parser tells what they mean.

    :param dialect: of both sides.
    :ivar usage: what the stream told of its cost so far.
    :raises UpstreamFault: from :meth:`feed` and :meth:`end`: the stream told of an error.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._parser = dialect.stream_parser()
        self.failed: WireError | None = None
        self.losses: tuple[Loss, ...] = ()
        self.complete = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """See :meth:`ampproxy.interfaces.StreamFilter.feed`."""
        self._note(self._parser.feed(data))
        return data

    def end(self) -> bytes:
        """See :meth:`ampproxy.interfaces.StreamFilter.end`."""
        self._note(self._parser.end())
        return b""

    def keepalive(self) -> bytes:
        """Nothing: where an event ends is not known."""
        return b""

    def framed(self, event: bytes, body: bytes) -> bytes:
        """See :meth:`PassthroughFilter.framed`."""
        return event

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Failed):
                raise UpstreamFault(event.error, retryable=True)
            if isinstance(event, Completed):
                self.complete = True
            elif isinstance(event, UsageReport):
                self.usage = event.usage


def passing(
    dialect: Dialect,
    rewriter: AnswerRewriter | None = None,
    *,
    limit: int = MAX_EVENT,
    endings: Endings | None = None,
    unended: bool = False,
    new_id: Callable[[str], str] = str,
) -> PassthroughFilter | WatchedFilter:
    """What a stream goes through whose dialect is on both sides; see :class:`PassthroughFilter`."""
    events = dialect.passthrough.events
    if events is None:
        return WatchedFilter(dialect)
    return PassthroughFilter(
        events,
        rewriter,
        limit=limit,
        endings=endings,
        unended=unended,
        mending=dialect.passthrough.mending,
        new_id=new_id,
    )


def rewrite_whole(
    dialect: Dialect,
    body: bytes,
    rewriter: AnswerRewriter | None = None,
    *,
    check: Callable[[bytes], object] | None = None,
    judge: Callable[[bytes], object] | None = None,
    new_id: Callable[[str], str] = str,
) -> tuple[bytes, Usage | None]:
    """A whole answer as the client should see it (the same object if nothing changes), and its usage.

    :param check: raises what is the matter with a body that does not look like an answer.
    :param judge: likewise with an answer that does not plainly end well.
    """
    mending = dialect.passthrough.mending
    if (found := members(body)) is None:
        found = members(body := sound(body) or body)
    usage = dialect.passthrough.usage(found or {})
    odd = found is not None and (usage is None or mending.signs(body))
    if odd and (mended := mending.of_one(new_id)(body, found or {})) is not body:
        body, found = mended, members(mended)
        usage = dialect.passthrough.usage(found or {})
    if check is not None and (found is None or not dialect.passthrough.is_answer(found)):
        check(body)
    elif judge and ((usage and not usage.output) or not dialect.passthrough.ends_well(found or {})):
        judge(body)
        body = mending.uncalled(body)
    return (body if rewriter is None else rewriter.whole(body, found)), usage
