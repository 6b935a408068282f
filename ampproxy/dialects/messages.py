"""A dialect over a WebSocket: what its messages are, where it has any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ampproxy.model.base import Value


class Question(Value, frozen=True):
    """What a message asks.

    :param body: as a plain request has it, streamed.
    :param stream_id: what its events are to repeat; empty: nothing.
    :param generate: whether a model is to answer at all: a client may only want its items to be known.
    """

    body: bytes
    stream_id: str = ""
    generate: bool = True


class Conversation(Protocol):
    """The last answers of one connection, with all that was before them."""

    @property
    def size(self) -> int:
        """What is kept, in bytes."""

    def forget(self) -> None:
        """Keep nothing any more of what was."""

    def whole(self, body: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        """A request with what it goes on from, as far as that is known; and its items, those included.

        :raises ampproxy.errors.ClientFault: it is not valid.
        """

    def note(self, items: Sequence[bytes], event: bytes) -> None:
        """An event of the answer to a request with these items: if it ends it, that is known from now on."""

    def keep(self, id_: str, items: Sequence[bytes]) -> None:
        """An answer is known from now on, with all items up to it."""


class Messages(Value, frozen=True, kw_only=True):
    """The messages of a dialect. All sans-I/O.

    :param read: what a client's message asks; raises :class:`~ampproxy.errors.ClientFault`.
    :param stream_of: the stream that a client's message belongs to; empty: none, or it is no message.
    :param event: the data of an event as a message of a stream.
    :param error: an error of a request as a message: its status, the headers of its answer (lower-case names)
        and body, and the stream.
    :param last: the names of the events that end an answer.
    :param type_of: what an event without a name is.
    :param warm_up: the messages of an answer that no model was asked for, with this id, at this time (seconds
        since the epoch).
    :param conversation: a new one, of at most so many bytes.
    """

    read: Callable[[bytes], Question]
    stream_of: Callable[[bytes], str]
    event: Callable[[bytes, str], bytes]
    error: Callable[[int, Mapping[str, str], bytes, str], bytes]
    last: frozenset[bytes]
    type_of: Callable[[bytes], bytes]
    warm_up: Callable[[Question, str, int], list[bytes]]
    conversation: Callable[[int], Conversation]
