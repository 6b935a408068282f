"""One exchange as the ledger keeps it: numbers and names, never a word of what was said."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import printable

if TYPE_CHECKING:
    # The command line reads ledgers without it, and without Twisted.
    from ampproxy.model.events import Usage
    from ampproxy.relay.record import ExchangeRecord

#: Routes of exchanges that ask for a model; ``none`` is one that nobody served.
MODEL_ROUTES = ("local", "mapped", "amp", "none")
_LOCAL_ROUTES = ("local", "mapped")

#: Below it are Amp's own names for the model routes: what Amp would have billed, had it served.
_AMP_PREFIX = "/api/provider/"
#: Calls that only count tokens; vendors charge nothing for them, and report no usage.
_COUNTING = ("/count_tokens", "/responses/input_tokens", ":countTokens")

#: The longest name that is kept.
MAX_NAME = 200
#: No exchange has so many, and a day's sum of them is still an integer of SQLite's.
_MAX_TOKENS = 10**12

#: Tokens of a prompt above which some vendor's prices are others. What a longer one costs is known by the
#: largest of these that it exceeds.
STEPS = (32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288)

_THREAD = LatePattern(r"T-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


class Series(NamedTuple):
    """What many exchanges have in common: all that is counted by day, and priced as one.

    :ivar client: the name of the client's key.
    :ivar account: the name of the account that served (see :mod:`ampproxy.credentials.names`).
    :ivar served: the vendor's name of the model; empty where Amp or nobody served.
    :ivar amp: whether it came by one of Amp's own paths, so that Amp would have served it.
    :ivar tier: how it was served where that has a price of its own (:func:`ampproxy.model.events.tier_of`).
    :ivar prompt_over: the largest of :data:`STEPS` that the prompt had more tokens than; 0: it had not more
        than any.
    """

    client: str
    role: str
    asked: str
    served: str
    account: str
    route: str
    outcome: str
    amp: bool
    tier: str = ""
    prompt_over: int = 0


class Tokens(NamedTuple):
    """Tokens by class; as in :class:`~ampproxy.model.events.Usage`, ``reasoning`` is a part of ``output``,
    and ``cache_write_1h`` one of ``cache_write``.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    cache_write_1h: int = 0

    def plus(self, other: Tokens) -> Tokens:
        """The sum of both."""
        return Tokens(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.output + other.output,
            self.reasoning + other.reasoning,
            self.cache_write_1h + other.cache_write_1h,
        )


class Sums(NamedTuple):
    """What some exchanges have in sum.

    :ivar metered: how many of them told their tokens.
    :ivar first_ms: the sum of the milliseconds to the first byte, of the ``firsts`` that had one.
    """

    requests: int
    metered: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cache_write_1h: int
    first_ms: int
    firsts: int
    total_ms: int

    @property
    def tokens(self) -> Tokens:
        """The tokens by class."""
        return Tokens._make(self[2:8])


class Entry(NamedTuple):
    """One row.

    :ivar at: when the exchange ended, in microseconds since the epoch.
    :ivar tokens: ``None`` where the vendor told none.
    :ivar first_ms: until the first byte of the answer left; ``None`` if none did.
    :ivar writer: the process in which the exchange ended, by a random number of 63 bits.
    :ivar number: counts the exchanges of that process. The three, ``at`` included, are the row's key: made
        when the exchange ends, and the same whoever writes the row, and however often.
    """

    at: int
    series: Series
    thread: str
    status: int
    tokens: Tokens | None
    first_ms: int | None
    total_ms: int
    writer: int = 0
    number: int = 0


def is_kept(record: ExchangeRecord, *, management: bool) -> bool:
    """Whether an exchange gets a row: it asked for a model, or was a tunnel.

    :param management: whether requests on Amp's own routes get one, too.
    """
    if record.kind in MODEL_ROUTES:
        return bool(record.asked) and record.method == "POST"
    return record.kind == "tunnel" or (management and record.kind == "management")


def entry_of(record: ExchangeRecord, at: float, writer: int = 0, number: int = 0) -> Entry:
    """What is kept of an exchange that has ended. Called for each, before the next is served: it is quick.

    :param at: when it ended, in seconds since the epoch.
    :param writer: and ``number``: see :class:`Entry`.
    """
    outcome, ended, first = record.outcome, record.ended, record.first_byte
    assert outcome is not None
    assert ended is not None
    route, started = record.kind, record.started
    if route in _LOCAL_ROUTES:
        served, account = record.served, record.account_name or record.account
    else:
        # What an account tried before Amp served is not what served.
        served = account = ""
    ended_so = outcome.text
    if route == "amp" and record.status >= 400 and ended_so == "completed":
        # An error of Amp's that was handed on well is still none of its answers.
        ended_so = "upstream-error"
    amp = route not in MODEL_ROUTES or record.path.startswith(_AMP_PREFIX)
    tier, prompt_over = ("", 0) if (usage := record.usage) is None else (usage.tier, _step(usage))
    return Entry(
        int(at * 1_000_000),
        Series(
            record.client, record.role, record.asked, served, account, route, ended_so, amp, tier, prompt_over
        ),
        record.thread,
        record.status,
        _tokens(record),
        None if first is None else int((first - started) * 1000),
        int((ended - started) * 1000),
        writer,
        number,
    )


def beside(entry: Entry, usage: Usage) -> list[Entry]:
    """Rows of their own for what other models used for an exchange, which have prices of their own. Each is a
    microsecond later than the one before it: that makes it a key of its own.

    :param entry: the row of the exchange.
    """
    others = [part for part in usage.beside if part.model]
    return [
        entry._replace(
            at=entry.at + place,
            series=entry.series._replace(
                asked=part.model,
                served=part.model if entry.series.served else "",
                prompt_over=_step(part.usage),
            ),
            tokens=_bounded(_counted(part.usage)),
            first_ms=None,
        )
        for place, part in enumerate(others, 1)
    ]


def _step(usage: Usage) -> int:
    """See :attr:`Series.prompt_over`."""
    prompt = usage.longest or usage.input + usage.cache_read + usage.cache_write
    if prompt <= STEPS[0]:
        return 0
    return STEPS[bisect_left(STEPS, prompt) - 1]


def _tokens(record: ExchangeRecord) -> Tokens | None:
    usage = record.usage
    if usage is None:
        counts = record.kind in MODEL_ROUTES and record.path.endswith(_COUNTING)
        return Tokens() if counts else None
    tokens = _counted(usage)
    for part in usage.beside:
        if not part.model:
            tokens = tokens.plus(_counted(part.usage))
    return _bounded(tokens)


def _counted(usage: Usage) -> Tokens:
    return Tokens(
        usage.input,
        usage.cache_read,
        usage.cache_write,
        usage.output,
        usage.reasoning,
        min(usage.cache_write_1h, usage.cache_write),
    )


def _bounded(tokens: Tokens) -> Tokens:
    if min(tokens) < 0 or max(tokens) > _MAX_TOKENS:
        # They are a vendor's numbers, and may be anything.
        return Tokens._make(min(max(count, 0), _MAX_TOKENS) for count in tokens)
    return tokens


def clean_name(name: str) -> str:
    """A name in one line, and not too long: clients choose some of them freely."""
    return printable(name)[:MAX_NAME]


def packed_thread(thread: str) -> str | bytes:
    """A thread as it is stored: Amp's own ids as the 16 bytes that they stand for, others as they are."""
    return UUID(thread[2:]).bytes if _THREAD.match(thread) else clean_name(thread)


def unpacked_thread(stored: str | bytes) -> str:
    """The thread that was packed so."""
    return f"T-{UUID(bytes=stored)}" if isinstance(stored, bytes) else stored
