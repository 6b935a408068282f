"""Ports on sockets of our own: opened, moved, handed on, and what systemd passes."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.listen import describe, sockets
from ampproxy.listen.inherited import FIRST, Inherited
from ampproxy.listen.listeners import Listeners, setting_of
from ampproxy.listen.sockets import listening
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback


class Greeter(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"hello")
        self.transport.loseConnection()


def config(text: str) -> Config:
    return parse(
        text, name="c", environ={}, home=Path("/"), read_secret=lambda path: "", read_pem=Path.read_bytes
    )


def greeting(address: Any) -> bytes:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(60)
        client.connect(address)
        return read(client)


def read(client: socket.socket) -> bytes:
    said = b""
    while data := client.recv(100):
        said += data
    return said


@pytest.fixture
def made() -> Iterator[Callable[..., Listeners]]:
    """Makes listeners; closes them at the end."""
    all_of_them: list[Listeners] = []

    def make(text: str, *strings: str, inherited: Inherited | None = None) -> Listeners:
        factory = Factory.forProtocol(Greeter)
        log = Logger(observer=lambda event: None)
        listeners = Listeners(factory, reactor, strings, inherited or Inherited(), log)
        all_of_them.append(listeners)
        move(listeners, text)
        return listeners

    yield make
    for listeners in all_of_them:
        in_reactor(listeners.close)


def move(listeners: Listeners, text: str) -> None:
    in_reactor(lambda: listeners.commit(listeners.prepare(config(text))))


def where(listeners: Listeners) -> list[str]:
    return [describe(port) for port in listeners.ports]


def is_closed(address: Any) -> bool:
    """Whether nobody accepts there any more; a port closes a moment after it was asked to."""
    for _ in range(400):
        try:
            greeting(address)
        except (ConnectionRefusedError, ConnectionResetError, FileNotFoundError):
            return True
    return False


def test_moves(made: Callable[..., Listeners]) -> None:
    """To another port and back: the new one is open before the old one is closed."""
    first, second = free_port(), free_port()
    listeners = made(f"port: {first}")
    prepared = in_reactor(listeners.prepare, config(f"port: {second}"))
    assert greeting(("127.0.0.1", first)) == greeting(("127.0.0.1", second)) == b"hello"
    in_reactor(listeners.commit, prepared)
    assert where(listeners) == [f"127.0.0.1:{second}"]
    assert is_closed(("127.0.0.1", first))
    assert greeting(("127.0.0.1", second)) == b"hello"


def test_same_address(made: Callable[..., Listeners]) -> None:
    """What stays is not touched."""
    listeners = made("port: 0")
    (port,) = listeners.ports
    move(listeners, "port: 0\ndebug: true")
    assert listeners.ports == [port]


def test_taken(made: Callable[..., Listeners]) -> None:
    """Where the new address is taken, all stays as it was; a second service of ours is somebody else, too."""
    other = made("port: 0")
    taken = other.ports[0].getHost().port
    listeners = made("port: 0")
    (port,) = listeners.ports
    with pytest.raises(CannotListenError):
        in_reactor(listeners.prepare, config(f"port: {taken}"))
    assert listeners.ports == [port]
    assert greeting(("127.0.0.1", port.getHost().port)) == b"hello"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_not_of_this_machine(made: Callable[..., Listeners], host: str) -> None:
    """It is the host that is wrong where its address cannot be listened on at all, and not the port."""
    wanted = config(f"host: {host}\nport: {free_port()}\napi-keys: [k]")
    with pytest.raises(CannotListenError) as raised:
        in_reactor(made("port: 0").prepare, wanted)
    assert setting_of(raised.value, wanted) == "host"


class Sockets:
    """The module ``socket`` of a system that has no IPv6, or no descriptor left."""

    def __init__(self, number: int, *families: int) -> None:
        self.number = number
        self.families = families

    def __getattr__(self, name: str) -> Any:
        return self.make if name == "socket" else getattr(socket, name)

    def make(self, family: int, kind: int) -> socket.socket:
        if family in self.families:
            raise OSError(self.number, os.strerror(self.number))
        return socket.socket(family, kind)


def test_every_interface(made: Callable[..., Listeners], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no IPv6, that is every one of IPv4."""
    text = 'port: 0\nhost: ""\napi-keys: [k]'
    listeners = made(text)
    assert greeting(("127.0.0.1", listeners.ports[0].getHost().port)) == b"hello"
    monkeypatch.setattr(sockets, "socket", Sockets(errno.EAFNOSUPPORT, socket.AF_INET6))
    assert where(made(text))[0].startswith("0.0.0.0:")


@pytest.mark.parametrize("text", ["port: 0\nhost: ::1", "port: 0"])
def test_no_socket(made: Callable[..., Listeners], monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """An address of a kind that the system lacks is told as one that cannot be had; so is the lack of
    descriptors.
    """
    families = socket.AF_INET6, socket.AF_INET, socket.AF_UNIX
    monkeypatch.setattr(sockets, "socket", Sockets(errno.EMFILE, *families))
    with pytest.raises(CannotListenError, match="Too many open files"):
        made(text)
    with pytest.raises(CannotListenError, match="Too many open files"):
        sockets.bind_unix("/nowhere", 1, 0o600)


def test_cancelled(made: Callable[..., Listeners]) -> None:
    """What was opened for nothing is closed."""
    listeners = made("port: 0")
    second = free_port()
    in_reactor(lambda: listeners.cancel(listeners.prepare(config(f"port: {second}"))))
    assert is_closed(("127.0.0.1", second))


def test_to_every_interface_and_back(made: Callable[..., Listeners]) -> None:
    """From this machine alone to all interfaces of the same port, though the one is a part of the other."""
    port = free_port()
    listeners = made(f"port: {port}")
    for host in ("''", "127.0.0.1", "0.0.0.0"):
        move(listeners, f"port: {port}\nhost: {host}\napi-keys: [k]")
        for _ in range(5):
            assert greeting(("127.0.0.1", port)) == b"hello"
    other = made("port: 0")
    with pytest.raises(CannotListenError):
        in_reactor(other.prepare, config(f"port: {port}"))


def test_waiting_connections(made: Callable[..., Listeners]) -> None:
    """Who has connected to a port and is not accepted yet when it closes is served all the same."""
    port = free_port()
    listeners = made(f"port: {port}")
    clients: list[socket.socket] = []

    def connect_and_move() -> None:
        # The reactor accepts nobody while this runs.
        clients.extend(socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(20))
        listeners.commit(listeners.prepare(config("port: 0")))

    in_reactor(connect_and_move)
    for client in clients:
        with client:
            assert read(client) == b"hello"
    assert is_closed(("127.0.0.1", port))


def test_reach_without_keys(made: Callable[..., Listeners]) -> None:
    """A port that others can reach is refused as soon as there are no keys, wherever its address is from."""
    with pytest.raises(ConfigError, match="api-keys"):
        made("port: 0", "tcp:0")
    listeners = made("port: 0\napi-keys: [k]", "tcp:0")
    with pytest.raises(ConfigError, match="api-keys"):
        in_reactor(listeners.prepare, config("port: 0"))


def test_strings_stay(made: Callable[..., Listeners]) -> None:
    """Endpoint strings replace the configured address, for good; each is opened as often as it is named."""
    listeners = made("port: 1", "tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1")
    ports = listeners.ports
    assert len({port.getHost().port for port in ports}) == 2
    move(listeners, "port: 2")
    assert listeners.ports == ports


def test_strings_that_are_none(made: Callable[..., Listeners]) -> None:
    """They are told with what would be one."""
    for text in ("nonsense", "tcp:port", "systemd:domain=INET:index=0"):
        with pytest.raises(ConfigError, match="--listen"):
            made("port: 0", text)


def test_unix_socket(made: Callable[..., Listeners], tmp_path: Path) -> None:
    """Its file has the mode that is asked for, a left-over one is replaced, one in use is not, and it is
    removed at the end.
    """
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    listeners = made("port: 1", f"unix:{path}:mode=600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert greeting(str(path)) == b"hello"
    assert where(listeners) == [str(path)]
    with pytest.raises(CannotListenError):
        made("port: 1", f"unix:{path}")
    in_reactor(listeners.close)
    assert not path.exists()


@pytest.mark.parametrize(
    ("more", "mode"),
    [("", 0o600), (":mode=660", 0o660), (":backlog=7:mode=666", 0o666), ("\\:mode\\=666", 0o600)],
)
def test_mode_of_a_unix_socket(
    made: Callable[..., Listeners], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, mode: int
) -> None:
    """For its owner alone, unless the endpoint says otherwise; and at no moment for more people than that,
    whatever the umask.
    """
    modes = []

    class Watched(socket.socket):
        def bind(self, address: str) -> None:
            super().bind(address)
            modes.append(stat.S_IMODE(os.stat(address).st_mode))

    monkeypatch.setattr(socket, "socket", Watched)
    before = os.umask(0)
    try:
        made("port: 1", f"unix:{tmp_path}/s{more}")
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert modes[0] & ~mode == 0


def test_unix_socket_of_two(made: Callable[..., Listeners], tmp_path: Path) -> None:
    """Who lets go of a socket that another process has leaves its file; who closes it last removes it."""
    path = tmp_path / "socket"
    first = made("port: 1", f"unix:{path}")
    kept, _, _ = first.handed()
    (sock,) = kept[f"unix:{path}"]
    second = made(
        "port: 1",
        f"unix:{path}",
        inherited=Inherited(kept={f"unix:{path}": [listening(os.dup(sock.fileno()))]}),
    )
    in_reactor(first.release)
    assert greeting(str(path)) == b"hello"
    in_reactor(second.close)
    assert not path.exists()


def test_unix_socket_of_another(made: Callable[..., Listeners], tmp_path: Path) -> None:
    """At the end nothing is removed that somebody else has put there."""
    path = tmp_path / "socket"
    listeners = made("port: 1", f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        in_reactor(listeners.close)
        assert path.exists()


def test_a_certificate_that_expires(tmp_path: Path) -> None:
    """Is told when it comes into use, by the process that others borrow the sockets of."""
    wanted = config(
        f"port: 0\n{certificate(tmp_path, trustme.CA(), datetime(2030, 5, 1, tzinfo=timezone.utc))}"
    )
    ends = 1_903_824_000.0
    for wall, borrowed, words in (
        (ends - 20 * 86400, False, ()),
        (ends - 5 * 86400, False, ("expires in 5 d",)),
        (ends + 9, False, ("has expired",)),
        (ends + 9, True, ()),
    ):
        events: list[dict[str, Any]] = []
        log = Logger(observer=events.append)
        listeners = Listeners(
            Factory.forProtocol(Greeter),
            reactor,
            (),
            Inherited(),
            log,
            borrowed=borrowed,
            wall=lambda wall=wall: wall,
        )
        in_reactor(lambda listeners=listeners: listeners.commit(listeners.prepare(wanted)))
        in_reactor(listeners.close)
        told = [event["trouble"] for event in events if "trouble" in event]
        assert len(told) == len(words)
        assert all(word in one for word, one in zip(words, told, strict=True)), told


def certificate(folder: Path, authority: trustme.CA, end: datetime | None = None) -> str:
    issued = authority.issue_cert("localhost", not_after=end)
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    return f"tls: {{enable: true, cert: {folder}/cert.pem, key: {folder}/key.pem}}"


def under_tls(port: int, authority: trustme.CA) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    return context.wrap_socket(plain, server_hostname="localhost")


def test_certificates(made: Callable[..., Listeners], tmp_path: Path) -> None:
    """Another certificate in the same files is shown to new connections; the port stays, with TLS
    or without.
    """
    one, two = trustme.CA(), trustme.CA()
    text = certificate(tmp_path, one)
    listeners = made(f"port: 0\n{text}")
    (port,) = listeners.ports
    number = port.getHost().port
    with under_tls(number, one) as client:
        assert read(client) == b"hello"
    certificate(tmp_path, two)
    move(listeners, f"port: 0\n{text}")
    with under_tls(number, two) as client:
        assert read(client) == b"hello"
    with pytest.raises(ssl.SSLError):
        under_tls(number, one)
    move(listeners, "port: 0")
    assert greeting(("127.0.0.1", number)) == b"hello"
    assert listeners.ports == [port]


def test_wrong_certificate(made: Callable[..., Listeners], tmp_path: Path) -> None:
    """One that is not the key's is refused, and the one before stays."""
    authority = trustme.CA()
    text = certificate(tmp_path, authority)
    listeners = made(f"port: 0\n{text}")
    (tmp_path / "cert.pem").write_bytes(authority.issue_cert("localhost").cert_chain_pems[0].bytes())
    with pytest.raises(ConfigError, match="not the key"):
        in_reactor(listeners.prepare, config(f"port: 0\n{text}"))
    with under_tls(listeners.ports[0].getHost().port, authority) as client:
        assert read(client) == b"hello"


class Activated:
    """Sockets at the descriptors at which systemd passes them, as far as these can be had in a test."""

    def __init__(self, *names: str) -> None:
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
        copies = [listening(os.dup(sock.fileno())) for sock in self.sockets]
        self.inherited = Inherited(copies, list(names))
        self.ports = [sock.getsockname()[1] for sock in self.sockets]

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


def test_activated(made: Callable[..., Listeners]) -> None:
    """Without endpoint strings, systemd's sockets are what is listened on; the configured address is not."""
    activated = Activated("one", "two")
    listeners = made("port: 1", inherited=activated.inherited)
    assert where(listeners) == [f"127.0.0.1:{port}" for port in activated.ports]
    assert [greeting(("127.0.0.1", port)) for port in activated.ports] == [b"hello"] * 2
    ports = listeners.ports
    move(listeners, "port: 2")
    assert listeners.ports == ports
    activated.close()


def test_activated_by_string(made: Callable[..., Listeners]) -> None:
    """An endpoint string names one of them, by its number or its name."""
    activated = Activated("one", "two")
    for text, port in (
        ("systemd:domain=INET:index=0", activated.ports[0]),
        ("systemd:INET:1", activated.ports[1]),
        ("systemd:domain=INET:name=two", activated.ports[1]),
    ):
        assert where(made("port: 1", text, inherited=activated.inherited)) == [f"127.0.0.1:{port}"]
    with pytest.raises(ConfigError, match="2 sockets named one, two"):
        made("port: 1", "systemd:domain=INET:index=2", inherited=activated.inherited)
    activated.close()


def test_activated_under_tls(made: Callable[..., Listeners], tmp_path: Path) -> None:
    """The configured certificate is for systemd's sockets, too."""
    activated, authority = Activated("one"), trustme.CA()
    made(f"port: 1\n{certificate(tmp_path, authority)}", inherited=activated.inherited)
    with under_tls(activated.ports[0], authority) as client:
        assert read(client) == b"hello"
    activated.close()


def test_environment() -> None:
    """What is for another process, or nothing, is nothing; what is no socket is an error."""
    assert Inherited.by_systemd({}, 7) == Inherited()
    assert Inherited.by_systemd({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, 7) == Inherited()
    assert Inherited.by_systemd({"LISTEN_PID": "7", "LISTEN_FDS": "x"}, 7) == Inherited()
    with pytest.raises(ConfigError, match="LISTEN_FDS=1000"):
        Inherited.by_systemd({"LISTEN_PID": "7", "LISTEN_FDS": "1000"}, 7)
    assert FIRST == 3


def test_what_is_no_listener(tmp_path: Path) -> None:
    """A file, a closed descriptor and a socket that does not listen are told apart from one that does."""
    file = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ValueError, match="not a socket"):
        listening(file)
    os.close(file)
    with pytest.raises(ValueError, match="not a socket"):
        listening(file)
    idle = socket.socket()
    with pytest.raises(ValueError, match="listens"):
        listening(idle.detach())


def test_handed_on(made: Callable[..., Listeners]) -> None:
    """A process that takes another's place listens on the same sockets; those that it does not want are
    closed.
    """
    kept, unwanted = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    ports = [kept.getsockname()[1], unwanted.getsockname()[1]]
    inherited = Inherited(
        kept={"tcp:0:127.0.0.1": [listening(kept.detach())], "tcp:1:": [listening(unwanted.detach())]}
    )
    listeners = made("port: 0", inherited=inherited)
    assert where(listeners) == [f"127.0.0.1:{ports[0]}"]
    inherited.close()
    assert is_closed(("127.0.0.1", ports[1]))
    assert greeting(("127.0.0.1", ports[0])) == b"hello"


def test_whether_a_port_may_accept() -> None:
    """Whoever watches one is told: not while another process is to take over."""
    heard: list[Any] = []
    listeners = Listeners(
        Factory.forProtocol(Greeter),
        reactor,
        (),
        Inherited(),
        Logger(observer=lambda event: None),
        lambda port, may_accept: heard.append(may_accept),
    )
    move(listeners, "port: 0\n")
    (may_accept,) = heard
    assert may_accept()
    in_reactor(listeners.pause)
    assert not may_accept()
    in_reactor(listeners.resume)
    assert may_accept()
    in_reactor(listeners.close)
