"""``ampproxy serve --background``: the service in a process of its own, which outlives this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from ampproxy.cli.configured import read_config
from ampproxy.cli.terminal import Progress, sentence
from ampproxy.config.run_file import RunNote, read_note, run_file

#: Seconds that it may take until it serves.
TIMEOUT = 60.0
_PAUSE = 0.05
LOG = "ampproxy.log"
#: So much is shown of what it logged before it ended. Bytes.
_LAST_LOG_BYTES = 4000


def launch(file: Path, more: Sequence[str], log: Path | None) -> None:
    """Start it, and wait until it serves.

    :param more: further options for the process.
    :raises click.ClickException: it runs already, or does not start; says why.
    """
    config = read_config(file)
    place = run_file(config.state_dir, file)
    note = read_note(place)
    if note is not None:
        raise click.ClickException(f"it runs already, as process {note.pid}: ampproxy status, ampproxy stop")
    log = log or config.state_dir / LOG
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"the log {log} cannot be opened: {error.strerror}") from None
    with open(output, "wb", buffering=0) as stream:
        begun = stream.seek(0, os.SEEK_END)
        # In a folder of nobody's: Python would look for modules in the working folder.
        process = subprocess.Popen(  # noqa: S603  this very program
            [sys.executable, "-m", "ampproxy", "serve", f"--config={file}", f"--log-file={log}", *more],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            start_new_session=True,
        )
    with Progress() as progress:
        progress("Starting ...")
        note = _ready(process, place)
    if note is None:
        raise click.ClickException(f"it did not start:\n{_since(log, begun)}")
    sentence(f"ampproxy serves on {', '.join(note.listening)} as process {note.pid}.")
    click.echo(f"Log: {log}")
    click.echo(f"To stop it: ampproxy stop{_named(file)}")


def _ready(process: subprocess.Popen[bytes], place: Path) -> RunNote | None:
    """What it leaves when it serves; ``None``: it has ended, or takes too long."""
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        note = read_note(place)
        if note is not None and note.pid == process.pid:
            return note
        if process.poll() is not None:
            return None
        time.sleep(_PAUSE)
    process.terminate()
    return None


def _since(log: Path, begun: int) -> str:
    """What the log has of this start."""
    with log.open("rb") as file:
        file.seek(begun)
        text = file.read(_LAST_LOG_BYTES).decode("utf-8", "replace").strip()
    lines = [line.removeprefix("Error: ") for line in text.splitlines()]
    return "\n".join(lines) or f"see {log}"


def _named(file: Path) -> str:
    """The option that names the file, where it would not be found by itself."""
    from ampproxy.config.load import find

    found = find(Path.home())
    return "" if found is not None and found.absolute() == file else f" --config {file}"
