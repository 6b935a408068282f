"""The service as its users run it: a process of its own, started by ``twistd``."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.forked import popen

#: Twisted's command; how its own script does it.
RUN = "from twisted.scripts.twistd import run; run()"


def twistd(*arguments: str, first: str = "") -> list[str]:
    """The command that starts ``twistd`` with these arguments, in the interpreter of the tests.

    :param first: Python statements that run before anything of Twisted is loaded: they bring a fault in.
    """
    code = f"{first}\n{RUN}" if first else RUN
    return [sys.executable, "-c", code, *arguments]


def connect_unix(path: Path, process: Any, timeout: float = 60) -> socket.socket:
    """A connection to a Unix socket, as soon as the process listens there."""
    deadline = time.monotonic() + timeout
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        try:
            # The file is there a little before anybody listens.
            client.connect(str(path))
            return client
        except OSError:
            client.close()
            assert process.poll() is None, "it has ended"
            assert time.monotonic() < deadline, f"not within {timeout} s"
            time.sleep(0.02)


class Service:
    """A running ``twistd ampproxy``; ready when made.

    :param first: see :func:`twistd`.
    :param environ: more environment variables.
    :param within: the words of a command that runs the one behind them.
    :param fresh: whether it is to be an interpreter of its own, not forked, in any case.
    :ivar log: where its log is.
    """

    def __init__(
        self,
        directory: Path,
        config: str,
        *more: str,
        first: str = "",
        environ: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        fresh: bool = False,
    ) -> None:
        path = directory / "config.yaml"
        path.write_text(config)
        self.log = directory / "log"
        with self.log.open("wb") as log:
            command = twistd("-n", "--pidfile=", "ampproxy", "--config", str(path), *more, first=first)
            start = subprocess.Popen if first or within or fresh else popen
            self.process = start(
                [*within, *command],
                stdout=log,
                stderr=log,
                cwd=directory,
                # Empty, so that nothing is kept anywhere but below the directory.
                env={
                    **os.environ,
                    "HOME": str(directory),
                    "XDG_STATE_HOME": "",
                    "STATE_DIRECTORY": "",
                    **(environ or {}),
                },
            )
        try:
            self.port = self._wait()
        except BaseException:
            self.process.kill()
            raise

    def _wait(self) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.log_text
            if "Listening on 127.0.0.1:" in text:
                return int(text.partition("Listening on 127.0.0.1:")[2].split()[0])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"twistd did not start:\n{self.log_text}")

    def wait_for(self, condition: Callable[[], object], timeout: float = 60) -> None:
        """Wait until a condition holds; the log is shown if it does not."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s:\n{self.log_text}"
            time.sleep(0.02)

    def wait_for_log(self, text: str, count: int = 1, timeout: float = 60) -> None:
        """Wait until the log has this text so many times."""
        self.wait_for(lambda: self.log_text.count(text) >= count, timeout)

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def rss(self) -> int:
        """Resident memory, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def stop(self) -> int:
        """End it as an init system does; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
