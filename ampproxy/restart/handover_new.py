"""The process that takes another's place: what it gets of it, and what it tells it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ampproxy.listen.inherited import Inherited
from ampproxy.listen.sockets import listening
from ampproxy.restart.control import VARIABLE, Control, Message, connect, encode


class Handover:
    """The place that is to be taken.

    :param told: what the predecessor says of it.
    :ivar inherited: its sockets.
    :ivar generation: of its configuration, when this process was started.
    :ivar followed: likewise when it made way.
    :ivar keyed: whether it asks for a client key.
    :ivar pidfile: the file that this process will own; empty: none.
    """

    def __init__(self, message: Message) -> None:
        self._socket: socket.socket | None = socket.socket(fileno=message["control"])
        self._socket.set_inheritable(False)
        # Until this process is ready the predecessor sees what it writes there.
        self._stderr: int = message["stderr"]
        os.set_inheritable(self._stderr, False)
        self.generation: int = message["generation"]
        self.followed = self.generation
        self.keyed: bool = message.get("keyed", False)
        self.predecessor: int = message["pid"]
        self.inherited = Inherited(
            [listening(fd) for fd in message["activated"]],
            list(message["names"]),
            {key: [listening(fd) for fd in fds] for key, fds in message["kept"].items()},
        )
        self.pidfile = ""
        self._control: Control | None = None
        self._take: Callable[[], None] | None = None
        self._give_up: Callable[[str], None] = lambda why: None

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Handover | None:
        """What the environment says, once; ``None`` for a process that takes nobody's place."""
        text = environ.pop(VARIABLE, "")
        return cls(json.loads(text)) if text else None

    def adapt(self, twistd: MutableMapping[str, Any]) -> None:
        """Leave to the predecessor, for now, what only one process may have.

        :param twistd: the options before the word ``ampproxy``.
        """
        # twistd would not start while the process that the file names is alive.
        self.pidfile = os.path.abspath(twistd["pidfile"]) if twistd.get("pidfile") else ""
        twistd["pidfile"] = ""
        if os.geteuid() != 0:
            # The predecessor has become that user already, and only root can.
            twistd["uid"] = twistd["gid"] = None

    def failed(self, why: str) -> None:
        """Tell that nothing comes of it; before the reactor runs."""
        if self._socket is not None:
            try:
                self._socket.sendall(encode({"failed": why}) + b"\n")
            except OSError:
                pass

    def begin(self, reactor: Any, take: Callable[[], None], give_up: Callable[[str], None]) -> None:
        """This process is ready: it takes over as soon as the predecessor makes way, or has ended.

        :param take: called once, at that moment.
        :param give_up: called if the predecessor stays, with its reason.
        """
        assert self._socket is not None
        os.dup2(self._stderr, 2)
        os.close(self._stderr)
        self._take, self._give_up = take, give_up
        self._control = Control(self._heard, self._take_over)
        connect(reactor, self._socket, self._control)
        self._socket = None
        self._control.send(ready=os.getpid())

    def withdraw(self, why: str) -> None:
        """This process ends and takes no place, whatever the predecessor says or does from now on."""
        self._take, self._give_up = None, lambda why: None
        if self._control is None:
            self.failed(why)
        else:
            self._control.send(failed=why)

    def _heard(self, message: Message) -> None:
        if "stop" in message:
            self._take = None
            self._give_up(str(message["stop"]))
        elif "go" in message:
            self.followed = int(message.get("generation", self.generation))
            self._take_over()

    def _take_over(self) -> None:
        take, self._take = self._take, None
        if take is None:
            return
        take()
        assert self._control is not None
        if self._control.transport.connected:
            self._control.send(took=os.getpid())

    def own_pidfile(self, twistd: MutableMapping[str, Any], log: Logger) -> None:
        """Have the pidfile name this process, and remove it at the end."""
        if self.pidfile and write_pidfile(Path(self.pidfile), log):
            twistd["pidfile"] = self.pidfile


def write_pidfile(path: Path, log: Logger) -> bool:
    """Put this process's number into a file, at one moment; says whether that was possible."""
    text = b"%d" % os.getpid()
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            new.write_bytes(text)
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            path.write_bytes(text)
    except OSError as error:
        log.warn(
            "{path} cannot be written and still names the previous process: {why}. Put it into a folder "
            "that the service's user can write to",
            path=str(path),
            why=error.strerror or str(error),
        )
        return False
    return True
