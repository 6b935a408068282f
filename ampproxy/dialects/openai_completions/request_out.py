"""A request for an account that is asked in the old completions: the words of a conversation, as one prompt.

Only clients that speak them are sent to one; theirs is written anew if the model's name has a suffix.
"""

from __future__ import annotations

from typing import Any, Final

from ampproxy.adapt.passes import as_prompt, lose_extras
from ampproxy.adapt.profile import alike
from ampproxy.adapt.settings import fit_account, fit_ends, fit_sampling
from ampproxy.dialects.base import Rendered, Target, is_harmless
from ampproxy.dialects.json import encode, put
from ampproxy.dialects.openai_completions.profile import PROFILE
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest

#: Member -> field of ``Sampling``.
_SAMPLING: Final = {
    **alike("max_tokens", "temperature", "top_p", "seed"),
    **alike("presence_penalty", "frequency_penalty", "logit_bias"),
    "n": "candidates",
}


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target`` (:meth:`~ampproxy.dialects.base.Dialect.render_request`)."""
    losses = Losses()
    request = as_prompt(request, losses)
    request = fit_sampling(request, PROFILE, target, losses)
    request = fit_account(fit_ends(request, PROFILE, target, losses), PROFILE, losses)
    lose_extras(request, PROFILE, losses, is_harmless)
    sampling = request.sampling
    prompt = "".join(part.text for part in request.turns[0].parts if isinstance(part, Text))
    body: dict[str, Any] = {"model": target.model, "prompt": prompt}
    put(body, {member: getattr(sampling, field) for member, field in _SAMPLING.items()})
    put(body, {"user": request.user, "stop": sampling.stop or None})
    if sampling.logprobs:
        body["logprobs"] = sampling.top_logprobs or 0
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.dialect == COMPLETIONS:
        body.update(request.extras)
    return Rendered(encode(body), losses.all())
