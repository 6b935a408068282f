"""The views of the page as HTML, each of the value that the admin API answers with: without any script."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from ampproxy.credentials.report import STATE_WORDS, AccountReport, Report, WindowReport
from ampproxy.dashboard.html import (
    Column,
    Markup,
    badge,
    code,
    empty,
    field,
    join,
    meter,
    table,
    tag,
    when,
    within,
)
from ampproxy.dashboard.shapes import Exchange, Group, Key, Keys, Limit, Live, Model, Models, Money, Overview
from ampproxy.ledger.text import count, dollars
from ampproxy.status import Alert
from ampproxy.wire.words import counted, local_time

#: How routes are called, and their colour.
ROUTES = {"local": "own", "mapped": "mapped", "amp": "amp", "none": "refused", "management": "quietly"}
#: The colours of accounts' states; others are neutral.
_STATE_COLOURS = {
    "ready": "good",
    "resting": "wait",
    "probing": "wait",
    "failing": "wait",
    "needs login": "bad",
    "key refused": "bad",
}


def number(of: int) -> str:
    """A number of tokens."""
    return count(of) if of else "–"


def usd(money: Money | None) -> Markup:
    """An amount; with ``?`` where a part of it is not known."""
    if money is None:
        return tag("span", "–")
    missing = money.requests_not_counted
    why = f"{counted(missing, 'request')} not counted: price or tokens unknown" if missing else None
    return tag("span", dollars(money.usd) + (" + ?" if missing else ""), title=why)


def tile(label: str, value: Markup | str, note: Markup | str = "", name: str = "") -> Markup:
    """A figure at a glance."""
    return tag(
        "div",
        tag("dt", label),
        tag("dd", tag("span", value, class_="figure", data_figure=name or None), tag("small", note)),
        class_="tile",
    )


def alerts(found: Iterable[Alert]) -> Markup:
    """What is wrong now, with what helps."""
    return join(*(_alert(one) for one in found))


def _alert(one: Alert) -> Markup:
    help_text = tag("pre", one.suggestion) if one.suggestion else None
    return tag(
        "div", tag("strong", one.message), f" Since {local_time(one.since)}.", help_text, class_="alert"
    )


def overview(found: Overview) -> Markup:
    """The figures above the requests."""
    today: Group | None = found.today
    tokens = 0 if today is None else today.input + today.cache_read + today.cache_write + today.output
    well = found.accounts - found.accounts_cooling
    tiles = [
        tile("Under way", str(found.running), "requests now", "running"),
        tile("Accounts ready", f"{well} of {found.accounts}", "", "accounts"),
    ]
    if today is not None:
        errors = counted(today.errors, "error", "no")
        output = f"{count(today.output)} of them output" if today.output else "none of them output"
        tiles += [
            tile("Requests today", f"{today.requests:,}", errors),
            tile("Tokens today", count(tokens) if tokens else "0", output),
            tile("Cost today", usd(today.cost), "your accounts and Amp"),
            tile("Amp credits today", usd(found.amp_spent), join("about ", usd(found.amp_saved), " saved")),
        ]
    return tag("dl", *tiles, class_="tiles", id="glance")


#: Of exchanges, as :func:`exchange_row` fills them.
EXCHANGE_COLUMNS = (
    Column("Time"),
    Column("Route"),
    Column("Model", "wide"),
    Column("Account", "short"),
    Column("Client", "short"),
    Column("Tokens", "num"),
    Column("Cost", "num"),
    Column("Took", "num"),
)


def requests(found: Live) -> Markup:
    """Requests as they happen."""
    rows = [exchange_row(row) for row in (*found.running, *found.ended)]
    return join(
        tag("p", "", id="live-state", role="status", class_="note"),
        table("Requests, the newest first", EXCHANGE_COLUMNS, rows, id="requests"),
        tag(
            "p",
            "No request has come yet. Point a client at this gateway: what it asks appears here.",
            class_="empty",
            id="no-requests",
            hidden=bool(rows),
        ),
    )


def exchange_row(row: Exchange) -> tuple[Markup | str, ...]:
    """One request as the cells of a table."""
    return (
        when(row.at),
        join(badge(row.route, ROUTES.get(row.route, "neutral")), _status(row)),
        join(_model(row), _why(row)),
        row.account or "–",
        "–" if row.client == "-" else row.client,
        _tokens(row),
        "–" if row.usd is None else dollars(row.usd),
        "…" if row.total_ms is None else took(row.total_ms),
    )


def took(ms: int) -> str:
    """A span of milliseconds."""
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s" if ms < 60_000 else f"{ms / 60_000:.1f} min"


def _status(row: Exchange) -> Markup:
    if not row.outcome:
        return tag("span", " under way", class_="under-way")
    well = row.outcome in ("completed", "client-left")
    return tag("span", f" {row.status or ''} {'' if well else row.outcome}".rstrip(), class_="status")


def _model(row: Exchange) -> Markup:
    asked = code(row.asked) if row.asked else tag("span", f"{row.method} {row.path}".strip() or "–")
    served = join(" → ", code(row.served)) if row.served and row.served != row.asked else ""
    role = join(" ", tag("span", row.role, class_="role", title="What Amp uses it for")) if row.role else ""
    return tag("span", asked, served, role, class_="model")


def _why(row: Exchange) -> Markup | None:
    sentences = [*row.reasons, *([f"It ended so: {row.why}"] if row.why else [])]
    if row.failed:
        sentences.append(f"Accounts that failed before: {', '.join(row.failed)}.")
    if not sentences:
        return None
    steps = join(*(tag("li", sentence) for sentence in sentences))
    return tag("details", tag("summary", "why"), tag("ol", steps), class_="why")


def _tokens(row: Exchange) -> Markup | str:
    if row.input is None:
        return "–"
    asked = row.input + (row.cache_read or 0) + (row.cache_write or 0)
    cached = f", {row.cache_read:,} of them from the cache" if row.cache_read else ""
    title = f"{asked:,} in{cached}, {row.output or 0:,} out"
    return tag("span", f"{count(asked)} / {count(row.output or 0)}", title=title)


def accounts(found: Report, now: float) -> Markup:
    """The accounts."""
    if not found.accounts:
        return empty("There is no account. Add one to the configuration, or log in: ", code("ampproxy login"))
    return tag("div", *(account(one, now) for one in found.accounts), class_="cards", id="accounts")


def logins() -> Markup:
    """Where a login begins: the script asks for the vendors, and shows how it goes."""
    about = tag(
        "p",
        "In a terminal: ",
        code("ampproxy login VENDOR"),
        ". Read the vendor's terms first: some reserve logins for the vendor's own programs.",
        class_="note",
    )
    paste = tag(
        "form",
        field("url", "The address at which the browser ended", required=True, autocomplete="off"),
        tag("button", "Go on"),
        id="login-paste",
        class_="filters",
        hidden=True,
    )
    return tag(
        "section",
        tag("h2", "Log in with a subscription"),
        about,
        tag("div", "", id="login-vendors", class_="cards"),
        tag("p", "", id="login-state", role="status"),
        paste,
        id="logins",
    )


def _state(state: str) -> tuple[str, str]:
    """The word and the colour of an account's state."""
    return STATE_WORDS.get(state, state or "unknown"), _STATE_COLOURS.get(state, "neutral")


def account(one: AccountReport, now: float) -> Markup:
    """One account, as a card."""
    word, colour = _state(one.state)
    parts = [
        tag(
            "header",
            tag("h2", one.label),
            badge(word, colour),
        ),
        tag("p", one.kind, " · ", one.origin, class_="note"),
    ]
    if one.error:
        parts.append(tag("p", one.error, class_="alert"))
    if one.suggestion:
        parts.append(tag("p", "To do: ", code(one.suggestion)))
    parts += [_cooldown(one, now)] if one.cooldowns else []
    parts += [_windows(one.windows, now)] if one.windows else []
    if one.models:
        shown = ", ".join(one.models[:6]) + (
            f" and {len(one.models) - 6} more" if len(one.models) > 6 else ""
        )
        parts.append(tag("p", "Models: ", shown, class_="note"))
    return tag("section", *parts, class_="card", data_account=one.label)


def _cooldown(one: AccountReport, now: float) -> Markup:
    lines = []
    for cooldown in one.cooldowns:
        about = " ".join(filter(None, (cooldown.model, cooldown.call))) or "the whole account"
        lines.append(
            tag(
                "li",
                f"{about} {cooldown.reason}: cooling down for ",
                within(cooldown.until, now),
                f", until {when_text(cooldown.until)}. ",
                cooldown.suggestion or None,
            )
        )
    return tag("ul", *lines, class_="cooldowns")


def when_text(wall: float) -> str:
    """A time of a day, on this machine's clock."""
    return local_time(wall)[11:16]


def _windows(windows: Iterable[WindowReport], now: float) -> Markup:
    lines = []
    for window in windows:
        known = window.limit is not None and window.remaining is not None
        bar = (
            meter(window.remaining or 0, window.limit or 0, f"left of {window.name}")
            if known
            else tag("span", "unknown")
        )
        left = "" if window.remaining is None else f"{_number(window.remaining)}"
        of = "" if window.limit is None else f" of {_number(window.limit)} left"
        renews = join("renews in ", within(window.resets_at, now)) if window.resets_at is not None else "–"
        lines.append((window.name, bar, left + of, renews))
    columns = (Column("Window"), Column("Left"), Column("Amount", "num"), Column("Renews"))
    return table("Quota windows", columns, lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def keys(found: Keys, now: float) -> Markup:
    """The client keys."""
    notes = join(*(tag("p", note, class_="alert") for note in found.notes))
    if found.open:
        notes = join(
            tag(
                "p",
                "There is no client key, so every program on this machine is served. ",
                code("ampproxy key new NAME"),
                " makes one.",
                class_="alert",
            ),
            notes,
        )
    if not found.keys:
        return notes
    return join(notes, tag("div", *(_key(one, now) for one in found.keys), class_="cards"))


def _key(one: Key, now: float) -> Markup:
    expired = one.state.startswith("expired")
    rights = [f"routes: {', '.join(one.routes)}"]
    rights += [f"models: {', '.join(one.models)}"] if one.models else []
    rights += [f"accounts: {', '.join(one.accounts)}"] if one.accounts else []
    rights += [] if one.amp else ["nothing to Amp"]
    rights += [] if one.concurrent is None else [f"{one.running} of {one.concurrent} at once"]
    header = tag("header", tag("h2", one.name), badge(one.state, "bad" if expired else "good"))
    limits = None
    if one.limits:
        columns = (Column("Limit"), Column("Left"), Column("Amount", "num"), Column("Renews"))
        limits = table("Limits", columns, [_limit(limit, now) for limit in one.limits])
    more = limits or tag("p", "No limits.", class_="note")
    return tag("section", header, tag("p", " · ".join(rights), class_="note"), more, class_="card")


def _limit(limit: Limit, now: float) -> tuple[Markup | str, ...]:
    money = limit.setting.startswith("usd")
    most = dollars(limit.most) if money else f"{limit.most:,.0f}"
    renews = join("renews in ", within(limit.renews_at, now))
    if limit.left is None:
        return limit.setting, "unknown", f"of {most}", renews
    left = dollars(limit.left) if money else f"{limit.left:,.0f}"
    return (
        limit.setting,
        meter(limit.left, limit.most, f"left of {limit.setting}"),
        f"{left} of {most}",
        renews,
    )


_MODELS = (
    Column("Model", "wide"),
    Column("Accounts"),
    Column("Known by"),
    Column("Context", "num"),
    Column("Output", "num"),
    Column("In / out, $ a million", "num"),
    Column("Retires"),
)


def models(found: Models) -> Markup:
    """The models."""
    if not (found.models or found.patterns):
        return empty("No account serves any model.")
    rows = [_model_row(one) for one in found.models]
    shown = table("Models that clients see", _MODELS, rows, id="models") if rows else None
    patterns = None
    if found.patterns:
        each = join(*(tag("li", code(one.pattern), " at ", one.account) for one in found.patterns))
        patterns = tag(
            "details",
            tag("summary", f"Any other name of a vendor's family ({len(found.patterns)})"),
            tag("ul", each),
        )
    return join(shown, patterns)


def _model_row(one: Model) -> tuple[Markup | str, ...]:
    servers = join(*(_server(server.account, server.state) for server in one.servers))
    sources = ", ".join(dict.fromkeys(server.source for server in one.servers))
    price = "–"
    if one.servers and all(server.flat for server in one.servers):
        price = "flat"
    elif one.price is not None:
        price = f"{one.price.input:g} / {one.price.output:g}"
    retires: Markup | str = one.retires or "–"
    if one.gone:
        retires = badge("gone", "bad")
    elif one.retires:
        retires = tag("span", one.retires, class_="soon")
    if one.successor and (one.gone or one.retires):
        retires = join(retires, " → ", code(one.successor))
    link = tag("a", code(one.id), href=f"explain?{urlencode({'model': one.id})}")
    return (
        link,
        servers,
        sources,
        "–" if one.context is None else count(one.context),
        "–" if one.max_output is None else count(one.max_output),
        price,
        retires,
    )


def _server(account: str, state: str) -> Markup:
    word, colour = _state(state)
    return tag("span", tag("i", "", class_=f"dot {colour}", title=word), account, class_="server")
