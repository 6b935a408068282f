"""The ledger's file: what is written is there, as a whole, whoever else writes and whatever the disk does."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ampproxy.ledger import LedgerError, file, store
from ampproxy.ledger.entry import Tokens
from ampproxy.ledger.file import DAY, MIGRATIONS, open_to_read, open_to_write
from ampproxy.ledger.place import Place
from ampproxy.ledger.query import Span, read
from ampproxy.ledger.store import OTHERS, Store
from ampproxy.wire.redact import Redactor, Secret
from tests import forked
from tests.ledger.samples import NOON, SECOND, THREAD, TOKENS, entry

TREE = Path(__file__).parents[2]
YEAR = 365 * DAY
LARGE = 1 << 40


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.fixture
def ledger(path):
    ledger = Store(path)
    yield ledger
    ledger.close()


def ask(path: Path, question: str) -> list[Any]:
    with closing(open_to_read(path)) as connection:
        return connection.execute(question).fetchall()


def check_sums(path: Path) -> int:
    """That the daily sums are those of the rows; gives the number of rows."""
    told = "sum(input), sum(cache_read), sum(cache_write), sum(output), sum(reasoning), sum(total_ms)"
    rows = ask(path, f"SELECT count(*), count(input), {told}, sum(first_ms), count(first_ms) FROM exchanges")
    daily = ask(path, f"SELECT sum(requests), sum(metered), {told}, sum(first_ms), sum(firsts) FROM daily")
    assert rows == daily or (rows[0][0] == 0 and daily[0][0] is None)
    return int(rows[0][0])


def test_only_the_owner_can_read_it(ledger, path):
    """The file and its folder, and what SQLite puts beside it."""
    ledger.write([entry()])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    beside = list(path.parent.iterdir())
    assert len(beside) == 3
    assert {stat.S_IMODE(each.stat().st_mode) for each in beside} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(path):
    """As one that was copied back from somewhere."""
    path.parent.mkdir()
    path.touch(0o644)
    path.chmod(0o644)
    Store(path).write([entry()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_row_says_everything(ledger, path):
    """The view is for people with a SQLite shell."""
    ledger.write([entry(), entry(NOON + SECOND, tokens=None, thread="mine", outcome="refused")])
    assert ask(path, "SELECT * FROM readable") == [
        ("2026-11-01T12:00:00.000Z", "key0", "smart", "claude-opus-4-6", "claude-opus-4-6",
         "claude-api-key[0]", "local", "completed", 200, THREAD[2:].replace("-", ""),
         100, 2000, 300, 40, 5, 250, 1500, 0, "", 0),
        ("2026-11-01T12:00:01.000Z", "key0", "smart", "claude-opus-4-6", "claude-opus-4-6",
         "claude-api-key[0]", "local", "refused", 200, "mine", None, None, None, None, None, 250, 1500,
         None, "", 0),
    ]  # fmt: skip


def test_sums_are_those_of_the_rows(ledger, path):
    """In whatever order, over several days, in batches of any size, with what is not known."""
    chance = random.Random(5)
    for size in (1, 9, 10, 11, 99, 123, 1):
        ledger.write(
            entry(
                NOON + chance.randrange(-DAY, DAY),
                tokens=chance.choice([None, Tokens(*(chance.randrange(1000) for _ in range(5)))]),
                client=chance.choice(["key0", "key1"]),
                outcome=chance.choice(["completed", "refused"]),
            )
            for _ in range(size)
        )
    assert check_sums(path) == 254
    assert len(ask(path, "SELECT DISTINCT day FROM daily")) == 3


def test_rows_of_one_moment(path):
    """Two processes may write of the same microsecond; both rows stay."""
    first, second = Store(path), Store(path)
    first.write([entry(), entry(), entry(NOON + 1)])
    second.write([entry(), entry(NOON + 3), entry(NOON + 2)])
    first.write([entry()])
    assert [number for (number,) in ask(path, "SELECT id FROM exchanges")] == [NOON + n for n in range(7)]
    assert check_sums(path) == 7


def test_nothing_of_a_batch_that_cannot_be_written_stays(ledger, path):
    """Not even its names; the next one is written as if it had not been."""
    ledger.write([entry()])
    wrong: Any = object()
    with pytest.raises(LedgerError):
        ledger.write([entry(client="other"), entry()._replace(status=wrong)])
    assert check_sums(path) == 1
    ledger.write([entry(client="other")])
    assert check_sums(path) == 2
    assert ask(path, "SELECT client FROM series ORDER BY id") == [("key0",), ("other",)]


@pytest.mark.parametrize(
    "damage", [b"this is not a ledger at all " * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_is_left_as_it_is(ledger, path, damage):
    """It says what to do; once that is done, a new one is begun."""
    path.parent.mkdir()
    path.write_bytes(damage)
    for _ in range(2):
        with pytest.raises(LedgerError, match="damaged: move it away"):
            ledger.write([entry()])
    assert path.read_bytes() == damage
    path.rename(path.with_name("old"))
    ledger.write([entry()])
    assert check_sums(path) == 1


def test_a_file_that_was_taken_away_is_made_anew(ledger, path):
    """Also while it is open: rows do not go on into a file that nobody can find."""
    ledger.write([entry(), entry()])
    path.rename(path.with_name("old"))
    ledger.write([entry()])
    assert check_sums(path) == 1


def test_a_locked_file(ledger, path, monkeypatch):
    """It waits for the other one a while, then says so; later it is written."""
    monkeypatch.setattr(file, "BUSY_TIMEOUT", 0.05)
    ledger.write([])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another program holds it locked"):
            ledger.write([entry()])
        other.execute("ROLLBACK")
    ledger.write([entry()])
    assert check_sums(path) == 1


def test_a_full_disk(ledger, path):
    """SQLite is told that there is no more room; when there is, writing goes on."""
    ledger.write([entry()])
    connection = ledger._open()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="the disk is full"):
        ledger.write(entry(NOON + number) for number in range(2000))
    assert check_sums(path) == 1
    ledger.write(entry(NOON + 10 + number) for number in range(2000))
    assert check_sums(path) == 2001


def test_a_folder_that_cannot_be_made(tmp_path):
    """Until it can."""
    (tmp_path / "state").write_text("a file in its place")
    ledger = Store(tmp_path / "state" / "ledger.sqlite3")
    with pytest.raises(LedgerError, match=r"exists|directory"):
        ledger.write([entry()])
    (tmp_path / "state").unlink()
    ledger.write([entry()])
    assert check_sums(ledger.path) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(path):
    """The message names permissions."""
    path.parent.mkdir()
    path.parent.chmod(0o500)
    with pytest.raises(LedgerError, match=r"[Pp]ermission"):
        Store(path).write([entry()])
    path.parent.chmod(0o700)


def test_a_newer_version_is_not_touched(path):
    """Nor read."""
    Store(path).write([entry()])
    more = (*MIGRATIONS, "ALTER TABLE exchanges ADD COLUMN region TEXT;\nUPDATE exchanges SET region = 'eu';")
    open_to_write(path, more).close()
    with pytest.raises(LedgerError, match="version 3, and this ampproxy knows up to 2"):
        Store(path).write([entry()])
    with pytest.raises(LedgerError, match="version 3"):
        open_to_read(path)


def test_migration_keeps_the_rows(path):
    """A step is done once, and as a whole: one that fails leaves the version before it."""
    Store(path).write([entry(), entry()])
    step = "ALTER TABLE exchanges ADD COLUMN region TEXT;\nUPDATE exchanges SET region = 'eu';"
    with pytest.raises(sqlite3.Error):
        open_to_write(path, (*MIGRATIONS, f"{step}\nNO SQL;"))
    assert check_sums(path) == 2
    for _ in range(2):
        with closing(open_to_write(path, (*MIGRATIONS, step))) as connection:
            assert connection.execute("SELECT region FROM exchanges").fetchall() == [("eu",), ("eu",)]
            assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_a_ledger_of_the_first_version_goes_on(path):
    """Its rows and sums stay; they tell of no tier and of no hour, and new ones are told apart from them."""
    path.parent.mkdir()
    with closing(open_to_write(path, MIGRATIONS[:1])) as connection:
        connection.execute(
            "INSERT INTO series VALUES (7, 'key0', '', 'm', 'm', 'a', 'local', 'completed', 1)"
        )
        row = (NOON, 7, "t", 200, 1, 2, 3, 4, 5, 6, 7)
        connection.execute(f"INSERT INTO exchanges VALUES ({', '.join('?' * 11)})", row)
        day = (NOON // DAY, 7, 1, 1, 1, 2, 3, 4, 5, 6, 1, 7)
        connection.execute(f"INSERT INTO daily VALUES ({', '.join('?' * 12)})", day)
    store = Store(path)
    same = {"client": "key0", "role": "", "asked": "m", "served": "m", "account": "a", "amp": True}
    store.write([entry(NOON + 1, tokens=Tokens(1, 0, 9, 0, 0, 8), tier="fast", **same)])
    store.close()
    with closing(Place(path).open()) as opened:
        found = {line.series.tier: line.sums.tokens for line in read(opened, Span()).lines}
    assert found == {"": Tokens(1, 2, 3, 4, 5), "fast": Tokens(1, 0, 9, 0, 0, 8)}


def test_names_that_clients_make_up_do_not_grow_without_end(ledger, path, monkeypatch):
    """Past a number of series a day, further ones are counted together; no row is lost."""
    monkeypatch.setattr(store, "MAX_SERIES", 5)
    ledger.write(entry(NOON + n, asked=f"model-{n}", served="") for n in range(100))
    ledger.write(entry(NOON + 200 + n, asked=f"model-{n}", served="") for n in range(100))
    assert check_sums(path) == 200
    asked = ask(path, "SELECT asked, requests FROM daily JOIN series ON series.id = series ORDER BY requests")
    assert asked == [(f"model-{n}", 2) for n in range(5)] + [(OTHERS, 190)]
    ledger.write([entry(NOON + DAY, asked="model-77", served="")])
    assert len(ask(path, "SELECT 1 FROM series WHERE asked = 'model-77'")) == 1


def test_secrets_are_cut_out_of_names(ledger, path):
    """Where a client puts a key in the place of a model or a thread."""
    redactor = Redactor([Secret("canary-key-4711")])
    ledger.write(
        [entry(asked="canary-key-4711", thread="x canary-key-4711"), entry(asked="sk-ant-0123456789")],
        redactor.text,
    )
    ledger.close()
    assert check_sums(path) == 2
    assert not any(
        b"4711" in each.read_bytes() or b"sk-ant" in each.read_bytes() for each in path.parent.iterdir()
    )


def make_room(ledger: Store, now: int, max_age: int = YEAR, max_size: int = LARGE) -> int:
    """Take steps until there is nothing more to do; gives how many it were."""
    for steps in range(1, 1000):
        if not ledger.make_room(now, max_age, max_size):
            return steps
    raise AssertionError("there is always more to do")


def test_what_is_too_old_goes(ledger, path):
    """Rows at once, sums when their whole day is, names when nothing has them any more."""
    ledger.write([entry(NOON - DAY, client="old"), entry(NOON - SECOND, client="new"), entry(client="new")])
    assert make_room(ledger, NOON + 2 * DAY, 2 * DAY) <= 2
    assert ask(path, "SELECT id FROM exchanges") == [(NOON,)]
    assert ask(path, "SELECT client, requests FROM daily JOIN series ON series.id = series") == [("new", 2)]
    assert ask(path, "SELECT client FROM series") == [("new",)]
    assert ask(path, "SELECT value FROM state WHERE name = 'rows_since'") == [(NOON,)]
    make_room(ledger, NOON + 3 * DAY, 2 * DAY)
    assert ask(path, "SELECT (SELECT count(*) FROM daily) + (SELECT count(*) FROM series)") == [(0,)]
    ledger.write([entry(NOON + 3 * DAY, client="old")])
    assert check_sums(path) == 1


def test_the_file_stays_within_its_size(ledger, path):
    """The oldest rows make room, in steps, while new ones come; daily sums stay."""
    most = 256 * 1024
    for batch in range(30):
        now = NOON + batch * 1000 * SECOND
        ledger.write(entry(now + number) for number in range(1000))
        make_room(ledger, now, max_size=most)
        (used,) = ask(path, "SELECT count(*) FROM exchanges")[0]
        assert used >= 1000
    ledger.close()
    assert path.stat().st_size <= most + 64 * 1024
    assert ask(path, "SELECT sum(requests) FROM daily") == [(30_000,)]
    (oldest,) = ask(path, "SELECT min(id) FROM exchanges")[0]
    assert ask(path, "SELECT value FROM state") == [(oldest,)]


def test_a_smaller_limit_shrinks_the_file(ledger, path):
    """What is no longer used is given back to the system, not kept for ever."""
    ledger.write(entry(NOON + number) for number in range(20_000))
    ledger.close()
    before = path.stat().st_size
    make_room(ledger, NOON, max_size=before // 4)
    ledger.close()
    assert path.stat().st_size <= before // 4
    assert 3000 < len(ask(path, "SELECT 1 FROM exchanges")) < 6000


def test_sums_go_last(ledger, path):
    """Where there is room for next to nothing, whole days are forgotten, but not the day that is."""
    ledger.write(entry(NOON + day * DAY, client=f"c{n}") for day in range(4) for n in range(50))
    make_room(ledger, NOON + 3 * DAY, max_size=4096)
    assert ask(path, "SELECT DISTINCT day - ? FROM daily".replace("?", str(NOON // DAY))) == [(3,)]
    assert ask(path, "SELECT count(*) FROM series") == [(50,)]


def test_readers_do_not_stop_writers(ledger, path):
    """A long question sees one moment; meanwhile rows are written and room is made."""
    ledger.write([entry(), entry()])
    with closing(open_to_read(path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM exchanges").fetchone() == (2,)
        ledger.write([entry()])
        make_room(ledger, NOON, max_age=SECOND)
        assert reader.execute("SELECT count(*) FROM exchanges").fetchone() == (2,)
    assert check_sums(path) == 3


def test_no_reader_changes_anything(ledger, path):
    """Neither while a writer has it open nor after; nor where nothing can be written beside it."""
    ledger.write([entry()])
    with closing(open_to_read(path)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM exchanges")
    ledger.close()
    before = path.read_bytes()
    assert ask(path, "SELECT count(*) FROM exchanges") == [(1,)]
    assert path.read_bytes() == before


def test_a_ledger_that_is_not_there(path):
    """Asking for one does not make one."""
    with pytest.raises(LedgerError, match="there is no ledger at"):
        open_to_read(path)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "start the service once"), (b"x" * 5000, "cannot be read")]
)
def test_a_file_that_is_no_ledger(path, content, why):
    """It is said in words."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=why):
        open_to_read(path)


WRITER = """
import sys
from pathlib import Path
from ampproxy.ledger.store import Store
from tests.ledger.samples import NOON, entry
store, client, batches = Store(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for batch in range(batches):
    store.write(entry(NOON + batch * 50 + number, client=client) for number in range(50))
    print(batch + 1, flush=True)
"""


def writer(path: Path, client: str, batches: int) -> subprocess.Popen[str]:
    return forked.popen(
        [sys.executable, "-c", WRITER, str(path), client, str(batches)],
        cwd=TREE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_many_begin_a_file_at_once(path):
    """Each finds it ready, whoever was first."""
    stores = [Store(path) for _ in range(6)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store: store.write([entry()]), stores))
    assert check_sums(path) == len(stores)


def test_two_processes_write(path):
    """Neither loses a row to the other, though they write of the same microseconds."""
    both = [writer(path, client, 40) for client in ("one", "two")]
    for process in both:
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.read().endswith("\n40\n")
        assert process.wait(60) == 0
    assert check_sums(path) == 4000
    counts = ask(
        path, "SELECT client, sum(requests) FROM daily JOIN series ON series.id = series GROUP BY client"
    )
    assert counts == [("one", 2000), ("two", 2000)]


def test_kill_loses_nothing_that_was_written(path):
    """Every batch that was reported written is there as a whole, and the file is sound."""
    process = writer(path, "one", 100_000)
    assert process.stdout is not None
    with process.stdout:
        for _ in range(20):
            written = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        written = max([written, *map(int, process.stdout.read().split("\n")[:-1])])
    process.wait(60)
    rows = check_sums(path)
    assert written * 50 <= rows <= (written + 1) * 50
    assert rows % 50 == 0
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    Store(path).write([entry(tokens=TOKENS)])
    assert check_sums(path) == rows + 1
