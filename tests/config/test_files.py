"""What lies at the path of a file and is none holds nobody up, and nobody reads more than is sane."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ampproxy.config import files
from ampproxy.config.load import load
from ampproxy.credentials import amp
from ampproxy.credentials.oauth.failures import BadFile
from ampproxy.credentials.oauth.store import Store
from ampproxy.desktop.clients import files as clients_files
from ampproxy.desktop.clients.installed import _package_version
from ampproxy.errors import ConfigError
from ampproxy.ledger import LedgerError
from ampproxy.ledger.file import exists
from ampproxy.ledger.prices import read_prices
from ampproxy.relay import unknown
from ampproxy.relay.model_cache import ModelCache
from ampproxy.reload import Snapshot, digest
from tests.clocked import within


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """A test that waits for a pipe fails instead of standing for ever."""

    def too_long(*_: object) -> None:
        raise AssertionError("waits for a pipe")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    folder = Path.cwd()
    # The address of a Unix socket is short.
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path.name)
    finally:
        os.chdir(folder)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


KINDS = [pipe, bound, folder, device, endless]


def refused(error: type[Exception], read: Callable[[], Any]) -> None:
    with pytest.raises(error):
        read()


#: Each reads a file of that name, and says that it cannot, or does without.
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "configuration": (
        "config.yaml",
        lambda path: refused(ConfigError, lambda: load(path, environ={}, home=path.parent)),
    ),
    "reload": ("config.yaml", lambda path: refused(OSError, lambda: Snapshot().read(path))),
    "watch": ("config.yaml", lambda path: digest(path)),
    "secret": ("key", lambda path: refused(ConfigError, lambda: named(path, f"api-keys: ['file:{path}']"))),
    "certificate": (
        "pem",
        lambda path: refused(ConfigError, lambda: named(path, "tls: {enable: true, cert: pem, key: pem}")),
    ),
    "login": ("a.json", lambda path: refused(BadFile, lambda: Store(path.parent).read(path.name))),
    "unknown routes": (unknown.NAME, lambda path: unknown.read(path.parent)),
    "models": ("models.json", lambda path: ModelCache(path.parent).read(0.0)),
    "Amp's keys": ("secrets.json", lambda path: amp._read(path)),
    "Amp's settings": ("settings.json", lambda path: refused(OSError, lambda: clients_files.content(path))),
    "prices": ("prices.yaml", lambda path: refused(LedgerError, lambda: read_prices(path))),
    "package": ("package.json", lambda path: _package_version(path.parent / "bin" / "amp")),
}


def named(path: Path, text: str) -> None:
    """A configuration beside a file, which it names."""
    config = path.parent / "config.yaml"
    config.write_text(text)
    load(config, environ={}, home=path.parent)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("reader", READERS)
def test_readers(tmp_path: Path, reader: str, make: Callable[[Path], None]) -> None:
    """A pipe, a socket, a folder, a device, a file without end: refused at once, without being read."""
    name, read = READERS[reader]
    make(tmp_path / name)
    within(2, lambda: read(tmp_path / name))


def test_ledger(tmp_path: Path) -> None:
    """The ledger is not opened where a pipe lies."""
    pipe(tmp_path / "ledger")
    refused(LedgerError, lambda: exists(tmp_path / "ledger"))


def test_words(tmp_path: Path) -> None:
    """The complaint says what lies there."""
    for make, words in ((pipe, "a named pipe"), (bound, "a socket"), (device, "a device")):
        path = tmp_path / make.__name__
        make(path)
        with pytest.raises(ConfigError, match=f"1: file: cannot be read: it is {words} and not a file"):
            load(path, environ={}, home=tmp_path)
    endless(tmp_path / "large")
    with pytest.raises(ConfigError, match="1: file: cannot be read: it has more than 1 MiB"):
        load(tmp_path / "large", environ={}, home=tmp_path)


def test_limits(tmp_path: Path) -> None:
    """Exactly as much as is allowed is read."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert files.read(path, 100) == b"x" * 100
    with pytest.raises(files.TooLarge, match="it has more than"):
        files.read(path, 99)


def test_large_configuration(tmp_path: Path) -> None:
    """One of 50 MB is refused before it is parsed, at the start and when the service looks for changes."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"api-keys:\n" + b"- some-client-key\n" * 2_800_000)
    assert path.stat().st_size > 50_000_000

    def looked_at() -> None:
        with pytest.raises(ConfigError, match="1: file: cannot be read: it has more than 1 MiB"):
            load(path, environ={}, home=tmp_path)
        digest(path)

    within(1, looked_at)


def test_large_secret(tmp_path: Path) -> None:
    """A secret's file has a smaller limit."""
    path = tmp_path / "key"
    path.write_bytes(b"x" * files.MAX_SECRET + b"y")
    with pytest.raises(ConfigError, match="it has more than 256 KiB"):
        named(path, f"api-keys: ['file:{path}']")


def test_replaced_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes a pipe between the look and the opening is not waited for either."""
    path = tmp_path / "file"
    pipe(path)
    monkeypatch.setattr(os, "stat", lambda _: os.lstat(__file__))
    refused(files.NotAFile, lambda: files.read(path, 100))


def test_own_descriptor() -> None:
    """``--config <(command)`` works, also where the command takes its time."""
    reading, writing = os.pipe()
    late = threading.Timer(0.3, lambda: (os.write(writing, b"port: 1\n"), os.close(writing)))
    late.start()
    assert load(Path(f"/dev/fd/{reading}"), environ={}, home=Path("/")).port == 1
    late.join()
    os.close(reading)


def test_own_descriptor_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not for ever."""
    monkeypatch.setattr(files, "READ_TIMEOUT", 0.1)
    reading, writing = os.pipe()
    with pytest.raises(TimeoutError, match="nothing came through the pipe"):
        files.read(Path(f"/dev/fd/{reading}"), 100)
    os.close(reading)
    os.close(writing)
