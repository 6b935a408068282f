"""What the end of an answer means where the vendor's word for it stands in no table of a dialect.

New models and servers bring new words. What such a word means decides: that the answer broke, was
withheld, or was cut short. One without a meaning is never taken for a good end: an agent would act on half an
answer.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from ampproxy.dialects.errors import by_word
from ampproxy.dialects.json import is_object, loads
from ampproxy.errors import STATUS
from ampproxy.model.events import ErrorKind, Finished, FinishReason, WireError

#: Words of good ends, and of those that name what cut the answer short: local servers, Cohere, Bedrock.
_KNOWN: Final[dict[str, FinishReason]] = by_word(
    {
        "stop": (
            "stop stopped eos eos_token end end_turn end_of_turn complete completed done finish finished "
            "finish_reason_stop success normal stop_sequence stop_word stop_str"
        ),
        "length": "length",
        "tool_calls": "tool_call tool_calls tool_use function_call",
        "pause": "pause pause_turn",
    }
)

#: What a word is looked through for; the first that is found counts.
_BROKEN: Final[tuple[tuple[re.Pattern[str], ErrorKind], ...]] = (
    (re.compile(r"time_?d?_?out|deadline"), "timeout"),
    (re.compile(r"overload|insufficient|unavailable|capacity|busy"), "overloaded"),
    (
        re.compile(
            r"error|fail|fault|abort|cancel|malform|missing|unexpected|interrupt|invalid|crash|too_many"
            r"|disconnect|preempt|kill|broken|function_call_filter|exception|unload"
        ),
        "unavailable",
    ),
)
_CUT: Final[tuple[tuple[re.Pattern[str], FinishReason], ...]] = (
    (re.compile(r"refus"), "refusal"),
    (
        re.compile(r"filter|safety|block|prohibit|recitation|sensitive|moderat|guardrail|policy|spii|violat"),
        "blocked",
    ),
    (re.compile(r"context"), "context"),
    (re.compile(r"length|max_|token|limit(?!ed)|truncat"), "length"),
)
#: A vendor's word is shown so far.
_SHOWN: Final = 100


def read_end(word: str) -> FinishReason | WireError:
    """What a vendor's word for the end of its answer means: an error, if the answer broke; ``unknown`` where
    the word does not show.
    """
    plain = word.strip().lower().replace("-", "_").replace(" ", "_")
    # Behind the name of the enum, as Python writes one.
    if known := _KNOWN.get(plain.rpartition(".")[2]):
        return known
    for pattern, kind in _BROKEN:
        if pattern.search(plain):
            return broke(word, kind)
    return next((reason for pattern, reason in _CUT if pattern.search(plain)), "unknown")


#: Ends for which some dialects have no word of their own: what they cannot express.
BENT: Final[dict[FinishReason, str]] = {
    "stop_sequence": "which stop sequence was hit",
    "pause": "that the turn can be continued",
}

#: A call without a name cannot be run, and neither a client nor the next turn takes it.
NAMELESS: Final = WireError(
    "unavailable", "The vendor's answer has a tool call that names no tool.", 502, "nameless_call"
)
#: An agent takes an answer that is nothing for its work being done.
EMPTY: Final = WireError(
    "unavailable",
    "The model answered with nothing: its answer ended before the first word. Another try may do better; if "
    "not, shorten the conversation or ask another model.",
    502,
    "empty_answer",
)
CUT_CALL: Final = WireError(
    "unavailable", "The vendor's answer broke off in the middle of a tool call.", 502, "cut_call"
)

#: The vendor's word of an end that it calls good, though it is in the middle of a call.
CUT: Final = "cut_call"
#: A text within JSON, and the quote that closes it.
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)', re.DOTALL)
_ARGUMENTS: Final = re.compile(rb'"(?:arguments|partial_json)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')


def is_cut_off(arguments: str) -> bool:
    """Whether the arguments of a call are the beginning of an object."""
    if not arguments.lstrip().startswith("{") or is_object(arguments):
        return False
    bare = _STRING.sub(lambda found: "" if found[1] else "{", arguments)
    return bare.count("{") + bare.count("[") > bare.count("}") + bare.count("]")


def may_be_cut(*texts: bytes) -> bool:
    """Whether a call may be cut off whose pieces stand in these JSON texts, in order."""
    pieces = [piece for text in texts for piece in _ARGUMENTS.findall(text)]
    arguments = loads(b'"%b"' % b"".join(pieces))
    return isinstance(arguments, str) and is_cut_off(arguments)


def honest_end(end: Finished, *, cut: bool) -> Finished:
    """The end of an answer; a good one in the middle of a call is none: servers (vLLM) report a call where
    the limit cut one off.
    """
    return replace(end, reason="length", detail=CUT) if cut and end.reason in ("stop", "tool_calls") else end


def broke(word: str, kind: ErrorKind = "unavailable") -> WireError:
    """The error of an answer that a vendor broke off with this word; another try may do better."""
    return WireError(kind, f"The vendor broke off its answer: {word[:_SHOWN]}.", STATUS[kind], word[:_SHOWN])
