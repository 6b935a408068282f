"""What the two processes say to each other: lines of JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

#: Names the descriptors that a successor gets; JSON.
VARIABLE = "AMPPROXY_SUCCEEDS"

Message = dict[str, Any]


class Control(LineOnlyReceiver):
    """One end.

    :param heard: called with what the other process says.
    :param lost: called when it says no more: it has ended, or closed its end.
    """

    delimiter = b"\n"
    transport: Any

    def __init__(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._heard = heard
        self._lost: Callable[[], None] | None = lost

    def send(self, **message: Any) -> None:
        """Tell the other process."""
        self.transport.write(encode(message) + self.delimiter)

    def close(self) -> None:
        """Hear and say no more."""
        self._lost = None
        self.transport.loseConnection()

    def lineReceived(self, line: bytes) -> None:
        """The other process says something."""
        try:
            message = json.loads(line)
        except ValueError:
            return
        if self._lost is not None and isinstance(message, dict):
            self._heard(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It says no more."""
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()


def encode(message: Message) -> bytes:
    """A message as one line, without its end."""
    return json.dumps(message).encode()


def connect(reactor: Any, sock: socket.socket, control: Control) -> None:
    """Talk over a socket, which is the reactor's from now on.

    :raises OSError: no descriptor is left for it; then it is closed.
    """
    with sock:
        sock.setblocking(False)
        reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: control))
