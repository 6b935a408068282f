"""The ``ampproxy`` command: one module per verb, imported only when that verb is asked for.

A verb is a row of :data:`VERBS` and a module of that name in this package, with a
:class:`click.Command` called ``command``.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword

import click

from ampproxy import __version__
from ampproxy.cli.terminal import reading_width, wants_colour, width, wrapped

#: The verbs, in the order in which help lists them. One whose module is not there does not appear.
VERBS: dict[str, str] = {
    "init": "Write a first configuration from what is found on this machine.",
    "serve": "Run the service, in the foreground or with --background.",
    "status": "Show the state of the service and what needs attention.",
    "stop": "Stop the service and wait for it to end.",
    "log": "Show the last exchanges, or follow new ones.",
    "try": "Send one request through the service and show its route, tokens and cost.",
    "chat": "Talk with a model through the service.",
    "setup": "Point Amp's clients, or another coding agent, at the gateway, or revert that.",
    "key": "Create, list, change, rotate and revoke client keys.",
    "neo": "Let Amp's cloud call your accounts, for Amp's present generation (experimental).",
    "doctor": "Diagnose the path from Amp's clients to the models.",
    "check": "Validate a configuration file.",
    "schema": "Print the JSON Schema of the configuration file, for editors.",
    "explain": "Explain how a request for a model would be routed.",
    "models": "List the models that clients see, and the accounts that serve them.",
    "accounts": "List the accounts and their state: which are cooling down, why, and until when.",
    "alerts": "List what is wrong now, and send a test alert.",
    "credits": "List Amp-credit limits and today's use.",
    "usage": "Show token usage and cost by model, account, client, thread, role, day or route.",
    "reload": "Reload the running service's configuration and print what changed.",
    "restart": "Restart the running service without dropping connections.",
    "login": "Log in with a subscription at Anthropic, OpenAI or Google.",
    "logout": "Remove a login.",
    "demo": "Serve mock models, to try clients without any account.",
    "translate": "Translate a request or an answer from one dialect to another.",
    "completion": "Print the completion script of a shell.",
    "man": "Print the manual page.",
    "help": "Show the help of a verb.",
}


#: What click puts before a message.
_ERROR = "Error: "


def _module(verb: str) -> str:
    # A module by that name could not be imported by a statement.
    return f"{__name__}.{verb}{'_' if iskeyword(verb) else ''}"


class Verbs(click.Group):
    """A group that imports a verb's module when the verb is used, and for help none at all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs whose modules are there."""
        return [verb for verb in VERBS if find_spec(_module(verb)) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command; ``None`` if there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(_module(cmd_name)).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is asked for; for one that there is not, those that are like it."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.list_commands(ctx), 3, 0.6)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"There is no verb {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; what it complains of fits the terminal."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            if type(error).__init__ is not click.ClickException.__init__:
                raise
            room = reading_width(width(sys.stderr))
            first, *more = error.message.split("\n")
            lines = wrapped(first, room, _ERROR, "")
            lines[0] = lines[0].removeprefix(_ERROR)
            lines += [line for part in more for line in wrapped(part, room)]
            raise type(error)("\n".join(lines)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in self.list_commands(ctx)])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ampproxy")
@click.pass_context
def main(context: click.Context) -> None:
    """Run the Amp coding agent on the model accounts you already have.

    Exit status: 0 done, and all is well; 1 it failed, or something is wrong; 2 a wrong option or argument; 3
    the service is not running.
    """
    context.color = wants_colour(os.environ)
