"""What stands between a client's dialect and an account's: nothing much, or a translation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from ampproxy.catalog.families import Families
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.facts import BodyFacts
from ampproxy.interfaces import StreamFilter
from ampproxy.model.base import Value
from ampproxy.model.events import Usage, WireError
from ampproxy.model.loss import Loss
from ampproxy.routing.endpoints import Endpoint
from ampproxy.routing.route import Route, RouteTarget


class ModelRequest(Value, frozen=True, kw_only=True):
    """What a client asks of a model.

    :param body: as it came, but for what Amp's clients need cleaned.
    :param requested_model: the model's name as asked, thinking suffix included: the name it sees in the
        answer.
    :param stream: whether it wants a stream.
    :param headers: the client's, credentials and all, names in lower case; a provider's allow-list picks
        from them.
    :param query: the client's query without client keys.
    :param facts: what was found in the body when it came.
    :param client: whose it is: what tells clients apart; not shown.
    :param refers: whether it may refer to something that a vendor keeps for one of several accounts.
    :param shows_losses: whether its client may have asked for what a translation lost.
    """

    endpoint: Endpoint
    body: bytes
    requested_model: str
    stream: bool
    headers: Mapping[bytes, Sequence[bytes]]
    query: bytes
    route: Route
    facts: BodyFacts
    client: str = ""
    refers: bool = False
    shows_losses: bool = False

    def listed(self, client: Dialect) -> bool:
        """Whether the stream is to be a JSON list that grows, as Gemini's clients get it that do not ask for
        events.

        :param client: the client's dialect.
        """
        events = client.passthrough.events
        if not self.stream or events is None or not events.list_unless:
            return False
        return events.list_unless not in self.query.split(b"&")


def reads_errors(question: ModelRequest, client: Dialect) -> bool:
    """Whether the client reads an error within its stream, so that the stream's end need not break.

    :param client: the client's dialect.
    """
    known = client.passthrough.reads_errors
    if not known or question.listed(client):
        return False
    return _has(question, known, bytes.startswith)


def error_event_for(
    question: ModelRequest, client: Dialect, usual: Callable[[WireError], bytes]
) -> Callable[[WireError], bytes]:
    """How the client is sent an error within its stream.

    :param client: the client's dialect.
    :param usual: makes the event of its dialect.
    """
    if _has(question, client.passthrough.gives_up, bytes.startswith):
        return _nothing
    known = client.passthrough.bare_errors
    if not known or question.listed(client):
        return usual
    return client.error_body if _has(question, known, bytes.__contains__) else usual


def _has(
    question: ModelRequest, known: Iterable[tuple[bytes, bytes]], holds: Callable[[bytes, bytes], bool]
) -> bool:
    """Whether a header of the client's is one of those that are known.

    :param known: names, and what ``holds`` looks for in the values.
    """
    headers = question.headers
    return any(holds(value, words) for name, words in known for value in headers.get(name, ()))


def _nothing(error: WireError) -> bytes:
    return b""


class Bridge(Protocol):
    """One question to one account.

    :ivar body: what the account is sent.
    :ivar headers: request headers that this body needs beside the provider's.
    :ivar content_type: of the answer to the client; ``None``: the account's own.
    :ivar listed: whether the client's stream is a JSON list that grows.
    :ivar losses: what its dialect could not say of the request.
    :ivar spoken: the dialect that the account is asked in.
    """

    body: bytes
    spoken: str
    headers: Mapping[str, str]
    losses: tuple[Loss, ...]
    content_type: bytes | None
    listed: bool

    def filter(self) -> StreamFilter:
        """What the account's stream goes through on its way to the client."""

    def whole(self, body: bytes) -> bytes:
        """The account's whole answer as the client gets it.

        :raises ampproxy.errors.UpstreamFault: it is not an answer in the account's dialect.
        """

    def error_event(self, error: WireError) -> bytes:
        """What ends the client's stream when it breaks off: an error, never a clean end."""

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """What an error response of the account says."""

    def error_body(self, error: WireError, original: bytes) -> bytes:
        """The body of an error for the client: the vendor's own words where it understands them."""

    @property
    def usage(self) -> Usage | None:
        """The tokens that the answer cost, once it has told."""

    @property
    def failed(self) -> WireError | None:
        """The error that the stream told of after it began, which the client has got as it came."""

    @property
    def answer_losses(self) -> tuple[Loss, ...]:
        """What of the answer so far the client's dialect could not say."""


class Bridges(Protocol):
    """Makes a bridge for a question and an account."""

    @property
    def families(self) -> Families:
        """What is known of models now."""

    def know(self, families: Families) -> None:
        """Go by what is known of models now, from the next request on."""

    def __call__(self, question: ModelRequest, offer: RouteTarget) -> Bridge:
        """The bridge.

        :raises ampproxy.errors.ExchangeError: the account cannot be asked this.
        """

    def spoken(self, question: ModelRequest, offer: RouteTarget) -> str:
        """The dialect that the account is asked in.

        :raises ampproxy.errors.GatewayFault: it has no such call.
        """

    def take_long(self, question: ModelRequest, offer: RouteTarget) -> bool:
        """Whether making it would keep the reactor waiting, so that it is to be made in a thread."""

    def can(self, endpoint: Endpoint, offer: RouteTarget) -> bool:
        """Whether an account has what answers this call."""
