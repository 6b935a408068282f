"""A strict stand-in of everything that a login talks to: the authorization server, and the three backends.

The backends take an access token that the authorization server has given and that has not ended, and hold
to their own rules: Anthropic's wants the beta header of logins; Codex's a stream, the account's header and
none of the parameters that it refuses; Code Assist's its envelope.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from ampproxy.testing.anthropic import Anthropic
from ampproxy.testing.gemini import Gemini
from ampproxy.testing.oauth import AuthorizationServer
from ampproxy.testing.openai_responses import OpenAIResponses
from ampproxy.testing.schema import Mismatch
from ampproxy.testing.stand_in import StandIn, start_vendor
from ampproxy.testing.vendor import Answering, Recorded, Reply, Scripts, Vendor, VendorError, dump

BETA = "oauth-2025-04-20"
#: What the backend of Codex logins answers 400 to.
REFUSED = (
    "max_output_tokens",
    "temperature",
    "top_p",
    "truncation",
    "user",
    "previous_response_id",
    "prompt_cache_retention",
    "safety_identifier",
    "stream_options",
)
#: What makes requests look like another program's: nobody here should send it.
DISGUISE = ("claude-cli", "codex_cli", "GeminiCLI", "x-stainless", "x-app")


class LoginVendor(AuthorizationServer):
    """The authorization server and the backends, at one origin.

    :ivar disguises: what was seen of :data:`DISGUISE`.
    """

    name = "logins"

    def __init__(
        self, scripts: Scripts, keys: Iterable[str] = (), clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        super().__init__(scripts, keys, clock)
        self._anthropic = Anthropic(scripts)
        self._responses = OpenAIResponses(scripts)
        self._gemini = Gemini(scripts)
        self.disguises: list[str] = []

    def _token(self, request: Recorded, kind: str, vendor: Vendor) -> Reply | None:
        """Let the request in, or give the vendor's own refusal."""
        seen = " ".join(f"{name}: {value}" for name, value in request.header_list)
        self.disguises += [word for word in DISGUISE if word.lower() in seen.lower()]
        token = request.bearer() or ""
        grant = self.knows(token)
        if grant is None or grant.kind != kind:
            return vendor.refusal(VendorError(401, "The access token is unknown or has ended."))
        request.key = token
        return None

    def _at(self, vendor: Vendor, request: Recorded) -> Reply:
        try:
            return vendor.dispatch(request)
        except Mismatch as problem:
            return vendor.refusal(vendor.mismatch(problem))
        except VendorError as error:
            return vendor.refusal(error)

    def messages(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/messages`` with a login."""
        refused = self._token(request, "claude", self._anthropic)
        if refused is not None:
            return refused
        if BETA not in request.headers.get("anthropic-beta", "").split(","):
            return self._anthropic.refusal(VendorError(401, "OAuth authentication is not supported."))
        return self._at(self._anthropic, request)

    def responses(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /responses`` of the Codex backend."""
        vendor = self._responses
        refused = self._token(request, "codex", vendor)
        if refused is not None:
            return refused
        if request.headers.get("chatgpt-account-id") != "account-1":
            return vendor.refusal(VendorError(403, "The account is not named."))
        body = json.loads(request.body)
        for name, wanted in (("stream", True), ("store", False)):
            if body.get(name) is not wanted:
                return vendor.refusal(VendorError(400, f"{name} must be {json.dumps(wanted)}", param=name))
        if not isinstance(body.get("instructions"), str):
            return vendor.refusal(VendorError(400, "Instructions are required", param="instructions"))
        for name in REFUSED:
            if name in body:
                return vendor.refusal(VendorError(400, f"Unsupported parameter: {name}", param=name))
        return self._at(vendor, replace(request, uri="/v1/responses"))

    def code_assist(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``POST /v1internal:generateContent`` and the like."""
        vendor = self._gemini
        refused = self._token(request, "gemini", vendor)
        if refused is not None:
            return refused
        body = json.loads(request.body)
        counts = found["method"] == "countTokens"
        wanted = {"request"} if counts else {"project", "model", "request"}
        if set(body) != wanted or (not counts and body["project"] not in ("made-project", "p-1")):
            return vendor.refusal(VendorError(400, "The envelope is not right."))
        model = body["request"].pop("model").removeprefix("models/") if counts else body["model"]
        query = request.uri.partition("?")[2]
        inner = replace(
            request,
            uri=f"/v1beta/models/{model}:{found['method']}" + (f"?{query}" if query else ""),
            body=dump(body["request"]),
        )
        reply = self._at(vendor, inner)
        return reply if reply.status >= 400 or counts else _enveloped(reply)

    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        *AuthorizationServer.routes,
        ("POST", "/v1/messages", messages),
        ("POST", "/v1/messages/count_tokens", messages),
        ("POST", "/responses", responses),
        (
            "POST",
            "/v1internal:(?P<method>generateContent|streamGenerateContent|countTokens)",
            code_assist,
        ),
    )


def _enveloped(reply: Reply) -> Reply:
    if reply.events is None:
        return replace(reply, body=_wrapped(reply.body))
    return replace(reply, events=[_wrapped_event(event) for event in reply.events])


def _wrapped(body: bytes) -> bytes:
    return b'{"response":' + body + b',"traceId":"demo"}'


def _wrapped_event(event: bytes) -> bytes:
    data = event.strip().removeprefix(b"data:").strip()
    return b"data: " + _wrapped(data) + b"\r\n\r\n"


async def start(reactor: Any, **settings: Any) -> StandIn:
    """A running stand-in (see :func:`start_vendor`; also ``clock``)."""
    stand_in = start_vendor(reactor, LoginVendor, **settings)
    server: Any = stand_in.vendor
    server.origin = stand_in.url
    return stand_in
