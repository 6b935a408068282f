"""What a worker gets to begin with, and with another configuration.

Both are pickled: they come from the same code, over a socket that no other process has, and a configuration
that was read once is then the same in all processes.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ampproxy.config.schema import Config
from ampproxy.listen.inherited import Inherited
from ampproxy.listen.sockets import listening
from ampproxy.model.base import Value

#: Keys of sockets, and how many descriptors belong to each, in the order in which they come along.
Counts = tuple[tuple[str, int], ...]
T = TypeVar("T")


class WorkerStart(Value, frozen=True, kw_only=True):
    """What a worker is to be.

    :param number: from 1 on.
    :param generation: the number of the configuration.
    :param listen: endpoint strings that replace the configured address.
    :param activated: the names of systemd's sockets, which come first; the others are ``kept``.
    :param cache: the folder of what may be forgotten; ``state`` of what is kept; ``None``: nothing is.
    :param twistd: what of ``twistd``'s options the log goes by, should the supervisor end.
    """

    number: int
    config: Config
    generation: int
    listen: tuple[str, ...]
    activated: tuple[str, ...]
    kept: Counts
    home: Path
    cache: Path | None
    state: Path | None
    twistd: Mapping[str, object]


class NewConfig(Value, frozen=True, kw_only=True):
    """Another configuration, and the sockets that it wants and that the worker does not have."""

    config: Config
    kept: Counts


def counted(sockets: Mapping[str, Sequence[socket.socket]]) -> Counts:
    """How many there are for each key."""
    return tuple((key, len(found)) for key, found in sockets.items())


def descriptors(sockets: Mapping[str, Iterable[socket.socket]]) -> list[int]:
    """Theirs, in the order of :func:`counted`."""
    return [sock.fileno() for found in sockets.values() for sock in found]


def inherited(start: WorkerStart, numbers: Sequence[int]) -> Inherited:
    """The sockets that came along."""
    count = len(start.activated)
    activated = [listening(number) for number in numbers[:count]]
    return Inherited(activated, list(start.activated), kept(start.kept, numbers[count:]))


def kept(counts: Counts, numbers: Sequence[int]) -> dict[str, list[socket.socket]]:
    """The sockets that came along, by key."""
    rest = iter(numbers)
    return {key: [listening(next(rest)) for _ in range(count)] for key, count in counts}


def packed(value: WorkerStart | NewConfig) -> bytes:
    """As bytes."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(kind: type[T], blob: bytes) -> T:
    """What was packed so."""
    value = pickle.loads(blob)  # noqa: S301  see above
    assert isinstance(value, kind)
    return value
