"""A request, said to Messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ampproxy.adapt.names import tool_names
from ampproxy.adapt.passes import adapt
from ampproxy.adapt.sampling import draw_while_thinking, fit_sampling
from ampproxy.adapt.tools import free_choice
from ampproxy.dialects.anthropic.blocks_out import BlockWriter
from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.anthropic.thinking import Forbidden, Plan, plan
from ampproxy.dialects.anthropic.tools import betas, choice_of, declared, is_forced
from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.common import Losses, Members, Names, encode, loads, members
from ampproxy.dialects.json import put
from ampproxy.dialects.unsupported import is_harmless
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS
from ampproxy.model.parts import Opaque, Reasoning, ToolCall, ToolResult
from ampproxy.model.request import ChatRequest, Turn

_FORCED: Final = "A call was demanded, and the model must not think then."
_NEVER_FORCED: Final = "A call cannot be demanded of this model."
_THINKS: Final = "A call cannot be demanded of a model that thinks."
_NO_PROOF: Final = "The tool loop under way has no thinking that this vendor would take back."

#: Dialects whose clients cannot carry a proof of reasoning.
_WITHOUT_PROOFS: Final = (CHAT, COMPLETIONS)
_PROOF_LOSSES: Final = ("foreign_proof", "unsigned_thinking")

#: Members of a body that a counting request may have.
_COUNTED: Final = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
)


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Say a request to ``target``; what cannot be said is a loss. Never raises."""
    return _Rendering(request, target).rendered()


class _Rendering:
    """One request on its way out."""

    def __init__(self, request: ChatRequest, target: Target) -> None:
        self.losses = losses = Losses()
        self.target = target
        self.own = request.dialect == ANTHROPIC
        self.asked = request
        self.names = tool_names(request, PROFILE)
        self.freeform = frozenset(self.names(tool.name) for tool in request.tools if tool.freeform)
        self.request = adapt(request, PROFILE, target, losses, is_harmless)

    def rendered(self) -> Rendered:
        """The whole."""
        thinking = plan(self.request, self.target, self.losses, forbidden=self._forbidden())
        body: dict[str, Any] = {"model": self.target.model, "max_tokens": thinking.max_tokens}
        writer = BlockWriter(self.names, Names(*PROFILE.name))
        if system := [writer.block(text) for text in self.request.system]:
            body["system"] = system
        body["messages"] = [
            {"role": turn.role, "content": [writer.block(part) for part in turn.parts], **turn.extras}
            for turn in self.request.turns
        ]
        if tools := declared(self.request, self.names):
            body["tools"] = tools
        put(body, {"tool_choice": choice_of(self._free(thinking), self.names)})
        if thinking.member is not None:
            body["thinking"] = thinking.member
        body |= self._drawn(thinking) | self._rest(thinking)
        return Rendered(encode(body), self.losses.all(), self.names.changed, self._headers(), self.freeform)

    def _forbidden(self) -> Forbidden:
        """Why the model must not think, in a budget and freely."""
        if is_forced(self.request) and self.target.forced_tools == "not-thinking":
            return Forbidden(_FORCED, _FORCED, unasked=_FORCED)
        if not _lacks_thinking(self.request.turns):
            return Forbidden()
        # A model that thinks as it likes may have called without thinking, which the vendor lets pass.
        # It must not go on from thinking that was there and is lost, though.
        lost = self.request.dialect in _WITHOUT_PROOFS or self._lost_proof()
        return Forbidden(_NO_PROOF, _NO_PROOF if lost else None)

    def _free(self, thinking: Plan) -> ChatRequest:
        """The request without a demand for a call where the model takes none."""
        why = self._no_force(thinking)
        return (
            free_choice(self.request, self.losses, why) if why and is_forced(self.request) else self.request
        )

    def _no_force(self, thinking: Plan) -> str:
        """Why no call can be demanded; empty: it can."""
        if self.target.forced_tools == "never":
            return _NEVER_FORCED
        return _THINKS if thinking.on and self.target.forced_tools != "always" else ""

    def _lost_proof(self) -> bool:
        """Whether thinking since the user's last own words had to be left out."""
        turns = self.asked.turns
        last = -1
        for number, turn in enumerate(turns):
            if turn.role == "user" and not all(isinstance(part, ToolResult) for part in turn.parts):
                last = number
        since = {f"turns[{number}]" for number in range(last + 1, len(turns))}
        return any(
            loss.kind in _PROOF_LOSSES and loss.path.partition(".")[0] in since for loss in self.losses
        )

    def _drawn(self, thinking: Plan) -> dict[str, Any]:
        """Temperature and its like, as far as the model and its thinking admit them."""
        request = (
            draw_while_thinking(self.request, self.losses, own=self.own) if thinking.on else self.request
        )
        found = fit_sampling(request, PROFILE, self.target, self.losses).sampling
        sent = {name: getattr(found, name) for name in ("temperature", "top_p", "top_k")}
        sent["stop_sequences"] = found.stop or None
        return {name: value for name, value in sent.items() if value is not None}

    def _rest(self, thinking: Plan) -> dict[str, Any]:
        request = self.request
        body: dict[str, Any] = {"stream": True} if request.stream else {}
        config = self._output(thinking)
        if config:
            body["output_config"] = config
        user = {} if request.user is None else {"user_id": request.user}
        if metadata := {**user, **request.metadata}:
            body["metadata"] = metadata
        if request.service_tier:
            body["service_tier"] = request.service_tier
        if self.own:
            done = {"thinking", "output_config", "betas"}
            body |= {name: raw for name, raw in request.extras.items() if name not in done}
        return body

    def _output(self, thinking: Plan) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.own and (rest := self.request.extras.get("output_config")) is not None:
            config |= members(rest)
        if thinking.effort is not None:
            config["effort"] = thinking.effort
        if self.request.output is not None:
            config["format"] = {"type": "json_schema", "schema": self.request.output.schema}
        return config

    def _headers(self) -> dict[str, str]:
        wished = loads(self.request.extras.get("betas", b"[]")) if self.own else []
        asked = [beta for beta in wished if isinstance(beta, str)] if isinstance(wished, list) else []
        wanted = list(dict.fromkeys([*asked, *betas(self.asked)]))
        return {"anthropic-beta": ",".join(wanted)} if wanted else {}


def for_counting(body: bytes) -> bytes:
    """The counting request of a body that :func:`render_request` made."""
    found: Members = members(body)
    return encode({name: raw for name, raw in found.items() if name in _COUNTED})


def _lacks_thinking(turns: Sequence[Turn]) -> bool:
    """Whether a tool loop is under way whose assistant turn does not begin with thinking.

    The vendor answers 400 to such a request with thinking on. It is what a thread looks like whose
    client cannot carry proofs, or whose calls came from another vendor's model.
    """
    if len(turns) < 2 or turns[-1].role != "user":
        return False
    before = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if before is None or not any(isinstance(part, ToolCall) for part in before.parts):
        return False
    if not any(isinstance(part, ToolResult) for part in turns[-1].parts):
        return False
    first = before.parts[0]
    kept = isinstance(first, Opaque) and first.kind in ("thinking", "redacted_thinking")
    return not (kept or isinstance(first, Reasoning))
