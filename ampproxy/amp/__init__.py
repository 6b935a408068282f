"""What Amp's clients need of a request or an answer beyond its dialect.

Requests are cleaned of proofs that a vendor would refuse; answers get the asked model's name, tool names
in the request's own casing, and the members without which Amp's clients stop. Everything works on bytes,
and what is not interpreted keeps its exact text.
"""

from __future__ import annotations

from ampproxy.amp.answer import AnswerRewriter
from ampproxy.amp.request import clean_beta, clean_request, may_hold_thinking
from ampproxy.amp.tools import ToolNames, declared_tools

__all__ = [
    "AnswerRewriter",
    "ToolNames",
    "clean_beta",
    "clean_request",
    "declared_tools",
    "may_hold_thinking",
]
