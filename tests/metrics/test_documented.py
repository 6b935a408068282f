"""The documentation, the alerts and the dashboard name only metrics that there are, with their labels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from twisted.internet.task import Clock

from ampproxy.metrics.registry import MetricsRegistry
from ampproxy.model.events import Usage
from ampproxy.relay.gaps import Gaps
from tests.cases import each
from tests.metrics.test_exchanges import exchange
from tests.metrics.test_workers import Workers
from tests.resources.harness import World

TREE = Path(__file__).parents[2]
RULES = TREE / "etc" / "prometheus" / "ampproxy.rules.yml"
DASHBOARD = TREE / "etc" / "grafana" / "ampproxy.json"
PROMTOOL = shutil.which("promtool")

#: What Prometheus adds by itself.
ADDED = {"instance", "job", "le"}
#: Shown by the library, on Linux.
PROCESS = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
}
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def families() -> dict[str, Any]:
    """Every metric of ours, each with a sample if one exchange can make one."""
    board = MetricsRegistry(Clock(), lambda: World().generation, {}, workers=Workers())
    gaps = Gaps()
    gaps.add(1.0)
    board.exchanges.observe(exchange(usage=Usage(1, 2, 3, 4, 5), gaps=gaps, sent=100.1, first_byte=100.2))
    board.exchanges.observe(exchange(kind="amp", status=500, failed=("a",), sent=100.1))
    found = {family.name: family for family in board.registry.collect()}
    return {name: family for name, family in found.items() if name.startswith("ampproxy_")}


def documented() -> dict[str, set[str]]:
    """The labels of each metric, by the name in the table of docs/monitoring.md."""
    text = (TREE / "docs" / "monitoring.md").read_text()
    section = text.partition("### All metrics")[2].partition("\n### ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): set(re.findall(r"`(\w+)`", row[2])) for row in rows}


def samples() -> dict[str, set[str]]:
    """The labels of every series that can be asked for."""
    labels = documented()
    found = {name: set() for name in PROCESS}
    for name, family in families().items():
        written = name + "_total" if family.type == "counter" else name
        for ending in ENDINGS[family.type]:
            found[name + ending] = labels[written]
    return found


def test_every_metric_is_documented() -> None:
    """Each with its labels, and no other."""
    told = documented()
    there = families()
    assert set(told) == {
        name + "_total" if family.type == "counter" else name for name, family in there.items()
    }
    for name, family in there.items():
        labels = told[name + "_total" if family.type == "counter" else name]
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample
        assert family.documentation.endswith(".") or family.documentation.endswith("1.")


def expressions() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


@each(("where", "expression"), list(expressions()), ids=lambda value: value[:30])
def test_expressions(where: str, expression: str) -> None:
    """Each asks for metrics and labels that there are."""
    known = samples()
    used = re.findall(r"\b((?:ampproxy|process)_\w+)(\{[^}]*\})?", expression)
    assert used or "up{" in expression
    labels: set[str] = set()
    for name, selector in used:
        assert name in known, f"{where}: {name}"
        chosen = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', selector))
        assert chosen <= known[name] | ADDED, f"{where}: {name}{selector}"
        labels |= known[name]
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert set(re.findall(r"\w+", grouped)) <= labels | ADDED, f"{where}: by ({grouped})"


def test_dashboard() -> None:
    """It can be imported anywhere: its source is asked for, its panels have a place each and a name."""
    board = json.loads(DASHBOARD.read_text())
    assert [each["name"] for each in board["templating"]["list"]] == ["datasource", "instance"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


def test_alerts() -> None:
    """Each says what is wrong in a sentence, and how much it matters."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("info", "warning", "critical")
            assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("arguments", [("check", "rules", str(RULES)), ("test", "rules", "rules.test.yml")])
def test_rules_by_promtool(arguments: tuple[str, ...]) -> None:
    """Prometheus itself takes the rules, and they fire when they should."""
    promtool(*arguments)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_dashboard_by_promtool(tmp_path: Path) -> None:
    """Each expression of the dashboard is one."""
    told = [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for _, text in expressions()]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(told)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(path))


def promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    here = Path(__file__).parent
    ended = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, cwd=here)
    assert ended.returncode == 0, ended.stdout + ended.stderr
