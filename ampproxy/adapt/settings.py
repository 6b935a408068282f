"""What a request sets, as far as the vendor, the server and the model take it.

How tokens are drawn, where the answer ends, who asks, the members that a server refuses, and wishes for
comfort. Those concern how an answer travels, how long it is, how the vendor's memory is kept: nothing of what
the model is sent, or may call, is missing without them, so strict translation does not refuse for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ampproxy.adapt.names import shorten
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.target import Target
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES, Json
from ampproxy.model.loss import Loss, Losses
from ampproxy.model.request import ChatRequest, Sampling
from ampproxy.wire.values import loads

_NOTHING = ChatRequest(dialect="", model="", turns=())
#: Extras that are notes, or are written with something else.
_NOTES = ("functions", "stream_options")
_KINDS: Mapping[str, str] = {"output": "output_format"}
#: An answer of fewer tokens leaves no room for thinking.
_SMALL: Final = 1024


def leave_out_refused(
    request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> ChatRequest:
    """The request without what its server refuses."""
    sampling = {
        field: getattr(Sampling(), field)
        for member, field in profile.sampling_members.items()
        if not _takes(target, member) and getattr(request.sampling, field) not in (None, ())
    }
    changed: dict[str, Any] = {
        field: getattr(_NOTHING, field)
        for member, field in profile.other_members.items()
        if not _takes(target, member) and getattr(request, field) != getattr(_NOTHING, field)
    }
    for field in sampling:
        if not is_usual(field, getattr(request.sampling, field)):
            losses(field, f"sampling.{field}", "The server does not accept it.")
    for field in changed:
        if field != "parallel" or request.parallel is False:
            losses(_KINDS.get(field, field), field, "The server does not accept it.")
    if sampling:
        changed["sampling"] = replace(request.sampling, **sampling)
    own = request.extras if request.dialect == profile.dialect else {}
    extras = {name: raw for name, raw in own.items() if name in _NOTES or _takes(target, name)}
    if len(extras) < len(own):
        for name in own.keys() - extras.keys():
            losses("extras", f"extras.{name}", f"The server does not accept '{name}'.")
        changed["extras"] = extras
    return replace(request, **changed) if changed else request


def _takes(target: Target, member: str) -> bool:
    host = target.host
    return host.takes(host.renames.get(member, member))


def fit_account(request: ChatRequest, profile: DialectProfile, losses: Losses) -> ChatRequest:
    """The request with an end user, labels and the like that the vendor has a place for. A client that
    speaks the dialect is taken at its word, but for labels that are too many or too long.
    """
    changed: dict[str, Any] = {}
    if request.metadata:
        _fit_metadata(request, profile, losses, changed)
    if request.dialect != profile.dialect:
        _fit_others(request, profile, losses, changed)
    return replace(request, **changed) if changed else request


def _fit_others(
    request: ChatRequest, profile: DialectProfile, losses: Losses, changed: dict[str, Any]
) -> None:
    user = request.user
    if user is not None and profile.user is None:
        losses("user", "user", f"{profile.vendor} takes no id of the end user.")
        changed["user"] = None
    elif user is not None and profile.user is not None and len(user) > profile.user:
        losses("user", "user", f"It was shortened to {profile.user} characters, always in the same way.")
        changed["user"] = shorten(user, profile.user)
    if request.cache_key is not None and not profile.cache_key:
        losses("cache_key", "cache_key", f"{profile.vendor} takes no key for a cache.")
        changed["cache_key"] = None
    tier = request.service_tier
    kin = request.dialect in profile.kin and bool(profile.tiers)
    if tier is not None and not kin and (sent := profile.tiers.get(tier) or None) != tier:
        if tier not in profile.tiers:
            losses("service_tier", "service_tier", f"'{tier[:40]}' is another vendor's tier.")
        changed["service_tier"] = sent
    if request.modalities and not profile.modalities:
        if any(kind.lower() != "text" for kind in request.modalities):
            losses("modalities", "modalities", f"{profile.vendor} answers in text only.")
        changed["modalities"] = ()


def _fit_metadata(
    request: ChatRequest, profile: DialectProfile, losses: Losses, changed: dict[str, Any]
) -> None:
    if profile.metadata is None:
        if request.dialect == profile.dialect:
            return
        for name in request.metadata:
            losses("metadata", f"metadata.{name}", f"{profile.vendor} takes no labels.")
        changed["metadata"] = {}
        return
    pairs, longest_key, longest_value = profile.metadata
    fitting = [
        (key, value)
        for key, value in request.metadata.items()
        if len(key) <= longest_key and len(value) <= longest_value
    ]
    sent = dict(fitting[:pairs])
    if len(sent) < len(request.metadata):
        losses("metadata", "metadata", f"At most {pairs} pairs of limited length are taken.")
        changed["metadata"] = sent


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
#: The fields that set where the answer ends; all others set how it is drawn.
_ENDS: Final = frozenset(("max_tokens", "stop"))
_PENALTIES: Final = frozenset(("presence_penalty", "frequency_penalty"))
#: Those that set how it is drawn, which are also the kinds of their losses.
FIELDS: Final = tuple(name for name in Sampling.__struct_fields__ if name not in _ENDS)
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
    refused = profile.drawing
    if target.sampling:
        refused = frozenset() if target.penalties else refused & _PENALTIES
    for field in FIELDS:
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
    return request if found is request.sampling else replace(request, sampling=found)


def _without(found: Sampling, field: str, kind: str, why: str, losses: Losses) -> Sampling:
    if not is_usual(field, getattr(found, field)):
        losses(kind, f"sampling.{field}", why)
    return replace(found, **{field: None})


def _in_range(found: Sampling, profile: DialectProfile, target: Target, losses: Losses) -> Sampling:
    heat, most = found.temperature, profile.temperature
    if heat is not None and most is not None and not 0 <= heat <= most:
        losses("temperature", "sampling.temperature", f"{heat} is not within 0 to {most:g}.")
        found = replace(found, temperature=most if heat > most else 0)
    several = profile.candidates if target.candidates is None else target.candidates
    if found.candidates is not None and several is not None and found.candidates > several:
        losses("candidates", "sampling.candidates", f"At most {several} answers can be asked for.")
        found = replace(found, candidates=several)
    listed, longest = found.top_logprobs, profile.top_logprobs
    if listed is not None and longest is not None and not 0 <= listed <= longest:
        losses("logprobs", "sampling.top_logprobs", f"From 0 to {longest} can be listed.")
        found = replace(found, top_logprobs=longest if listed > longest else 0)
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
    return replace(request, sampling=found)


def fit_ends(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> ChatRequest:
    """A limit of the answer, and stop sequences, that the dialect and the model take."""
    found = _fit_limit(request, profile, target, losses)
    if found.stop:
        found = _fit_stops(found, profile, target, losses)
    return request if found is request.sampling else replace(request, sampling=found)


def is_small(request: ChatRequest) -> bool:
    """Whether a model that thinks unless asked not to would spend the whole answer on it, which a client of
    another dialect that did not ask for thinking does not expect.
    """
    limit = request.sampling.max_tokens
    return limit is not None and limit < _SMALL


def _fit_limit(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> Sampling:
    found = request.sampling
    limit = found.max_tokens
    if limit is None or (profile.trusted_output and request.dialect == profile.dialect):
        return found
    fits = max(profile.least_output, min(limit, target.max_output or limit))
    if fits == limit:
        return found
    why = f"The limit was moved from {limit} to {fits}, which the model takes."
    if limit > 0:
        losses("output_limit", "sampling.max_tokens", why)
    else:
        losses("max_tokens", "sampling.max_tokens", why)
    return replace(found, max_tokens=fits)


def _fit_stops(found: Sampling, profile: DialectProfile, target: Target, losses: Losses) -> Sampling:
    if "stop" not in profile.sampling:
        return _no_stops(found, f"{profile.vendor} has no stop sequences.", losses)
    stop = tuple(text for text in found.stop if text)
    if stop and profile.sampled_stops and not target.sampling:
        return _no_stops(found, f"{target.model} does not take stop sequences.", losses)
    if not profile.blank_texts and (kept := tuple(text for text in stop if text.strip())) != stop:
        losses("stop", "sampling.stop", "A stop sequence of blanks alone is refused.")
        stop = kept
    if profile.stops is not None and len(stop) > profile.stops:
        losses("stop", "sampling.stop", f"Only the first {profile.stops} stop sequences are taken.")
        stop = stop[: profile.stops]
    return found if stop == found.stop else replace(found, stop=stop)


def _no_stops(found: Sampling, why: str, losses: Losses) -> Sampling:
    losses("stop", "sampling.stop", why)
    return replace(found, stop=())


#: Dialect -> members of its requests -> those of their members that are such wishes; ``None``: all of it.
_TOP: Final[Mapping[str, Mapping[str, frozenset[str] | None]]] = {
    ANTHROPIC: {"context_management": None, "safeguards": None, "speed": None, "diagnostics": None},
    RESPONSES: {
        "client_metadata": None,
        "include": None,
        "prompt_cache_options": None,
        "reasoning": frozenset(("context", "generate_summary", "mode")),
        "text": frozenset(("verbosity",)),
    },
    CHAT: {"prediction": None, "prompt_cache_options": None, "verbosity": None},
    GEMINI: {"labels": None, "sessionId": None, "session_id": None},
}
#: What members of tools, and of turns, are such wishes.
_OF_TOOLS: Final = frozenset(("allowed_callers", "defer_loading", "eager_input_streaming"))
_OF_TURNS: Final = frozenset(("output_config",))
_WHY: Final = "Only the client's vendor knows this setting, which does not change the model's input."


def without_preferences(
    request: ChatRequest, spoken: str, *, openai: bool = False
) -> tuple[ChatRequest, tuple[Loss, ...]]:
    """The request without such wishes, and what that lost; the same object where it has none.

    :param spoken: the dialect that it goes out in; one that its client speaks takes them as they are.
    :param openai: the model is OpenAI's own: Chat and Responses, which are one vendor's, write some alike.
    """
    # Tools and turns have few members of their own, and mostly none.
    extra = (request, *request.tools, *request.turns)
    if request.dialect == spoken or not any(map(attrgetter("extras"), extra)):
        return request, ()
    losses = Losses()
    known = _TOP.get(request.dialect, {})
    sent = {"verbosity"} if spoken == RESPONSES else set()
    if openai and {request.dialect, spoken} == {CHAT, RESPONSES}:
        sent |= {"text", "prompt_cache_options"}
    if openai and request.dialect == ANTHROPIC and loads(request.extras.get("speed", b"null")) == "fast":
        # OpenAI has it as a tier.
        extras = _kept(request.extras, ("speed",))
        request = replace(request, extras=extras, service_tier="fast")
    wishes = [name for name in request.extras if name in known and name not in sent]
    extras = _kept(request.extras, (name for name in wishes if _is_wish(known[name], request.extras[name])))
    for name in request.extras.keys() - extras.keys():
        if name == "safeguards":
            losses("safeguards", f"extras.{name}", "Only Anthropic's service checks calls for the client.")
        else:
            losses("preference", f"extras.{name}", _WHY)
    tools = _each(request.tools, _OF_TOOLS, "tools", losses)
    turns = _each(request.turns, _OF_TURNS, "turns", losses)
    found = losses.all()
    if not found:
        return request, ()
    return replace(request, extras=extras, tools=tools, turns=turns), found


def _is_wish(members: frozenset[str] | None, value: Json) -> bool:
    found = loads(value)
    return members is None or (isinstance(found, dict) and found.keys() <= members)


def _kept(extras: dict[str, Json], without: Iterable[str]) -> dict[str, Json]:
    dropped = frozenset(without)
    return {name: value for name, value in extras.items() if name not in dropped}


def _each(these: tuple[Any, ...], wishes: frozenset[str], at: str, losses: Losses) -> tuple[Any, ...]:
    """Tools or turns without such members."""
    left = list(these)
    for number, each in enumerate(these):
        if found := sorted(wishes & each.extras.keys()):
            left[number] = replace(each, extras=_kept(each.extras, found))
        for name in found:
            losses("preference", f"{at}[{number}].extras.{name}", _WHY)
    return tuple(left)
