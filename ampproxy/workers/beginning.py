"""What a worker begins with, of the service as it is at that moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ampproxy.channel.messages import Start
from ampproxy.model.base import Value
from ampproxy.service import GatewayService
from ampproxy.workers.starting import WorkerStart, counted, descriptors, packed

#: By these options of ``twistd``'s the log goes.
_OF_LOG = ("nodaemon", "debug", "logfile", "syslog", "prefix")


class Beginning(Value, frozen=True):
    """What stays the same as long as the supervisor runs.

    :param home: of the user.
    :param cache: the folder of what may be forgotten; ``None``: nothing of it is kept.
    :param twistd: its options, those before the word ``ampproxy``.
    """

    home: Path
    cache: Path | None
    twistd: Mapping[str, object]

    def start(self, number: int, service: GatewayService) -> tuple[Start, list[int]]:
        """A worker's first message, and the descriptors that come along."""
        kept, activated, names = service.listeners.handed()
        start = WorkerStart(
            number=number,
            config=service.configured,
            generation=service.generation,
            listen=service.listeners.strings,
            activated=tuple(names),
            kept=counted(kept),
            home=self.home,
            cache=self.cache,
            state=service.current.runtime.state,
            twistd={name: self.twistd.get(name) for name in _OF_LOG},
        )
        return Start(packed(start)), [*(sock.fileno() for sock in activated), *descriptors(kept)]
