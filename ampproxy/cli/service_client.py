"""How a command asks the service that is running: on this machine, at its address, with a client key."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from ampproxy.cli.configured import below, where
from ampproxy.config.load import read_file
from ampproxy.config.schema import Config
from ampproxy.desktop.clients.gateway import COMMANDS_KEY, STATE, runs_by_another
from ampproxy.desktop.clients.owners import distrust, trusted_uids
from ampproxy.desktop.clients.running import HELP
from ampproxy.errors import ConfigError
from ampproxy.model.clients import ADMIN, MODELS, keys_for
from ampproxy.status import Status
from ampproxy.wire.redact import LOOKED_AT, Unseen, printable

#: Seconds for one answer.
_TIMEOUT = 10.0
#: Seconds for connecting and agreeing on TLS.
_HANDSHAKE = 2.0
#: So many of the configured keys are tried: a service that has not read the file yet knows an older one.
_KEYS = 5

#: Seconds in which a service that is not there, or does not know our key, may have read the file by itself.
INSISTING = 4.0
_PAUSE = 0.2

#: What OpenSSL calls an answer that is not TLS.
_NO_TLS = "WRONG_VERSION_NUMBER"

_NOT_IN_FORCE = (
    ", although the file sets it: the service may have rejected the file (see its log)."
    " --at http://HOST:PORT asks it without TLS."
)
#: The largest answer that is read. Bytes.
_MAX_ANSWER_BYTES = 64 * 1024 * 1024

_Answered = TypeVar("_Answered")

#: ``--at ADDRESS``, as the parameter ``at``.
at_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--at",
    default="",
    metavar="ADDRESS",
    help="Where the service listens, if not at the address of the file: HOST:PORT, http://HOST:PORT (without"
    " TLS) or the path of a Unix socket. The socket's owner is then not checked.",
)


class NotAnswered(Exception):
    """The service did not answer as it should; the message says why, for people."""


class NotReachable(NotAnswered):
    """Nobody answers there: it does not run, or not yet."""


class NotRunning(click.ClickException):
    """What a command needs the service for, which does not run. Exit status 3."""

    exit_code = 3


class NotSecure(NotReachable):
    """The file says that there is TLS, and there is none, or its certificate cannot be read."""


def not_running(
    error: NotAnswered, text: str, suggestion: str = "To start it: ampproxy serve"
) -> click.ClickException:
    """What a command ends with that needs the service: where something answers, if without TLS, it runs.

    :param text: what is printed.
    :param suggestion: what is printed after it.
    """
    if isinstance(error, NotSecure) or not isinstance(error, NotReachable):
        return click.ClickException(text)
    return NotRunning(f"{text} {suggestion}".rstrip())


class NotTrusted(NotAnswered):
    """Whoever listens there may be anybody; nothing was sent."""


class NoKey(NotAnswered):
    """It takes a client key, and none is to be had here; nothing was sent."""


class OtherConfiguration(NotAnswered):
    """The service that answers runs by another file."""


class NotAllowed(NotAnswered):
    """It does not know the client keys of the file: it has not read them yet, or is another service."""


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What it answered."""

    status: int
    body: bytes

    def read(self, type: type[Any]) -> Any:
        """The body as a value of that type.

        :raises NotAnswered: it is none.
        """
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotAnswered(
                f"what it answered (status {self.status}) is not understood: does another program or version"
                " run there?"
            ) from None


class ServiceClient:
    """Asks the service that a configuration describes.

    A key goes only to a socket whose owner may be the service, to who has its certificate's key, or where
    the user says.

    :param at: see :data:`at_option`.
    """

    def __init__(self, config: Config, at: str = "") -> None:
        self._config = config
        self._tls = None if at.startswith("http://") else config.tls
        self._trusted = None if at else trusted_uids(config)
        self._at_given = bool(at)
        self._host, self._port, self._path = where(config, at)
        self.where = self._path or f"{self._host}:{self._port}"

    def ask(self, path: str, method: str = "GET") -> ServiceAnswer:
        """One question.

        :raises NotReachable: nobody answers.
        :raises NotAllowed: none of the file's client keys is one of the service's.
        """
        for key in self._keys():
            answer = self._send(path, method, key)
            if answer.status != 401:
                return answer
        raise NotAllowed(
            f"{self.where} knows none of the api-keys of the file (status 401): does another program or"
            " version run there?"
        )

    def state(self) -> Status:
        """How the service is.

        :raises NotReachable: nobody answers.
        :raises NotAllowed: it does not tell, for none of the file's client keys is one of its.
        """
        for key in self._keys():
            status: Status = self._send(STATE, "GET", key).read(Status)
            if status.pid:
                return status
        raise NotAllowed(f"{self.where} gives no details: it accepts none of the api-keys in the file.")

    def mine(self) -> Status:
        """How the service is, if it runs by this configuration's file. Where the user says where it listens,
        that one is meant.

        :raises OtherConfiguration: it runs by another one.
        :raises NotAnswered: as :meth:`state` does.
        """
        status = self.state()
        if not self._at_given and runs_by_another(self._config.source, status):
            raise OtherConfiguration(
                f"the service at {self.where} runs by another configuration, {printable(status.config)}."
            )
        return status

    def reported(self, path: str, kind: type[Any], method: str = "GET", *, missing: str = "") -> Any:
        """What the service of this configuration answers, as a value of that type.

        :param missing: why it may not know the path; empty: it gives the reason itself.
        :raises NotAnswered: it was not to be reached, is not ours, or refuses.
        """
        self.mine()
        answer = self.ask(path, method)
        if answer.status == 404 and missing:
            raise NotAnswered(f"{self.where} {missing}")
        if answer.status != 200:
            raise NotAnswered(f"{self.where} answered with status {answer.status}: {_reason(answer.body)}")
        return answer.read(kind)

    @contextmanager
    def stream(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request for a model, and give the answer while it comes.

        :param timeout: seconds without a byte.
        :raises NotAnswered: it cannot be sent.
        """
        key = self._keys(MODELS)[0]
        connection = self._connection()
        sent = {"Host": "localhost", **headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        try:
            connection.connect()
            self._check_owner(connection)
            connection.sock.settimeout(timeout)
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._no_answer(error) from None
        try:
            yield answer
        finally:
            connection.close()

    def _no_answer(self, error: Exception) -> NotReachable:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return NotReachable(f"no answer at {self.where} ({words}).")

    def _keys(self, route: str = ADMIN) -> list[str]:
        keys = keys_for(self._config.clients, route)
        own = os.environ.get(COMMANDS_KEY, "").strip()
        known = [own] * bool(own) + [key.reveal() for key in keys if not isinstance(key, Unseen)]
        if self._config.clients and not known:
            self._knock()
            missing = below(self._config, "api-keys", "access") or keys
            if not missing:
                raise NoKey(
                    f"that takes a client key that opens {route}, and those of the file are stored as hashes:"
                    f" set {COMMANDS_KEY} to one."
                )
            raise NoKey(
                f"that takes a client key, such as {missing[0]}, which is not to be had here: {HELP}."
            )
        return known[:_KEYS] or [""]

    def _send(self, path: str, method: str, key: str) -> ServiceAnswer:
        headers = {"Host": "localhost"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return self._exchange(self._connection(), method, path, headers)

    def _connection(self) -> http.client.HTTPConnection:
        if not self._path and not self._port:
            raise NotReachable("with port: 0 the service has no address of its own.")
        # Never without TLS where the file has it: who answers in plain may be anybody.
        return self._secure() if self._tls is not None and not self._path else self._plain()

    def _knock(self) -> None:
        """See that somebody listens there, to whom nothing can be sent.

        :raises NotReachable: nobody does.
        """
        if not self._path and not self._port:
            return
        connection = self._connection()
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLError):
                return
            raise self._no_answer(error) from None
        finally:
            connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]
    ) -> ServiceAnswer:
        try:
            connection.connect()
            self._check_owner(connection)
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return ServiceAnswer(answer.status, answer.read(_MAX_ANSWER_BYTES))
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "reason", "") == _NO_TLS:
                raise NotSecure(f"no TLS at {self.where}{_NOT_IN_FORCE}") from None
            raise self._no_answer(error) from None
        finally:
            connection.close()

    def _check_owner(self, connection: http.client.HTTPConnection) -> None:
        """See that whoever listens may be the service; its certificate shows that as well.

        :raises NotTrusted: it may be anybody.
        """
        if self._path or self._trusted is None or isinstance(connection, _TlsConnection):
            return
        host, port = connection.sock.getpeername()[:2]
        why = distrust(host, port, self._trusted)
        if why:
            raise NotTrusted(
                f"{why}: no client key is sent there. If that is the service, confirm with --at {self.where}."
            )

    def _plain(self) -> http.client.HTTPConnection:
        if self._path:
            return _UnixConnection(self._path)
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)

    def _secure(self) -> http.client.HTTPConnection:
        tls = self._tls
        assert tls is not None
        # Exactly this service's certificate is trusted; its name is not that of the loopback address.
        try:
            # With nothing given, the system's authorities would be trusted.
            context = ssl.create_default_context(
                cadata=read_file(tls.cert).decode("ascii", "ignore") or "nothing"
            )
        except (OSError, ValueError) as error:
            raise NotSecure(
                f"{self._config.place('tls')}: {tls.cert} cannot be used, so the service cannot be trusted"
                f" to be itself ({getattr(error, 'strerror', None) or error})."
            ) from None
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return _TlsConnection(self._host, self._port, timeout=_TIMEOUT, context=context)


def _reason(body: bytes) -> str:
    try:
        return printable(str(msgspec.json.decode(body)["error"])[:LOOKED_AT])
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError):
        return "does another program or version run there?"


def retry(question: Callable[[], _Answered], pause: Callable[[float], None]) -> _Answered:
    """Ask again for a while. An edit of the file may have changed where the service listens, and which keys
    it knows: it notices that by itself, a little later.

    :param pause: waits for so many seconds.
    :raises NotAnswered: it was not to be reached all that time.
    """
    left = INSISTING
    while True:
        try:
            return question()
        except (NotReachable, NotAllowed):
            left -= _PAUSE
            if left < 0:
                raise
            pause(_PAUSE)


class _TlsConnection(http.client.HTTPSConnection):
    """HTTPS; raises ``NotSecure`` where nobody speaks TLS."""

    def connect(self) -> None:
        """Connect. A server without TLS waits for more of what it takes for a request: so do we not."""
        within, self.timeout = self.timeout, _HANDSHAKE
        try:
            super().connect()
        except TimeoutError:
            raise NotSecure(f"no TLS at {self.host}:{self.port}{_NOT_IN_FORCE}") from None
        self.sock.settimeout(within)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._socket_path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def complain(error: ConfigError) -> None:
    """Say what is wrong with a file."""
    for complaint in error.complaints:
        click.echo(complaint, err=True)
