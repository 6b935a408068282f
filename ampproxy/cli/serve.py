"""``ampproxy serve``: the service, without ``twistd`` and what belongs to it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ampproxy.cli.as_json import reports_json
from ampproxy.cli.configured import config_option, named


@click.command("serve")
@config_option
@click.option("--host", help="Listen on this address instead of the configured one.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Listen on this port instead of the configured one; 0: any."
)
@click.option(
    "--listen",
    multiple=True,
    metavar="ENDPOINT",
    help="A Twisted endpoint string to listen on instead of host and port; repeatable.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log everything, as logging.level: debug does.")
@click.option("--background", is_flag=True, help="Return as soon as it serves, and leave it running.")
@click.option(
    "--log-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the log goes: else the standard output, and with --background ampproxy.log in state-dir.",
)
@reports_json
def command(
    file: Path | None,
    host: str | None,
    port: int | None,
    listen: tuple[str, ...],
    verbose: bool,
    background: bool,
    log_file: Path | None,
) -> None:
    """Run the service, in the foreground: the log goes to the standard output, and Ctrl-C ends it.

    It then accepts nothing more and lets what is under way end, for up to timeouts.grace; a second Ctrl-C
    does not wait. With --background it runs on by itself: ampproxy status, ampproxy stop.

    Exit status 0 after an orderly end, 1 if it cannot start.
    """
    if listen and (host is not None or port is not None):
        raise click.UsageError("--listen takes the place of --host and --port")
    path = named(file).absolute()
    if background:
        from ampproxy.cli.background import launch

        more = [f"--host={host}"] * (host is not None) + [f"--port={port}"] * (port is not None)
        more += [f"--listen={endpoint}" for endpoint in listen] + ["--verbose"] * verbose
        launch(path, more, None if log_file is None else log_file.absolute())
        return
    from ampproxy.cli.foreground import run
    from ampproxy.tap import Overrides

    log = "" if log_file is None else os.fspath(log_file.absolute())
    run(path, Overrides(host, port, verbose), listen, log)
