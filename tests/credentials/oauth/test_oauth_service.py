"""All logins of a running gateway: what is in the folder serves, and keeps serving."""

from __future__ import annotations

import os

import pytest

from ampproxy.config.schema import OAuth
from ampproxy.credentials.oauth.accounts import accounts_in
from ampproxy.credentials.oauth.formats import dump
from ampproxy.credentials.oauth.store import MAX_FILE, Store
from ampproxy.errors import UpstreamFault
from tests.credentials.oauth.doubles import EPOCH, client, login_file
from tests.credentials.oauth.house import House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "auth")
    yield house
    house.logins.stop()


def test_logins_are_accounts(house):
    """Each login file is an account in its vendor's dialect, after the API keys unless it says otherwise."""
    login_file(house.world, house.folder, "claude", prefix="home", excluded_models=["Claude-3-*"])
    login_file(house.world, house.folder, "codex", priority="5", account_id="acc", proxy_url="direct")
    login_file(house.world, house.folder, "gemini")
    house.logins.load()
    found = {account.label: account for account in house.logins.accounts()}
    assert set(found) == {f"{kind}:anna@example.org" for kind in ("claude", "codex", "gemini")}
    first, second, third = found.values()
    assert (first.kind, first.dialect, first.priority, first.prefix) == (
        "claude-login",
        "anthropic",
        -1,
        "home",
    )
    assert first.excluded_models == ("claude-3-*",)
    assert (second.kind, second.priority, second.tenant, second.proxy_url) == (
        "codex-login",
        5,
        "acc",
        "direct",
    )
    assert (third.kind, third.tenant) == ("gemini-login", "p-1")
    assert not any(account.api_key for account in found.values())
    assert all(house.token(n) in [s.reveal() for s in house.logins.secrets()] for n in range(3))
    assert not any(house.token(n) in repr(found) + repr(house.logins.statuses()) for n in range(3))


def test_several_of_one_address(house):
    """Two logins of one address, and several projects of one login, have labels of their own."""
    name = login_file(house.world, house.folder, "codex")
    (house.folder / "codex-team.json").write_bytes((house.folder / name).read_bytes())
    login_file(house.world, house.folder, "gemini")
    document = Store(house.folder).read("gemini-anna@example.org.json").document
    (house.folder / "gemini-anna@example.org.json").write_bytes(dump({**document, "project_id": "p-1, p-2"}))
    house.logins.load()
    assert [account.label for account in house.logins.accounts()] == [
        "codex:anna@example.org (codex-anna@example.org)",
        "codex:anna@example.org (codex-team)",
        "gemini:anna@example.org/p-1",
        "gemini:anna@example.org/p-2",
    ]


def test_appearing_changing_vanishing(house):
    """What happens in the folder takes effect within 2 seconds, without a restart."""
    house.logins.start()
    house.pass_(5)
    name = login_file(house.world, house.folder)
    house.pass_(2)
    assert (len(house.logins.accounts()), house.changes) == (1, 1)
    document = Store(house.folder).read(name).document
    (house.folder / name).write_bytes(dump({**document, "priority": 4}))
    house.pass_(2)
    assert (house.logins.accounts()[0].priority, house.changes) == (4, 2)
    (house.folder / name).write_bytes(b'{"type": "cl')
    house.pass_(2)
    assert (house.logins.accounts()[0].priority, house.changes) == (4, 2)
    (house.folder / name).write_bytes(dump({**document, "disabled": True}))
    house.pass_(2)
    assert (house.logins.accounts(), house.changes) == ((), 3)
    (house.folder / name).unlink()
    house.pass_(2)
    assert (house.logins.statuses(), house.changes) == ((), 4)


def test_renewed_ahead_of_its_end(house):
    """Well before its end the token is another one, in the accounts that were there and on the disk."""
    name = login_file(house.world, house.folder)
    house.logins.start()
    account = house.logins.accounts()[0]
    before = account.token.current()
    house.pass_(1700, 50)
    assert account.token.current() == before
    house.pass_(200, 50)
    after = account.token.current()
    assert after != before
    assert Store(house.folder).read(name).access_token == after.reveal()
    assert house.changes == 1
    assert house.sent[0]["user-agent"].startswith("ampproxy/")
    house.pass_(20000, 50)
    assert house.world.server.knows(account.token.current().reveal())
    assert house.world.server.reused == 0


def test_server_down_for_an_hour(house):
    """A login server that is down costs nothing but log lines: the login recovers by itself."""
    login_file(house.world, house.folder)
    house.logins.start()
    house.mode = "down"
    house.pass_(3600, 10)
    assert house.state() == ["failing"]
    assert "cannot be reached" in house.logins.statuses()[0].error
    assert 3 < len(house.sent) < 60
    house.mode = "well"
    house.pass_(400, 10)
    assert house.state() == ["ok"]
    assert house.world.server.knows(house.token())


def test_needs_login(house):
    """A revoked login says which command helps; its file stays; a new login is taken at once."""
    name = login_file(house.world, house.folder)
    house.logins.start()
    house.world.server.grants[0].revoked = True
    account = house.logins.accounts()[0]
    house.pass_(3000, 10)
    status = house.logins.statuses()[0]
    assert (status.state, status.suggestion) == ("needs login", "ampproxy login claude")
    with pytest.raises(UpstreamFault, match="ampproxy login claude"):
        account.token.current()
    assert any("ampproxy login claude" in line for line in house.lines)
    assert len(house.sent) == 1
    assert (house.folder / name).exists()
    login_file(house.world, house.folder)
    house.pass_(2)
    assert house.state() == ["ok"]
    assert house.world.server.knows(account.token.current().reveal())


def test_refused_by_the_vendor(house):
    """A token that the vendor refuses before its time is renewed at once, and once only."""
    login_file(house.world, house.folder)
    house.logins.start()
    account = house.logins.accounts()[0]
    token = account.token.current()
    account.token.refused(token)
    house.pass_(2)
    assert account.token.current() != token
    account.token.refused(token)
    house.pass_(20)
    assert len(house.sent) == 1
    assert house.renewed == [account.token]


def test_slow_server_and_stop(house):
    """A renewal under way at the end of the service is waited for: its answer is the only good token."""
    name = login_file(house.world, house.folder)
    house.logins.start()
    house.mode = "slow"
    house.pass_(1840, 10)
    assert house.state() == ["renewing"]
    assert len(house.hanging) == 1
    stopped = []
    house.logins.stop().addCallback(stopped.append)
    assert not stopped
    answer, response = house.hanging[0]
    answer.callback(response)
    assert stopped
    assert house.world.server.knows(Store(house.folder).read(name).access_token)


def test_server_that_never_answers(house):
    """A server that never answers is given up, and the login stays usable until its end."""
    login_file(house.world, house.folder)
    house.logins.start()
    account = house.logins.accounts()[0]
    before = account.token.current()
    house.mode = "slow"
    house.pass_(2200, 10)
    assert house.state() in (["failing"], ["renewing"])
    assert account.token.current() == before


def test_unreadable_folder(house, monkeypatch):
    """A folder that cannot be read is complained of once; what is known stays."""
    login_file(house.world, house.folder)
    house.logins.start()

    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", denied)
    house.pass_(10)
    assert len(house.logins.accounts()) == 1
    assert sum("cannot be read" in line for line in house.lines) == 1


def test_no_secret_in_the_log(house):
    """Whatever happens, no token stands in a log line or a status."""
    name = login_file(house.world, house.folder, "gemini")
    before = Store(house.folder).read(name)
    house.logins.start()
    house.pass_(4000, 10)
    house.mode = "down"
    house.pass_(4000, 10)
    house.world.server.grants[0].revoked = True
    house.mode = "well"
    house.pass_(4000, 10)
    shown = "\n".join(house.lines) + repr(house.logins.statuses())
    known = [before.access_token, before.refresh_token, *house.world.server.grants[0].spent]
    known += list(house.world.server.grants[0].access)
    assert len(known) > 3
    assert not [secret for secret in known if secret in shown]


def test_thousand_logins_are_no_flood(house):
    """Many logins that are due at once are renewed a few at a time."""
    for number in range(30):
        house.world.server.email = f"user{number}@example.org"
        login_file(house.world, house.folder, expired="2020-01-01T00:00:00Z")
    house.mode = "slow"
    house.logins.start()
    house.pass_(5)
    assert len(house.hanging) == 8


def test_stop_has_an_end(house):
    """A server that never answers cannot keep the service from ending."""
    login_file(house.world, house.folder)
    house.logins.start()
    house.mode = "slow"
    house.pass_(1840, 10)
    stopped = []
    house.logins.stop().addCallback(stopped.append)
    house.pass_(60, 10)
    assert stopped


def test_proxies(house):
    """A login is renewed through its own proxy, else through the one for all."""
    login_file(
        house.world, house.folder, "claude", proxy_url="socks5://own:2", expired="2020-01-01T00:00:00Z"
    )
    login_file(house.world, house.folder, "codex", expired="2020-01-01T00:00:00Z")
    house.logins.start()
    assert house.proxies == ["socks5://own:2", "http://proxy:1"]


def test_folder_as_commands_see_it(house):
    """A command that only looks sees the same accounts, and is not disturbed by a broken file."""
    login_file(house.world, house.folder)
    (house.folder / "broken.json").write_bytes(b"{")
    house.logins.load()
    seen = accounts_in(house.folder, OAuth(claude=client("claude")), EPOCH)
    assert [account.label for account in seen] == [account.label for account in house.logins.accounts()]
    assert accounts_in(house.folder / "absent", OAuth(), EPOCH) == ()


def test_malicious_file(house):
    """What a file holds cannot break a header, a log line or a label."""
    login_file(
        house.world,
        house.folder,
        "codex",
        account_id="a\r\nX-Evil: 1",
        access_token="a\r\nb",
        headers={"X Evil": "1", "X-Good": "1", "X-Bad": "1\r\n2", "X-Ü": "1"},
    )
    document = Store(house.folder).read("codex-anna@example.org.json").document
    (house.folder / "codex-anna@example.org.json").write_bytes(dump({**document, "email": "a\nb@x"}))
    house.logins.load()
    (account,) = house.logins.accounts()
    assert (account.label, account.tenant, account.headers) == ("codex:a\\x0ab@x", "", (("X-Good", "1"),))
    with pytest.raises(UpstreamFault):
        account.token.current()
    assert not any("\n" in line for line in house.lines)


def test_own_defect_does_not_end_renewals(house, monkeypatch):
    """A defect in one look is logged, and the next look comes all the same."""
    name = login_file(house.world, house.folder)
    monkeypatch.setattr(house.logins, "_look", lambda: 1 / 0)
    house.logins.start()
    house.pass_(2)
    monkeypatch.undo()
    house.pass_(2)
    assert [status.file for status in house.logins.statuses()] == [name]
    assert any("Unhandled error while checking the logins" in line for line in house.lines)


def test_a_broken_file_is_told_once(house):
    """Though a file that was just written is read several times; another trouble with it is told, too."""
    path = house.folder / "claude-b.json"

    def write(content):
        path.write_bytes(content)
        os.utime(path, (house.wall(), house.wall()))
        house.pass_(5)
        return [line for line in house.lines if path.name in line]

    house.logins.start()
    assert write(b"{broken") == ["claude-b.json is not a JSON object; ignored"]
    assert write(b"[broken") == ["claude-b.json is not a JSON object; ignored"]
    (_, too_large) = write(b" " * (MAX_FILE + 1))
    assert "too large" in too_large
    path.unlink()
    house.pass_(5)
    assert len(write(b"{broken")) == 3


def test_logins_that_are_not_served_are_named(house):
    """A login of another vendor's is named in the log when it is met, once, and makes no account."""
    for kind in ("antigravity", "qwen\n", "vertex"):
        (house.folder / f"{kind.strip()}-me.json").write_bytes(dump({"type": kind, "access_token": "canary"}))
    (house.folder / "broken.json").write_bytes(b"{")
    login_file(house.world, house.folder, "claude", weight=3)
    house.logins.load()
    house.logins.start()
    house.pass_(5)
    assert [(account.label, account.weight) for account in house.logins.accounts()] == [
        ("claude:anna@example.org", 3)
    ]
    told = [line for line in house.lines if "which is not served" in line]
    assert len(told) == 3
    assert "antigravity-me.json is a login of the kind antigravity, which is not served" in told
    assert not any("\n" in line or "canary" in line for line in told)


def test_headers_of_a_login_file(house):
    """A file's header may take a client's header, but not where a client carries its key."""
    headers = {"X-A": "$X-B", "X-C": "$Authorization", "X-D": "$", "Authorization": "$X-E"}
    login_file(house.world, house.folder, "claude", headers=headers)
    house.logins.load()
    assert house.logins.accounts()[0].headers == (("X-A", "$X-B"),)
