"""What is active now: a pure function of what the service reports of itself anyway."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from ampproxy.config.schema import FallbackRule
from ampproxy.credentials.report import AccountReport, CooldownReport, LoginStatus
from ampproxy.credits.allowance import Used
from ampproxy.model.base import Value
from ampproxy.model.clients import Standing
from ampproxy.relay.retiring import Retiring
from ampproxy.routing.catalog import Catalog
from ampproxy.status import Alert, ReloadReport, SharedReport, WorkerStatus
from ampproxy.tenants.refusals import shown_amount
from ampproxy.wire.redact import printable
from ampproxy.wire.words import counted, local_time

#: The part of a limit from which on it is alerted of.
NEARLY = 0.9
#: So many early deaths of a worker in a row are alerted of.
WORKER_DEATHS = 3
#: Names that one sentence lists.
_LISTED = 5
#: A restart of what the state is shared by takes less.
_AWAY_SECONDS = 60.0
_NO_LOGIN = ("needs login", "key refused")


class Facts(Value, frozen=True, kw_only=True):
    """What the service knows of itself.

    :param wall: seconds since the epoch.
    :param accounts: with the states of their logins.
    :param logins: all of them, also those whose account does not serve.
    :param credits: the rules with daily limits, and the most that one of their counters has used today.
    :param standings: how clients stand with their limits, by the client's name in the log.
    :param certificate: what is to be said of the listener's, a clause; empty: nothing.
    :param ledger: why that cannot be written; empty: it can.
    :param unknown: the kinds of which nothing could be learned just now.
    """

    wall: float
    accounts: tuple[AccountReport, ...]
    logins: tuple[LoginStatus, ...]
    catalog: Catalog
    credits: tuple[tuple[FallbackRule, Used], ...] = ()
    standings: tuple[tuple[str, Standing], ...] = ()
    retiring: tuple[Retiring, ...] = ()
    reload: ReloadReport | None = None
    shared: SharedReport | None = None
    config: str = ""
    workers: tuple[WorkerStatus, ...] = ()
    certificate: str = ""
    ledger: str = ""
    unknown: frozenset[str] = frozenset()


class Found(Value, frozen=True):
    """What is active.

    :param unknown: the kinds of which that could not be learned.
    :param unsure: alerts, by kind and subject, that cannot be known to be over: an account whose key was
        refused is as good as new after a restart, until a request tries it.
    """

    active: tuple[Alert, ...] = ()
    unknown: frozenset[str] = frozenset()
    unsure: frozenset[tuple[str, str]] = frozenset()

    def redacted(self, text: Callable[[str], str]) -> Found:
        """The same without secrets.

        :param text: gives a text without them.
        """
        return replace(
            self,
            active=tuple(
                msgspec.structs.replace(one, message=text(one.message), suggestion=text(one.suggestion))
                for one in self.active
            ),
        )


def conditions(facts: Facts, kinds: Iterable[str]) -> Found:
    """All that is active of these kinds; of two with the same subject the first."""
    active: dict[tuple[str, str], Alert] = {}
    for kind in kinds:
        for alert in _CONDITIONS[kind](facts) if kind not in facts.unknown else ():
            active.setdefault((alert.kind, alert.subject), alert)
    logged_in = {login.label for login in facts.logins}
    unsure = frozenset(
        ("needs-login", account.label)
        for account in facts.accounts
        if account.state == "untried" and account.label not in logged_in
    )
    return Found(tuple(active.values()), facts.unknown, unsure)


def _needs_login(facts: Facts) -> Iterator[Alert]:
    for account in facts.accounts:
        if account.state in _NO_LOGIN:
            refused = next((cooldown for cooldown in account.cooldowns if cooldown.suggestion), None)
            reason = "" if refused is None else refused.reason
            yield _login(facts, account.label, account.state, reason, account.error, account.to_do)
    for login in facts.logins:
        if login.state == "needs login" and not login.disabled:
            yield _login(facts, login.label, login.state, "", login.error, login.suggestion)


def _login(facts: Facts, label: str, state: str, reason: str, error: str, suggestion: str) -> Alert:
    """:param reason: a clause after the account's name; empty: none is known."""
    what = reason or ("needs a login" if state == "needs login" else "has a key that is refused")
    detail = f": {printable(error).rstrip('.')}" if error else ""
    return Alert("needs-login", label, f"The account {label} {what}{detail}.", suggestion, facts.wall)


def _all_cooling(facts: Facts) -> Iterator[Alert]:
    """Models that no account can serve, those of the same accounts together. Where all of these need a login,
    that is an alert of its own.
    """
    accounts = {account.label: account for account in facts.accounts}
    if not any(map(_only_cools, facts.accounts)):
        return
    stuck = {label for label, account in accounts.items() if _stuck(account, None)}
    if stuck == set(accounts):
        yield _cooling(facts, facts.accounts, ("any model",), "all accounts")
        return
    groups: dict[tuple[str, ...], list[str]] = {}
    for model in _models(facts):
        offers = facts.catalog.find(model)
        if offers and all(
            offer.account.label in stuck or _stuck(accounts.get(offer.account.label), offer.upstream_model)
            for offer in offers
        ):
            groups.setdefault(tuple(dict.fromkeys(offer.account.label for offer in offers)), []).append(model)
    for labels, models in groups.items():
        if any(_only_cools(accounts[label]) for label in labels):
            yield _cooling(facts, [accounts[label] for label in labels], models, _list(labels))


def _only_cools(account: AccountReport) -> bool:
    return bool(account.cooldowns) and account.state not in _NO_LOGIN


def _models(facts: Facts) -> Iterable[str]:
    """The models whose names are known, and those that are cooling down."""
    cooling = (
        cooldown.model for account in facts.accounts for cooldown in account.cooldowns if cooldown.model
    )
    return dict.fromkeys((*(model.id for model in facts.catalog.models()), *cooling))


def _stuck(account: AccountReport | None, model: str | None) -> bool:
    """Whether an account can serve nothing now; or, of a model, whether that model cools down."""
    if account is None:
        return False
    return (model is None and account.state in _NO_LOGIN) or any(
        _is_active(cooldown)
        for cooldown in account.cooldowns
        if cooldown.model == model and cooldown.call is None
    )


def _is_active(cooldown: CooldownReport) -> bool:
    return cooldown.half_open or cooldown.seconds > 0


def _cooling(facts: Facts, accounts: Iterable[AccountReport], models: Iterable[str], subject: str) -> Alert:
    known = list(accounts)
    cooldowns = [cooldown for account in known for cooldown in account.cooldowns if _is_active(cooldown)]
    why = _list(f"{account.label} {_reason(account)}" for account in known)
    until = min((cooldown.until for cooldown in cooldowns), default=0.0)
    again = f"; the first is tried again at {local_time(until)}" if until else ""
    message = f"No account can serve {_list(models)}: {why}{again}."
    suggestion = next((cooldown.suggestion for cooldown in cooldowns if cooldown.suggestion), "")
    return Alert("all-cooling", subject, message, suggestion, facts.wall)


def _reason(account: AccountReport) -> str:
    return next((cooldown.reason for cooldown in account.cooldowns if _is_active(cooldown)), "needs a login")


def _amp_credits(facts: Facts) -> Iterator[Alert]:
    for rule, used in facts.credits:
        for unit, most, now in (
            ("requests", rule.requests, used.requests),
            ("tokens", rule.tokens, used.tokens),
        ):
            if most is not None and now >= NEARLY * most:
                whose = "A client has" if rule.per_client else "Requests to Amp have"
                message = (
                    f"{whose} used {now:,} of today's {most:,} {unit} for {_rule(rule)}; what exceeds the"
                    " limit is refused until midnight."
                )
                todo = f"ampproxy credits shows all limits; ampcode.fallback (line {rule.line}) sets this one"
                yield Alert("amp-credits", f"{_rule(rule)}: {unit}", message, todo, facts.wall)


def _rule(rule: FallbackRule) -> str:
    models = printable(", ".join(rule.models)) or "any model"
    return f"{models} ({', '.join(rule.roles)})" if rule.roles else models


def _budget(facts: Facts) -> Iterator[Alert]:
    for client, standing in facts.standings:
        limit = standing.limit
        gone = limit.most - standing.left
        if limit.period == "minute" or gone < NEARLY * limit.most:
            continue
        name = printable(client)
        used, most = shown_amount(limit, gone), shown_amount(limit, limit.most)
        message = (
            f"The client {name} has used {used} of {most} ({limit.setting}); its limit renews at"
            f" {local_time(standing.renews)}."
        )
        todo = f"ampproxy key list shows all limits; ampproxy key edit {name} changes this one"
        yield Alert("budget", f"{name}: {limit.setting}", message, todo, facts.wall)


def _model_retiring(facts: Facts) -> Iterator[Alert]:
    today = datetime.datetime.fromtimestamp(facts.wall, datetime.timezone.utc).date()
    for one in facts.retiring:
        subject = f"{printable(one.ending.model)}: {one.who}"
        yield Alert("model-retiring", subject, f"{one.clause(today)}.", one.todo, facts.wall)


def _state_away(facts: Facts) -> Iterator[Alert]:
    shared = facts.shared
    if shared is None or shared.connected or facts.wall - shared.away_since < _AWAY_SECONDS:
        return
    since = local_time(shared.away_since)
    message = f"The state has not been shared by {shared.by} since {since}: {printable(shared.why)}."
    yield Alert("state-away", shared.by, message, "ampproxy doctor tries the connection", shared.away_since)


def _config_refused(facts: Facts) -> Iterator[Alert]:
    reload = facts.reload
    if reload is None or reload.ok:
        return
    first = printable(reload.complaints[0]) if reload.complaints else "see the log"
    more = len(reload.complaints) - 1
    others = f" (and {counted(more, 'more complaint')})" if more > 0 else ""
    stays = f"number {reload.generation} stays active"
    message = f"The changed configuration was refused, {stays}: {first}{others}."
    yield Alert("config-refused", facts.config, message, "ampproxy check lists all complaints", reload.at)


def _certificate(facts: Facts) -> Iterator[Alert]:
    if facts.certificate:
        todo = "renew it; the new file is read without a restart"
        yield Alert("certificate", "tls.cert", f"{_sentence(facts.certificate)}.", todo, facts.wall)


def _ledger_away(facts: Facts) -> Iterator[Alert]:
    if facts.ledger:
        message = (
            f"The ledger cannot be written: {printable(facts.ledger)}. Requests are served all the same."
        )
        todo = "ampproxy doctor shows where it is; settings: ledger, state-dir"
        yield Alert("ledger-away", "ledger", message, todo, facts.wall)


def _sentence(clause: str) -> str:
    text = printable(clause)
    return text[:1].upper() + text[1:]


def _worker_failing(facts: Facts) -> Iterator[Alert]:
    for worker in facts.workers:
        if worker.in_a_row >= WORKER_DEATHS:
            message = (
                f"Worker {worker.number} has ended {worker.in_a_row} times shortly after it was started; the"
                " others serve its clients."
            )
            todo = "ampproxy status shows the workers; the log has why it ended"
            yield Alert("worker-failing", f"worker {worker.number}", message, todo, facts.wall)


def _list(words: Iterable[str]) -> str:
    """The first few of them."""
    known = [printable(word) for word in words]
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return ", ".join(known[:_LISTED]) + more


_CONDITIONS: dict[str, Callable[[Facts], Iterator[Alert]]] = {
    "needs-login": _needs_login,
    "all-cooling": _all_cooling,
    "amp-credits": _amp_credits,
    "budget": _budget,
    "model-retiring": _model_retiring,
    "state-away": _state_away,
    "config-refused": _config_refused,
    "certificate": _certificate,
    "ledger-away": _ledger_away,
    "worker-failing": _worker_failing,
}
