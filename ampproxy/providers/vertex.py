"""Google's Vertex AI with an API key: ``vertex-api-key``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.errors import GatewayFault
from ampproxy.model.base import GEMINI
from ampproxy.providers.base import Paths
from ampproxy.providers.gemini import Gemini
from ampproxy.routing.endpoints import Endpoint, Operation


class Vertex(Gemini):
    """As Gemini, at ``BASE/v1/publishers/google/models/M:method``."""

    PATHS: ClassVar[Paths] = {
        (GEMINI, operation): "publishers/google/models/"
        for operation in (Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBED, Operation.OTHER)
    }
    VERSION = "v1"
    VENDOR: ClassVar[str] = ""
    LISTING = None

    def backend_dialect(self, endpoint: Endpoint) -> str:
        """As every provider; but its counting call takes another form than the Gemini API's, into which
        requests of other dialects are translated.
        """
        if endpoint.operation is Operation.COUNT_TOKENS and endpoint.dialect != GEMINI:
            raise GatewayFault.of(
                "not_implemented", f"{self.account.label} counts only requests in Gemini's own dialect."
            )
        return super().backend_dialect(endpoint)
