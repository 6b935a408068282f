"""``ampproxy key``: what it writes, and that it writes nothing else."""

from __future__ import annotations

import difflib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ampproxy.cli.key import command
from ampproxy.config.load import load
from ampproxy.config.schema import Config
from ampproxy.credentials.names import client_name, kept_salt
from ampproxy.model.clients import ClientKey, KeyLimit, hash_of
from ampproxy.tenants.counting import Demand
from ampproxy.tenants.store import Counts, Take
from ampproxy.tenants.tenant import tenant_id

TEXT = """\
# The gateway of the house.
port: 0
state-dir: {state}

# Who may come in.
api-keys:
  # Anna's, at home
  - key-of-anna   # since 2025
  - name: ci      # the builds
    key: key-of-ci
    # until the project ends
    expires: 2099-01-31
    limits:
      requests-per-day: 5  # enough

# Nothing else.
"""


class Home:
    """A configuration file, and the command over it."""

    def __init__(self, path: Path) -> None:
        self.file = path / "config.yaml"
        self.state = path / "state"
        self.file.write_text(TEXT.format(state=self.state))
        self.before = self.file.read_text()

    def run(self, *arguments: str, status: int = 0, **more: Any) -> str:
        """What is printed, to either output."""
        done = CliRunner().invoke(command, [*arguments, "--config", str(self.file)], **more)
        assert done.exit_code == status, done.output
        self.stdout = done.stdout
        return done.output

    @property
    def config(self) -> Config:
        return load(self.file, environ={}, home=self.file.parent)

    def client(self, name: str) -> ClientKey:
        return next(client for client in self.config.clients if client.name == name)

    @property
    def diff(self) -> list[str]:
        after = self.file.read_text()
        lines = difflib.unified_diff(self.before.splitlines(), after.splitlines(), lineterm="", n=0)
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_new(home: Home) -> None:
    """The key is printed alone, once; the file gets its hash, and just these lines."""
    home.run(
        "new", "ben", "--expires", "2099-02-01", "--model", "claude-*", "--limit", "usd-per-month=2.5",
        "--limit", "concurrent=3", "--no-amp",
    )  # fmt: skip
    key = home.stdout.strip()
    assert len(key) == 43
    assert key not in home.file.read_text()
    assert home.diff == [
        "+  - name: ben",
        f"+    key-hash: sha256:{hash_of(key)}",
        '+    expires: "2099-02-01"',
        '+    models: ["claude-*"]',
        "+    routes: [models]",
        "+    amp: false",
        "+    limits: {usd-per-month: 2.5, concurrent: 3}",
    ]
    client = home.client("ben")
    assert client.limits == (KeyLimit("usd", "month", 2_500_000),)
    assert (client.routes, client.amp, client.concurrent) == (("models",), False, 3)


def test_the_first_key(home: Home) -> None:
    """It closes the gateway to all who have none, with a note."""
    home.file.write_text(home.before.partition("# Who may")[0])
    assert "from now on requests without a key are rejected" in home.run("new", "ben")
    assert "are rejected" not in home.run("new", "carla")


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["new", "ci"], "ampproxy key rotate ci", 1),
        (["new", "a b"], "expected letters, digits", 2),
        (["new", "x", "--limit", "usd-per-minute=3"], "is no limit", 2),
        (["new", "x", "--limit", "requests-per-day=-3"], "is no amount", 2),
        (["new", "x", "--expires", "soon"], "is no date", 2),
        (["show", "ben"], "there is no client key named 'ben'", 1),
        (["edit", "ci"], "nothing is to be changed", 2),
        (["rotate", "ci", "--keep", "ever"], "is no span of time", 2),
        (["revoke", "ci", "--old", "--yes"], "has no key before a rotation", 1),
    ],
)
def test_mistakes(home: Home, arguments: list[str], words: str, status: int) -> None:
    """Each is told, and changes nothing."""
    assert words in " ".join(home.run(*arguments, status=status).split())
    assert home.diff == []


def test_a_change_that_would_be_wrong(home: Home) -> None:
    """A file that the service would refuse is not written."""
    told = home.run("new", "x", "--upstream-api-key", "key-of-anna", status=1)
    assert "a client's key must not be sent to Amp" in told
    assert home.diff == []


def test_rotate(home: Home) -> None:
    """Both keys are valid for a while; rights, comments and the name stay."""
    now = time.time()
    home.run("rotate", "ci", "--keep", "2h")
    key = home.stdout.strip()
    client = home.client("ci")
    assert (client.hash, client.old_hash, client.secret) == (hash_of(key), hash_of("key-of-ci"), None)
    assert client.old_until is not None
    assert 7100 < client.old_until - now < 7300
    assert client.limits == (KeyLimit("requests", "day", 5),)
    assert [line.partition(":")[0] for line in sorted(home.diff)] == [
        "+    key-hash",
        "+    old-key-hash",
        "+    old-until",
        "-    key",
    ]
    home.run("revoke", "ci", "--old", "--yes")
    assert (home.client("ci").hash, home.client("ci").old_hash) == (hash_of(key), "")
    home.run("rotate", "ci", "--keep", "0")
    assert home.client("ci").hash == hash_of(home.stdout.strip())
    assert home.client("ci").old_hash == ""


def test_a_text_needs_a_name_first(home: Home) -> None:
    """A key without a name is found by the name that the log has for it, and can be given one."""
    label = client_name(home.config.clients[0].identity, kept_salt(home.state))
    told = home.run("rotate", label, status=1)
    assert f"ampproxy key edit {label} --name NAME" in told
    home.run("edit", label, "--name", "anna")
    assert home.diff == [
        "-  - key-of-anna   # since 2025",
        "+  - {key: key-of-anna, name: anna}   # since 2025",
    ]
    home.run("rotate", "anna")
    assert home.client("anna").old_hash == hash_of("key-of-anna")


def test_revoke(home: Home) -> None:
    """The entry goes, and nothing else; the last one stays, for without keys everybody would be served."""
    home.run("revoke", "ci", input="n\n", status=1)
    assert home.diff == []
    home.run("revoke", "ci", input="y\n")
    assert home.diff == [f"-{line}" for line in home.before.splitlines()[8:14]]
    label = client_name(home.config.clients[0].identity, kept_salt(home.state))
    assert "all local requests would be accepted" in home.run("revoke", label, "--yes", status=1)


def test_edit(home: Home) -> None:
    """What is named changes, line by line."""
    home.run("edit", "ci", "--limit", "requests-per-day=9", "--limit", "concurrent=2", "--route", "models")
    assert sorted(home.diff) == [
        "+      concurrent: 2",
        "+      requests-per-day: 9  # enough",
        "+    routes: [models]",
        "-      requests-per-day: 5  # enough",
    ]
    home.run(
        "edit", "ci", "--limit", "requests-per-day=none", "--limit", "concurrent=none", "--unset", "routes"
    )
    client = home.client("ci")
    assert (client.limits, client.concurrent, len(client.routes)) == ((), None, 4)


def test_undo(home: Home) -> None:
    """Each change is taken back byte by byte, the last first, unless the file was changed by hand since."""
    home.run("new", "ben")
    first = home.file.read_bytes()
    home.run("rotate", "ci")
    home.run("undo", "--yes")
    assert home.file.read_bytes() == first
    home.run("undo", input="y\n")
    assert home.file.read_text() == home.before
    assert "nothing was changed" in home.run("undo", "--yes", status=1)
    home.run("new", "ben")
    home.file.write_text(home.file.read_text() + "# by hand\n")
    assert "has been changed since" in home.run("undo", "--yes", status=1)
    assert "# by hand" in home.file.read_text()
    (copy,) = (home.state / "keys").glob("*.copy")
    assert copy.read_text() == home.before
    assert copy.stat().st_mode & 0o777 == 0o600


def test_list_and_show(home: Home) -> None:
    """Names, ends, rights, and what is used; no key, and no hash."""
    client = home.client("ci")
    counts = Counts(home.state, time.time)
    counts.work([Take(tenant_id(client, b""), client.limits, Demand())] * 2)
    counts.close()
    listed = home.run("list")
    assert "until 2099-01-31 00:00 UTC; stored as a text; may: 5 requests a day" in listed
    assert json.loads(home.run("list", "--json"))[1]["name"] == "ci"
    shown = home.run("show", "ci")
    assert "2 requests of 5 requests used; renews in" in shown
    assert "key-of-ci" not in listed + shown
    home.run("new", "ben")
    assert hash_of(home.stdout.strip()) not in home.run("list") + home.run("show", "ben")


def test_several_in_one_line(tmp_path: Path) -> None:
    """Each command is for the entry of that name, wherever it stands: also where others stand in its line."""
    home = Home(tmp_path)
    line = "api-keys: ['', key-of-anna, {name: ci, key: key-of-ci}, {name: ben, key: key-of-ben}]  # all\n"
    home.file.write_text(f"port: 0\nstate-dir: {home.state}\n{line}")
    before = home.file.read_text()
    assert "ci " in home.run("list")
    assert "ben: valid" in home.run("show", "ben")
    home.run("edit", "ci", "--limit", "requests-per-day=5")
    changed = "{name: ci, key: key-of-ci, limits: {requests-per-day: 5}}"
    assert home.file.read_text() == before.replace("{name: ci, key: key-of-ci}", changed)
    home.run("undo", "--yes")
    home.run("rotate", "ci")
    clients = {client.name: client for client in home.config.clients}
    assert clients["ci"].old_hash == hash_of("key-of-ci")
    assert clients[""].secret.reveal() == "key-of-anna"
    home.run("undo", "--yes")
    home.run("revoke", "ci", "--yes")
    assert home.file.read_text() == before.replace("{name: ci, key: key-of-ci}, ", "")
