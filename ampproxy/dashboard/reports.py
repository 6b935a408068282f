"""The views with a form: usage, a model's route, the log; and the configuration, and the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from ampproxy.dashboard.html import (
    Column,
    Markup,
    badge,
    code,
    empty,
    field,
    join,
    select,
    table,
    tag,
    when,
)
from ampproxy.dashboard.shapes import (
    Configuration,
    Doctor,
    DoctorFinding,
    Exchange,
    Explanation,
    Log,
    Remark,
    Usage,
)
from ampproxy.dashboard.usage import DIMENSIONS
from ampproxy.dashboard.views import EXCHANGE_COLUMNS, ROUTES, exchange_row, number, tile, usd
from ampproxy.model.roles import ROLES
from ampproxy.wire.words import counted

#: Spans of days that usage is shown for.
SPANS = (("1", "today"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"))
_VERDICTS = {
    "local": "Served by your own accounts.",
    "mapped": "Served by your own accounts, as another model.",
    "amp": "Forwarded to the Amp upstream: it uses Amp credits.",
    "none": "Not served: 404 model_not_found.",
}
_LEVELS = {"problem": "bad", "warning": "wait", "note": "neutral", "ok": "good", "error": "bad"}


def usage(found: Usage, days: str) -> Markup:
    """What was used: the plot is the script's, the tables are here."""
    form = tag(
        "form",
        select("by", "By", [(name, name) for name in DIMENSIONS], found.by),
        select("days", "Over", SPANS, days),
        tag("button", "Show"),
        class_="filters",
        method="get",
        action="usage",
    )
    notes = join(*(tag("p", note, class_="note") for note in found.notes))
    if not found.groups:
        return join(form, empty("Nothing was asked in that time."), notes)
    total = found.total
    tokens = total.input + total.cache_read + total.cache_write + total.output
    tiles = tag(
        "dl",
        tile("Requests", f"{total.requests:,}", counted(total.errors, "error", "no")),
        tile("Tokens", number(tokens), f"{number(total.output)} of them output"),
        tile("Cost", usd(total.cost), "at the vendors' API prices"),
        tile("Amp credits", usd(found.amp_spent), join("about ", usd(found.amp_saved), " saved")),
        class_="tiles",
    )
    return join(form, tiles, _plot(), _groups(found), _days(found), notes)


def _plot() -> Markup:
    """Where the script draws."""
    choices = join(
        *(
            tag("button", label, type="button", data_measure=name, aria_pressed=pressed)
            for name, label, pressed in (
                ("usd", "Cost", "true"),
                ("amp_usd", "Amp credits", "false"),
                ("tokens", "Tokens", "false"),
                ("requests", "Requests", "false"),
            )
        )
    )
    return tag(
        "figure",
        tag("figcaption", tag("span", "By day (UTC)"), tag("span", choices, class_="choice", role="group")),
        tag("div", "", id="plot", role="img", aria_label="A plot by day; the table below has its numbers."),
        tag("ul", "", id="legend"),
        class_="plot",
        hidden=True,
    )


def _groups(found: Usage) -> Markup:
    columns = (
        Column(found.by, "wide"),
        Column("Requests", "num"),
        Column("Errors", "num"),
        Column("Input", "num"),
        Column("Cached", "num"),
        Column("Output", "num"),
        Column("Cost", "num"),
    )
    rows = [
        (
            group.name,
            f"{group.requests:,}",
            f"{group.errors:,}" if group.errors else "–",
            number(group.input),
            number(group.cache_read),
            number(group.output),
            usd(group.cost),
        )
        for group in found.groups
    ]
    return table(f"Usage by {found.by}", columns, rows)


def _days(found: Usage) -> Markup:
    columns = (
        Column("Day"),
        Column(found.by, "wide"),
        Column("Requests", "num"),
        Column("Tokens", "num"),
        Column("Cost", "num"),
    )
    rows = [
        (day.day, day.name, f"{day.requests:,}", number(day.tokens), f"${day.usd:,.4f}")
        for day in reversed(found.days[-400:])
    ]
    return tag("details", tag("summary", "Day by day"), table("Usage by day", columns, rows))


def explain(found: Explanation | None, model: str, role: str, *, amp: bool, why: str = "") -> Markup:
    """Where a request would go.

    :param why: why there is no answer.
    """
    form = tag(
        "form",
        field("model", "Model", model, required=True, placeholder="gpt-5.4", autocomplete="off"),
        select("role", "Amp's role", [("", "any"), *((name, name) for name in ROLES)], role),
        select("amp", "Path", [("1", "Amp's (/api/provider)"), ("0", "an SDK's (/v1)")], "1" if amp else "0"),
        tag("button", "Explain"),
        class_="filters",
        method="get",
        action="explain",
    )
    if found is None:
        return join(form, tag("p", why, class_="alert") if why else None)
    parts: list[Markup | None] = [
        tag(
            "p",
            code(found.asked),
            " ",
            badge(found.route, ROUTES.get(found.route, "neutral")),
            " ",
            _VERDICTS[found.route],
            class_="verdict",
        ),
        tag("ol", *(tag("li", reason) for reason in found.reasons)),
    ]
    if found.role:
        meaning = ROLES.get(found.role, "")
        parts.append(tag("p", f"Role: {found.role}: {meaning}", class_="note"))
    if found.offers:
        columns = (
            Column("Account"),
            Column("Model there", "wide"),
            Column("Dialect"),
            Column("Priority", "num"),
        )
        rows = [(one.account, code(one.upstream_model), one.dialect, one.priority) for one in found.offers]
        parts.append(table("Accounts, in the order in which they are tried", columns, rows))
    if found.nearest:
        parts.append(tag("p", "Nearest names here: ", ", ".join(found.nearest), class_="note"))
    if found.suggested_config:
        parts.append(tag("h2", "To serve it from an account of yours"))
        parts.append(tag("pre", found.suggested_config, tabindex=0))
    return join(form, tag("section", *parts, class_="card", aria_label="Answer"))


def log(found: Log, values: Mapping[str, str]) -> Markup:
    """Rows of the ledger."""
    form = tag(
        "form",
        field("model", "Model", values.get("model", ""), autocomplete="off"),
        field("client", "Client", values.get("client", ""), autocomplete="off"),
        field("account", "Account", values.get("account", ""), autocomplete="off"),
        field("thread", "Thread", values.get("thread", ""), autocomplete="off"),
        select("errors", "Show", [("0", "everything"), ("1", "errors alone")], values.get("errors", "0")),
        tag("button", "Show"),
        class_="filters",
        method="get",
        action="log",
    )
    if not found.ledger:
        return join(form, empty("There is no ledger: nothing has been kept yet (setting: ledger)."))
    shown = (
        table("Requests in the ledger", EXCHANGE_COLUMNS, map(_log_row, found.rows)) if found.rows else None
    )
    more = None
    if found.next:
        query = urlencode({**{name: value for name, value in values.items() if value}, "before": found.next})
        more = tag("p", tag("a", "Earlier requests", href=f"log?{query}", rel="next"), class_="more")
    nothing = None if shown else empty("No request in this part of the ledger fits.")
    return join(form, shown, nothing, more)


def _log_row(row: Exchange) -> tuple[Markup | str, ...]:
    return (when(row.at, "moment"), *exchange_row(row)[1:])


def configuration(found: Configuration, token: str) -> Markup:
    """The configuration."""
    state = badge("in force", "good") if found.in_force else badge("not in force", "bad")
    head = tag(
        "p",
        code(found.file) if found.file else "No file",
        " ",
        state,
        f" configuration {found.generation}, since ",
        when(found.since, "moment"),
        class_="verdict",
    )
    reload_button = None
    if found.file and token:
        reload_button = tag("button", "Read the file again", type="button", id="reload", hidden=True)
    remarks = None
    if found.remarks:
        columns = (Column("Line", "num"), Column("What"), Column("Remark", "wide"))
        remarks = table("What was found fault with", columns, [_remark(one) for one in found.remarks])
    elif found.lines is not None:
        remarks = tag("p", "Nothing was found fault with.", class_="note")
    text = tag("p", found.why, class_="note") if found.lines is None else _text(found)
    status = tag("p", "", id="reload-state", role="status", class_="note")
    return join(head, reload_button, status, remarks, text)


def _remark(one: Remark) -> tuple[Markup | str, ...]:
    line = tag("a", one.line, href=f"#line-{one.line}") if one.line else "–"
    return line, badge(one.level, _LEVELS.get(one.level, "wait")), one.text


def _text(found: Configuration) -> Markup:
    wrong = {one.line: one.level for one in found.remarks}
    lines = [
        tag("li", tag("code", line or " "), id=f"line-{number}", class_=_LEVELS.get(wrong.get(number, "")))
        for number, line in enumerate(found.lines or (), 1)
    ]
    note = "Keys, tokens, addresses and comments are not shown."
    return join(
        tag("h2", "The file"),
        tag("p", note, class_="note"),
        tag("ol", *lines, class_="source", tabindex=0, aria_label="The configuration's lines"),
    )


def doctor(found: Doctor) -> Markup:
    """The doctor's findings, the worst first."""
    button = tag("button", "Call the doctor", type="button", id="call-doctor", hidden=True)
    about = {
        "never": "It has not been called yet. It looks at all that is between clients and models.",
        "running": "The doctor is at work …",
        "failed": found.why,
        "done": _totals(found),
    }[found.state]
    status = tag("p", about, id="doctor-state", role="status", data_state=found.state)
    order = ("problem", "warning", "note", "ok")
    findings = sorted(found.findings, key=lambda finding: order.index(finding.level))
    listed = tag("div", *(_finding(one) for one in findings), class_="findings", id="findings")
    hint = tag("p", "In a terminal: ", code("ampproxy doctor"), class_="note")
    return join(button, status, listed, hint)


def _totals(found: Doctor) -> str:
    levels = [finding.level for finding in found.findings]
    counts = [(level, levels.count(level)) for level in ("problem", "warning", "note", "ok")]
    return (
        ", ".join(f"{number} ok" if level == "ok" else counted(number, level) for level, number in counts)
        + "."
    )


def _finding(one: DoctorFinding) -> Markup:
    todo = tag("pre", one.todo, tabindex=0) if "\n" in one.todo else tag("p", f"To do: {one.todo}")
    return tag(
        "section",
        badge(one.level, _LEVELS[one.level]),
        tag("div", tag("p", one.text), todo if one.todo else None),
        class_="finding",
    )
