"""The owner's account at Amp, as far as it concerns connections: the calls that Amp's CLI makes for
``amp config model-providers``, by the HTTP of the standard library.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from ampproxy.amp.connections import CUSTOM_URL, Connection, Listing, Wanted
from ampproxy.wire.redact import Secret, printable

#: Seconds for each answer, and the most bytes of it. A test makes Amp ask us in between.
_TIMEOUT = 90.0
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_SHOWN = 400

_Result = TypeVar("_Result")


class AmpRefused(Exception):
    """Amp did not do it, or did not answer; the message says why, for people, and holds no secret."""


class Post(Protocol):
    """Sends a call of ``/api/internal``."""

    def __call__(self, method: str, params: Mapping[str, Any]) -> bytes:
        """The answer's body.

        :raises AmpRefused: there is none.
        """


class _Error(msgspec.Struct):
    message: str = ""
    code: str = ""


class _Answer(msgspec.Struct):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"{}")
    error: _Error = msgspec.field(default_factory=_Error)


class _Access(msgspec.Struct):
    allowed: bool
    reason: str = ""


class _Made(msgspec.Struct):
    key: Connection


class _Tested(msgspec.Struct):
    success: bool
    message: str = ""
    details: str | None = None


class Inference(msgspec.Struct):
    """What came of a request to a model.

    :param error: what was wrong; ``None``: nothing.
    :param preview: how the answer begins.
    """

    ok: bool
    preview: str = ""
    error: _Error | None = None

    @property
    def why(self) -> str:
        """What was wrong, for people; empty: nothing."""
        if self.ok:
            return ""
        error = self.error or _Error()
        return printable(error.message or error.code)[:_SHOWN] or "it failed"


class _Model(msgspec.Struct):
    id: str
    provider: str = ""
    name: str = ""

    @property
    def asked(self) -> str:
        """As Amp names it in mappings."""
        return self.id if "/" in self.id else f"{self.provider}/{self.name or self.id}"


class _Models(msgspec.Struct):
    models: list[_Model]


class _Done(msgspec.Struct):
    message: str = ""


class AmpAccount:
    """The account.

    :param post: sends a call.
    """

    def __init__(self, post: Post) -> None:
        self._post = post

    def listing(self) -> Listing:
        """The user's connections, and the kinds that the account may have."""
        return self._call("listModelProviderKeys", Listing, target="user")

    def why_not(self) -> str:
        """Why the account may have no connection to a custom URL; empty: it may."""
        found = self._call("checkModelProviderAccess", _Access, operation="add", type=CUSTOM_URL)
        return "" if found.allowed else printable(found.reason or "no reason was given")

    def models(self) -> tuple[str, ...]:
        """The models that Amp has for the account, ``provider/model``."""
        return tuple(model.asked for model in self._call("getAgentModelCatalog", _Models).models)

    def create(self, wanted: Wanted, key: Secret) -> Connection:
        """Make a connection, inactive."""
        return self._call(
            "createModelProviderKey",
            _Made,
            target="user",
            type=CUSTOM_URL,
            name=wanted.name,
            secret=key.reveal(),
            config=wanted.as_config(),
            active=False,
        ).key

    def map_anew(self, there: Connection, wanted: Wanted) -> Connection:
        """Replace a connection's mapping."""
        return self._call(
            "updateModelProviderKey",
            _Made,
            target="user",
            connectionID=there.id,
            configPatch={"modelMapping": wanted.mapping},
        ).key

    def give_key(self, there: Connection, key: Secret) -> None:
        """Replace a connection's key."""
        self._call(
            "setModelProviderKeySecret", _Made, target="user", connectionID=there.id, secret=key.reveal()
        )

    def test(self, there: Connection) -> str:
        """Have Amp try a connection. What is wrong; empty: nothing."""
        found = self._call("testModelProviderKey", _Tested, connectionID=there.id)
        if found.success:
            return ""
        return printable(" ".join(filter(None, (found.message, found.details))))[:_SHOWN] or "it failed"

    def served(self, model: str, thread: str) -> Inference:
        """Have Amp make a short request to a model by its own way (``check-access``); it costs some tokens.

        :param thread: one of the account's own that is not archived.
        """
        return self._call("testModelProviderInference", Inference, thread=thread, model=model)

    def set_active(self, there: Connection, active: bool) -> None:
        """Have Amp use a connection, or not."""
        self._call("setModelProviderKeyActive", _Done, connectionID=there.id, active=active)

    def put_first(self, there: Connection) -> None:
        """Have Amp try a connection before all others."""
        self._call("setModelProviderKeyPriority", _Made, connectionID=there.id, priority=0)

    def delete(self, there: Connection) -> None:
        """Remove a connection."""
        self._call("deleteModelProviderKey", _Done, connectionID=there.id)

    def _call(self, method: str, result: type[_Result], /, **params: Any) -> _Result:
        """
        :raises AmpRefused: Amp did not do it.
        """
        body = self._post(method, params)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
            if answer.ok:
                return msgspec.json.decode(answer.result, type=result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise AmpRefused(f"what Amp answers to {method} is not understood") from None
        why = answer.error.message or answer.error.code or "no reason was given"
        raise AmpRefused(f"Amp rejects {method}: {printable(why)[:_SHOWN]}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another origin."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None is followed."""


def amp_post(url: str, key: Secret, proxy: str | None) -> Post:
    """Calls at an Amp upstream.

    :param url: the upstream's origin.
    :param proxy: an HTTP proxy on the way.
    :raises AmpRefused: the proxy is of another kind.
    """
    if proxy and not proxy.startswith(("http://", "https://")):
        raise AmpRefused(f"a {urlsplit(proxy).scheme} proxy (proxy-url) is not supported here")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _NoRedirects(),
    )

    def post(method: str, params: Mapping[str, Any]) -> bytes:
        body = msgspec.json.encode({"method": method, "params": params})
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {key.reveal()}",
            "X-Api-Key": key.reveal(),
        }
        request = urllib.request.Request(f"{url}/api/internal?{method}", body, headers)  # noqa: S310
        try:
            with opener.open(request, timeout=_TIMEOUT) as answer:
                return bytes(answer.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            known = "it does not know the key" if error.code == 401 else f"status {error.code}"
            raise AmpRefused(f"Amp rejects {method}: {known}") from None
        except urllib.error.URLError as error:
            raise AmpRefused(f"{url} cannot be reached: {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            raise AmpRefused(f"{url} does not answer: {type(error).__name__}") from None

    return post
