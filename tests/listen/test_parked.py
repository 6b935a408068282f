"""Sockets of several workers: one for each on one address, held by a process that accepts on none."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.listen.inherited import Inherited
from ampproxy.listen.listeners import Listeners
from ampproxy.listen.sockets import bind_tcp

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="SO_REUSEPORT spreads on Linux")

KEY = "tcp:0:127.0.0.1"
LOG = Logger(observer=lambda event: None)


class Reactor(MemoryReactorClock):  # type: ignore[misc]
    """Its ports say whether they read."""

    def adoptStreamPort(self, fd: int, *args: object) -> object:
        port = super().adoptStreamPort(fd, *args)
        port.reading = True
        port.startReading = lambda: setattr(port, "reading", True)
        port.stopReading = lambda: setattr(port, "reading", False)
        return port


def config(port: int = 0) -> Config:
    text = f"port: {port}\napi-keys: [k]"
    return parse(
        text, name="c", environ={}, home=Path("/"), read_secret=lambda path: "", read_pem=Path.read_bytes
    )


def opened(listeners: Listeners, port: int = 0) -> Listeners:
    listeners.commit(listeners.prepare(config(port)))
    return listeners


def reading(listeners: Listeners) -> list[bool]:
    return [port.acceptor.reading for port in listeners.ports]  # type: ignore[attr-defined]


@pytest.fixture
def parked() -> Iterator[Listeners]:
    listeners = opened(Listeners(Factory(), Reactor(), (), Inherited(), LOG, parked=3))
    yield listeners
    listeners.close()


def test_a_socket_for_each_worker(parked: Listeners) -> None:
    """They have one address, the kernel spreads connections over them, and it is one port for people."""
    sockets = parked.handed()[0][KEY]
    assert len({sock.getsockname() for sock in sockets}) == 1
    assert len(parked.ports) == 1
    clients = [socket.create_connection(sockets[0].getsockname()) for _ in range(60)]
    counts = [sum(1 for _ in iter(lambda each=each: accepted(each), None)) for each in sockets]
    for client in clients:
        client.close()
    assert sum(counts) == 60
    assert min(counts) > 0


def accepted(sock: socket.socket) -> object:
    try:
        connection, address = sock.accept()
    except BlockingIOError:
        return None
    connection.close()
    return address


def test_a_taken_address_is_found_taken(parked: Listeners) -> None:
    """Another service cannot join the sockets of this one by mistake."""
    port = parked.handed()[0][KEY][0].getsockname()[1]
    with pytest.raises(CannotListenError):
        bind_tcp("127.0.0.1", port, 10)


def test_a_worker_accepts_on_its_own(parked: Listeners) -> None:
    """And on that of another one that has died, as long as it is asked to."""
    copies = [sock.dup() for sock in parked.handed()[0][KEY]]
    worker = opened(Listeners(Factory(), Reactor(), (), Inherited(kept={KEY: copies}), LOG, borrowed=True))
    worker.accept([1])
    assert reading(worker) == [False, True, False]
    worker.accept([1, 2])
    assert reading(worker) == [False, True, True]
    worker.accept([])
    assert reading(worker) == [False, False, False]
    worker.close()


def test_one_process_takes_over_from_several(parked: Listeners) -> None:
    """It accepts on all of their sockets, keeps all where nothing changes, and leaves all at once."""
    copies = [sock.dup() for sock in parked.handed()[0][KEY]]
    alone = opened(Listeners(Factory(), Reactor(), (), Inherited(kept={KEY: copies}), LOG))
    assert reading(alone) == [True, True, True]
    before = list(alone.ports)
    opened(alone)
    assert alone.ports == before
    assert len(alone.addresses) == 1
    move = alone.prepare(config(bind_free()))
    assert [each.port for each in move.left] == before
    alone.cancel(move)
    alone.close()


def bind_free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_several_take_over_from_one() -> None:
    """The socket that it had is there for all, with further ones beside it."""
    first = bind_tcp("127.0.0.1", 0, 10)
    address = first.getsockname()
    several = opened(Listeners(Factory(), Reactor(), (), Inherited(kept={KEY: [first]}), LOG, parked=2))
    assert [sock.getsockname() for sock in several.handed()[0][KEY]] == [address, address]
    several.close()


def test_a_unix_socket_is_shared(tmp_path: Path) -> None:
    """There can be one only: every worker accepts on it, and its file stays until the service ends."""
    path = tmp_path / "socket"
    parked = opened(Listeners(Factory(), Reactor(), (f"unix:{path}",), Inherited(), LOG, parked=2))
    kept = parked.handed()[0]
    (sockets,) = kept.values()
    assert len(sockets) == 1
    copies = {key: [sock.dup() for sock in found] for key, found in kept.items()}
    worker = opened(
        Listeners(Factory(), Reactor(), (f"unix:{path}",), Inherited(kept=copies), LOG, borrowed=True)
    )
    worker.close()
    assert path.exists()
    parked.close()
    assert not path.exists()
