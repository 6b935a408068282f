"""What every stand-in of a vendor shares: routes, credentials, refusals, scripts. No I/O.

A vendor takes a :class:`Recorded` request and gives a :class:`Reply`; :mod:`ampproxy.testing.stand_in`
puts it on a socket.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ampproxy.testing.schema import Check, Mismatch
from ampproxy.testing.script import Answer, Asked, Script, answer, from_model_name

#: Headers that carry a credential at one vendor or another.
CREDENTIAL_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class VendorError(Exception):
    """The vendor refuses. ``kind`` and ``code`` are its own words, else they follow from the status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        details: Sequence[Any] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.details = list(details)


@dataclass(slots=True)
class Recorded:
    """A request as it arrived, and what became of it.

    :param path: percent-decoded, without the query.
    :param headers: lower-case names; repeated ones joined by a comma.
    :param body: empty if it is larger than what is kept; ``size`` and ``sha256`` are always the whole's.
    :param key: the credential it was let in with.
    :param model: the model it asked for, once that is known.
    :param sent: bytes of the answer's body handed to the transport.
    :param finished: the answer was sent whole.
    :param cut: the connection was closed by the stand-in, because a script asked for it or at its own end.
    :param closed_by_client: the client closed the connection before that, at ``closed_at``.
    """

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes = b""
    size: int = 0
    sha256: str = ""
    received_at: float = 0.0
    header_list: list[tuple[str, str]] = field(default_factory=list)
    key: str = ""
    model: str = ""
    status: int = 0
    sent: int = 0
    finished: bool = False
    cut: bool = False
    closed_by_client: bool = False
    closed_at: float | None = None

    @property
    def path(self) -> str:
        """The percent-decoded path."""
        return unquote(urlsplit(self.uri).path)

    @property
    def query(self) -> dict[str, str]:
        """The query's members; of a repeated one the last."""
        return dict(parse_qsl(urlsplit(self.uri).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body as JSON.

        :raises ValueError: it is none.
        """
        return json.loads(self.body)

    def bearer(self) -> str | None:
        """The token of ``Authorization: Bearer``; the whole value under another scheme."""
        value = self.headers.get("authorization")
        return value if value is None else re.sub(r"(?i)^bearer +", "", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. Either ``body``, or ``events`` to be sent one by one (then it has no length).

    :param broken: the dialect's in-stream error, for a script that asks for one.
    :param terminal: how many of the last events tell the end; a tidy end without it leaves them out.
    """

    status: int = 200
    body: bytes = b""
    events: Iterable[bytes] | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    broken: bytes = b""
    terminal: int = 1
    script: Script = field(default_factory=Script)


def dump(value: Any) -> bytes:
    """JSON as the vendors write it: compact, UTF-8, U+2028 and the like unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Scripts:
    """The scripts that tests hand in: one request each, for all keys or for one."""

    def __init__(self) -> None:
        self._queues: dict[str | None, deque[Script]] = {}
        self.always: Script | None = None

    def add(self, scripts: Iterable[Script], key: str | None = None) -> None:
        """Append scripts; those of a key are used before those of all."""
        self._queues.setdefault(key, deque()).extend(scripts)

    def take(self, model: str, key: str) -> Script:
        """The script of the request that is being answered."""
        for queue in (self._queues.get(key), self._queues.get(None)):
            if queue:
                return queue.popleft()
        try:
            return from_model_name(model) or self.always or Script()
        except ValueError as error:
            raise VendorError(404, str(error)) from None


#: An opaque value comes back in either alphabet.
_STANDARD = str.maketrans("-_", "+/")


class Seal:
    """Issues opaque values and knows its own again: an HMAC under a key that dies with the instance.

    :param others: the two characters of its base64 that differ between the alphabets.
    """

    def __init__(self, prefix: str = "", others: bytes = b"-_") -> None:
        self._key = secrets.token_bytes(32)
        self._prefix = prefix
        self._others = others

    def issue(self, about: str) -> str:
        """An opaque value that only holds together with ``about``."""
        nonce = secrets.token_bytes(8)
        mac = hmac.new(self._key, nonce + about.encode(), hashlib.sha256).digest()
        return self._prefix + base64.b64encode(b"\x12" + nonce + mac + b"\x00", self._others).decode()

    def knows(self, value: object, about: str) -> bool:
        """Whether this instance issued ``value`` for ``about``."""
        if not isinstance(value, str) or not value.startswith(self._prefix):
            return False
        try:
            raw = base64.b64decode(value[len(self._prefix) :].translate(_STANDARD))
        except ValueError:
            return False
        mac = hmac.new(self._key, raw[1:9] + about.encode(), hashlib.sha256).digest()
        return len(raw) == 42 and hmac.compare_digest(raw[9:41], mac)


#: What a vendor says when a script asks for a status and no words.
MESSAGES = {
    400: "The request is not valid.",
    401: "Invalid authentication.",
    402: "You are out of credits.",
    403: "Permission denied.",
    404: "Not found.",
    413: "The request is too large.",
    429: "Rate limit reached. Please try again later.",
    500: "Internal server error.",
    503: "The model is overloaded. Please try again later.",
    529: "Overloaded",
}

Answering = Callable[[Any, Recorded, dict[str, str]], Reply]


class Vendor:
    """A vendor's API. A subclass declares its routes, its credential, and its words of refusal.

    :param scripts: what tests ask for.
    :param keys: the API keys it accepts.
    :ivar scheme: of the address at which it is reached.
    """

    name: ClassVar[str] = "vendor"
    #: (method, pattern of the whole path, what answers); named groups become its last argument.
    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = ()
    scheme = "http"

    def __init__(self, scripts: Scripts, keys: Iterable[str] = ()) -> None:
        self.scripts = scripts
        self.keys = tuple(keys)
        self._count = 0
        self._compiled = [(method, re.compile(pattern), answers) for method, pattern, answers in self.routes]

    def authenticate(self, request: Recorded) -> str:
        """The key that lets the request in.

        :raises VendorError: there is none, a wrong one, or another credential beside it.
        """
        raise NotImplementedError

    def refusal(self, error: VendorError) -> Reply:
        """The error in the vendor's own form."""
        raise NotImplementedError

    def mismatch(self, problem: Mismatch) -> VendorError:
        """What the vendor says of a request that is not as declared."""
        raise NotImplementedError

    def dispatch(self, request: Recorded) -> Reply:
        """Answer by the first route that fits; the credential has been looked at.

        :raises VendorError: no route, or a refusal.
        """
        path = request.path
        for method, pattern, answers in self._compiled:
            found = pattern.fullmatch(path)
            if found and (request.method == method or (request.method, method) == ("HEAD", "GET")):
                return answers(self, request, {k: v for k, v in found.groupdict().items() if v is not None})
        raise VendorError(404, f"Unknown request URL: {request.method} {path}.", code="unknown_url")

    def respond(self, request: Recorded) -> Reply:
        """Answer a request, whatever it is."""
        try:
            request.key = self.authenticate(request)
            return self.dispatch(request)
        except Mismatch as problem:
            return self.refusal(self.mismatch(problem))
        except VendorError as error:
            return self.refusal(error)

    def body(self, request: Recorded, table: Check) -> dict[str, Any]:
        """The JSON body, which the table declares whole.

        :raises VendorError: it is no JSON object, or the content type says something else.
        :raises Mismatch: it is not as declared.
        """
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise VendorError(400, "Content-Type must be application/json.")
        try:
            value = json.loads(request.body.decode(), parse_constant=_no_constant)
        except ValueError as error:
            raise VendorError(400, f"We could not parse the JSON body of your request: {error}") from None
        if not isinstance(value, dict):
            raise VendorError(400, "The JSON body of your request must be an object.")
        table(value, ())
        return value

    def plan(self, request: Recorded, asked: Asked) -> tuple[Answer, Script]:
        """What to answer and how.

        :raises VendorError: the script asks for an error status.
        """
        request.model = asked.model
        script = self.scripts.take(asked.model, request.key)
        if script.status is not None and script.status >= 400:
            raise VendorError(
                script.status,
                script.message or MESSAGES.get(script.status, "Something went wrong."),
                retry_after=script.retry_after,
            )
        return answer(asked, script), script

    def new_id(self, prefix: str, length: int = 24) -> str:
        """An id of the vendor's form, unique in this instance."""
        self._count += 1
        return f"{prefix}{self._count:0{length}d}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def only_credential(request: Recorded, *allowed: str) -> str | None:
    """The name of a credential header beyond those allowed, if the request has one: it leaked."""
    strangers = [name for name in (*CREDENTIAL_HEADERS, "cookie") if name not in allowed]
    return next((name for name in strangers if name in request.headers), None)


def sse(name: str | None, value: Any) -> bytes:
    """One event, with or without its ``event:`` line."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + dump(value) + b"\n\n"


def fragments(text: str, size: int = 12) -> list[str]:
    """A text cut for deltas; at least one, perhaps empty."""
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]
