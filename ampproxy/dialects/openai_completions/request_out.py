"""A request for an account that only has the old completions: the words of a conversation, as one prompt.

No account's dialect is this one; it is here so that the dialect is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.common import Losses, encode
from ampproxy.dialects.openai_completions.request_in import MAX_LOGPROBS
from ampproxy.dialects.unsupported import note_lost_extras
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest

#: Between the texts of a conversation.
_GAP: Final = "\n\n"
_STOP_LIMIT: Final = 4
#: Member -> field of ``Sampling``.
_SAMPLING: Final = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "n": "candidates",
}
#: Fields of a request that have no member here -> the kind of their loss.
_UNSAYABLE: Final = {
    "tools": "tools",
    "hosted": "hosted_tool",
    "choice": "tool_choice",
    "thinking": "thinking",
    "output": "output_format",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "cache_key": "cache_key",
}


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Say a request to ``target`` (:meth:`~ampproxy.dialects.base.Dialect.render_request`)."""
    losses = Losses()
    sampling = request.sampling
    body: dict[str, Any] = {"model": target.model, "prompt": _GAP.join(_texts(request, losses))}
    for member, field in _SAMPLING.items():
        if (value := getattr(sampling, field)) is not None:
            body[member] = value
    if sampling.logprobs:
        body["logprobs"] = min(sampling.top_logprobs or 0, MAX_LOGPROBS)
        if body["logprobs"] != (sampling.top_logprobs or 0):
            losses("logprobs", "sampling.top_logprobs", f"At most {MAX_LOGPROBS} can be had.")
    if sampling.stop:
        body["stop"] = [word for word in sampling.stop if word][:_STOP_LIMIT]
    if len(sampling.stop) > _STOP_LIMIT:
        losses("stop", "sampling.stop", f"Only the first {_STOP_LIMIT} stop sequences are taken.")
    if sampling.top_k is not None:
        losses("top_k", "sampling.top_k", "Completions have no such member.")
    if request.user is not None:
        body["user"] = request.user
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    for field, kind in _UNSAYABLE.items():
        if getattr(request, field):
            losses(kind, field, "Completions have no such member.")
    if request.dialect == COMPLETIONS:
        body.update(request.extras)
    else:
        note_lost_extras(request, losses)
    return Rendered(encode(body), losses.all())


def _texts(request: ChatRequest, losses: Losses) -> Iterator[str]:
    yield from (text.text for text in request.system)
    for number, turn in enumerate(request.turns):
        for index, part in enumerate(turn.parts):
            if isinstance(part, Text):
                yield part.text
            else:
                losses("part", f"turns[{number}].parts[{index}]", "A prompt is text and nothing else.")
    if len(request.turns) > 1:
        losses("turns", "turns", "A prompt has no roles.")
