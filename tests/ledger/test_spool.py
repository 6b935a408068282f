"""Rows wait on a disk whole and in order, within a limit, whoever was killed."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampproxy.ledger import LedgerError, spool
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.lines import decoded, encoded
from ampproxy.ledger.spool import Spool
from tests import forked
from tests.ledger.samples import NOON, entry, keyed

LARGE = 1 << 30
TREE = Path(__file__).parents[2]


def rows(first: int, count: int = 2, writer: int = 7) -> list[Entry]:
    made = [entry(NOON + n, tokens=None if n % 2 else entry().tokens) for n in range(first, first + count)]
    return keyed(made, writer, first)


def drained(kept: Spool) -> Iterator[list[Entry]]:
    """Every batch that waits, each stored before the next is looked at."""
    while True:
        found, length = kept.oldest()
        if not length:
            return
        yield found
        kept.stored(length)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", 7, LARGE)
    yield made
    made.close()


def test_rows_come_back(kept: Spool) -> None:
    """As they were, in order; then nothing of them is left on the disk, and more can come."""
    batches = [rows(0), rows(2, 5), rows(7, 1)]
    for batch in batches:
        kept.append(batch)
    assert list(drained(kept)) == batches
    assert list(kept.folder.iterdir()) == []
    kept.append(rows(8))
    assert list(drained(kept)) == [rows(8)]


def test_rows_of_several_writers(kept: Spool) -> None:
    """Each has the key that it was born with, although one process keeps those of all."""
    mixed = [*rows(0, 1, writer=1), *rows(1, 1, writer=2), *rows(2, 1, writer=1)]
    kept.append(mixed)
    assert [row for batch in drained(kept) for row in batch] == [mixed[0], mixed[2], mixed[1]]


def test_only_the_owner_can_read_it(kept: Spool) -> None:
    """Names of clients are in it."""
    kept.append(rows(0))
    (file,) = kept.folder.iterdir()
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_disk_gets_back_what_is_read(kept: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """File by file: what comes while much is waiting does not keep the beginning there."""
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 500)
    for number in range(0, 20, 2):
        kept.append(rows(number))
    files = len(list(kept.folder.iterdir()))
    assert files > 3
    waiting = kept.waiting
    _, length = kept.oldest()
    kept.stored(length)
    kept.append(rows(20))
    assert kept.waiting == waiting - length + len(encoded(rows(20)))
    assert [batch[0].number for batch in drained(kept)] == list(range(2, 22, 2))


def test_the_limit(kept: Spool, tmp_path: Path) -> None:
    """It counts what other processes have there, too; what does not fit is not there in part."""
    kept.append(rows(0))
    other = Spool(kept.folder, 8, kept.waiting + 10)
    with pytest.raises(LedgerError, match=r"has reached its limit \(setting: ledger.spool-size\)"):
        other.append(rows(0, writer=8))
    assert list(drained(kept)) == [rows(0)]
    other.append(rows(0, writer=8))
    other.close()


def test_a_full_disk(kept: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was written in part is none: the next does not continue it."""
    kept.append(rows(0))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
    with pytest.raises(LedgerError, match="be written: the disk is full"):
        kept.append(rows(2))
    monkeypatch.undo()
    kept.append(rows(4))
    assert list(drained(kept)) == [rows(0), rows(4)]


def test_what_an_ended_process_left(kept: Spool) -> None:
    """It is taken before one's own, unless that process is still there."""
    old = Spool(kept.folder, 3, LARGE)
    old.append(rows(0, writer=3))
    kept.append(rows(10))
    kept.adopt()
    assert kept.oldest()[0] == rows(10)
    old.close()
    kept.adopt()
    assert list(drained(kept)) == [rows(0, writer=3), rows(10)]
    assert list(kept.folder.iterdir()) == []


def test_a_file_that_breaks_off(kept: Spool) -> None:
    """As a loss of power leaves it: what is whole is read, the rest is given up."""
    old = Spool(kept.folder, 3, LARGE)
    old.append(rows(0))
    old.append(rows(2))
    old.close()
    (file,) = kept.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-30])
    kept.adopt()
    assert list(drained(kept)) == [rows(0)]
    file.write_bytes(b'{"not": "ours"}\n' + encoded(rows(4)))
    kept.adopt()
    assert list(drained(kept)) == [[], rows(4)]


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """What it had kept is there for the next: it was on the disk."""
    folder = tmp_path / "spool"
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from tests.ledger.test_spool import *\n"
        f"kept = Spool(Path({str(folder)!r}), 3, LARGE)\n"
        "kept.append(rows(0))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    forked.run([sys.executable, "-c", code], cwd=TREE, timeout=60)
    kept = Spool(folder, 7, LARGE)
    assert not kept
    kept.adopt()
    assert list(drained(kept)) == [rows(0)]
    kept.close()


def test_lines() -> None:
    """What stands in a line is what was written; what is no line of ours has no rows."""
    batch = rows(0, 3)
    assert decoded(encoded(batch)) == batch
    assert decoded(b"nothing\n") == []
    broken = encoded(batch).replace(b'"rows":[[0,', b'"rows":[["x",')
    assert decoded(broken) == []
