"""Members of a request that its server refuses are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ampproxy.adapt.target import Target
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, Sampling

_NOTHING = ChatRequest(dialect="", model="", turns=())
#: Values that ask for what is done without them.
_USUAL: Mapping[str, Any] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "candidates": 1,
    "logprobs": False,
}
#: What a server may refuse: Chat Completions' member -> the field of ``Sampling`` that says it.
_SAMPLING: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "n": "candidates",
}
#: Likewise -> the field of ``ChatRequest``, whose name is that of the loss.
_OTHERS: Mapping[str, str] = {
    "response_format": "output",
    "parallel_tool_calls": "parallel",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "prompt_cache_key": "cache_key",
    "modalities": "modalities",
}
#: Likewise Messages'.
_SAMPLING_OF_MESSAGES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
}
_OTHERS_OF_MESSAGES: Mapping[str, str] = {"metadata": "user", "service_tier": "service_tier"}
#: Extras that are notes, or are written with something else.
_NOTES = ("functions", "stream_options")
_KINDS: Mapping[str, str] = {"output": "output_format"}


def leave_out_refused(
    request: ChatRequest, target: Target, losses: Losses, *, same: bool = False, messages: bool = False
) -> ChatRequest:
    """The request without what its server refuses.

    :param same: the client spoke the server's dialect, so that its own members go there, too.
    :param messages: the dialect is Messages, and not Chat Completions.
    """
    of_sampling = _SAMPLING_OF_MESSAGES if messages else _SAMPLING
    others = _OTHERS_OF_MESSAGES if messages else _OTHERS
    host = target.host
    if host.members is None and not host.refuses:
        return request
    sampling = {
        field: getattr(Sampling(), field)
        for member, field in of_sampling.items()
        if not _takes(target, member) and getattr(request.sampling, field) not in (None, ())
    }
    changed: dict[str, Any] = {
        field: getattr(_NOTHING, field)
        for member, field in others.items()
        if not _takes(target, member) and getattr(request, field) != getattr(_NOTHING, field)
    }
    _note(request, sampling, changed, losses)
    if sampling:
        changed["sampling"] = msgspec.structs.replace(request.sampling, **sampling)
    own = request.extras if same else {}
    extras = {name: raw for name, raw in own.items() if name in _NOTES or _takes(target, name)}
    if len(extras) < len(own):
        for name in own.keys() - extras.keys():
            losses("extras", f"extras.{name}", f"The server does not accept '{name}'.")
        changed["extras"] = extras
    return msgspec.structs.replace(request, **changed) if changed else request


def _takes(target: Target, member: str) -> bool:
    host = target.host
    return host.takes(host.renames.get(member, member))


def _note(
    request: ChatRequest, sampling: Mapping[str, Any], changed: Mapping[str, Any], losses: Losses
) -> None:
    for field in sampling:
        value = getattr(request.sampling, field)
        if field not in _USUAL or value != _USUAL[field]:
            losses(field, f"sampling.{field}", "The server does not accept it.")
    for field in changed:
        if field != "parallel" or request.parallel is False:
            losses(_KINDS.get(field, field), field, "The server does not accept it.")
