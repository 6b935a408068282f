"""Paths of vendors' APIs that the gateway does not serve: refused so that the client's SDK can tell why."""

from __future__ import annotations

import re

import msgspec

from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI
from ampproxy.resources.base import GatewayResource, answer_error
from ampproxy.server.site import GatewayRequest

#: How paths of model routes end -> where they are.
_TAILS = {
    b"/chat/completions": "/v1/chat/completions",
    b"/completions": "/v1/completions",
    b"/responses": "/v1/responses",
    b"/embeddings": "/v1/embeddings",
    b"/messages": "/v1/messages",
    b"/messages/count_tokens": "/v1/messages/count_tokens",
}
_METHOD = re.compile(rb"/models/[^/:]+:(?:streamGenerateContent|generateContent|countTokens)$")
#: What vendors have that is not relayed, by the first segment after the version; and calls of kinds that
#: are, which are none of those (:mod:`ampproxy.routing.vendor_calls`).
_BESIDE = re.compile(
    rb"/(?:v1|v1beta|v1beta1|v1alpha)/(realtime|live|assistants|threads|fine_tuning|evals|agents|sessions"
    rb"|vaults|environments|memory_stores|webhooks|decisions|rerank|fileSearchStores|tunedModels|auth_tokens"
    rb"|organizations?|images|audio|files|uploads|batches|moderations|videos|conversations|containers"
    rb"|vector_stores|skills|interactions|cachedContents|responses/[^/]+)(?:[/:]|$)"
)
_BASES = (
    "The base URL is the gateway's address for the SDKs of Anthropic and Google, and the address with /v1 for"
    " OpenAI's."
)


def is_misplaced(path: bytes) -> bool:
    """Whether a path ends as one of a model route does, and begins as none does."""
    return any(path.endswith(tail) for tail in _TAILS) or _METHOD.search(path) is not None


def reason(path: bytes) -> str:
    """Why nobody serves a path, and what to ask instead."""
    shown = path[:200].decode("ascii", "replace")
    beside = _BESIDE.match(path)
    if beside is not None:
        what = beside[1].decode("ascii").partition("/")[0]
        return (
            f"The gateway does not serve {shown}: only the vendor itself has this call of {what}. It serves"
            " requests to models, token counts, embeddings, lists of models, and vendors' files, batches,"
            " pictures, speech and the like."
        )
    sentence = f"The gateway has no path {shown}."
    served = next((where for tail, where in _TAILS.items() if path.endswith(tail)), None)
    if served is None and _METHOD.search(path):
        served = "/v1beta" + path[path.rindex(b"/models/") :].decode("ascii", "replace")[:200]
    return f"{sentence} Use {served}. {_BASES}" if served else f"{sentence} {_BASES}"


class UnservedResource(GatewayResource):
    """A path below those of the vendors' SDKs that is none of the model routes."""

    def authorize(self, request: GatewayRequest) -> None:
        super().authorize(request)
        raise ClientFault.of("not_found", reason(request.path), code="not_found")

    def render(self, request: GatewayRequest) -> object:
        """Never reached: :meth:`authorize` refuses."""
        raise AssertionError

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer in the dialect that the request shows: an SDK reads no other form."""
        error = msgspec.structs.replace(refusal.error, request_id=request.request_id)
        answer_error(request, error, DIALECTS[spoken_by(request)].error_body(error))


def spoken_by(request: GatewayRequest) -> str:
    """The dialect of a client, as far as its headers and the path show it."""
    has = request.requestHeaders.hasHeader
    messages = request.path.endswith((b"/messages", b"/messages/count_tokens"))
    if has(b"anthropic-version") or (messages and not _BESIDE.match(request.path)):
        return ANTHROPIC
    google = request.path.startswith((b"/v1beta/", b"/v1beta1/", b"/v1alpha/"))
    return GEMINI if has(b"x-goog-api-key") or google or _METHOD.search(request.path) else CHAT
