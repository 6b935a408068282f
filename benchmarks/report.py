"""What was measured, as text."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.contenders import BEFORE, GATEWAYS, PEER, TLS
from benchmarks.results import LIMITS, Results
from benchmarks.scenarios import Scenario

_NAMES = ("plain", "ampproxy", "nginx")
_ALL_NAMES = tuple(dict.fromkeys((*_NAMES, *GATEWAYS, BEFORE, PEER, f"ampproxy{TLS}", BEFORE + TLS)))


def cpu_table(results: Results, scenarios: Iterable[Scenario]) -> str:
    """CPU a unit, and its ratio to plain's, to pass-through's for a translation, or to another rival's."""
    rows = [["CPU in us", "a", "plain", "ampproxy", "ratio", "nginx", "ratio"]]
    for each in scenarios:
        if each.name in results.missing:
            rows.append([each.title, each.unit, results.missing[each.name]])
            continue
        base = (each.base, "ampproxy") if each.base else (each.name, each.rival)
        names = ("plain", each.ours, "nginx")
        cells = [_number(results.median(each.name, name, "cpu"), 1e6) for name in names]
        ours = _number(results.ratio((each.name, each.ours), base), 1)
        nginx = _number(results.ratio((each.name, "nginx"), base), 1)
        note = f" x {each.base}" if each.base else "" if each.rival == "plain" else f" x {each.rival}"
        rows.append([each.title, each.unit, cells[0], cells[1], ours + note, cells[2], nginx])
    return _align(rows)


def wall_table(results: Results, scenarios: Iterable[Scenario]) -> str:
    """What clients see: units a second, how long an answer (or a paced event's way) takes, and how busy
    the contender's core was.
    """
    rows = [["wall clock", "with", "units/s", "p50 ms", "p99 ms", "core busy"]]
    for each in scenarios:
        for name in _ALL_NAMES:

            def take(what: str, times: float, scenario: str = each.name, name: str = name) -> str:
                return _number(results.median(scenario, name, what), times)

            if (each.name, name) in results.samples:
                figures = [take("rate", 1), take("p50", 1e3), take("p99", 1e3), take("busy", 100) + "%"]
                rows.append([each.title, name, *figures])
    return _align(rows)


def against_table(results: Results, scenarios: Iterable[Scenario], name: str = BEFORE) -> str:
    """This checkout beside another program or checkout, round by round: CPU a unit, how many times cheaper it
    is, and how its slowest answers compare.

    :param name: the other contender.
    """
    rows = [
        ["CPU in us", "a", name, "ampproxy", "times cheaper", f"p99 ms {name}", "p99 ms ampproxy", "share"]
    ]
    for each in scenarios:
        other = name + TLS if each.ours.endswith(TLS) else name
        if not results.samples.get((each.name, other)):
            continue
        cpu = [results.median(each.name, one, "cpu") for one in (other, each.ours)]
        p99 = [results.median(each.name, one, "p99") for one in (other, each.ours)]
        share = None if p99[0] is None or p99[1] is None else p99[1] / p99[0]
        rows.append(
            [
                each.title,
                each.unit,
                *(_number(figure, 1e6) for figure in cpu),
                _number(results.ratio((each.name, other), (each.name, each.ours)), 1),
                *(_number(figure, 1e3) for figure in p99),
                _number(share, 1),
            ]
        )
    return _align(rows)


def footprint_table(results: Results) -> str:
    """Start and memory."""
    rows = [["footprint", "ready s", "CPU s until then", "idle MB", "KB a stream", "MB kept"]]
    for name, each in results.footprints.items():
        figures = (
            median(each.ready),
            median(each.ready_cpu),
            each.idle / 1e6,
            each.stream / 1e3,
            each.kept / 1e6,
        )
        rows.append([name, *(_number(figure, 1) for figure in figures)])
    ours, before = (results.footprints.get(name) for name in ("ampproxy", BEFORE))
    if ours is None or before is None:
        return _align(rows)
    sooner = median(old / new for old, new in zip(before.ready, ours.ready, strict=True))
    return f"{_align(rows)}\n\nready {sooner:.2f} times sooner than {BEFORE}"


def tunnel_table(results: Results) -> str:
    """Tunnels, if they were measured."""
    each = results.tunnels
    if each is None:
        return "tunnels  " + results.missing.get("tunnels", "not measured")
    heads = ["tunnels", "", "KB each", "KB after 1 MB", "KB more, stalled"]
    heads += ["opened a second", "ms a talk", "beside stalled", "CPU ms a MB"]
    memory = (each.idle / 1e3, each.used / 1e3, each.stalled / 1e3)
    figures = (*memory, each.opened, each.talked * 1e3, each.meanwhile * 1e3, each.cpu * 1e3)
    return _align([heads, [f"{each.count}", "ampproxy", *(_number(figure, 1) for figure in figures)]])


def verdicts(results: Results) -> tuple[list[str], bool]:
    """A line for each limit whose value was measured, and whether all hold."""
    lines, good = [], True
    for limit in LIMITS:
        value = limit.value(results)
        if value is None:
            continue
        holds = value <= limit.most
        good &= holds
        word = "PASS" if holds else "FAIL"
        lines.append(f"{word}  {limit.what} {value:.3g} {limit.unit} (at most {limit.most:g})")
    return lines, good


def _number(value: float | None, times: float) -> str:
    if value is None:
        return "-"
    value *= times
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _align(rows: list[list[str]]) -> str:
    columns = max(map(len, rows))
    whole = [row for row in rows if len(row) == columns]
    widths = [max(len(row[column]) for row in whole) for column in range(columns)]
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
