"""What requests to models need to know of themselves: facts, bounds, estimates, cleaned headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ampproxy.credits.allowance import Unbounded
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.facts import BodyFacts, facts_of
from ampproxy.errors import ClientFault, ExchangeError, Unreachable, UpstreamTimeout
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.estimate import estimate_tokens
from ampproxy.relay.exhausted import KEY_REFUSED, AccountsExhausted
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.wire.values import whole_surrogates


def most(endpoint: Endpoint, model: str, body: bytes) -> int:
    """What a request may cost at most at Amp, in tokens.

    :raises ampproxy.credits.allowance.Unbounded: that cannot be told.
    """
    # Not at the top: few limit what they spend.
    from ampproxy.credits.bound import longest_answer, most_tokens

    if endpoint.operation is Operation.COUNT_TOKENS:
        return 0
    if endpoint.operation is Operation.EMBED:
        return most_tokens(body, 0)
    if endpoint.operation is Operation.OTHER:
        raise Unbounded(f"the cost of {endpoint.method} is not known")
    return most_tokens(body, longest_answer(endpoint.dialect, model))


def estimated(dialect: Dialect, question: ModelRequest) -> int:
    """The tokens of a question, by rule of thumb."""
    asked = dialect.parse_request(question.body, model=question.endpoint.model, stream=False)
    return estimate_tokens(asked)


#: A byte order mark, which editors and shells put before JSON.
_MARK = b"\xef\xbb\xbf"


def mended(dialect: Dialect, body: bytes, error: ValueError) -> tuple[bytes, BodyFacts]:
    """A body that could not be read, without a byte order mark or halves of characters, and what is known of
    it: clients cut texts in the middle of an emoji, and vendors refuse what is left of it, in every later
    turn.

    :param error: what is the matter with it.
    :raises ClientFault: it is something else.
    """
    marked = body.startswith(_MARK)
    whole = body.removeprefix(_MARK) if marked else whole_surrogates(body)
    try:
        if whole is not None:
            return whole, facts_of(dialect, whole)
    except ValueError as other:
        error = other
    raise ClientFault.of("invalid_request", str(error)) from None


def is_out_of_reach(failure: ExchangeError) -> bool:
    """Whether no account that would count was reached. One that answers with an error or leads elsewhere,
    whose key is refused or which is busy says more than a guess.
    """
    error = failure.error
    unreached = error.kind in ("unavailable", "timeout") and error.code != KEY_REFUSED
    return unreached and isinstance(failure, (Unreachable, UpstreamTimeout, AccountsExhausted))


def cleaned(
    headers: Mapping[bytes, Sequence[bytes]], cleaners: Mapping[bytes, Callable[[str], str]]
) -> dict[bytes, Sequence[bytes]]:
    """Headers of one of Amp's clients as a local account may have them; names in lower case."""
    kept = dict(headers)
    for name in cleaners.keys() & headers.keys():
        values = [cleaners[name](value.decode("latin-1")).encode("latin-1") for value in kept.pop(name)]
        if any(values):
            kept[name] = [value for value in values if value]
    return kept
