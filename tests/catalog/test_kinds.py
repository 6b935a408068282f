"""A kind of accounts is one row and one file, and all else follows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ampproxy
from ampproxy.catalog.families import vendors
from ampproxy.catalog.kinds import KINDS
from ampproxy.config import sections
from ampproxy.credentials.oauth.formats import KINDS as LOGINS
from ampproxy.dialects.registry import DIALECTS
from ampproxy.providers import PROVIDERS, _provider

PACKAGE = Path(ampproxy.__file__).parent

FILE = '''
"""Acme's Messages."""

from typing import ClassVar

from ampproxy.model.base import ANTHROPIC
from ampproxy.providers.base import Paths, Provider
from ampproxy.routing.endpoints import Operation


class Acme(Provider):
    """Messages, below another path."""

    PATHS: ClassVar[Paths] = {(ANTHROPIC, Operation.GENERATE): "acme/messages"}
    CREDENTIAL = b"x-acme-key"
'''
ROW = """_ROWS = (
    Kind(
        name="acme",
        provider="acme:Acme",
        dialect=ANTHROPIC,
        section="acme-api-key",
        base_url="https://api.acme.example",
        adds="/acme/messages",
        serves=("acme-*",),
    ),
"""
#: Run where the row and the file are: prints what becomes of an account of the new kind.
USE = """
import sys
from pathlib import Path
from ampproxy.config.load import load
from ampproxy.providers import PROVIDERS
from ampproxy.routing.catalog import Catalog, owner
from ampproxy.routing.endpoints import parse_endpoint
from ampproxy.routing.suggestion import account_for

config = load(Path(sys.argv[1]), environ={}, home=Path(sys.argv[1]).parent)
account = config.accounts[0]
print(account.label, account.kind, account.dialect, account.base_url, owner(account))
print([offer.account.label for offer in Catalog(config).find("acme-large")], Catalog(config).find("gpt-5"))
asked = parse_endpoint(b"POST", b"/v1/chat/completions")
provider = PROVIDERS[account.kind](account)
call = provider.call(asked, "acme-large")
print(provider.backend_dialect(asked), call.url.decode(), dict(call.headers)[b"x-acme-key"].decode())
print(account_for("acme-large").splitlines()[0])
from ampproxy.ledger.book import _is_flat
print(_is_flat(account.kind, account.base_url))
"""


def test_every_row_is_whole():
    """A kind's provider, dialect, vendor and login are there."""
    for name, kind in KINDS.items():
        assert PROVIDERS[name] is _provider(kind)
        assert kind.dialect in DIALECTS
        assert not kind.vendor or kind.vendor in vendors()
        assert bool(kind.section) != bool(kind.login)
        assert kind.login in ("", *LOGINS)
    assert {kind.login for kind in KINDS.values() if kind.login} == set(LOGINS)
    named = {row.name for row in sections.ROOT.rows}
    assert {kind.section for kind in KINDS.values() if kind.section} <= named


def test_a_row_that_names_no_provider():
    """A slip in a row is told with the kind's name."""
    from msgspec.structs import replace

    with pytest.raises(TypeError, match=r"claude: base:Call is no Provider"):
        _provider(replace(KINDS["claude"], provider="base:Call"))


def test_a_kind_is_one_file_and_one_row(tmp_path):
    """A new kind of accounts has its section, its models, its provider and its remedy."""
    tree = tmp_path / "ampproxy"
    shutil.copytree(PACKAGE, tree, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "providers" / "acme.py").write_text(FILE)
    rows = tree / "catalog" / "kinds.py"
    text = rows.read_text()
    assert text.count("_ROWS = (\n") == 1
    rows.write_text(text.replace("_ROWS = (\n", ROW))
    config = tmp_path / "config.yaml"
    config.write_text("api-keys: [abc]\nacme-api-key:\n  - api-key: secret\n")
    found = subprocess.run(
        [sys.executable, "-c", USE, str(config)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.stderr == ""
    assert found.stdout.splitlines() == [
        "acme-api-key[0] acme anthropic https://api.acme.example acme",
        "['acme-api-key[0]'] ()",
        "anthropic https://api.acme.example/acme/messages Bearer secret",
        "acme-api-key:",
        "False",
    ]
