"""``ampproxy restart``: a new process takes the running service's place; what is under way goes on in the old
one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from ampproxy.cli.as_json import reports_json
from ampproxy.cli.configured import beside, config_option
from ampproxy.cli.service_client import (
    NotAllowed,
    NotAnswered,
    NotReachable,
    ServiceClient,
    at_option,
    complain,
    not_running,
    retry,
)
from ampproxy.cli.terminal import Progress, sentence
from ampproxy.errors import ConfigError
from ampproxy.status import Status

#: Seconds that the new process may take. The old one waits no longer for it.
TIMEOUT = 90.0
_PAUSE = 0.1


@click.command("restart")
@config_option
@at_option
@reports_json
def command(file: Path | None, at: str) -> None:
    """Restart the running service with the code and the settings that are installed now.

    A new process gets the listening sockets and loads everything it needs. Then the old one accepts no more
    connections, finishes its running requests within timeouts.drain, and exits. The command waits until the
    new process serves. Exit status 1 if it does not: then the old one continues, and the reason is printed.
    """
    try:
        config = beside(file, at)
    except ConfigError as error:
        complain(error)
        click.echo("With this file the service would not start, so it was not restarted.", err=True)
        raise SystemExit(1) from None
    asker = ServiceClient(config, at)
    try:
        before = retry(asker.mine, time.sleep)
    except NotAnswered as error:
        raise not_running(error, f"cannot reach the service: {error}") from None
    _signal(before.pid)
    try:
        with Progress() as progress:
            progress(f"Waiting for a process that takes the place of {before.pid} ...")
            # The new process listens where the file says.
            after = wait((asker, ServiceClient(config)), before, time.sleep)
    except NotAnswered as error:
        raise click.ClickException(str(error)) from None
    versions = f", version {before.version} -> {after.version}" if before.version != after.version else ""
    click.echo(f"Process {before.pid} -> {after.pid}{versions}.")
    click.echo(f"Configuration {after.generation} is in force.")
    if has_terminal(after.pid):
        sentence("It now runs in the background, where Ctrl-C does not reach it: ampproxy stop")


def has_terminal(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process was started in a terminal, whose Ctrl-C reaches it no more once another process has
    started it; where the system does not tell, no.
    """
    try:
        # proc_pid_stat(5): behind the name, which may hold anything, the seventh is the terminal.
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[4]) != 0
    except (OSError, ValueError, IndexError):
        return False


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGUSR2)
    except PermissionError:
        raise click.ClickException(
            f"process {pid} belongs to another user: restart it as that one, or as root"
        ) from None
    except OSError as error:
        raise click.ClickException(f"process {pid} cannot be reached from here: {error.strerror}") from None


def wait(askers: Iterable[ServiceClient], before: Status, pause: Callable[[float], None]) -> Status:
    """Wait for the new process and return its status.

    :param askers: where it may be by then; the first that answers counts.
    :param before: how it was.
    :param pause: waits for so many seconds.
    :raises NotAnswered: none has taken over; says why.
    """
    left = TIMEOUT
    while left > 0:
        pause(_PAUSE)
        left -= _PAUSE
        for asker in askers:
            try:
                now = asker.state()
            except (NotReachable, NotAllowed):
                continue
            if now.pid != before.pid:
                return now
            failed = now.restart
            if failed is not None and failed.why and failed != before.restart:
                raise NotAnswered(f"the service was not restarted; process {now.pid} continues: {failed.why}")
            break
    raise NotAnswered(f"no other process has taken over within {TIMEOUT:g} s; see the service's log")
