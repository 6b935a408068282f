"""A request as Messages has it."""

from __future__ import annotations

from typing import Any, Final

from ampproxy.adapt.names import ToolNameMap
from ampproxy.adapt.passes import adapt
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import MEMBER
from ampproxy.dialects.anthropic.blocks_out import BlockWriter
from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.anthropic.thinking import thinking_member, without_stale_member
from ampproxy.dialects.anthropic.tools import betas, choice_of, declared
from ampproxy.dialects.base import Rendered
from ampproxy.dialects.json import Members, encode, loads, members, put
from ampproxy.dialects.unsupported import is_harmless
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest

#: Extras that are written with something else.
_WRITTEN: Final = frozenset((MEMBER, "output_config", "betas"))
#: Members of a body that a counting request may have.
_COUNTED: Final = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
)


def render_request(asked: ChatRequest, target: Target) -> Rendered:
    """Write a request for ``target``. Never raises."""
    losses = Losses()
    known = without_stale_member(asked, target)
    request, names, wrapped = adapt(known, PROFILE, target, losses, is_harmless)
    writer = BlockWriter(names, ToolNameMap(*PROFILE.name))
    body: dict[str, Any] = {"model": target.model, "max_tokens": request.sampling.max_tokens}
    if request.system:
        body["system"] = [writer.block(text) for text in request.system]
    body["messages"] = [
        {"role": turn.role, "content": [writer.block(part) for part in turn.parts], **turn.extras}
        for turn in request.turns
    ]
    put(body, {"tools": declared(request, names) or None, "tool_choice": choice_of(request, names)})
    put(body, {"thinking": thinking_member(request)})
    _write_sampling(request, body)
    if request.stream:
        body["stream"] = True
    put(body, {"output_config": _output_config(request) or None})
    _write_account(request, body)
    if request.dialect == ANTHROPIC:
        body |= {name: raw for name, raw in request.extras.items() if name not in _WRITTEN}
    return Rendered(encode(body), losses.all(), names.changed, _headers(asked), wrapped)


def _write_sampling(request: ChatRequest, body: dict[str, Any]) -> None:
    found = request.sampling
    put(body, {name: getattr(found, name) for name in ("temperature", "top_p", "top_k")})
    put(body, {"stop_sequences": found.stop or None})


def _write_account(request: ChatRequest, body: dict[str, Any]) -> None:
    user = {} if request.user is None else {"user_id": request.user}
    put(body, {"metadata": {**user, **request.metadata} or None, "service_tier": request.service_tier})


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.dialect == ANTHROPIC and (rest := request.extras.get("output_config")) is not None:
        config |= members(rest)
    if request.thinking is not None:
        put(config, {"effort": request.thinking.level})
    if request.output is not None:
        config["format"] = {"type": "json_schema", "schema": request.output.schema}
    return config


def _headers(asked: ChatRequest) -> dict[str, str]:
    wished = loads(asked.extras.get("betas", b"[]")) if asked.dialect == ANTHROPIC else []
    own = [beta for beta in wished if isinstance(beta, str)] if isinstance(wished, list) else []
    wanted = list(dict.fromkeys([*own, *betas(asked)]))
    return {"anthropic-beta": ",".join(wanted)} if wanted else {}


def for_counting(body: bytes, model: str) -> bytes:
    """The counting request of a body that :func:`render_request` made."""
    found: Members = members(body)
    return encode({name: raw for name, raw in found.items() if name in _COUNTED})
