"""``ampproxy stop``: end the running service in order."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from ampproxy.cli.as_json import reports_json
from ampproxy.cli.configured import config_option, note_of, read_config
from ampproxy.cli.service_client import NotAnswered, NotReachable, ServiceClient, at_option, not_running
from ampproxy.cli.terminal import Progress, sentence
from ampproxy.config.schema import Config
from ampproxy.wire.words import counted, span

#: Seconds beyond timeouts.grace that the service may take to end.
_SLACK = 15.0
_PAUSE = 0.1


@click.command("stop")
@config_option
@at_option
@click.option("--now", is_flag=True, help="Do not wait for what is under way: cut it off.")
@reports_json
def command(file: Path | None, at: str, now: bool) -> None:
    """Stop the running service and wait for it to end.

    It accepts nothing more, and lets what is under way end, for up to timeouts.grace. Exit status 0 if it has
    ended, 1 if it has not, 3 if it does not run. A service manager may start it anew: stop it there.
    """
    config = read_config(file, at=at)
    pid, running = find(config, at)
    _signal(pid, signal.SIGTERM)
    if now:
        # Once is an order to end, twice one not to wait.
        time.sleep(_PAUSE)
        if is_there(pid):
            _signal(pid, signal.SIGTERM)
    elif running:
        sentence(
            f"Waiting for {counted(running, 'exchange')} to end, for up to {config.timeouts.grace:g} s"
            " (timeouts.grace); ampproxy stop --now does not wait.",
            err=True,
        )
    begun = time.monotonic()
    if not _gone(pid, config.timeouts.grace + _SLACK):
        raise click.ClickException(f"process {pid} has not ended; see the service's log")
    took = time.monotonic() - begun
    click.echo(f"Stopped (process {pid}{f', after {span(took)}' if took >= 1 else ''}).")


def find(config: Config, at: str) -> tuple[int, int]:
    """The service's process, and how many exchanges it has under way, as far as it tells that.

    :raises NotRunning: there is none.
    :raises click.ClickException: somebody else may be there.
    """
    try:
        status = ServiceClient(config, at).mine()
        return status.pid, status.running
    except NotAnswered as error:
        note = None if at else note_of(config)
        if note is not None:
            # It listens no longer, or takes a key that is not here; its lock shows that it is there.
            return note.pid, 0
        if isinstance(error, NotReachable):
            raise not_running(error, f"the service does not run: {error}", suggestion="") from None
        raise click.ClickException(str(error)) from None


def is_there(pid: int) -> bool:
    """Whether a process is; one that has ended and is not waited for yet is not."""
    try:
        os.kill(pid, 0)
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except (OSError, IndexError):
        return True


def _gone(pid: int, timeout: float) -> bool:
    until = time.monotonic() + timeout
    with Progress() as progress:
        while is_there(pid):
            left = until - time.monotonic()
            if left <= 0:
                return False
            if progress.live:
                progress(f"Waiting for process {pid} to end, for up to {span(left)} ...")
            time.sleep(_PAUSE)
    return True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except PermissionError:
        raise click.ClickException(
            f"process {pid} belongs to another user: stop it as that one, or as root"
        ) from None
    except ProcessLookupError:
        raise click.ClickException(f"process {pid} is not on this machine, or has just ended") from None
