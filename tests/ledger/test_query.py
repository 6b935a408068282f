"""A span has exactly what ended in it, whether its sums come from days or from rows."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing

import pytest

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Tokens, unpacked_thread
from ampproxy.ledger.file import DAY
from ampproxy.ledger.place import Place
from ampproxy.ledger.query import BY_DAY, BY_THREAD, NOTHING, Span, read
from ampproxy.ledger.store import Store
from tests.ledger.conftest import Kept
from tests.ledger.samples import NOON, SECOND, THREAD, entry

MIDNIGHT = NOON - DAY // 2
HOUR = 3600 * SECOND


def ask(ledger: Kept, since=None, until=None, by=NOTHING, **more):
    return read(ledger.opened, Span(since, until), by, **more)


def requests(reading) -> int:
    return sum(line.sums.requests for line in reading.lines)


#: From, until -> how many of five exchanges.
BOUNDARIES = (
    (None, None, 5),
    (MIDNIGHT, None, 4),
    (MIDNIGHT + 1, None, 3),
    (MIDNIGHT, MIDNIGHT + DAY, 3),
    (MIDNIGHT, MIDNIGHT + DAY + 1, 4),
    (NOON, NOON + 1, 1),
    (NOON + 1, NOON + HOUR, 0),
    (NOON, NOON, 0),
    (NOON + 1, NOON - 1, 0),
    (None, MIDNIGHT, 1),
    (MIDNIGHT - 1, MIDNIGHT, 1),
    (MIDNIGHT + DAY - 1, MIDNIGHT + DAY, 1),
    (MIDNIGHT + DAY, None, 1),
    (MIDNIGHT + DAY + 1, None, 0),
    (-5, 2**70, 5),
)


@pytest.mark.parametrize("by", [NOTHING, BY_DAY, BY_THREAD])
def test_boundaries(ledger, by):
    """The beginning is in, the end is not, to the microsecond, at midnight and within a day."""
    ledger.write(
        map(entry, [MIDNIGHT - 1, MIDNIGHT, NOON, MIDNIGHT + DAY - 1, MIDNIGHT + DAY]),
    )
    for since, until, found in BOUNDARIES:
        assert requests(ask(ledger, since, until, by)) == found, (since, until)


def test_any_span_by_days_is_what_the_rows_say(ledger):
    """Sums of days and of rows put together are those that a slow reader gets by looking at every row."""
    chance = random.Random(3)
    entries = [
        entry(
            MIDNIGHT + chance.randrange(6 * DAY),
            tokens=chance.choice([None, Tokens(*(chance.randrange(100) for _ in range(5)))]),
            client=chance.choice("abc"),
            asked=chance.choice(["one", "two"]),
        )
        for _ in range(400)
    ]
    ledger.write(entries)
    for _ in range(60):
        since, until = sorted(MIDNIGHT + chance.randrange(-DAY, 7 * DAY) for _ in range(2))
        inside = [each for each in entries if since <= each.at < until]
        expected = Counter((each.at // DAY, each.series) for each in inside)
        lines = ask(ledger, since, until, BY_DAY).lines
        found: Counter[object] = Counter()
        for line in lines:
            found[line.key, line.series] += line.sums.requests
        assert found == expected
        assert sum(line.sums.metered for line in lines) == sum(each.tokens is not None for each in inside)
        for number, name in enumerate(Tokens._fields):
            told = sum(each.tokens[number] for each in inside if each.tokens is not None)
            assert sum(getattr(line.sums, name) for line in lines) == told


def test_threads(ledger):
    """Amp's own and others', each by its name."""
    ledger.write([entry(), entry(thread="mine"), entry(thread=""), entry()])
    lines = ask(ledger, by=BY_THREAD).lines
    assert {line.key: line.sums.requests for line in lines} == {THREAD: 2, "mine": 1, "": 1}
    assert unpacked_thread(b"\0" * 16) == "T-00000000-0000-0000-0000-000000000000"


def test_series_that_are_the_same_are_one(ledger):
    """What a question does not tell apart is summed up by SQLite already."""
    ledger.write([entry(client="a"), entry(client="b"), entry(client="b", asked="other")])
    lines = ask(ledger, same=lambda series: series.asked).lines
    assert sorted((line.series.asked, line.sums.requests) for line in lines) == [
        ("claude-opus-4-6", 2),
        ("other", 1),
    ]


def test_a_day_whose_rows_are_gone_is_in_as_a_whole(tmp_path):
    """A part of it is not known any more; that is said, and the other days are as exact as ever."""
    path = tmp_path / "ledger.sqlite3"
    with closing(Store(path)) as store:
        store.write(map(entry, [NOON - 1, NOON, NOON + DAY, NOON + DAY + 1]))
        while store.make_room(NOON, DAY * 365, 4096):
            pass
        ledger = Kept(Place(path), store)
        reading = ask(ledger, NOON, NOON + DAY + 1)
        assert (requests(reading), reading.rounded) == (4, (NOON // DAY, NOON // DAY + 1))
        assert reading.rows_since == NOON + DAY + 2
        assert ask(ledger, MIDNIGHT, MIDNIGHT + 2 * DAY).rounded == ()
        assert requests(ask(ledger, NOON + 5 * DAY, None)) == 0


def test_what_is_too_old_is_removed(ledger):
    """Rows to the microsecond; the sums of their day, and its names, stay until all of it is too old."""
    ledger.write(
        [entry(MIDNIGHT - 1, client="gone"), entry(MIDNIGHT), entry(NOON - 1), entry(NOON), entry(NOON + 1)]
    )
    ledger.remove_before(NOON)
    assert requests(ask(ledger)) == 4
    reading = ask(ledger, MIDNIGHT + 1, None)
    assert (requests(reading), reading.rounded, reading.rows_since) == (4, (NOON // DAY,), NOON)
    assert sum(line.sums.requests for line in ask(ledger, by=BY_THREAD).lines) == 2
    with ledger.opened.moment():
        assert ledger.opened.rows("SELECT client FROM series") == [("key0",)]
    ledger.write([entry(NOON + 2, client="gone")])
    assert requests(ask(ledger, NOON)) == 3
    assert requests(ask(ledger)) == 5


def test_what_is_written_while_one_reads(ledger):
    """A question is answered of one moment."""
    ledger.write([entry()])
    with closing(ledger.place.open()) as opened:
        assert requests(read(opened, Span(), NOTHING)) == 1
        ledger.write([entry()])
    assert requests(ask(ledger)) == 2


def test_a_file_that_breaks_off(tmp_path):
    """It is told in words, not by a traceback."""
    ledger = Store(tmp_path / "ledger.sqlite3")
    ledger.write(entry(NOON + n) for n in range(2000))
    ledger.close()
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(LedgerError, match="cannot be read"):
        ask(Kept(Place(ledger.path), ledger))
