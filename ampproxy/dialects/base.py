"""What a dialect promises. The relay and the translator know dialects only through this."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from ampproxy.adapt.target import Target as Target
from ampproxy.catalog.families import NOTHING, Families, Family
from ampproxy.dialects.edit import Exchange, ModelOnly
from ampproxy.dialects.fastpath import FastPath, NoFastPath
from ampproxy.dialects.messages import Messages
from ampproxy.dialects.monitor import Members, StreamMonitor
from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.state import STATELESS, VendorState
from ampproxy.dialects.tool_names import ToolNames, flat_shown, no_names
from ampproxy.model.base import Json, Value
from ampproxy.model.clients import Standing
from ampproxy.model.events import ChatResponse, Event, Usage, WireError
from ampproxy.model.loss import Loss, Losses
from ampproxy.model.request import ChatRequest
from ampproxy.model.roles import Shown
from ampproxy.wire.json import Peek
from ampproxy.wire.late import Late
from ampproxy.wire.values import encode

Lifecycle: TypeAlias = Literal["active", "deprecated", "retired"]
#: What of a :class:`Dialect` is found in the same modules of all their folders, and in one of any name.
_TRANSLATING = {
    "parse_request": "request_in",
    "render_request": "request_out",
    "parse_response": "response",
    "render_response": "response",
}
_BODIES = ("error_body", "error_event", "parse_error", "models_body", "parse_count", "count_body")
#: See :attr:`Passthrough.longest_sleep`; the SDKs' own pauses are shorter.
LONGEST_SLEEP_SECONDS = 60.0
#: See :attr:`Passthrough.reads_errors`; Vercel's AI SDK, in any program: its streams throw once more if the
#: connection breaks behind the error.
VERCEL = ((b"user-agent", b"ai/"),)
Mend: TypeAlias = Callable[[bytes, Members], bytes]
#: How a client stands with its limits, and the seconds since the epoch -> headers.
LimitHeaders = Callable[[Sequence[Standing], float], list[tuple[bytes, bytes]]]


class ModelInfo(Value, frozen=True):
    """A model as a list shows it. ``created`` in seconds since the epoch.

    :param family: what is known of the model that serves.
    :param lifecycle: in the words of Anthropic's Models API.
    """

    id: str
    owned_by: str
    created: int = 0
    display_name: str | None = None
    family: Family = NOTHING
    lifecycle: Lifecycle = "active"

    @classmethod
    def of(cls, id: str, owned_by: str, family: Family, today: datetime.date) -> ModelInfo:
        """A model of which that is known."""
        released = family.released
        created = 0 if released is None else int(at_midnight(released).timestamp())
        stage: Lifecycle = "deprecated" if family.deprecated else "active"
        if family.gone(today):
            stage = "retired"
        return cls(id, owned_by, created, family.title or None, family, stage)

    @property
    def thinks(self) -> bool | None:
        """Whether it reasons before it answers; ``None``: not known."""
        family = self.family
        return family.thinks if family.thinking is None else family.thinking != "none" or family.thinks


def at_midnight(day: datetime.date) -> datetime.datetime:
    """The beginning of a day, UTC."""
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc)


class Rendered(Value, frozen=True):
    """A request in a target's dialect.

    :param names: tool names that had to change: as sent -> as the client knows them.
    :param headers: extra request headers that this body needs (``anthropic-beta``).
    :param freeform: the names, as sent, of freeform tools that were written as a function with one
        string member ``input``. Whoever renders the answer turns their calls back (see
        :mod:`ampproxy.adapt.freeform`).
    """

    body: bytes
    losses: tuple[Loss, ...] = ()
    names: dict[str, str] = {}  # noqa: RUF012
    headers: dict[str, str] = {}  # noqa: RUF012
    freeform: frozenset[str] = frozenset()


_NOTHING_ASKED = ChatRequest(dialect="", model="", turns=(), include_usage=False)


class AnswerContext(Value, frozen=True):
    """What rendering an answer needs beside its events.

    :param model: the name that the client asked for.
    :param created: seconds since the epoch, for answers that carry no time.
    :param new_id: makes an unguessable unique id, for a given prefix (``msg_``, ``chatcmpl-``).
    :param request: what the client asked; ``None`` where it was not parsed.
    :param framing: ``array`` for a Gemini client that did not ask for ``alt=sse``: its stream is a
        JSON list.
    """

    model: str
    created: int
    new_id: Callable[[str], str]
    request: ChatRequest | None = None
    framing: Literal["sse", "array"] = "sse"

    @property
    def asked(self) -> ChatRequest:
        """The request; one for nothing where it was not parsed."""
        return self.request or _NOTHING_ASKED


class AnswerRules(Protocol):
    """What is to be changed of the answer of one exchange."""

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        """The event as the client should see it; the very same ``data`` if nothing changes, empty data if it
        is to be left out.

        :param values: its members, where they have been read already.
        """

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        """The whole answer likewise; ``values``: its members, where they have been read already."""


class EventStream(Value, frozen=True, kw_only=True):
    """A dialect's stream of server-sent events, as far as it must be known where it passes.

    :param monitor: looks for the end and the usage of one stream.
    :param fast_path: makes one stream's fast path, for the asked model's name (empty: nothing is rewritten)
        and the stream's monitor.
    :param keepalive: an event or a comment that means nothing; empty: there is no such thing.
    :param done: the end mark, where the dialect has one apart from its last event; it is added where a
        vendor leaves it out.
    :param tight: the dialect's clients break off at whatever is no single line of data, take U+2028 in a
        string for the end of a line, and may be fed more behind the terminal event, as the usage.
    :param list_unless: the stream is a JSON list that grows unless the query has this item; empty: it
        never is.
    :param own_breaks: the dialect has words of its own for an answer that broke, which its clients know: they
        pass, and the log has them.
    :param named: clients go by the ``event`` line: one that is missing is made from the data's ``type``.
    :param typed: clients go by the data's ``type``: one that is missing is made from the ``event`` line.
    :param settled: gives an event that ends an answer, or follows its end, as the clients need it, from its
        data and its members; ``None``: as it is.
    """

    monitor: Callable[[], StreamMonitor]
    fast_path: Callable[[str, StreamMonitor], FastPath] = NoFastPath
    keepalive: bytes = b""
    done: bytes = b""
    tight: bool = False
    list_unless: bytes = b""
    own_breaks: bool = False
    named: bool = False
    typed: bool = False
    settled: Callable[[bytes, Members], bytes] | None = None


def anyhow(value: bytes) -> bool:
    """In ``Dialect.harmless``: whatever the member's value is."""
    return True


def one_of(*values: bytes) -> Callable[[bytes], bool]:
    """In ``Dialect.harmless``: if its value is one of these."""
    return values.__contains__


class Mending(Value, frozen=True, kw_only=True):
    """How an answer is mended that is written otherwise than its dialect has it, at which clients fail.

    :param signs: whether something has to be looked at for that, by its bytes. By default nothing has.
    :param of_one: what mends one answer, its events in their order: from an event's data, or a whole answer,
        and its members the same as the dialect has it, the same object where it is so. It is given what makes
        an unguessable id for a prefix.
    :param uncalled: takes the event that ends an answer, or a whole answer, that says it called a tool and
        did not; gives it with a plain end.
    """

    signs: Callable[[bytes], object] = lambda data: None
    of_one: Callable[[Callable[[str], str]], Mend] = lambda new_id: lambda data, values: data
    uncalled: Callable[[bytes], bytes] = lambda data: data


class OwnCleaning(Protocol):
    """Takes out what other vendors' answers left in a thread and this dialect's vendor refuses."""

    def __call__(
        self, body: bytes, model: str, families: Families | None, *, cleaned: bool
    ) -> tuple[bytes, tuple[Loss, ...]]:
        """The body as it may pass, the same object if nothing is to be taken out, and what it lost.

        :param model: the vendor's name of it.
        :param families: what is known of models; ``None``: the shipped table.
        :param cleaned: whether :attr:`Passthrough.clean` has had the body.
        """


class Storing(Value, frozen=True, kw_only=True):
    """How requests of a dialect go on from whole earlier answers.

    :param previous: the id of the answer that a request goes on from; empty: of none.
    :param items: the items of a request's own input.
    :param joined: a request with items before its own, and without that reference.
    :param id: of a whole answer; likewise ``output``: its items.
    :param of_events: the whole answer that whole events of a stream end with; ``None``: they do not end it.
    :param kept: a whole answer as it is fetched again, with the id of the one before it.
    :param page: a page of the items that an answer was made of: these, ``asc`` or ``desc``, after an id (or
        empty), at most so many.
    """

    previous: Callable[[bytes], str]
    items: Callable[[bytes], list[bytes]]
    joined: Callable[[bytes, Sequence[bytes]], bytes]
    id: Callable[[bytes], str]
    output: Callable[[bytes], list[bytes]]
    of_events: Callable[[bytes], bytes | None]
    kept: Callable[[bytes, str], bytes]
    page: Callable[[Sequence[bytes], str, str, int], bytes]


class References(Value, frozen=True, kw_only=True):
    """How requests of a dialect refer to parts of earlier answers.

    :param stores: whether a request's answer may be referred to.
    :param replaced: a request with known parts in the place of the references to them; the same object where
        it refers to none.
    :param of_answer: the parts of a whole answer that is written in the dialect, by their ids.
    :param of_events: likewise those that whole events of a stream end.
    :param storing: how requests go on from whole answers; ``None``: they do not.
    """

    stores: Callable[[bytes], bool]
    replaced: Callable[[bytes, Callable[[str], bytes | None]], bytes]
    of_answer: Callable[[bytes], Iterable[tuple[str, bytes]]]
    of_events: Callable[[bytes], Iterable[tuple[str, bytes]]]
    storing: Storing | None = None


class Passthrough(Value, frozen=True, kw_only=True):
    """What must be known of a dialect where it is on both sides, so that bytes pass.

    Everything has a default, with which answers pass as they are, watched by the dialect's own parser.

    :param events: its stream, if that is one of server-sent events.
    :param mending: what is mended of an answer.
    :param usage: the usage that a whole answer reports; ``None`` if it does not. From its members.
    :param is_answer: whether a whole answer is one, by a glance at its members; if not, the parser decides.
    :param ends_well: whether it plainly ended well; likewise.
    :param traces: texts without which no request's history holds thinking or a proof of it.
    :param look: what routing must know of a body, and whether its history may hold thinking, in one pass;
        ``None``: the one is to be found by :func:`~ampproxy.wire.json.peek`, the other by ``traces``.
    :param may_not_fit: whether a request may have what a target does not take at its server; by a search, for
        most bodies pass as they are. ``None``: it never has.
    :param is_renamed: whether it has what a target only calls otherwise, which is no loss.
    :param own: its own cleaning, asked only for a body that may hold thinking.
    :param clean: takes out of a request of one of Amp's clients what any vendor of the dialect would refuse;
        the same object where there is nothing.
    :param clean_headers: headers (lower-case names) of Amp's clients that are changed for a local account:
        from the value the new one; empty: it is left out.
    :param rules: what Amp's clients need of the answer.
    :param declared: reads the names of the tools that a request declares or chooses.
    :param mixed: the dialect in which a request that came by this one's path is written, if it is not plainly
        this one; this one's own name if it has pieces of others; empty: it is plain. ``None``: it always is,
        or ``look`` finds it.
    :param shown: what a request shows of what it is for.
    :param model_in_body: whether the request's body names the model.
    :param state: how requests and answers refer to what the vendor keeps.
    :param overloaded: the HTTP status of an overloaded vendor. 529 is Anthropic's alone: clients of other
        vendors do not know it, and do not try again.
    :param reads_errors: headers (lower-case name, beginning of the value) of clients that read an error
        within a stream, and lose it where the connection breaks after it.
    :param bare_errors: headers (lower-case name, a word of the value) of clients that read an error within a
        stream only where it is JSON alone, and no event.
    :param gives_up: headers (lower-case name, beginning of the value) of clients whose turn ends at an error
        within a stream, and which ask again where the connection breaks without one.
    :param longest_sleep: seconds beyond which its vendor's SDKs are not to wait by themselves: some sleep
        within the call for as long as they are told, unless they are told not to ask again
        (``x-should-retry``). ``None``: they do not read that.
    :param limits: reports what is left of a client's limits at a time, in the vendor's own headers.
    :param references: how requests refer to earlier answers; ``None``: they do not.
    :param messages: what it is over a WebSocket; ``None``: there is no such thing.
    """

    events: EventStream | None = None
    mending: Mending = Mending()
    usage: Callable[[Members], Usage | None] = lambda answer: None
    is_answer: Callable[[Members], bool] = lambda answer: False
    ends_well: Callable[[Members], bool] = lambda answer: False
    traces: tuple[bytes, ...] = ()
    look: Callable[[bytes], tuple[Peek, bool] | None] = lambda body: None
    may_not_fit: Callable[[bytes, Target], bool] | None = None
    is_renamed: Callable[[bytes, Target], bool] = lambda body, target: False
    own: OwnCleaning = lambda body, model, families, *, cleaned: (body, ())
    clean: Callable[[bytes], bytes] = lambda body: body
    clean_headers: Mapping[bytes, Callable[[str], str]] = msgspec.field(default_factory=dict)
    rules: Callable[[Exchange], AnswerRules] = ModelOnly
    declared: Callable[[bytes], ToolNames] = no_names
    mixed: Callable[[Peek, bytes], str] | None = None
    shown: Callable[[Peek, bytes], Shown] = flat_shown
    model_in_body: bool = True
    state: VendorState = STATELESS
    overloaded: int = 503
    reads_errors: tuple[tuple[bytes, bytes], ...] = ()
    bare_errors: tuple[tuple[bytes, bytes], ...] = ()
    gives_up: tuple[tuple[bytes, bytes], ...] = ()
    longest_sleep: float | None = None
    limits: LimitHeaders = lambda standings, wall: []
    references: References | None = None
    messages: Messages | None = None


class Opening(msgspec.Struct):
    """How the thinking of one model begins at one account, as its answers show.

    :ivar unmarked: in the content, with no tag: its end alone shows; ``None``: no answer has shown it yet.
    """

    unmarked: bool | None = None


class StreamParser(Protocol):
    """Bytes of a vendor's stream in, events out."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, split anywhere; give the events that are complete now.

        Never raises for bad bytes from a vendor: gives a ``Failed`` event, after which the stream
        is over and everything else is ignored.
        """

    def end(self) -> list[Event]:
        """The body ended.

        :raises ampproxy.errors.TruncatedStream: no terminal event was seen.
        """


class StreamRenderer(Protocol):
    """Events in, bytes of the client's stream out."""

    #: What could not be expressed so far.
    losses: Losses

    def feed(self, events: Sequence[Event]) -> bytes:
        """Whole wire events for these; a ``Completed`` yields the dialect's own terminal event."""

    def error(self, error: WireError) -> bytes:
        """The dialect's own error event, ending the stream. Never a clean end."""

    def keepalive(self) -> bytes:
        """Something harmless to send while the vendor is silent; empty where there is no such thing."""


class Compacting(Value, frozen=True, kw_only=True):
    """How a dialect has a conversation replaced by a summary, in a call of its own.

    :param request: a client's request for it as a question to a model; raises
        :class:`~ampproxy.errors.ClientFault` where it is not valid.
    :param answer: the answer of the call, of the model's answer to that question, its context, and the
        client's request; raises :class:`~ampproxy.errors.UpstreamFault` where it has no summary.
    """

    request: Callable[[bytes], bytes]
    answer: Callable[[ChatResponse, AnswerContext, bytes], bytes]


class ParseRequest(Protocol):
    """How a dialect reads a client's request."""

    def __call__(self, body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
        """Read it.

        :param model: the model from the path, for a dialect that has it there.
        :param stream: likewise whether the path asks for a stream.
        :raises ampproxy.errors.ClientFault: it is not valid; the message names the member.
        """


def translation(package: str) -> dict[str, Any]:
    """The requests and whole answers of the dialect in a package, each way loaded when it is first needed:
    where bytes pass, none is.
    """
    return {name: Late(f"{package}.{module}", name) for name, module in _TRANSLATING.items()}


def bodies(module: ModuleType) -> dict[str, Any]:
    """The errors, lists and counts that a module writes and reads."""
    found = {name: getattr(module, name) for name in _BODIES}
    return {**found, "model_body": lambda model: encode(module.model_members(model))}


class Dialect(Value, frozen=True, kw_only=True):
    """A wire dialect, whole: requests, answers, streams, errors and lists, both ways. All sans-I/O.

    :param name: in settings, logs and on the command line (see :mod:`ampproxy.model.base`).
    :param passthrough: what must be known of it where bytes pass.
    :param harmless: members that only this dialect knows (``ChatRequest.extras``) and that ask nothing of
        another vendor, each with the test of its JSON text for which that is so.
    :param compacting: its call that compacts conversations; ``None``: it has none.

    :param parse_request: reads a client's request.
    :param for_others: a request of this dialect as another dialect may be asked it; the same object where
        nothing is in its way. Raises :class:`~ampproxy.errors.ClientFault` where it refers to what only its
        own vendor stores.
    :param render_request: a request to a target, by the vendor's own rules. Never raises for a request that
        any dialect parsed: what cannot be expressed is a loss.
    :param parse_response: reads a vendor's whole answer; raises :class:`~ampproxy.errors.UpstreamFault` where
        it is not one.
    :param render_response: a whole answer for a client.
    :param unmarked_thoughts: its servers may leave a model's thinking in the content: then a parser takes an
        :class:`Opening`.
    :param stream_parser: a parser for one stream; ``stream_renderer``: a renderer for one.

    :param error_body: the JSON body of an error response; ``error_event``: the wire event that reports an
        error after the stream began.
    :param parse_error: what a vendor's error response means: from its status, its headers (lower-case names)
        and its body. Never raises.
    :param models_body: the answer of the dialect's list of models; ``model_body``: the one for one model.

    :param count_request: a rendered request as a counting request, without what only an answer needs. Beside
        it, the model whose tokens are counted, for a dialect that has it in the path elsewhere. Never asked
        for where the dialect has no call that counts.
    :param parse_count: input tokens, from a vendor's answer to a counting request; raises
        :class:`~ampproxy.errors.UpstreamFault` where it is not one.
    :param count_body: the answer to a client's counting request.
    """

    name: str
    passthrough: Passthrough
    harmless: Mapping[str, Callable[[bytes], bool]] = {}
    compacting: Compacting | None = None
    unmarked_thoughts: bool = False

    parse_request: ParseRequest
    for_others: Callable[[ChatRequest], ChatRequest] = lambda request: request
    render_request: Callable[[ChatRequest, Target], Rendered]
    parse_response: Callable[[bytes], ChatResponse]
    render_response: Callable[[ChatResponse, AnswerContext], bytes]
    stream_parser: Callable[..., StreamParser]
    stream_renderer: Callable[[AnswerContext], StreamRenderer]

    error_body: Callable[[WireError], bytes]
    error_event: Callable[[WireError], bytes]
    parse_error: Callable[[int, Mapping[str, str], bytes], WireError]
    models_body: Callable[[Sequence[ModelInfo]], bytes]
    model_body: Callable[[ModelInfo], bytes]

    count_request: Callable[[bytes, str], bytes] = lambda body, model: body
    parse_count: Callable[[bytes], int]
    count_body: Callable[[int], bytes]


def is_harmless(dialect: str, name: str, value: Json) -> bool:
    """Whether a member that only ``dialect`` knows asks nothing of another vendor, so that to leave it out is
    no loss: any vendor does so anyway, it only shapes the stream, which the gateway writes itself, or it is
    kept beside the vocabulary that means the same.
    """
    speaker = DIALECTS.get(dialect)
    harmless = None if speaker is None else speaker.harmless.get(name)
    return harmless is not None and harmless(bytes(value))
