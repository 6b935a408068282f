"""The gateway as a client meets it: whether it answers, whether it is ours, and whether it takes a key."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from ampproxy.desktop.clients.owners import distrust
from ampproxy.status import Status
from ampproxy.wire.redact import Secret, Unseen

#: What is there: nothing; something that takes connections and does not speak HTTP (or whose certificate
#: is not trusted); another user's socket; another program; ours, which refuses the key; ours, which was asked
#: with none, for it is not to be had here; ours, which takes it.
State = Literal["down", "mute", "untrusted", "stranger", "foreign", "refused", "unasked", "ready"]

#: A client key for the commands, where the configuration holds hashes alone.
COMMANDS_KEY = "AMPPROXY_API_KEY"
#: Where a running service tells how it is.
STATE = "/readyz"
#: Seconds for each answer.
_TIMEOUT = 20.0
_HEALTHY = b'{"status":"ok"}'
_MAX_ANSWER_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found at an address.

    :param why: the system's or the server's words, for people; holds no secret.
    :param names: of the models that it lists for this key.
    :param details: what it reports of itself to its owner.
    """

    state: State
    why: str = ""
    names: tuple[str, ...] = ()
    details: Status | None = None

    @property
    def models(self) -> int:
        """How many it lists."""
        return len(self.names)


class _Entry(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Entry]


class _Stranger(Exception):
    """The socket is somebody else's."""


def look(
    url: str,
    key: Secret | None,
    certificate: Path | None = None,
    trusted: Collection[int] | None = None,
) -> Seen:
    """Ask a gateway as a client does, with a key: is it up, is it ours, which models are there for me?

    :param url: ``http://`` or ``https://``, without a path.
    :param certificate: a PEM file that is trusted instead of the system's authorities, for any name.
    :param trusted: the users who may be it: without TLS, no one else is sent the key. ``None``: anybody.
    """
    try:
        status, body = _get(url, "/healthz", None, certificate)
        if status != 200 or body.strip() != _HEALTHY:
            return Seen("foreign", f"/healthz is answered with {status}")
        # Other gateways have a /healthz like ours; what ours tells here is its own.
        if _status(_get(url, STATE, None, certificate)) is None:
            return Seen("foreign", "it is another gateway")
        if isinstance(key, Unseen):
            return Seen("unasked", str(key))
        status, body = _get(url, "/v1/models", key, certificate, trusted)
        details = _status(_get(url, STATE, key, certificate, trusted)) if status == 200 else None
    except _Stranger as error:
        return Seen("stranger", str(error))
    except ssl.SSLCertVerificationError as error:
        return Seen("untrusted", error.verify_message)
    except (ConnectionRefusedError, socket.gaierror, TimeoutError) as error:
        return Seen("down", error.strerror or "no answer in time")
    except ssl.SSLError as error:
        return Seen("mute", f"no TLS: {error.reason or 'handshake failed'}")
    except (OSError, http.client.HTTPException) as error:
        return Seen("mute", getattr(error, "strerror", None) or type(error).__name__)
    if status != 200:
        return Seen("refused", f"/v1/models is answered with {status}")
    try:
        listed = msgspec.json.decode(body, type=_Models).data
        return Seen("ready", names=tuple(entry.id for entry in listed), details=details)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen("foreign", "its list does not contain models")


def _status(answer: tuple[int, bytes]) -> Status | None:
    """What a service tells of itself; ``None``: it is none of ours."""
    try:
        return msgspec.json.decode(answer[1], type=Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def runs_by_another(source: Path | None, status: Status) -> bool:
    """Whether a service runs by another file than this one, as far as it says so."""
    if not status.config or source is None:
        return False
    try:
        return not os.path.samefile(status.config, source)
    except OSError:
        return os.path.realpath(status.config) != os.path.realpath(source)


def _get(
    url: str,
    path: str,
    key: Secret | None,
    certificate: Path | None,
    trusted: Collection[int] | None = None,
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = trusting(certificate)
        connection = http.client.HTTPSConnection(host, parts.port or 443, timeout=_TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port or 80, timeout=_TIMEOUT)
    headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
    try:
        connection.connect()
        if trusted is not None and parts.scheme == "http":
            address, port = connection.sock.getpeername()[:2]
            why = distrust(address, port, trusted)
            if why:
                raise _Stranger(why)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_ANSWER_BYTES)
    finally:
        connection.close()


def trusting(certificate: Path | None) -> ssl.SSLContext:
    """TLS that trusts the system's authorities, or exactly one certificate whatever its name."""
    if certificate is None:
        return ssl.create_default_context()
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def loopback_url(host: str, port: int, tls: bool) -> str:
    """The address of a gateway on this machine, from what it listens on; empty without a fixed port."""
    if not port:
        return ""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]", "localhost": "127.0.0.1"}.get(host, host)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{'https' if tls else 'http'}://{host}:{port}"
