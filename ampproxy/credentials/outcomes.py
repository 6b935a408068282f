"""What a failure means for the account that it came from: the one table, :data:`RULES`.

A failure is known by its HTTP status, by the kind that the dialect's reader gave it, and by the vendor's
words. The first row that fits counts. How long an account rests is the vendor's to say, within the bounds
of the pool; where it says nothing, the row's own time doubles with each failure in a row.

A kept connection that dies unanswered is no failure of the account: the exchange asks once more, there.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Account
from ampproxy.credentials.quota import exhausted_until, seconds_until, windows
from ampproxy.errors import UNREADABLE, ExchangeError, Unreachable
from ampproxy.model.base import Value
from ampproxy.model.events import ErrorKind, WireError
from ampproxy.wire.headers import http_date
from ampproxy.wire.late import LatePattern


class Action(enum.Enum):
    """What to do about a failure. The values are words for the log."""

    TRY_NEXT = "another account is tried"
    REST_MODEL = "the account cools down for this model"
    REST_ACCOUNT = "the account cools down"
    LOGIN = "the account needs a new key or login"
    OVERLOADED = "the vendor is overloaded"
    CLIENT = "the request itself is at fault"


#: Actions that concern all models of an account.
WHOLE_ACCOUNT = frozenset((Action.REST_ACCOUNT, Action.LOGIN))
#: Actions that make an account rest.
COOLDOWNS = WHOLE_ACCOUNT | {Action.REST_MODEL, Action.OVERLOADED}

MINUTE = 60.0
#: The longest that any row names: CLIProxyAPI's twelve hours outlive what they were meant for.
HALF_AN_HOUR = 30 * MINUTE


class Verdict(Value, frozen=True, kw_only=True):
    """What a failure means.

    :param reason: in words, after the account's name: "is rate limited".
    :param cooldown: the first rest, in seconds; doubles with each failure in a row, up to ``longest``.
    :param hint: how long the vendor says; ``None``: it does not.
    :param suggestion: what the owner can do about it; empty if only time helps.
    :param always: rest even where cooling is disabled.
    :param per_operation: only this kind of call rests: a vendor that cannot count a model's tokens may well
        serve it.
    :param vendor_message: what the vendor answered: its status and the beginning of its words.
    """

    action: Action
    reason: str
    cooldown: float = 0.0
    longest: float = HALF_AN_HOUR
    hint: float | None = None
    suggestion: str = ""
    always: bool = False
    per_operation: bool = False
    vendor_message: str = ""

    @property
    def try_next(self) -> bool:
        """Whether another account may do better."""
        return self.action is not Action.CLIENT

    @property
    def is_temporary(self) -> bool:
        """Whether time alone will help, so that the client should try again."""
        return self.action in COOLDOWNS and not self.suggestion

    @property
    def is_quota(self) -> bool:
        """Whether the account has used up something that comes back by itself."""
        return self.action in COOLDOWNS and self.reason in _QUOTA_REASONS


_LIMITED = "is rate limited"
_USED_UP = "has used up its plan's limit"
_FULL = "reports that the model is at capacity"
_QUOTA_REASONS = frozenset((_LIMITED, _USED_UP, _FULL))


class Rule(Value, frozen=True):
    """A row: the failures that it fits, all of what it names, and the verdict on them.

    :param statuses: any of these; empty: whatever the status.
    :param kinds: any of these; empty: whatever the kind.
    :param words: found in the error's code, message or body.
    """

    verdict: Verdict
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[ErrorKind] = frozenset()
    words: LatePattern[str] | None = None

    def fits(self, status: int, kind: ErrorKind, text: str) -> bool:
        """Whether a failure is this row's."""
        if self.statuses and status not in self.statuses:
            return False
        if self.kinds and kind not in self.kinds:
            return False
        return self.words is None or self.words.search(text) is not None


def _words(*alternatives: str) -> LatePattern[str]:
    return LatePattern("|".join(alternatives), re.IGNORECASE)


def _verdict(
    action: Action, reason: str, cooldown: float = 0.0, suggestion: str = "", **more: Any
) -> Verdict:
    return Verdict(action=action, reason=reason, cooldown=cooldown, suggestion=suggestion, **more)


_CHALLENGE = _words(
    r"<title>\s*just a moment", r"cf[-_]chl", r"cf-mitigated: challenge", r"attention required! \|"
)
#: A model's name, perhaps quoted, and the space behind it. A literal that follows a repeat is looked for in
#: one step; before anything else, re would give back one character of the name after another.
_NAME = r"(?:[\w./:@-]{1,200} |[`'\"][\w./:@-]{1,200}[`'\"] )"
_NOT_FOR_THIS_ACCOUNT = _words(
    r"\bmodel_not_(?:found|supported|available)\b",
    r"\busage_not_included\b",
    # "model X is not supported", but not "X is not supported with this model".
    rf"\bmodels?\b[:/]?\s*(?:{_NAME}\s*)?(?:is\s+|was\s+)?(?:currently\s+)?"
    r"(?:not\s+(?:supported|available|found|enabled|accessible)|unsupported|unavailable|does\s+not\s+exist)",
    r"\b(?:unsupported|unknown|invalid) model\b",
    r"\bnot (?:available|supported|included|allowed) (?:on|in|with|for|by|under) (?:this|your) (?:current )?"
    r"(?:plan|subscription|account|tier|api key|organization)",
    r"\bnot have access to (?:the |this )?model",
    r"\bonly supported (?:in|via|through) (?:the )?/?v1/responses\b",
)
_NOT_PERSISTED = _words(
    r"store.{0,20}\bfalse\b", r"not persisted", r"previous_response", r"previous response", r"item with id"
)
_THING = (
    "(?:file|item|container|vector[ _]store|conversation|response|prompt|skill|cached ?content|thread|batch"
    "|upload)"
)
#: A file or the like that a request names is the client's to have; which account has it, nobody knows.
_THING_OF_THE_CLIENT = _words(
    rf"\b(?:no such|unknown|access the) {_THING}\b",
    rf"\b{_THING}\b[^.]{{0,80}}\bnot (?:be )?(?:found|exist)",
    rf"\bno {_THING}s? (?:was |were )?(?:found|with)\b",
    r"\b(?:thread|previous_response|conversation|container|vector_store|file)_not_found\b",
)
#: What was asked is refused, whoever asks it.
_FLAGGED = _words(
    r"\brequires moderation\b",
    r"\b(?:input|prompt|request|content) was flagged\b",
    r"\b(?:content|cyber|bio)_policy(?:_violation)?\b",
    r"\bcontent_filter\b",
)
_NO_MONEY = _words(
    *(r"credit balance", r"insufficient[ _](?:quota|balance|funds|credits)", r"billing", r"payment required"),
    *(r"\barrearage\b", r"\baccountoverdue", r"balance is (?:insufficient|not enough)", r"余额不足|欠费"),
    *(r"\bextra usage\b", r"\bused all available credits\b"),
)
_CLOSED = _words(r"\bsuspended\b", r"\bdeactivated\b", r"\bbanned\b", r"organization has been disabled")
_SPENDING_LIMIT = _words(
    r"\bspecified api usage limits?\b", r"\bspend(?:ing)? limit (?:has been )?(?:reached|exceeded)"
)
_NOT_HERE = _words(
    r"\blocation is not supported",
    r"\bunsupported_country",
    r"\b(?:country|region|territory)[\w, ]{0,40} not supported",
)
#: A gateway's accounts are busy or gone, or its vendor is, though it blames the request.
_FOR_A_WHILE = _words(
    r"\bno available (?:channel|account|provider|endpoint)",
    r"\btemporarily unavailable\b",
    r"\btry again later\b",
)
#: One request is beyond what the account may use in a minute.
_TOKENS_A_MINUTE = _words(r"\btokens per minute\b", r"\bTPM\b", r"\brate_limit_exceeded\b")
_PLAN_LIMIT = _words(r"\busage_limit_reached\b", r"usage limit")
_AT_CAPACITY = _words(r"model is at capacity")
_BAD_KEY = _words(r"api[_ ]key[_ ](?:is )?(?:invalid|not valid|expired)", r"invalid_api_key")

_NEW_KEY = "put a valid key into the configuration"
_TOP_UP = "add credit or raise the spending limit at the vendor"
_ASK = "check the account's page at the vendor"
_ELSEWHERE = "reach the vendor by a proxy-url in a place that it serves"
_MODELS = "check which models the account may use, and list them in its models or excluded-models"

_CLIENT = _verdict(Action.CLIENT, "rejects the request as invalid")
_OUT_OF_CREDIT = _verdict(Action.REST_ACCOUNT, "is out of credit", HALF_AN_HOUR, _TOP_UP)
_REJECTED = _verdict(Action.LOGIN, "has a key that its vendor rejects", HALF_AN_HOUR, _NEW_KEY)
#: What a vendor has taken away is no trouble of the account's, which serves other models as before.
RETIRED = _verdict(Action.TRY_NEXT, "no longer has this model")

_MODEL = rf"\b(?:publisher |this |the )?models?\b[:/]? ?(?:version |{_NAME}){{0,2}}"
_IS = r"(?:has|have|is|was|were) (?:been |now |already |permanently ){0,3}"
_TAKEN_AWAY = r"(?:retired|decommissioned|discontinued|sunset|shut ?down|removed|withdrawn)\b"
#: What vendors answer of a model that is gone, whatever the status.
_GONE = _words(
    r"\bmodel_?(?:decommissioned|retired|sunset|end_?of_?life)\b",
    rf"{_MODEL}(?:{_IS}{_TAKEN_AWAY}"
    r"|(?:has )?reached (?:the |its )?end of (?:its |the )?life"
    r"|(?:is |are )?no longer (?:available|supported|served|offered|accessible)\b"
    r"(?! (?:to|for|on|in|with) ))",
)
#: What may also be said of one that is still there, or of a member.
_DEPRECATED = _words(r"\bmodel_?deprecated\b", rf"{_MODEL}{_IS}deprecated\b")

#: Sources: the vendors' error pages; CLIProxyAPI's table of rests, bounded to half an hour.
RULES: tuple[Rule, ...] = (
    Rule(
        _verdict(Action.REST_MODEL, "answers with a challenge page instead of serving", 10, _ASK),
        frozenset((403, 429, 502, 503)),
        words=_CHALLENGE,
    ),
    Rule(
        _verdict(Action.TRY_NEXT, "has a lower limit than this request needs"),
        frozenset((413,)),
        words=_TOKENS_A_MINUTE,
    ),
    Rule(_CLIENT, kinds=frozenset(("context_length", "too_large"))),
    Rule(_CLIENT, frozenset((403,)), words=_FLAGGED),
    Rule(RETIRED, frozenset((400, 403, 404, 410, 422)), words=_GONE),
    Rule(RETIRED, frozenset((404, 410)), words=_DEPRECATED),
    Rule(
        _verdict(
            Action.REST_MODEL,
            "does not serve this model",
            HALF_AN_HOUR,
            _MODELS,
            always=True,
            per_operation=True,
        ),
        frozenset((400, 403, 404, 422)),
        words=_NOT_FOR_THIS_ACCOUNT,
    ),
    Rule(_CLIENT, frozenset((404,)), words=_NOT_PERSISTED),
    Rule(_CLIENT, frozenset((403, 404)), words=_THING_OF_THE_CLIENT),
    Rule(_OUT_OF_CREDIT, kinds=frozenset(("billing",))),
    Rule(_OUT_OF_CREDIT, frozenset((402,))),
    Rule(_OUT_OF_CREDIT, frozenset((400, 403)), words=_NO_MONEY),
    Rule(_verdict(Action.REST_ACCOUNT, _USED_UP, HALF_AN_HOUR), frozenset((400, 403)), words=_SPENDING_LIMIT),
    Rule(
        _verdict(Action.REST_ACCOUNT, "is not served where the gateway is", HALF_AN_HOUR, _ELSEWHERE),
        frozenset((400, 403, 451)),
        words=_NOT_HERE,
    ),
    Rule(
        _verdict(Action.LOGIN, "is closed by its vendor", HALF_AN_HOUR, _ASK),
        frozenset((400, 401, 403)),
        words=_CLOSED,
    ),
    Rule(_REJECTED, kinds=frozenset(("authentication",))),
    Rule(_REJECTED, frozenset((401,))),
    Rule(_REJECTED, frozenset((400, 403)), words=_BAD_KEY),
    Rule(_verdict(Action.REST_ACCOUNT, _USED_UP, 1), frozenset((429,)), words=_PLAN_LIMIT),
    Rule(_verdict(Action.OVERLOADED, _FULL, 1), words=_AT_CAPACITY),
    Rule(_verdict(Action.REST_MODEL, _LIMITED, 1), frozenset((429,))),
    Rule(_CLIENT, frozenset((500,)), words=LatePattern(r"\bUNKNOWN\b")),
    Rule(_verdict(Action.OVERLOADED, "is overloaded", 10, longest=10 * MINUTE), frozenset((529,))),
    Rule(_verdict(Action.OVERLOADED, "is overloaded", MINUTE, longest=10 * MINUTE), frozenset((503,))),
    Rule(
        _verdict(Action.REST_MODEL, "does not permit this", HALF_AN_HOUR, _MODELS, per_operation=True),
        frozenset((403,)),
    ),
    Rule(
        _verdict(
            Action.REST_MODEL, "does not know this model or path", HALF_AN_HOUR, _MODELS, per_operation=True
        ),
        frozenset((404,)),
    ),
    Rule(
        _verdict(Action.REST_MODEL, "has no such call", HALF_AN_HOUR, per_operation=True),
        frozenset((405,)),
    ),
    Rule(_verdict(Action.REST_MODEL, "did not answer in time", MINUTE), frozenset((408, 504, 524))),
    Rule(_verdict(Action.TRY_NEXT, "cannot do this"), frozenset((501,))),
    Rule(_verdict(Action.REST_MODEL, "failed", MINUTE), frozenset((400,)), words=_FOR_A_WHILE),
    Rule(_CLIENT, frozenset((400, 406, 409, 411, 413, 414, 415, 422, 431))),
    Rule(_verdict(Action.REST_MODEL, "failed", MINUTE), frozenset(range(500, 600))),
    Rule(_verdict(Action.TRY_NEXT, "failed")),
)

_UNREACHABLE = _verdict(Action.REST_ACCOUNT, "cannot be reached", 10, longest=5 * MINUTE)

_UNREADABLE = _verdict(Action.REST_MODEL, "sends something that is not an answer", MINUTE, per_operation=True)

#: How much of an error's body, and how much of its message, is searched for words.
_SEARCHED_CHARS = 4096
#: How much of a vendor's words is kept.
_MESSAGE_CHARS = 200


def classify(
    status: int, error: WireError, headers: Mapping[str, str], body: bytes = b"", *, wall: float = 0.0
) -> Verdict:
    """What an error answer of an account means.

    :param status: of the response.
    :param error: as the dialect's reader understood it.
    :param headers: with lower-case names.
    :param wall: seconds since the epoch, for hints that are times; the answer's own ``date`` goes before, so
        that a clock of ours that is wrong makes no rest longer or shorter.
    """
    text_of_body = body[:_SEARCHED_CHARS].decode("utf-8", "replace")
    message = error.message[:_SEARCHED_CHARS]
    code, mitigated = (error.code or "")[:_MESSAGE_CHARS], headers.get("cf-mitigated", "")[:_MESSAGE_CHARS]
    text = f"{code}\n{message}\n{text_of_body}\ncf-mitigated: {mitigated}"
    verdict = next(rule.verdict for rule in RULES if rule.fits(status, error.kind, text))
    if verdict.action not in COOLDOWNS:
        return verdict
    vendor_message = _vendor_message(status, error)
    now = http_date(headers.get("date"))
    return replace(
        verdict,
        hint=_hint(error, headers, text_of_body, wall if now is None else now),
        vendor_message=vendor_message,
    )


def for_account(verdict: Verdict, account: Account) -> Verdict:
    """The verdict in words that fit the account: a login is renewed, where a key is replaced."""
    if verdict.action is not Action.LOGIN or account.token is None:
        return verdict
    vendor = KINDS[account.kind].login
    return replace(
        verdict, reason="has a login that its vendor rejects", suggestion=f"run: ampproxy login {vendor}"
    )


def classify_fault(fault: ExchangeError) -> Verdict:
    """What a failure without an error answer means: no connection, a deadline, a broken answer."""
    if isinstance(fault, Unreachable):
        return _UNREACHABLE
    error = fault.error
    if error.code == UNREADABLE and not _CHALLENGE.search(error.message[:_SEARCHED_CHARS]):
        return replace(_UNREADABLE, vendor_message=_vendor_message(error.status, error))
    return classify(error.status, error, {})


def _vendor_message(status: int, error: WireError) -> str:
    return f"{status}: {' '.join(error.message[:_SEARCHED_CHARS].split())[:_MESSAGE_CHARS]}"


def _hint(error: WireError, headers: Mapping[str, str], body: str, wall: float) -> float | None:
    """How long the vendor says to wait; its body knows better than a general header."""
    for pattern, read in _IN_BODY:
        if (found := pattern.search(body)) and (seconds := read(found[1], wall)) is not None:
            return seconds
    if error.retry_after is not None:
        return error.retry_after
    until = exhausted_until(windows(headers, wall))
    return None if until is None else max(0.0, until - wall)


#: Codex's usage limits, Google's quota details, and a sentence that several vendors use.
_IN_BODY: tuple[tuple[LatePattern[str], Callable[[str, float], float | None]], ...] = (
    (LatePattern(r'"resets_in_seconds"\s*:\s*(\d{1,9})'), seconds_until),
    (LatePattern(r'"resets_at"\s*:\s*"?([\w.:+-]{1,40})'), seconds_until),
    (LatePattern(r'"retryDelay"\s*:\s*"([\d.]{1,16}s)"'), seconds_until),
    (LatePattern(r'"quotaResetDelay"\s*:\s*"([\w.]{1,24})"'), seconds_until),
    (LatePattern(r"\bafter (\d{1,9}(?:\.\d+)?s)\b"), seconds_until),
)
