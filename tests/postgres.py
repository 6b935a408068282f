"""A PostgreSQL of our own: on a Unix socket, in a folder of its own, without a care for the disk."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER = "ampproxy"
_LIBC = ctypes.CDLL(None)
_PATH = ":".join(
    [os.environ.get("PATH", ""), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)]
)
#: Quick, and no risk: what a crash of the machine would lose is a test's. Fewer processes.
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


class Postgres:
    """A server that runs.

    :ivar url: of its database, for its superuser.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ampproxy-pg-"))
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._user = _user()
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self._run(
            "initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "--no-sync", "--no-instructions"
        )
        self.url = f"postgresql://{USER}@/postgres?host={self.folder}"
        self.start()

    def _run(self, name: str, *arguments: str) -> None:
        command = [_program(name), *arguments]
        subprocess.run(
            command, check=True, capture_output=True, cwd=self.folder, user=self._user, timeout=120
        )

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        options = [f"-c{name}={value}" for name, value in {**_OPTIONS, **self._sockets}.items()]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data), *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self._user,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + 60
        while not self._accepts():
            assert self.process.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.02)

    @property
    def _sockets(self) -> dict[str, str]:
        return {"unix_socket_directories": str(self.folder)}

    def _accepts(self) -> bool:
        command = [_program("pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(command, timeout=60, check=False).returncode == 0

    def empty(self) -> None:
        """Remove the ledger in it."""
        self.ask("DROP SCHEMA IF EXISTS ampproxy CASCADE")

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement on the ledger's tables finds."""
        # Not at the top: every test loads this.
        import psycopg

        with psycopg.connect(
            self.url, autocommit=True, options="-c search_path=ampproxy -c client_min_messages=error"
        ) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    @property
    def rows(self) -> int:
        """How many exchanges the ledger has; none as long as it is not there."""
        import psycopg

        try:
            return int(self.ask("SELECT count(*) FROM exchanges")[0][0])
        except psycopg.errors.UndefinedTable:
            return 0

    def kill(self) -> None:
        """End all its processes at once, as the loss of its machine would."""
        for process in self._processes():
            _signal(process, signal.SIGKILL)
        self.process.wait(60)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it, and with it every connection."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it where it stands: it neither answers nor closes anything."""
        # The first, so that it makes no other meanwhile.
        self.process.send_signal(signal.SIGSTOP)
        others = self._processes()
        for process in others:
            _signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in others:
                _signal(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """It and its children, which have sessions of their own."""
        found = [self.process.pid]
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.append(int(path.parent.name))
        return found

    def remove(self) -> None:
        """End it, and leave nothing of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)
        shutil.rmtree(self.folder)


def _program(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    if path is None:
        pytest.skip("PostgreSQL is not installed")
    return path


def _user() -> int | None:
    """Whom it runs as, for it refuses to run as root; ``None``: as we do."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    pytest.skip("there is no user that PostgreSQL could run as")


def _end_with_parent() -> None:
    """Have this process end when the one that started it does: a test run may be killed. On Linux."""
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is not None:
        prctl(1, int(signal.SIGQUIT))


def _signal(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
