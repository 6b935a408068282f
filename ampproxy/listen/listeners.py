"""The ports of the service, and their moves when the configuration names another address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from errno import EADDRNOTAVAIL, EINVAL
from functools import partial
from socket import gaierror, socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from ampproxy.config.certificate import certificate_trouble
from ampproxy.config.schema import Config, Tls
from ampproxy.errors import ConfigError
from ampproxy.lifecycle import Lifecycle, Phase
from ampproxy.listen import describe, is_reachable_from_elsewhere, tls_options
from ampproxy.listen.inherited import Inherited, is_systemds
from ampproxy.listen.parked import ParkedPort
from ampproxy.listen.sockets import (
    AnyPort,
    SharedPort,
    SocketReactor,
    TlsSwitchFactory,
    every_interface,
)
from ampproxy.model.base import Value
from ampproxy.wire.late import LatePattern

#: Where an endpoint string says which mode a socket's file is to have.
_MODE = LatePattern(r"(?<!\\):mode=")


#: What the listener for Amp's cloud is opened for, before its port and address.
_CLOUD = "neo:"


class Opened(Value, frozen=True):
    """A port, and what it was opened for.

    :param key: an endpoint string, a configured address, or ``systemd:index=0``.
    :param slot: whose it is of several sockets on one address; ``None``: it is the only one.
    """

    key: str
    port: AnyPort
    slot: int | None = None


class Secured(Value, frozen=True):
    """The certificate of a listener, as it is to be.

    :param context: the TLS context of new connections, if there is another one now.
    :param other: whether there is another one, or none any more.
    """

    tls: Tls | None
    context: Any = None
    other: bool = False

    @classmethod
    def after(cls, before: Tls | None, tls: Tls | None, place: str) -> Secured:
        """
        :raises ConfigError: the files cannot be used.
        """
        other = tls != before
        return cls(tls, tls_options(tls, place) if tls is not None and other else None, other)


class Move(Value, frozen=True):
    """What a configuration wants of the ports, with the new ones open already: nothing of it can fail any
    more.

    :param tls: what new connections begin with; ``cloud``: those to the listener for Amp's cloud.
    """

    kept: list[Opened]
    fresh: list[Opened]
    left: list[Opened]
    tls: Secured
    cloud: Secured

    @property
    def fresh_sockets(self) -> dict[str, list[socket]]:
        """The sockets that are new, by what they were opened for; not systemd's."""
        return _by_key(self.fresh)


class Listeners:
    """Where the service listens.

    Endpoint strings stay what they were at the start. So do systemd's sockets; without endpoint strings
    they are what is listened on. Else it is the configured address, which may change. The listener for Amp's
    cloud (``neo.listen``) comes beside any of them.

    :param site: gets the connections.
    :param strings: Twisted's server endpoint strings; they replace the configured address and its TLS.
    :param inherited: sockets that are there already.
    :param opened: hears of each of the reactor's ports that is opened, with what says whether it may accept.
    :param lifecycle: the service's: says whether anybody is accepted, and whether it listens at all.
    :param parked: for how many workers the sockets are; 0: for this process, which then accepts on them.
    :ivar strings: the endpoint strings.
    :ivar moved: called when it pauses and when it accepts again.
    :param borrowed: the sockets are another process's, which logs where they listen and removes their files.
    :param wall: seconds since the epoch.
    """

    def __init__(
        self,
        site: IProtocolFactory,
        reactor: Any,
        strings: Iterable[str],
        inherited: Inherited,
        log: Logger,
        opened: Callable[[Any, Callable[[], bool]], None] = lambda port, may_accept: None,
        lifecycle: Lifecycle | None = None,
        *,
        parked: int = 0,
        borrowed: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._parked = parked
        self._note = log.debug if borrowed else log.info
        self._borrowed = borrowed
        self._wall = wall
        self._slots: frozenset[int] | None = None
        self._added: list[str] = []
        self.moved: Callable[[], None] = lambda: None
        self._reactor = reactor
        self.strings = tuple(strings)
        self._inherited = inherited
        self._log = log
        self._opened = opened
        self._site = site
        self._front = TlsSwitchFactory(site, reactor)
        self._cloud_front = TlsSwitchFactory(CloudEntrance(site), reactor)
        self._tls: Tls | None = None
        self._cloud_tls: Tls | None = None
        self._open: list[Opened] = []
        self._lifecycle = lifecycle or Lifecycle()

    @property
    def ports(self) -> list[IListeningPort]:
        """All of them."""
        return [opened.port for opened in self._open]

    @property
    def addresses(self) -> list[IListeningPort]:
        """One for each address, however many sockets there are."""
        return [opened.port for opened in self._open if not opened.slot]

    @property
    def given(self) -> str:
        """Who says where to listen, if it is not the configuration."""
        if self.strings:
            return "--listen"
        return "systemd" if self._inherited.activated else ""

    def prepare(self, config: Config) -> Move:
        """Open what a configuration wants and is not open yet.

        :raises ConfigError: an endpoint string is not one, the TLS files cannot be used, or a port can be
            reached from elsewhere while there are no client keys. Nothing has changed then.
        :raises CannotListenError: an address is taken. Likewise.
        """
        if self._lifecycle.ending:
            return Move([], [], [], Secured(self._tls), Secured(self._cloud_tls))
        tls = Secured.after(self._tls, None if self.strings else config.tls, config.place("tls"))
        cloud = config.tls if config.neo is not None and config.neo.tls else None
        cloud_tls = Secured.after(self._cloud_tls, cloud, config.place("tls"))
        before, kept, fresh = list(self._open), [], []
        try:
            for key, open_it in self._wanted(config):
                known = [opened for opened in before if opened.key == key]
                if known:
                    known = known if known[0].slot is not None else known[:1]
                    before = [opened for opened in before if opened not in known]
                    kept += known
                else:
                    fresh += self._opened_anew(key, open_it)
            _check_reach([*kept, *fresh], config)
        except BaseException:
            self._close(fresh)
            raise
        return Move(kept, fresh, before, tls, cloud_tls)

    def _opened_anew(self, key: str, open_it: Callable[[], AnyPort]) -> list[Opened]:
        """The port of an address; as many as there are sockets that the process before had there."""
        count = 1 if self._parked else max(1, self._inherited.count(key))
        return [Opened(key, open_it(), slot if count > 1 else None) for slot in range(count)]

    def commit(self, move: Move) -> None:
        """Listen as prepared, and no longer where that is not wanted."""
        if move.tls.other:
            self._tls = move.tls.tls
            self._front.use(move.tls.context)
        if move.cloud.other:
            self._cloud_tls = move.cloud.tls
            self._cloud_front.use(move.cloud.context)
        if self._lifecycle.ending:
            return
        if move.tls.context is not None and not self._borrowed:
            self._log_certificate(move.tls.tls)
        self._open = [*move.kept, *move.fresh]
        for opened in move.fresh:
            if not opened.slot:
                self._note("Listening on {address}", address=describe(opened.port))
            self._opened(opened.port.acceptor, partial(self._accepts, opened))
            if not self._accepts(opened):
                opened.port.pause()
        for opened in move.left:
            if not opened.slot:
                self._note("No longer listening on {address}", address=describe(opened.port))
            self._leave(opened.port).addErrback(self._failed)

    def _log_certificate(self, tls: Tls | None) -> None:
        trouble = "" if tls is None else certificate_trouble(tls, self._wall())
        if trouble:
            self._log.warn(
                "tls.cert: {trouble}. To do: renew it; the new file is read without a restart",
                trouble=trouble,
            )

    def cancel(self, move: Move) -> None:
        """Undo what was prepared."""
        self._close(move.fresh)

    def _close(self, ports: Iterable[Opened]) -> None:
        for opened in ports:
            opened.port.stopListening().addErrback(self._failed)

    def handed(self) -> tuple[dict[str, list[socket]], list[socket], list[str]]:
        """What another process needs to listen here: the sockets by what they were opened for; systemd's
        sockets, and their names.
        """
        return _by_key(self._open), self._inherited.activated, self._inherited.names

    def pause(self) -> None:
        """Accept nobody, and listen on: who connects waits, here or for another process with the same
        sockets.
        """
        self._lifecycle.to(Phase.YIELDING)
        for opened in self._open:
            opened.port.pause()
        self.moved()

    def resume(self) -> None:
        """Accept from now on."""
        self._lifecycle.to(Phase.SERVING)
        self._settle()
        self._inherited.close()
        self.moved()

    def add(self, kept: dict[str, list[socket]]) -> None:
        """Sockets that listen on addresses of a configuration to come."""
        self._added = list(kept)
        for key, sockets in kept.items():
            self._inherited.kept.setdefault(key, []).extend(sockets)

    def drop_added(self) -> None:
        """Close those: that configuration does not come."""
        for key in self._added:
            for sock in self._inherited.take_all(key):
                sock.close()

    def accept(self, slots: Iterable[int]) -> None:
        """Of several sockets on one address, accept only on these; if there are none, on no other either."""
        self._slots = frozenset(slots)
        self._settle()

    def _settle(self) -> None:
        for opened in self._open:
            if self._accepts(opened):
                opened.port.resume()
            else:
                opened.port.pause()

    def _accepts(self, opened: Opened) -> bool:
        if self._lifecycle.paused:
            return False
        slots = self._slots
        return slots is None or (bool(slots) if opened.slot is None else opened.slot in slots)

    def release(self, *, is_last: bool = False) -> None:
        """Close the sockets here and leave them to another process; later configurations change nothing of
        it.

        :param is_last: there is no other one: what has connected is served here.
        """
        self._lifecycle.leave()
        ports, self._open = self._open, []
        for opened in ports:
            closing = opened.port.stopListening() if is_last else opened.port.release()
            closing.addErrback(self._failed)

    def close(self) -> Deferred[Any]:
        """Listen no longer, whatever later configurations say; fires when all are closed."""
        if not self._lifecycle.ending:
            self._lifecycle.to(Phase.DRAINING)
        ports, self._open = self._open, []
        return DeferredList([maybeDeferred(opened.port.stopListening) for opened in ports])

    def _leave(self, port: AnyPort) -> Deferred[None]:
        host = port.getHost()
        number = host.port if isinstance(host, (IPv4Address, IPv6Address)) else 0
        return port.yield_to() if number and self._on_port(number) else port.stopListening()

    def _wanted(self, config: Config) -> list[tuple[str, Callable[[], AnyPort]]]:
        neo = config.neo
        if neo is None or neo.host is None or neo.port is None:
            return self._wanted_here(config)
        host, port = _address_of(neo.host), neo.port
        cloud = f"{_CLOUD}{port}:{host}"
        return [
            *self._wanted_here(config),
            (cloud, lambda: self._bound(cloud, host, port, self._cloud_front)),
        ]

    def _wanted_here(self, config: Config) -> list[tuple[str, Callable[[], AnyPort]]]:
        if self.strings:
            return [(text, lambda text=text: self._of_string(text)) for text in self.strings]  # type: ignore[misc]
        if self._inherited.activated:
            count = len(self._inherited.activated)
            return [
                (f"systemd:index={index}", lambda index=index: self._activated(index))  # type: ignore[misc]
                for index in range(count)
            ]
        host, port = _address_of(config.host), config.port
        key = f"tcp:{port}:{host}"
        return [(key, lambda: self._bound(key, host, port, self._front))]

    def _of_string(self, text: str) -> AnyPort:
        if is_systemds(text):
            return self._on(self._inherited.take(text) or self._inherited.named(text), self._site)
        # Twisted's own default lets everybody on the machine in.
        mode = None if _MODE.search(text) else 0o600
        opener = SocketReactor(self._reactor, self._given(text), mode=mode, parked=self._parked)
        opener.borrowed = self._borrowed
        # Not at the top: most services listen where the configuration has it.
        from twisted.internet.endpoints import serverFromString

        try:
            endpoint: IStreamServerEndpoint = serverFromString(opener, text)
        except (ValueError, TypeError, OSError) as error:
            hint = "expected for example tcp:8317:interface=127.0.0.1"
            raise ConfigError((f"--listen {text}: {error}; {hint}",)) from None
        port = _at_once(endpoint.listen(self._site))
        if not isinstance(port, AnyPort):
            raise ConfigError((f"--listen {text}: this kind of endpoint cannot be listened on",))
        return port

    def _given(self, key: str) -> list[socket]:
        """What the process before has there: all of it for workers, else the next."""
        if self._parked:
            return self._inherited.take_all(key)
        found = self._inherited.take(key)
        return [] if found is None else [found]

    def _on(self, sock: socket, front: IProtocolFactory) -> AnyPort:
        return ParkedPort([sock]) if self._parked else SharedPort(self._reactor, sock, front)

    def _activated(self, index: int) -> AnyPort:
        return self._on(self._inherited.activated[index].dup(), self._front)

    def _bound(self, key: str, host: str, port: int, front: TlsSwitchFactory) -> AnyPort:
        rivals = self._on_port(port) if port else ()
        opener = SocketReactor(self._reactor, self._given(key), rivals, parked=self._parked)
        return opener.listenTCP(port, front, interface=host or every_interface())

    def _on_port(self, port: int) -> list[Any]:
        found = []
        for opened in self._open:
            host = opened.port.getHost()
            if isinstance(host, (IPv4Address, IPv6Address)) and host.port == port:
                found += opened.port.sockets
        return found

    def _failed(self, failure: Any) -> None:
        self._log.failure("Closing a port failed", failure)


def _by_key(ports: Iterable[Opened]) -> dict[str, list[socket]]:
    found: dict[str, list[socket]] = {}
    for opened in ports:
        if not is_systemds(opened.key):
            found.setdefault(opened.key, []).extend(opened.port.sockets)
    return found


def _address_of(host: str) -> str:
    """What to bind to: a port on ``localhost`` is not to depend on what that name is on this machine."""
    return "127.0.0.1" if host == "localhost" else host


def _check_reach(opened: Iterable[Opened], config: Config) -> None:
    for each in opened:
        if each.key.startswith(_CLOUD):
            continue  # nobody is served there without its key
        if is_reachable_from_elsewhere(each.port) and not config.clients:
            place, where = config.place("api-keys"), describe(each.port)
            raise ConfigError(
                (
                    f"{place}: {where} can be reached from other machines, and there are none: set api-keys,"
                    " or listen on 127.0.0.1.",
                )
            )


def _at_once(listening: Deferred[Any]) -> Any:
    """What a Deferred has: nothing has to be waited for to listen."""
    got: list[Any] = []
    listening.addBoth(got.append)
    if not got:
        return None
    if hasattr(got[0], "raiseException"):
        got[0].raiseException()
    return got[0]


def setting_of(error: CannotListenError, config: Config) -> str:
    """Which setting an address stands in that cannot be had."""
    neo = config.neo
    if neo is not None and neo.port and neo.port == error.port:
        return "neo"
    why = error.socketError
    # Of an endpoint of another kind it may be a text.
    number = getattr(why, "errno", None)
    return "host" if isinstance(why, gaierror) or number in (EADDRNOTAVAIL, EINVAL) else "port"


class CloudEntrance(Factory):
    """The factory of connections to the listener for Amp's cloud, where nothing but its paths exists.

    :param site: serves them, as it does all others.
    """

    noisy = False

    def __init__(self, site: IProtocolFactory) -> None:
        self._site = site

    def buildProtocol(self, addr: Any) -> Any:
        """One more client, or one too many."""
        channel: Any = self._site.buildProtocol(addr)
        channel.by_cloud = True
        return channel
