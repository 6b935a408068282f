"""A request, said to Messages."""

from __future__ import annotations

from typing import Any, Final

from ampproxy.adapt.history import drop_remembered, system_first
from ampproxy.adapt.members import leave_out_refused
from ampproxy.adapt.parts import parts_to_text
from ampproxy.adapt.tools import choose_declared, fit_choice
from ampproxy.dialects.anthropic.blocks_out import BlockWriter
from ampproxy.dialects.anthropic.thinking import Forbidden, Plan, plan
from ampproxy.dialects.anthropic.tools import ILLEGAL, MAX_NAME, Tools, tool_names
from ampproxy.dialects.anthropic.turns import Message, lacks_thinking, messages_of, wire
from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.common import Losses, Members, ToolNameMap, encode, loads, members, shorten, to_raw
from ampproxy.dialects.schema_tree import with_description
from ampproxy.dialects.unsupported import is_usual, note_lost_extras
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, Json
from ampproxy.model.parts import ToolResult
from ampproxy.model.request import ChatRequest, OutputFormat

_FORCED: Final = "A call was demanded, and the model must not think then."
_NEVER_FORCED: Final = "A call cannot be demanded of this model."
_THINKS: Final = "A call cannot be demanded of a model that thinks."
_NO_PROOF: Final = "The tool loop under way has no thinking that this vendor would take back."

#: Dialects whose clients cannot carry a proof of reasoning.
_WITHOUT_PROOFS: Final = (CHAT, COMPLETIONS)
_PROOF_LOSSES: Final = ("foreign_proof", "unsigned_thinking")

#: What no request of this dialect says, by its place in ChatRequest, and the value beside ``None``
#: that asks for nothing.
_UNSUPPORTED: Final[dict[str, Any]] = {
    "sampling.seed": None,
    "sampling.presence_penalty": 0,
    "sampling.frequency_penalty": 0,
    "sampling.logit_bias": Json(b"{}"),
    "sampling.logprobs": False,
    "sampling.top_logprobs": 0,
    "sampling.candidates": 1,
    "cache_key": None,
    "modalities": ("text",),
}

#: What other dialects call the tiers.
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_MAX_USER: Final = 256
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
        self.losses = Losses()
        request = parts_to_text(drop_remembered(request, self.losses), ANTHROPIC, self.losses)
        self.target = target
        self.own = request.dialect == ANTHROPIC
        request = self._at_its_server(request)
        self.request = request = request if self.own else choose_declared(request, self.losses)
        self.names = tool_names(request)
        self.tools = Tools(request, self.names, self.losses)
        ids = ToolNameMap(ILLEGAL, MAX_NAME)
        self.writer = BlockWriter(self.names, ids, self.losses, own=self.own)

    def _at_its_server(self, request: ChatRequest) -> ChatRequest:
        """The request without what a server that is not Anthropic's own does not take."""
        if not self.target.host.known:
            return request
        request = system_first(request, self.target, self.losses)
        request = fit_choice(request, self.target, self.losses)
        return leave_out_refused(request, self.target, self.losses, same=self.own, messages=True)

    def rendered(self) -> Rendered:
        """The whole."""
        messages = messages_of(
            self.request, self.writer, self.losses, own=self.own, prefill=self.target.prefill
        )
        thinking = plan(self.request, self.target, self.losses, forbidden=self._forbidden(messages))
        body: dict[str, Any] = {"model": self.target.model, "max_tokens": thinking.max_tokens}
        if system := self._system():
            body["system"] = system
        body["messages"] = [
            {"role": message.role, "content": [wire(block) for block in message.blocks], **message.extras}
            for message in messages
        ]
        if self.tools.declared:
            body["tools"] = self.tools.declared
        if choice := self.tools.choice(give_up_force=self._no_force(thinking)):
            body["tool_choice"] = choice
        if thinking.member is not None:
            body["thinking"] = thinking.member
        body |= self._sampling(thinking) | self._rest(thinking)
        return Rendered(
            encode(body), self.losses.all(), self.names.changed, self._headers(), self.tools.freeform
        )

    def _forbidden(self, messages: list[Message]) -> Forbidden:
        """Why the model must not think, in a budget and freely."""
        if self.tools.forced() and self.target.forced_tools == "not-thinking":
            return Forbidden(_FORCED, _FORCED, unasked=_FORCED)
        if not lacks_thinking(messages):
            return Forbidden()
        # A model that thinks as it likes may have called without thinking, which the vendor lets pass.
        # It must not go on from thinking that was there and is lost, though.
        lost = self.request.dialect in _WITHOUT_PROOFS or self._lost_proof()
        return Forbidden(_NO_PROOF, _NO_PROOF if lost else None)

    def _no_force(self, thinking: Plan) -> str:
        """Why no call can be demanded; empty: it can."""
        if self.target.forced_tools == "never":
            return _NEVER_FORCED
        return _THINKS if thinking.on and self.target.forced_tools != "always" else ""

    def _lost_proof(self) -> bool:
        """Whether thinking since the user's last own words had to be left out."""
        turns = self.request.turns
        last = -1
        for number, turn in enumerate(turns):
            if turn.role == "user" and not all(isinstance(part, ToolResult) for part in turn.parts):
                last = number
        since = {f"turns[{number}]" for number in range(last + 1, len(turns))}
        return any(
            loss.kind in _PROOF_LOSSES and loss.path.partition(".")[0] in since for loss in self.losses
        )

    def _system(self) -> list[Any]:
        return [
            block
            for number, text in enumerate(self.request.system)
            for block in self.writer.text(text, f"system[{number}]")
        ]

    def _sampling(self, thinking: Plan) -> dict[str, Any]:
        """Temperature and its like, as far as the model and its thinking admit them."""
        asked = self.request.sampling
        sent: dict[str, Any] = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k}
        sent = {name: value for name, value in sent.items() if value is not None}
        if not self.target.sampling:
            return self._drop(sent, "This model refuses sampling parameters.")
        if thinking.on:
            kept = {name: value for name, value in sent.items() if self._with_thinking(name, value)}
            left = {name: value for name, value in sent.items() if name not in kept}
            self._drop(left, "A model that thinks refuses it.")
            sent = kept
        if (heat := sent.get("temperature")) is not None and not 0 <= heat <= 1:
            sent["temperature"] = 1 if heat > 1 else 0
            self.losses("temperature", "sampling.temperature", f"{heat} is not within 0 to 1.")
        if not self.own and "temperature" in sent and "top_p" in sent:
            # Current models refuse the two together; one of them may say nothing.
            usual = is_usual("temperature", sent["temperature"])
            name = "temperature" if usual else "top_p"
            self._drop({name: sent.pop(name)}, "Current models refuse it beside a temperature.")
        if stop := self._stop():
            sent["stop_sequences"] = stop
        return sent

    def _with_thinking(self, name: str, value: float) -> bool:
        """Whether a model that thinks takes it: nothing but what changes next to nothing."""
        return (name == "temperature" and value == 1) or (name == "top_p" and self.own and value >= 0.95)

    def _drop(self, dropped: dict[str, Any], why: str) -> dict[str, Any]:
        for name, value in dropped.items():
            if not is_usual(name, value):
                self.losses(name, f"sampling.{name}", why)
        stop = self._stop()
        return {"stop_sequences": stop} if stop else {}

    def _stop(self) -> list[str]:
        stop = self.request.sampling.stop
        kept = [text for text in stop if text.strip()]
        if len(kept) != len(stop):
            self.losses("stop", "sampling.stop", "A stop sequence of blanks alone is refused.")
        return kept

    def _rest(self, thinking: Plan) -> dict[str, Any]:
        request = self.request
        self._drop_unsupported()
        body: dict[str, Any] = {"stream": True} if request.stream else {}
        config = self._output(thinking)
        metadata = self._metadata()
        if config:
            body["output_config"] = config
        if metadata:
            body["metadata"] = metadata
        if tier := self._tier():
            body["service_tier"] = tier
        if self.own:
            done = {"thinking", "output_config", "betas"}
            body |= {name: raw for name, raw in request.extras.items() if name not in done}
        else:
            note_lost_extras(request, self.losses)
        return body

    def _drop_unsupported(self) -> None:
        for path, nothing in _UNSUPPORTED.items():
            group, _, name = path.rpartition(".")
            value = getattr(self.request.sampling if group else self.request, name)
            if value is not None and value != nothing and value != ():
                self.losses(name, path, "Messages cannot express it.")

    def _output(self, thinking: Plan) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.own and (rest := self.request.extras.get("output_config")) is not None:
            config |= members(rest)
        if thinking.effort is not None:
            config["effort"] = thinking.effort
        output = self.request.output
        if output is not None and output.schema is not None:
            schema = output.schema if self.own else self._enforced(output, output.schema)
            config["format"] = {"type": "json_schema", "schema": schema}
        elif output is not None:
            why = "Messages has no JSON output without a schema, and nothing is added to a prompt."
            self.losses("output_format", "output", why)
        return config

    def _enforced(self, output: OutputFormat, schema: Json) -> Json:
        if output.name:
            self.losses("schema_name", "output.name", "Messages has no names of schemas.")
        return self._closed(with_description(schema, output.description))

    def _closed(self, schema: Json) -> Json:
        """Every object closed, as the vendor demands of a schema that is enforced."""
        value = loads(schema)
        if not _close(value):
            return schema
        self.losses("open_schema", "output.schema", "Objects that admit further members were closed.")
        return to_raw(value)

    def _metadata(self) -> dict[str, str]:
        request = self.request
        if self.own:
            return {**({} if request.user is None else {"user_id": request.user}), **request.metadata}
        metadata = {} if request.user is None else {"user_id": shorten(request.user, _MAX_USER)}
        for name in request.metadata:
            self.losses("metadata", f"metadata.{name}", "Messages takes a user id and nothing else.")
        return metadata

    def _tier(self) -> str | None:
        tier = self.request.service_tier
        if tier is None or self.own:
            return tier
        if tier not in _TIERS:
            self.losses("service_tier", "service_tier", f"Anthropic has no tier like {tier}.")
        return _TIERS.get(tier)

    def _headers(self) -> dict[str, str]:
        betas = loads(self.request.extras.get("betas", b"[]")) if self.own else []
        asked = [beta for beta in betas if isinstance(beta, str)] if isinstance(betas, list) else []
        wanted = list(dict.fromkeys([*asked, *self.tools.betas]))
        return {"anthropic-beta": ",".join(wanted)} if wanted else {}


def _close(node: Any, depth: int = 0) -> bool:
    """Close the objects of a schema in place; whether one was open."""
    if isinstance(node, list):
        return sum(_close(item, depth + 1) for item in node) > 0
    if not isinstance(node, dict) or depth > 100:
        return False
    changed = False
    if (node.get("type") == "object" or "properties" in node) and node.get(
        "additionalProperties"
    ) is not False:
        node["additionalProperties"] = False
        changed = True
    for key, value in node.items():
        if key in _SUBSCHEMAS:
            inner = list(value.values()) if key in _NAMED and isinstance(value, dict) else value
            changed |= _close(inner, depth + 1)
    return changed


_NAMED: Final = ("properties", "$defs", "definitions")
_SUBSCHEMAS: Final = (*_NAMED, "items", "prefixItems", "anyOf", "allOf", "oneOf")


def for_counting(body: bytes) -> bytes:
    """The counting request of a body that :func:`render_request` made."""
    found: Members = members(body)
    return encode({name: raw for name, raw in found.items() if name in _COUNTED})
