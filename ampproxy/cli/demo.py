"""``ampproxy demo``: the gateway with made-up vendors behind it, on this machine alone."""

from __future__ import annotations

import json
import signal
from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ampproxy.cli.terminal import Column, Table, width

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

#: Of :meth:`ampproxy.demo.run.Outcome.cells`.
_NAMES = ("what", "route", "asked", "served", "status", "first_ms", "total_ms", "verdict")
_COLUMNS = (
    Column("what", least=24),
    Column("route"),
    Column("asked model", least=16, rank=1),
    Column("served by", least=18),
    Column("status"),
    Column("first ms", right=True, rank=3),
    Column("total ms", right=True, rank=2),
    Column("", colour={"ok": "green", "WRONG": "red"}.get),
)


@click.command("demo")
@click.option(
    "--once", is_flag=True, help="Exit after the table, with status 0 if every row is right, else 1."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8317,
    show_default=True,
    help="The gateway's port; 0 for any free one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON, and end.")
@click.pass_context
def command(ctx: click.Context, once: bool, port: int, as_json: bool) -> None:
    """Serve mock models, to try clients without any account.

    Starts mock servers of four vendors and of Amp on 127.0.0.1, and the gateway in front of them; sends one
    request of each kind and prints the results; then waits for your requests until Ctrl-C.
    """
    from twisted.internet.task import react

    wished = ctx.get_parameter_source("port") is not ParameterSource.DEFAULT

    def main(reactor: Any) -> Deferred[None]:
        run = _main(reactor, once, port, wished, as_json)
        return _until_interrupted(reactor, run, status=int(once or as_json))

    react(main)


def _until_interrupted(reactor: Any, run: Coroutine[Any, Any, None], status: int) -> Deferred[None]:
    """Fires when ``run`` has ended, or on SIGINT or SIGTERM: then with that exit status, however often they
    come. (The reactor's own handlers log a traceback for the second one.)
    """
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    ended: Deferred[None] = Deferred()

    def end(result: Any) -> None:
        if not ended.called:
            ended.callback(result)

    def interrupt(*_: object) -> None:
        reactor.callFromThread(end, Failure(SystemExit(status)))

    def listen() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)

    reactor.callWhenRunning(listen)
    Deferred.fromCoroutine(run).addBoth(end)
    return ended


def _silent(text: str, nl: bool = True) -> None:
    """Who reads JSON wants no more."""


def table(rows: Sequence[Sequence[str]], room: int | None = None) -> Iterable[str]:
    """The rows of the demonstration as a table.

    :param room: columns; by default those of the terminal.
    """
    return Table(_COLUMNS, rows, room or width()).lines(rows)


async def _main(reactor: Any, once: bool, port: int, wished: bool, as_json: bool) -> None:
    from twisted.internet.defer import Deferred
    from twisted.internet.error import CannotListenError

    from ampproxy.demo.run import Demo
    from ampproxy.tap import build

    echo = _silent if as_json else click.echo
    demo = Demo(reactor, build, echo, lambda text, colour: click.style(text, fg=colour), table)
    try:
        await demo.start(port, wished=wished)
    except CannotListenError as error:
        why = getattr(error.socketError, "strerror", None) or error.socketError
        click.echo(f"Error: port {port} cannot be used: {why}", err=True)
        raise SystemExit(1) from None
    if as_json:
        right = await demo.run()
        await demo.stop()
        rows = [dict(zip(_NAMES, outcome.cells(), strict=True)) for outcome in demo.outcomes]
        click.echo(json.dumps(rows, indent=2))
        raise SystemExit(0 if right else 1)
    if not once:
        click.echo(f"See it in a browser: {demo.page}\n")
    click.echo("The configuration of this demonstration:\n")
    click.echo("\n".join(f"  {line}" for line in demo.config_text.splitlines()) + "\n")
    right = await demo.run()
    if once:
        await demo.stop()
        raise SystemExit(0 if right else 1)
    click.echo("\n" + demo.hints())
    click.echo("\nA line for each request follows; Ctrl-C ends it.")
    demo.watch()
    # Only where Ctrl-C ends it.
    reactor.addSystemEventTrigger("after", "shutdown", click.echo, "\nStopped.")
    await Deferred()
