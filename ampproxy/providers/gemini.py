"""Google's Gemini API: ``gemini-api-key``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.model.base import GEMINI
from ampproxy.providers.base import Paths, Provider, path_segment
from ampproxy.providers.listing import Listing, gemini_page
from ampproxy.routing.endpoints import Endpoint, Operation


class Gemini(Provider):
    """``BASE/v1beta/models/M:method``. Without ``alt=sse`` the vendor streams a JSON array, which is what
    a client that did not ask for it expects.
    """

    PATHS: ClassVar[Paths] = {
        (GEMINI, operation): "models/"
        for operation in (Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBED, Operation.OTHER)
    }
    VERSION = "v1beta"
    VENDOR: ClassVar[str] = "google"
    CREDENTIAL = b"x-goog-api-key"
    SCHEME = b""
    LISTING: ClassVar[Listing | None] = Listing(gemini_page, "pageSize=1000", "pageToken")

    def _path(self, endpoint: Endpoint, dialect: str, model: str, stream: bool) -> str:
        method = endpoint.method or _method(endpoint.operation, stream)
        path = self.PATHS[dialect, endpoint.operation]
        return f"{path}{path_segment(model)}:{path_segment(method)}"


def _method(operation: Operation, stream: bool) -> str:
    if operation is Operation.COUNT_TOKENS:
        return "countTokens"
    return "streamGenerateContent" if stream else "generateContent"
