"""HTML made of values: every text is escaped unless it is markup already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape

from ampproxy.model.base import Value
from ampproxy.wire.words import local_time, span

_VOID = frozenset(("input", "link", "meta", "br", "hr"))


class Markup(str):
    """Text that is HTML. Made here alone."""

    __slots__ = ()


def tag(_name: str, *content: Markup | str | int | None, **attributes: str | int | bool | None) -> Markup:
    """An element. ``class_`` is ``class``, ``data_x`` is ``data-x``; what is false or missing is left out."""
    given = "".join(_attribute(name, value) for name, value in attributes.items())
    if _name in _VOID:
        return Markup(f"<{_name}{given}>")
    return Markup(f"<{_name}{given}>{join(*content)}</{_name}>")


def join(*content: Markup | str | int | None) -> Markup:
    """Pieces, one after another."""
    return Markup("".join(_piece(one) for one in content))


def _piece(one: Markup | str | int | None) -> str:
    if one is None:
        return ""
    return one if isinstance(one, Markup) else escape(str(one))


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    shown = name.rstrip("_").replace("_", "-")
    return f" {shown}" if value is True else f' {shown}="{escape(str(value))}"'


class Column(Value, frozen=True):
    """A column of a table.

    :param kind: ``num``: numbers, aligned at their end; ``wide``: takes what is left; empty: text.
    """

    title: str
    kind: str = ""


def table(
    caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Markup | str | int | None]], **more: str
) -> Markup:
    """A table; on a narrow screen its rows are cards, so its roles are named and each cell has its title.

    :param caption: for who does not see the heading above it.
    """
    head = join(
        *(tag("th", one.title, scope="col", role="columnheader", class_=one.kind or None) for one in columns)
    )
    body = join(*(tag("tr", _cells(columns, row), role="row") for row in rows))
    return tag(
        "table",
        tag("caption", caption, class_="quiet"),
        tag("thead", tag("tr", head, role="row"), role="rowgroup"),
        tag("tbody", body, role="rowgroup", **more),
        role="table",
    )


def _cells(columns: Sequence[Column], row: Sequence[Markup | str | int | None]) -> Markup:
    cells = []
    for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
        kind = column.kind or None
        if number == 0:
            cells.append(tag("th", cell, scope="row", role="rowheader", class_=kind))
        else:
            cells.append(tag("td", cell, role="cell", class_=kind, data_label=column.title))
    return join(*cells)


def when(wall: float | None, form: str = "time") -> Markup:
    """A time; the page's script shows it by the browser's clock.

    :param form: ``time``: of a day; ``moment``: with the day.
    """
    if wall is None:
        return Markup("")
    shown = local_time(wall)
    text = shown[11:19] if form == "time" else shown[:16]
    utc = datetime.fromtimestamp(wall, timezone.utc).isoformat(timespec="seconds")
    return tag("time", text, datetime=utc, data_form=form, title=shown)


def within(wall: float, now: float) -> Markup:
    """How long until a time, which counts down."""
    return tag("span", span(max(0.0, wall - now)), class_="within", data_until=f"{wall:.0f}")


def badge(text: str, kind: str) -> Markup:
    """A word on a coloured ground; the word alone says it, too."""
    return tag("span", text, class_=f"badge {kind}")


def meter(left: float, most: float, label: str) -> Markup:
    """How much is left, as a bar."""
    share = 0.0 if most <= 0 else max(0.0, min(1.0, left / most))
    level = "low" if share < 0.1 else "middling" if share < 0.3 else "fine"
    return tag(
        "meter", f"{share:.0%}", min=0, max=100, value=round(share * 100), class_=level, aria_label=label
    )


def empty(text: str, *more: Markup | str) -> Markup:
    """What stands where there is nothing to show."""
    return tag("p", text, *more, class_="empty")


def code(text: str) -> Markup:
    """A name as it is written."""
    return tag("code", text)


def option(value: str, text: str, chosen: str) -> Markup:
    """One of a list's choices."""
    return tag("option", text, value=value, selected=value == chosen)


def select(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str) -> Markup:
    """A list to choose from, with its label."""
    return tag(
        "label",
        tag("span", label),
        tag("select", join(*(option(value, text, chosen) for value, text in options)), name=name),
    )


def field(name: str, label: str, value: str = "", **more: str | bool) -> Markup:
    """A field to write into, with its label."""
    return tag("label", tag("span", label), tag("input", name=name, value=value or None, **more))
