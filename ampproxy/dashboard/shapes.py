"""What the admin API answers with: each a value that is JSON. Times are seconds since the epoch.

The document of the API is made of these, so their docstrings are its descriptions.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Money(msgspec.Struct, frozen=True):
    """An amount in US dollars, and how many exchanges are not in it, for their price is not known."""

    usd: float
    requests_not_counted: int


class Exchange(msgspec.Struct, frozen=True):
    """One request, under way or ended.

    ``id``: of the request, as the log's lines have it; of a row of the ledger its number. ``at``: when it
    ended, or began if it is under way. ``usd``: what it cost; null: not known. ``reasons``: why it went where
    it went; rows of the ledger have none.
    """

    id: str
    at: float
    route: str
    outcome: str
    status: int
    asked: str
    served: str
    account: str
    client: str
    role: str
    thread: str
    method: str = ""
    path: str = ""
    stream: bool = False
    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    usd: float | None = None
    first_ms: int | None = None
    total_ms: int | None = None
    code: str = ""
    why: str = ""
    reasons: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class Live(msgspec.Struct, frozen=True):
    """What is under way, the first of it one by one, and what ended last, newest first."""

    running: tuple[Exchange, ...]
    running_count: int
    ended: tuple[Exchange, ...]


class Day(msgspec.Struct, frozen=True):
    """What one group used on one day. ``amp_usd``: of the cost, what Amp billed in credits, an estimate."""

    day: str
    name: str
    requests: int
    errors: int
    tokens: int
    usd: float
    amp_usd: float


class Group(msgspec.Struct, frozen=True):
    """What one group used in all."""

    name: str
    requests: int
    errors: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    cost: Money


class Usage(msgspec.Struct, frozen=True):
    """What was used in a span of days, by one dimension.

    ``ledger``: whether there is one. ``groups``: the largest first; of many the rest as one. ``days``: each
    group's days, with the groups of the plot alone. ``amp_saved``: what Amp would have billed for what own
    accounts served its clients; ``amp_spent``: what it billed; both are estimates. ``notes``: what to know.
    """

    ledger: bool
    by: str
    since: str
    until: str
    groups: tuple[Group, ...]
    days: tuple[Day, ...]
    total: Group
    amp_saved: Money
    amp_spent: Money
    notes: tuple[str, ...] = ()


class Limit(msgspec.Struct, frozen=True):
    """A limit of a client key. Amounts of dollars are dollars. ``left`` is null where it cannot be read."""

    setting: str
    most: float
    left: float | None
    renews_at: float


class Key(msgspec.Struct, frozen=True):
    """A client key: never the key itself. ``running``: its requests under way, where they are counted."""

    name: str
    named: bool
    state: str
    expires_at: float | None
    routes: tuple[str, ...]
    models: tuple[str, ...]
    accounts: tuple[str, ...]
    amp: bool
    concurrent: int | None
    running: int
    limits: tuple[Limit, ...]


class Keys(msgspec.Struct, frozen=True):
    """The client keys. ``open``: there is none, and every program of this machine is served."""

    open: bool
    keys: tuple[Key, ...]
    notes: tuple[str, ...] = ()


class Price(msgspec.Struct, frozen=True):
    """US dollars for a million tokens."""

    input: float
    cache_read: float
    cache_write: float
    output: float


class Server(msgspec.Struct, frozen=True):
    """An account that serves a model. ``source``: how that is known. ``flat``: no price by the token."""

    account: str
    name: str
    dialect: str
    source: Literal["config", "vendor", "pattern"]
    state: str
    flat: bool


class Model(msgspec.Struct, frozen=True):
    """A model as clients name it, and who serves it, in the order in which they are tried."""

    id: str
    servers: tuple[Server, ...]
    context: int | None
    max_output: int | None
    thinks: bool | None
    input: tuple[str, ...] | None
    price: Price | None
    retires: str | None
    gone: bool
    successor: str


class Pattern(msgspec.Struct, frozen=True):
    """Names that an account is asked for though no list has them."""

    pattern: str
    account: str


class Models(msgspec.Struct, frozen=True):
    """What is served."""

    models: tuple[Model, ...]
    patterns: tuple[Pattern, ...]


class OfferShown(msgspec.Struct, frozen=True, rename={"upstream_model": "model"}):
    """An account that would be asked."""

    account: str
    upstream_model: str
    dialect: str
    priority: int


class Explanation(msgspec.Struct, frozen=True):
    """Where a request would go, and why. ``suggested_config``: YAML that would serve it here."""

    asked: str
    route: Literal["local", "mapped", "amp", "none"]
    served: str
    role: str
    thinking: str
    reasons: tuple[str, ...]
    offers: tuple[OfferShown, ...]
    nearest: tuple[str, ...]
    suggested_config: str


class Remark(msgspec.Struct, frozen=True):
    """What is wrong with the configuration, or odd. ``line`` is 0 where it is of no line."""

    level: Literal["error", "warning"]
    line: int
    text: str


class Configuration(msgspec.Struct, frozen=True):
    """The configuration's file, without any value that may be a secret, and what was found fault with.

    ``in_force``: whether the service serves by the file as it is. ``lines``: its text; null where it cannot
    be read, for the reason in ``why``.
    """

    file: str
    generation: int
    since: float
    in_force: bool
    remarks: tuple[Remark, ...]
    lines: tuple[str, ...] | None
    why: str = ""
    changes: tuple[str, ...] = ()


class Log(msgspec.Struct, frozen=True):
    """Rows of the ledger, newest first. ``next``: asks for the rows before these; empty: there are none."""

    ledger: bool
    rows: tuple[Exchange, ...]
    next: str


class DoctorFinding(msgspec.Struct, frozen=True):
    """What the doctor found: a sentence, and what to do."""

    check: str
    level: Literal["ok", "note", "warning", "problem"]
    text: str
    todo: str = ""


class Doctor(msgspec.Struct, frozen=True):
    """The doctor's last visit. ``why``: how it failed."""

    state: Literal["never", "running", "done", "failed"]
    started_at: float | None = None
    ended_at: float | None = None
    findings: tuple[DoctorFinding, ...] = ()
    why: str = ""


class Overview(msgspec.Struct, frozen=True):
    """The service at a glance. ``today``: of the day in UTC, from the ledger; null without one."""

    status: str
    version: str
    since: float
    running: int
    accounts: int
    accounts_cooling: int
    today: Group | None
    amp_saved: Money | None
    amp_spent: Money | None


class Vendor(msgspec.Struct, frozen=True):
    """A vendor whose logins are served. ``terms``: what its terms say of that. ``device``: whether it has a
    device flow, by which a code is typed in any browser.
    """

    kind: str
    name: str
    terms: str
    device: bool


class SignIn(msgspec.Struct, frozen=True):
    """A login that is under way, or the last one.

    ``state``: ``waiting`` for the browser to come back from ``url``, ``working``, ``done`` or ``failed``.
    ``ends``: where the browser ends; one that cannot get there has its address pasted.
    ``text``: what to know.
    """

    kind: str
    state: Literal["waiting", "working", "done", "failed"]
    started_at: float
    url: str = ""
    ends: str = ""
    text: str = ""


class Logins(msgspec.Struct, frozen=True):
    """The vendors, and the login that is under way or was the last; null: there was none."""

    vendors: tuple[Vendor, ...]
    sign_in: SignIn | None


class Pasted(msgspec.Struct, frozen=True):
    """The address at which the browser ended, as its user pasted it."""

    url: str
