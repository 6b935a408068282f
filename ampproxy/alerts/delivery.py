"""The two ways out of an alert: a webhook, and a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ampproxy.alerts.payload import Payload
from ampproxy.config.fields import is_loopback
from ampproxy.http.bodies import BytesProducer
from ampproxy.model.alerts import Alerts, Argv
from ampproxy.upstream.body import collect
from ampproxy.upstream.failures import explain
from ampproxy.wire.redact import printable

#: So much of what comes back is looked at.
_MAX_ANSWER_BYTES = 64 * 1024
_SHOWN = 200
#: Seconds between the signal that asks a command to end and the one that makes it.
KILL_SECONDS = 2.0
#: What a command gets of the service's environment, which may hold keys of accounts.
ENVIRONMENT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
)  # fmt: skip


class NotDelivered(Exception):
    """An alert did not arrive. The message is a sentence without a full stop, and shows no secret.

    :ivar again: whether another attempt may help.
    """

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


class Target(Protocol):
    """Where alerts go.

    :ivar name: for people.
    """

    name: str

    async def send(self, sent: Payload) -> str:
        """Deliver one alert; gives what came back, for people.

        :raises NotDelivered: it did not arrive.
        """


class Sends(Protocol):
    """What sends requests: :class:`~ampproxy.upstream.client.UpstreamClient`."""

    def send(
        self, method: str, url: str, headers: Headers, body: Any = None, proxy: str | None = None
    ) -> Deferred[Any]:
        """See there."""


def targets(
    settings: Alerts, client: Sends, reactor: Any, environ: Mapping[str, str], proxy: str | None
) -> tuple[Target, ...]:
    """Where alerts go by the configuration.

    :param reactor: has the time, and starts processes.
    :param proxy: ``proxy-url``; a webhook on this machine is not reached through it.
    """
    found: list[Target] = []
    if settings.webhook is not None:
        found.append(Webhook(settings, client, reactor, proxy))
    if settings.command is not None:
        found.append(Command(settings.command, settings.timeout, reactor, environ))
    return tuple(found)


class Webhook:
    """Posts alerts to a URL. A :class:`Target`."""

    def __init__(self, settings: Alerts, client: Sends, clock: IReactorTime, proxy: str | None) -> None:
        assert settings.webhook is not None
        self._url = settings.webhook.reveal()
        self._timeout = settings.timeout
        self._client = client
        self._clock = clock
        parts = urlsplit(self._url)
        self._proxy = None if is_loopback(parts.hostname or "") else proxy
        self._headers = Headers({b"Content-Type": [b"application/json"], b"User-Agent": [b"ampproxy"]})
        for name, value in settings.headers:
            self._headers.setRawHeaders(name.encode(), [value.encode()])
        self.name = f"webhook at {parts.netloc}"

    async def send(self, sent: Payload) -> str:
        try:
            work = Deferred.fromCoroutine(self._post(msgspec.json.encode(sent)))
            status, body = await work.addTimeout(self._timeout, self._clock)
        except CancelledError:
            raise  # nobody waits for it any more
        except TimeoutError:
            raise NotDelivered(f"no answer within {self._timeout:g} s (setting: alerts.timeout)") from None
        except Exception as error:
            raise NotDelivered(explain(error, "its server").error.message.rstrip(".")) from None
        answer = f"status {status}" + (f": {_shown(body)}" if body.strip() else "")
        if not 200 <= status < 300:
            raise NotDelivered(answer, again=status in (408, 429) or status >= 500)
        return answer

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        response = await self._client.send(
            "POST", self._url, self._headers.copy(), BytesProducer(body), self._proxy
        )
        read = await collect(
            response, limit=_MAX_ANSWER_BYTES, clock=self._clock, idle=self._timeout, inflate=True
        )
        return response.code, read


class Command:
    """Runs a program for each alert. A :class:`Target`."""

    def __init__(self, argv: Argv, timeout: float, reactor: Any, environ: Mapping[str, str]) -> None:
        self._argv = argv
        self._timeout = timeout
        self._reactor = reactor
        self._environ = {name: environ[name] for name in ENVIRONMENT if name in environ}
        self.name = f"command {argv.program}"

    async def send(self, sent: Payload) -> str:
        process = AlertProcess(msgspec.json.encode(sent), self._timeout, self._reactor)
        try:
            self._reactor.spawnProcess(
                process, self._argv.program, self._argv.words, env={**self._environ, **_variables(sent)}
            )
        except OSError as error:
            raise NotDelivered(f"cannot be started: {error.strerror}", again=False) from None
        return await process.done


def _variables(sent: Payload) -> dict[str, str]:
    """An alert for a command that does not read JSON."""
    members = ("event", "kind", "subject", "message", "suggestion", "host", "text")
    return {f"AMPPROXY_ALERT_{name.upper()}": getattr(sent, name).replace("\0", "") for name in members}


class AlertProcess(ProcessProtocol):
    """A command that is given one alert.

    :ivar done: fires with what it printed; fails with :class:`NotDelivered`.
    """

    transport: Any

    def __init__(self, body: bytes, timeout: float, clock: IReactorTime) -> None:
        self._body = body
        self._timeout = timeout
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._late = False
        self._output = b""
        self.done: Deferred[str] = Deferred(lambda _: self._signal("KILL"))

    def connectionMade(self) -> None:
        """It runs: give it the alert, and a deadline."""
        self._timer = self._clock.callLater(self._timeout, self._overdue)
        self.transport.write(self._body)
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep the last of what it prints, on either output."""
        self._output = (self._output + data)[-_MAX_ANSWER_BYTES:]

    def _overdue(self) -> None:
        self._late = True
        self._signal("TERM")
        self._timer = self._clock.callLater(KILL_SECONDS, self._kill)

    def _kill(self) -> None:
        """It must end; what it started may keep its outputs open, which are then not waited for."""
        self._timer = None
        self._signal("KILL")
        self.transport.loseConnection()

    def _signal(self, name: str) -> None:
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and its outputs are closed."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self.done.called:
            return
        printed = _shown(self._output)
        more = f": {printed}" if printed else ""
        if self._late:
            why = f"did not end within {self._timeout:g} s (setting: alerts.timeout){more}"
            self.done.errback(NotDelivered(why))
        elif reason.check(ProcessDone) is None:
            self.done.errback(NotDelivered(f"{_end(reason.value)}{more}"))
        else:
            self.done.callback(f"exit status 0{more}")


def _end(error: BaseException | None) -> str:
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"ended by signal {error.signal}"
    return f"exit status {getattr(error, 'exitCode', '?')}"


def _shown(data: bytes) -> str:
    """The end of what came back, in one line."""
    text = printable(" ".join(data.decode("utf-8", "replace").split()))
    return text if len(text) <= _SHOWN else f"...{text[-_SHOWN:]}"
