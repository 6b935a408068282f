"""How the accounts are, for people: who serves, who rests, why, until when, and what is left of limits.

Nothing of a key is in it, nor of a base URL's query.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from ampproxy.config.schema import Account
from ampproxy.credentials.health import Cooldown, Health, PoolState, Scope
from ampproxy.credentials.lessons import Lessons
from ampproxy.credentials.names import account_name
from ampproxy.credentials.outcomes import Action
from ampproxy.credentials.quota import windows


class CooldownReport(msgspec.Struct, frozen=True):
    """A cooldown, with the names that its JSON always had.

    ``model`` is ``None`` where it is the whole account's, ``call`` where it is the whole model's; times are
    seconds since the epoch.
    """

    model: str | None
    call: str | None
    reason: str
    failures: int
    until: float
    seconds: float
    half_open: bool = msgspec.field(name="probing")
    suggestion: str = msgspec.field(default="", name="remedy")
    vendor_seconds: float | None = msgspec.field(default=None, name="vendor_says")
    vendor_message: str = msgspec.field(default="", name="said")


class WindowReport(msgspec.Struct, frozen=True):
    """A limit, as the account's last answer told it."""

    name: str
    limit: float | None
    remaining: float | None
    resets_at: float | None
    seen_at: float = msgspec.field(name="told_at")


class LessonReport(msgspec.Struct, frozen=True):
    """What an account refuses for a model, as a refusal taught it.

    :param call: the dialect and the kind of call.
    :param about: what is done about the member, in words that follow its name.
    :param learned_at: seconds since the epoch, as ``ends_at``, when it is forgotten.
    :param used: how many requests it has changed.
    """

    model: str
    call: str
    member: str
    about: str
    learned_at: float
    ends_at: float
    used: int


class Forgotten(msgspec.Struct, frozen=True):
    """How many lessons were forgotten."""

    forgotten: int


class LoginStatus(msgspec.Struct, frozen=True):
    """A login, for ``ampproxy accounts`` and the status page. Holds no secret.

    :param state: ``ok``, ``renewing``, ``failing`` or ``needs login``.
    :param ends_at: when its token ends, in seconds since the epoch; ``None``: nobody knows.
    :param suggestion: the command that helps, or empty.
    """

    label: str
    kind: str
    file: str
    state: str
    disabled: bool
    ends_at: float | None
    error: str
    suggestion: str = msgspec.field(name="remedy")


#: The states of :class:`AccountReport` in words for people, in the order in which they are summed up.
STATE_WORDS = {
    "ready": "ready",
    "untried": "untried",
    "probing": "being tried again",
    "resting": "cooling down",
    "needs login": "needs login",
    "key refused": "key refused",
    "renewing": "renewing",
    "failing": "failing",
}


class AccountReport(msgspec.Struct, frozen=True):
    """One account.

    :param name: what metrics and the ledger keep it by; it does not depend on its place in the file.
    :param state: ``untried`` (no request has been served since the service started), ``ready``, ``resting``
        (perhaps for some models only), ``probing``, ``needs login`` or, of an API key, ``key refused``; of a
        login that is not well what its renewal says.
    :param expires_at: when a login's token ends, in seconds since the epoch.
    :param error: what went wrong with a login last; ``suggestion``: the command that helps.
    :param lessons: what it refuses.
    """

    label: str
    kind: str
    origin: str
    priority: int
    models: tuple[str, ...]
    state: str
    cooldowns: tuple[CooldownReport, ...] = msgspec.field(default=(), name="rests")
    windows: tuple[WindowReport, ...] = ()
    expires_at: float | None = None
    error: str = ""
    suggestion: str = msgspec.field(default="", name="remedy")
    name: str = ""
    lessons: tuple[LessonReport, ...] = ()

    @property
    def to_do(self) -> str:
        """What helps: the suggestion for it, or else for a cooldown."""
        return self.suggestion or next((one.suggestion for one in self.cooldowns if one.suggestion), "")


class Report(msgspec.Struct, frozen=True):
    """All accounts, in config order."""

    accounts: tuple[AccountReport, ...]


def report(accounts: Iterable[Account], state: PoolState, now: float, wall: float) -> Report:
    """How they are.

    :param now: monotonic seconds.
    :param wall: seconds since the epoch.
    """
    return Report(
        tuple(_account(account, state.health(state.identity(account)), now, wall) for account in accounts)
    )


def with_lessons(before: Report, lessons: Lessons) -> Report:
    """The same, with what the accounts have taught."""
    return Report(
        tuple(msgspec.structs.replace(one, lessons=_lessons(lessons, one.name)) for one in before.accounts)
    )


def with_login_states(before: Report, logins: Iterable[LoginStatus]) -> Report:
    """The same, with how the accounts' logins are."""
    by_label = {status.label: status for status in logins}
    return Report(tuple(_with_login(account, by_label.get(account.label)) for account in before.accounts))


def _with_login(account: AccountReport, login: LoginStatus | None) -> AccountReport:
    if login is None:
        return account
    return msgspec.structs.replace(
        account,
        state=account.state if login.state == "ok" else login.state,
        expires_at=login.ends_at,
        error=login.error,
        suggestion=login.suggestion,
    )


def _lessons(lessons: Lessons, account: str) -> tuple[LessonReport, ...]:
    return tuple(
        LessonReport(
            kept.model,
            kept.call,
            kept.lesson.name,
            kept.lesson.about,
            kept.learned_at,
            lessons.ends(kept),
            kept.used,
        )
        for kept in lessons.listed(account)
    )


def untouched(account: Account) -> AccountReport:
    """What the configuration alone tells of an account."""
    parts = urlsplit(account.base_url)
    return AccountReport(
        label=account.label,
        kind=account.kind,
        origin=f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}",
        priority=account.priority,
        models=tuple(dict.fromkeys(model.visible for model in account.models)),
        state="",
        name=account_name(account),
    )


def _account(account: Account, health: Health, now: float, wall: float) -> AccountReport:
    cooldowns = [_cooldown(scope, cooldown, now, wall) for scope, cooldown in health.cooldowns.items()]
    return msgspec.structs.replace(
        untouched(account),
        state=_state(account, health, now),
        cooldowns=tuple(cooldowns),
        windows=_windows(health),
    )


def _state(account: Account, health: Health, now: float) -> str:
    cooldowns = health.cooldowns.values()
    if any(cooldown.verdict.action is Action.LOGIN for cooldown in cooldowns):
        return "key refused" if account.token is None else "needs login"
    if any(cooldown.half_open for cooldown in cooldowns):
        return "probing"
    # One whose time is over stands in nobody's way, though it stays known until somebody asks for that model.
    if any(cooldown.until > now for cooldown in cooldowns):
        return "resting"
    return "ready" if health.proven else "untried"


def _cooldown(scope: Scope, cooldown: Cooldown, now: float, wall: float) -> CooldownReport:
    seconds = max(0.0, cooldown.until - now)
    verdict = cooldown.verdict
    return CooldownReport(
        scope.model or None,
        scope.call or None,
        verdict.reason,
        cooldown.failures,
        wall + seconds,
        seconds,
        cooldown.half_open,
        verdict.suggestion,
        verdict.hint,
        verdict.vendor_message,
    )


def _windows(health: Health) -> tuple[WindowReport, ...]:
    if health.seen is None:
        return ()
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in health.seen.getAllRawHeaders()
    }
    return tuple(
        WindowReport(window.name, window.limit, window.remaining, window.resets_at, health.seen_at)
        for window in windows(headers, health.seen_at)
    )
