"""Logins in a folder that several machines share, on a file system whose locks do not reach so far."""

from __future__ import annotations

import pytest

from ampproxy.credentials.oauth import lease, store
from ampproxy.credentials.oauth.formats import format_time
from tests.credentials.oauth.doubles import login_file
from tests.credentials.oauth.house import House
from tests.state.bus import Bus


@pytest.fixture
def bus(monkeypatch):
    monkeypatch.setattr(store.fcntl, "flock", lambda file, how: None)
    bus = Bus()
    bus.clock.rightNow = 0.0
    return bus


def machine(bus, folder, beside=None, **more):
    made = House(folder, beside=beside, clock=bus.clock, shared=bus.view(**more))
    made.view = bus.wires[-1].view
    made.logins.load()
    return made


def two(bus, folder, **more):
    """Two machines, and a login that is due for both of them."""
    one = machine(bus, folder, **more)
    other = machine(bus, folder, one, **more)
    due_login(one)
    for each in (one, other):
        each.logins.load()
    return one, other


def due_login(house):
    """A login whose token ends in half an hour, so that it is to be renewed."""
    now = house.world.time
    written, ends = format_time(now - 8 * 3600), format_time(now + 1800)
    login_file(house.world, house.folder, "claude", last_refresh=written, expired=ends)


def asked(*machines):
    return sum(len(each.sent) for each in machines)


def test_one_renews_and_all_have_it(bus, tmp_path):
    """One request for both; the other reads what the first was given."""
    one, other = two(bus, tmp_path / "auth")
    for each in (one, other):
        each.logins.start()
    one.pass_(10)
    assert asked(one, other) == 1
    assert one.token() == other.token()
    assert one.state() == other.state() == ["ok"]
    one.logins.stop()
    other.logins.stop()


def test_without_the_lock_both_would(bus, tmp_path):
    """What the lock is for: on such a file system two processes alone spend one token twice."""
    one = House(tmp_path / "auth", clock=bus.clock)
    other = House(tmp_path / "auth", beside=one, clock=bus.clock)
    due_login(one)
    one.mode = other.mode = "slow"
    for each in (one, other):
        each.logins.load()
        each.logins.start()
    one.pass_(10)
    assert asked(one, other) == 2


def test_a_holder_that_dies(bus, tmp_path):
    """Another takes over when the lease is over, and reads the file first; the login is not lost."""
    one, other = two(bus, tmp_path / "auth")
    one.mode = "slow"
    one.logins.start()
    one.pass_(5)
    one.view.wire.cut()
    one.logins._loop.stop()
    other.logins.start()
    other.pass_(lease.LEASE_SECONDS - 30)
    assert asked(other) == 0
    other.pass_(600)
    assert asked(other) == 1


def test_a_holder_that_was_stored_before_it_died(bus, tmp_path):
    """What it had written is read, and nothing is spent again."""
    one, other = two(bus, tmp_path / "auth")
    one.view.unlock = lambda lease: None
    one.logins.start()
    one.pass_(5)
    assert asked(one) == 1
    one.logins._loop.stop()
    other.logins.start()
    other.pass_(lease.LEASE_SECONDS + 30)
    assert asked(other) == 0
    assert other.token() == one.token()


def test_a_holder_that_was_paused_asks_no_more(bus, tmp_path, monkeypatch):
    """Where its time is nearly over it gives up: another one may be renewing."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 93.0)
    one, _ = two(bus, tmp_path / "auth")
    one.mode = "down"
    one.logins.start()
    # Without a lease there would be a third attempt, four seconds after the second.
    one.pass_(8)
    assert asked(one) == 2
    assert "longer than another process" in one.lines[-1]


def test_without_a_connection(bus, tmp_path):
    """By default the lock of the file alone counts; where the state must be shared, nothing is renewed."""
    one, _ = two(bus, tmp_path / "auth")
    one.view.wire.cut("connection refused")
    one.logins.start()
    one.pass_(5)
    assert asked(one) == 1
    one.logins.stop()


def test_without_a_connection_that_is_needed(bus, tmp_path):
    """It is tried again when that is back."""
    one, _ = two(bus, tmp_path / "auth", closes=True)
    one.view.wire.cut("connection refused")
    one.logins.start()
    one.pass_(5)
    assert asked(one) == 0
    assert one.state() == ["failing"]
    assert "connection refused" in one.lines[-1]
    one.view.wire.open()
    one.pass_(120)
    assert one.state() == ["ok"]
    one.logins.stop()
