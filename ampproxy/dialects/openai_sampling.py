"""How tokens are drawn, as OpenAI's chat and completions requests say it."""

from __future__ import annotations

import msgspec

from ampproxy.dialects.json import NULL
from ampproxy.model.base import Json
from ampproxy.model.request import Sampling


class SamplingBody(msgspec.Struct):
    """The members that say how tokens are drawn."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Json = NULL
    n: int | None = None

    def sampling(self, logprobs: bool | None, top_logprobs: int | None) -> Sampling:
        """As the vocabulary has it."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            max_tokens=self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=stop,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=None if self.logit_bias == NULL else self.logit_bias,
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            candidates=self.n,
        )
