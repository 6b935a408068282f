"""``ampproxy usage``: what it prints, of which time, and what it says when it cannot."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.cli.usage import moment
from ampproxy.config.ledger import LEDGER
from ampproxy.config.load import parse
from ampproxy.credentials.names import account_name
from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Tokens
from ampproxy.ledger.file import DAY, denied
from ampproxy.ledger.prices import parse_prices
from ampproxy.ledger.report import DIMENSIONS
from ampproxy.ledger.store import Store
from ampproxy.relay.record import Outcome
from ampproxy.wire.words import local_time
from tests.ledger.samples import NOON, SECOND, THREAD, entry
from tests.ledger.samples import moment as at

UNASKED = "its service does not answer: with port: 0 the service has no address of its own"
NOW = NOON + 5 * DAY
CONFIG = """
port: 0
state-dir: {state}
claude-api-key:
  - {{api-key: canary-usage-key-1}}
openai-compatibility:
  - {{name: box, base-url: "http://localhost:11434/v1"}}
{more}
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """A home of the test's own, a terminal of 100 columns, and a day in November."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(time, "time", lambda: NOW / SECOND)


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def ledger(state):
    with closing(Store(state / NAME)) as ledger:
        ledger.write(
            [
                entry(NOON - 40 * DAY),
                entry(NOON, tokens=Tokens(1_000_000, 0, 0, 100_000, 0)),
                entry(NOON + DAY, asked="gpt-5.4", route="mapped", client="key1"),
                entry(NOON + DAY, account="openai-compatibility/box[0]", served="qwen", asked="qwen"),
                entry(NOW - 1, asked="gpt-5.4", served="", account="", route="amp"),
            ]
        )
        yield ledger


def invoke(tmp_path, state, *options, more=""):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(state=state, more=more))
    return CliRunner().invoke(main, ["usage", "--config", str(file), *options])


@pytest.fixture
def run(tmp_path, state):
    def run(*options, more=""):
        result = invoke(tmp_path, state, *options, more=more)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def fail(tmp_path, state):
    def fail(*options, more=""):
        result = invoke(tmp_path, state, *options, more=more)
        assert result.exit_code != 0
        return result.exit_code, result.stderr

    return fail


def test_the_table(ledger, run):
    """The last thirty days by model, with what it means in credits; plain text where nobody looks."""
    text = run()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == f"Usage since {local_time(NOW / SECOND - 30 * 86400)}"
    assert lines[2].split()[:2] == ["model", "requests"]
    assert lines[3].startswith("claude-opus-4-6         2")
    assert "$7.5" in lines[3]
    assert "█" in lines[3]
    assert "Your accounts served 3 requests of Amp's clients. Estimate:" in text
    assert "1 request fell back to Amp. Estimate:" in text
    assert re.search(r"Prices: genai-prices [\d.]+, then the\s+shipped table of 2026-11-29\.", text)
    assert max(len(line) for line in lines if str(NAME) not in line) <= 100


def test_a_terminal_of_another_width(ledger, run, monkeypatch):
    """The table keeps within it."""
    for width in (50, 70, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        # But for a path, which is to be copied.
        assert max(len(line) for line in run().splitlines() if str(NAME) not in line) <= width


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--by", "model"), ["claude-opus-4-6", "gpt-5.4", "qwen"]),
        (("--by", "client", "--since", "all"), ["key0", "key1"]),
        (("--by", "day"), ["2026-11-01", "2026-11-02", "2026-11-06"]),
        (("--by", "day", "--since", "2026-11-02"), ["2026-11-02", "2026-11-06"]),
        (("--by", "day", "--until", "2026-11-02"), ["2026-11-01"]),
        (("--by", "day", "--since", "3d"), ["2026-11-06"]),
        (("--by", "thread"), [THREAD]),
        (("--by", "route"), ["local", "mapped", "amp"]),
        (("--by", "account"), ["claude-api-key[0]", "Amp", "openai-compatibility/box[0]"]),
        (("--by", "role"), ["smart"]),
        (("--since", "2026-12-01"), []),
    ],
)
def test_json(ledger, run, options, names):
    """Whatever the question, the answer has its groups, their sum, and the span."""
    told = json.loads(run("--json", *options))
    assert [group["name"] for group in told["groups"]] == names
    assert told["total"]["requests"] == sum(group["requests"] for group in told["groups"])
    assert set(told) >= {"since", "until", "by", "notes", "amp_credits", "unpriced_models"}


def test_csv(ledger, run):
    """A header and a row for each group."""
    rows = list(csv.DictReader(io.StringIO(run("--csv", "--by", "day"))))
    assert [row["day"] for row in rows] == ["2026-11-01", "2026-11-02", "2026-11-06"]
    assert rows[0]["output_tokens"] == "100000"


def test_top(ledger, run):
    """The rest is one line."""
    told = json.loads(run("--json", "--top", "1"))
    assert [group["name"] for group in told["groups"]] == ["claude-opus-4-6", "(2 others)"]


def test_own_prices(ledger, run, tmp_path):
    """They count at once; a server on this machine and a flat account cost nothing."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("models: [{names: [claude-*, qwen], input: 1000, output: 0}]\namp-factor: 2\n")
    more = f"ledger: {{prices: {prices}}}"
    told = json.loads(run("--json", "--by", "account", more=more))
    costs = {group["name"]: group["cost"]["usd"] for group in told["groups"]}
    assert costs["claude-api-key[0]"] == pytest.approx(1000 + (100 + 2000 + 300) * 1000 / 1e6)
    assert costs["openai-compatibility/box[0]"] == 0
    assert told["amp_credits"]["spent"]["usd"] == pytest.approx(2 * (2.5 * 400 + 0.25 * 2000 + 15 * 40) / 1e6)
    assert "after 2 of your own" in run(more=more)
    prices.write_text("models: [{names: [claude-*], input: 1000, output: 0}]\nflat: ['claude-*']\n")
    told = json.loads(run("--json", "--by", "account", more=more))
    assert {group["cost"]["usd"] for group in told["groups"] if group["name"] != "Amp"} == {0}


def test_the_shipped_prices_are_a_file_to_begin_with(run):
    """What ``--prices`` prints is read again as it is; no configuration is needed for it."""
    assert parse_prices(run("--prices"), "printed").find("gpt-6.2-sol") is not None
    assert CliRunner().invoke(main, ["usage", "--prices"]).exit_code == 0


def test_while_a_service_writes(ledger, run):
    """The table is of the moment of asking; asking hinders nobody."""
    assert json.loads(run("--json"))["total"]["requests"] == 4
    ledger.write([entry(NOW - 2)])
    assert json.loads(run("--json"))["total"]["requests"] == 5
    ledger.close()
    assert json.loads(run("--json"))["total"]["requests"] == 5


def test_rows_that_are_gone(ledger, run):
    """What is known of a time by days only is said with it."""
    while ledger.make_room(NOW, NOW - NOON - 1, 1 << 40):
        pass
    told = json.loads(run("--json", "--by", "day", "--since", "2026-11-01T11:00"))
    assert told["notes"] == [
        "2026-11-01 is in as a whole: its single exchanges are no longer kept.",
    ]
    assert told["total"]["requests"] == 4
    assert "Threads are known from" in run("--by", "thread")


def test_no_ledger(fail, tmp_path):
    """Where it would be; why it is not, if that is known."""
    code, told = fail()
    where = f"there is no ledger at {tmp_path}/state/{NAME} (the state-dir of this configuration;"
    assert (code, told.strip()) == (1, f"Error: {where} {UNASKED})")
    assert "(ledger: false)" in fail(more="ledger: false")[1]


def test_a_ledger_that_is_off(ledger, run):
    """What it kept before is shown, and that nothing is added."""
    assert "Nothing new is kept (ledger: false)" in run(more="ledger: false")
    assert json.loads(run("--json", more="ledger: false"))["notes"] != []
    assert json.loads(run("--json"))["notes"] == []


def test_nothing_in_that_time(ledger, run):
    """A table of nothing would be one of headings."""
    assert "There were no exchanges in that time." in run("--since", "2027-01-01")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "yesterday-ish"), "'yesterday-ish' is not a time: expected such as 7d"),
        (("--by", "colour"), "colour"),
        (("--json", "--csv"), "exclude each other"),
        (("--top", "0"), "--top"),
        (("--since", "2026-11-20", "--until", "2026-11-20"), "--until is no later than --since"),
    ],
)
def test_wrong_options(ledger, fail, options, told):
    """The status is that of a wrong command line."""
    code, said = fail(*options)
    assert code == 2
    assert told in said


def test_wrong_prices(ledger, fail, tmp_path):
    """With file and line; a table with wrong prices is worse than none."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n  - {names: [a], input: lots, output: 1}\n")
    assert f"{prices}:2: models[0].input: expected a number" in fail(more=f"ledger: {{prices: {prices}}}")[1]


def test_a_damaged_ledger(fail, state):
    """It is told in a sentence."""
    state.mkdir()
    (state / NAME).write_bytes(b"no ledger" * 1000)
    code, told = fail()
    assert code == 1
    assert "cannot be read: it is not a ledger" in told


def test_a_ledger_that_cannot_be_read(fail, tmp_path, state):
    """Not even looked for: said in one line, whatever the system's reason is."""
    (state / NAME).mkdir(parents=True)
    assert f"Error: {state / NAME} cannot be read: Is a directory (the" in fail()[1]
    result = invoke(tmp_path, tmp_path / ("x" * 300))
    assert result.exit_code == 1
    assert "cannot be read: File name too long" in result.stderr
    assert denied(PermissionError(13, "Permission denied")).endswith("as the service's user")


def test_the_documentation_knows_all_options():
    """And every thing that usage can be told by, and every setting."""
    text = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    command = main.get_command(click.Context(main), "usage")
    assert command is not None
    options = [option for parameter in command.params for option in parameter.opts]
    settings = [row.name for row in LEDGER.rows if row.name != "enable"]
    for name in (*options, *DIMENSIONS, *settings, *(outcome.value for outcome in Outcome)):
        assert name in text, name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", None),
        (None, None),
        ("7d", NOW - 7 * DAY),
        ("12h", NOW - DAY // 2),
        ("90m", NOW - 90 * 60 * SECOND),
        ("2W", NOW - 14 * DAY),
        ("999999w", 0),
        ("2026-11-01", at("2026-11-01T00:00:00")),
        ("2026-11-01T08:30", at("2026-11-01T08:30:00")),
        ("2026-11-01 08:30", at("2026-11-01T08:30:00")),
        ("2026-11-01T08:30:00Z", at("2026-11-01T08:30:00")),
        ("2026-11-01T08:30+01:00", at("2026-11-01T07:30:00")),
        ("2026-11-01T08:30:00.000001", at("2026-11-01T08:30:00") + 1),
        ("0001-01-01", 0),
        ("9999-12-31", at("9999-12-31T00:00:00")),
    ],
)
def test_times(text, expected):
    """A span back from now, or a time in UTC unless it says otherwise; to the microsecond."""
    assert moment(None, None, text) == expected  # type: ignore[arg-type]


def test_accounts_by_what_they_are(state, run):
    """An account's usage follows its key, not its place in the file; one that is gone has its name."""
    keys = ("one", "two", "gone")
    file = "gemini-api-key: [{api-key: one}, {api-key: two}, {api-key: gone}]"
    accounts = parse(file, name="c", environ={}, home=state, read_secret=str).accounts
    names = {key: account_name(account) for key, account in zip(keys, accounts, strict=True)}
    with closing(Store(state / NAME)) as ledger:
        for count, name in enumerate(names.values(), 1):
            ledger.write([entry(NOON, account=name) for _ in range(count)])
    told = json.loads(
        run("--by", "account", "--json", more="gemini-api-key: [{api-key: two}, {api-key: one}]\n")
    )
    counts = {group["name"]: group["requests"] for group in told["groups"]}
    assert counts == {"gemini-api-key[0]": 2, "gemini-api-key[1]": 1, names["gone"]: 3}
