"""``ampproxy demo``: the gateway with made-up vendors behind it, on this machine alone."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource


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
@click.pass_context
def command(ctx: click.Context, once: bool, port: int) -> None:
    """Serve mock models, to try clients without any account.

    Starts mock servers of four vendors and of Amp on 127.0.0.1, and the gateway in front of them; sends one
    request of each kind and prints the results; then waits for your requests until Ctrl-C.
    """
    from twisted.internet.task import react

    wished = ctx.get_parameter_source("port") is not ParameterSource.DEFAULT
    react(lambda reactor: _main(reactor, once, port, wished))


async def _main(reactor: Any, once: bool, port: int, wished: bool) -> None:
    from twisted.internet.defer import Deferred
    from twisted.internet.error import CannotListenError

    from ampproxy.demo.run import Demo
    from ampproxy.tap import build

    demo = Demo(reactor, build, click.echo, lambda text, colour: click.style(text, fg=colour))
    try:
        await demo.start(port, wished=wished)
    except CannotListenError as error:
        why = getattr(error.socketError, "strerror", None) or error.socketError
        click.echo(f"Error: port {port} cannot be used: {why}", err=True)
        raise SystemExit(1) from None
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
