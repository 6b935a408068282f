"""Whatever speaks OpenAI's Chat Completions: ``openai-compatibility``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.config.schema import Account
from ampproxy.model.base import CHAT, COMPLETIONS, RESPONSES
from ampproxy.providers.azure import AzureAware
from ampproxy.providers.base import Call, Paths, path_segment
from ampproxy.providers.listing import Listing, openai_page
from ampproxy.routing.endpoints import Endpoint, Operation


class Compatible(AzureAware):
    """Chat, plain completions and embeddings right below ``BASE``. It cannot count tokens."""

    PATHS: ClassVar[Paths] = {
        (CHAT, Operation.GENERATE): "chat/completions",
        (COMPLETIONS, Operation.GENERATE): "completions",
        (CHAT, Operation.EMBED): "embeddings",
    }
    #: OpenAI's own host.
    BESIDE: ClassVar[Paths] = {(RESPONSES, Operation.GENERATE): "responses"}
    LISTING = Listing(openai_page)
    VENDOR = "openai"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        # Of others each call would have one more.
        if self._azure is not None and self._azure.by_model:
            self._path = self._deployed  # type: ignore[method-assign]

    def _deployed(self, endpoint: Endpoint, dialect: str, model: str, stream: bool) -> str:
        return f"deployments/{path_segment(model)}/{super()._path(endpoint, dialect, model, stream)}"

    def models_call(self, after: str = "") -> Call | None:
        """As every provider; Azure's deployments have no list."""
        if self._azure is not None and "/openai/v1" not in self._azure.base_url:
            return None
        return super().models_call(after)
