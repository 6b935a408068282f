"""What a worker notices and the supervisor keeps: which clients were seen, which routes were unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ampproxy.amp.clients import AmpClient, Generation
from ampproxy.channel.messages import Message, Note
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.unknown import RouteMemory
from ampproxy.runtime import Runtime
from ampproxy.server.cloud_notes import CloudNotes

Send = Callable[[Message], None]

#: Of so many clients a worker remembers that it has reported them.
_MAX_CLIENTS = 256


class ReportedNotes(CloudNotes):
    """Has the supervisor take down what was seen of requests from Amp's cloud."""

    def __init__(self, send: Send) -> None:
        super().__init__(float)
        self._send = send

    def wide_key(self, client: str) -> None:
        self._send(Note("wide", (client,)))

    def unmarked(self) -> None:
        self._send(Note("unmarked", ()))


class ReportedClients(SeenClients):
    """Reports each of Amp's clients once."""

    def __init__(self, send: Send, log: Logger) -> None:
        super().__init__(log)
        self._send = send
        self._reported: set[tuple[str, AmpClient]] = set()

    def see(self, label: str, client: AmpClient) -> None:
        if client.generation is None or (label, client) in self._reported:
            return
        if len(self._reported) >= _MAX_CLIENTS:
            self._reported.clear()
        self._reported.add((label, client))
        values = (label, client.application, client.version, client.generation.value)
        self._send(Note("client", values))


class ReportedRoutes(RouteMemory):
    """Has the supervisor remember unknown routes."""

    def __init__(self, send: Send, clock: IReactorTime, log: Logger) -> None:
        super().__init__(None, clock, float, log)
        self._send = send

    def see(self, method: str, path: str, client: str, then: str = "it is forwarded") -> None:
        self._send(Note("route", (method, path, client, then)))


def _client(runtime: Runtime, label: str, application: str, version: str, generation: str) -> None:
    runtime.seen_clients.see(label, AmpClient(application, version, Generation(generation)))


#: What a worker may notice -> what the supervisor does with it.
NOTES: Mapping[str, Callable[..., None]] = {
    "wide": lambda runtime, client: runtime.cloud_notes.wide_key(client),
    "unmarked": lambda runtime: runtime.cloud_notes.unmarked(),
    "client": _client,
    "route": lambda runtime, *values: runtime.unknown_routes.see(*values),
}


def keep(runtime: Runtime, note: Note) -> None:
    """Keep what a worker has noticed."""
    NOTES[note.what](runtime, *note.values)
