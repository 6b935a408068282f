"""How tokens are drawn and where the answer ends, as far as the vendor and the model take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.target import Target
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, Sampling

#: Values that ask for what is done without them.
USUAL: Final[Mapping[str, Any]] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": b"{}",
    "candidates": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "stop": (),
}
#: The fields that say where the answer ends; all others say how it is drawn.
_ENDS: Final = frozenset(("max_tokens", "stop"))
_PENALTIES: Final = frozenset(("presence_penalty", "frequency_penalty"))
_FIELDS: Final = tuple(name for name in Sampling.__struct_fields__ if name not in _ENDS)
#: The least ``top_p`` that models of Anthropic's take while they think.
_THINKING_TOP_P: Final = 0.95


def is_usual(field: str, value: object) -> bool:
    """Whether a value asks for what is done without it."""
    if isinstance(value, msgspec.Raw):
        value = bytes(value)
    return value is None or (field in USUAL and value == USUAL[field])


def fit_sampling(
    request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> ChatRequest:
    """A way of drawing tokens that the dialect can express and the model takes."""
    found = request.sampling
    own = request.dialect == profile.dialect
    refused = _refused(profile, target)
    for field in _FIELDS:
        value = getattr(found, field)
        if value is None:
            continue
        if field not in profile.sampling and not own:
            found = _without(found, field, field, f"{profile.vendor} has no such setting.", losses)
        elif field in refused:
            kind = profile.drawing_kind or field
            found = _without(found, field, kind, f"{target.model} does not take {field} = {value}.", losses)
    found = _in_range(found, profile, target, losses)
    if profile.one_of_draws and not own and None not in (found.temperature, found.top_p):
        field = "temperature" if is_usual("temperature", found.temperature) else "top_p"
        found = _without(found, field, field, "Current models refuse the two together.", losses)
    return _with(request, found)


def _refused(profile: DialectProfile, target: Target) -> frozenset[str]:
    if not target.sampling:
        return profile.drawing
    return frozenset() if target.penalties else profile.drawing & _PENALTIES


def _without(found: Sampling, field: str, kind: str, why: str, losses: Losses) -> Sampling:
    if not is_usual(field, getattr(found, field)):
        losses(kind, f"sampling.{field}", why)
    return msgspec.structs.replace(found, **{field: None})


def _in_range(found: Sampling, profile: DialectProfile, target: Target, losses: Losses) -> Sampling:
    heat, most = found.temperature, profile.temperature
    if heat is not None and most is not None and not 0 <= heat <= most:
        losses("temperature", "sampling.temperature", f"{heat} is not within 0 to {most:g}.")
        found = msgspec.structs.replace(found, temperature=most if heat > most else 0)
    several = profile.candidates if target.candidates is None else target.candidates
    if found.candidates is not None and several is not None and found.candidates > several:
        losses("candidates", "sampling.candidates", f"At most {several} answers can be asked for.")
        found = msgspec.structs.replace(found, candidates=several)
    listed = found.top_logprobs
    if listed is not None and profile.top_logprobs is not None and listed > profile.top_logprobs:
        losses("logprobs", "sampling.top_logprobs", f"At most {profile.top_logprobs} can be listed.")
        found = msgspec.structs.replace(found, top_logprobs=profile.top_logprobs)
    return found


def draw_while_thinking(request: ChatRequest, losses: Losses, *, own: bool) -> ChatRequest:
    """What models of Anthropic's take while they think: next to nothing that changes anything.

    :param own: the client speaks their dialect.
    """
    found = request.sampling
    for field in ("temperature", "top_p", "top_k"):
        value = getattr(found, field)
        kept = value is None or (field == "temperature" and value == 1)
        if kept or (field == "top_p" and own and value >= _THINKING_TOP_P):
            continue
        found = _without(found, field, field, "A model that thinks refuses it.", losses)
    return _with(request, found)


def fit_ends(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> ChatRequest:
    """A limit of the answer, and stop sequences, that the dialect and the model take."""
    found = _fit_limit(request, profile, target, losses)
    return _with(request, _fit_stops(found, profile, target, losses))


def _fit_limit(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> Sampling:
    found = request.sampling
    limit = found.max_tokens
    if limit is None or (profile.trusted_output and request.dialect == profile.dialect):
        return found
    fits = max(profile.least_output, min(limit, target.max_output or limit))
    if fits == limit:
        return found
    why = f"The limit was moved from {limit} to {fits}, which the model takes."
    losses("max_tokens", "sampling.max_tokens", why)
    return msgspec.structs.replace(found, max_tokens=fits)


def _fit_stops(found: Sampling, profile: DialectProfile, target: Target, losses: Losses) -> Sampling:
    if not found.stop:
        return found
    if "stop" not in profile.sampling:
        return _no_stops(found, f"{profile.vendor} has no stop sequences.", losses)
    stop = tuple(text for text in found.stop if text)
    if stop and profile.sampled_stops and not target.sampling:
        return _no_stops(found, f"{target.model} does not take stop sequences.", losses)
    if not profile.blank_stops and (kept := tuple(text for text in stop if text.strip())) != stop:
        losses("stop", "sampling.stop", "A stop sequence of blanks alone is refused.")
        stop = kept
    if profile.stops is not None and len(stop) > profile.stops:
        losses("stop", "sampling.stop", f"Only the first {profile.stops} stop sequences are taken.")
        stop = stop[: profile.stops]
    return found if stop == found.stop else msgspec.structs.replace(found, stop=stop)


def _no_stops(found: Sampling, why: str, losses: Losses) -> Sampling:
    losses("stop", "sampling.stop", why)
    return msgspec.structs.replace(found, stop=())


def _with(request: ChatRequest, found: Sampling) -> ChatRequest:
    return request if found is request.sampling else msgspec.structs.replace(request, sampling=found)
