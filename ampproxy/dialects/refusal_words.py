"""What a refusal means for a member: in one sentence of a vendor's, read by phrases that all of them use.

The phrases were collected from refusals of OpenAI, Anthropic, Google (Gemini and Vertex), Azure, ChatGPT's
Codex backend, DeepSeek, Moonshot, DashScope, Volcengine, Mistral, Groq, Cerebras, xAI, OpenRouter,
Fireworks, NVIDIA, vLLM, SGLang and Ollama. Every pattern begins with a word of its phrase, so that no
text takes more than linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

#: The longest text that is looked at.
MAX_TEXT_CHARS = 4096
_NUMBER = r"(-?\d{1,12}(?:\.\d{1,6})?)"
_QUOTE = "['\"`]?"
_NAME = r"([\w.\[\]-]{1,160})"

#: The vendor does not take the member, whatever it holds.
_UNKNOWN = re.compile(
    r"\b(?:unsupported|unknown|unrecogni[sz]ed|unexpected (?:parameter|argument|field|key|keyword)"
    r"|not supported|not permitted|not allowed|not enabled|not available|(?:does|do)(?: not|n't) support"
    r"|deprecated|no longer supported|cannot find field|is invalid|not recogni[sz]ed|is only allowed when"
    r"|organi[sz]ation must be verified to)\b",
    re.IGNORECASE,
)
#: Members that are taken are listed, and no words.
_UNKNOWN_FIELD = re.compile(r"\bunknown field\b", re.IGNORECASE)
#: What follows are the words that are taken.
_TAKEN = re.compile(
    r"\b(?:supported (?:values|types|levels|efforts)(?: are| is| include)?|must be (?:one of|either)"
    r"|expected one of|(?:valid|allowed|accepted) (?:levels|values|options|efforts)(?: are| is)?"
    r"|should be one of|input should be)\b:?",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"['\"`]{1,3}([\w.:-]{1,40})['\"`]{1,3}|([A-Za-z][\w-]{0,39})|([,|/\[\]\s]{1,20})|\([^()]{0,60}\)|(.)"
)
_AND = ("and", "or")

_AT_MOST = (
    re.compile(
        r"\b(?:supports? at most|less than or equal to|cannot exceed|must not exceed|at most)"
        rf" {_QUOTE}{_NUMBER}",
        re.I,
    ),
    re.compile(rf"<= ?{_NUMBER}"),
    re.compile(rf"\bcannot be greater than (?:\w{{1,40}}=)?{_NUMBER}", re.I),
    re.compile(rf"> {_NUMBER}, which is the max"),
    re.compile(rf"\bexceeds the model limit of {_NUMBER}", re.I),
    re.compile(rf"\bmax(?:imum)? (?:allowed|value|length|output)(?: is| of|:)? {_QUOTE}{_NUMBER}", re.I),
)
_AT_LEAST = (
    re.compile(rf"\b(?:greater than or equal to|must be at least) {_QUOTE}{_NUMBER}", re.I),
    re.compile(rf">= ?{_NUMBER}"),
)
#: Both bounds; the last group shows that the upper one is not taken itself.
_RANGES = (
    re.compile(
        rf"\brange (?:of [\w`'\"]{{1,60}} )?(?:is|should be|must be)? ?\[{_NUMBER}, ?{_NUMBER}([\])])", re.I
    ),
    re.compile(rf"\bin (?:the )?range [\[(]{_NUMBER}, ?{_NUMBER}([\])])", re.I),
    re.compile(rf"\brange is from {_NUMBER} \((?:in|ex)clusive\) to {_NUMBER} \((in|ex)clusive\)", re.I),
    re.compile(rf"\b(?:between|integers from) {_NUMBER} (?:and|to) {_NUMBER}(\b)", re.I),
)
_ONLY = (
    re.compile(
        rf"\bonly (?:the )?(?:default )?(?:value )?\(?{_NUMBER}\)? (?:value )?is (?:supported|allowed)", re.I
    ),
    re.compile(rf"\bmay only be set to {_NUMBER}", re.I),
    re.compile(r"\bmust be set to (true|false|-?\d{1,9}(?:\.\d{1,6})?)\b", re.I),
)
_LONGEST_LIST = re.compile(r"\barray with maximum length (\d{1,6})", re.I)
_INSTEAD = re.compile(r"\buse ['\"`]([A-Za-z_]{1,60})['\"`] instead", re.I)
#: One value is refused, and which are not is left open.
_VALUE = re.compile(
    r"(?:level|value|effort) ['\"`]?(?!is\b|are\b|not\b)([A-Za-z]{2,20})['\"`]? (?:is )?not supported"
    r"|\bnot support ['\"`]([A-Za-z]{2,20})['\"`] with",
    re.I,
)
#: Thinking that cannot be switched off.
_ALWAYS = re.compile(
    r"\bcan(?:'t|not) be disabled\b|\bonly works in thinking mode\b|\brestricted to true\b", re.I
)
#: Terms of requests that ask for thinking, and of no other.
_WHILE = re.compile(r"\b(?:when|while|with) (?:extended )?(?:thinking|reasoning)\b", re.I)
#: Limits it to some calls, which a lesson could not set apart.
_SOMETIMES = re.compile(r"\bnon-stream|\bwhen (?:using )?stream|\bwhen stream", re.I)
_BOTH = re.compile(
    rf"{_QUOTE}\b(\w{{1,40}}){_QUOTE} and {_QUOTE}(\w{{1,40}}){_QUOTE} can(?:not|'t) both be ", re.I
)
_THINKING_TYPE = re.compile(r"thinking\.type[.:= ]{1,3}['\"`]?(\w{1,20})['\"`]{0,2} is not supported", re.I)
_THINKING_INSTEAD = re.compile(r"use ['\"`]thinking\.type[.:= ]{1,3}['\"`]?(\w{1,20})", re.I)
_ONLY_ENABLED = re.compile(r"\bthinking: only type=['\"`]?enabled\b", re.I)
_ADAPTIVE = re.compile(
    r"\b(adaptive) thinking is not supported|thinking; '(\w{1,20})' is not|\binput tag '(adaptive)' found",
    re.I,
)
#: Few texts have less.
_BYTES_A_TOKEN = 3
_BETA = re.compile(
    r"\b(?:unexpected|unsupported|invalid|unknown) (?:value[^\n]{0,400}\banthropic-beta\b|betas?\b)"
    r"|\bbeta is not (?:yet )?available\b|\bincompatible with the long context beta\b",
    re.I,
)
_LONG_CONTEXT = "long context"


class Terms(NamedTuple):
    """What a sentence lays down. Bounds are inclusive.

    :ivar unknown: the member is refused, whatever it holds.
    :ivar words: those that are taken; ``refused``: one that is not.
    :ivar only: the one value that is taken, as JSON text.
    :ivar always: thinking that cannot be switched off.
    :ivar thinking: it is refused beside thinking only.
    """

    unknown: bool = False
    words: tuple[str, ...] = ()
    refused: str = ""
    most: float | None = None
    least: float | None = None
    only: str = ""
    longest: int | None = None
    instead: str = ""
    always: bool = False
    thinking: bool = False


def terms_in(text: str) -> Terms:
    """What a vendor's sentence means for a member."""
    text = text[:MAX_TEXT_CHARS]
    if _SOMETIMES.search(text):
        return Terms()
    least, most = _bounds(text)
    taken = None if _UNKNOWN_FIELD.search(text) else _TAKEN.search(text)
    value, longest, instead = _VALUE.search(text), _LONGEST_LIST.search(text), _INSTEAD.search(text)
    return Terms(
        _UNKNOWN.search(text) is not None,
        listed(text[taken.end() : taken.end() + 400]) if taken else (),
        (value[1] or value[2]) if value else "",
        most,
        least,
        _first(_ONLY, text).lower(),
        int(longest[1]) if longest else None,
        instead[1] if instead else "",
        _ALWAYS.search(text) is not None,
        _WHILE.search(text) is not None,
    )


def listed(text: str) -> tuple[str, ...]:
    """The words at the beginning of a text: quoted ones, or at least two that commas, "and" or "or" part."""
    quoted: list[str] = []
    bare: list[str] = []
    parted = True
    for token in _TOKEN.finditer(text):
        word = token[2]
        if token[1]:
            quoted.append(token[1])
            parted = False
        elif word is not None:
            if word.lower() in _AND:
                parted = True
            elif quoted or not parted:
                break
            else:
                bare.append(word)
                parted = False
        elif token[3]:
            parted = parted or any(mark in token[3] for mark in ",|/[")
        elif token[4] and token[4] not in "'\"`:":
            break
    return tuple(dict.fromkeys(quoted)) if quoted else tuple(dict.fromkeys(bare)) if len(bare) > 1 else ()


def _bounds(text: str) -> tuple[float | None, float | None]:
    for pattern in _RANGES:
        if found := pattern.search(text):
            exclusive = found[3] in (")", "ex")
            # Of whole numbers the one before; of a fraction the next is as good as it.
            upper = float(found[2])
            return float(found[1]), upper - 1 if exclusive and "." not in found[2] else upper
    least, most = _first(_AT_LEAST, text), _first(_AT_MOST, text)
    return float(least) if least else None, float(most) if most else None


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> str:
    return next((found[1] for pattern in patterns if (found := pattern.search(text))), "")


#: The member's name behind a phrase, with the place that it stands in if that is named, too.
_AT = (
    re.compile(r"\bunknown name \\?\"([^\"\\]{1,100})\\?\" at '([^']{1,300})'", re.I),
    re.compile(r"\('([\w.\[\]]{1,100})' ?: ?property '(\w{1,100})' is unsupported"),
)
_BEHIND = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"\bunknown name \\?\"([^\"\\]{1,100})\\?\"",
        rf"\bproperty {_QUOTE}{_NAME}{_QUOTE} is unsupported",
        r"\b(?:unsupported|unknown|unrecognized|unexpected|invalid) (?:request )?"
        r"(?:parameter|argument|field|property|key|value|option)(?:s|\(s\))?(?: supplied)?(?: for)?"
        rf":? ?{_QUOTE}{_NAME}",
        rf"\bargument not supported on this model: ?{_QUOTE}{_NAME}",
        rf"\bnot support (?:the )?parameters?:? \[?{_QUOTE}{_NAME}",
        rf"\bnot support (?:the )?{_QUOTE}([\w.]{{1,80}}){_QUOTE} parameter",
        rf"\bparameter[ =]{_QUOTE}{_NAME}",
        r"\b(\w{1,40})=\d{1,12} cannot be greater",
        rf"\bnot permitted, field: ?{_QUOTE}{_NAME}",
        rf"\bvalidation error for {_QUOTE}{_NAME}",
        rf"\binvalid {_QUOTE}([\w.\[\]]{{1,160}}){_QUOTE}(?::| value)",
        rf"\brange of {_QUOTE}(\w{{1,60}})",
        r"\bhas an? (\w{1,60}) value of",
        r"\bare supported for (\w{1,40})",
        rf"\bnot support {_QUOTE}(\w{{1,60}})",
    )
)
_TWO_WORDS = re.compile(r"\b(thinking|reasoning|media)[ _](budget|level|effort|config|resolution)\b", re.I)
_ONE_WORD = re.compile(
    r"\b(budget|level|think value)\b(?= [\"'`]?\w{1,20}[\"'`]? (?:is )?(?:invalid|not ))", re.I
)
#: A phrase with the member's name right before it.
_BEFORE = re.compile(
    r" (?:is |are )?(?:not (?:supported|permitted|allowed|enabled|available)|unsupported|deprecated)"
    r"| (?:must be|may only be|is too large|can(?:'t|not) be)\b|: (?:extra|additional) input",
    re.I,
)
#: At the beginning of a line: ``messages.1.content.0.tool_use.index: Extra inputs are not permitted``.
_LINE = re.compile(r"[ \t*'\"`]{0,4}([\w.\[\]-]{1,200}): ")
_NOT_NAMES = frozenset(
    ("a", "an", "the", "this", "that", "it", "value", "values", "input", "inputs", "model", "and", "or")
)


def names_in(text: str) -> Iterator[str]:
    """The members that a sentence may be about, the likeliest first; the places of nested ones with dots."""
    text = text[:MAX_TEXT_CHARS]
    for pattern in _AT:
        for found in pattern.finditer(text):
            first, second = found[1], found[2]
            yield f"{second}.{first}" if pattern is _AT[0] else f"{first}.{second}"
    if line := _LINE.match(text):
        yield line[1]
    for pattern in _BEHIND:
        if behind := pattern.search(text):
            yield behind[1].rstrip(".")
    if two := _TWO_WORDS.search(text):
        yield two[1] + two[2]
    if one := _ONE_WORD.search(text):
        yield {"budget": "thinkingbudget", "level": "level"}.get(one[1].lower(), "think")
    for phrase in _BEFORE.finditer(text):
        words = text[max(0, phrase.start() - 200) : phrase.start()].split()
        word = words[-1].strip("'\"`*,:;().") if words else ""
        if word and word.lower() not in _NOT_NAMES:
            yield word


def exclusive_in(text: str) -> tuple[str, str] | None:
    """Two members that must not both be there."""
    found = _BOTH.search(text[:MAX_TEXT_CHARS])
    return (found[1], found[2]) if found else None


def thinking_refused_in(text: str) -> tuple[str, str] | None:
    """A ``type`` of Anthropic's ``thinking`` that a model refuses, and the one that it wants instead."""
    text = text[:MAX_TEXT_CHARS]
    if found := _THINKING_TYPE.search(text):
        instead = _THINKING_INSTEAD.search(text)
        return found[1], instead[1] if instead else ""
    if _ONLY_ENABLED.search(text):
        return "disabled", "enabled"
    found = _ADAPTIVE.search(text)
    return ((found[1] or found[2] or found[3]).lower(), "") if found else None


#: A content that has to be a text.
WANTS_TEXT = re.compile(
    r"\binvalid type: sequence, expected a string"
    r"|\bcontent\b.{0,40}\b(?:must|should) be (?:a |of type )?(?:valid )?string"
    r"|\bcontent\b.{0,40}\b(?:cannot|must not|may not) be null"
    r"|\bcontent\b.{0,40}\bexpected a string,? (?:but )?got null",
    re.I,
)
#: Texts and messages that must not be empty.
REFUSES_BLANKS = re.compile(
    r"\btext content blocks must (?:be non-empty|contain)|\bmust have non-empty content"
    r"|\btext field in the ContentBlock .{0,80}is blank|\bwith role '?\w{1,20}'? must not be empty",
    re.I,
)
#: Roles that a model's template, or another server of Messages, does not take where they stand.
_TURNS = re.compile(
    r"\bsystem messages? must be (?:at the beginning|(?:the )?first)|\broles must alternate"
    r"|\b(?:unexpected|unknown) role\b|\brole: input should be 'user' or 'assistant'"
    r"|\binvalid value: 'developer'|\bunknown variant [`'\"]?(?:system|developer)\b",
    re.I,
)
_NO_SYSTEM = re.compile(
    r"\b(?:system role|role ['\"`]?system['\"`]?) (?:is )?not supported"
    r"|\bdeveloper instruction is not enabled",
    re.I,
)
#: Pictures that a model or its server does not take.
REFUSES_PICTURES = re.compile(
    r"\b(?:not support|no support for) (?:any )?(?:images?|vision|multimodal)\b"
    r"|\bimages? (?:inputs? |content |modality ){0,2}(?:is|are) not (?:supported|enabled)"
    r"|\bunknown variant `image_url`|\bnot a multimodal model|\bat most 0 image",
    re.I,
)
#: Kinds of tools that a server of Responses takes, where others are refused.
_KINDS_OF_TOOLS = re.compile(
    r"'type' of tool must be (?P<one>'\w{1,40}')"
    r"|\bonly [`'\"]{0,2}(?:type: ?)?(?P<only>['\"`]\w{1,40}['\"`]{1,2}) tools (?:are|is) supported"
    r"|\b(?:invalid value: '\w{1,40}'\. supported values are: |input should be "
    r"|unknown variant `\w{1,40}`, expected (?:one of )?)(?P<all>.{1,400})",
    re.I | re.DOTALL,
)
#: One that it does not take, where the others are left open.
_KIND_OF_TOOL = re.compile(
    r"\b(?:unsupported|unknown|invalid) tool type:? ['\"`]?(\w{1,40})"
    r"|\btool(?: type)? ['\"`]?(\w{1,40})['\"`]? is not supported\b",
    re.I,
)
_TYPE_OF_TOOL = re.compile(r"\btools(?:\[\d{1,4}\]|\.\d{1,4})(?:\.type)?\b|\bof tool\b|\btool type\b", re.I)
#: Thinking of earlier turns that is to be sent back.
WANTS_THOUGHTS = re.compile(
    r"\breasoning_content\b.{0,60}\b(?:must be (?:passed|sent) back|is (?:missing|required))"
    r"|\b(?:missing|must include) ['\"`]?reasoning_content\b",
    re.I,
)
_NO_SIGNATURE = re.compile(r"\bmissing (?:a |the )?thought_?signature\b", re.I)
_BAD_SIGNATURE = re.compile(
    r"\b(?:corrupted|invalid) thought[ _]?signature\b|\bthought[ _]?signature is (?:not valid|invalid)\b",
    re.I,
)
#: A last turn of an assistant's that the model would have to go on with.
REFUSES_PREFILL = re.compile(
    r"\bassistant message prefill\b|\bconversation must end with a user message\b"
    r"|\bexpected last role user or tool\b|\bthe last message is from the assistant\b",
    re.I,
)
#: What the backend of Codex logins says where a gateway before it adds nothing of its own.
IS_OF_LOGINS = re.compile(
    r"\b(?:input must be a list|instructions are (?:required|not valid)|stream must be set to true"
    r"|store must be set to false|system messages are not allowed)\b",
    re.I,
)
#: What a model can hold, question and answer together; and what the question is of it, or all and the answer.
_CONTEXT = re.compile(
    r"\b(?:maximum context length (?:is|of)|exceed context limit: [\d +]{3,24}>|max_new_tokens` must be <=)"
    r" (\d{1,9})\b",
    re.I,
)
_ASKED = re.compile(
    r"\b(\d{1,9}) (?:input tokens|`inputs` tokens|in the messages|tokens in the (?:prompt|messages))"
    r"|\blimit: (\d{1,9}) \+",
    re.I,
)
_ALL = re.compile(
    r"\brequested (?:about )?(\d{1,9}) tokens\b.{0,120}?\b(\d{1,9}) in the (?:output|completion)", re.I
)
#: What that is at least, where it was not counted to its end.
_AT_LEAST_ASKED = re.compile(r"\bat least \d{1,9} input tokens", re.I)


def turns_in(text: str, *, of_role: bool = False) -> tuple[str, ...] | None:
    """Roles that are not taken at all, where the roles of messages are refused; ``None``: they are not.

    :param of_role: whether a validator complains of a message's role.
    """
    if _NO_SYSTEM.search(text) or (of_role and "'user'" in text and "'system'" not in text):
        return ("system",)
    return () if _TURNS.search(text) else None


def kinds_of_tools(text: str, *, named: bool = False) -> tuple[str, ...]:
    """The types of tools that are taken, where the type of one is refused.

    :param named: whether it is known that the type of a tool is meant.
    """
    found = _KINDS_OF_TOOLS.search(text)
    if found is None or not (named or found["only"] or _TYPE_OF_TOOL.search(text)):
        return ()
    return listed(found["one"] or found["only"] or found["all"])


def kind_of_tool(text: str, *, named: bool = False) -> str:
    """The type of tools that is not taken; empty: others, or none, are meant.

    :param named: as :func:`kinds_of_tools`.
    """
    found = _KIND_OF_TOOL.search(text)
    return (found[1] or found[2]) if found and (named or _TYPE_OF_TOOL.search(text)) else ""


def signatures_in(text: str) -> tuple[str, ...] | None:
    """Whether calls need signatures of Gemini's, and, if there are words, others than they have; ``None``:
    that is not the matter.
    """
    if _BAD_SIGNATURE.search(text):
        return ("all",)
    return () if _NO_SIGNATURE.search(text) else None


def betas_in(text: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Of the values of ``anthropic-beta`` that were asked for, those that are refused; none: they are not."""
    if not asked or not _BETA.search(text):
        return ()
    named = tuple(beta for beta in asked if beta in text)
    return named or tuple(beta for beta in asked if _LONG_CONTEXT not in text or "context-1m" in beta)


def room_in(text: str, size: int) -> int | None:
    """What is left for an answer beside its question, of all that the model can hold; ``None``: that is not
    the matter.

    :param size: of the question, in bytes, where its tokens were not all counted.
    """
    context = _CONTEXT.search(text)
    if context is None:
        return None
    if asked := _ASKED.search(text):
        tokens = int(asked[1] or asked[2])
        if _AT_LEAST_ASKED.search(text):
            tokens = max(tokens, size // _BYTES_A_TOKEN)
    elif everything := _ALL.search(text):
        tokens = int(everything[1]) - int(everything[2])
    else:
        return None
    return int(context[1]) - tokens
