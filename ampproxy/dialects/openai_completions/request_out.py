"""A request for an account that only has the old completions: the words of a conversation, as one prompt.

No account's dialect is this one; it is here so that the dialect is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ampproxy.adapt.account import fit_account
from ampproxy.adapt.sampling import fit_ends, fit_sampling
from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.common import Losses, encode
from ampproxy.dialects.openai_completions.profile import PROFILE
from ampproxy.dialects.unsupported import note_lost_extras
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest

#: Between the texts of a conversation.
_GAP: Final = "\n\n"
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
}


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Say a request to ``target`` (:meth:`~ampproxy.dialects.base.Dialect.render_request`)."""
    losses = Losses()
    request = fit_sampling(request, PROFILE, target, losses)
    request = fit_account(fit_ends(request, PROFILE, target, losses), PROFILE, losses)
    sampling = request.sampling
    body: dict[str, Any] = {"model": target.model, "prompt": _GAP.join(_texts(request, losses))}
    for member, field in _SAMPLING.items():
        if (value := getattr(sampling, field)) is not None:
            body[member] = value
    if sampling.logprobs:
        body["logprobs"] = sampling.top_logprobs or 0
    if sampling.stop:
        body["stop"] = sampling.stop
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
