"""What a translation could not say, told to those who ask: in the log, in a header, as a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from twisted.web.http_headers import Headers

from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.model.events import ChatResponse
from ampproxy.model.fold import unfold
from ampproxy.model.loss import OF_REQUEST, Loss
from ampproxy.wire.redact import printable

if TYPE_CHECKING:
    from ampproxy.dialects.base import AnswerContext, Dialect

#: A client that sends it with the value 1 gets it back with the request's losses.
LOSSES_HEADER = b"X-Ampproxy-Losses"
_LOSSES = LOSSES_HEADER.lower()
#: The longest value of that header, in bytes.
MAX_HEADER = 4096
_MORE = b"..."
_WANTED = (b"1", b"true", b"yes")

#: Kinds that strict translation does not refuse for: hints for a cache that the other vendor keeps by
#: itself, proofs that it never issued and does not miss, what is said in another form and turned back in the
#: answer, blanks.
HINTS = frozenset(kind.name for kind in OF_REQUEST.values() if kind.hint)


def refusing(losses: Iterable[Loss]) -> tuple[Loss, ...]:
    """Those for which ``translation: strict`` refuses a request."""
    return tuple(loss for loss in losses if loss.kind not in HINTS)


def strict_refusal(losses: Sequence[Loss], dialect: str) -> ExchangeError:
    """The refusal of a request that cannot be said whole in ``dialect``; names every loss."""
    lines = "; ".join(f"{loss.path}: {loss.why} ({loss.kind})" for loss in losses)
    return ClientFault.of(
        "invalid_request",
        f"translation: strict: this request cannot be expressed in {dialect}: {lines}",
        code="translation_loss",
        param=losses[0].path if losses else None,
    )


def counted(losses: Iterable[Loss]) -> dict[str, int]:
    """How many of each kind, in the order in which the kinds first came."""
    found: dict[str, int] = {}
    for loss in losses:
        found[loss.kind] = found.get(loss.kind, 0) + 1
    return found


def summary(losses: Iterable[Loss]) -> str:
    """The counts in one word of a log line: ``cache_control:3,foreign_proof:1``."""
    return ",".join(f"{kind}:{count}" for kind, count in counted(losses).items())


def listed(losses: Sequence[Loss]) -> list[str]:
    """One line for each loss, kind, path and reason in columns."""
    rows = [(printable(loss.kind), printable(loss.path), printable(loss.why)) for loss in losses]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return [f"{kind:<{widths[0]}}  {path:<{widths[1]}}  {why}" for kind, path, why in rows]


def header_value(losses: Iterable[Loss]) -> bytes:
    """``kind;path, kind;path``: printable ASCII without a comma or semicolon of the client's, at most
    :data:`MAX_HEADER` bytes. What does not fit is cut off between two losses and told as ``...``.
    """
    entries: list[bytes] = []
    size = 0
    for loss in losses:
        entry = b"%s;%s" % (_safe(loss.kind), _safe(loss.path))
        size += len(entry) + 2
        if size > MAX_HEADER - len(_MORE):
            entries.append(_MORE)
            break
        entries.append(entry)
    return b", ".join(entries) or b"none"


def answer_header(asked: Mapping[bytes, Sequence[bytes]], response: Headers, losses: Iterable[Loss]) -> None:
    """Put the header into a response whose request asked for it.

    :param asked: the request's headers, names in lower case.
    """
    if any(value.strip().lower() in _WANTED for value in asked.get(_LOSSES, ())):
        response.setRawHeaders(LOSSES_HEADER, [header_value(losses)])


def of_answer(response: ChatResponse, client: Dialect, context: AnswerContext) -> tuple[Loss, ...]:
    """What of a whole answer the client's dialect cannot say: what a stream of it would lose."""
    renderer = client.stream_renderer(context)
    renderer.feed(unfold(response))
    return tuple(dict.fromkeys(renderer.losses))


def _safe(text: str) -> bytes:
    return bytes(
        byte if 33 <= byte <= 126 and byte not in b",;" else 95 for byte in text.encode("utf-8", "replace")
    )
