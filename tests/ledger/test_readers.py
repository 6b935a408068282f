"""What reads a ledger shows the same of either engine: the commands, and the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import structs
from msgspec.structs import replace

from ampproxy.cli import main
from ampproxy.cli.status import used_today
from ampproxy.config.load import load
from ampproxy.config.schema import Config
from ampproxy.dashboard import rows
from ampproxy.dashboard.desk import Books
from ampproxy.dashboard.usage import usage
from ampproxy.ledger.file import DAY
from tests.ledger.conftest import Kept
from tests.ledger.samples import NOON, SECOND, THREAD, entry

TREE = Path(__file__).parents[2]


@pytest.fixture
def config(ledger: Kept, tmp_path: Path) -> Config:
    """The configuration of a service that has this ledger."""
    values: dict[str, Any] = {"port": 1, "state-dir": str(tmp_path)}
    if ledger.place.database is not None:
        assert ledger.place.database.url is not None
        values["ledger"] = {"url": ledger.place.database.url.reveal()}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(values))
    ledger.write(
        [
            entry(NOON, client="ann"),
            entry(NOON + SECOND, client="bob", asked="gpt-5.4", route="mapped"),
            entry(NOON + SECOND, client="ann", outcome="upstream-error", tokens=None, thread=""),
            entry(NOON + DAY, client="bob", thread="mine"),
        ]
    )
    return load(file, environ={}, home=tmp_path)


def run(tmp_path: Path, *words: str) -> Any:
    done = CliRunner().invoke(
        main, [*words, "--config", str(tmp_path / "config.yaml")], env={"HOME": str(tmp_path)}
    )
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.usefixtures("config")
def test_commands(tmp_path: Path) -> None:
    """By day, by client, by thread; the last exchanges, and those that went wrong."""
    for by, expected in (
        ("day", {"2026-11-01": 3, "2026-11-02": 1}),
        ("client", {"ann": 2, "bob": 2}),
        ("thread", {THREAD: 2, "-": 1, "mine": 1}),
    ):
        found = json.loads(run(tmp_path, "usage", "--by", by, "--json").stdout)
        assert {group["name"]: group["requests"] for group in found["groups"]} == expected
    part = json.loads(run(tmp_path, "usage", "--since", "2026-11-01T12:00:01", "--json").stdout)
    assert sum(group["requests"] for group in part["groups"]) == 3
    last = [json.loads(line) for line in run(tmp_path, "log", "-n", "2", "--json").stdout.splitlines()]
    assert [one["ended"] for one in last] == ["2026-11-01T12:00:01.000Z", "2026-11-02T12:00:00.000Z"]
    (wrong,) = run(tmp_path, "log", "--errors", "--json").stdout.splitlines()
    assert json.loads(wrong)["outcome"] == "upstream-error"
    (mine,) = run(tmp_path, "log", "--thread", "mine", "--json").stdout.splitlines()
    assert json.loads(mine)["tokens"]["input"] == 100


def test_today(config: Config, ledger: Kept) -> None:
    """What the overview has."""
    today = used_today(config, ledger.place, (NOON + DAY) / SECOND)
    assert (today.requests, today.tokens) == (1, 2400)


def test_the_pages_log(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of it leads to the next without a gap, also between rows of one moment; filters hold."""

    def ask(**wanted: Any) -> Any:
        return rows.log(tmp_path, config, Books(), rows.Wanted(**wanted))

    def pages(most: int, **wanted: Any) -> list[list[tuple[str, str]]]:
        found, before = [], ""
        for _ in range(9):
            answer = ask(before=before, most=most, **wanted)
            found.append([(row.client, row.outcome) for row in answer.rows])
            before = answer.next
            assert not before or rows.is_number(before)
            if not before:
                return found
        raise AssertionError("the pages have no end")

    whole = [row for page in pages(50) for row in page]
    assert len(whole) == 4
    assert [row for page in pages(1) for row in page] == whole
    assert [row for page in pages(3) for row in page] == whole
    assert pages(9, client="ann", errors=True) == [[("ann", "upstream-error")]]
    assert pages(9, thread=THREAD, model="gpt-5.4") == [[("bob", "completed")]]
    monkeypatch.setattr(rows, "LOOKED_AT", 2)
    assert [row for page in pages(9, client="ann") for row in page] == [
        row for row in whole if row[0] == "ann"
    ]
    assert ask(before=str(NOON)).rows == ()


def test_the_pages_usage(config: Config, tmp_path: Path) -> None:
    """By day and client."""
    found = usage(tmp_path, config, Books(), "client", 9, NOON // DAY + 1)
    assert {(day.day, day.name): day.requests for day in found.days} == {
        ("2026-11-01", "ann"): 2,
        ("2026-11-01", "bob"): 1,
        ("2026-11-02", "bob"): 1,
    }
    off = replace(config, ledger=structs.replace(config.ledger, url=None))
    assert usage(tmp_path / "nowhere", off, Books(), "client", 9, NOON // DAY).ledger is False


def test_a_file_needs_no_database(tmp_path: Path) -> None:
    """Who has none loads neither client library: not to serve, not to write, not to read, not for the page.
    Nor is Redis' loaded where nothing is shared.
    """
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ampproxy.ledger.making import make_store\n"
        "from ampproxy.model.ledger import Ledger\n"
        "import ampproxy.dashboard.questions, ampproxy.cli.doctor, ampproxy.cli.log, ampproxy.cli.usage\n"
        "from ampproxy.ledger.place import Place\n"
        f"store = make_store(Path({str(tmp_path)!r}), float, Ledger())\n"
        "store.write([], str)\n"
        "Place(store.path).open().close()\n"
        "from twisted.internet import reactor\n"
        "from ampproxy.config.load import parse\n"
        "from ampproxy.tap import build\n"
        "config = parse('port: 0\\napi-keys: [k]', name='c', environ={}, home=Path('/h'), read_secret=str)\n"
        "service = build(config, reactor, environ={}, observer=lambda event: None)\n"
        "assert service.current.runtime.shared.report().by == ''\n"
        "libraries = ('sqlalchemy', 'psycopg', 'redis')\n"
        "print([name for name in sys.modules if name.split('.')[0] in libraries])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=TREE, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
