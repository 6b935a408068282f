"""Configuration files on the disk: found, read, and what an import of the reader costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ampproxy.config.load import find, load
from ampproxy.errors import ConfigError
from ampproxy.wire.redact import Secret

HOME = Path("/home/anna")
TREE = Path(__file__).parents[2]


def test_load(tmp_path):
    """A file is read with a byte-order mark or without, its secrets come from real files, it names itself."""
    (tmp_path / "key").write_text("secret\n")
    file = tmp_path / "config.yaml"
    file.write_text(f"api-keys: [file:{tmp_path}/key]\nhots: 1", encoding="utf-8-sig")
    config = load(file, environ={}, home=HOME)
    assert (config.api_keys, config.source) == ((Secret("secret"),), file)
    assert config.warnings[0].startswith(f"{file}:2: hots: ")


def test_load_credentials(tmp_path):
    """systemd's ``LoadCredential`` names its folder in a variable; a secret may lie in a file there."""
    (tmp_path / "anthropic").write_text("secret\n")
    file = tmp_path / "config.yaml"
    file.write_text('api-keys: ["file:${CREDENTIALS_DIRECTORY}/anthropic"]')
    config = load(file, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, home=HOME)
    assert config.api_keys == (Secret("secret"),)
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY is not set"):
        load(file, environ={}, home=HOME)


def test_load_missing_file(tmp_path):
    """A file that is not there is a configuration error like any other."""
    with pytest.raises(ConfigError, match=r"config\.yaml:1: file: cannot be read: No such file"):
        load(tmp_path / "config.yaml", environ={}, home=HOME)


def test_load_not_utf8(tmp_path):
    """A file in another encoding is named with the line of the first bad byte."""
    file = tmp_path / "config.yaml"
    file.write_bytes(b"port: 1\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:2: file: is not UTF-8"):
        load(file, environ={}, home=HOME)


def test_load_checks_certificates(tmp_path):
    """A certificate that is not on the disk is found at once."""
    file = tmp_path / "config.yaml"
    file.write_text(f"tls: {{enable: true, cert: {tmp_path}/c, key: {tmp_path}/k}}")
    with pytest.raises(ConfigError) as caught:
        load(file, environ={}, home=HOME)
    assert [c.split(": ")[1] for c in caught.value.complaints] == ["tls.cert", "tls.key"]


def test_find(tmp_path):
    """The user's own file is found."""
    own = tmp_path / ".config" / "ampproxy" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find(tmp_path) == own
    # A folder in its place, as container engines make one, is not passed over in silence.
    own.unlink()
    own.mkdir()
    assert find(tmp_path) == own


def test_relative_paths(tmp_path, monkeypatch):
    """A relative path begins at the file's folder, not at that in which the service or a command runs."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for folder in ("etc", "elsewhere"):
        (tmp_path / folder / "pem").write_text(folder)
    file = tmp_path / "etc" / "config.yaml"
    file.write_text(
        "auth-dir: logins\nstate-dir: ../state\nledger: {prices: p.yaml}\n"
        "tls: {enable: true, cert: pem, key: ./pem}\n"
    )
    for folder, named in (("elsewhere", file), ("etc", Path("config.yaml"))):
        monkeypatch.chdir(tmp_path / folder)
        config = load(named, environ={}, home=HOME)
        assert config.auth_dir == file.parent / "logins"
        assert config.state_dir == file.parent / "../state"
        assert config.ledger.prices == file.parent / "p.yaml"
        assert config.tls is not None
        assert (config.tls.chain, config.tls.secret) == (b"etc", b"etc")


def test_relative_secret(tmp_path, monkeypatch):
    """The file of a secret has to be named whole."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("secret")
    (tmp_path / "config.yaml").write_text("api-keys: [file:key]")
    with pytest.raises(ConfigError, match="absolute path"):
        load(tmp_path / "config.yaml", environ={}, home=HOME)


def test_import_is_cheap():
    """Reading a configuration does not start Twisted."""
    code = "import sys, ampproxy.config.load; print([m for m in sys.modules if m in ('twisted', 'treq')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE)
    assert run.stdout.strip() == "[]"
