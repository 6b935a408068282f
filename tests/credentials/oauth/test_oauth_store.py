"""Login files: kept whole whatever happens, others' fields and changes respected."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from ampproxy.credentials.oauth.claude import renew
from ampproxy.credentials.oauth.failures import BadFile, LoginError
from ampproxy.credentials.oauth.formats import FOREIGN, KINDS, Login, dump, file_name, format_time, imported
from ampproxy.credentials.oauth.protocol import Tokens
from ampproxy.credentials.oauth.refresh import renewal
from ampproxy.credentials.oauth.store import Disk, Store
from ampproxy.testing.oauth import jwt
from tests import forked
from tests.credentials.oauth.doubles import EPOCH, World, client, login_file


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def tokens(name="new", lifetime=3600.0):
    return Tokens(access=f"{name}-access", refresh=f"{name}-refresh", expires_at=EPOCH + lifetime)


@pytest.mark.parametrize("kind", KINDS)
def test_update(tmp_path, kind):
    """New tokens replace the old ones; whatever else the file holds is still there, also what is not ours."""
    world, store = World(), Store(tmp_path / "auth")
    name = login_file(world, store.folder, kind, note="mine", priority="7")
    before = store.read(name)
    after = store.update(before, tokens(), EPOCH)
    assert after == store.read(name)
    assert (after.access_token, after.refresh_token, after.expires_at) == (
        "new-access",
        "new-refresh",
        EPOCH + 3600,
    )
    kept = {"strange", "note", "priority", "email", "type"}
    assert {k: after.document[k] for k in kept} == {k: before.document[k] for k in kept}
    if kind == "gemini":
        assert after.client == before.client
    assert mode(store.folder / name) == 0o600


def test_vendor_keeps_refresh_token(tmp_path):
    """A vendor that gives no new refresh token means the old one to serve on."""
    world, store = World(), Store(tmp_path)
    name = login_file(world, tmp_path)
    before = store.read(name)
    after = store.update(before, Tokens(access="a", expires_at=EPOCH + 60), EPOCH)
    assert after.refresh_token == before.refresh_token


def test_new_folder_and_file_are_private(tmp_path):
    """What a login writes nobody else can read, whatever the umask."""
    store = Store(tmp_path / "deep" / "auth")
    old = os.umask(0)
    try:
        with store.lock("claude-a.json"):
            store.add("claude-a.json", {"type": "claude", "access_token": "a"})
    finally:
        os.umask(old)
    assert mode(store.folder) == 0o700
    assert {mode(store.folder / name) for name in os.listdir(store.folder)} == {0o600}
    assert store.exposed() == ""
    store.folder.chmod(0o755)
    assert "chmod 700" in store.exposed()


def test_next_login_keeps_settings(tmp_path):
    """Who logs in again keeps priority, proxy and notes, and is switched on."""
    store = Store(tmp_path)
    old = {"type": "claude", "access_token": "old", "priority": 3, "disabled": True}
    (tmp_path / "claude-a.json").write_bytes(dump(old))
    login = store.add("claude-a.json", {"type": "claude", "access_token": "new"})
    assert login.document == {"type": "claude", "access_token": "new", "priority": 3}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"{", "not a JSON object"),
        (b"{}", "no type"),
        (b"\xff", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b" " * (1024 * 1024 + 1), "too large"),
    ],
)
def test_bad_files(tmp_path, content, words):
    """What is no login is said so, by name."""
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(BadFile, match=f"x.json.*{words}"):
        Store(tmp_path).read("x.json")


def test_other_vendors_and_other_files(tmp_path):
    """Files of vendors that are not served, hidden files and others are left alone."""
    (tmp_path / "kimi-a.json").write_bytes(dump({"type": "kimi"}))
    (tmp_path / ".hidden.json").write_bytes(b"{}")
    (tmp_path / "notes.txt").write_bytes(b"")
    store = Store(tmp_path)
    assert store.names() == ["kimi-a.json"]
    assert store.read("kimi-a.json") is None
    assert store.read("absent.json") is None
    with pytest.raises(BadFile):
        store.read("../x.json")


def test_newer_tokens_of_another_program_stay(tmp_path):
    """A program that knows no locks may have renewed meanwhile: later tokens are not overwritten."""
    world, store = World(), Store(tmp_path)
    name = login_file(world, tmp_path)
    before = store.read(name)
    newer = {
        **before.document,
        "access_token": "x",
        "refresh_token": "y",
        "expired": format_time(EPOCH + 9e6),
    }
    (tmp_path / name).write_bytes(dump(newer))
    assert store.update(before, tokens(), EPOCH).access_token == "x"
    assert store.read(name).refresh_token == "y"


def test_change_of_a_setting_meanwhile_stays(tmp_path):
    """Who edits the file during a renewal keeps the edit and gets the tokens."""
    world, store = World(), Store(tmp_path)
    name = login_file(world, tmp_path)
    before = store.read(name)
    (tmp_path / name).write_bytes(dump({**before.document, "priority": 9}))
    after = store.update(before, tokens(), EPOCH)
    assert (after.document["priority"], after.access_token) == (9, "new-access")


def test_change_right_before_the_rename(tmp_path):
    """A change in the last moment starts the replacement anew instead of being lost."""
    world = World()
    name = login_file(world, tmp_path)

    class Meddling(Disk):
        meddled = False

        def close(self, file):
            super().close(file)
            if not self.meddled:
                self.meddled = True
                document = json.loads((tmp_path / name).read_bytes())
                (tmp_path / name).write_bytes(dump({**document, "note": "just now"}))

    store = Store(tmp_path, Meddling())
    after = store.update(store.read(name), tokens(), EPOCH)
    assert (after.document["note"], after.access_token) == ("just now", "new-access")
    assert store.names() == [name]
    assert not [n for n in os.listdir(tmp_path) if n.endswith(".tmp")]


def test_logout_meanwhile(tmp_path):
    """A login that was removed during its renewal does not come back."""
    world, store = World(), Store(tmp_path)
    name = login_file(world, tmp_path)
    before = store.read(name)
    assert store.remove(name)
    assert store.update(before, tokens(), EPOCH) is None
    assert store.names() == []
    assert not store.remove(name)


def test_broken_meanwhile(tmp_path):
    """A file that another program broke during a renewal is whole again after it."""
    world, store = World(), Store(tmp_path)
    name = login_file(world, tmp_path)
    before = store.read(name)
    (tmp_path / name).write_bytes(b'{"type": "cl')
    assert store.update(before, tokens(), EPOCH).refresh_token == "new-refresh"
    assert store.read(name).document["strange"] == before.document["strange"]


def test_link_is_followed(tmp_path):
    """A file that is a link stays one; what it leads to is replaced."""
    world = World()
    name = login_file(world, tmp_path / "real")
    (tmp_path / "auth").mkdir()
    (tmp_path / "auth" / name).symlink_to(tmp_path / "real" / name)
    store = Store(tmp_path / "auth")
    store.update(store.read(name), tokens(), EPOCH)
    assert (tmp_path / "auth" / name).is_symlink()
    assert Store(tmp_path / "real").read(name).access_token == "new-access"


def test_lock(tmp_path):
    """One holder at a time; a logout in between does not make two."""
    store = Store(tmp_path)
    first = store.lock("a.json")
    assert store.lock("a.json") is None
    assert store.lock("b.json") is not None
    first.release()
    first.release()
    (tmp_path / "a.json").write_bytes(b"{}")
    with store.lock("a.json"):
        store.remove("a.json")
        again = store.lock("a.json")
        assert again is not None
        assert store.lock("a.json") is None


def test_lock_of_a_killed_process(tmp_path):
    """A process that is killed while it holds the lock leaves it free at once."""
    code = (
        "import sys, time, pathlib\n"
        "from ampproxy.credentials.oauth.store import Store\n"
        "lock = Store(pathlib.Path(sys.argv[1])).lock('a.json')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with forked.popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert Store(tmp_path).lock("a.json") is None
        process.kill()
        process.wait(60)
        assert Store(tmp_path).lock("a.json") is not None


class Killed(BaseException):
    """kill -9, as far as it can be told from inside: nothing more happens, not even cleaning up."""


class DyingDisk(Disk):
    """Dies at its Nth call; a write gets half of its data out. Every call after that dies, too."""

    def __init__(self, steps, error=Killed):
        self.left = steps
        self.error = error
        self.calls = []

    def _step(self, name):
        self.calls.append(name)
        if self.left == 0 or (self.left < 0 and self.error is Killed):
            self.left = -1
            raise self.error
        self.left -= 1


def _dying(name):
    def call(self, *arguments):
        try:
            self._step(name)
        except BaseException:
            if name == "write":
                os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise
        return getattr(Disk, name)(self, *arguments)

    return call


for _name in ("read", "create", "write", "sync", "close", "replace", "unlink", "sync_folder"):
    setattr(DyingDisk, _name, _dying(_name))


def renew_until(tmp_path, disk, number):
    """A renewal over this disk; the world, the file's name, and whether it came to its end."""
    world = World()
    world.server.lifetime = 100.0
    folder = tmp_path / str(number)
    name = login_file(world, folder)
    known = Store(folder).read(name)
    world.time += 99
    flow = renewal(Store(folder, disk), known, client("claude"), renew, now=world.now)
    try:
        world.run(flow)
    except (Killed, OSError, LoginError):
        return world, folder, name, known, False
    return world, folder, name, known, True


def test_killed_at_every_step(tmp_path):
    """A process that is killed anywhere in a renewal leaves the old file or the new one, whole; and the
    next process goes on from there. Where the vendor had not been asked yet, nothing is lost at all.
    """
    counting = DyingDisk(10**6)
    assert renew_until(tmp_path, counting, "whole")[-1]
    assert counting.calls.count("replace") == 1
    for number in range(len(counting.calls)):
        world, folder, name, known, ended = renew_until(tmp_path, DyingDisk(number), number)
        assert not ended
        left = Store(folder).read(name)
        asked = bool(world.server.grants[0].spent)
        replaced = left.refresh_token != known.refresh_token
        assert left.document["strange"] == known.document["strange"]
        assert left.refresh_token == (world.server.grants[0].refresh if replaced else known.refresh_token)
        assert replaced is ("replace" in counting.calls[:number])
        if not asked or replaced:
            world.time += 99
            again = world.run(renewal(Store(folder), left, client("claude"), renew, now=world.now))
            assert world.server.knows(again.login.access_token)
            assert not [n for n in os.listdir(folder) if n.endswith(".tmp")]


def test_failing_disk_at_every_step(tmp_path):
    """A disk that fails once, anywhere, costs nobody the login: before the vendor is asked the renewal is put
    off, after it the writing is repeated.
    """
    counting = DyingDisk(10**6)
    renew_until(tmp_path, counting, "whole")
    for number in range(len(counting.calls)):
        disk = DyingDisk(number, OSError(28, "No space left on device"))
        world, folder, name, known, ended = renew_until(tmp_path, disk, f"failing-{number}")
        left = Store(folder).read(name)
        assert left.refresh_token == world.server.grants[0].refresh, (number, counting.calls[number])
        assert ended or left.refresh_token == known.refresh_token


def test_full_disk_is_met_before_the_token_is_spent(tmp_path):
    """On a full disk the vendor is not asked, so the old token stays good."""

    class Full(Disk):
        def write(self, file, data):
            raise OSError(28, "No space left on device")

    world, *_, ended = renew_until(tmp_path, Full(), "full")
    assert not ended
    assert world.asked == []


def test_disk_that_fills_up_in_between(tmp_path):
    """Tokens that cannot be written are kept in memory and handed back with the reason."""

    class Filling(Disk):
        writes = 0

        def write(self, file, data):
            self.writes += 1
            if self.writes > 1:
                raise OSError(28, "No space left on device")
            return super().write(file, data)

    world = World()
    name = login_file(world, tmp_path)
    store = Store(tmp_path, Filling())
    known = store.read(name)
    ended = world.run(renewal(store, known, client("claude"), renew, now=world.now, force=True))
    assert world.server.knows(ended.login.access_token)
    login, got, why = ended.unsaved
    assert why == "No space left on device"
    assert Store(tmp_path).update(login, got, world.time).access_token == ended.login.access_token


IDENTITY = jwt(
    {
        "email": "ben@example.org",
        "https://api.openai.com/auth": {"chatgpt_account_id": "acc", "chatgpt_plan_type": "team"},
    }
)
VENDORS_OWN = {
    "codex": {
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": IDENTITY,
            "access_token": jwt({"exp": 1795369803}),
            "refresh_token": "r-1",
            "account_id": "acc",
        },
        "last_refresh": "2026-11-20T10:00:00.123456Z",
    },
    "claude": {
        "claudeAiOauth": {
            "accessToken": "a-1",
            "refreshToken": "r-1",
            "expiresAt": 1795369803000,
            "scopes": ["user:inference"],
            "subscriptionType": "max",
        }
    },
    "gemini": {
        "access_token": "a-1",
        "refresh_token": "r-1",
        "scope": "s",
        "token_type": "Bearer",
        "id_token": jwt({"email": "ben@example.org"}),
        "expiry_date": 1795369803000,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_import(kind):
    """The file of the vendor's own command line becomes a login of ours, with its tokens and their end."""
    document = imported(kind, json.dumps(VENDORS_OWN[kind]).encode())
    login = Login("", kind, document)
    assert login.refresh_token == "r-1"
    assert login.access_token
    assert login.expires_at == 1795369803.0
    assert kind in FOREIGN
    if kind == "codex":
        assert login.account_id == "acc"
        assert file_name(kind, document).startswith("codex-")
        assert file_name(kind, document).endswith("-ben@example.org-team.json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"tokens": 1, "claudeAiOauth": []}'])
def test_import_of_nothing(kind, content):
    """A file without a login in it is no login."""
    with pytest.raises(BadFile):
        imported(kind, content)


@pytest.mark.parametrize("email", ["../../etc/passwd", "a/b@c", ".hidden", "x" * 500, "ü@example.org"])
def test_file_names_stay_in_the_folder(email):
    """An address cannot name a file elsewhere."""
    name = file_name("claude", {"email": email})
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 256
