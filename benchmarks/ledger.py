"""``python -m benchmarks.ledger``: how long ``ampproxy usage`` takes over a ledger of ten million rows.

The file is made by the ledger's own writer, as a service would have filled it in a year.
That takes some minutes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Entry, Series, Tokens
from ampproxy.ledger.file import DAY
from ampproxy.ledger.store import Store

#: Seconds that ``--by day`` over everything may take.
LIMIT = 2.0

#: Rows of one transaction while the file is made.
_BATCH = 20_000
_SECOND = 1_000_000

#: What is timed: all of it by day, which has the limit, and other questions.
QUESTIONS = (
    ("--by", "day", "--since", "all"),
    ("--by", "day", "--since", "90d"),
    ("--by", "model", "--since", "all"),
    ("--by", "client", "--since", "all", "--json"),
    ("--by", "day", "--since", "36h"),
    ("--by", "thread", "--since", "7d"),
    ("--by", "thread", "--since", "30d"),
)

#: What Amp asks for, and how often: role, model, tokens that a vendor's cache had, and those of the answer.
_ASKED = (
    ("smart", "claude-opus-4-6", 46, 60_000, 700),
    ("rush", "claude-haiku-4-5-20251001", 8, 20_000, 400),
    ("deep", "gpt-5.4", 8, 50_000, 900),
    ("task", "claude-opus-4-6", 10, 30_000, 600),
    ("finder", "gemini-3-flash-preview", 12, 8_000, 200),
    ("oracle", "gpt-5.4", 4, 20_000, 1500),
    ("librarian", "claude-sonnet-4-6", 3, 20_000, 700),
    ("title", "claude-haiku-4-5-20251001", 6, 0, 15),
    ("look_at", "gemini-3-flash-preview", 2, 0, 300),
    ("", "gpt-5-mini", 1, 0, 100),
)
_CLIENTS = 8
_OUTCOMES = {"completed": 955, "client-left": 25, "upstream-error": 12, "broken-off": 3, "refused": 5}
_ACCOUNTS = {
    "claude": ("claude-api-key[0]", "claude-api-key[1]", "claude:anna@example.com"),
    "gpt": ("codex-api-key[0]", "codex:anna@example.com"),
    "gemini": ("gemini-api-key[0]",),
}


def entries(count: int, days: float, end: int) -> Iterator[Entry]:
    """As many exchanges as a team of some people would make, evenly spread, the same ones each time.

    :param days: over how many days they are spread.
    :param end: when the last one ends, in microseconds since the epoch.
    """
    chance = random.Random(8317)
    weights = [row[2] for row in _ASKED]
    outcomes, outcome_weights = list(_OUTCOMES), list(_OUTCOMES.values())
    step = int(days * DAY) // count
    begin = end - step * count
    for number in range(count):
        role, asked, _, cached, output = chance.choices(_ASKED, weights)[0]
        outcome = chance.choices(outcomes, outcome_weights)[0]
        route = "mapped" if role == "finder" else "amp" if chance.random() < 0.02 else "local"
        served = "" if route == "amp" else "claude-haiku-4-5-20251001" if route == "mapped" else asked
        account = chance.choice(_ACCOUNTS[served.partition("-")[0]]) if served else ""
        client = chance.randrange(_CLIENTS)
        series = Series(f"key{client}", role, asked, served, account, route, outcome, role != "")
        tokens = None
        if outcome != "refused":
            tokens = Tokens(chance.randrange(500), int(cached * chance.random() * 2), cached // 20, output, 0)
        thread = f"T-{number // (60 * _CLIENTS):08x}-{client:04x}-4000-8000-000000000000"
        first = chance.randrange(300, 4000)
        yield Entry(begin + number * step, series, thread, 200, tokens, first, first + chance.randrange(9000))


def make(path: Path, rows: int, days: float) -> None:
    """Make a ledger."""
    store = Store(path)
    found = entries(rows, days, int(time.time()) * _SECOND)
    written = 0
    while batch := list(islice(found, _BATCH)):
        store.write(batch)
        written += len(batch)
        if sys.stderr.isatty():
            print(f"\r\033[K{written:,} rows", end="", file=sys.stderr, flush=True)
    store.close()


def timed(config: Path, question: tuple[str, ...], rounds: int) -> list[float]:
    """Seconds of the whole command, start of the interpreter included, some times."""
    program = Path(sys.executable).with_name("ampproxy")
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        subprocess.run(
            [str(program), "usage", "--config", str(config), *question], check=True, stdout=subprocess.DEVNULL
        )
        taken.append(time.perf_counter() - begin)
    return taken


def main() -> int:
    """Make the file, unless it is there, and ask; 1 if the limit does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=float, default=365.0, help="over how many days they are spread")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where it is, or is made and kept [a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        folder = options.folder or Path(temporary)
        path = folder / NAME
        if not path.exists():
            begin = time.perf_counter()
            make(path, options.rows, options.days)
            print(f"{options.rows:,} rows made in {time.perf_counter() - begin:.0f} s")
        print(f"{path}: {path.stat().st_size / 1e6:,.0f} MB\n")
        config = Path(temporary) / "config.yaml"
        config.write_text(f"state-dir: {folder}\n")
        slowest = 0.0
        for question in QUESTIONS:
            taken = timed(config, question, options.rounds)
            asked = " ".join(question)
            print(f"{median(taken):6.2f} s  (slowest {max(taken):.2f})  ampproxy usage {asked}", flush=True)
            if question == QUESTIONS[0]:
                slowest = max(taken)
    holds = slowest < LIMIT
    print(f"\n{'PASS' if holds else 'FAIL'}  all by day: {slowest:.2f} s (under {LIMIT:g})")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
