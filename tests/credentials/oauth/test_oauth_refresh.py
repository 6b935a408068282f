"""Renewals: in time, once, by one process, and never so that a login is lost."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor

from ampproxy.credentials.oauth.failures import Refused, Unavailable
from ampproxy.credentials.oauth.formats import KINDS, dump, format_time
from ampproxy.credentials.oauth.refresh import due_at, renewal
from ampproxy.credentials.oauth.store import Store
from ampproxy.credentials.oauth.vendors import VENDORS
from ampproxy.testing import oauth
from tests import forked
from tests.credentials.oauth.doubles import EPOCH, World, client, login_file, made
from tests.reactor import in_reactor

HOUR, DAY = 3600.0, 86400.0


def aged(kind, lifetime, wrote=EPOCH):
    times = {"expired": format_time(wrote + lifetime), "last_refresh": format_time(wrote)}
    return made(kind, access_token="a", refresh_token="r", **times)


@pytest.mark.parametrize(
    ("kind", "lifetime", "before"),
    [
        ("claude", 8 * HOUR, 4 * HOUR),
        ("claude", 24 * HOUR, 4 * HOUR),
        ("codex", 10 * DAY, 5 * DAY),
        ("codex", 60 * DAY, 6 * DAY),
        ("gemini", HOUR, 360),
        ("gemini", 1800, 300),
        ("claude", HOUR, HOUR / 2),
        ("gemini", 60, 30),
    ],
)
def test_lead(kind, lifetime, before):
    """Each vendor's tokens are renewed well ahead, also those that live unusually short or long."""
    assert due_at(aged(kind, lifetime), EPOCH) == EPOCH + lifetime - before


@given(
    kind=st.sampled_from(KINDS),
    lifetime=st.integers(10, 10**7),
    jitter=st.floats(0, 1),
    skew=st.integers(-(10**5), 10**5),
)
def test_lead_is_within_bounds(kind, lifetime, jitter, skew):
    """Whatever the lifetime and whoever's clock wrote the file, a fresh token is not renewed at once, and
    no token so late that less than a tenth of its life is left.
    """
    due = due_at(aged(kind, lifetime, EPOCH + skew), EPOCH, jitter)
    written = EPOCH + min(skew, 0)
    assert written + lifetime * 0.49 <= due <= written + lifetime * 0.9 + 1


def test_clock_of_the_writer():
    """A file from a machine whose clock runs ahead does not make its token live longer here."""
    assert due_at(aged("claude", 8 * HOUR, EPOCH + DAY), EPOCH) == EPOCH + 4 * HOUR


def test_files_that_say_little():
    """A login without an end is renewed by its age, one without any date or token at once."""
    wrote = format_time(EPOCH)
    assert due_at(made("claude", access_token="a", last_refresh=wrote), EPOCH) == EPOCH + 4 * HOUR
    assert due_at(made("claude", access_token="a"), EPOCH) == EPOCH
    far = format_time(EPOCH + DAY)
    assert due_at(made("claude", access_token="", refresh_token="r", expired=far), EPOCH) == EPOCH


def start(tmp_path, kind="claude", **more):
    world = World()
    name = login_file(world, tmp_path, kind, **more)
    store = Store(tmp_path)
    return world, store, store.read(name)


def renewed(world, store, login, **more):
    vendor = VENDORS[login.kind]
    return world.run(renewal(store, login, client(login.kind), vendor.renew, now=world.now, **more))


@pytest.mark.parametrize("kind", KINDS)
def test_renewal_when_due(tmp_path, kind):
    """A due token is renewed, and the file has the new one; one that is not due is left alone."""
    world, store, login = start(tmp_path, kind)
    assert not renewed(world, store, login).ours
    assert world.asked == []
    world.time += 3590
    ended = renewed(world, store, login)
    assert ended.ours
    assert world.server.knows(ended.login.access_token)
    assert store.read(login.name) == ended.login


def test_renewal_by_somebody_else(tmp_path):
    """What another process has renewed is taken over; the vendor is not asked again."""
    world, store, login = start(tmp_path)
    first = renewed(world, store, login, force=True)
    asked = len(world.asked)
    second = renewed(world, store, login, force=True)
    assert second.login == first.login
    assert not second.ours
    assert len(world.asked) == asked


def test_lock_is_waited_for(tmp_path):
    """While another process renews, this one waits, and gives up only after minutes."""
    world, store, login = start(tmp_path)
    lock = store.lock(login.name)
    with pytest.raises(Unavailable, match="another process"):
        renewed(world, store, login, force=True)
    assert 120 <= world.time - EPOCH < 125
    assert world.asked == []
    lock.release()
    assert renewed(world, store, login, force=True).ours


def test_three_tries(tmp_path):
    """A server in trouble is asked three times with growing pauses, then left in peace."""
    world, store, login = start(tmp_path)
    world.server.failing = [(503, None), (500, None)]
    assert renewed(world, store, login, force=True).ours
    assert world.pauses == [1.0, 4.0]
    world.server.failing = [(503, None)] * 3
    with pytest.raises(Unavailable, match="503"):
        renewed(world, store, store.read(login.name), force=True)
    assert world.server.failing == []


def test_no_network(tmp_path):
    """Without a connection the old token stays in the file, and serves when the network is back."""
    world, store, login = start(tmp_path)
    world.offline = 3
    with pytest.raises(Unavailable):
        renewed(world, store, login, force=True)
    assert store.read(login.name) == login
    assert renewed(world, store, login, force=True).ours


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 5.0), (20.0, 20.0)])
def test_retry_after(tmp_path, asked, waited):
    """How long to wait is the server's word, within bounds."""
    world, store, login = start(tmp_path)
    world.server.failing = [(429, asked)]
    assert renewed(world, store, login, force=True).ours
    assert world.pauses == [waited]


def test_long_retry_after(tmp_path):
    """A long wait is not waited with the lock in hand; what is believed of it has an end."""
    world, store, login = start(tmp_path)
    world.server.failing = [(429, 99999.0)]
    with pytest.raises(Unavailable) as caught:
        renewed(world, store, login, force=True)
    assert caught.value.retry_after == 300.0
    assert world.pauses == []
    assert store.lock(login.name) is not None


def test_revoked(tmp_path):
    """A revoked login is not asked for again and again, and its file stays."""
    world, store, login = start(tmp_path)
    world.server.grants[0].revoked = True
    with pytest.raises(Refused) as caught:
        renewed(world, store, login, force=True)
    assert caught.value.spent
    assert len(world.asked) == 1
    assert store.read(login.name) == login


def test_program_without_locks(tmp_path):
    """If a program that knows no locks spent the token while we asked, its new tokens are taken."""
    world, store, login = start(tmp_path)
    other = world.server.grant("claude")

    def meddle(ask):
        document = {**login.document, **other}
        (tmp_path / login.name).write_bytes(dump(document))
        world.server.grants[0].revoked = True
        return original(ask)

    original, world.answer = world.answer, meddle
    ended = renewed(world, store, login, force=True)
    assert ended.login.access_token == other["access_token"]
    assert world.server.reused == 0


def test_logged_out_meanwhile(tmp_path):
    """A login that is gone is not renewed."""
    world, store, login = start(tmp_path)
    store.remove(login.name)
    assert renewed(world, store, login, force=True).login is None
    assert world.asked == []


def test_refusal_of_the_settings(tmp_path):
    """A wrong client id is not taken for a lost login."""
    world, store, login = start(tmp_path)
    flow = renewal(store, login, client("codex"), VENDORS["claude"].renew, now=world.now, force=True)
    with pytest.raises(Refused) as caught:
        world.run(flow)
    assert not caught.value.spent


def test_tokens_go_to_the_settings_endpoint_only(tmp_path):
    """A file cannot name the place where its refresh token goes."""
    world, store, login = start(tmp_path, "gemini")
    document = {**login.document, "token": {**login.document["token"], "token_uri": "https://evil.example"}}
    (tmp_path / login.name).write_bytes(dump(document))
    assert renewed(world, store, store.read(login.name), force=True).ours
    assert {ask.url for ask in world.asked} == {"https://login.example/token"}


ROUNDS = 100


def renewers(folder, name, url, count):
    """Processes that share a login, ready."""
    command = [sys.executable, "-c", "from tests.credentials.oauth.renewer import main; main()", str(folder)]
    command += [name, f"{url}/token", oauth.CLIENTS["claude"].id]
    pipe = subprocess.PIPE
    started = [
        forked.popen(command, stdin=pipe, stdout=pipe, text=True, cwd=forked.TREE) for _ in range(count)
    ]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * count
    return started


def end(processes):
    for process in processes:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def shared(tmp_path):
    """A real server, and the file of a login at it."""
    stand_in = in_reactor(oauth.start, reactor, clock=time.time)
    world = World()
    world.server, world.time = stand_in.vendor, time.time()
    yield stand_in, login_file(world, tmp_path)
    in_reactor(stand_in.stop)


def test_two_processes(tmp_path, shared):
    """Two processes share a login whose server revokes it when a refresh token comes twice: after a hundred
    ends of its token both have the same token, it serves, and each was renewed once.
    """
    stand_in, name = shared
    server = stand_in.vendor
    processes = renewers(tmp_path, name, stand_in.url, 2)
    try:
        for number in range(ROUNDS):
            for process in processes:
                go(process)
            told = [process.stdout.readline().split() for process in processes]
            assert len({token for token, _ in told}) == 1, (number, told)
            assert sorted(who for _, who in told) == ["ours", "theirs"]
            assert server.knows(told[0][0])
    finally:
        end(processes)
    assert (server.grants[0].renewals, server.reused) == (ROUNDS, 0)
    assert Store(tmp_path).read(name).refresh_token == server.grants[0].refresh


def test_killed_in_the_middle(tmp_path, shared):
    """A process that is killed at any moment of a renewal leaves a whole file, and the lock free."""
    stand_in, name = shared
    stand_in.vendor.rotates = False
    for number, process in enumerate(processes := renewers(tmp_path, name, stand_in.url, 8)):
        go(process)
        time.sleep(0.002 * number)
        process.kill()
        process.wait(60)
        process.stdin.close()
        process.stdout.close()
        assert Store(tmp_path).read(name).refresh_token == stand_in.vendor.grants[0].refresh
        assert stand_in.vendor.knows(Store(tmp_path).read(name).access_token)
        with Store(tmp_path).lock(name) as lock:
            assert lock is not None
    last = renewers(tmp_path, name, stand_in.url, 1)
    go(last[0])
    assert last[0].stdout.readline().split()[1] == "ours"
    end(last)
    assert len(processes) == 8
    assert [left.name for left in tmp_path.iterdir() if left.name.endswith(".tmp")] == []
