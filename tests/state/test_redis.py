"""Several processes that share by a real Redis: what they know, and what they do when it goes away."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest
import trustme
from twisted.logger import Logger, formatEvent

from ampproxy.model.sharing import RedisAddress, StateSettings
from ampproxy.state.shared import Lease
from ampproxy.tenants.counting import Amounts, Demand
from ampproxy.tenants.store import Look, Settle, Take
from ampproxy.wire.redact import Secret
from tests.ports import free_port
from tests.state.redis_server import PROGRAM, RedisServer, Turned, needs_redis
from tests.state.test_view import Book, fired
from tests.tenants.test_client_counts import LIMIT

pytestmark = needs_redis


@pytest.fixture
def server(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


class Together:
    """Views of one Redis in one loop, which stand for as many processes."""

    def __init__(self, address, **settings):
        self.loop, self.events, self.views = Turned(), [], []
        self.settings = StateSettings(url=address, **({"timeout": 5.0} | settings))

    def view(self):
        from ampproxy.state.redis.engine import RedisState

        log = Logger(namespace="ampproxy", observer=self.events.append)
        view = RedisState(self.settings, self.loop, time.time, log)
        self.views.append(view)
        return view

    def book(self):
        """A connected view with a topic."""
        view = self.view()
        book = Book(view, self.loop)
        view.start()
        self.loop.until(lambda: view.report().connected)
        return book

    @property
    def logged(self):
        return [formatEvent(event) for event in self.events]

    def stop(self):
        stopped = [fired(view.stop()) for view in self.views]
        self.loop.until(lambda: all(stopped))


@pytest.fixture
def together(server):
    made = Together(RedisAddress(socket=server.socket))
    yield made
    made.stop()


def test_what_one_learns_all_know(together):
    """At once, and who comes later as well; the end of it too."""
    one, two = together.book(), together.book()
    one.set("a", b"1")
    together.loop.until(lambda: two.values == {"a": b"1"})
    late = together.book()
    assert late.values == {"a": b"1"}
    assert 0 <= late.age("a") < 60
    two.set("a", None)
    together.loop.until(lambda: one.values == late.values == {})


def test_all_end_up_with_the_same(together):
    """Who writes at the same time does not keep another value than the others."""
    books = [together.book() for _ in range(3)]
    for number in range(20):
        for place, book in enumerate(books):
            book.set(str(number % 3), b"%d %d" % (place, number))
    books[0].set("end", b"1")
    together.loop.until(lambda: all("end" in book.values for book in books))
    together.loop.until(lambda: not any(view._on_the_way for view in together.views))
    # What others wrote may still be on its way here.
    together.loop.until(lambda: books[0].values == books[1].values == books[2].values)
    assert together.book().values == books[0].values


def test_claims_and_locks(together):
    """One wins; the others are given its value. A lock is held by one."""
    books = [together.book() for _ in range(3)]
    asked = ((book.view, b"%d" % place) for place, book in enumerate(books))
    claims = [fired(view.claim("affinity", "t", value, 60.0)) for view, value in asked]
    together.loop.until(lambda: all(claims))
    assert claims[0] == claims[1] == claims[2]
    locks = [fired(book.view.lock("login", 60.0)) for book in books]
    together.loop.until(lambda: all(locks))
    (lease,) = [lock[0] for lock in locks if lock[0] is not None]
    books[0].view.unlock(lease)
    again = fired(books[0].view.lock("login", 60.0))
    together.loop.until(lambda: again)
    assert again[0].number > lease.number


def test_through_a_restart(server, together):
    """A Redis that was killed and comes back empty is given what its views know; each is logged once."""
    one, two = together.book(), together.book()
    one.set("a", b"1")
    together.loop.until(lambda: "a" in two.values)
    server.kill()
    together.loop.until(lambda: not any(view.report().connected for view in together.views))
    one.set("b", b"2")
    report = one.view.report()
    assert report.away_since > 0
    assert report.why
    assert fired(one.view.claim("affinity", "t", b"own", 60.0)) == [b"own"]
    server.start()
    together.loop.until(lambda: all(view.report().connected for view in together.views))
    together.loop.until(lambda: two.values == {"a": b"1", "b": b"2"})
    late = together.book()
    assert late.values == {"a": b"1", "b": b"2"}
    assert sum("cannot be shared" in line for line in together.logged) == 2
    assert sum("shared again" in line for line in together.logged) == 2


def test_a_redis_that_hangs_holds_up_no_one(server):
    """Whoever waits for an answer waits as long as the setting says; then all go on by themselves."""
    together = Together(RedisAddress(socket=server.socket), timeout=1.0)
    one, two = together.book(), together.book()
    one.set("ended", b"1")
    before = fired(one.view.lock("before", 60.0)), fired(one.view.claim("affinity", "before", b"", 60.0))
    together.loop.until(lambda: "ended" in two.values and all(before))
    server.pause()
    lock = fired(one.view.lock("l", 60.0))
    one.set("ended", None)
    claim = fired(one.view.claim("affinity", "t", b"own", 60.0))
    one.set("a", b"1")
    together.loop.until(lambda: claim and lock)
    assert claim == [b"own"]
    assert "Away" in lock[0].type.__name__
    together.loop.until(lambda: not any(view.report().connected for view in together.views))
    server.resume()
    together.loop.until(lambda: two.values == {"a": b"1"})
    # On a busy machine an answer may be late once more.
    together.loop.until(lambda: one.view.report().connected)

    # Redis has carried out what it was asked before it was given up; who asked may have the lock, and no one
    # else.
    def held(view):
        asked = fired(view.lock("l", 60.0))
        together.loop.until(lambda: asked)
        return asked[0]

    together.loop.until(lambda: isinstance(held(one.view), Lease))
    together.loop.until(lambda: held(two.view) is None)
    together.stop()


def test_not_there_at_the_start(tmp_path):
    """The service starts without it, and shares when it comes."""
    server = RedisServer(tmp_path)
    together = Together(RedisAddress(socket=server.socket), when_away="fail-closed")
    view = together.view()
    assert "not connected yet" in view.refusal
    view.start()
    together.loop.until(lambda: together.logged)
    assert "No request is served" in together.logged[0]
    assert view.refusal
    server.start()
    together.loop.until(lambda: view.report().connected)
    assert view.refusal == ""
    together.stop()
    server.kill()


def test_a_user_who_may_not_write(server):
    """What Redis refuses is reported once, not with every attempt, and without the password."""
    secret = "canary-redis-password"
    rights = f"on >{secret} ~* &* +@read +subscribe +ping"
    server.client().execute_command("ACL", "SETUSER", "reader", *rights.split())
    together = Together(RedisAddress(socket=server.socket, username="reader", password=Secret(secret)))
    view = together.view()
    view.start()
    together.loop.until(lambda: together.logged)
    for _ in range(30):
        together.loop.turn(0.02)
    assert not view.report().connected
    assert len(together.logged) == 1
    assert "permission" in together.logged[0].lower()
    assert secret not in together.logged[0]
    together.stop()


def test_tls_and_a_user_of_its_own(tmp_path):
    """By a certificate that the setting vouches for, as a user with the rights of the guide and no more."""
    from ampproxy.state.redis.trial import trouble
    from ampproxy.tenants.shared_counts import SharedCounts

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-auth-clients", "no", "--bind", "127.0.0.1")
    pems = (("cert-file", "cert"), ("key-file", "key"), ("ca-cert-file", "ca"))
    files = [part for name, pem in pems for part in (f"--tls-{name}", str(tmp_path / f"{pem}.pem"))]
    server = RedisServer(tmp_path, *tls, *files).start()
    guide = Path(__file__).parents[2].joinpath("docs/scaling.md").read_text()
    (rule,) = re.findall(r"(?s)\nuser gateway (.*?)\n```", guide)
    rights = rule.replace("ampproxy:", "team:").replace("PASSWORD", "sesame").split()
    server.client().execute_command("ACL", "SETUSER", "gateway", *rights)
    address = RedisAddress(hosts=(("127.0.0.1", port),), tls=True, username="gateway")
    together = Together(address, ca=tmp_path / "ca.pem", password=Secret("sesame"), prefix="team")
    one, two = together.book(), together.book()
    one.set("a", b"1")
    lock = fired(one.view.lock("l", 60.0))
    together.loop.until(lambda: two.values == {"a": b"1"} and lock)
    assert lock[0].number
    one.view.unlock(lock[0])
    assert trouble(together.settings) == ""
    counts = SharedCounts(together.settings, lambda ahead: 1_800_000_000.0)
    (taken, _) = counts.work([Take("a", LIMIT, Demand(5)), Look("a", LIMIT)])
    counts.work([Settle(taken, Amounts(0, 1))])
    assert counts.used("a", LIMIT)["day"] == Amounts(1, 4)
    counts.close()
    assert together.book().values == {"a": b"1"}
    assert len(together.logged) == 3
    together.stop()
    server.kill()


def test_a_certificate_that_is_not_vouched_for(tmp_path):
    """Is refused, and the reason logged."""
    port = free_port()
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    pems = (("cert-file", "cert"), ("key-file", "key"), ("ca-cert-file", "cert"))
    files = [part for name, pem in pems for part in (f"--tls-{name}", str(tmp_path / f"{pem}.pem"))]
    tls = ("--tls-port", str(port), "--tls-auth-clients", "no", "--bind", "127.0.0.1")
    server = RedisServer(tmp_path, *tls, *files).start()
    together = Together(RedisAddress(hosts=(("127.0.0.1", port),), tls=True))
    view = together.view()
    view.start()
    together.loop.until(lambda: together.logged)
    assert "certificate verify failed" in together.logged[0].lower()
    together.stop()
    server.kill()


def test_by_a_sentinel(tmp_path):
    """The master that the Sentinels name."""
    port, sentinel = free_port(), free_port()
    server = RedisServer(tmp_path, "--port", str(port), "--bind", "127.0.0.1").start()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {sentinel}\nbind 127.0.0.1\nsentinel monitor team 127.0.0.1 {port} 1\n")
    watching = subprocess.Popen([PROGRAM, str(config), "--sentinel"], stdout=subprocess.DEVNULL)
    together = Together(RedisAddress(hosts=(("127.0.0.1", sentinel),), service="team"))
    try:
        view = together.view()
        assert fired(view.stop()) == [None]
        one, two = together.book(), together.book()
        one.set("a", b"1")
        together.loop.until(lambda: two.values == {"a": b"1"})
        nameless = Together(RedisAddress(hosts=(("127.0.0.1", sentinel),), service="other"))
        nameless.view().start()
        nameless.loop.until(lambda: nameless.logged)
        assert "0: No master found for 'other'. This process" in nameless.logged[0]
        nameless.stop()
    finally:
        together.stop()
        watching.kill()
        watching.wait()
        server.kill()


def test_a_connection_that_was_closed_while_idle(server, monkeypatch):
    """Some servers, and what is between, drop what is not used for a while: the next command goes through."""
    from ampproxy.state.redis import commands
    from ampproxy.state.redis.scripts import LOCK

    sender = commands.Sender(StateSettings(url=RedisAddress(socket=server.socket)))
    lock = [commands.Command(LOCK, ("a", "number"), (60_000, "x", ""), lambda _: None)]
    assert sender.run(lock)[0]
    server.client().client_kill_filter(_type="normal", skipme=True)
    assert sender.run(lock) == [None]

    def lost():
        raise TimeoutError("no answer in time")

    dropped = sender._client
    monkeypatch.setattr(dropped, "ping", lost)
    assert sender.run(lock) == [None]
    assert sender._client is dropped
    monkeypatch.setattr(commands, "IDLE_SECONDS", 0.0)
    assert sender.run(lock) == [None]
    assert sender._client is not dropped
    sender.close()
