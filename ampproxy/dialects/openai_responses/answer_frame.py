"""The ``response`` object around the items of an answer, as every lifecycle event repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.errors import by_word
from ampproxy.dialects.json import encode, loads
from ampproxy.dialects.openai import error_object, responses_usage_body
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.events import Usage, WireError
from ampproxy.model.request import ChatRequest

#: Ends that are not ``completed``, and the reason in ``incomplete_details``.
INCOMPLETE: dict[str, str] = by_word(
    {"max_output_tokens": "length context unknown", "content_filter": "blocked refusal"}
)
#: Members of the request that an answer repeats as they came.
_ECHOED = ("previous_response_id", "truncation", "background", "max_tool_calls", "conversation")


class Frame:
    """Writes the response object at any point of the answer's life.

    :param id: the answer's id, the same in all events.
    :param created: seconds since the epoch.
    """

    def __init__(self, context: AnswerContext, id: str, created: int) -> None:
        self.id = id
        head = {"id": id, "object": "response", "created_at": created}
        self._head = encode(head)[:-1] + b',"status":'
        self._tail = b"," + encode({"model": context.model, **_echo(context.asked)})[1:]

    def write(
        self,
        status: str,
        output: Sequence[bytes] = (),
        *,
        usage: Usage | None = None,
        incomplete: str | None = None,
        error: WireError | None = None,
        beside: dict[str, Json] | None = None,
    ) -> bytes:
        """The object's JSON text.

        :param output: the JSON text of each item.
        :param incomplete: the reason, for status ``incomplete``.
        :param beside: further members.
        """
        details = encode({"reason": incomplete} if incomplete else None)
        ended = b'%b,"error":%b,"incomplete_details":%b' % (encode(status), encode(_error(error)), details)
        counts = encode(responses_usage_body(usage) if usage is not None else None)
        tail = self._tail[:-1] + b"," + encode(beside)[1:] if beside else self._tail
        return b'%b%b,"output":[%b],"usage":%b%b' % (self._head, ended, b",".join(output), counts, tail)


def code_of(error: WireError) -> str | None:
    """The code of an error within a stream. Codex ends its turn at an overload there, and asks again at once
    at any other fault of a server.
    """
    code: str | None = error_object(error)["code"]
    return "server_error" if error.kind == "overloaded" else code


def _error(error: WireError | None) -> dict[str, Any] | None:
    """``ResponseError``: a code is required here."""
    if error is None:
        return None
    code = code_of(error) or ("invalid_prompt" if error.status < 500 else "server_error")
    return {"code": code, "message": error.message}


def _echo(request: ChatRequest) -> dict[str, Any]:
    """What the answer repeats of the request. Tools and instructions, which may be long and which every
    event would repeat, are left empty: the client has them.
    """
    sampling, thinking, choice = request.sampling, request.thinking, request.choice
    echo: dict[str, Any] = {
        "instructions": None,
        "metadata": request.metadata,
        "parallel_tool_calls": request.parallel is not False,
        "temperature": sampling.temperature,
        "tool_choice": "auto",
        "tools": [],
        "top_p": sampling.top_p,
        "max_output_tokens": sampling.max_tokens,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
    }
    if choice is not None and choice.mode in ("none", "required"):
        echo["tool_choice"] = choice.mode
    elif choice is not None and choice.mode == "named":
        echo["tool_choice"] = {"type": "function", "name": choice.name}
    if thinking is not None:
        effort = "none" if thinking.mode == "off" else thinking.level
        echo["reasoning"] = {"effort": effort, "summary": thinking.summary}
    if request.dialect == RESPONSES:
        echo |= {name: request.extras[name] for name in _ECHOED if name in request.extras}
        more = loads(request.extras.get("text", b"null"))
        echo["text"] = {**echo["text"], **more} if isinstance(more, dict) else echo["text"]
    return echo
